"""The HTTP kind, called by curl and by callers that mean it no good."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mesh.errors import RoleError
from roles.sensing import http
from roles.sensing.http import CONNECTIONS_MAX, Http, meaning
from tests.ports import free_port
from tests.roles.stage import Recorder, put_on, until

TOKEN = "a-token-of-the-test"


def curl(port: int, *arguments: str, path: str = "/") -> tuple[int, str]:
    """The answer's status and body."""
    program = shutil.which("curl")
    assert program, "curl is missing: apt-get install curl"
    command = [program, "-sS", "--max-time", "10", "-w", "\n%{http_code}", *arguments, f"http://127.0.0.1:{port}{path}"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    body, _, status = said.rpartition("\n")
    return int(status), body


def opened(folder: Path, **options: Any) -> tuple[Any, Recorder, int]:
    port = free_port()
    role, stage = put_on(Http, folder, port=port, settings={"rehearsal": False}, **options)
    role.setup()
    return role, stage, port


@pytest.fixture
def door(tmp_path: Path) -> Iterator[tuple[Any, Recorder, int]]:
    role, stage, port = opened(tmp_path)
    yield role, stage, port
    role.teardown()


def heard(role: Any, stage: Recorder, count: int) -> list[Any]:
    def enough() -> bool:
        role.tick()
        return len(stage.values("post")) >= count

    until(enough, what=f"{count} posts")
    return stage.values("post")


def test_a_post_is_a_frame(door: tuple[Any, Recorder, int]) -> None:
    role, stage, port = door
    assert curl(port, "-d", '{"open": true}', "-H", "Content-Type: application/json", path="/door?x=1") == (204, "")
    assert curl(port, "-d", '{"open": 1}')[0] == 204
    assert curl(port, "-d", "name=Ada&colour=red", path="/form")[0] == 204
    assert curl(port, "--data-binary", "hällo", "-H", "Content-Type: text/plain")[0] == 204
    assert heard(role, stage, 4) == [
        {"path": "/door", "value": {"open": True}}, {"path": "/", "value": {"open": 1}},
        {"path": "/form", "value": {"name": "Ada", "colour": "red"}}, {"path": "/", "value": "hällo"},
    ]  # fmt: skip
    assert stage.woken.is_set() and stage.fault(86_400) == ""


def test_what_is_no_frame_is_answered_in_words_and_emits_nothing(door: tuple[Any, Recorder, int]) -> None:
    role, stage, port = door
    assert curl(port)[0] == 405
    status, why = curl(port, "-d", "{", "-H", "Content-Type: application/json")
    assert status == 400 and "not JSON" in why
    assert curl(port, "-d", '{"x": NaN}', "-H", "Content-Type: application/json")[0] == 400
    assert curl(port, "-d", "x" * 65_537) == (413, "65536 bytes are the most\n")
    assert curl(port, "-d", "x", "-H", "Transfer-Encoding: chunked")[0] == 411
    role.tick()
    assert stage.emitted == []


def test_beyond_loopback_a_token_is_asked_for_before_the_room_opens(tmp_path: Path) -> None:
    role, _ = put_on(Http, tmp_path, port=free_port(), listen="0.0.0.0", settings={"rehearsal": False})
    with pytest.raises(RoleError) as fault:
        role.setup()
    assert "token: " in fault.value.instead
    role.teardown()


def test_only_who_has_the_token_may_post(tmp_path: Path) -> None:
    role, stage, port = opened(tmp_path, listen="0.0.0.0", token=TOKEN)
    assert curl(port, "-d", "1")[0] == 401
    assert curl(port, "-d", "1", "-H", "Authorization: Bearer wrong")[0] == 401
    assert curl(port, "-d", "1", "-H", f"Authorization: Bearer {TOKEN}")[0] == 204
    assert len(heard(role, stage, 1)) == 1
    role.teardown()


@pytest.mark.parametrize("header", ["Origin: https://example.org", "Host: rebound.example.org", "Origin: null"])
def test_a_web_page_that_a_browser_shows_cannot_post(door: tuple[Any, Recorder, int], header: str) -> None:
    role, stage, port = door
    assert curl(port, "-d", "1", "-H", header)[0] == 403
    assert curl(port, "-d", "1", "-H", "Origin: http://localhost:8080")[0] == 204
    assert len(heard(role, stage, 1)) == 1


def test_more_frames_than_the_rate_allows_are_refused(tmp_path: Path) -> None:
    role, stage, port = opened(tmp_path, rate_max=0.001)
    assert [curl(port, "-d", "1")[0] for _ in range(3)] == [204, 429, 429]
    assert len(heard(role, stage, 1)) == 1
    role.teardown()


def test_callers_that_say_nothing_cannot_keep_others_out_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given as many callers as there is room for, who never finish their sentence
    monkeypatch.setattr(http, "PATIENCE_S", 0.5)
    role, stage, port = opened(tmp_path)
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(CONNECTIONS_MAX + 8)]
    for each in idle:
        each.sendall(b"POST / HTTP/1.1\r\nContent-Le")

    # When another one comes, then it is heard as soon as their time is over
    def let_in() -> bool:
        try:
            return curl(port, "-d", "1")[0] == 204
        except subprocess.CalledProcessError:
            return False

    until(let_in, what="a place")
    assert heard(role, stage, 1)
    for each in idle:
        each.close()
    role.teardown()


def test_a_caller_that_hangs_up_or_talks_nonsense_does_no_harm(door: tuple[Any, Recorder, int]) -> None:
    role, stage, port = door
    for words in (b"", b"\x00\xff" * 500 + b"\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\nshort", b"POST / HTTP/9.9\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", port)) as rude:
            rude.sendall(words)
    assert curl(port, "-d", "1")[0] == 204
    assert [each["value"] for each in heard(role, stage, 1)] == ["1"]


def test_in_a_rehearsal_it_listens_on_loopback_only_and_a_file_may_play(tmp_path: Path) -> None:
    (tmp_path / "posts.jsonl").write_text(json.dumps({"after_s": 0.01, "value": {"path": "/", "value": 7}}))
    port = free_port()
    role, stage = put_on(Http, tmp_path, port=port, listen="0.0.0.0", token=TOKEN, stand_in="posts.jsonl")
    role.setup()
    assert "http://127.0.0.1:" in stage.said[0]
    assert heard(role, stage, 2)[0] == {"path": "/", "value": 7}
    role.teardown()


def test_a_port_that_is_taken_is_named(tmp_path: Path, door: tuple[Any, Recorder, int]) -> None:
    role, _ = put_on(Http, tmp_path, port=door[2])
    with pytest.raises(RoleError, match=str(door[2])):
        role.setup()
    role.teardown()


def test_silence_is_a_fault_only_where_that_is_asked_for(tmp_path: Path) -> None:
    role, stage, port = opened(tmp_path, silent_s=0.2)
    until(lambda: (role.tick(), stage.word.faulty)[1], what="the fault")
    assert stage.word.faulty.startswith("HTTP has been silent for")
    curl(port, "-d", "1")
    heard(role, stage, 1)
    assert stage.word.faulty == ""
    role.teardown()


@pytest.mark.parametrize(("body", "sort", "value"), [
    (b"1", "application/json; charset=utf-8", 1), (b"a=1&b=", "application/x-www-form-urlencoded", {"a": "1", "b": ""}),
    (b"hi", "application/x-www-form-urlencoded", "hi"), (b"hi", "", "hi"), (b'{"a": 1}', "text/plain", '{"a": 1}'),
])  # fmt: skip
def test_what_a_body_means(body: bytes, sort: str, value: Any) -> None:
    assert meaning(body, sort) == value


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(ValueError, match="UTF-8"):
        meaning(b"\xff", "text/plain")
