"""Where readers on other machines come in for a stream of small frames, each on a line straight from the role's own thread.

Over ZeroMQ a frame of 100 bytes crosses four threads on its way and back, and waking them is most of the time that it takes. On a
line of its own it crosses none: the role's thread seals the frame (`sealing`) and hands it to the system. A reader comes in two steps.
It is heard over ZeroMQ from the first moment, and asks there (`Offer`) for a line: so who may come in, and the keys, are
ZeroMQ's affair (CURVE), and where no line can be had (a firewall, too many readers) nothing is lost but time.

What a line's reader does not take waits here: at most 1,000 frames and 16 MB, the oldest dropped, as for readers on this machine.
Texts and events only: larger frames gain nothing by it, and their sealing would keep the role's thread busy.
"""

from __future__ import annotations

import os
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from mesh.core.request_messages import LINE_SECRET_BYTES, Offer, Taken
from mesh.errors import WireError
from mesh.shell.confinement import as_the_mesh
from mesh.shell.host_config import FIRST_PORT, PORTS
from mesh.shell.near import PENDING_BYTES_MAX, PENDING_MAX
from mesh.shell.sealing import LENGTH_BYTES, MAC_BYTES, Opening, Seal, keys
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
        self._addresses = addresses
        self._documented = documented
        self._offers: dict[str, tuple[Offer, bytes, float]] = {}
        self._listeners: set[StraightListener] = set()
        self._doors: list[socket.socket] = []
        self._port = -1

    def stream(self, topic: bytes) -> StraightStream:
        """A stream that may be asked for here."""
        return self.streams.setdefault(topic, StraightStream())

    def take(self, offer: Offer) -> Taken:
        """A reader wants a line; what to tell it."""
        if self._port < 0:
            self._open()
        secret = os.urandom(LINE_SECRET_BYTES)
        if self._port == 0 or offer.topic not in self.streams or self._heard + len(self._offers) >= LINES_MAX:
            return Taken(offer.id, 0, secret)
        self._offers[offer.id] = (offer, secret, time.monotonic() + OFFER_S)
        return Taken(offer.id, self._port, secret)

    @property
    def _heard(self) -> int:
        return sum(1 for each in list(self._listeners) if each.stream is not None)

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
            if list(Opening(theirs, MAC_BYTES).take(greeting[len(MAGIC) + ID_BYTES :])) != [b""]:
                raise WireError("a greeting that is none")
        except (WireError, LookupError):
            self.refused += 1
            self.hang_up(listener)
            return
        del self._offers[offer.id]
        stream = self.streams[offer.topic]
        listener.open(ours, stream)
        stream.said(listener)

    def tidy(self, now: float) -> None:
        """To be called now and then: forgets offers that nobody came for, and who does not greet."""
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
