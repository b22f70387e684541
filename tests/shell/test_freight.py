"""Pictures on lines of their own: whole and in order, sealed only for who takes them, and never at another reader's cost."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy
import pytest

from mesh.core.delivery import RAW, asked_for, topic
from mesh.core.hearing import Speaker
from mesh.core.request_messages import Offer
from mesh.errors import WireError
from mesh.shell import sealing
from mesh.shell.freight import PART_BYTES, Carrier
from mesh.shell.near import PENDING_BYTES_MAX
from mesh.shell.sealing import MAC_BYTES, Parts
from mesh.shell.sources import Source
from mesh.shell.unloading import AHEAD, REFRESH_S, Crate, FreightLines
from tests.shell.gated import Gated

TOPIC = b"eye.image\0"
SOURCE = Source("eye", "node-a", 1, 1, "127.0.0.1", 1, 2, "playing", 0)


class Ear:
    """An input that keeps what it is given; `takes`: it takes everything at once."""

    def __init__(self, takes: bool) -> None:
        self.takes = takes
        self.crates: list[Crate] = []
        self.only: list[bool] = []
        self.broke: list[Source] = []

    def last_of(self, speaker: Speaker) -> int:
        return -1

    def take_straight(self, data: Crate, after: int) -> None:
        self.crates.append(data)
        if self.takes:
            data.leave()

    def only_straight(self, only: bool) -> None:
        if only != (self.only or [False])[-1]:
            self.only.append(only)

    def line_broke(self, source: Source) -> None:
        self.broke.append(source)

    def words(self) -> list[bytes]:
        return [bytes(each.data) for each in self.crates]


class Machines(Gated):
    """One writer, and readers that ask it in this process; all are read in the test's own thread."""

    def __init__(self) -> None:
        super().__init__()
        self.freight = self.gate.freight(TOPIC)
        self.readers: list[FreightLines] = []

    def reader(self, rule: str, takes: bool = True) -> Ear:
        """One more that hears the writer by a line alone."""
        ear = Ear(takes)
        lines = FreightLines(ear, asked_for(topic("eye.image", RAW), rule), self.waiting, self.call)
        self.readers.append(lines)
        lines.want([SOURCE], self.now, 1.0)
        self.until(lambda: lines.live, lines.look)
        return ear

    def say(self, *words: bytes) -> None:
        for word in words:
            self.freight.leave(RAW, memoryview(word))

    @property
    def carriers(self) -> tuple[Carrier, ...]:
        return self.freight.carriers

    def close(self) -> None:
        for lines in self.readers:
            lines.close()
        super().close()


@pytest.fixture
def machines() -> Iterator[Machines]:
    made = Machines()
    yield made
    made.close()


@pytest.fixture(params=["aes", "curve's"])
def cipher(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "aes" and not sealing.has_aes():
        monkeypatch.setattr(sealing, "has_aes", lambda: False)  # then both are CURVE's: what is claimed holds on any processor
    elif request.param != "aes":
        monkeypatch.setenv(sealing.WITHOUT_AES, "1")
    return str(request.param)


def noise(size: int, seed: int = 0) -> bytes:
    return numpy.random.default_rng(seed).bytes(size)


def test_pictures_of_any_size_arrive_whole_and_in_order(machines: Machines, cipher: str) -> None:
    sizes = (1, 100, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 3 * PART_BYTES + 7, 64)
    ear = machines.reader("queue")
    sent = [noise(size, seed) for seed, size in enumerate(sizes)]
    for word in sent:
        machines.say(word)
    machines.until(lambda: len(ear.crates) == len(sizes))
    assert ear.words() == sent
    assert ear.only == [True]


def test_what_a_reader_of_the_newest_has_no_time_for_is_neither_sealed_nor_sent(machines: Machines) -> None:
    # Given a reader whose role is busy with the first picture
    ear = machines.reader("latest", takes=False)
    began_s = time.monotonic()
    machines.say(b"first")
    machines.until(lambda: ear.crates)
    # When a thousand more are made
    for number in range(1000):
        machines.say(b"%d" % number)
        machines.waiting.wait(0.0)
    # Then few were sealed: those that were on their way, and one now and then
    assert machines.carriers[0].sent <= 1 + AHEAD + (time.monotonic() - began_s) / REFRESH_S + 1
    # And the newest of all comes to be what it takes next
    machines.until(lambda: ear.words()[-1] == b"999")


def test_a_reader_of_the_newest_that_keeps_up_gets_each(machines: Machines) -> None:
    ear = machines.reader("latest")
    for number in range(50):
        machines.say(b"%d" % number)
        machines.until(lambda number=number: len(ear.crates) == number + 1)
    assert ear.words() == [b"%d" % number for number in range(50)]


def test_a_queue_that_is_not_taken_from_waits_at_the_writer_and_drops_its_oldest(machines: Machines) -> None:
    # Given a reader of every picture whose role takes none
    ear = machines.reader("queue", takes=False)
    size = 1024 * 1024
    words = [noise(size, seed) for seed in range(40)]
    # When more come than there is room for
    machines.say(*words)
    machines.until(lambda: len(ear.crates) >= AHEAD)
    # Then the writer keeps no more than the bound
    assert machines.carriers[0].waiting_bytes <= PENDING_BYTES_MAX
    # And when they are taken, they come in order, up to the newest
    ear.takes = True
    for crate in list(ear.crates):
        crate.leave()
    machines.until(lambda: ear.words()[-1] == words[-1])
    heard = [words.index(word) for word in ear.words()]
    assert heard == sorted(set(heard)) and len(heard) < len(words)


def test_a_reader_that_stands_still_costs_the_writer_nothing_and_another_reader_no_picture(machines: Machines) -> None:
    # Given two readers, one of which reads nothing any more
    still, other = machines.reader("latest"), machines.reader("queue")
    goes_on = threading.Event()
    unloader: Any = machines.readers[0]._lines[SOURCE.speaker]._unloader  # type: ignore[attr-defined]
    receive = unloader._receive
    unloader._receive = lambda target: (goes_on.wait(), receive(target))
    words = [noise(4 * PART_BYTES, seed) for seed in range(3)]
    # When many pictures are made
    for number in range(60):
        machines.say(words[number % 3])
        machines.until(lambda: other.crates)
        assert other.words() == [words[number % 3]]
        other.crates.clear()
    # Then the other one got each, and no more than the newest waits for the first
    assert max(each.waiting_bytes for each in machines.carriers) <= 4 * PART_BYTES
    # And when it goes on, the newest is what it comes to have
    goes_on.set()
    machines.until(lambda: still.crates and still.words()[-1] == words[59 % 3])


def test_memory_is_used_again_once_its_array_is_gone_and_not_before(machines: Machines) -> None:
    ear = machines.reader("queue")

    def next_array(value: int) -> Any:
        machines.say(bytes([value]) * 300_000)
        machines.until(lambda: ear.crates)
        return ear.crates.pop().array("|u1", (300, 1000), 0)

    kept = next_array(1)
    second = next_array(2)
    address = second.ctypes.data
    del second
    third = next_array(3)
    assert third.ctypes.data == address
    assert (kept == 1).all() and (third == 3).all() and not third.flags.writeable


def test_what_was_not_sealed_by_the_writer_ends_the_line_and_zeromq_is_listened_to_again(
    machines: Machines, cipher: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ear = machines.reader("queue")
    seal = Parts.seal

    def tampered(self: Parts, target: Any, data: Any, size: int) -> None:
        seal(self, target, data, size)
        target[0] ^= 1

    monkeypatch.setattr(Parts, "seal", tampered)
    machines.say(b"a picture")
    machines.until(lambda: ear.broke)
    assert ear.only == [True, False] and not ear.crates and machines.readers[0].refused == 1
    machines.until(lambda: not machines.carriers, lambda: machines.gate.tidy(0.0))


def test_a_writer_that_ends_its_lines_is_noticed_at_once(machines: Machines) -> None:
    ear = machines.reader("latest")
    machines.gate.close()
    machines.until(lambda: ear.broke)
    assert ear.only == [True, False]


def test_a_part_opens_once_in_its_place_and_with_its_key_alone(cipher: str) -> None:
    key, data = bytes(32), b"x" * 100
    box, opened = bytearray(100 + MAC_BYTES), bytearray(100)
    aes = sealing.has_aes()
    Parts(key, aes).seal(box, data, 100)
    Parts(key, aes).open(opened, box, 100)
    assert opened == data and box[:100] != data
    late = Parts(key, aes)
    late.open(opened, box, 100)
    for opening in (late, Parts(b"\1" * 32, aes)):
        with pytest.raises(WireError):
            opening.open(opened, box, 100)


def test_a_line_for_what_is_no_stream_of_pictures_is_not_to_be_had(machines: Machines) -> None:
    machines.reader("queue")
    for asked in (b"eye.other\0queue", b"eye.image\0newest", b"eye.image~gif\0queue", b"eye.image", b""):
        assert machines.gate.take(Offer("0" * 32, asked, bytes(32))).port == 0
