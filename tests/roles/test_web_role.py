"""The web display over real sockets: what it serves, whom it lets in, and that nobody slows it down."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from mesh.errors import EngineMissingError, RoleError
from mesh.role import Frame
from roles.display.audience import OF_ONE_MAX, VISITORS_MAX, WAITING_MAX, Visitor, pack_picture
from roles.display.server import file_for, own_host, own_page
from roles.display.web import Web
from tests.roles.stage import Recorder, put_on, until


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A deployment with a page, and much that is nobody's business."""
    place = tmp_path / "piece"
    (place / "pages" / "type").mkdir(parents=True)
    (place / "models").mkdir()
    (place / "deployment.yaml").write_text("installation: secret")
    (place / "roles.py").write_text("code")
    (place / "models" / "poet.gguf").write_bytes(b"weights")
    (place / "alone.html").write_text("<p>alone</p>")
    (place / "pages" / "wall.html").write_text('<p data-stream="line"></p><script src="roomful.js"></script>')
    (place / "pages" / "wall.css").write_text("p { color: red }")
    (place / "pages" / "type" / "letters.woff2").write_bytes(b"type")
    (place / "pages" / ".hidden").write_text("hidden")
    (place / "pages" / "link.py").symlink_to(place / "roles.py")
    return place


@contextlib.contextmanager
def playing(folder: Path, **arguments: Any) -> Iterator[tuple[Any, Recorder, str]]:
    role, stage = put_on(Web, folder, **{"page": "pages/wall.html", "state_folder": folder.parent / "state", **arguments})
    role.setup()
    try:
        yield role, stage, stage.facts["page"]
    finally:
        role.teardown()


def listen(address: str, **arguments: Any) -> ClientConnection:
    return connect(address.replace("http", "ws") + "roomful", max_size=None, compression=None, **arguments)


def say(role: Any, text: str, request: str = "r:1", stream: str = "line") -> None:
    words = text.split(" ")
    for index, word in enumerate(words):
        role.on_frame(stream, Frame(word if index == 0 else " " + word, request=request, index=index, more=index < len(words) - 1))


def test_the_artist_s_page_and_what_lies_beside_it_are_served(folder: Path) -> None:
    with playing(folder) as (_, stage, address):
        assert "data-stream" in httpx.get(address).text
        styles = httpx.get(address + "wall.css")
        assert styles.headers["content-type"].startswith("text/css") and styles.headers["x-content-type-options"] == "nosniff"
        assert httpx.get(address + "type/letters.woff2").headers["content-type"] == "font/woff2"
        assert "globalThis.roomful" in httpx.get(address + "roomful.js").text
        assert any(address in line for line in stage.said)


@pytest.mark.parametrize(
    "path",
    [
        "deployment.yaml",
        "../deployment.yaml",
        "%2e%2e/deployment.yaml",
        "..%2fdeployment.yaml",
        "type/../../roles.py",
        "/etc/passwd",
        "//etc/passwd",
        "link.py",
        ".hidden",
        "type",
        "models/poet.gguf",
        "..\\roles.py",
        "%00",
        "roomful/../web.py",
        "roomful/%2e%2e/web.py",
        "a" * 3000,
    ],
)
def test_nothing_else_is_served_and_no_visitor_reads_an_error(folder: Path, path: str) -> None:
    with playing(folder) as (_, _, address):
        port = int(address.rstrip("/").rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port), 5) as line:  # a plain socket: a client would tidy the path
            line.sendall(f"GET /{path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
            answer = b"".join(iter(lambda: line.recv(65536), b"")).decode()
        head, _, body = answer.partition("\r\n\r\n")
        assert head.startswith("HTTP/1.1 404")
        assert "background:#000" in body and "rror" not in body and "Not" not in body


def test_a_page_beside_the_models_is_served_alone(folder: Path) -> None:
    page = folder / "alone.html"
    assert file_for("", page) == page and file_for("alone.html", page) == page
    assert file_for("roles.py", page) is None and file_for("models/poet.gguf", page) is None
    assert file_for("roomful.js", page)


def test_the_plain_page_is_whole(folder: Path) -> None:
    with playing(folder, page=None) as (_, _, address):
        for path in (
            "",
            "roomful.js",
            "roomful-offline.js",
            "roomful/page.css",
            "roomful/page.js",
            "roomful/type/eb-garamond.woff2",
            "roomful/type/OFL.txt",
        ):
            assert httpx.get(address + path).status_code == 200, path


def test_a_browser_gets_the_state_then_every_piece(folder: Path) -> None:
    with playing(folder) as (role, _, address):
        say(role, "before anyone came.")
        with listen(address) as line:
            state = json.loads(line.recv(timeout=5))
            assert state["kind"] == "state" and state["texts"]["line"][0]["text"] == "before anyone came."
            assert state["about"]["installation"] == "test"
            say(role, "and now this", "r:2")
            pieces = [json.loads(line.recv(timeout=5)) for _ in range(3)]
        assert [piece["piece"] for piece in pieces] == ["and", " now", " this"]
        assert [piece["more"] for piece in pieces] == [True, True, False]
        assert len({piece["key"] for piece in pieces}) == 1


def test_pictures_are_sent_as_jpeg_and_values_as_json(folder: Path) -> None:
    with playing(folder) as (role, _, address), listen(address) as line:
        line.recv(timeout=5)
        role.on_frame("image", Frame(np.full((36, 64, 3), (200, 30, 30), np.uint8)))
        packed = line.recv(timeout=5)
        assert isinstance(packed, bytes)
        (length,) = struct.unpack(">H", packed[:2])
        assert json.loads(packed[2 : 2 + length]) == {"stream": "image", "width": 64, "height": 36, "form": "jpeg"}
        assert packed[2 + length :].startswith(b"\xff\xd8")
        role.on_frame("people", Frame({"label": "few", "place": np.array([0.5, 0.25])}))
        assert json.loads(line.recv(timeout=5)) == {"kind": "value", "stream": "people", "value": {"label": "few", "place": [0.5, 0.25]}}
        role.on_frame("image", Frame(np.zeros((36, 64), np.uint8)))
        assert isinstance(line.recv(timeout=5), bytes)


def test_without_opencv_a_picture_goes_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cv2", None)
    packed = pack_picture("image", np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8), 85)
    (length,) = struct.unpack(">H", packed[:2])
    assert json.loads(packed[2 : 2 + length])["form"] == "rgba"
    assert list(packed[2 + length :]) == [1, 2, 3, 255, 4, 5, 6, 255]


def test_a_browser_that_does_not_read_slows_nobody(folder: Path) -> None:
    with (
        playing(folder) as (role, _, address),
        listen(address, max_queue=1, close_timeout=0.5) as stuck,
        listen(address, close_timeout=0.5) as quick,
    ):
        quick.recv(timeout=5)
        stuck.recv(timeout=5)
        noise = np.random.default_rng(1).integers(0, 255, (720, 1280, 3), dtype=np.uint8)
        longest_s = 0.0
        for number in range(60):
            began = time.perf_counter()
            role.on_frame("image", Frame(noise + np.uint8(number)))
            say(role, "words that go on for a while", f"r:{number}")
            longest_s = max(longest_s, time.perf_counter() - began)
        assert longest_s < 0.5
        until(lambda: '"r:59"' in str(quick.recv(timeout=10)), within_s=20, what="the last words at the quick browser")


def test_a_browser_that_fell_behind_is_given_the_state_instead() -> None:
    visitor = Visitor(lambda: {"kind": "state", "texts": {}})
    messages = visitor.messages()

    def following() -> dict[str, Any]:
        with pytest.raises(StopIteration) as given:  # a coroutine that never waits gives its value at its first step
            messages.__anext__().send(None)
        return json.loads(given.value.value)

    assert following()["kind"] == "state"
    visitor.tell('{"kind": "text", "piece": "one"}')
    assert following()["piece"] == "one"
    for number in range(WAITING_MAX + 50):
        visitor.tell(json.dumps({"kind": "text", "piece": str(number)}))
    assert following()["kind"] == "state"
    visitor.show("image", "old")
    visitor.show("image", '{"newest": 1}')
    assert following() == {"newest": 1}


def test_a_page_of_elsewhere_is_not_let_in(folder: Path) -> None:
    with playing(folder) as (_, _, address):
        host = address.removeprefix("http://").rstrip("/")
        with listen(address, origin=f"http://{host}") as line:
            assert line.recv(timeout=5)
        for origin in ("http://elsewhere.example", "http://127.0.0.1:1", "null", f"http://{host}.example"):
            with pytest.raises(InvalidStatus), listen(address, origin=origin):
                pass


def test_a_public_name_that_leads_here_sees_nothing(folder: Path) -> None:
    with playing(folder) as (_, _, address):
        answer = httpx.get(address, headers={"host": "rebound.example:8080"})
        assert answer.status_code == 404 and "data-stream" not in answer.text
    assert all(own_host(host) for host in ("127.0.0.1:8080", "192.168.1.7", "[::1]:8080", "::1", "localhost:3", "wall", "wall.local:8080"))
    assert not any(own_host(host) for host in ("", ":8080", "evil.example", "10.0.0.1.evil.example:80", "local"[:0]))
    assert not own_page({"host": "evil.example", "origin": "http://evil.example"})


def test_a_crowd_is_bounded_and_a_place_that_gets_free_is_given_again(folder: Path) -> None:
    with playing(folder) as (_, _, address), contextlib.ExitStack() as crowd:

        def entered() -> bool:
            try:
                with listen(address):
                    return True
            except InvalidStatus:
                return False

        for _ in range(VISITORS_MAX + OF_ONE_MAX - 1):  # this machine has places of its own beside the others'
            crowd.enter_context(listen(address))
        with listen(address):
            assert not entered()

        until(entered, what="a free place")


@pytest.mark.parametrize("sent", ["", "x" * 10_000, "{}", b"\x00\xff", "y" * 200_000])
def test_what_a_browser_sends_harms_nobody(folder: Path, sent: str | bytes) -> None:
    with playing(folder) as (role, _, address):
        with listen(address) as rude, contextlib.suppress(Exception):
            rude.send(sent)
            rude.recv(timeout=1)
        with listen(address) as line:
            assert json.loads(line.recv(timeout=5))["kind"] == "state"
        assert role.tick() > 0


def test_a_restarted_display_has_its_port_and_its_last_words(folder: Path) -> None:
    with playing(folder) as (role, _, address):
        say(role, "what was said.")
        with listen(address) as line:
            until(lambda: "what was said." in str(json.loads(line.recv(timeout=5)).get("texts", "")), what="the words")
    with playing(folder) as (_, _, again), listen(again) as line:
        assert again == address
        assert [saying["text"] for saying in json.loads(line.recv(timeout=5))["texts"]["line"]] == ["what was said."]


def test_a_broken_memory_or_a_full_disk_keeps_no_page_dark(folder: Path) -> None:
    state = folder.parent / "state"
    state.mkdir()
    (state / "shown.json").write_text("{broken")
    (state / "port.json").write_text('"many"')
    with playing(folder) as (_, _, address):
        assert httpx.get(address).status_code == 200
    with playing(folder, state_folder=Path("/proc/nowhere")) as (role, _, address):
        say(role, "still here.")
        with listen(address) as line:
            assert json.loads(line.recv(timeout=5))["kind"] == "state"


def test_silence_brings_the_fallback_to_the_page(folder: Path) -> None:
    with playing(folder, fallback=("Stay a little.",), quiet=0.5) as (_, _, address), listen(address) as line:
        until(lambda: "Stay a little." in str(line.recv(timeout=5)), what="the fallback")


def test_a_taken_port_is_said_and_without_one_the_next_is_used(folder: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(RoleError) as fault, playing(folder, port=other.getsockname()[1]):
            pass
        assert "option port" in fault.value.where
    quiet = {"rehearsal": False}
    with playing(folder, host="127.0.0.1", settings=quiet) as (_, _, one):
        with playing(folder, host="127.0.0.1", settings=quiet, state_folder=None) as (_, _, two):
            assert one != two
            assert all(8080 <= int(address.rstrip("/").rsplit(":", 1)[1]) < 8100 for address in (one, two))


@pytest.mark.parametrize("page", ["missing.html", "../outside.html", "pages"])
def test_a_page_that_is_not_there_is_refused(folder: Path, page: str) -> None:
    (folder.parent / "outside.html").write_text("outside")
    with pytest.raises(RoleError) as fault, playing(folder, page=page):
        pass
    assert "option page" in fault.value.where


def test_without_a_server_the_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "uvicorn", None)
    with pytest.raises(EngineMissingError) as fault, playing(folder):
        pass
    assert "roomful[web]" in fault.value.instead


def test_what_the_page_names_in_vain_and_a_page_that_is_gone_are_said(folder: Path) -> None:
    (folder / "pages" / "wall.html").write_text('<img src="night.png"><link href="wall.css">')
    with playing(folder) as (role, stage, _):
        assert stage.facts["files_missing"] == ["night.png"] and any("night.png" in said for said in stage.said)
        (folder / "pages" / "wall.html").unlink()
        role.tick()
        role.tick()
        assert stage.facts["files_missing"] == ["pages/wall.html"]
        assert sum("is gone from the folder" in said for said in stage.said) == 1
