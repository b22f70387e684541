"""Lines of their own to readers on other machines: taken over without gap or repeat, given back when they break, shut to strangers."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mesh.core.hearing import Speaker
from mesh.core.request_messages import Offer
from mesh.errors import WireError
from mesh.shell.gate import GREETING_S, HELLO_BYTES, LINES_MAX, MAGIC, STRANGERS_MAX
from mesh.shell.near import PENDING_MAX
from mesh.shell.sealing import Opening, Seal, keys
from mesh.shell.sources import Source
from mesh.shell.straight import AGAIN_S, HANDED_OVER_S, Lines
from tests.shell.gated import Gated

TOPIC = b"eye.out\0"
SOURCE = Source("eye", "node-a", 1, 1, "127.0.0.1", 1, 2, "playing", 0)


class Ear:
    """An input that notes what it is told."""

    def __init__(self) -> None:
        self.last = -1
        self.heard: list[tuple[bytes, int]] = []
        self.only: list[bool] = []
        self.broke: list[Source] = []

    def last_of(self, speaker: Speaker) -> int:
        return self.last

    def take_straight(self, data: bytes, after: int) -> None:
        self.heard.append((data, after))

    def only_straight(self, only: bool) -> None:
        if only != (self.only or [False])[-1]:
            self.only.append(only)

    def line_broke(self, source: Source) -> None:
        self.broke.append(source)


class Machines(Gated):
    """A writer and a reader, both read in the test's own thread; the reader asks the writer in this process."""

    def __init__(self) -> None:
        super().__init__()
        self.stream = self.gate.stream(TOPIC)
        self.number = 0
        self.stream.number = lambda: self.number
        self.ear = Ear()
        self.lines = Lines(self.ear, TOPIC, self.waiting, self.call)

    def say(self, *words: bytes) -> None:
        for word in words:
            self.number += 1
            for listener in self.stream.listeners:
                listener.send(word)

    def meet(self) -> None:
        """Until the reader hears the writer by a line alone."""
        self.ear.last = self.number - 1
        self.lines.want([SOURCE], self.now, 1.0)
        self.until(lambda: self.lines.live)

    def port(self) -> int:
        """Where the writer's gate is."""
        return self.gate.take(Offer(os.urandom(16).hex(), TOPIC, bytes(32))).port

    def close(self) -> None:
        self.lines.close()
        super().close()


@pytest.fixture
def machines() -> Iterator[Machines]:
    made = Machines()
    yield made
    made.close()


def words(ear: Ear) -> list[bytes]:
    return [data for data, _ in ear.heard]


def test_a_line_takes_over_when_all_that_comes_before_it_was_heard(machines: Machines) -> None:
    # Given a writer that has said five frames, of which the reader has heard four over ZeroMQ
    machines.number, machines.ear.last = 5, 3
    machines.lines.want([SOURCE], machines.now, 1.0)
    machines.until(lambda: machines.lines.holding)
    machines.say(b"six", b"seven")
    machines.waiting.wait(0.05)
    # Then nothing of the line is handed on before the fifth has come
    assert not machines.ear.heard and not machines.lines.live
    machines.ear.last = 4
    machines.lines.look()
    machines.until(lambda: words(machines.ear) == [b"six", b"seven"])
    # And ZeroMQ need not say the same any more
    assert machines.ear.only == [True] and {after for _, after in machines.ear.heard} == {4}


def test_what_does_not_come_is_waited_for_only_a_moment(machines: Machines) -> None:
    machines.number = 5
    machines.lines.want([SOURCE], machines.now, 1.0)
    machines.until(lambda: machines.lines.holding)
    machines.lines.keep_house(machines.now + HANDED_OVER_S / 2)
    assert not machines.lines.live
    machines.lines.keep_house(machines.now + HANDED_OVER_S * 1.1)
    assert machines.lines.live == {SOURCE.speaker}


def test_a_line_that_breaks_is_given_back_and_asked_for_again_later(machines: Machines) -> None:
    machines.meet()
    (listener,) = machines.stream.listeners
    machines.gate.hang_up(listener)
    machines.until(lambda: machines.ear.broke)
    assert machines.ear.broke == [SOURCE] and machines.ear.only == [True, False] and not machines.lines.live
    machines.lines.keep_house(machines.now + AGAIN_S * 0.9)
    machines.waiting.wait(0.05)
    assert not machines.stream.listeners
    machines.lines.keep_house(machines.now + AGAIN_S * 1.1)
    machines.until(lambda: machines.lines.live)
    assert machines.ear.only == [True, False, True]


def test_where_no_line_is_to_be_had_nothing_changes(machines: Machines) -> None:
    # Given as many readers as a writer has lines for
    others = [Lines(Ear(), TOPIC, machines.waiting, machines.call) for _ in range(LINES_MAX)]
    for each in others:
        each.want([SOURCE], machines.now, 1.0)
    machines.until(lambda: len(machines.stream.listeners) == LINES_MAX)
    # When one more asks
    machines.lines.want([SOURCE], machines.now, 1.0)
    machines.waiting.wait(0.1)
    # Then it goes on as it was
    assert not machines.ear.only and not machines.ear.broke and len(machines.stream.listeners) == LINES_MAX
    for each in others:
        each.close()


def test_a_source_that_is_named_no_more_is_heard_out_before_its_line_is_cut(machines: Machines) -> None:
    machines.meet()
    machines.lines.want([], machines.now, 1.0)
    machines.say(b"last words")
    machines.until(lambda: words(machines.ear) == [b"last words"])
    machines.lines.keep_house(machines.now + 1.1)
    machines.until(lambda: not machines.stream.listeners)
    assert not machines.ear.broke


def test_a_reader_that_does_not_read_costs_a_bound_and_misses_the_oldest(machines: Machines) -> None:
    machines.meet()
    (listener,) = machines.stream.listeners
    (line,) = machines.lines._lines.values()
    assert line._line is not None
    machines.waiting.remove_file(line._line.fileno())  # it is busy
    said = [number.to_bytes(4) + bytes(8000) for number in range(4 * PENDING_MAX)]
    machines.say(*said)
    assert len(listener._pending) <= PENDING_MAX
    machines.waiting.add_file(line._line.fileno(), line._wake)
    machines.until(lambda: words(machines.ear)[-1:] == said[-1:])
    heard = [int.from_bytes(each[:4]) for each in words(machines.ear)]
    assert heard == sorted(set(heard)) and PENDING_MAX <= len(heard) < len(said)
    assert all(len(each) == 8004 for each in words(machines.ear))


# ---- strangers


def knock(machines: Machines, port: int) -> socket.socket:
    line = socket.create_connection(("127.0.0.1", port))
    line.setblocking(False)
    machines.waiting.wait(0.05)
    return line


def is_shut(machines: Machines, line: socket.socket) -> bool:
    machines.waiting.wait(0.05)
    try:
        return line.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


@pytest.mark.parametrize(
    "greeting",
    [b"GET / HTTP/1.0\r\n\r\n" * 4, MAGIC + bytes(HELLO_BYTES - len(MAGIC)), bytes(HELLO_BYTES), MAGIC * 40],
    ids=["a browser", "no such line", "nothing", "too much"],
)  # fmt: skip
def test_who_was_not_told_how_does_not_come_in(machines: Machines, greeting: bytes) -> None:
    port = machines.port()
    line = knock(machines, port)
    line.send(greeting)
    machines.until(lambda: is_shut(machines, line))
    assert not machines.stream.listeners
    line.close()


def test_a_name_that_was_overheard_opens_nothing_without_its_key_nor_twice(machines: Machines) -> None:
    id, secret = os.urandom(16), os.urandom(32)
    taken = machines.gate.take(Offer(id.hex(), TOPIC, secret))
    line = knock(machines, taken.port)
    line.send(MAGIC + id + Seal(os.urandom(32)).seal(b""))
    machines.until(lambda: is_shut(machines, line))
    assert machines.gate.refused == 1 and not machines.stream.listeners
    greeting = MAGIC + id + Seal(keys(secret, taken.secret, id)[0]).seal(b"")
    mine = knock(machines, taken.port)
    mine.send(greeting)
    machines.until(lambda: machines.stream.listeners)
    again = knock(machines, taken.port)
    again.send(greeting)
    machines.until(lambda: is_shut(machines, again))
    assert len(machines.stream.listeners) == 1
    for each in (line, mine, again):
        each.close()


def test_who_says_nothing_is_shown_out_and_never_more_than_some_are_let_wait(machines: Machines) -> None:
    port = machines.port()
    lines = [knock(machines, port) for _ in range(STRANGERS_MAX + 3)]
    machines.until(lambda: machines.gate.refused == 3)
    machines.gate.tidy(time.monotonic() + GREETING_S + 1.0)
    assert machines.gate.refused == STRANGERS_MAX + 3
    assert all(is_shut(machines, line) for line in lines[:2])
    machines.meet()
    for line in lines:
        line.close()


# ---- seals


KEY = bytes(range(32))


@given(some.lists(some.binary(max_size=300), min_size=1, max_size=6), some.integers(1, 90))
def test_what_is_sealed_comes_out_whole_however_it_is_cut_on_the_way(said: list[bytes], step: int) -> None:
    seal, opening = Seal(KEY), Opening(KEY)
    wire = b"".join(seal.seal(each) for each in said)
    heard = [box for at in range(0, len(wire), step) for box in opening.take(wire[at : at + step])]
    assert heard == said


@given(some.lists(some.binary(max_size=40), min_size=2, max_size=4), some.data())
def test_nothing_changed_left_out_repeated_or_moved_passes(said: list[bytes], data: some.DataObject) -> None:
    seal = Seal(KEY)
    boxes = [seal.seal(each) for each in said]
    how = data.draw(some.sampled_from(["change", "leave out", "repeat", "swap"]))
    if how == "change":
        box = bytearray(boxes[0])
        box[data.draw(some.integers(4, len(box) - 1))] ^= data.draw(some.integers(1, 255))
        boxes[0] = bytes(box)
    elif how == "leave out":
        del boxes[0]
    elif how == "repeat":
        boxes.insert(0, boxes[0])
    else:
        boxes[:2] = boxes[1], boxes[0]
    with pytest.raises(WireError):
        list(Opening(KEY).take(b"".join(boxes)))


@given(some.binary(max_size=200))
def test_any_bytes_are_refused_or_waited_out(raw: bytes) -> None:
    try:
        assert list(Opening(KEY, 100).take(raw)) == []
    except WireError:
        return
