"""A role process's line to its agent: one thread that tells, listens, and ends the process when nobody is there.

It owns the link's socket and nothing else, so that the role's own thread may compute for minutes and the agent still
hears a pulse. What must not wait for the role (`play`, `mute`) it does itself; every other order lies in `orders` until the
role's thread takes it.

An orphan ends itself. In a rehearsal that is at once: the kernel ends it with its parent (Linux), or this thread sees that
its parent is another. In a room it plays on for `orphan_s`, and if an agent speaks to it meanwhile, for ever.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import sys
import threading
import time
from typing import Any

import msgpack
import zmq

from mesh.shell import curve
from mesh.shell.host_config import HostConfig
from mesh.shell.standing import Standing
from mesh.shell.waiting import EVENTS, NOBLOCK, POLLIN

PULSE_S = 0.25
SILENT_S = 3.0
ALIVE_BUT_SILENT_S = 15.0  # an agent that exists but does not speak: stopped by hand, or its machine is drowning
LAG_S = 1.0
FLUSH_MS = 1000
PARENT_GONE = 71


class HostLink:
    """Start it first of all: the agent hears `hello` before the role's code is even imported."""

    def __init__(self, config: HostConfig, standing: Standing) -> None:
        self.orders: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._config = config
        self._standing = standing
        self._telling: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._bell_read, self._bell_write = os.pipe()
        os.set_blocking(self._bell_write, False)
        self._parent = os.getppid()
        self._word_s = time.monotonic()
        self._thread = threading.Thread(target=self._watch, name="watch", daemon=True)

    def start(self) -> None:
        """Says hello, and begins to watch."""
        self.tell({"type": "hello", "epoch": self._config.epoch})
        self._thread.start()

    def tell(self, message: dict[str, Any]) -> None:
        """To the agent, soon; from any thread. Never blocks."""
        self._telling.put(message)
        self._ring()

    def close(self) -> None:
        """Sends what is left to tell, for at most a second, and ends the thread."""
        self._telling.put(None)
        self._ring()
        self._thread.join()

    def _ring(self) -> None:
        with contextlib.suppress(BlockingIOError):  # full of rings already
            os.write(self._bell_write, b"!")

    # ---- in the watch thread

    def _watch(self) -> None:
        self._standing.watch_thread = threading.get_native_id()
        context: zmq.Context[Any] = zmq.Context()
        socket = context.socket(zmq.DEALER)
        socket.setsockopt(zmq.ROUTING_ID, (self._config.link_name or f"{self._config.instance}#{self._config.generation}").encode())
        socket.setsockopt(zmq.RECONNECT_IVL, 50)
        socket.linger = FLUSH_MS
        socket.sndhwm = 1000
        curve.client(socket, self._config.link_key.encode(), self._config.curve_public.encode(), self._config.curve_secret.encode())
        socket.connect(self._config.link)
        poller = zmq.Poller()
        poller.register(socket, zmq.POLLIN)
        poller.register(self._bell_read, zmq.POLLIN)
        pulse_s = time.monotonic() + PULSE_S
        woke_s = time.monotonic()
        while self._say_all(socket):
            ready = dict(poller.poll(int(max(0.0, pulse_s - time.monotonic()) * 1000)))
            if self._bell_read in ready:
                os.read(self._bell_read, 65536)
            if socket in ready:
                self._listen(socket)
            now = time.monotonic()
            if now - woke_s > LAG_S:  # stopped and let go again, with the whole machine perhaps: that was not the agent
                self._word_s = now
            woke_s = now
            if now >= pulse_s:
                pulse_s = now + PULSE_S
                self._telling.put(self._standing.pulse())
            self._end_an_orphan(now)
        socket.close()
        context.term()

    def _say_all(self, socket: zmq.Socket[Any]) -> bool:
        """Sends what lies there. False when it was the last."""
        who = {"instance": self._config.instance, "generation": self._config.generation, "pid": os.getpid()}
        while True:
            try:
                message = self._telling.get_nowait()
            except queue.Empty:
                return True
            if message is None:
                return False
            try:
                socket.send(msgpack.packb({**message, **who}, default=str), NOBLOCK)
            except zmq.Again:
                continue  # a thousand wait already: the agent has been away for long

    def _listen(self, socket: Any) -> None:
        while socket.get(EVENTS) & POLLIN:
            data = socket.recv(NOBLOCK)
            self._word_s = time.monotonic()
            try:
                order = msgpack.unpackb(data)
                self._obey(order)
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                self._telling.put({"type": "event", "level": "error", "what": f"an order that is not one: {error!r}"})

    def _obey(self, order: dict[str, Any]) -> None:
        type_ = order["type"]
        if type_ == "play":
            self._standing.play(int(order["epoch"]))
        elif type_ == "mute":
            self._standing.playing = False
        elif type_ == "stop":
            self._standing.rests = order.get("rests") is True
            self._standing.stopping = True
        elif type_ == "keys":  # who may connect is for no role to wait with
            self._standing.vouched = tuple(map(str, order["vouched"]))
            self._standing.meet([str(each) for each in order.get("cut", ())], order.get("sweep") is True)
        if type_ != "still_here" and (type_ != "keys" or order.get("gone")):
            self.orders.put(order)
            self._standing.ring()

    def _end_an_orphan(self, now: float) -> None:
        silent_s = now - self._word_s
        if os.getppid() != self._parent:  # the agent that started it is gone; another one may speak to it
            late = silent_s > (PULSE_S if self._config.rehearsal else SILENT_S) + self._config.orphan_s
        else:
            late = silent_s > max(SILENT_S + self._config.orphan_s, ALIVE_BUT_SILENT_S)
        if late:
            print("its agent is gone; the role ends", file=sys.stderr, flush=True)
            os._exit(PARENT_GONE)


def die_with_parent() -> None:
    """Linux ends this process with SIGKILL when the thread that started it ends. Elsewhere the watch thread sees to it."""
    if sys.platform != "linux":
        return
    import ctypes

    pr_set_pdeathsig = 1
    ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGKILL, 0, 0, 0)
