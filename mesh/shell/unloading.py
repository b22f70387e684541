"""How a reader takes pictures from a writer on another machine (`freight`): a line of its own, read in a thread of its own.

The thread opens each part as it comes, straight to where the picture shall lie; the role's thread finds the whole of it. It lies
in memory that is used again once the role has let go of its array: a picture of 6 MB in new memory costs the system as long as sealing it.

How many the writer may send is said by the rule. `queue`: as many more than the role took as have room; the rest waits at the writer.
`latest`: two while nothing waits for the role, one on its way and one that is being sealed, so that both machines work at once. Something
waits: no more are asked for, but one every REFRESH_S takes its place, so that a role that was busy for seconds finds a picture of
just now, as it does on one machine, and not the one that came when it began. What comes in vain is thus bounded by time, not by
the writer's rate.
"""

from __future__ import annotations

import os
import select
import socket
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from mesh.core.frames import FRAME_BYTES_MAX, HEAD_BYTES_MAX
from mesh.errors import WireError
from mesh.shell.freight import COUNT_BYTES, JOIN_S, PART_BYTES, WORD_BYTES
from mesh.shell.sealing import MAC_BYTES, Opening, Parts, Seal, has_aes
from mesh.shell.straight import Line, Lines

if TYPE_CHECKING:
    import numpy

REFRESH_S = 0.04
AHEAD, AHEAD_MAX = 2, 8
AHEAD_BYTES = 8 * 1024 * 1024  # half of what an input keeps
KEPT_MAX = 3  # pieces of memory that wait to be used again
ROUND_BYTES = 64 * 1024
LATEST = b"latest"
_WAITALL = int(getattr(socket, "MSG_WAITALL", 0))


class Crate:
    """One whole message, in memory that is given back when this and every array over it are gone."""

    __slots__ = ("__array_interface__", "_left", "_memory", "_unloader", "data", "size")

    def __init__(self, unloader: Unloader, memory: numpy.ndarray[Any, Any], size: int) -> None:
        self._unloader = unloader
        self._memory = memory
        self._left = False
        self.size = size
        self.data = memoryview(memory)[:size]  # type: ignore[arg-type]

    def array(self, dtype: str, shape: tuple[int, ...], at: int) -> numpy.ndarray[Any, Any]:
        """A read-only array over the message's bytes from `at` on; nothing is copied."""
        import numpy

        address = self._memory.ctypes.data + at
        self.__array_interface__ = {"version": 3, "shape": shape, "typestr": dtype, "data": (address, True)}
        return numpy.asarray(self)

    def __len__(self) -> int:
        return self.size

    def leave(self) -> None:
        """The role takes it, or nobody will: another one may come. May be called twice."""
        if not self._left:
            self._left = True
            self._unloader.left.append(None)
            self._unloader.grant()

    def __del__(self) -> None:
        self._unloader.spare.append(self._memory)
        if not self._left:
            self._unloader.left.append(None)  # from any thread, at any moment: the next grant counts it


def leave(data: Any) -> None:
    """The role takes this, or nobody will; where it came in a crate, another one may come."""
    if type(data) is Crate:
        data.leave()


class Unloader:
    """One line's thread. `bell` is readable when `take` has something, or the line has ended."""

    def __init__(self, line: socket.socket, seal: Seal, opening: Opening, parts: Parts, latest: bool) -> None:
        self.left: deque[None] = deque()  # a mark for each crate that was left since the last grant
        self.spare: deque[numpy.ndarray[Any, Any]] = deque(maxlen=KEPT_MAX)
        self.ended = self.broken = False
        self._line, self._seal, self._opening, self._parts, self._latest = line, seal, opening, parts, latest
        self._arrived: deque[Crate] = deque()
        self._lock = threading.Lock()
        self._left = self._received = self._granted = 0
        self._size = 0
        self._sealed = memoryview(bytearray(PART_BYTES + MAC_BYTES))
        self.bell, self._bell_write = os.pipe()
        for bell in (self.bell, self._bell_write):
            os.set_blocking(bell, False)
        line.setblocking(True)
        self._thread = threading.Thread(target=self._run, name="unloading", daemon=True)
        self._thread.start()

    def take(self) -> list[Crate]:
        """What has come, oldest first."""
        with suppress(BlockingIOError):
            os.read(self.bell, 64)
        with self._lock:
            taken = list(self._arrived)
            self._arrived.clear()
        return taken

    def grant(self) -> None:
        """Says to the writer how many it may send, if that has changed."""
        with self._lock:
            while self.left:
                self.left.popleft()
                self._left += 1
            if not self._latest:
                self._grant(self._left + max(AHEAD, min(AHEAD_MAX, AHEAD_BYTES // max(1, self._size))))
            elif self._left >= self._received:
                self._grant(self._received + AHEAD)

    def _grant(self, count: int) -> None:
        if count > self._granted and not self.ended:
            self._granted = count
            with suppress(OSError):  # the thread finds out
                self._line.sendall(self._seal.seal(count.to_bytes(COUNT_BYTES)))

    def close(self) -> None:
        """Hangs up. What was taken stays readable."""
        self.ended = True
        with suppress(OSError):
            self._line.shutdown(socket.SHUT_RDWR)
        self._thread.join(JOIN_S)
        self._line.close()
        self._arrived.clear()
        for bell in (self.bell, self._bell_write):
            os.close(bell)

    # ---- in its own thread

    def _run(self) -> None:
        self.grant()
        try:
            while not self.ended:
                self._deliver(self._unload(self._next_size()))
        except WireError:
            self.broken = not self.ended
        except OSError:
            pass
        self.ended = True
        self._ring()

    def _ring(self) -> None:
        with suppress(OSError):
            os.write(self._bell_write, b"!")

    def _deliver(self, crate: Crate) -> None:
        passed: list[Crate] = []
        with self._lock:
            self._received += 1
            self._size = crate.size
            if self._latest:
                passed += self._arrived
                self._arrived.clear()
            rings = not self._arrived and not passed
            self._arrived.append(crate)
        for each in passed:
            each.leave()
        if rings:
            self._ring()

    def _next_size(self) -> int:
        """Waits for the next picture's first word. Raises WireError, or OSError at the line's end."""
        if self._latest:
            self._refresh()
        self._receive(self._sealed[:WORD_BYTES])
        for word in self._opening.take(bytes(self._sealed[:WORD_BYTES])):
            size = int.from_bytes(word)
            if 0 < size <= FRAME_BYTES_MAX + HEAD_BYTES_MAX:
                return size
        raise WireError("a frame of impossible size")

    def _refresh(self) -> None:
        """While something waits for the role and nothing is on its way, asks for a newer one now and then."""
        poll = select.poll()
        poll.register(self._line.fileno(), select.POLLIN)
        while not self.ended and not poll.poll(REFRESH_S * 1000):
            self.grant()
            with self._lock:
                if self._granted > self._received:
                    return  # one is on its way, or may come at any moment
                self._grant(self._received + 1)

    def _unload(self, size: int) -> Crate:
        memory = self._memory(size)
        view = memoryview(memory)  # type: ignore[arg-type]
        for at in range(0, size, PART_BYTES):
            part = min(PART_BYTES, size - at)
            self._receive(self._sealed[: part + MAC_BYTES])
            self._parts.open(view[at : at + part], self._sealed, part)
        return Crate(self, memory, size)

    def _receive(self, target: memoryview) -> None:
        """All of it. Raises OSError at the line's end."""
        while target:
            got = self._line.recv_into(target, len(target), _WAITALL)
            if not got:
                raise ConnectionResetError
            target = target[got:]

    def _memory(self, size: int) -> numpy.ndarray[Any, Any]:
        import numpy

        with suppress(IndexError):
            while True:
                spare = self.spare.popleft()
                if size <= spare.nbytes <= 2 * size + ROUND_BYTES:
                    return spare
        return numpy.empty(-(-size // ROUND_BYTES) * ROUND_BYTES, "u1")


class FreightLine(Line):
    """One line for pictures, from its being asked for to its end; up to its first word it is like any other."""

    _unloader: Unloader | None = None

    def _listen(self, line: socket.socket) -> None:
        assert self._opening is not None and self._seal is not None
        parts = Parts(self._key, self._aes)
        self._unloader = Unloader(line, self._seal, self._opening, parts, self._lines.topic.endswith(LATEST))
        self._waiting.add_file(self._unloader.bell, self._arrived)

    def _arrived(self) -> None:
        unloader = self._unloader
        assert unloader is not None
        for crate in unloader.take():
            self._lines.ear.take_straight(crate, self._after)
        if unloader.ended and self._unloader is unloader:
            self._lines.refused += unloader.broken
            self._lines.lost(self)

    def close(self) -> None:
        """Hangs up. May be called twice."""
        unloader, self._unloader = self._unloader, None
        if unloader is not None:
            self._waiting.remove_file(unloader.bell)
            self._line = None
            unloader.close()
        super().close()


class FreightLines(Lines):
    """All of one input's."""

    line = FreightLine

    def aes(self) -> bool:
        """Whether this processor has it."""
        return has_aes()
