"""What a visitor's phone can reach on the page's port, and what it cannot: the README's table, each line tried over real sockets."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.sync.client import connect

from mesh import door
from mesh.role import Frame
from roles.display.audience import OF_ONE_MAX
from roles.display.server import BOUNDS, MESSAGE_BYTES_MAX
from roles.display.web import Web
from tests.roles.stage import put_on, until

SECRET = "TheSecretOfTheRoom"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Any]:
    """A page that is served, in a deployment with much that is nobody's business, its port open to a whole network of phones."""
    piece = tmp_path / "piece"
    for folder in ("pages/inner", "pages/.git", "models", "media", "fallback", "pages/__pycache__"):
        (piece / folder).mkdir(parents=True)
    hidden = ("pages/.hidden", "pages/.git/config", "fallback/lines.txt", "media/notes.txt")
    for name in ("deployment.yaml", "roles.py", "models/poet.gguf", *hidden):
        (piece / name).write_text(SECRET)
    (tmp_path / "key").write_text(SECRET)
    for name in ("pages/wall.html", "pages/wall.css", "pages/inner/more.html", "media/moth.svg"):
        (piece / name).write_text("<p>shown</p>")
    (piece / "pages" / "out.html").symlink_to(piece / "roles.py")
    (piece / "pages" / "up").symlink_to(piece)
    (piece / "media" / "key.png").symlink_to(tmp_path / "key")
    role, stage = put_on(Web, piece, page="pages/wall.html", media="media", host="0.0.0.0", port=0, state_folder=tmp_path / "state")
    role.setup()
    try:
        port = int(re.findall(r":(\d+)/", stage.facts["page"])[0])
        yield role, stage, port
    finally:
        role.teardown()


def raw(port: int, words: bytes, *, source: str = "127.0.0.5", patience_s: float = 5.0) -> bytes:
    """What a plain socket, which tidies nothing, is answered."""
    with socket.create_connection(("127.0.0.1", port), patience_s, source_address=(source, 0)) as line:
        line.sendall(words)
        answer = b""
        with contextlib.suppress(OSError):
            while chunk := line.recv(65536):
                answer += chunk
        return answer


def ask(port: int, path: str, method: str = "GET", host: str = "192.168.1.5:8080", **headers: str) -> bytes:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return raw(port, f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{lines}Connection: close\r\n\r\n".encode())


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/") else 0


@pytest.mark.parametrize("path", ["/", "/wall.html", "/wall.css", "/inner/more.html", "/media/moth.svg", "/roomful.js"])
def test_it_reaches_the_page_and_what_belongs_to_it(page: Any, path: str) -> None:
    assert status(ask(page[2], path)) == 200


ELSEWHERE = [
    "/deployment.yaml", "/../deployment.yaml", "/%2e%2e/deployment.yaml", "/..%2fdeployment.yaml", "/%2e%2e%2f%2e%2e%2fkey",
    "/inner/../../roles.py", "/....//roles.py", "/%252e%252e/roles.py", "/%c0%ae%c0%ae/roles.py", "/..\\roles.py", "/..%5croles.py",
    "//etc/passwd", "/%2fetc/passwd", "/etc/passwd", "/file:///etc/passwd", "/wall.html%00.png", "/.hidden", "/.git/config",
    "/inner/%2e%2e/.hidden", "/roles.py", "/out.html", "/up/roles.py", "/up/deployment.yaml", "/media/notes.txt", "/media/key.png",
    "/media/../roles.py", "/media/%2e%2e/roles.py", "/models/poet.gguf", "/media//../fallback/lines.txt",
    "/roomful/../../../roles.py", "/roomful/%2e%2e/server.py", "/roomful/fallback/text", "/roomful/fallback/text/lines.txt",
    "/roomful/fallback/../server.py", "/" + "a/" * 2000 + "x", "/" + "%41" * 10000, "/\ud7ff".encode().decode("latin-1"), "/*",
    "/~root/.ssh/id_rsa", "/proc/self/environ", "/state/page.json", "/.", "/..", "/./../key", "/;/../roles.py",
    "/wall.html/../../roles.py",
]


@pytest.mark.parametrize("path", ELSEWHERE)
def test_it_reaches_no_other_file_by_any_spelling_nor_by_a_link(page: Any, path: str) -> None:
    answer = ask(page[2], path)
    assert SECRET.encode() not in answer and b"root:" not in answer and b"import" not in answer.split(b"\r\n\r\n", 1)[-1]
    assert status(answer) in (0, 200, 400, 404, 413, 414, 431)
    if status(answer) == 200:
        assert b"shown" in answer  # another spelling of the page itself
    assert status(ask(page[2], "/")) == 200, "the page is there as before"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get", "X" * 200])
def test_it_can_change_nothing_by_any_method(page: Any, method: str) -> None:
    before = sorted(path for path in page[0].folder.rglob("*"))
    assert status(ask(page[2], "/wall.html", method)) in (0, 400, 404, 405, 501)
    assert sorted(path for path in page[0].folder.rglob("*")) == before
    assert (page[0].folder / "pages" / "wall.html").read_text() == "<p>shown</p>"


def test_a_name_of_the_internet_that_leads_here_is_shown_nothing(page: Any) -> None:
    for host in ("evil.example.com", "192.168.1.5.evil.example.com", "evil.example.com:8080", ""):
        assert b"shown" not in ask(page[2], "/", host=host)


ORIGINS = ["http://evil.example.com", "null", "http://192.168.1.99:8080", "https://192.168.1.5", "file://", "http://localhost"]


@pytest.mark.parametrize("origin", ORIGINS)
def test_a_page_of_elsewhere_gets_no_line_to_the_room(page: Any, origin: str) -> None:
    with pytest.raises((InvalidStatus, WebSocketException, OSError)):
        connect(f"ws://127.0.0.1:{page[2]}/roomful", origin=origin, open_timeout=5)  # type: ignore[arg-type]


def test_what_is_refused_is_counted_by_its_reason(page: Any) -> None:
    role, stage, port = page
    # Given a page that has refused nothing
    role.tick()
    before = dict(stage.facts["refused"])
    # When somebody says what is no HTTP, and pages of elsewhere ask for the page and for its line
    raw(port, b"\x16\x03\x01\x02\x00\x01\x00 hello\r\n\r\n")
    ask(port, "/", host="evil.example.com")
    with contextlib.suppress(InvalidStatus, WebSocketException, OSError):
        connect(f"ws://127.0.0.1:{port}/roomful", origin="http://evil.example.com", open_timeout=5)  # type: ignore[arg-type]
    # Then each is counted, and nothing else
    role.tick()
    after = stage.facts["refused"]
    assert {reason: after[reason] - before[reason] for reason in after if after[reason] != before[reason]} == {"broken": 1, "elsewhere": 2}


def test_it_hears_what_is_shown_and_whatever_it_says_changes_nothing(page: Any) -> None:
    role, stage, port = page
    room = f"ws://127.0.0.1:{port}/roomful"
    with connect(room, open_timeout=5) as phone, connect(room, open_timeout=5) as other:
        # When a phone says all that it can think of: commands, numbers, nonsense
        for word in ("", "{}", "[]", "n", '{"kind": "say", "stream": "line", "text": "x"}', '{"kind": "clock", "asked": "x"}', "\0" * 100,
                     "[" * 5000, '{"kind": "clock", "asked": 1e999}', '{"kind":"order","verb":"down"}', '{"kind": "clock", "asked": 5}'):
            phone.send(word)
        until(lambda: json.loads(phone.recv(5)).get("kind") == "clock", what="the one thing it may ask: the time")
        # Then the others hear what the room shows, and nothing of the phone
        role.on_frame("line", Frame("a sentence", "poet.line", 1, request="r:1"))
        heard = [json.loads(other.recv(5))]
        while "a sentence" not in json.dumps(heard):
            heard.append(json.loads(other.recv(5)))
        assert "order" not in json.dumps(heard) and '"x"' not in json.dumps(heard)
    assert not [line for line in stage.said if "Traceback" in line]


def test_a_phone_that_says_too_much_or_too_much_at_once_is_shown_out(page: Any) -> None:
    _, _, port = page
    for words in (["x" * (MESSAGE_BYTES_MAX + 1)], ['{"kind": "clock", "asked": 1}'] * 5000, [b"\0\1"]):
        with connect(f"ws://127.0.0.1:{port}/roomful", open_timeout=5) as phone, pytest.raises((WebSocketException, OSError)):
            for word in words:
                phone.send(word)
            while True:
                phone.recv(5)
    assert status(ask(port, "/")) == 200


@pytest.mark.parametrize(("begin", "flood"), [
    (b"\x01\x80" + bytes(4), b"\x00\x80" + bytes(4)),  # a text that never ends, in pieces of nothing
    (b"", b"\x89\xfd" + bytes(4) + b"x" * 125),  # pings, whose answers are never read
    (b"", b"\x8a\xfd" + bytes(4) + b"x" * 125),  # pongs that nobody asked for
], ids=["pieces", "pings", "pongs"])  # fmt: skip
def test_a_line_takes_no_memory_for_what_is_never_whole_or_never_read(page: Any, begin: bytes, flood: bytes) -> None:
    # Given a phone on a line of its own making
    role, _, port = page
    with socket.create_connection(("127.0.0.1", port), 10.0, source_address=("127.0.0.6", 0)) as line:
        line.sendall(b"GET /roomful HTTP/1.1\r\nHost: a:1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n")
        assert b"101" in line.recv(12)
        # When it says so, for as long as it is let, and never reads
        said = 0
        with contextlib.suppress(ConnectionError):
            line.sendall(begin)
            while said < 50_000_000:
                said += line.send(flood * 500)
    # Then that is not for long, and it is counted
    assert said < 20_000_000
    until(lambda: role._server.keeper.refused["often"] >= 1, what="that it is counted")


def test_phones_that_never_finish_their_call_are_hung_up_on_and_keep_nobody_out(page: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given far more half-made calls than there are places, from many addresses, and a screen on this machine
    role, _, port = page
    monkeypatch.setattr(door, "is_here", lambda address: address == "127.0.0.1")
    role._server.keeper.bounds = replace(BOUNDS, patience_s=4.0)  # all have called by then, also on a busy machine
    lines = []
    for number in range(BOUNDS.connections + 60):
        line = socket.create_connection(("127.0.0.1", port), 5, source_address=(f"127.0.1.{1 + number // 10}", 0))
        line.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        lines.append(line)
    # Then the screen is served meanwhile, and they are gone after their time, however they dribble
    assert status(raw(port, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", source="127.0.0.1")) == 200
    until_s = time.monotonic() + 30.0
    while lines and time.monotonic() < until_s:
        threading.Event().wait(0.05)
        for line in list(lines):
            try:
                line.sendall(b"a")
            except OSError:
                lines.remove(line)
    assert not lines
    assert role._server.keeper.refused["slow"] >= BOUNDS.connections and role._server.keeper.refused["full"] >= 50
    assert status(ask(port, "/")) == 200


def test_one_address_has_its_share_of_places_and_questions_and_no_more(page: Any) -> None:
    role, stage, port = page
    role._server.keeper._asking = door.Allowances(0.1, 20.0)
    held = [socket.create_connection(("127.0.0.1", port), 5, source_address=("127.0.2.1", 0)) for _ in range(BOUNDS.of_one + 20)]
    until(lambda: role._server.keeper.refused["full"] >= 20, what="those above its share")
    assert status(ask(port, "/")) == 200, "another address is served"
    for line in held:
        line.close()
    with httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.2.2")) as client:
        codes = [client.get(f"http://127.0.0.1:{port}/roomful.js").status_code for _ in range(40)]
    assert 429 in codes and codes[0] == 200
    assert status(ask(port, "/")) == 200
    role.tick()
    assert stage.facts["refused"]["often"] > 0 and stage.facts["refused"]["full"] >= 20


def test_a_phone_cannot_pretend_to_be_the_screen_that_draws_nor_take_its_place(page: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    role, _, port = page
    # Given that this test's addresses but one count as other machines'
    monkeypatch.setattr("roles.display.server.is_here", lambda address: address == "127.0.0.1")
    monkeypatch.setattr("roles.display.audience.is_here", lambda address: address == "127.0.0.1")
    answer = raw(port, b"GET /roomful/drawn?frames=60 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", source="127.0.3.9")
    assert status(answer) == 204 and role._server.drawn_s is None
    # When one phone opens as many lines as it likes
    phones: list[Any] = []
    leaving, room = contextlib.ExitStack(), f"ws://127.0.0.1:{port}/roomful"
    with contextlib.suppress(WebSocketException, OSError):
        while len(phones) < OF_ONE_MAX + 5:
            phones.append(leaving.enter_context(connect(room, open_timeout=5, source_address=("127.0.3.9", 0))))
    # Then it has its share, and the screen still finds a place, and is believed
    assert len(phones) == OF_ONE_MAX
    with connect(f"ws://127.0.0.1:{port}/roomful", open_timeout=5) as screen:
        assert json.loads(screen.recv(5))
        raw(port, b"GET /roomful/drawn?frames=60 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", source="127.0.0.1")
        assert role._server.drawn_s is not None
    leaving.close()


def test_the_readme_has_the_table() -> None:
    text = (ROOT / "README.md").read_text()
    for line in ("a visitor's phone", "no other file", "429", "Origin"):
        assert line in text
