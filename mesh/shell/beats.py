"""Heartbeats on the wire: one UDP socket, datagrams of some hundred bytes, straight from node to node.

    beats = Beats(receive)                receive(data: bytes, sender: (host, port), age_s: float) in the loop's thread
    port = beats.bind("0.0.0.0", 47600)   TransportError when the port is taken
    beats.send(host, port, data) -> bool  never blocks or raises; IPv4 only; what the network refuses is counted
    beats.drain() -> int                  reads all that waits now: called before anyone is judged for silence
    beats.close()

With `aside=(place, mark)` what carries that mark wakes nobody: it waits for the next `drain`, or for the next datagram without
the mark, which is handed on after it (see `sorting`; where the kernel cannot, everything wakes). `age_s` is how long ago the
datagram came, by the kernel's word, 0 where it gives none.

A plain socket with the loop's `add_reader`: an asyncio datagram protocol costs about twice as much for each
beat and cannot be drained on demand. Decided against: multicast (switches and access points drop or slow it)
and connected sockets for each peer (a datagram that comes from another address of a known machine must be
heard, too).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable

from mesh.errors import RoomfulError
from mesh.shell.sorting import STAMP_BYTES, Stamps, put_aside, stamped

DATAGRAM_BYTES_MAX = 1400  # below every usual MTU: a fragment lost is a beat lost
DRAIN_MAX = 2000  # datagrams read before the loop gets its turn, so that a flood cannot hold it
BUFFER_BYTES = 1_000_000
CROWD = 100  # datagrams put aside from one `drain` to the next, beyond which each wakes its reader: a flood must not fill the buffer
Receive = Callable[[bytes, tuple[str, int], float], None]


class TransportError(RoomfulError):
    """A socket that this node needs could not be opened."""


class Beats:
    """The node's UDP socket. Counters `sent`, `received`, `failed`, `oversized` only grow."""

    def __init__(self, receive: Receive, aside: tuple[int, bytes] | None = None) -> None:
        self._receive = receive
        self._mark = aside
        self._socket: socket.socket | None = None
        self._aside: socket.socket | None = None
        self._stamps = Stamps()
        self._put_aside, self._crowded = 0, False
        self._loop: asyncio.AbstractEventLoop | None = None
        self.sent = self.received = self.failed = self.oversized = 0

    def bind(self, host: str = "0.0.0.0", port: int = 0) -> int:
        """Opens the socket and begins to listen; returns the port (a free one for 0). Call it in a running loop.

        Raises:
            TransportError: the port is taken or the address is not of this machine.
        """
        self._loop = asyncio.get_running_loop()
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            opened.bind((host, port))
        except OSError as error:
            opened.close()
            raise port_taken("UDP", host, port, error) from None
        self._socket = opened
        self._aside = put_aside(opened, *self._mark) if self._mark is not None else None
        for each in (opened, self._aside):
            if each is not None:
                _prepare(each)
        self._loop.add_reader(opened.fileno(), self._read)  # once for each datagram, and again at once while others wait
        return int(opened.getsockname()[1])

    def send(self, host: str, port: int, data: bytes) -> bool:
        """Whether the datagram left this machine. Says nothing about its arrival."""
        if self._socket is None:
            return False
        if len(data) > DATAGRAM_BYTES_MAX:
            self.oversized += 1
            return False
        try:
            socket.inet_pton(socket.AF_INET, host)  # a name would be looked up, and the heart would wait for it
            self._socket.sendto(data, (host, port))
        except (OSError, OverflowError, ValueError):  # no route, no carrier, full buffer, no address, no such port
            self.failed += 1
            return False
        self.sent += 1
        return True

    def drain(self) -> int:
        """Hands on every datagram that waits, at most 2,000 of either kind; returns how many. What comes meanwhile is left for the next
        time, where the kernel says when it came: nobody runs after a flood."""
        count = self._drain_aside()
        if self._aside is not None and self._loop is not None and self._crowded != (self._put_aside > CROWD):
            self._crowded = not self._crowded
            if self._crowded:
                self._loop.add_reader(self._aside.fileno(), self._drain_aside)
            else:
                self._loop.remove_reader(self._aside.fileno())
        self._put_aside = 0
        return count + self._drain(self._socket)

    def _drain_aside(self) -> int:
        count = self._drain(self._aside)
        self._put_aside += count
        return count

    def _drain(self, opened: socket.socket | None) -> int:
        began_s = time.monotonic()
        for count in range(DRAIN_MAX):
            for_s = time.monotonic() - began_s
            age_s = self._take(opened) if opened is not None else None
            if age_s is None:
                return count
            if 0.0 < age_s < for_s:  # it came after those that waited
                return count + 1
        return DRAIN_MAX

    def _read(self) -> None:
        """One datagram has woken the loop: what was put aside before is handed on before it."""
        self._drain_aside()
        if self._socket is not None:
            self._take(self._socket)

    def _take(self, opened: socket.socket) -> float | None:
        """Hands on one datagram; its age when it was read, 0 where that is not known. None when none waits."""
        try:
            data, ancillary, _, sender = opened.recvmsg(DATAGRAM_BYTES_MAX + 1, STAMP_BYTES)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:  # an error the network reported for an earlier datagram, or closed while a datagram was handed on
            if self._socket is None:
                return None
            self.failed += 1
            return 0.0
        if len(data) > DATAGRAM_BYTES_MAX:
            self.oversized += 1
            return self._stamps.age_s(ancillary)
        self.received += 1
        age_s = self._stamps.age_s(ancillary)
        self._receive(data, sender, age_s)
        return age_s

    def close(self) -> None:
        """Closes the socket; nothing is received after it. May be called twice."""
        if self._socket is not None and self._loop is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
        if self._aside is not None and self._loop is not None:
            self._loop.remove_reader(self._aside.fileno())
            self._aside.close()
        self._socket = self._aside = None


def _prepare(opened: socket.socket) -> None:
    opened.setblocking(False)
    with contextlib.suppress(OSError):
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    stamped(opened)


def port_taken(protocol: str, host: str, port: int, error: OSError) -> TransportError:
    """The words for a port that cannot be opened."""
    instead = (
        "Another roomful agent may be running on this machine: roomful status. To see what holds the port: "
        f"ss -{'u' if protocol == 'UDP' else 't'}lpn 'sport = :{port}'."
    )
    return TransportError(f"{protocol} port {port} on {host} cannot be opened: {error.strerror}", instead=instead)
