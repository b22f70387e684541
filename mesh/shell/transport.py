"""The control plane's sockets: what nodes tell one another besides heartbeats, and what a command asks them.

    control = Control(register, receive=receive, on_hint=on_hint, ask=introductions.ask)
    port = control.bind("*", 47600)          TransportError when the port is taken
    control.connect(peer, addresses, port)   dials for ever, at every address; call it again whenever either changes
    control.send(peer, data) -> bool         never blocks; False when it was dropped
    control.address(peer) -> str | None      where this peer was proven to be; use it for heartbeats and role data
    control.disconnect(peer);  await control.close()

`receive(data, reply)` gets each message from anyone whom the register admits; `reply(data) -> bool`
answers a caller of the command line and may be called any number of times (a peer node ignores it: answers to
nodes go over one's own line to them). `on_hint(peer, what, detail)`: "reached" (the address), "lost" (the
connection broke), "refused" (its machine answers, no agent listens), "unreachable", "wrong-key", "unknown" (it has shown no
certificate of this installation), "stranger" (another node answered); detail is the address that was tried. A failure is
told once until it changes. `ask(address, port)` shows an address who is about to call, before each call.

Every message names the node it is for; one that reached another node, through an address that two machines
share, is dropped and its sender told. Decided against: one ROUTER for both directions (it drops in silence, and
cannot say which address serves), IPv6 (link-local addresses need the sender's own interface number; IPv4,
link-local too, is what offline gallery networks have), and ZeroMQ's reconnection (see dialling.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
from collections.abc import Callable, Iterable, Sequence

import zmq

from mesh.shell import curve
from mesh.shell.beats import Beats, TransportError, port_taken
from mesh.shell.caller import REPLY, Caller
from mesh.shell.dialling import HERE, Ask, Hint, Line, too_large
from mesh.shell.link import Link
from mesh.shell.register import Register
from mesh.shell.sockets import Inbox, bounded

__all__ = ["Caller", "Control", "Link", "Receive", "Reply", "TransportError"]

SOCKETS_MAX = 8_000
PORT_TRIES = 20  # for a number that is free for both UDP and TCP
DESCRIPTORS_MAX = 32_768
Reply = Callable[[bytes], bool]
Receive = Callable[[bytes, Reply], None]


class Control:
    """A node's control socket and its lines to its peers. Make it in a running loop.

    Counters that only grow: `received`, `misdirected` (meant for another node), `oversized` (not sent),
    `broken` (not of this protocol).
    """

    def __init__(self, register: Register, *, receive: Receive, on_hint: Hint, ask: Ask = lambda address, port: None) -> None:
        mine = register.mine
        self._node = mine.node.encode()
        self._register = register
        self._ask = ask
        self._receive = receive
        self._hint = on_hint
        self._lines: dict[str, Line] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._inbox: Inbox | None = None
        self._dropped_by_closed_lines = 0
        self.received = self.misdirected = self.oversized = self.broken = 0
        _allow_descriptors()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._context.set(zmq.MAX_SOCKETS, SOCKETS_MAX)
        self._guard = curve.guard(self._context, register.admits)
        self._socket = bounded(self._context.socket(zmq.ROUTER))
        self._socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        curve.server(self._socket, mine.public, mine.curve_secret)
        self._guard.watch(self._socket)

    def news(self) -> list[tuple[str, str]]:
        """(address, why) of calls that were turned away since this was asked last; the last hundred."""
        return self._guard.news()

    @property
    def refused(self) -> int:
        """Connections turned away: another key, or not ZeroMQ at all."""
        return self._guard.refused + self._guard.broken

    @property
    def dropped(self) -> int:
        """Messages to peers that could not be kept for them."""
        return self._dropped_by_closed_lines + sum(line.dropped for line in self._lines.values())

    def bind(self, host: str = "*", port: int = 0) -> int:
        """Begins to listen; returns the port, a free one for 0.

        Raises:
            TransportError: the port is taken, or the address is not of this machine.
        """
        try:
            self._socket.bind(f"tcp://{host}:{port or '*'}")
        except zmq.ZMQError as error:
            raise port_taken("TCP", host, port, OSError(error.errno, zmq.strerror(error.errno or 0))) from None
        self._inbox = Inbox(self._socket, self._received)
        endpoint = bytes(self._socket.getsockopt(zmq.LAST_ENDPOINT)).rstrip(b"\0").decode()
        bound = int(endpoint.rsplit(":", 1)[1])
        self._guard.ports = frozenset((bound,))
        return bound

    def connect(self, peer: str, addresses: Sequence[str], port: int) -> None:
        """Keeps a line to a peer, at whichever of its ranked addresses serves. Dials at once when none does yet."""
        if peer not in self._lines:
            self._lines[peer] = Line(self._context, self._register, peer, self._hint, self._ask)
        self._lines[peer].aim(addresses, port)

    def disconnect(self, peer: str) -> None:
        """Hangs up, and dials this peer no more."""
        line = self._lines.pop(peer, None)
        if line is not None:
            self._dropped_by_closed_lines += line.dropped
            task = asyncio.get_running_loop().create_task(line.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def send(self, peer: str, data: bytes) -> bool:
        """True when it is on its way, or waits (256 at most, the oldest goes) for the peer to be reached."""
        line = self._lines.get(peer)
        if line is None:
            return False
        if too_large(data):
            self.oversized += 1
            return False
        return line.send(data)

    def cut(self, keys: Iterable[bytes]) -> None:
        """Hangs up on those who called with these keys, and with all others that the register does not admit any more."""
        self._guard.cut(keys, sweep=True)

    def address(self, peer: str) -> str | None:
        """The address at which the peer answers now, as proven by the handshake and its id."""
        line = self._lines.get(peer)
        return line.address if line is not None else None

    def peers(self) -> list[str]:
        """Whom this node dials or has reached."""
        return list(self._lines)

    async def close(self) -> None:
        """Hangs up everywhere; what was just sent still leaves. Nothing is received after it. May be called twice."""
        if self._socket.closed:
            return
        for peer in list(self._lines):
            self.disconnect(peer)
        await asyncio.gather(*self._closing)
        if self._inbox is not None:
            self._inbox.close()
        self._guard.close()
        self._context.destroy(linger=0)

    def _received(self, parts: list[bytes]) -> None:
        if len(parts) != 3:
            self.broken += 1
            return
        caller, addressee, data = parts
        if addressee == self._node and not data:  # "who is there?"
            self._answer(caller, HERE, self._node)
            return
        if addressee not in (b"", self._node):
            self.misdirected += 1
            self._answer(caller, HERE, self._node)
            return
        self.received += 1
        self._receive(data, lambda answer: self._answer(caller, REPLY, answer))

    def _answer(self, caller: bytes, kind: bytes, data: bytes) -> bool:
        if self._socket.closed or too_large(data):
            return False
        try:
            self._socket.send_multipart([caller, kind, data], zmq.NOBLOCK)
        except zmq.ZMQError:  # the caller has gone, or does not read
            return False
        if self._inbox is not None:
            self._inbox.after_send()
        return True


def bind_together(control: Control, beats: Beats, host: str, port: int) -> int:
    """Opens UDP and TCP ports of one number, a free one for 0, so that an address to call is also one to ask who is there.

    Raises:
        TransportError: the port is taken, or the address is not of this machine.
    """
    tries = 1 if port else PORT_TRIES
    for left in reversed(range(tries)):
        number = beats.bind(host, port)
        try:
            return control.bind("*" if host == "0.0.0.0" else host, number)
        except TransportError:
            beats.close()
            if not left:
                raise
    raise AssertionError


def _allow_descriptors() -> None:
    """A line takes six descriptors, and many systems allow 1,024 where nobody asks for more. Calls of strangers, each of which is hung up
    on after two seconds, must leave enough for the node's own files and processes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS_MAX if hard == resource.RLIM_INFINITY else min(DESCRIPTORS_MAX, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
