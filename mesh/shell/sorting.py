"""One port with two sockets: the kernel puts each datagram with one mark aside, and says when each came.

    aside = put_aside(opened, mark)           a second socket of the same port, or None where the kernel will not
    age_s = Stamps().age_s(ancillary)         how long ago a datagram came, in seconds

A process that is woken for each of fifty heartbeats a second spends more on waking than on reading them. So whatever carries the
mark (bytes in clear at a fixed place) goes to a socket that nobody waits on; it is read when its reader is awake anyhow, and the
kernel's own note of when each came (SO_TIMESTAMPNS) keeps the times right, even better than before. A filter of six
instructions chooses between the two (SO_ATTACH_REUSEPORT_CBPF, Linux 4.5 of 2016). The first socket is bound alone, so that a
port that is taken is taken still, and opens the port to the second only then; a third, of the same user, would be given nothing.

Decided against: waking less often by a sleep after each wake (all that must not wait, a probe or a verdict, would wait too), and a
second port for heartbeats (one more for every firewall to let through).
"""

from __future__ import annotations

import ctypes
import socket
import struct
import sys
import time
from collections.abc import Iterable

SO_ATTACH_REUSEPORT_CBPF, SO_TIMESTAMPNS = 51, 35  # of Linux on every processor that Python names the same way
STAMP = struct.Struct("@ll")
STAMP_BYTES = socket.CMSG_SPACE(STAMP.size)
STEP_S = 0.001  # the wall clock was set between two readings, if it moved so far against the steady one
_LOAD_BYTE, _IF_EQUAL, _RETURN = 0x30, 0x15, 0x06
_FIRST, _SECOND = 0, 1  # the sockets, in the order in which they were bound


def put_aside(opened: socket.socket, place: int, mark: bytes) -> socket.socket | None:
    """A second socket of the port of `opened`, which gets every datagram whose bytes from `place` on are `mark`; shorter ones stay.
    None where the system cannot do it: then nothing has changed."""
    if sys.platform != "linux":
        return None
    second = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        second.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        second.bind(opened.getsockname())
        code = _filter(place, mark)
        held = ctypes.create_string_buffer(code)  # the kernel copies it
        opened.setsockopt(socket.SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, struct.pack("@HP", len(code) // 8, ctypes.addressof(held)))
    except OSError:
        second.close()
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 0)
        return None
    return second


def _filter(place: int, mark: bytes) -> bytes:
    """Classic BPF over the datagram's bytes. A byte that is not there ends it with 0, which is the first socket."""
    lines = []
    for at, byte in enumerate(mark):
        to_the_end = 2 * (len(mark) - at) - 1  # instructions to leave out
        lines += [(_LOAD_BYTE, 0, 0, place + at), (_IF_EQUAL, 0, to_the_end, byte)]
    return b"".join(struct.pack("@HBBI", *each) for each in [*lines, (_RETURN, 0, 0, _SECOND), (_RETURN, 0, 0, _FIRST)])


def stamped(opened: socket.socket) -> None:
    """From now on the kernel notes when each datagram came, where it can."""
    if sys.platform == "linux":
        try:
            opened.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        except OSError:
            return


class Stamps:
    """Turns the kernel's notes, which are of the wall clock, into ages. When that was set lately there are none: a wrong age would be
    worse than none for whoever compares clocks."""

    __slots__ = ("_ahead_s",)

    def __init__(self) -> None:
        self._ahead_s = time.time() - time.monotonic()

    def age_s(self, ancillary: Iterable[tuple[int, int, bytes]]) -> float:
        """How long ago a datagram came that has been read just now; 0 where the kernel did not say. Never negative."""
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS and len(data) >= STAMP.size:
                now_s = time.time()
                before_s, self._ahead_s = self._ahead_s, now_s - time.monotonic()
                if abs(self._ahead_s - before_s) > STEP_S:
                    return 0.0
                seconds, nanoseconds = STAMP.unpack_from(data)
                return max(0.0, now_s - (seconds + nanoseconds * 1e-9))
        return 0.0
