"""The line between a role's process and those that would go on for it: its open answers and its small state.

It runs over the socket that sends the role's streams, under a topic that no stream can have, so that it needs no port of
its own and reaches a follower in one step. Nothing is told while nobody follows. Who begins to follow is told all that is
open; who missed something subscribes anew and is told it once more.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from typing import Any

import zmq

from mesh.core.frames import TOPIC_END
from mesh.core.request_messages import Message, decode, encode
from mesh.errors import WireError
from mesh.shell import curve
from mesh.shell.sources import Source
from mesh.shell.streams import bounded, endpoint
from mesh.shell.waiting import EVENTS, NOBLOCK, POLLIN, Waiting

MESSAGE_BYTES_MAX = 4 * 1024 * 1024
QUEUE_MAX = 1000
AGAIN_S = 0.1  # an instance is asked to say it once more no oftener
SIGN = b"~"  # no stream's name begins with it


def topic(instance: str) -> bytes:
    """What an instance's followers subscribe to."""
    return SIGN + instance.encode() + TOPIC_END


class Followers:
    """Those who follow this process. `snapshot` gives all that one who begins to follow must know."""

    def __init__(self, socket: zmq.Socket[Any], instance: str) -> None:
        self._socket = socket
        self._topic = topic(instance)
        self.any = False
        self.snapshot: Callable[[], Iterable[Message]] = list

    def tell(self, message: Message) -> None:
        """To all of them; never blocks."""
        if not self.any:
            return
        data = encode(message)
        if len(data) <= MESSAGE_BYTES_MAX:
            with contextlib.suppress(zmq.Again):
                self._socket.send(self._topic + data, NOBLOCK)

    def greet(self, subscription: bytes) -> None:
        """Somebody follows, or the last one has gone."""
        if subscription[1:] != self._topic:
            return
        self.any = subscription[:1] == b"\x01"
        if self.any:
            for message in self.snapshot():
                self.tell(message)


class FollowLine:
    """Whom this process follows. `heard` takes what they tell."""

    def __init__(
        self, context: zmq.Context[Any], public: bytes, secret: bytes, waiting: Waiting, heard: Callable[[Message], None],
    ) -> None:  # fmt: skip
        self._context, self._public, self._secret, self._waiting = context, public, secret, waiting
        self._heard = heard
        self._socket: Any = None
        self._places: dict[str, tuple[str, str]] = {}  # instance -> where it is followed, and its key
        self._asked_s: dict[str, float] = {}
        self.refused = 0

    def follow(self, sources: Iterable[Source]) -> None:
        """Exactly these from now on."""
        wanted = {each.instance: (endpoint(each.address, each.frames_port), each.key) for each in sources}
        if wanted == self._places:
            return
        if self._socket is None:
            self._open()
        for instance in self._places.keys() - wanted.keys():
            self._socket.unsubscribe(topic(instance))
        before, after = set(self._places.values()), set(wanted.values())
        for place in before - after:
            with contextlib.suppress(zmq.ZMQError):
                self._socket.disconnect(place[0])
        for instance in wanted.keys() - self._places.keys():
            self._socket.subscribe(topic(instance))
        for place in after - before:
            with contextlib.suppress(zmq.ZMQError):  # what is no address is somebody who never speaks
                curve.call(self._socket, place[1])
                self._socket.connect(place[0])
        self._places = wanted
        if not wanted:
            self.close()

    def again(self, instance: str) -> None:
        """Something of it did not arrive: let it tell all once more."""
        now = time.monotonic()
        if self._socket is None or instance not in self._places or now - self._asked_s.get(instance, 0.0) < AGAIN_S:
            return
        self._asked_s[instance] = now
        self._socket.unsubscribe(topic(instance))
        self._socket.subscribe(topic(instance))

    def _open(self) -> None:
        self._socket = bounded(self._context.socket(zmq.SUB), QUEUE_MAX)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MESSAGE_BYTES_MAX + 1024)
        curve.client(self._socket, self._public, self._public, self._secret)  # whom it calls is said at each connect
        self._waiting.add(self._socket, self._read)

    def _read(self) -> None:
        while self._socket is not None and self._socket.get(EVENTS) & POLLIN:
            data = self._socket.recv(NOBLOCK)
            try:
                message = decode(data[data.index(TOPIC_END) + 1 :])
            except (WireError, ValueError):
                self.refused += 1
                continue
            self._heard(message)

    def close(self) -> None:
        """Follows nobody any more."""
        if self._socket is not None:
            self._waiting.remove(self._socket)
            self._socket.close(linger=0)
            self._socket = None
        self._places = {}
