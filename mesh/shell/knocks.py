"""Calls at server sockets that came to nothing before any key was shown: noise, another protocol, a handshake that was never finished.

    knocks = Knocks(settles_s)            how long a call may take until it is let in or turned away
    monitor = knocks.listen_at(socket)    in the thread of the socket; to be read by one that is never busy
    knocks.heard(parts, now)              each message of the monitor
    knocks.broken(now) -> int             only grows

ZeroMQ tells of what fails within a handshake, but hangs up in silence on what is no ZeroMQ at all. So what is left over of
all calls that it took, when neither a success nor a failure was told of them in time, is counted, too. From where they came is not told:
the monitor names the port that was called.

A monitor that nobody reads stops ZeroMQ's own thread in the end, and with it all lines of the process: read it in a thread of its own (the
guard's), never in a role's, which may compute for a minute.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Sequence
from typing import Any

import zmq

UNREAD_MAX = 100_000  # events; some 15 MB
LOOK_S = 0.25
_FAILED = zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
_KEY_REFUSED = zmq.EVENT_HANDSHAKE_FAILED_AUTH  # which the guard counts
_ALL = zmq.EVENT_ACCEPTED | zmq.EVENT_HANDSHAKE_SUCCEEDED | _FAILED | _KEY_REFUSED


class Knocks:
    """Of all server sockets of one context."""

    def __init__(self, settles_s: float) -> None:
        self._settles_s = settles_s
        self._called = self._settled = self._failed = self._silent = 0
        self._lock = threading.Lock()
        self._called_by: deque[tuple[float, int]] = deque()  # (when, how many calls in all by then)

    def listen_at(self, socket: zmq.Socket[Any]) -> zmq.Socket[Any]:
        """What tells of the calls at a server socket, from now on."""
        monitor: zmq.Socket[Any] = socket.context.socket(zmq.PAIR)
        monitor.linger = 0
        monitor.rcvhwm = UNREAD_MAX
        address = f"inproc://knocks-{id(socket)}-{id(monitor)}"
        socket.monitor(address, _ALL)
        monitor.connect(address)
        return monitor

    def heard(self, parts: Sequence[bytes], now: float) -> None:
        """One event of a monitor."""
        event = int.from_bytes(parts[0][:2], sys.byteorder)
        with self._lock:
            if event & zmq.EVENT_ACCEPTED:
                self._called += 1
                if not self._called_by or now - self._called_by[-1][0] >= LOOK_S:
                    self._count(now)
                    self._called_by.append((now, self._called))
                else:
                    self._called_by[-1] = (self._called_by[-1][0], self._called)
            elif event & (zmq.EVENT_HANDSHAKE_SUCCEEDED | _FAILED | _KEY_REFUSED):
                self._settled += 1
                self._failed += bool(event & _FAILED)

    def broken(self, now: float) -> int:
        """How many calls came to nothing: those that ZeroMQ tells of, and those in which nothing was said that it understands. From any
        thread."""
        with self._lock:
            self._count(now)
            return self._failed + self._silent

    def _count(self, now: float) -> None:
        """Those whose time is up."""
        while self._called_by and self._called_by[0][0] + LOOK_S + self._settles_s <= now:
            self._silent = max(self._silent, self._called_by.popleft()[1] - self._settled)
