"""A reader's lines to the doors of writers on its own machine (`near`): calls, hears, and takes frames out of rings."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Callable
from typing import Any

from mesh.core import bells
from mesh.core.bells import Bell, Layout
from mesh.errors import WireError
from mesh.shell.near import HAS_DOORS, INLINE_BYTES_MAX, door_name, is_ours
from mesh.shell.ring import LEASES_MAX, Lease, RingView
from mesh.shell.sources import Source
from mesh.shell.waiting import Waiting

PACKET_BYTES_MAX = INLINE_BYTES_MAX + 4096
_FILE_BYTES = 24  # what one file takes beside a packet
_NONE = b""
DRAINED_MAX = 1000


class Line:
    """One input's line to one source. `take` gets each frame: bytes, or a Lease where it lies in shared memory."""

    def __init__(self, line: socket.socket, latest: bool, take: Callable[[Any], None], lost: Callable[[Line], None]) -> None:
        self.fd = line.fileno()
        self.refused = 0
        self._line = line
        self._receive = line.recvmsg
        self._latest = latest
        self._take = take
        self._lost = lost
        self._view: RingView | None = None
        self._turn = 0

    def read(self) -> bool:
        """One packet; the system says again at once where there are others. Whether there was one."""
        try:
            packet, extra, flags, _ = self._receive(PACKET_BYTES_MAX, _FILE_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            packet, extra = _NONE, []
        if extra or not packet or packet[0] <= 2:
            self._heed(packet, extra)
        else:
            self._take(packet)
        return packet != _NONE

    def drain(self) -> None:
        """All that lies there."""
        for _ in range(DRAINED_MAX):
            if not self.read():
                return

    def _heed(self, packet: bytes, extra: list[tuple[int, int, bytes]]) -> None:
        """What is not a frame: the end of the line, a ring, or a bell."""
        files = [file for level, type_, data in extra for file in _files(level, type_, data)]
        try:
            if not packet:
                self._lost(self)
                return
            told = bells.read(packet)
            if type(told) is Layout:
                self._open(files, told)
            elif type(told) is Bell:
                self._look(told)
        except WireError:
            self.refused += 1
        finally:
            for file in files:
                os.close(file)

    def _open(self, files: list[int], layout: Layout) -> None:
        """Another ring. Where it cannot be opened (too many files, no /proc) its frames come over the network."""
        try:
            self._view = RingView(files[0], layout)
        except (WireError, IndexError):
            self.refused += 1
            self._lost(self)

    def _look(self, bell: Bell) -> None:
        """A bell rang: the frame that it names, or with `latest` the newest there is, which may be a later one."""
        view = self._view
        if view is None:
            return
        lease: Lease | None = None
        for _ in range(3):
            if self._latest:
                newest = view.newest()
                if newest is None or newest.turn <= self._turn:
                    return  # seen already
                bell = newest
            lease = view.lease(*bell)
            if lease is not None or not self._latest:
                break
        if lease is not None:
            self._turn = bell.turn
            self._take(lease if len(view.held) <= LEASES_MAX else bytes(lease.data))

    def close(self) -> None:
        """Hangs up. What was taken stays readable."""
        self._line.close()
        self._view = None


def _files(level: int, type_: int, data: bytes) -> tuple[int, ...]:
    if level != socket.SOL_SOCKET or type_ != socket.SCM_RIGHTS:
        return ()
    return struct.unpack(f"{len(data) // 4}i", data[: len(data) - len(data) % 4])


class Neighbours:
    """Calls at doors. One for all inputs of a process."""

    def __init__(self, secret: str | bytes, waiting: Waiting) -> None:
        self.waiting = waiting
        self._secret = secret

    def call(self, source: Source, topic: bytes, latest: bool = False) -> socket.socket | None:
        """A line to a source, if it has a door on this machine and that door is ours. `bells.ASKING` as its topic: to ask."""
        if not HAS_DOORS:
            return None
        line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        with contextlib.suppress(OSError, ValueError):
            line.connect(door_name(self._secret, source.instance, source.node, source.generation, source.frames_port))
            if is_ours(line):
                line.send(bells.hello(topic, latest))
                return line
        line.close()
        return None
