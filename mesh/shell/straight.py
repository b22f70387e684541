"""A reader's lines straight to writers on other machines (`gate`): asks for them, takes them over from ZeroMQ, gives them back.

A source on another machine is heard over ZeroMQ from the first moment. Meanwhile it is asked there for a line of its own, which
is called for over TCP; its first word is at which number of the stream it begins. Until all that comes before has been heard over
ZeroMQ (or a quarter of a second is over) it waits; from then on this source is heard by its line alone. When every
source of an input has one, the input's subscription ends, so that nothing crosses the network twice. A line that breaks, or
cannot be had, changes one thing: ZeroMQ is listened to again.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import zmq

from mesh.core.hearing import Speaker
from mesh.core.request_messages import LINE_DIGITS, LINE_SECRET_BYTES, Offer, Taken, decode, encode
from mesh.errors import WireError
from mesh.shell.confinement import as_the_mesh
from mesh.shell.gate import MAGIC, NUMBER_BYTES, hasten
from mesh.shell.sealing import Opening, Seal, keys
from mesh.shell.sources import Source
from mesh.shell.waiting import EVENTS, NOBLOCK, POLLIN, Waiting

ASKED_S, HANDED_OVER_S = 5.0, 0.25
AGAIN_S, AGAIN_MAX_S = 2.0, 60.0  # until a line that could not be had is asked for again
READ_BYTES = 64 * 1024  # at once: the system maps memory anew for each larger read, which takes as long as a whole round trip
Call = Callable[[Source], Any]


class Ear(Protocol):
    """The input that listens."""

    def last_of(self, speaker: Speaker) -> int: ...
    def take_straight(self, data: Any, after: int) -> None: ...
    def only_straight(self, only: bool) -> None: ...
    def line_broke(self, source: Source) -> None: ...


class Line:
    """One line, from its being asked for to its end."""

    def __init__(self, lines: Lines, source: Source, now: float) -> None:
        self.source = source
        self.live = False  # this source is heard by it alone
        self.holds = False  # it has begun, and waits for what comes before
        self.until_s = now + ASKED_S
        self._lines = lines
        self._waiting = lines.waiting
        self._id, self._secret = os.urandom(LINE_DIGITS // 2), os.urandom(LINE_SECRET_BYTES)
        self._line: socket.socket | None = None
        self._opening: Opening | None = None
        self._seal: Seal | None = None
        self._aes, self._key = False, b""
        self._greeting = b""
        self._begins = self._after = -1
        self._held: list[bytes] = []
        self._asking: Any = lines.call(source)
        if self._asking is not None:
            self._waiting.add(self._asking, self._told)
            with contextlib.suppress(zmq.ZMQError):
                self._asking.send(encode(Offer(self._id.hex(), lines.topic, self._secret, lines.aes())), NOBLOCK)
            self._waiting.sent(self._asking)

    def _told(self) -> None:
        """What the writer says to the offer."""
        while self._asking is not None and self._asking.get(EVENTS) & POLLIN:
            try:
                taken = decode(self._asking.recv(NOBLOCK))
                if type(taken) is Taken and taken.id == self._id.hex():
                    self._ask_no_more()
                    self._call(taken)
            except WireError:
                self._lines.refused += 1

    def _ask_no_more(self) -> None:
        if self._asking is not None:
            self._waiting.remove(self._asking)
            self._asking.close(linger=0)
            self._asking = None

    def _call(self, taken: Taken) -> None:
        if taken.port == 0:
            self._lines.lost(self)
            return
        ours, theirs = keys(self._secret, taken.secret, self._id)
        self._aes, self._key, self._seal = taken.aes, theirs, Seal(ours)
        self._greeting = MAGIC + self._id + self._seal.seal(b"")
        self._opening = Opening(theirs)
        address = self.source.address
        self._line = line = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        hasten(line)
        try:
            with contextlib.suppress(BlockingIOError), as_the_mesh():
                line.connect((address, taken.port))
        except OSError:
            self._lines.lost(self)
            return
        self._waiting.add_file(line.fileno(), self._wake)
        self._waiting.want_room(line.fileno(), True)

    def _wake(self) -> None:
        """It stands, or says something, or is gone."""
        assert self._line is not None
        if self._greeting:
            self._greet()
            return
        try:
            data = self._line.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        assert self._opening is not None
        try:
            if self.live:
                take, after = self._lines.ear.take_straight, self._after
                for box in self._opening.take(data):
                    take(box, after)
            else:
                self._held += self._opening.take(data)
        except WireError:
            self._lines.refused += 1
            data = b""
        if not data:
            self._lines.lost(self)
        elif not self.live:
            self._begin()

    def _greet(self) -> None:
        assert self._line is not None
        greeting, self._greeting = self._greeting, b""
        try:
            whole = self._line.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0 and self._line.send(greeting) == len(greeting)
        except OSError:
            whole = False
        if whole:
            self._waiting.want_room(self._line.fileno(), False)
        else:
            self._lines.lost(self)

    def _begin(self) -> None:
        """Its first word, at which number it begins. Nothing more is read from it until it has taken over."""
        if not self._held:
            return
        first = self._held.pop(0)
        if len(first) != NUMBER_BYTES or self._line is None:
            self._lines.refused += 1
            self._lines.lost(self)
            return
        self._begins = int.from_bytes(first)
        self._waiting.remove_file(self._line.fileno())
        self.holds, self.until_s = True, self._lines.now + HANDED_OVER_S
        self._lines.look()

    def take_over(self, now: float) -> bool:
        """Whether it has: when all that comes before it was heard, or is not worth waiting for."""
        last = self._lines.ear.last_of(self.source.speaker)
        if not self.holds or self._line is None or (last < self._begins - 1 and now < self.until_s):
            return False
        self.live, self.holds, self._after = True, False, last
        held, self._held = self._held, []
        for box in held:
            self._lines.ear.take_straight(box, last)
        self._listen(self._line)
        return True

    def _listen(self, line: socket.socket) -> None:
        """From here on this source is heard by it alone."""
        self._waiting.add_file(line.fileno(), self._wake)

    def close(self) -> None:
        """Hangs up. May be called twice."""
        self._ask_no_more()
        if self._line is not None:
            self._waiting.remove_file(self._line.fileno())
            self._line.close()
            self._line = None


class Lines:
    """All of one input's. `topic` is what the stream is called, with its end, or for pictures what is asked for (`delivery.asked_for`)."""

    line = Line

    def aes(self) -> bool:
        """Whether what is large may be sealed by the processor's AES."""
        return False

    def __init__(self, ear: Ear, topic: bytes, waiting: Waiting, call: Call) -> None:
        self.ear, self.topic, self.waiting, self.call = ear, topic, waiting, call
        self.refused = 0
        self.now = 0.0
        self.holding = False
        self._lines: dict[Speaker, Line] = {}
        self._far: dict[Speaker, Source] = {}
        self._parting: dict[Speaker, float] = {}
        self._again: dict[Speaker, tuple[float, float]] = {}  # when to ask again, and how long after that
        self.live: frozenset[Speaker] = frozenset()

    def want(self, sources: Iterable[Source], now: float, parting_s: float) -> None:
        """Exactly these are heard over the network. What is no longer named is cut in a moment: its last words may be on their way."""
        self.now = now
        self._far = {each.speaker: each for each in sources}
        self._again = {speaker: when for speaker, when in self._again.items() if speaker in self._far}
        for speaker, line in list(self._lines.items()):
            known = self._far.get(speaker)
            if known is None:
                self._parting.setdefault(speaker, now + parting_s)
            elif (known.address, known.frames_port) != (line.source.address, line.source.frames_port):
                self._cut(speaker)
            else:
                self._parting.pop(speaker, None)
        self.keep_house(now)

    def shun(self, nodes: frozenset[str]) -> None:
        """Nobody there is heard or called any more: their lines are cut now."""
        self._far = {speaker: source for speaker, source in self._far.items() if speaker.node not in nodes}
        for speaker in [each for each in self._lines if each.node in nodes]:
            self._cut(speaker)
        self._note()

    def keep_house(self, now: float) -> None:
        """To be called now and then: asks for what is wanted, and gives up what does not come."""
        self.now = now
        for speaker in [each for each, until_s in self._parting.items() if until_s <= now]:
            self._cut(speaker)
        for line in list(self._lines.values()):
            if not line.live and not line.holds and line.until_s <= now:
                self.lost(line)
        for speaker, source in self._far.items():
            if speaker not in self._lines and self._again.get(speaker, (0.0, 0.0))[0] <= now:
                self._lines[speaker] = self.line(self, source, now)
        self.look()

    def look(self) -> None:
        """Whether a line can take over now."""
        for line in list(self._lines.values()):
            if line.holds and line.take_over(self.now):
                self._again.pop(line.source.speaker, None)
        self._note()

    def _note(self) -> None:
        self.holding = any(line.holds for line in self._lines.values())
        self.live = frozenset(speaker for speaker, line in self._lines.items() if line.live)
        self.ear.only_straight(bool(self._far) and self.live >= self._far.keys())

    def lost(self, line: Line) -> None:
        """It broke, or there is none to be had: its source is heard over ZeroMQ from here on, and asked again later."""
        speaker = line.source.speaker
        was_live = line.live
        _, wait_s = self._again.get(speaker, (0.0, AGAIN_S))
        self._cut(speaker)
        if speaker in self._far:
            self._again[speaker] = (self.now + wait_s, min(AGAIN_MAX_S, wait_s * 2))
        self._note()
        if was_live and speaker in self._far:
            self.ear.line_broke(self._far[speaker])

    def _cut(self, speaker: Speaker) -> None:
        self._parting.pop(speaker, None)
        if (line := self._lines.pop(speaker, None)) is not None:
            line.close()

    def close(self) -> None:
        """Hangs up everywhere."""
        for speaker in list(self._lines):
            self._cut(speaker)
        self._far, self.live, self.holding = {}, frozenset(), False
