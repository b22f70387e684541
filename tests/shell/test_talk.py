"""Questions and answers between two processes of one machine: whole, in order, never waited for, and nothing left behind."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mesh.shell import talk
from mesh.shell.near import INLINE_BYTES_MAX
from mesh.shell.talk import ELSEWHERE, PENDING_MAX, Talk
from mesh.shell.waiting import Waiting

LARGE = INLINE_BYTES_MAX * 20
BOUND_S = 10.0


class Pair:
    """Both ends in one thread."""

    def __init__(self) -> None:
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        self.waiting = Waiting()
        self.raw = there
        self.heard: list[bytes] = []
        self.answers: list[bytes] = []
        self.lost: list[Talk] = []
        self.here = Talk(here, self.waiting, lambda _, data: self.answers.append(bytes(data)), self.lost.append)
        self.there = Talk(there, Waiting(), lambda _, data: self.heard.append(bytes(data)), self.lost.append)

    def until(self, condition: Callable[[], object]) -> None:
        until_s = time.monotonic() + BOUND_S
        while not condition():
            assert time.monotonic() < until_s
            self.waiting.wait(0.001)
            self.there._waiting.wait(0.001)


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.here.close()
    made.there.close()
    made.waiting.close()


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_what_is_said_arrives_whole_and_in_order_both_ways_however_large(pair: Pair) -> None:
    said = [b"small", os.urandom(INLINE_BYTES_MAX), os.urandom(INLINE_BYTES_MAX + 1), os.urandom(LARGE), b"last"]
    for each in said:
        assert pair.here.send(each)
    pair.until(lambda: len(pair.heard) == len(said))
    assert pair.heard == said
    assert pair.there.send(said[3])
    pair.until(lambda: pair.answers)
    assert pair.answers == [said[3]] and pair.here.refused == pair.there.refused == 0


def test_one_that_does_not_listen_is_not_waited_for_and_costs_no_more_than_a_bound(pair: Pair) -> None:
    # Given an end that reads nothing, When more is said than it can keep
    taken = [pair.here.send(number.to_bytes(4, "big") * 25) for number in range(4 * PENDING_MAX)]
    # Then the rest is refused, and what was taken arrives in its order once it listens
    kept = taken.count(True)
    assert PENDING_MAX <= kept < 4 * PENDING_MAX and not any(taken[kept:])
    pair.until(lambda: len(pair.heard) == kept)
    assert [int.from_bytes(each[:4], "big") for each in pair.heard] == list(range(kept))
    assert pair.here.send(b"again")
    pair.until(lambda: pair.heard[-1] == b"again")


def test_the_end_of_the_other_is_told_once_and_leaves_no_file_open(pair: Pair) -> None:
    before = open_files()
    while pair.here.send(b"x" * LARGE):  # each lies in a file of its own until it is taken
        continue
    assert open_files() > before
    pair.there.close()
    pair.until(lambda: pair.lost)
    assert pair.lost == [pair.here] and not pair.here.send(b"to nobody")
    assert open_files() == before - 2


def test_a_file_that_could_still_change_is_refused_and_counted(pair: Pair) -> None:
    before = open_files()
    file = os.memfd_create("open")
    os.write(file, b"it may shrink while it is read")
    socket.send_fds(pair.here._line, [ELSEWHERE], [file])
    os.close(file)
    pair.until(lambda: pair.there.refused == 1)
    assert pair.heard == [] and open_files() == before


def test_where_memory_cannot_be_had_a_large_message_is_dropped_and_the_line_stays(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_data: bytes) -> int:
        raise OSError("no memory")

    monkeypatch.setattr(talk, "_laid_down", full)
    assert not pair.here.send(b"x" * LARGE)
    assert pair.here.send(b"small")
    pair.until(lambda: pair.heard == [b"small"])


def test_a_file_that_is_gone_or_empty_is_no_message(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with (tmp_path / "empty").open("rb") as file:
        assert talk._picked_up(file.fileno()) is None
