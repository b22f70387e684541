"""How pictures go to readers on other machines: each on a line of its own, sealed in a thread of its own, and only when it is wanted.

ZeroMQ takes a picture, seals it and sends it, whether its reader has time for it or not; what the reader then passes over was sealed
and opened in vain, which for raw pictures was half of the work of both machines. Here the reader says how many it takes
(`Unloader` in `unloading`): a count of all that may have been sent on this line, which it raises as its role takes them. Until then a
picture waits here, unsealed, where it lies in the ring; where only the newest counts, the next one takes its place, so that what
leaves is the newest there is at that moment. For `queue`, at most 1,000 and 16 MB wait, the oldest dropped.

One thread a reader, since it may stand still for hours and must hold up nobody. It lets Python go on while it seals and sends, from
the ring into one buffer, a part of a picture after another: the other end opens one while the next is sealed. What the writer's role
does is to leave a picture here and to ring a bell. How the line comes to be is `gate`'s affair; until it stands, and where it cannot be
had, ZeroMQ serves the reader as before.

    writer -> reader   a word: [length][box of 8 bytes: at which number it begins]; then, for each picture:
                       a word: its bytes, then boxes of PART_BYTES and what is left
    reader -> writer   words: how many pictures it takes, counted from the first

Decided against: sealing in the role's thread (6 ms for a raw picture, in which the role does nothing), one sealing for all readers (a key
that they share could be used by one to speak for the writer), and credit on top of ZeroMQ (its CONFLATE and its queues
lie behind the sealing; and its way costs a copy and new memory for each picture at either end).
"""

from __future__ import annotations

import os
import select
import socket
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from mesh.errors import WireError
from mesh.shell.near import PENDING_BYTES_MAX, PENDING_MAX
from mesh.shell.sealing import LENGTH_BYTES, MAC_BYTES, Opening, Parts, Seal

COUNT_BYTES = 8
WORD_BYTES = LENGTH_BYTES + COUNT_BYTES + MAC_BYTES
PART_BYTES = 1024 * 1024
UNSENT_BYTES = 512 * 1024  # that the system may keep of a picture: what is not on its way yet should still be the newest there is
JOIN_S = 5.0


class Freight:
    """One stream's readers on lines of their own, for streams of pictures."""

    def __init__(self) -> None:
        self.carriers: tuple[Carrier, ...] = ()
        self.number: Callable[[], int] = int  # of its next frame

    def forms(self) -> frozenset[str]:
        """In which forms they are taken."""
        return frozenset(each.form for each in self.carriers)

    def leave(self, form: str, message: memoryview) -> None:
        """A frame for all who take it in this form. It must not change for as long as anybody holds it."""
        for each in self.carriers:
            if each.form == form:
                each.leave(message)


class Carrier:
    """One reader, as its writer sees it. `leave` and `close` are for the role's thread. `sent`: pictures that were sealed;
    `waiting_bytes`: of those that wait."""

    def __init__(self, line: socket.socket, seal: Seal, opening: Opening, parts: Parts, form: str, latest: bool) -> None:
        """Takes the line over, and this end of its encryption."""
        self.form = form
        self.ended = False
        self.waiting_bytes = 0
        self._line, self._seal, self._opening, self._parts, self._latest = line, seal, opening, parts, latest
        self._pending: deque[memoryview] = deque()
        self._lock = threading.Lock()
        self._idle = False
        self._bell_read, self._bell_write = os.pipe()
        for bell in (self._bell_read, self._bell_write):
            os.set_blocking(bell, False)
        self.sent = self._taken = 0
        self._closing = False
        self._buffer = bytearray()
        self._thread = threading.Thread(target=self._run, name="freight", daemon=True)

    def begin(self, number: int) -> None:
        """From here on it hears the stream, which stands at this number."""
        self._line.setblocking(True)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            self._line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
        self._line.sendall(self._seal.seal(number.to_bytes(COUNT_BYTES)))
        self._thread.start()

    def leave(self, message: memoryview) -> None:
        """For when it is wanted; never waits."""
        with self._lock:
            pending = self._pending
            if self._latest:
                pending.clear()
                self.waiting_bytes = 0
            pending.append(message)
            self.waiting_bytes += message.nbytes
            while len(pending) > 1 and (len(pending) > PENDING_MAX or self.waiting_bytes > PENDING_BYTES_MAX):
                self.waiting_bytes -= pending.popleft().nbytes
            idle, self._idle = self._idle, False
        if idle:
            self._ring()

    def _ring(self) -> None:
        with suppress(BlockingIOError):
            os.write(self._bell_write, b"!")

    def close(self) -> None:
        """Hangs up, wherever it stands."""
        self._closing = True
        with suppress(OSError):
            self._line.shutdown(socket.SHUT_RDWR)
        self._ring()
        if self._thread.ident is not None:
            self._thread.join(JOIN_S)
        self._line.close()
        self._pending.clear()
        for bell in (self._bell_read, self._bell_write):
            os.close(bell)

    # ---- in its own thread

    def _run(self) -> None:
        try:
            while (message := self._next()) is not None:
                self._carry(message)
                del message  # or it would be held until the next one
        except (OSError, WireError):
            pass
        self.ended = True

    def _next(self) -> memoryview | None:
        """The next picture that its reader takes; None when the line is to end."""
        poll = select.poll()
        poll.register(self._line.fileno(), select.POLLIN)
        poll.register(self._bell_read, select.POLLIN)
        while not self._closing:
            with self._lock:
                if self._pending and self.sent < self._taken:
                    message = self._pending.popleft()
                    self.waiting_bytes -= message.nbytes
                    return message
                self._idle = self.sent < self._taken
            for fd, _ in poll.poll():
                if fd == self._bell_read:
                    with suppress(BlockingIOError):
                        os.read(fd, 64)
                else:
                    self._hear()
        return None

    def _hear(self) -> None:
        """How many it takes. Raises WireError or OSError at the line's end."""
        data = self._line.recv(4096)
        if not data:
            raise WireError("the reader has gone")
        for word in self._opening.take(data):
            if len(word) != COUNT_BYTES:
                raise WireError("a word of another length")
            self._taken = max(self._taken, int.from_bytes(word))

    def _carry(self, message: memoryview) -> None:
        """Seals and sends one picture, part by part."""
        size = message.nbytes
        room = WORD_BYTES + min(size, PART_BYTES) + MAC_BYTES
        if len(self._buffer) < room:
            self._buffer = bytearray(room)
        view = memoryview(self._buffer)
        view[:WORD_BYTES] = self._seal.seal(size.to_bytes(COUNT_BYTES))
        start = 0
        for at in range(0, size, PART_BYTES):
            part = message[at : at + PART_BYTES]
            self._parts.seal(view[WORD_BYTES:], part, part.nbytes)
            self._line.sendall(view[start : WORD_BYTES + part.nbytes + MAC_BYTES])
            start = WORD_BYTES
            del part
        self.sent += 1
