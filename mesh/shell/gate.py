"""Where readers on other machines come in for a stream of small frames, each on a line straight from the role's own thread.

Over ZeroMQ a frame of 100 bytes crosses four threads on its way and back, and waking them is most of the time that it takes. On a
line of its own it crosses none: the role's thread seals the frame (`sealing`) and hands it to the system. A reader comes in two steps.
It is heard over ZeroMQ from the first moment, and asks there (`Offer`) for a line: so who may come in, and the keys, are
ZeroMQ's affair (CURVE), and where no line can be had (a firewall, too many readers) nothing is lost but time.

What a line's reader does not take waits here: at most 1,000 frames and 16 MB, the oldest dropped, as for readers on this machine.
So texts and events. Pictures, whose sealing would keep the role's thread busy, go by lines that come to be in the same way and are then
handed to a thread each (`freight`). Sound and vectors stay with ZeroMQ, which serves them well.
"""

from __future__ import annotations

import os
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from mesh.core.delivery import read_asked_for
from mesh.core.request_messages import LINE_SECRET_BYTES, Offer, Taken
from mesh.errors import WireError
from mesh.shell.confinement import as_the_mesh
from mesh.shell.freight import COUNT_BYTES, Carrier, Freight
from mesh.shell.host_config import FIRST_PORT, PORTS
from mesh.shell.near import PENDING_BYTES_MAX, PENDING_MAX
from mesh.shell.sealing import LENGTH_BYTES, MAC_BYTES, Opening, Parts, Seal, has_aes, keys
from mesh.shell.waiting import Waiting

LINES_MAX = 16  # further readers are served by ZeroMQ's own threads
STRANGERS_MAX = 64
GREETING_S, OFFER_S = 2.0, 10.0
SILENT_MS = 6_000  # nothing was acknowledged for so long: the other end is gone
MAGIC = b"\x03roomful-line"
ID_BYTES = 16
HELLO_BYTES = len(MAGIC) + ID_BYTES + LENGTH_BYTES + MAC_BYTES
STRAIGHT_TYPES = frozenset(("text", "event"))
NUMBER_BYTES = 8
_DONTWAIT = int(getattr(socket, "MSG_DONTWAIT", 0)) | int(getattr(socket, "MSG_NOSIGNAL", 0))


def hasten(line: socket.socket) -> None:
    """Small frames leave at once; an end that has vanished is noticed."""
    line.setblocking(False)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_USER_TIMEOUT", SILENT_MS), ("TCP_KEEPIDLE", 4), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 2)):
        if hasattr(socket, name):
            line.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class StraightStream:
    """One stream's readers on lines of their own."""

    def __init__(self) -> None:
        self.listeners: tuple[StraightListener, ...] = ()
        self.number: Callable[[], int] = int  # of its next frame
        self.said: Callable[[StraightListener], None] = lambda listener: None  # tells who comes late


class StraightListener:
    """One reader, as its writer sees it; a stranger until it has greeted."""

    __slots__ = ("_gate", "_greeting", "_line", "_pending", "_pending_bytes", "_rest", "_seal", "fd", "stream", "until_s")

    def __init__(self, gate: Gate, line: socket.socket, until_s: float) -> None:
        self.fd = line.fileno()
        self.stream: StraightStream | None = None
        self.until_s = until_s
        self._gate = gate
        self._line = line
        self._greeting = b""
        self._seal: Seal | None = None
        self._rest = b""  # of a box that is half on its way
        self._pending: deque[bytes] = deque()
        self._pending_bytes = 0

    def open(self, key: bytes, stream: StraightStream) -> None:
        """From here on it hears the stream; first, at which number that begins."""
        self._seal, self.stream = Seal(key), stream
        self.send(stream.number().to_bytes(NUMBER_BYTES))
        stream.listeners = (*stream.listeners, self)

    def give_up(self) -> socket.socket:
        """The line, for who takes it over."""
        return self._line

    def send(self, message: bytes) -> None:
        """Now, or as soon as it takes more; never waits."""
        if self._rest or self._pending:
            self._pending.append(message)
            self._pending_bytes += len(message)
            while len(self._pending) > PENDING_MAX or self._pending_bytes > PENDING_BYTES_MAX:
                self._pending_bytes -= len(self._pending.popleft())
            return
        assert self._seal is not None
        self._put(self._seal.seal(message))

    def _put(self, data: bytes) -> bool:
        """Whether all of it is on its way."""
        try:
            sent = self._line.send(data, _DONTWAIT)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._gate.hang_up(self)
            return False
        if sent == len(data):
            return True
        self._rest = data[sent:]
        self._gate.waiting.want_room(self.fd, True)
        return False

    def wake(self) -> None:
        """It takes more, greets, or has hung up."""
        if self._rest:
            rest, self._rest = self._rest, b""
            while self._put(rest) and self._pending:
                message = self._pending.popleft()
                self._pending_bytes -= len(message)
                assert self._seal is not None
                rest = self._seal.seal(message)
            if not self._rest:
                self._gate.waiting.want_room(self.fd, False)
        try:
            data = self._line.recv(HELLO_BYTES - len(self._greeting) + 1)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._greeting += data
        if not data or self.stream is not None or len(self._greeting) > HELLO_BYTES:
            self._gate.hang_up(self)
        elif len(self._greeting) == HELLO_BYTES:
            self._gate.join(self, self._greeting)

    def close(self) -> None:
        """Hangs up."""
        self._line.close()


class Gate:
    """Lets in those readers who were told how. `addresses` and `documented` say where: at the documented ports, or at a free one."""

    def __init__(self, waiting: Waiting, addresses: Sequence[str], documented: bool) -> None:
        self.waiting = waiting
        self.refused = 0
        self.streams: dict[bytes, StraightStream] = {}
        self.freights: dict[bytes, Freight] = {}
        self._addresses = addresses
        self._documented = documented
        self._offers: dict[str, tuple[Offer, bytes, float]] = {}
        self._listeners: set[StraightListener] = set()
        self._doors: list[socket.socket] = []
        self._port = -1

    def stream(self, topic: bytes) -> StraightStream:
        """A stream that may be asked for here."""
        return self.streams.setdefault(topic, StraightStream())

    def freight(self, topic: bytes) -> Freight:
        """The same for a stream of pictures."""
        return self.freights.setdefault(topic, Freight())

    def take(self, offer: Offer) -> Taken:
        """A reader wants a line; what to tell it."""
        if self._port < 0:
            self._open()
        secret = os.urandom(LINE_SECRET_BYTES)
        known = offer.topic in self.streams or read_asked_for(offer.topic)[0] in self.freights
        if self._port == 0 or not known or self._heard + self._carried + len(self._offers) >= LINES_MAX:
            return Taken(offer.id, 0, secret)
        self._offers[offer.id] = (offer, secret, time.monotonic() + OFFER_S)
        return Taken(offer.id, self._port, secret, offer.aes and has_aes())

    @property
    def _heard(self) -> int:
        return sum(1 for each in list(self._listeners) if each.stream is not None)

    @property
    def _carried(self) -> int:
        return sum(len(each.carriers) for each in self.freights.values())

    def _open(self) -> None:
        """Listens; where that cannot be, readers stay with ZeroMQ."""
        self._port = 0
        for port in range(FIRST_PORT + PORTS - 1, FIRST_PORT - 1, -1) if self._documented else (0,):
            try:
                self._doors = _listening(self._addresses, port)
            except OSError:
                continue
            self._port = int(self._doors[0].getsockname()[1])
            for door in self._doors:
                self.waiting.add_file(door.fileno(), partial(self._answer, door))
            return

    def _answer(self, door: socket.socket) -> None:
        try:
            line, _ = door.accept()
        except OSError:
            return
        if len(self._listeners) - self._heard >= STRANGERS_MAX:
            self.refused += 1
            line.close()
            return
        hasten(line)
        listener = StraightListener(self, line, time.monotonic() + GREETING_S)
        self._listeners.add(listener)
        self.waiting.add_file(listener.fd, listener.wake)

    def join(self, listener: StraightListener, greeting: bytes) -> None:
        """Its greeting has come: the name of a line that was offered, sealed with its key."""
        try:
            if not greeting.startswith(MAGIC):
                raise WireError("a greeting that is none")
            name = greeting[len(MAGIC) : len(MAGIC) + ID_BYTES]
            offer, secret, _ = self._offers[name.hex()]
            theirs, ours = keys(offer.secret, secret, name)
            opening = Opening(theirs, COUNT_BYTES + MAC_BYTES)
            if list(opening.take(greeting[len(MAGIC) + ID_BYTES :])) != [b""]:
                raise WireError("a greeting that is none")
        except (WireError, LookupError):
            self.refused += 1
            self.hang_up(listener)
            return
        del self._offers[offer.id]
        if offer.topic not in self.streams:
            self._load(listener, offer, ours, opening)
            return
        stream = self.streams[offer.topic]
        listener.open(ours, stream)
        stream.said(listener)

    def _load(self, listener: StraightListener, offer: Offer, key: bytes, opening: Opening) -> None:
        """A reader of pictures: its line goes to a thread of its own."""
        topic, form, rule = read_asked_for(offer.topic)
        self._listeners.discard(listener)
        self.waiting.remove_file(listener.fd)
        freight = self.freights[topic]
        ends = (Seal(key), opening, Parts(key, offer.aes and has_aes()))
        carrier = Carrier(listener.give_up(), *ends, form, rule == "latest")
        try:
            carrier.begin(freight.number())
        except OSError:
            carrier.close()
            return
        freight.carriers = (*freight.carriers, carrier)

    def tidy(self, now: float) -> None:
        """To be called now and then: forgets offers that nobody came for, who does not greet, and who has gone."""
        for freight in self.freights.values():
            if any(each.ended for each in freight.carriers):
                ended = [each for each in freight.carriers if each.ended]
                freight.carriers = tuple(each for each in freight.carriers if each not in ended)
                for carrier in ended:
                    carrier.close()
        for id in [id for id, (_, _, until_s) in self._offers.items() if until_s < now]:
            del self._offers[id]
        for listener in [each for each in self._listeners if each.stream is None and each.until_s < now]:
            self.refused += 1
            self.hang_up(listener)

    def hang_up(self, listener: StraightListener) -> None:
        """It is gone, or must go."""
        if listener in self._listeners:
            self._listeners.discard(listener)
            self.waiting.remove_file(listener.fd)
            if listener.stream is not None:
                listener.stream.listeners = tuple(each for each in listener.stream.listeners if each is not listener)
            listener.close()

    def close(self) -> None:
        """Ends every line."""
        for listener in list(self._listeners):
            self.hang_up(listener)
        for freight in self.freights.values():
            carriers, freight.carriers = freight.carriers, ()
            for carrier in carriers:
                carrier.close()
        for door in self._doors:
            self.waiting.remove_file(door.fileno())
            door.close()
        self._doors, self._port = [], 0


def _listening(addresses: Iterable[str], port: int) -> list[socket.socket]:
    """Sockets at one port of all the addresses. Raises OSError where it is taken."""
    doors: list[socket.socket] = []
    try:
        for address in addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            with as_the_mesh():
                door = socket.create_server(("" if address == "*" else address, port), family=family, backlog=STRANGERS_MAX)
            door.setblocking(False)
            doors.append(door)
            port = int(door.getsockname()[1])
    except OSError:
        for door in doors:
            door.close()
        raise
    return doors
