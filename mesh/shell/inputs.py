"""All of a role's inputs, as the routes name them: who is listened to, and what each frame becomes.

Routes come whole each time. An input whose stream and rule stay keeps its socket, and a source that stays keeps its
connection, so that a change anywhere in the room disturbs nobody who is not part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import zmq

from mesh.core.frames import Header
from mesh.core.request_messages import Ask
from mesh.role import Frame
from mesh.shell import curve
from mesh.shell.arrays import as_travelling
from mesh.shell.handlers import Handlers
from mesh.shell.lines import Neighbours
from mesh.shell.listening import Input
from mesh.shell.sources import Route, Source
from mesh.shell.streams import bounded, endpoint
from mesh.shell.waiting import Waiting

CALLS_MAX = 10
Tell = Callable[[dict[str, Any]], None]


class Ear:
    """One input with what takes its frames."""

    __slots__ = ("answers", "handle", "input", "joined", "waiting")

    def __init__(self, input: Input, handlers: Handlers) -> None:
        self.input = input
        self.waiting = input.waiting
        self.handle = handlers.of(input.name)
        self.answers = input.name in handlers.answering
        self.joined = ""  # the beginning of a text that comes in pieces, where a whole one is a request

    def frame(self, header: Header, value: Any) -> Frame:
        """What the role gets."""
        return Frame(
            value, self.input.stream, header.number, header.captured_ns / 1e9, header.request, header.piece,
            header.more, header.ended, header.sender.instance, None if header.present_ns is None else header.present_ns / 1e9,
            header.sender.rate,
        )  # fmt: skip

    def request(self, header: Header, value: Any, deadline_ms: int) -> Ask | None:
        """The request that a frame is which nobody asked; None for a piece of a text that is not whole yet."""
        if header.more:
            self.joined += value
            return None
        if header.request is not None and type(value) is str:
            value, self.joined = self.joined + value, ""
        sender = header.sender
        id = f"{sender.instance}:{sender.epoch}:{sender.generation}.{self.input.stream}.{header.number}"
        return Ask(id, "", 0, self.input.name, as_travelling(value), sender.type, header.captured_ns, deadline_ms)


class Inputs:
    """The ears of one role."""

    def __init__(self, context: zmq.Context[Any], public: bytes, secret: bytes, waiting: Waiting, tell: Tell, doors: str) -> None:
        self._context = context
        self._public = public
        self._secret = secret
        self._waiting = waiting
        self._tell = tell
        self._neighbours = Neighbours(doors, waiting)
        self.ears: tuple[Ear, ...] = ()

    def route(self, routes: Iterable[Route], handlers: Handlers) -> None:
        """Listens to exactly what the routes name."""
        kept = {ear.input.name: ear for ear in self.ears}
        ears = []
        for route in routes:
            ear = kept.pop(route.input, None)
            if ear is not None and ear.input.form != route.form:
                self._close(ear)
                ear = None
            if ear is None:
                ear = Ear(self._open(route.input, *route.form), handlers)
            ear.input.hear(route.sources)
            ears.append(ear)
        for gone in kept.values():
            self._close(gone)
        self.ears = tuple(ears)

    def shun(self, nodes: frozenset[str], keys: frozenset[str]) -> None:
        """These nodes, whose processes have these keys, were shut out: nothing that they say is heard any more."""
        for ear in self.ears:
            ear.input.shun(nodes, keys)

    def _open(self, name: str, stream: str, type_: str, delivery: str, pictures: str) -> Input:
        socket = self._context.socket(zmq.SUB)
        curve.client(socket, self._public, self._public, self._secret)  # whom it calls is said at each connect
        input = Input(name, stream, type_, delivery, socket, self._neighbours, pictures, self._call)
        self._waiting.add(socket, input.read)
        self._waiting.add(input.monitor, input.notice)
        return input

    def _call(self, source: Source) -> zmq.Socket[Any] | None:
        """To where a source is asked, for a line of its own."""
        socket = bounded(self._context.socket(zmq.DEALER), CALLS_MAX)
        try:
            curve.client(socket, source.key.encode(), self._public, self._secret)
            socket.connect(endpoint(source.address, source.requests_port))
        except zmq.ZMQError:
            socket.close(linger=0)
            return None
        return socket

    def _close(self, ear: Ear) -> None:
        self._waiting.remove(ear.input.monitor)
        self._waiting.remove(ear.input.socket)
        ear.input.close()

    def keep_house(self, now: float) -> Iterator[tuple[Ear, Frame]]:
        """Tells the gaps that were measured; gives the closing pieces of utterances that nobody went on with."""
        for ear in self.ears:
            ear.input.part(now)
            for gap in ear.input.gaps(now):
                self._tell({
                    "type": "gap", "input": ear.input.name, "source": gap.instance, "gap_ms": round(gap.gap_ms, 1),
                    "from": gap.before, "to": gap.after,
                })  # fmt: skip
            for request, piece in ear.input.broken(now):
                if ear.input.form[1] == "text" and not ear.answers:
                    yield ear, Frame("", ear.input.stream, request=request, index=piece, ended="failed")

    def close(self) -> None:
        """Listens to nobody any more."""
        for ear in self.ears:
            self._close(ear)
        self.ears = ()
