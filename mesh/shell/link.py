"""The line between an agent and the processes that play its instances, on one machine.

    link = Link(mine, receive)                 receive(instance, generation, message: dict) in the loop's thread
    link.admit(instance, generation, public)   a process of ours, by its key (Z85); link.forget(instance, generation)
    link.name(instance, generation)            what that process, and no other, is to call itself
    link.bind(path) -> "ipc://…"               TransportError when the path is too long or cannot be made
    link.send(instance, generation, message) -> bool
    link.close()

ZeroMQ over a Unix socket in a folder that only its owner can enter; and with CURVE, by which none but the agent's own processes
are let in. Without it whatever ran as the same user could speak for a role; and a line on which another's name was said made ZeroMQ
put that other's aside, and keep it for ever (229 MB and thousands of descriptors after a million messages). The host's DEALER sets
the routing id `instance#generation#seal` (UTF-8), which it is told at its start, and sends one MessagePack map a message. Only the
agent can make the seal, so that a role which was taken over can neither speak as another nor have that other's line put aside.
It names itself in each connection, not in a greeting, so that an agent started again on the same path, which has the same key,
knows whom it hears without asking. Frames never take this way: they go from role to role.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable
from hmac import compare_digest
from pathlib import Path
from typing import Any

import msgpack
import zmq

from mesh.shell import curve
from mesh.shell.beats import TransportError
from mesh.shell.sockets import Inbox, bounded

PATH_BYTES_MAX = 100  # a Unix socket's path has 107 at most
MESSAGE_BYTES_MAX = 1_000_000  # a role's state has 64 KB, the rest is words and numbers
Pair = tuple[bytes, bytes]  # public, secret, as ZeroMQ takes them
Receive = Callable[[str, int, dict[str, Any]], None]


class Link:
    """The agent's end. `broken` counts messages that are not of this protocol; `unheard` those to a host that
    is not there. `mine`: the agent's key pair, whose public half its processes know.
    """

    def __init__(self, mine: Pair, receive: Receive) -> None:
        self._receive, self._secret = receive, mine[1]
        self._keys: dict[tuple[str, int], bytes] = {}
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._guard = curve.guard(self._context, self._admits)
        self._socket = bounded(self._context.socket(zmq.ROUTER))
        self._socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MESSAGE_BYTES_MAX)
        curve.server(self._socket, *mine)
        self._guard.watch(self._socket)
        self._inbox: Inbox | None = None
        self._path: Path | None = None
        self.broken = self.unheard = 0

    @property
    def refused(self) -> int:
        """Connections turned away: no process of this agent's, or no ZeroMQ at all."""
        return self._guard.refused + self._guard.broken

    def admit(self, instance: str, generation: int, public: str) -> None:
        """From now on the holder of this key is let in. Raises ValueError for what is no key."""
        self._keys[instance, generation] = curve.raw(public)

    def forget(self, instance: str, generation: int) -> None:
        """It has ended: whoever comes with its key is a stranger."""
        self._keys.pop((instance, generation), None)

    def _admits(self, key: bytes) -> bool | None:
        return True if key in self._keys.copy().values() else None

    def bind(self, path: Path) -> str:
        """Listens at a path, replacing what an earlier agent left there; returns the endpoint for the hosts.

        Raises:
            TransportError: too long for a Unix socket, or the folder cannot be made.
        """
        instead = "Choose a shorter or writable folder with ROOMFUL_HOME."
        if len(os.fsencode(path)) > PATH_BYTES_MAX:
            raise TransportError("the path is too long for a socket", where=str(path), instead=instead)
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.unlink(missing_ok=True)
            self._socket.bind(f"ipc://{path}")
        except (OSError, zmq.ZMQError) as error:
            why = f"no socket can be made there: {error.strerror}"
            raise TransportError(why, where=str(path), instead=instead) from None
        self._path = path
        self._inbox = Inbox(self._socket, self._received)
        return f"ipc://{path}"

    def name(self, instance: str, generation: int) -> str:
        """The routing id of a process of ours, for its configuration."""
        return routing_id(instance, generation, self._secret).decode()

    def send(self, instance: str, generation: int, message: dict[str, Any]) -> bool:
        """Whether the host of that generation is connected and took it. Never blocks."""
        if self._socket.closed:
            return False
        try:
            self._socket.send_multipart([routing_id(instance, generation, self._secret), msgpack.packb(message)], zmq.NOBLOCK)
        except zmq.ZMQError:
            self.unheard += 1
            return False
        if self._inbox is not None:
            self._inbox.after_send()
        return True

    def hear_out(self) -> None:
        """Takes in what waits: before a process is thought silent."""
        if self._inbox is not None:
            self._inbox.drain()

    def close(self) -> None:
        """Hangs up and removes the socket's file. May be called twice."""
        if self._inbox is not None:
            self._inbox.close()
        self._guard.close()
        self._context.destroy(linger=0)
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink()

    def _received(self, parts: list[bytes]) -> None:
        try:
            sender, body = parts
            instance, _, generation = sender.decode().rpartition("#")[0].rpartition("#")
            message = msgpack.unpackb(body, strict_map_key=False)
            number = int(generation)
        except (ValueError, TypeError, RecursionError, OverflowError):  # MessagePack's own errors are ValueErrors
            self.broken += 1
            return
        if not instance or not isinstance(message, dict) or not compare_digest(sender, routing_id(instance, number, self._secret)):
            self.broken += 1
            return
        self._receive(instance, number, message)


def routing_id(instance: str, generation: int, secret: bytes = b"") -> bytes:
    """What a host's socket calls itself, for both ends to agree on; with an agent's secret, under its seal. At most 255 bytes."""
    name = f"{instance}#{generation}".encode()
    return name + b"#" + hashlib.blake2b(name, key=secret, digest_size=16).hexdigest().encode() if secret else name
