"""Waits for any of a role's sockets, at the least cost a message can have.

A ZeroMQ socket's descriptor says once that something changed, not that something waits: so whoever is called must read
until nothing is left, and a socket that was *sent* on is looked at again before the next wait, because sending may
swallow the signal. Given that, one plain `poll` of the system serves all sockets, however many lie idle. `zmq.Poller`
asks each of them twice at every turn: 1.3 us a socket, where a whole round trip takes 40. Where messages come in quick
succession it looks for a moment before it sleeps (`eagerness`): being woken costs more than all else on a message's way.
"""

from __future__ import annotations

import math
import os
import select
import time
from collections.abc import Callable
from typing import Any

import zmq

from mesh.core.eagerness import LOOK_S, Eagerness

# As plain numbers: arithmetic on pyzmq's own takes longer than reading a message.
EVENTS, POLLIN, NOBLOCK = int(zmq.EVENTS), int(zmq.POLLIN), int(zmq.NOBLOCK)

_let_others: Callable[[], object] = getattr(os, "sched_yield", int)  # to have the core, if one wants it


class Waiting:
    """The sockets of one thread. Each comes with what to call when it may have something to read."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._ready: dict[int, Callable[[], object]] = {}
        self._sent_on: dict[int, Any] = {}
        self._eager = Eagerness()
        self._bell_read, self._bell_write = os.pipe()
        self.rang = False  # the bell was heard; who acts on it sets it back
        os.set_blocking(self._bell_read, False)
        os.set_blocking(self._bell_write, False)
        self._add(self._bell_read, self._silence)

    @property
    def bell(self) -> int:
        """The file that has something to read when the bell rings."""
        return self._bell_read

    def add(self, socket: Any, ready: Callable[[], object]) -> None:
        """From now on `ready` is called when there may be something to read; it must read until nothing is left."""
        self._add(socket.fd, ready)
        self._sent_on[socket.fd] = socket

    def add_file(self, fd: int, ready: Callable[[], object]) -> None:
        """The same for a file of the system's own, which says for as long as something waits that it does."""
        self._add(fd, ready)

    def remove_file(self, fd: int) -> None:
        """Before the file is closed. One that was not added is no mistake."""
        if self._ready.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def want_room(self, fd: int, wanted: bool) -> None:
        """Whether `ready` is called also when there is room to send."""
        if fd in self._ready:
            self._poll.modify(fd, select.POLLIN | select.POLLOUT if wanted else select.POLLIN)

    def _add(self, fd: int, ready: Callable[[], object]) -> None:
        self._ready[fd] = ready
        self._poll.register(fd, select.POLLIN)

    def remove(self, socket: Any) -> None:
        """Before the socket is closed."""
        fd = socket.fd
        self._poll.unregister(fd)
        del self._ready[fd]
        self._sent_on.pop(fd, None)

    def sent(self, socket: Any) -> None:
        """To be called after every send on a socket that was added."""
        self._sent_on[socket.fd] = socket

    def wait(self, timeout_s: float | None) -> None:
        """Returns when something was read, the bell rang, or the time is over. None: no limit."""
        while self._sent_on:
            if self._look_again():
                timeout_s = 0.0
        for fd, _ in self._poll_for(timeout_s):
            ready = self._ready.get(fd)
            if ready is not None:  # one that was called before it may have removed it
                ready()

    def _poll_for(self, timeout_s: float | None) -> list[tuple[int, int]]:
        """What is ready: looked for without sleeping at first, where messages come so quickly one after another that it is worth it."""
        poll, eager = self._poll.poll, self._eager
        if timeout_s == 0.0:
            return poll(0)
        began_s = time.perf_counter()
        tried = eager.tries() and (timeout_s is None or timeout_s > LOOK_S)
        looked_s = 0.0
        if tried:
            while looked_s < LOOK_S:
                if ready := poll(0):
                    eager.found(looked_s)
                    return ready
                _let_others()
                looked_s = time.perf_counter() - began_s
            timeout_s = None if timeout_s is None else timeout_s - LOOK_S
        ready = poll(None if timeout_s is None else timeout_s * 1000)
        eager.waited(time.perf_counter() - began_s if ready else math.inf, tried=tried, looked_s=looked_s)
        return ready

    def _look_again(self) -> bool:
        """Reads what a send may have swallowed. Whether there was anything."""
        found = False
        sent_on, self._sent_on = self._sent_on, {}
        for fd, socket in sent_on.items():
            if fd in self._ready and socket.get(EVENTS) & POLLIN:
                self._ready[fd]()
                found = True
        return found

    def ring(self) -> None:
        """Ends a wait; from any thread, or from a signal."""
        try:
            os.write(self._bell_write, b"!")
        except BlockingIOError:
            return  # it rings already

    def _silence(self) -> None:
        os.read(self._bell_read, 65536)
        self.rang = True

    def close(self) -> None:
        """When nothing rings any more."""
        os.close(self._bell_read)
        os.close(self._bell_write)
