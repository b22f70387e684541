"""Reads ZeroMQ sockets from the asyncio loop, without the two traps of doing so.

A ZeroMQ socket's descriptor is edge-triggered: it says once that something changed, not that something waits.
So all that waits must be read before the loop is let go, and again after each send, which may swallow the
signal. `zmq.asyncio` does this as well, at twice the processor time (every receive becomes a future).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import zmq

BATCH = 200  # messages handed on before the loop gets its turn
MESSAGE_BYTES_MAX = 8_000_000
SEND_QUEUE_MAX = 1_000
CONNECT_MS = 1_500  # one lost first packet is sent again after 1 s; TCP itself waits 1, 3, 7, 15 s for a cable that is back long since
BACKLOG = 2_048  # calls that wait to be accepted: with ZeroMQ's 100 a flood of strangers' costs a friend's call a second or more


class Inbox:
    """Hands each multipart message of a socket to `handle`, in the loop's thread, until it is closed."""

    def __init__(self, socket: zmq.Socket[bytes], handle: Callable[[list[bytes]], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = socket
        self._handle = handle
        self._open = True
        self._fd = int(socket.getsockopt(zmq.FD))
        self._loop.add_reader(self._fd, self.drain)
        self._loop.call_soon(self.drain)  # what came before the descriptor was watched

    def drain(self) -> None:
        """Reads what waits, at most 200 messages, and comes back for the rest."""
        done = False
        try:
            for _ in range(BATCH):
                if not self._open:
                    return
                try:
                    parts = self._socket.recv_multipart(zmq.NOBLOCK)
                except zmq.Again:
                    done = True
                    return
                self._handle(parts)
        finally:  # also where `handle` raised: the signal for what still waits is spent
            if not done and self._open:
                self._loop.call_soon(self.drain)

    def after_send(self) -> None:
        """To be called after every send on the same socket."""
        if self._open and int(self._socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
            self._loop.call_soon(self.drain)

    def close(self) -> None:
        """Stops listening; the socket itself stays open. May be called twice."""
        if self._open:
            self._open = False
            self._loop.remove_reader(self._fd)


def hush(socket: zmq.Socket[bytes], monitor: zmq.Socket[bytes]) -> None:
    """Ends the monitoring of a socket; ZeroMQ's own call leaves the monitor's end open."""
    socket.disable_monitor()
    monitor.close(0)


def bounded(socket: zmq.Socket[bytes]) -> zmq.Socket[bytes]:
    """The limits that ZeroMQ leaves off: no endless linger, queue, message, handshake or dead connection."""
    socket.linger = 0
    socket.sndhwm = socket.rcvhwm = SEND_QUEUE_MAX
    socket.setsockopt(zmq.MAXMSGSIZE, MESSAGE_BYTES_MAX)
    socket.setsockopt(zmq.HANDSHAKE_IVL, 2_000)
    socket.setsockopt(zmq.BACKLOG, BACKLOG)
    socket.setsockopt(zmq.TCP_MAXRT, 3_000)
    socket.setsockopt(zmq.CONNECT_TIMEOUT, CONNECT_MS)
    socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
    socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, 10)
    socket.setsockopt(zmq.TCP_KEEPALIVE_INTVL, 5)
    socket.setsockopt(zmq.TCP_KEEPALIVE_CNT, 3)
    return socket
