"""Streams over real sockets: what arrives, what is dropped, and who is let in."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy
import pytest
import zmq
from zmq.utils.garbage import gc

from mesh.core.frames import Sender
from mesh.errors import RoleError
from mesh.shell import curve
from mesh.shell.lines import Neighbours
from mesh.shell.listening import PARTING_S, QUEUE_BYTES_MAX, QUEUE_FRAMES_MAX, Input
from mesh.shell.near import door_name
from mesh.shell.sources import Source
from mesh.shell.streams import HWM, Output, Ways, bounded
from mesh.shell.waiting import Waiting

BOUND_S = 15.0
KEYS = zmq.curve_keypair()


class Writer:
    """One process's worth of sending, in a context of its own."""

    def __init__(self, type_: str, node: str = "node-a", epoch: int = 1, keys: tuple[bytes, bytes] = KEYS) -> None:
        self.context: Any = zmq.Context()
        self.guard = curve.guard(self.context, curve.Guests([keys[0].decode()]).admits, 0.1)
        self.public = keys[0].decode()
        self.socket = bounded(self.context.socket(zmq.XPUB), HWM[type_])
        curve.server(self.socket, *keys)
        self.port = self.socket.bind_to_random_port("tcp://127.0.0.1")
        self.socket.setsockopt(zmq.XPUB_VERBOSE, 1)
        self.waiting = Waiting()
        self.ways = Ways(self.socket, self.waiting)
        self.output = Output("eye", "out", type_, self.ways)
        self.node, self.epoch, self.type, self.closed = node, epoch, type_, False
        self.output.speak_as(Sender("eye", node, epoch, 1, type_))
        self.ways.door.open(door_name(keys[1], "eye", node, 1, self.port))

    def source(self, state: str = "playing") -> Source:
        return Source("eye", self.node, self.epoch, 1, "127.0.0.1", self.port, 0, state, 0, self.public)

    def send(self, value: Any, muted: bool = False, **more: Any) -> None:
        self.ways.look()
        self.output.send(value, 123, muted, **more)

    def close(self) -> None:
        self.closed = True
        self.ways.door.close()
        self.waiting.close()
        self.socket.close(linger=0)
        self.guard.close()
        self.context.destroy(linger=0)


class Reader:
    """One input, read in the test's own thread."""

    def __init__(
        self, type_: str, delivery: str, keys: tuple[bytes, bytes] = KEYS, near: bool = False, pictures: str = "raw"
    ) -> None:
        self.writers: tuple[Writer, ...] = ()
        self.context: Any = zmq.Context()
        socket = self.context.socket(zmq.SUB)
        curve.client(socket, KEYS[0], *keys)
        self.waiting = Waiting()
        neighbours = Neighbours(keys[1], self.waiting) if near else None
        self.input = Input("in", "eye.out", type_, delivery, socket, neighbours, pictures)
        self.waiting.add(socket, self.input.read)
        self.waiting.add(self.input.monitor, self.input.notice)

    def until(self, condition: Callable[[], object], what: str, bound_s: float = BOUND_S) -> None:
        until_s = time.monotonic() + bound_s
        while not condition():
            assert time.monotonic() < until_s, what
            for writer in self.writers:
                if not writer.closed:
                    writer.waiting.wait(0.0)  # what its readers had no room for
            self.waiting.wait(0.01)

    def take(self, count: int) -> list[Any]:
        """The next values, waited for."""
        taken: list[Any] = []
        while len(taken) < count:
            self.until(lambda: self.input.waiting, f"{count} frames, {len(taken)} came")
            taken.append(self.input.take()[1])
        return taken

    def meet(self, *writers: Writer) -> None:
        """Connects, and waits until frames of all of them arrive; leaves nothing behind of it."""
        self.writers = writers
        self.input.hear([writer.source("standby") for writer in writers])
        for writer in writers:
            before = self.input.received
            value: Any = "hello" if writer.type in ("text", "event") else numpy.zeros((1, 1), "u1" if writer.type == "image" else "f4")

            def greeted(writer: Writer = writer, value: Any = value, before: int = before) -> bool:
                writer.send(value, muted=True)
                return self.input.received > before

            self.until(greeted, "the first frame")
        self.drain()
        self.input.hear([writer.source() for writer in writers])

    def drain(self) -> None:
        self.waiting.wait(0.2)
        while self.input.waiting:
            self.input.take()
            self.waiting.wait(0.0)

    def close(self) -> None:
        self.waiting.close()
        self.input.close()
        self.context.destroy(linger=0)


class Opened(list[Any]):
    """What a test opened, and whether its readers hear writers on this machine's own way."""

    near = False

    def reader(self, type_: str, delivery: str, **more: Any) -> Reader:
        self.append(Reader(type_, delivery, near=self.near, **more))
        return self[-1]  # type: ignore[no-any-return]


@pytest.fixture(params=["near", "far"])
def opened(request: pytest.FixtureRequest) -> Iterator[Opened]:
    things = Opened()
    things.near = request.param == "near"
    yield things
    for thing in things:
        thing.close()
    gc.stop()  # pyzmq's thread for what was sent without a copy


def a_pair(opened: Opened, type_: str, delivery: str = "queue") -> tuple[Writer, Reader]:
    writer, reader = Writer(type_), opened.reader(type_, delivery)
    opened.append(writer)
    reader.meet(writer)
    assert reader.input.near == opened.near
    return writer, reader


# ---- what is sent arrives


ARRAYS = [
    numpy.arange(12, dtype="f4").reshape(3, 4),
    numpy.arange(24, dtype="i8").reshape(2, 3, 4)[:, ::2, 1:],
    numpy.asfortranarray(numpy.arange(6.0).reshape(2, 3)),
    numpy.arange(4, dtype=">u2"),
    numpy.array([True, False]),
    numpy.array(3.5),
    numpy.zeros((0, 7), "f8"),
    numpy.array([1 + 2j]),
    numpy.arange(200_000, dtype="u4"),
    numpy.float16([1.5]),
]


def test_vectors_of_every_form_arrive_equal_and_read_only(opened: Opened) -> None:
    writer, reader = a_pair(opened, "vector")
    for array in ARRAYS:
        writer.send(array)
    for sent, got in zip(ARRAYS, reader.take(len(ARRAYS)), strict=True):
        numpy.testing.assert_array_equal(got, sent)
        assert got.dtype == sent.dtype.newbyteorder("<") and got.shape == sent.shape
        assert not got.flags.writeable


def test_pictures_sounds_texts_and_events_arrive_equal(opened: Opened) -> None:
    picture = numpy.random.default_rng(1).integers(0, 256, (480, 640, 3), "u1")
    for type_, value in [
        ("image", picture), ("image", picture[:, ::-1, 0]), ("audio", numpy.linspace(-1, 1, 96, dtype="f4").reshape(48, 2)),
        ("text", "the night leans in — ночь"), ("event", {"people": [1, 2.5, None, b"raw", {"deep": True}]}),
    ]:  # fmt: skip
        writer, reader = a_pair(opened, type_)
        writer.send(value)
        (got,) = reader.take(1)
        if isinstance(value, numpy.ndarray):
            numpy.testing.assert_array_equal(got, value)
        else:
            assert got == value


@pytest.mark.parametrize("samples", [4, 100_000])
def test_a_sound_s_rate_arrives_with_it_on_every_way_and_holds_until_another_is_told(opened: Opened, samples: int) -> None:
    writer, reader = a_pair(opened, "audio")
    sound, rates = numpy.zeros((samples, 1), "f4"), []
    for rate in (None, 16000, None, 44100):
        if rate is not None:
            writer.output.sound_at(rate)
        writer.send(sound)
        reader.until(lambda: reader.input.waiting, "the sound")
        rates.append(reader.input.take()[0].sender.rate)
    assert rates == [0, 16000, 16000, 44100]


def test_numbers_of_numpy_travel_in_events_as_plain_ones(opened: Opened) -> None:
    writer, reader = a_pair(opened, "event")
    writer.send({"score": numpy.float32(0.5), "box": numpy.arange(3)})
    assert reader.take(1) == [{"score": 0.5, "box": [0, 1, 2]}]


@pytest.mark.parametrize(
    ("type_", "value", "words"),
    [
        ("text", 5, "carries text"),
        ("image", numpy.zeros((4, 4, 3)), "carries images"),
        ("image", numpy.zeros((4, 4, 4), "u1"), "carries images"),
        ("audio", numpy.zeros(4, "f4"), "carries audio"),
        ("audio", numpy.zeros((4, 1)), "carries audio"),
        ("vector", [[1], [1, 2]], "carries arrays"),
        ("vector", numpy.array(["word"]), "cannot travel"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_in_words_for_its_author(opened: Opened, type_: str, value: Any, words: str) -> None:
    writer = Writer(type_)
    opened.append(writer)
    with pytest.raises(RoleError, match=words) as refused:
        writer.send(value)
    assert refused.value.instead


# ---- the two rules of delivery


def test_queue_keeps_every_frame_in_order(opened: Opened) -> None:
    writer, reader = a_pair(opened, "event")
    for number in range(500):
        writer.send(number)
    assert reader.take(500) == list(range(500))
    assert reader.input.dropped == 0


def test_queue_drops_the_oldest_beyond_its_bound_and_counts_them(opened: Opened) -> None:
    writer, reader = a_pair(opened, "event")
    already = reader.input.received
    for number in range(QUEUE_FRAMES_MAX + 300):
        writer.send(number)
        if number % 100 == 99:
            wanted = already + number + 1
            reader.until(lambda wanted=wanted: reader.input.received == wanted, f"{wanted} frames")
    assert reader.input.dropped == 300
    assert reader.take(QUEUE_FRAMES_MAX) == list(range(300, QUEUE_FRAMES_MAX + 300))


def test_queue_is_bounded_in_bytes_as_well(opened: Opened) -> None:
    writer, reader = a_pair(opened, "vector")
    array = numpy.zeros(1024 * 1024, "f4")
    for number in range(12):
        array[0] = number
        writer.send(array.copy())
        received = reader.input.received
        reader.until(lambda received=received: reader.input.received > received, "a frame")
    waiting_bytes = sum(size for _, _, size in reader.input.waiting)
    assert waiting_bytes <= QUEUE_BYTES_MAX
    assert reader.take(1)[0][0] == 12 - len(reader.input.waiting) - 1


def test_latest_does_not_show_a_backlog_to_a_reader_that_was_away(opened: Opened) -> None:
    writer, away = a_pair(opened, "image", "latest")
    near = opened.reader("image", "latest")
    near.meet(writer)
    away.drain()
    for number in range(200):
        received = near.input.received
        writer.send(numpy.full((480, 640), number, "u1"))
        near.until(lambda received=received: near.input.received > received, "the reader that is not away")
    seen: list[int] = []

    def newest_came() -> bool:
        if away.input.waiting:
            seen.append(int(away.input.take()[1][0, 0]))
        return bool(seen) and seen[-1] == 199

    away.until(newest_came, "the newest frame")
    # Where the frames of the buffers came first these would begin at 0; on a drowning machine ZeroMQ's thread may lag.
    assert seen[0] >= 50, f"a backlog was shown: {seen}"
    assert away.input.dropped >= 50


def test_latest_keeps_the_newest_of_each_source(opened: Opened) -> None:
    left, right, reader = Writer("event"), Writer("event"), opened.reader("event", "latest")
    right.output.speak_as(Sender("ear", "node-a", 1, 1, "event"))
    opened += [left, right]
    reader.input.hear([left.source(), Source("ear", "node-a", 1, 1, "127.0.0.1", right.port, 0, "playing", 0, right.public)])
    heard: dict[str, Any] = {}

    def both_came() -> bool:
        left.send("left")
        right.send("right")
        while reader.input.waiting:
            header, value = reader.input.take()
            heard[header.sender.instance] = value
        return heard == {"eye": "left", "ear": "right"}

    reader.until(both_came, "a frame of each")


def test_a_reader_that_stands_still_slows_nobody_and_costs_bounded_memory(opened: Opened) -> None:
    writer, reader = a_pair(opened, "image", "queue")
    still = opened.reader("image", "queue")
    still.meet(writer)
    picture = numpy.zeros((1080, 1920, 3), "u1")
    for _ in range(40):
        received = reader.input.received
        writer.send(picture)
        reader.until(lambda received=received: reader.input.received > received, "the other reader")
        reader.take(len(reader.input.waiting))
    assert still.input.received < 40


# ---- who is heard


def test_a_holder_of_a_lower_epoch_is_fenced_out(opened: Opened) -> None:
    old, new, reader = Writer("event", "node-a", 1), Writer("event", "node-b", 2), opened.reader("event", "queue")
    opened += [old, new]
    reader.meet(old, new)
    old.send("late voice")
    new.send("true voice")
    assert reader.take(1) == ["true voice"]
    reader.drain()
    assert not reader.input.waiting


def test_a_muted_standby_is_heard_only_when_the_routes_say_so(opened: Opened) -> None:
    holder, standby, reader = Writer("event", "node-a"), Writer("event", "node-b", 0), opened.reader("event", "queue")
    opened += [holder, standby]
    reader.meet(holder, standby)
    reader.input.hear([holder.source(), standby.source("standby")])
    standby.send("muted", muted=True)
    holder.send("spoken")
    assert reader.take(1) == ["spoken"]
    reader.input.hear([holder.source("suspect"), standby.source("standby")])

    def heard() -> bool:
        standby.send("heard", muted=True)
        return "heard" in reader.take(len(reader.input.waiting))

    reader.until(heard, "the standby")


def test_a_muted_standby_is_heard_from_the_moment_in_which_its_holder_ends_without_a_word_of_the_routes(opened: Opened) -> None:
    # Given a holder and its hot standby, which run along with each other
    holder, standby, reader = Writer("event", "node-a"), Writer("event", "node-b", 0), opened.reader("event", "queue")
    opened.append(standby)
    reader.meet(holder, standby)
    reader.input.hear([holder.source(), standby.source("standby")])
    standby.send("unheard", muted=True)
    holder.send("last words")
    # When the holder's process ends
    holder.close()

    # Then what it said last is heard, and after it the standby
    def heard() -> bool:
        standby.send("heard", muted=True)
        return "heard" in [value for value in words if value != "unheard"]

    words: list[Any] = reader.take(1)
    reader.until(lambda: words.extend(reader.take(len(reader.input.waiting))) or heard(), "the standby")
    assert words[0] == "last words" and set(words[1:]) == {"heard"}


def test_a_change_of_routes_keeps_the_connection_of_a_source_that_stays(opened: Opened) -> None:
    stays, goes, reader = Writer("event"), Writer("event", "node-b"), opened.reader("event", "queue")
    opened += [stays, goes]
    reader.meet(stays)
    for turn in range(20):
        reader.input.hear([stays.source(), goes.source("standby")] if turn % 2 else [stays.source()])
        stays.send(turn)
    assert reader.take(20) == list(range(20))


def test_another_installation_hears_nothing_and_is_counted(opened: Opened) -> None:
    writer = Writer("event")
    # They know our server's key, which is not enough; nor is it to bind with our public key alone.
    stranger = opened.reader("event", "queue", keys=zmq.curve_keypair())
    friend = opened.reader("event", "queue")
    opened.append(writer)
    stranger.input.hear([writer.source()])
    friend.meet(writer)
    friend.until(lambda: writer.guard.refused > 0, "the refusal")
    for number in range(20):
        writer.send(number)
    assert friend.take(20) == list(range(20))
    stranger.waiting.wait(0.2)
    assert stranger.input.received == 0


def test_nobody_listens_to_a_writer_of_another_installation(opened: Opened) -> None:
    stranger, reader = Writer("event", keys=zmq.curve_keypair()), opened.reader("event", "queue")
    friend = Writer("event", "node-b")
    opened += [stranger, friend]
    reader.input.hear([replace(stranger.source(), key=KEYS[0].decode()), friend.source()])

    def met() -> bool:
        stranger.send("lies")
        friend.send("truth")
        return reader.input.received >= 20

    reader.until(met, "the friend's frames")
    assert set(reader.take(20)) == {"truth"}


def test_a_broken_frame_is_counted_and_the_next_one_arrives(opened: Opened) -> None:
    writer, reader = a_pair(opened, "event")
    for broken in (b"eye.out\0" + b"\xff" * 40, b"eye.out\0"):
        if opened.near:
            writer.ways.door.streams[b"eye.out\0"].listeners[0].send(broken)
        else:
            writer.socket.send(broken)
    writer.send("whole")
    assert reader.take(1) == ["whole"]
    assert reader.input.refused == 2


def test_what_was_answered_just_before_somebody_s_line_stood_is_heard_by_them_and_by_the_others_once(opened: Opened) -> None:
    # Given a copy that has just begun to play, with one listener whose line stands
    writer, early = a_pair(opened, "event")
    # When it answers, and a second listener's line stands only then
    writer.send("answer", request="q.1")
    writer.send("of two", request="q.2")
    writer.send("pieces", request="q.2", piece=1)
    late = opened.reader("event", "queue")
    late.input.hear([writer.source()])

    def told() -> bool:
        writer.ways.look()
        return late.input.received == 3

    late.until(told, "what it missed")
    writer.send("next", request="q.3")
    # Then both hear everything once, in order
    for reader in (early, late):
        assert reader.take(4)[-4:] == ["answer", "of two", "pieces", "next"]


def test_what_was_said_while_nobody_listened_is_heard_by_who_comes_a_moment_later(opened: Opened) -> None:
    # Given a copy that nobody hears yet, and what it answers: in one piece, in several, several in one message
    writer, reader = Writer("text"), opened.reader("text", "queue")
    opened.append(writer)
    writer.send("alone", request="q.1")
    writer.send("one ", request="q.2", more=True)
    writer.output.send_run(["two ", "three "], 123, False, "q.2", 1)
    writer.send("four", request="q.2", piece=3)
    # When somebody's line stands
    reader.input.hear([writer.source()])

    def told() -> bool:
        writer.ways.look()
        return reader.input.received == 5

    reader.until(told, "what it missed")
    # Then it is all there, in order, and what follows after it
    writer.send("five", request="q.3")
    assert reader.take(6)[-6:] == ["alone", "one ", "two ", "three ", "four", "five"]


def test_what_a_source_said_while_it_counted_still_counts_when_the_routes_no_longer_name_it(opened: Opened) -> None:
    # Given frames that are on their way
    writer, reader = a_pair(opened, "event")
    for number in range(100):
        writer.send(number)
    # When their sender is gone from the routes before they were read
    reader.input.hear([])
    # Then they are heard all the same
    assert reader.take(100) == list(range(100))
    # And once its line is cut, nothing is heard of it any more, and a source at the same place is heard again
    reader.input.part(time.monotonic() + 2 * PARTING_S)
    writer.send("unheard")
    reader.input.hear([writer.source()])

    def heard() -> bool:
        writer.send("anew")
        return bool(reader.input.waiting)

    reader.until(heard, "the source, listened to anew")
    assert reader.take(1) == ["anew"]
