"""OSC out, heard by liblo's oscdump: the receiver that people use to see what comes."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mesh.errors import EngineMissingError, RoleError
from mesh.role import Frame
from roles.display.osc import Osc
from tests.ports import free_port
from tests.roles.stage import Recorder, put_on, until


class Dump:
    """A running oscdump and what it printed: [[path, types, arguments…]]."""

    def __init__(self, port: int) -> None:
        program = shutil.which("oscdump")
        assert program, "oscdump is missing: apt-get install liblo-tools"
        self.lines: list[str] = []
        command = ["stdbuf", "-oL", program, "-L", str(port)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        until(lambda: _taken(port), what="oscdump")

    def _read(self) -> None:
        assert self._process.stdout
        self.lines.extend(iter(self._process.stdout.readline, ""))

    def heard(self) -> list[str]:
        """What came, without the time that stands before each line."""
        return [line.strip().split(" ", 1)[1] for line in list(self.lines) if " /" in line]

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(10)
        self._thread.join(10)
        assert self._process.stdout
        self._process.stdout.close()


def _taken(port: int) -> bool:
    """Whether somebody listens at this UDP port; asked of the system, because trying it would be in the listener's way."""
    tables = [Path(f"/proc/net/{table}").read_text() for table in ("udp", "udp6")]
    return any(line.split()[1].endswith(f":{port:04X}") for table in tables for line in table.splitlines()[1:])


@contextmanager
def sending(tmp_path: Any, **options: Any) -> Iterator[tuple[Any, Recorder]]:
    role, stage = put_on(Osc, tmp_path, name="lamp", **options)
    role.setup()
    try:
        yield role, stage
    finally:
        role.teardown()


@pytest.fixture
def dump() -> Iterator[tuple[Dump, int]]:
    port = free_port(socket.SOCK_DGRAM)
    heard = Dump(port)
    yield heard, port
    heard.close()


def test_each_sort_of_frame_is_heard_as_what_it_is(tmp_path: Any, dump: tuple[Dump, int]) -> None:
    heard, port = dump
    with sending(tmp_path, port=port, addresses={"line": "/wall/text"}) as (role, stage):
        for index, piece in enumerate(("Nobody", " is here.")):
            role.on_frame("line", Frame(piece, request="r:1", index=index, more=index == 0))
        role.on_frame("level", Frame(0.25))
        role.on_frame("count", Frame(7))
        role.on_frame("knock", Frame(None))
        role.on_frame("on", Frame(True))
        role.on_frame("place", Frame([1, 2.5, "left"]))
        role.on_frame("mood", Frame(np.array([[0.5, -1.0]], np.float32)))
        role.on_frame("people", Frame({"label": "few", "score": 0.5, "place": {"x": 1}}))
        until(lambda: len(heard.heard()) >= 10, what="ten messages")
        role.tick()
        assert stage.fault() == ""
    assert heard.heard() == [
        '/wall/text s "Nobody is here."', "/level f 0.250000", "/count i 7", "/knock", "/on T #T", '/place ifs 1 2.500000 "left"',
        "/mood ff 0.500000 -1.000000", '/people/label s "few"', "/people/score f 0.500000", "/people/place/x i 1",
    ]  # fmt: skip


def test_pieces_and_one_message_for_an_event_where_that_is_wanted(tmp_path: Any, dump: tuple[Dump, int]) -> None:
    heard, port = dump
    with sending(tmp_path, port=port, pieces=True, fields=False, address="/{role}/{stream}") as (role, _):
        role.on_frame("line", Frame("Nobody", request="r:1", more=True))
        role.on_frame("line", Frame(" here", request="r:1", index=1))
        role.on_frame("a b*", Frame({"x": 1, "y": 2.0}))
        until(lambda: len(heard.heard()) >= 3, what="three messages")
    assert heard.heard() == ['/lamp/line s "Nobody"', '/lamp/line s " here"', "/lamp/a_b_ if 1 2.000000"]


def test_the_last_values_are_said_again_and_the_fallback_when_nothing_comes(tmp_path: Any, dump: tuple[Dump, int]) -> None:
    heard, port = dump
    with sending(tmp_path, port=port, repeat=0.05, quiet=0.3, fallback=("Still here.",)) as (role, _):
        role.on_frame("level", Frame(0.5))
        until(lambda: role.tick() and heard.heard().count("/level f 0.500000") >= 3, what="a repetition")
        until(lambda: role.tick() and '/line s "Still here."' in heard.heard(), what="the fallback")


def test_nobody_at_the_other_end_is_said_once_and_its_return_too(tmp_path: Any, monkeypatch: Any) -> None:
    port = free_port(socket.SOCK_DGRAM)
    monkeypatch.setattr("roles.display.osc.UNHEARD_S", 0.2)
    with sending(tmp_path, port=port, repeat=0.05) as (role, stage):
        role.on_frame("level", Frame(0.5))
        until(lambda: role.tick() and stage.facts.get("receiver") == "nobody listens", what="the absence")
        heard = Dump(port)
        until(lambda: role.tick() and stage.facts["receiver"] == "listens", what="the return")
        heard.close()
    told = [line for line in stage.said if "nobody listens" in line]
    assert told == [f"nobody listens at 127.0.0.1 port {port}: start the program there, or open that port in its firewall"]
    assert stage.fault() == ""


def test_what_osc_cannot_carry_is_said_and_left_out(tmp_path: Any) -> None:
    with sending(tmp_path, port=free_port(socket.SOCK_DGRAM)) as (role, stage):
        for _ in range(3):
            role.on_frame("image", Frame(np.zeros((4, 4, 3), np.uint8)))
            role.on_frame("line", Frame("x" * 70_000, request=None, number=_))
        assert len([line for line in stage.said if "pictures" in line]) == 1
        role.on_frame("big", Frame(2**70))
        role.on_frame("line", Frame("x" * 19_000, request="r:9"))


def test_a_host_that_is_none_and_a_missing_library_are_said(tmp_path: Any, monkeypatch: Any) -> None:
    with pytest.raises(RoleError, match=r"there is no way to nowhere\.invalid"):
        put_on(Osc, tmp_path, host="nowhere.invalid")[0].setup()
    monkeypatch.setitem(sys.modules, "pythonosc", None)
    with pytest.raises(EngineMissingError) as missing:
        put_on(Osc, tmp_path)[0].setup()
    assert missing.value.instead == "pip install roomful[osc]"
