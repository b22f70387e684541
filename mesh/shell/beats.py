"""Heartbeats on the wire: one UDP socket, datagrams of some hundred bytes, straight from node to node.

    beats = Beats(receive)                receive(data: bytes, sender: (host, port)) in the loop's thread
    port = beats.bind("0.0.0.0", 47600)   TransportError when the port is taken
    beats.send(host, port, data) -> bool  never blocks or raises; IPv4 only; what the network refuses is counted
    beats.drain() -> int                  reads all that waits now: called before anyone is judged for silence
    beats.close()

A plain socket with the loop's `add_reader`: an asyncio datagram protocol costs about twice as much for each
beat and cannot be drained on demand. Decided against: multicast (switches and access points drop or slow it)
and connected sockets for each peer (a datagram that comes from another address of a known machine must be
heard, too).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

from mesh.errors import RoomfulError

DATAGRAM_BYTES_MAX = 1400  # below every usual MTU: a fragment lost is a beat lost
DRAIN_MAX = 2000  # datagrams read before the loop gets its turn, so that a flood cannot hold it
BUFFER_BYTES = 1_000_000
Receive = Callable[[bytes, tuple[str, int]], None]


class TransportError(RoomfulError):
    """A socket that this node needs could not be opened."""


class Beats:
    """The node's UDP socket. Counters `sent`, `received`, `failed`, `oversized` only grow."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._socket: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.sent = self.received = self.failed = self.oversized = 0

    def bind(self, host: str = "0.0.0.0", port: int = 0) -> int:
        """Opens the socket and begins to listen; returns the port (a free one for 0). Call it in a running loop.

        Raises:
            TransportError: the port is taken or the address is not of this machine.
        """
        self._loop = asyncio.get_running_loop()
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.setblocking(False)
        with contextlib.suppress(OSError):
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        try:
            opened.bind((host, port))
        except OSError as error:
            opened.close()
            raise port_taken("UDP", host, port, error) from None
        self._socket = opened
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
        """Hands on every datagram that waits, at most 2,000; returns how many."""
        for count in range(DRAIN_MAX):
            if not self._read():
                return count
        return DRAIN_MAX

    def _read(self) -> bool:
        """Hands on one datagram. False when none waits."""
        if self._socket is None:
            return False
        try:
            data, sender = self._socket.recvfrom(DATAGRAM_BYTES_MAX + 1)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:  # an error the network reported for an earlier datagram
            self.failed += 1
            return True
        if len(data) > DATAGRAM_BYTES_MAX:
            self.oversized += 1
            return True
        self.received += 1
        self._receive(data, sender)
        return True

    def close(self) -> None:
        """Closes the socket; nothing is received after it. May be called twice."""
        if self._socket is not None and self._loop is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None


def port_taken(protocol: str, host: str, port: int, error: OSError) -> TransportError:
    """The words for a port that cannot be opened."""
    instead = (
        "Another roomful agent may be running on this machine: roomful status. To see what holds the port: "
        f"ss -{'u' if protocol == 'UDP' else 't'}lpn 'sport = :{port}'."
    )
    return TransportError(f"{protocol} port {port} on {host} cannot be opened: {error.strerror}", instead=instead)
