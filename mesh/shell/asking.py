"""The asking end of requests in a role's process: a line to each copy that can be asked, and the answers that come.

`Asker` decides; here are its lines. A copy on this machine is asked at its door (`near`, `talk`), one on another machine by a
DEALER of its own with a monitor. Either way a process that ends breaks its connection at once, long before any heartbeat
misses it, and its requests go elsewhere within milliseconds.
"""

from __future__ import annotations

import contextlib
import struct
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import zmq

from mesh.core.bells import ASKING
from mesh.core.copies import Copy, CopyId
from mesh.core.request_messages import MESSAGE_BYTES_MAX, Message, decode, encode
from mesh.core.requests import Asker, Bridged, Effect, Heard, Over, Tell
from mesh.errors import RoleError, WireError
from mesh.shell import curve
from mesh.shell.arrays import as_value
from mesh.shell.fallbacks import Fallbacks
from mesh.shell.lines import Neighbours
from mesh.shell.sources import Source
from mesh.shell.streams import bounded, endpoint
from mesh.shell.talk import Talk
from mesh.shell.waiting import EVENTS, NOBLOCK, POLLIN, Waiting

QUEUE_MAX = 1000
_DOWN = zmq.EVENT_DISCONNECTED | zmq.EVENT_CONNECT_RETRIED


class Line:
    """The connection to one copy."""

    def __init__(self, asking: Asking, source: Source) -> None:
        self._asking = asking
        self.copy = CopyId(*source.speaker)
        self.where = endpoint(source.address, source.requests_port)
        self._key = source.key
        self._talk: Talk | None = None
        self.socket: Any = None
        door = asking.neighbours.call(source, ASKING)
        if door is None:
            self._dial()
        else:
            self._talk = Talk(door, asking.waiting, self._take, self._hung_up)

    @property
    def is_near(self) -> bool:
        """Whether it leads to a process of this machine without the network."""
        return self._talk is not None

    def _dial(self) -> None:
        asking = self._asking
        self.socket = bounded(asking.context.socket(zmq.DEALER), QUEUE_MAX)
        self.socket.setsockopt(zmq.MAXMSGSIZE, MESSAGE_BYTES_MAX)
        self._monitor: Any = self.socket.get_monitor_socket(_DOWN | zmq.EVENT_HANDSHAKE_SUCCEEDED)
        asking.waiting.add(self._monitor, self._notice)
        asking.waiting.add(self.socket, self._read)
        with contextlib.suppress(zmq.ZMQError):  # not an address, or no key: it stays a copy that never answers
            curve.client(self.socket, self._key.encode(), asking.public, asking.secret)
            self.socket.connect(self.where)

    def send(self, message: Message) -> None:
        """Never blocks; what does not fit is asked again later."""
        if self._talk is not None:
            self._talk.send(encode(message))
            return
        try:
            self.socket.send(encode(message), NOBLOCK)
        except zmq.ZMQError:
            return
        self._asking.waiting.sent(self.socket)

    def _read(self) -> None:
        while not self.socket.closed and self.socket.get(EVENTS) & POLLIN:
            self._take(None, self.socket.recv(NOBLOCK))

    def _take(self, _talk: Talk | None, data: Any) -> None:
        try:
            message = decode(data)
        except WireError:
            self._asking.refused += 1
            return
        self._asking.heard(self.copy, message)

    def _hung_up(self, _talk: Talk) -> None:
        """Its process has ended, or has shut its door: should it live after all, it is reached over the network."""
        self._talk = None
        self._dial()
        self._asking.linked(self.copy, False)

    def _notice(self) -> None:
        while not self.socket.closed and self._monitor.get(EVENTS) & POLLIN:
            parts = self._monitor.recv_multipart(NOBLOCK)
            (event,) = struct.unpack_from("=H", parts[0])
            self._asking.linked(self.copy, not event & _DOWN)

    def close(self) -> None:
        """Hangs up."""
        if self._talk is not None:
            self._talk.close()
        if self.socket is None:
            return
        self._asking.waiting.remove(self._monitor)
        self._asking.waiting.remove(self.socket)
        self.socket.disable_monitor()
        self._monitor.close(linger=0)
        self.socket.close(linger=0)


class Answer(Iterator[Any]):
    """The pieces of one answer, as they come. Dropped before its end, it cancels the request."""

    def __init__(self, asking: Asking, pump: Callable[[], None]) -> None:
        self.id = ""
        self.pieces: deque[Any] = deque()
        self.over: Over | None = None
        self._asking = asking
        self._pump = pump

    def __next__(self) -> Any:
        while not self.pieces:
            if self.over is not None:
                if self.over.outcome == "answered":
                    raise StopIteration
                raise RoleError(self.over.why or f"the request was {self.over.outcome}", instead="ask again")
            self._pump()
        return as_value(self.pieces.popleft())

    def close(self) -> None:
        """No longer wanted."""
        if self.over is None:
            self._asking.cancel(self.id)

    def __del__(self) -> None:
        self.close()


class Asking:
    """All lines and all requests of one process. `tell` takes events for the agent."""

    def __init__(
        self, context: zmq.Context[Any], public: bytes, secret: bytes, waiting: Waiting, asker: Asker,
        tell: Callable[[dict[str, Any]], None], fallbacks: Fallbacks, doors: str,
    ) -> None:  # fmt: skip
        self.neighbours = Neighbours(doors, waiting)
        self.context = context
        self.public = public
        self.secret = secret
        self.waiting = waiting
        self.asker = asker
        self.refused = 0
        self.fallbacks = fallbacks
        self.say_instead: Callable[[str, str], None] = lambda stream, line: None
        self._tell = tell
        self._lines: dict[CopyId, Line] = {}
        self._answers: weakref.WeakValueDictionary[str, Answer] = weakref.WeakValueDictionary()

    def route(self, roles: Mapping[str, Sequence[Source]]) -> None:
        """The copies of every role that this process asks or may ask; a full replacement."""
        wanted = {CopyId(*each.speaker): each for many in roles.values() for each in many if each.state != "standby"}
        for copy, line in list(self._lines.items()):
            source = wanted.get(copy)
            if source is None or endpoint(source.address, source.requests_port) != line.where:
                self._lines.pop(copy).close()
        for copy, source in wanted.items():
            if copy not in self._lines:
                self._lines[copy] = line = Line(self, source)
                if line.is_near:
                    self.linked(copy, True)
        copies = {role: [Copy(CopyId(*each.speaker), each.state, each.rank) for each in many] for role, many in roles.items()}
        self._perform(self.asker.route(copies, time.monotonic()))

    @property
    def near(self) -> int:
        """How many copies are asked on this machine's own way."""
        return sum(line.is_near for line in list(self._lines.values()))

    def ask(self, role: str, input: str, value: Any, answer: Answer | None = None, **more: Any) -> None:
        """One request; its pieces go to `answer`, if there is one."""
        fallback = self.fallbacks.has(role)
        id, effects = self.asker.ask(role, input, value, now=time.monotonic(), streamed=answer is not None, fallback=fallback, **more)
        if answer is not None:
            answer.id = id
            self._answers[id] = answer
        self._perform(effects)

    def cancel(self, id: str) -> None:
        """Nobody waits for it any more."""
        self._perform(self.asker.cancel(id, time.monotonic()))

    def tick(self, now: float) -> None:
        """Deadlines and silences."""
        self._perform(self.asker.tick(now))

    def heard(self, copy: CopyId, message: Message) -> None:
        """A copy's word."""
        self._perform(self.asker.hear(copy, message, time.monotonic()))

    def linked(self, copy: CopyId, up: bool) -> None:
        """A connection was made or broke."""
        change = self.asker.link_up if up else self.asker.link_down
        self._perform(change(copy, time.monotonic()))

    def _perform(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Tell):
                line = self._lines.get(effect.copy)
                if line is not None:
                    line.send(effect.message)
            elif isinstance(effect, Heard):
                if (answer := self._answers.get(effect.id)) is not None:
                    answer.pieces.append(effect.value)
            elif isinstance(effect, Bridged):
                self._tell({
                    "type": "gap", "input": f"{effect.role}.{effect.input}", "source": effect.before.instance,
                    "gap_ms": round(effect.gap_s * 1000, 1), "from": effect.before.node, "to": effect.after.node,
                })  # fmt: skip
            else:
                self._over(effect)

    def _over(self, over: Over) -> None:
        answer = self._answers.pop(over.id, None)
        said = self.fallbacks.next(over.role) if over.outcome == "lost" and not over.handed else None
        if over.outcome == "lost":
            what = f"{over.why}; its fallback is said instead" if said else over.why
            self._tell({"type": "event", "event": "request_lost", "level": "error", "what": what, "request": over.id})
        if answer is not None:
            answer.over = over if said is None else over._replace(outcome="answered")
            answer.pieces.extend(() if said is None else [said[1]])
        elif said is not None:
            self.say_instead(*said)

    def drop(self) -> None:
        """Cancels everything open: whoever plays from now on asks for itself."""
        self._perform(self.asker.close("the one who asked plays no more", time.monotonic()))

    def close(self) -> None:
        """Hangs up everywhere."""
        self.drop()
        for line in self._lines.values():
            line.close()
        self._lines.clear()
