"""The serial kind on real pseudo-terminals: socat joins two of them, the other end prints as a board does."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mesh.errors import EngineMissingError, RoleError
from roles.sensing import inbox
from roles.sensing.serial import Serial, reading
from tests.roles.stage import Recorder, put_on, until


class Board:
    """The two ends of a line: `port` is what the role opens, `print` is the sketch."""

    def __init__(self, folder: Path) -> None:
        self.port, self._own = folder / "ttyROOM", folder / "ttyBOARD"
        self._process: subprocess.Popen[bytes] | None = None
        self.plug_in()

    def plug_in(self) -> None:
        program = shutil.which("socat")
        assert program, "socat is missing: apt-get install socat"
        ends = [f"pty,raw,echo=0,link={end}" for end in (self.port, self._own)]
        self._process = subprocess.Popen([program, *ends], stderr=subprocess.DEVNULL)
        until(lambda: self.port.exists() and self._own.exists(), what="the line")
        self._out = self._own.open("wb", buffering=0)

    def print(self, text: str | bytes) -> None:
        self._out.write(text if isinstance(text, bytes) else f"{text}\r\n".encode())

    def unplug(self) -> None:
        self._out.close()
        assert self._process is not None
        self._process.terminate()
        self._process.wait(10)


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    board = Board(tmp_path)
    yield board
    board.unplug()


@pytest.fixture
def reads(board: Board, tmp_path: Path) -> Iterator[tuple[Any, Recorder]]:
    role, stage = put_on(Serial, tmp_path, port=str(board.port), silent_s=5, settings={"rehearsal": False})
    role.setup()
    yield role, stage
    role.teardown()


def heard(role: Any, stage: Recorder, count: int) -> list[Any]:
    """The first `count` readings, once they are there."""

    def enough() -> bool:
        role.tick()
        return len(stage.values("reading")) >= count

    until(enough, what=f"{count} readings")
    return stage.values("reading")


def test_each_line_of_a_board_is_a_reading(board: Board, reads: tuple[Any, Recorder]) -> None:
    role, stage = reads
    for line in ("512", '{"light": 0.5, "on": true}', "light:512,heat:21.5", "1, 2.5\t-3", "hello"):
        board.print(line)
    assert heard(role, stage, 5) == [512, {"light": 0.5, "on": True}, {"light": 512, "heat": 21.5}, [1, 2.5, -3], "hello"]
    assert stage.woken.is_set(), "it need not look for lines, it is woken"


def test_a_line_that_comes_in_pieces_is_one(board: Board, reads: tuple[Any, Recorder]) -> None:
    role, stage = reads
    for piece in (b"5", b"1", b"2\n6", b"0\n"):
        board.print(piece)
    assert heard(role, stage, 2) == [512, 60]


def test_a_flood_without_an_end_of_line_and_noise_are_passed_over(board: Board, reads: tuple[Any, Recorder]) -> None:
    role, stage = reads
    board.print(b"x" * 6000 + b"\n")
    board.print(b"\xfe\xff\x80\n")
    board.print("7")
    assert heard(role, stage, 1) == [7]


def test_an_unplugged_board_is_said_and_read_again_when_it_returns(
    board: Board, reads: tuple[Any, Recorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a board that is read
    role, stage = reads
    board.print("1")
    heard(role, stage, 1)
    # When its cable is pulled, then that is said, and after a while it is a fault
    monkeypatch.setattr(inbox, "GONE_S", 0.2)
    board.unplug()
    until(lambda: (role.tick(), stage.word.faulty)[1], what="the fault")
    assert any("has gone" in line for line in stage.said)
    assert "has gone: plug the board in again" in stage.word.faulty
    # And when it is plugged in again, it is read as before
    board.plug_in()
    until(lambda: (role.tick(), any("is back" in line for line in stage.said))[1], what="the return")
    board.print("2")
    assert heard(role, stage, 2)[-1] == 2
    assert stage.fault() == ""


def test_a_board_that_falls_silent_is_faulty(board: Board, tmp_path: Path) -> None:
    role, stage = put_on(Serial, tmp_path, port=str(board.port), silent_s=0.2, settings={"rehearsal": False})
    role.setup()
    until(lambda: (role.tick(), stage.word.faulty)[1], what="the fault")
    assert stage.word.faulty.startswith("the board has been silent for")
    assert stage.fault(10)
    role.teardown()


def test_a_board_that_repeats_itself_is_frozen_where_that_is_asked_for(board: Board, tmp_path: Path) -> None:
    role, stage = put_on(Serial, tmp_path, port=str(board.port), stuck_s=0.5, settings={"rehearsal": False})
    role.setup()

    def repeats(line: str) -> bool:
        board.print(line)
        role.tick()
        return bool(stage.word.faulty)

    until(lambda: repeats("512"), what="the fault")
    assert "it is frozen" in stage.word.faulty
    until(lambda: not repeats("513"), what="the recovery")
    role.teardown()


def test_at_most_one_reading_in_every_s(board: Board, tmp_path: Path) -> None:
    role, stage = put_on(Serial, tmp_path, port=str(board.port), every_s=3600, settings={"rehearsal": False})
    role.setup()
    for number in range(50):
        board.print(str(number))
    until(lambda: (role.tick(), role._inbox.taken_count == 50)[1], what="the lines")  # type: ignore[attr-defined]
    assert stage.values("reading") == [0]
    role.teardown()


def test_without_the_board_a_room_says_what_to_do_and_a_rehearsal_makes_readings_up(tmp_path: Path) -> None:
    role, _ = put_on(Serial, tmp_path, port=str(tmp_path / "nothing"), settings={"rehearsal": False})
    with pytest.raises(RoleError) as fault:
        role.setup()
    assert "No such file" in fault.value.what and "plug the board in" in fault.value.instead
    role.teardown()
    rehearsed, stage = put_on(Serial, tmp_path, port=str(tmp_path / "nothing"))
    rehearsed.setup()
    values = heard(rehearsed, stage, 3)
    assert all(0 <= value <= 1023 for value in values)
    assert any("rehearsal" in line for line in stage.said)
    rehearsed.teardown()


def test_a_file_of_readings_stands_in_for_the_board(tmp_path: Path) -> None:
    (tmp_path / "door.jsonl").write_text('{"after_s": 0.01, "value": {"open": true}}\n\n{"after_s": 0.01, "value": 3}\n')
    role, stage = put_on(Serial, tmp_path, stand_in="door.jsonl")
    role.setup()
    assert heard(role, stage, 5)[:5] == [{"open": True}, 3, {"open": True}, 3, {"open": True}]
    role.teardown()


@pytest.mark.parametrize("line", ['{"after_s": 0, "value": 1}', '{"value": 1}', "seven", '{"after_s": 1}', ""])
def test_a_file_that_holds_no_readings_is_refused_with_its_line(tmp_path: Path, line: str) -> None:
    (tmp_path / "door.jsonl").write_text(line)
    role, _ = put_on(Serial, tmp_path, stand_in="door.jsonl")
    with pytest.raises(RoleError) as fault:
        role.setup()
    assert "after_s" in fault.value.instead
    role.teardown()


@pytest.mark.parametrize(("line", "value"), [
    ("NaN", "NaN"), ("inf,1", "inf,1"), ("a:1", {"a": 1}), ("a=1;b=x", {"a": 1, "b": "x"}), ("12:30", "12:30"), ("1e3", 1000.0), ("007", 7),
    ("+5,", 5), ("[1,2]", [1, 2]), ('"hi"', "hi"), ("1" * 30, int("1" * 30)), ("[" * 3000, "[" * 3000),
])  # fmt: skip
def test_what_a_line_means(line: str, value: Any) -> None:
    assert reading(line) == value


def test_without_pyserial_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "serial", None)
    role, _ = put_on(Serial, tmp_path)
    with pytest.raises(EngineMissingError) as fault:
        role.setup()
    assert "roomful[serial]" in fault.value.instead
    role.teardown()
