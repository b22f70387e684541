"""One process whose gate is asked for lines of their own, and reads all in the test's own thread."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import zmq

from mesh.core.request_messages import Offer, decode, encode
from mesh.shell.gate import Gate
from mesh.shell.sources import Source
from mesh.shell.waiting import EVENTS, POLLIN, Waiting

BOUND_S = 10.0


class Gated:
    """A gate, and the socket by which readers in this process ask it."""

    def __init__(self) -> None:
        self.waiting = Waiting()
        self.gate = Gate(self.waiting, ("127.0.0.1",), False)
        self.context: Any = zmq.Context()
        self.asked: Any = self.context.socket(zmq.ROUTER)
        self.asked.bind("inproc://asked")
        self.waiting.add(self.asked, self._answer)
        self.now = 100.0

    def call(self, source: Source) -> Any:
        """A reader's socket to whoever is to be asked."""
        caller = self.context.socket(zmq.DEALER)
        caller.linger = 0
        caller.connect("inproc://asked")
        return caller

    def _answer(self) -> None:
        while self.asked.get(EVENTS) & POLLIN:
            who, data = self.asked.recv_multipart()
            offer = decode(data)
            assert isinstance(offer, Offer)
            self.asked.send_multipart([who, encode(self.gate.take(offer))])
        self.waiting.sent(self.asked)

    def until(self, condition: Callable[[], object], do: Callable[[], object] = int) -> None:
        """Reads, and does that, until it holds; fails when it does not within the bound."""
        until_s = time.monotonic() + BOUND_S
        while not condition():
            assert time.monotonic() < until_s
            self.waiting.wait(0.001)
            do()

    def close(self) -> None:
        """After the readers."""
        self.gate.close()
        self.context.destroy(linger=0)
        self.waiting.close()
