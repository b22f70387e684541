"""What a role hears: one input, its sources near and far, and the two rules by which frames wait for the role.

Each input has a SUB socket of its own for the network, so that a slow input holds up no other, and a line to each source
on this machine (`lines`); a source of all but sound and vectors on another machine gets one, too, once it has been asked (`straight`).
By which a source is heard is found out when the routes name it: a role that moves changes it, and nobody notices.

Two rules of delivery. `queue`: every frame in order, at most 1,000 and 16 MB of them, the oldest dropped and counted.
`latest`: the newest frame of each source. Near, it is the newest in the ring; over the network ZeroMQ's own CONFLATE keeps it
so in its own thread, even while the role works for seconds. Without that a reader that comes back finds the *oldest*
frames first, as many as the buffers of both ends hold. (CONFLATE keeps one part and one subscription for each socket:
hence frames of one part, and a socket for each input.) What was passed over is counted by the gaps in the frames' numbers.

A frame in shared memory is held from when it is read until the role has let go of its array, without a copy; only where
a role keeps more than three at once is the next one copied.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import zmq

from mesh.core import frames
from mesh.core.delivery import asked_for, topic
from mesh.core.frames import TOPIC_END, Header, Sender
from mesh.core.gaps import Gap, GapMeter
from mesh.core.hearing import Fence, Speaker, Utterances
from mesh.errors import WireError
from mesh.shell import curve
from mesh.shell.gate import STRAIGHT_TYPES
from mesh.shell.lines import Line, Neighbours
from mesh.shell.pictures import wanted_form
from mesh.shell.ring import Lease
from mesh.shell.sources import Source
from mesh.shell.straight import Call, Lines
from mesh.shell.streams import HWM, bounded, endpoint
from mesh.shell.unloading import Crate, FreightLines, leave
from mesh.shell.values import value_of
from mesh.shell.waiting import EVENTS, NOBLOCK, POLLIN

QUEUE_FRAMES_MAX = 1000
QUEUE_BYTES_MAX = 16 * 1024 * 1024
PARTING_S = 1.0  # what a source said is on its way no longer than that, or it is not worth hearing any more


@dataclass(slots=True)
class _Voice:
    """What is known of one sender of an input: its last number, and the meter of its instance."""

    meter: GapMeter
    holder: tuple[str, int] = ("", 0)
    number: int = -1


def _speaker(sender: Sender) -> Speaker:
    return Speaker(sender.instance, sender.node, sender.generation)


class Input:
    """One input of this role: its socket, what waits, and what was counted."""

    def __init__(
        self, name: str, stream: str, type_: str, delivery: str, socket: zmq.Socket[Any], neighbours: Neighbours | None = None,
        pictures: str = "", call: Call | None = None,
    ) -> None:  # fmt: skip
        """`neighbours` calls at the doors of this machine; without it every source is heard over the network, and by `call`, which
        makes a socket to where a source is asked, on lines of their own."""
        self.name = name
        self.stream = stream
        self.form = (stream, type_, delivery, pictures)
        self.received = self.dropped = 0
        self._refused = 0
        self.socket: Any = bounded(socket, HWM[type_])
        self.monitor: Any = socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self._latest = delivery == "latest"
        if self._latest:
            socket.setsockopt(zmq.CONFLATE, 1)
        self._topic = stream.encode() + TOPIC_END
        far_topic = self._topic if type_ != "image" else topic(stream, wanted_form(pictures))
        self._far_topic_bytes = len(far_topic)
        socket.subscribe(far_topic)
        self._neighbours = neighbours
        self._lines: dict[Speaker, tuple[Line, Source]] = {}
        self._straight: Lines | None = None
        if call is not None and neighbours is not None and type_ in STRAIGHT_TYPES and not self._latest:
            self._straight = Lines(self, self._topic, neighbours.waiting, call)
        elif call is not None and neighbours is not None and type_ == "image":
            self._straight = FreightLines(self, asked_for(far_topic, delivery), neighbours.waiting, call)
        self._far_topic, self._only_straight = far_topic, False
        self._copy = type_ != "image"
        self._receive: Any = super(zmq.Socket, socket).recv
        self._events: Any = super(zmq.Socket, socket).get
        self._senders: dict[bytes, Sender] = {}
        self._fence = Fence()
        self._utterances = Utterances()
        self._voices: dict[Sender, _Voice] = {}
        self._sender: Sender | None = None  # of the last frame, and what is known of it
        self._voice = _Voice(GapMeter(""))
        self._meters: dict[str, GapMeter] = {}
        self._far: dict[str, str] = {}  # where a source is heard over the network, and its key
        self._keys: dict[str, str] = {}  # by which each place was connected that is or was heard over the network
        self._parting: dict[str | Speaker, float] = {}  # a line that is to be cut, and when
        self._sources: tuple[Source, ...] = ()
        self.waiting: deque[tuple[Header, Any, int]] = deque()
        self._waiting_bytes = 0

    # ---- who is heard

    def hear(self, sources: Iterable[Source]) -> None:
        """Listens to exactly these. Those that stay keep their connection. What the others said while they counted still counts, and
        may be on its way: a process that has just ended, of whom the agents know sooner than this machine has read its last
        words. So their lines are cut a moment later (`part`)."""
        self._read_all()
        self._sources = wanted = tuple(sources)
        self._connect({endpoint(each.address, each.frames_port): each.key for each in wanted if not self._is_near(each)})
        self._want_straight()
        speakers, until_s = {each.speaker for each in wanted}, time.monotonic() + PARTING_S
        for speaker in self._lines:
            if speaker in speakers:
                self._parting.pop(speaker, None)
            else:
                self._parting.setdefault(speaker, until_s)
        self._fence.route((each.instance, each.node, each.epoch, each.generation, each.state) for each in wanted)
        self._utterances.lost(speakers, time.monotonic())
        self._sender = None
        self._voices = {sender: voice for sender, voice in self._voices.items() if _speaker(sender) in speakers}

    def shun(self, nodes: frozenset[str], keys: frozenset[str]) -> None:
        """Cuts the lines to these nodes, whose processes have these keys; what is on its way counts no more, until routes name them."""
        self._fence.shun(nodes)
        if self._straight is not None:
            self._straight.shun(nodes)
        places = [place for place, key in self._keys.items() if key in keys]
        self._parting |= dict.fromkeys([*places, *(each for each in self._lines if each.node in nodes)], 0.0)
        self.part(time.monotonic())

    def _read_all(self) -> None:
        self.read()
        for line, _ in list(self._lines.values()):
            line.drain()

    def part(self, now: float) -> None:
        """To be called now and then: cuts the lines to those who are no longer named, and asks for those that are to be had."""
        if self._straight is not None:
            self._straight.keep_house(now)
        if due := [gone for gone, until_s in self._parting.items() if until_s <= now]:
            self._read_all()
        for gone in due:
            self._parting.pop(gone, None)
            if isinstance(gone, Speaker):
                self._hang_up(gone)
            else:
                with contextlib.suppress(zmq.ZMQError):
                    self.socket.disconnect(gone)
        if due and not self._parting:
            self._fence.forget()

    def _connect(self, wanted: dict[str, str]) -> None:
        """`wanted`: where, and whose key must be there. Another key at the same place is another process, and another connection."""
        until_s = time.monotonic() + PARTING_S
        self._parting.update({gone: until_s for gone in self._far if gone not in wanted})
        for new, key in wanted.items():
            parting = self._parting.pop(new, None) is not None
            if self._keys.get(new) == key and (parting or new in self._far):
                continue
            with contextlib.suppress(zmq.ZMQError):  # what is not an address is a source that never speaks
                if parting or new in self._far:
                    self.socket.disconnect(new)
                curve.call(self.socket, key)
                self.socket.connect(new)
            self._keys[new] = key
        self._far = wanted
        self._keys = {place: key for place, key in self._keys.items() if place in wanted or place in self._parting}

    def _want_straight(self) -> None:
        if self._straight is not None:
            self._straight.want([each for each in self._sources if each.speaker not in self._lines], time.monotonic(), PARTING_S)

    def _is_near(self, source: Source) -> bool:
        """Whether a source is heard by a line of its own, on this machine; calls at its door where there is none yet."""
        known = self._lines.get(source.speaker)
        if known is not None and known[1].frames_port == source.frames_port:
            return True
        if self._neighbours is None or endpoint(source.address, source.frames_port) in self._far:
            return False
        if known is not None:
            self._hang_up(source.speaker)
        called = self._neighbours.call(source, self._topic, self._latest)
        if called is None:
            return False
        line = Line(called, self._latest, self._take_near, self._lost)
        self._lines[source.speaker] = (line, source)
        self._neighbours.waiting.add_file(line.fd, line.read)
        return True

    def _hang_up(self, speaker: Speaker) -> None:
        self._parting.pop(speaker, None)
        if speaker not in self._lines:
            return
        line, _ = self._lines.pop(speaker)
        assert self._neighbours is not None
        self._neighbours.waiting.remove_file(line.fd)
        self._refused += line.refused
        line.close()

    def _lost(self, line: Line) -> None:
        """Its writer has ended, or has no memory to share: from here on the way over the network."""
        for speaker, (each, _) in list(self._lines.items()):
            if each is line:
                self._hang_up(speaker)
                for source in self._sources:
                    if source.speaker == speaker:
                        self._connect({**self._far, endpoint(source.address, source.frames_port): source.key})
                        self._want_straight()
                        self.line_broke(source)

    def notice(self) -> None:
        """A line over the network broke: whoever spoke there is silent now. Called when the monitor most likely has something to say."""
        while self.monitor.get(EVENTS) & POLLIN:
            where = self.monitor.recv_multipart(NOBLOCK)[1].decode(errors="replace")
            self.read()  # what it said before it ended
            for source in self._sources:
                if endpoint(source.address, source.frames_port) == where and source.speaker not in self._lines:
                    self.line_broke(source)

    def line_broke(self, source: Source) -> None:
        """The line to a source broke."""
        if source.state == "playing":
            self._fence.broke(source.instance, source.node, source.epoch)

    @property
    def refused(self) -> int:
        """Broken frames and packets."""
        straight = 0 if self._straight is None else self._straight.refused
        return self._refused + straight + sum(line.refused for line, _ in list(self._lines.values()))

    @property
    def near(self) -> int:
        """How many of its sources are heard on this machine's own way."""
        return len(self._lines)

    @property
    def straight(self) -> int:
        """How many of its sources on other machines are heard by lines of their own."""
        return 0 if self._straight is None else len(self._straight.live)

    def close(self) -> None:
        """Listens to nobody any more."""
        for speaker in list(self._lines):
            self._hang_up(speaker)
        if self._straight is not None:
            self._straight.close()
        self.socket.disable_monitor()
        self.monitor.close(linger=0)
        self.socket.close(linger=0)

    # ---- reading

    def _take_near(self, data: bytes | Lease) -> None:
        """A frame of a line: its bytes, or where they lie in shared memory."""
        try:
            header = frames.decode(data.data if type(data) is Lease else data, len(self._topic), self._senders)  # type: ignore[arg-type]
        except WireError:
            self._refused += 1
            return
        self._hear_out(header, data)

    def last_of(self, speaker: Speaker) -> int:
        """The number of the last frame that was heard of one source; -1: none."""
        return max((voice.number for sender, voice in self._voices.items() if _speaker(sender) == speaker), default=-1)

    def take_straight(self, data: bytes | Crate, after: int) -> None:
        """A frame of a source's own line. Those up to number `after` were heard before it took over."""
        crate = data if type(data) is Crate else None
        try:
            topic_bytes = len(self._topic) if crate is None else self._far_topic_bytes
            header = frames.decode(data if crate is None else crate.data, topic_bytes, self._senders)  # type: ignore[arg-type]
        except WireError:
            self._refused += 1
        else:
            if (header.number > after or header.request is not None) and self._hear_out(header, data):
                return
        leave(data)

    def only_straight(self, only: bool) -> None:
        """Whether every source on other machines is heard by a line of its own, so that ZeroMQ need not send the same."""
        if only != self._only_straight:
            self._only_straight = only
            (self.socket.unsubscribe if only else self.socket.subscribe)(self._far_topic)

    def _hear_out(self, header: Header, data: Any) -> bool:
        """Whether it waits for the role now."""
        if header.request is not None and type(header.value) is list and header.sender.type == "text":
            for each in frames.each_piece(header):
                if self._accept(each):
                    self._keep(each, each.value)
            return True
        if self._accept(header):
            self._keep(header, data)
            return True
        return False

    def read(self) -> None:
        """Takes everything that arrived over ZeroMQ. Called when there most likely is something."""
        self._read_far()
        if self._straight is not None and self._straight.holding:
            self._straight.look()

    def _read_far(self) -> None:
        receive, events, copy = self._receive, self._events, self._copy
        try:
            message = receive(NOBLOCK, copy)
        except zmq.Again:
            return
        while True:
            data = message if copy else message.buffer
            try:
                header = frames.decode(data, self._far_topic_bytes, self._senders)
            except WireError:
                self._refused += 1
            else:
                if self._straight is None or _speaker(header.sender) not in self._straight.live:
                    self._hear_out(header, data)
            if not events(EVENTS) & POLLIN:
                return
            message = receive(NOBLOCK, copy)

    def _accept(self, header: Header) -> bool:
        sender = header.sender
        if not self._fence.admits(sender, header.muted, header.request is not None):
            return False
        if header.request is not None and not self._utterances.accepts(header, time.monotonic()):
            return False
        if sender is not self._sender:
            self._turn_to(sender, speaks=header.request is not None)
        voice = self._voice
        passed = header.number - voice.number - 1
        if passed > 0 and voice.number >= 0:
            self.dropped += passed
        voice.number = header.number
        voice.meter.arrived(voice.holder, time.monotonic(), header.request)
        self.received += 1
        return True

    def _turn_to(self, sender: Sender, *, speaks: bool) -> None:
        """Another one speaks than just before. Copies that answer share a meter: each goes on where another stopped."""
        voice = self._voices.get(sender)
        if voice is None:
            name = sender.instance.partition("/")[0] if speaks else sender.instance
            meter = self._meters.setdefault(name, GapMeter(name))
            voice = self._voices[sender] = _Voice(meter, (sender.node, sender.generation))
        self._sender, self._voice = sender, voice

    def _keep(self, header: Header, data: Any) -> None:
        if self._latest:
            self._forget_older(header.sender.instance)
        size = len(data)
        self.waiting.append((header, data, size))
        self._waiting_bytes += size
        while len(self.waiting) > QUEUE_FRAMES_MAX or (self._waiting_bytes > QUEUE_BYTES_MAX and len(self.waiting) > 1):
            _, passed, bytes_ = self.waiting.popleft()
            self._waiting_bytes -= bytes_
            self.dropped += 1
            leave(passed)

    def _forget_older(self, instance: str) -> None:
        for index, (header, passed, size) in enumerate(self.waiting):
            if header.sender.instance == instance:
                del self.waiting[index]
                self._waiting_bytes -= size
                self.dropped += 1
                leave(passed)
                return

    def take(self) -> tuple[Header, Any] | None:
        """The next frame for the role, which must wait: its header and its value. None for a picture that cannot be unpacked."""
        header, data, size = self.waiting.popleft()
        self._waiting_bytes -= size
        leave(data)
        try:
            return header, value_of(header, data)
        except WireError:
            self._refused += 1
            return None

    # ---- what time brings

    def broken(self, now: float) -> list[tuple[str, int]]:
        """Utterances that nobody went on with: (request, number of their closing piece)."""
        return self._utterances.broken(now)

    def gaps(self, now: float) -> list[Gap]:
        """The gaps of changes of holder whose measuring is over."""
        return [gap for meter in self._meters.values() if (gap := meter.due(now)) is not None]
