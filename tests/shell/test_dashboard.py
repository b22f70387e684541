"""The dashboard's port over real HTTP: what a stranger, who looks, and who orders can do there, and how much of it."""

from __future__ import annotations

import hmac
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
import uvicorn

from mesh.errors import NoRoomError, RoomfulError
from mesh.shell.dashboard import server, watching
from mesh.shell.dashboard.doors import GUESSES_AT_ONCE, NONCE_S, Doors
from mesh.shell.dashboard.orders import BYTES_MAX
from mesh.shell.dashboard.server import BOUNDS, Dashboard
from mesh.shell.dashboard.words import FILE, Words, load_or_make, spelled
from tests.roles.stage import until
from tests.roles.test_visitors_phone import raw

SAID = {
    "installation": "whispering-room", "order": "up", "revision": [3, "6e3574cea6"], "alarms": [],
    "machines": {
        "door": {"health": "alive", "why": "", "roles": ["eye", "mood (standby)"], "drained": False},
        "shelf": {"health": "dead", "why": "it fell silent: power, cable, or a crash", "roles": []},
    },
    "roles": {
        "eye": {"machine": "door", "state": "playing", "why": "", "standby": [], "restarts": 0},
        "poet": {"machine": None, "state": "unplaced", "why": "no machine has room for its model", "standby": []},
    },
}


class Room:
    """A door behind which a room answers, as `mesh.shell.finding.Door` does; it notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.gone = False

    def ask(self, verb: str, arguments: dict[str, Any] | None = None, *, timeout_s: float = 3.0) -> Any:
        self.asked.append((verb, arguments or {}))
        if self.gone:
            raise NoRoomError("nothing listens there")
        return {"status": SAID, "events": [{"event": "node_dead", "name": "shelf", "silent_ms": 450, "age_s": 30.0}],
                "order": {}, "restore": {"to": "door"}}[verb]

    def at(self, machine: dict[str, Any]) -> Room:
        return self

    def reports(self, said: dict[str, Any]) -> dict[str, dict[str, Any]]:
        return {}

    def orders(self) -> list[dict[str, Any]]:
        return [arguments for verb, arguments in self.asked if verb in ("order", "restore")]


class Served:
    """A dashboard on a port of this machine, and who asks there."""

    def __init__(self, words: Words) -> None:
        self.words, self.room, self.told = words, Room(), list[str]()
        self.dashboard = Dashboard(self.room, words, self.told.append)  # type: ignore[arg-type]
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.server = uvicorn.Server(self.dashboard.settings())
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.listener]}, daemon=True)
        self.thread.start()
        until(lambda: self.server.started)
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=20)

    def end(self) -> None:
        self.http.close()
        self.server.should_exit = True
        self.thread.join(20)
        self.listener.close()

    def nonce(self) -> str:
        return str(self.http.get("/nonce").json()["nonce"])

    def asks(self, path: str, word: str, body: str = "", *, nonce: str | None = None, **headers: str) -> httpx.Response:
        shown = proof(word, nonce or self.nonce(), path, body)
        return self.http.post(path, content=body, headers={"Roomful-Proof": shown, **headers})

    def orders(self, word: str, verb: str, of: str = "") -> httpx.Response:
        return self.asks("/order", word, json.dumps({"verb": verb, "of": of} if of else {"verb": verb}))

    def looks(self, word: str) -> Iterator[dict[str, Any]]:
        with self.http.stream("POST", "/live", headers={"Roomful-Proof": proof(word, self.nonce(), "/live", "")}) as answer:
            for line in answer.iter_lines():
                yield json.loads(line)

    def raw(self, words: bytes, source: str = "127.0.0.9") -> bytes:
        return raw(self.port, words, source=source, patience_s=10.0)


def proof(word: str, nonce: str, path: str, body: str) -> str:
    return nonce + ":" + hmac.new(word.encode(), "\n".join([nonce, "POST", path, body]).encode(), "sha256").hexdigest()


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr(watching, "LOOK_S", 0.05)
    there = Served(load_or_make(tmp_path)[0])
    yield there
    there.end()


# ---- the words


def test_the_word_is_made_once_kept_for_its_owner_alone_and_the_one_that_lets_look_does_not_betray_it(tmp_path: Path) -> None:
    first, made = load_or_make(tmp_path / "home")
    again, made_again = load_or_make(tmp_path / "home")
    assert made and not made_again and first == again
    assert (tmp_path / "home" / FILE).stat().st_mode & 0o777 == 0o600
    assert len(first.operator) == len(first.look) == 32 and first.operator != first.look
    assert spelled(first.look).replace("-", "") == first.look
    # When another is made, then both are others
    other, _ = load_or_make(tmp_path / "home", anew=True)
    assert not {other.operator, other.look} & {first.operator, first.look}
    assert [path.name for path in (tmp_path / "home").iterdir()] == [FILE]


def test_a_file_that_holds_no_word_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("hello")
    with pytest.raises(RoomfulError, match="does not hold"):
        load_or_make(tmp_path)


# ---- strangers


def test_a_stranger_gets_a_page_that_asks_for_a_word_and_learns_nothing_of_the_room(served: Served) -> None:
    for path in ("/", "/dashboard.js", "/drawing.js", "/proof.js", "/dashboard.css", "/nonce"):
        answer = served.http.get(path)
        assert answer.status_code == 200
        assert "default-src 'none'" in answer.headers["content-security-policy"] and answer.headers["x-frame-options"] == "DENY"
        assert "whispering" not in answer.text and "shelf" not in answer.text and "set-cookie" not in answer.headers
        assert not re.search(r"[\"'(]\s*(https?:)?//", answer.text), "nothing from outside is asked for"
    assert served.room.asked == [], "nobody looks, so the room is not even asked"


ELSEWHERE = ["/../server.py", "/%2e%2e/server.py", "/page/index.html", "/index.html/../../words.py", "/dashboard-word", "//",
             "/.git/config", "/\0", "/" + "a" * 9000, "/live", "/order", "/docs", "/openapi.json"]  # fmt: skip


@pytest.mark.parametrize("path", ELSEWHERE)
def test_there_is_no_other_file(served: Served, path: str) -> None:
    answer = served.raw(f"GET {path} HTTP/1.1\r\nHost: 192.168.1.5\r\nConnection: close\r\n\r\n".encode())
    assert answer == b"" or int(answer.split(b" ", 2)[1]) in (400, 404, 405, 414, 431)
    assert b"import" not in answer and served.words.look.encode() not in answer


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "GET"])
def test_no_other_method_orders_anything(served: Served, method: str) -> None:
    served.raw(f"{method} /order HTTP/1.1\r\nHost: x\r\nContent-Length: 15\r\nConnection: close\r\n\r\n{{\"verb\":\"down\"}}".encode())
    assert served.room.orders() == []


def test_without_the_word_nothing_is_shown_or_done(served: Served) -> None:
    nonce = served.nonce()
    wrong = ["", "x", nonce, f"{nonce}:{'0' * 64}", proof("a" * 32, nonce, "/order", '{"verb":"down"}'), "1.0.0:" + "0" * 64]
    for each in wrong[:5]:
        answer = served.http.post("/order", content='{"verb":"down"}', headers={"Roomful-Proof": each})
        assert answer.status_code == 403 and "whispering" not in answer.text
    assert served.room.asked == []


def test_who_guesses_has_to_wait_and_keeps_out_only_himself(served: Served) -> None:
    question = b"POST /live HTTP/1.1\r\nHost: x\r\nRoomful-Proof: guess\r\nConnection: close\r\n\r\n"
    codes = [int(served.raw(question, "127.0.0.7").split(b" ", 2)[1]) for _ in range(int(GUESSES_AT_ONCE) + 6)]
    assert codes[: int(GUESSES_AT_ONCE)] == [403] * int(GUESSES_AT_ONCE) and codes[-1] == 429
    assert served.dashboard.doors.refused["often"] >= 1
    assert next(served.looks(served.words.look))["may"] == "look"


def test_a_guesser_is_not_even_let_in_with_the_right_word_until_he_has_waited() -> None:
    now = [100.0]
    words = Words("o" * 32, "l" * 32)
    doors = Doors(words, lambda: now[0])

    def tries(word: str) -> str | None:
        return doors.admit(proof(word, doors.nonce(), "/live", ""), "POST", "/live", b"", "10.0.0.9")

    for _ in range(int(GUESSES_AT_ONCE)):
        assert tries("wrong") is None
    assert tries(words.look) is None and doors.too_often("10.0.0.9")
    assert doors.admit(proof(words.look, doors.nonce(), "/live", ""), "POST", "/live", b"", "10.0.0.8") == "look"
    now[0] += 11.0
    assert tries(words.look) == "look"


# ---- proofs


def test_a_proof_is_good_once_for_what_it_was_made_and_for_a_minute() -> None:
    now = [100.0]
    words = Words("o" * 32, "l" * 32)
    doors = Doors(words, lambda: now[0])

    def shown(nonce: str, path: str = "/order", body: str = "{}") -> str | None:
        return doors.admit(proof(words.operator, nonce, "/order", "{}"), "POST", path, body.encode(), f"10.0.0.{len(tried)}")

    tried: list[str | None] = []
    nonce = doors.nonce()
    tried.append(shown(nonce, path="/live"))
    tried.append(shown(nonce, body='{"verb": "down"}'))
    assert tried == [None, None], "for another path or another order it is worth nothing"
    assert shown(nonce) == "order"
    tried.append(None)
    assert shown(nonce) is None, "said again"
    old = doors.nonce()
    now[0] += NONCE_S + 2
    tried.append(None)
    assert shown(old) is None, "too late"
    tried.append(None)
    assert shown(Doors(words).nonce()) is None, "another server's"


def test_an_order_that_was_overheard_cannot_be_given_again_nor_changed(served: Served) -> None:
    nonce, body = served.nonce(), '{"verb": "drain", "of": "door"}'
    overheard = {"Roomful-Proof": proof(served.words.operator, nonce, "/order", body)}
    assert served.http.post("/order", content=body, headers=overheard).status_code == 200
    assert served.http.post("/order", content=body, headers=overheard).status_code == 403
    assert served.http.post("/order", content='{"verb": "down"}', headers=overheard).status_code == 403
    assert served.room.orders() == [{"verb": "drain"}]


# ---- looking and ordering


def test_who_looks_sees_what_is_wrong_first_and_may_not_order(served: Served) -> None:
    lines = served.looks(served.words.look)
    assert next(lines)["may"] == "look"
    shown = next(line for line in lines if "machines" in line)
    assert [each["about"] for each in shown["troubles"]] == ["shelf", "poet"]
    assert shown["machines"][0]["plays"] == ["eye"] and shown["machines"][0]["stands_by"] == ["mood"]
    assert "shelf is gone" in shown["events"][0]["words"] and shown["events"][0]["bad"]
    refused = served.orders(served.words.look, "down")
    assert refused.status_code == 403 and "operator" in refused.json()["fault"] and served.room.orders() == []


def test_the_operator_orders_what_the_command_line_does(served: Served) -> None:
    word = served.words.operator
    for verb, of in (("down", ""), ("up", ""), ("drain", "door"), ("undrain", "door"), ("restore-role", "eye")):
        assert served.orders(word, verb, of).status_code == 200
    assert served.room.orders() == [{"verb": "down"}, {"verb": "up"}, {"verb": "drain"}, {"verb": "undrain"}, {"instance": "eye"}]
    assert any("drain door" in line for line in served.told)


@pytest.mark.parametrize(("body", "why"), [
    ('{"verb": "drain", "of": "shelf"}', "not here"), ('{"verb": "drain", "of": "nobody"}', "not here"),
    ('{"verb": "drain"}', "needs a name"), ('{"verb": "down", "of": "door"}', "no name"),
    ('{"verb": "restore-role", "of": "poet"}', "does not play"), ('{"verb": "revoke", "of": "door"}', "no such"),
    ("[]", "no order"), ("{", "no order"), ("[" * 900, "no order"), ('{"verb": 1}', "no such"), ('{"verb": "up", "x": 1}', "no order"),
])  # fmt: skip
def test_what_cannot_be_ordered_is_said_in_words(served: Served, body: str, why: str) -> None:
    answer = served.asks("/order", served.words.operator, body)
    assert answer.status_code == 409 and why in answer.json()["fault"]
    assert served.room.orders() == []


def test_a_room_that_does_not_answer_is_said_to_be_lost_and_found_again(served: Served) -> None:
    lines = served.looks(served.words.look)
    next(line for line in lines if "machines" in line)
    served.room.gone = True
    assert "nothing listens" in next(line for line in lines if "lost" in line)["lost"]
    served.room.gone = False
    assert next(line for line in lines if "machines" in line)


def test_the_room_is_asked_while_somebody_looks_and_not_after(served: Served) -> None:
    lines = served.looks(served.words.look)
    next(line for line in lines if "machines" in line)
    lines.close()  # type: ignore[attr-defined]
    until(lambda: served.dashboard._lookers == 0)
    until(lambda: not served.dashboard._watching._wanted.is_set())


# ---- pages of elsewhere, and too much of anything


@pytest.mark.parametrize("headers", [
    {"Host": "evil.example.com"}, {"Host": "192.168.1.5.evil.example.com:8090"}, {"Host": ""}, {"Origin": "http://evil.example.com"},
    {"Origin": "null"}, {"Origin": "https://127.0.0.1"},
])  # fmt: skip
def test_a_page_of_elsewhere_or_a_name_bent_to_here_gets_nothing_even_with_the_word(served: Served, headers: dict[str, str]) -> None:
    body = '{"verb": "down"}'
    answer = served.asks("/order", served.words.operator, body, **headers)
    assert answer.status_code in (400, 421) and served.room.orders() == []


def test_a_body_that_is_too_long_is_not_read_to_its_end(served: Served) -> None:
    answer = served.asks("/order", served.words.operator, " " * (BYTES_MAX + 1))
    assert answer.status_code == 413 and served.room.orders() == []
    endless = b"POST /order HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"400\r\n" + b"a" * 1024 + b"\r\n"
    assert b" 413 " in served.raw(endless + endless[-1031:])[:20]
    assert served.raw(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 300_000 + b"\r\n\r\n")[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 431", b"")
    assert served.http.get("/").status_code == 200


@pytest.mark.parametrize("begun", [b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ",
                                   b"POST /order HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n"])  # fmt: skip
def test_questions_that_are_never_finished_are_hung_up_on_and_keep_nobody_out(served: Served, begun: bytes) -> None:
    served.dashboard.keeper.bounds = replace(BOUNDS, patience_s=1.0)
    lines = []
    for number in range(BOUNDS.connections + 20):
        line = socket.create_connection(("127.0.0.1", served.port), 5, source_address=(f"127.0.1.{1 + number // 8}", 0))
        line.sendall(begun)
        lines.append(line)
    assert served.http.get("/").status_code == 200, "this machine is served meanwhile"
    until_s = time.monotonic() + 20
    while lines and time.monotonic() < until_s:
        for line in list(lines):
            try:
                line.sendall(b"a")
            except OSError:
                lines.remove(line)
    assert not lines and served.dashboard.keeper.refused["slow"] > 0


def test_one_address_has_its_share_of_places_and_questions(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    held = [socket.create_connection(("127.0.0.1", served.port), 5, source_address=("127.0.2.1", 0)) for _ in range(BOUNDS.of_one + 5)]
    until(lambda: served.dashboard.keeper.refused["full"] >= 5)
    for line in held:
        line.close()
    with httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.2.2")) as client:
        codes = [client.get(f"http://127.0.0.1:{served.port}/nonce").status_code for _ in range(int(BOUNDS.asked_at_once) + 60)]
    assert 429 in codes and codes[0] == 200
    assert served.http.get("/nonce").status_code == 200


def test_only_so_many_look_at_once_and_the_next_is_told_why(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "LOOKERS_MAX", 2)
    looking = [served.looks(served.words.look) for _ in range(2)]
    for lines in looking:
        next(lines)
    third = served.asks("/live", served.words.look)
    assert third.status_code == 503 and "look" in third.json()["fault"]
    for lines in looking:
        lines.close()  # type: ignore[attr-defined]


def test_whoever_does_not_read_is_given_up_and_what_waits_for_him_stays_small(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a room whose picture is large, and one who asks for it and never reads
    monkeypatch.setattr(server, "TAKEN_WITHIN_S", 0.5)
    monkeypatch.setattr(watching.Watching, "look", lambda self: json.dumps({"lost": "x" * 2_000_000}))
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    line.connect(("127.0.0.1", served.port))
    shown = proof(served.words.look, served.nonce(), "/live", "")
    line.sendall(f"POST /live HTTP/1.1\r\nHost: x\r\nRoomful-Proof: {shown}\r\nContent-Length: 0\r\n\r\n".encode())
    until(lambda: served.dashboard._lookers == 1)
    # Then its line ends, and others are served
    until(lambda: served.dashboard._lookers == 0)
    assert served.http.get("/nonce").status_code == 200
    line.close()
