"""Requests and answers between two processes of one machine: packets both ways, straight from one to the other.

The same door as for frames (`near`) lets askers in; what then passes is what would pass over the network (`request_messages`),
without the threads and the encryption that lie on that way. A message too large for a packet lies in memory of its own, whose
file goes along: sealed, so that it can neither change nor shrink while the other reads it, and without a name, so that nobody
has to sweep it up after a process that was killed. A process that ends breaks its line at once.

Decided against: a ring as for frames (a question has one reader, which takes it once), and a common length in front of each
packet (the system keeps packets apart itself).
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import socket
import struct
from collections import deque
from collections.abc import Callable

from mesh.core.request_messages import MESSAGE_BYTES_MAX
from mesh.shell.near import INLINE_BYTES_MAX
from mesh.shell.waiting import Waiting

PENDING_MAX = 1000
PENDING_BYTES_MAX = MESSAGE_BYTES_MAX
ELSEWHERE = b"\x02"  # the packet beside a file; no message begins so
_FILE_BYTES = 24
_DONTWAIT = int(getattr(socket, "MSG_DONTWAIT", 0)) | int(getattr(socket, "MSG_NOSIGNAL", 0))
_SEALS = sum(int(getattr(fcntl, name, 0)) for name in ("F_SEAL_SHRINK", "F_SEAL_GROW", "F_SEAL_WRITE", "F_SEAL_SEAL"))


class Talk:
    """One end of a line. `heard` takes each message as it came; `lost` is called once, when the other end is gone."""

    def __init__(
        self, line: socket.socket, waiting: Waiting, heard: Callable[[Talk, bytes | mmap.mmap], None], lost: Callable[[Talk], None],
    ) -> None:  # fmt: skip
        self.refused = 0
        self._line = line
        self._fd = line.fileno()
        self._waiting = waiting
        self._heard = heard
        self._lost = lost
        self._pending: deque[tuple[bytes, int | None, int]] = deque()  # a packet, the file that goes with it, what both take
        self._pending_bytes = 0
        self._open = True
        waiting.add_file(self._fd, self._wake)

    @property
    def file(self) -> int:
        """The file that has something to read when the other end says something."""
        return self._fd

    def send(self, data: bytes) -> bool:
        """Now, or as soon as the other end takes more; never waits. False when it was dropped: too much waits already, there is no
        memory for it, or the line is gone."""
        if not self._open:
            return False
        packet, file = data, None
        if len(data) > INLINE_BYTES_MAX:
            try:
                packet, file = ELSEWHERE, _laid_down(data)
            except OSError:
                return False
        if not self._pending:
            try:
                self._put(packet, file)
                return True
            except BlockingIOError:
                self._waiting.want_room(self._fd, True)
            except OSError:
                self._end()
                return False
        elif len(self._pending) >= PENDING_MAX or self._pending_bytes + len(data) > PENDING_BYTES_MAX:
            _close(file)
            return False
        self._pending.append((packet, file, len(data)))
        self._pending_bytes += len(data)
        return True

    def _put(self, packet: bytes, file: int | None) -> None:
        """Raises BlockingIOError, and keeps the file, where there is no room yet; OSError where nobody is there."""
        if file is None:
            self._line.send(packet, _DONTWAIT)
            return
        try:
            socket.send_fds(self._line, [packet], [file], _DONTWAIT)
        except BlockingIOError:
            raise
        except OSError:
            os.close(file)
            raise
        os.close(file)

    def _flush(self) -> None:
        while self._pending:
            packet, file, size = self._pending[0]
            try:
                self._put(packet, file)
            except BlockingIOError:
                return
            except OSError:
                self._pending.popleft()
                self._end()
                return
            self._pending.popleft()
            self._pending_bytes -= size
        self._waiting.want_room(self._fd, False)

    def _wake(self) -> None:
        """It takes more, says something, or is gone; the system says again at once where more waits."""
        if self._pending:
            self._flush()
        if not self._open:
            return
        try:
            packet, extra, flags, _ = self._line.recvmsg(INLINE_BYTES_MAX, _FILE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            packet, extra = b"", []
        files = [file for level, kind, data in extra for file in _files(level, kind, data)]
        try:
            if not packet:
                self._end()
            elif not files:
                self._heard(self, packet)
            elif (message := _picked_up(files[0])) is not None:
                self._heard(self, message)
            else:
                self.refused += 1
        finally:
            for file in files:
                os.close(file)

    def _end(self) -> None:
        if self._open:
            self.close()
            self._lost(self)

    def close(self) -> None:
        """Hangs up; what was sent still arrives. May be called twice."""
        if self._open:
            self._open = False
            self._waiting.remove_file(self._fd)
            for _, file, _ in self._pending:
                _close(file)
            self._pending.clear()
            self._line.close()


def _laid_down(data: bytes) -> int:
    """A sealed file of memory with these bytes. Raises OSError where there is no such memory, or not enough."""
    file = os.memfd_create("roomful", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(file, rest) :]
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(file)
        raise
    return file


def _picked_up(file: int) -> mmap.mmap | None:
    """The bytes of such a file, read where they lie; None for one that could still change, or is too large."""
    with contextlib.suppress(OSError, ValueError):
        if fcntl.fcntl(file, fcntl.F_GET_SEALS) & _SEALS == _SEALS and os.fstat(file).st_size <= MESSAGE_BYTES_MAX:
            return mmap.mmap(file, 0, prot=mmap.PROT_READ)
    return None


def _files(level: int, kind: int, data: bytes) -> tuple[int, ...]:
    if level != socket.SOL_SOCKET or kind != socket.SCM_RIGHTS:
        return ()
    return struct.unpack(f"{len(data) // 4}i", data[: len(data) - len(data) % 4])


def _close(file: int | None) -> None:
    if file is not None:
        os.close(file)
