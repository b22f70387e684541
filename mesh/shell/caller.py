"""How the command line asks a node: one encrypted question, one answer or a stream of them, then gone.

    Caller(register).ask(["127.0.0.1"], 47600, data, timeout_s=2.0) -> bytes   NoRoomError says what was tried
    Caller(register).stream(hosts, port, data, timeout_s=2.0) -> iterator   the first within timeout_s, the rest as they come
    Caller(register, node)                     where it is known which node is there, and the register knows its certificate

Blocking, since a command has nothing else to do. It shows its certificate to the node's UDP port, which has the number of
its TCP port, is shown the node's if that is not known, and calls. It is never counted as a member.
"""

from __future__ import annotations

import contextlib
import socket as tcp
import time
from collections.abc import Generator, Sequence

import zmq

from mesh.errors import NoRoomError
from mesh.shell import curve
from mesh.shell.introductions import learn_of, show
from mesh.shell.register import Register
from mesh.shell.sockets import bounded, hush

REPLY = b"reply"
KNOCK_S = 0.5
SHOWN_S = 1.5
Answers = Generator[bytes, None, None]
NOBODY = b""  # a caller does not know, or mind, which node answers


class Caller:
    """Asks the first node that answers at any of the hosts given."""

    def __init__(self, register: Register, node: str = "") -> None:
        self._register, self._node = register, node

    def ask(self, hosts: Sequence[str], port: int, data: bytes, timeout_s: float = 2.0) -> bytes:
        """One answer; empty when the node ends the stream with none.

        Raises:
            NoRoomError: nothing listens there, or it does not answer in time (mostly: it has another key).
        """
        with contextlib.closing(self.stream(hosts, port, data, timeout_s)) as answers:
            return next(answers, b"")

    def stream(self, hosts: Sequence[str], port: int, data: bytes, timeout_s: float = 2.0) -> Answers:
        """Every answer, for as long as the caller goes on; an empty answer ends it. Errors as `ask`.

        Later answers may take any time; a node that ends or falls silent for 8 s raises NoRoomError.
        """
        host = _first_that_listens(hosts, port)
        theirs, mine = self._shown(host, port), self._register.mine
        with zmq.Context() as context, bounded(context.socket(zmq.DEALER)) as socket:
            curve.client(socket, theirs, mine.public, mine.curve_secret)
            socket.setsockopt(zmq.RECONNECT_IVL, -1)
            socket.setsockopt(zmq.HEARTBEAT_IVL, 2_000)
            socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 8_000)
            gone = socket.get_monitor_socket(zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL)
            try:
                socket.connect(f"tcp://{host}:{port}")
                socket.send_multipart([NOBODY, data])
                yield from _answers(socket, gone, f"{host}:{port}", timeout_s)
            finally:
                hush(socket, gone)

    def _shown(self, host: str, port: int) -> bytes:
        known = self._register.public(self._node)
        if known is not None:
            show(self._register, host, port)
            return known
        node = learn_of(self._register, host, port, SHOWN_S)
        theirs = None if node is None else self._register.public(node)
        if theirs is None:
            what = "something listens there, but shows no certificate of this room: it has another key, or is not Roomful"
            instead = f"Compare the keys of both machines (roomful key list), and see that UDP port {port} is open between them."
            raise NoRoomError(what, where=f"{host}:{port}", instead=instead)
        return theirs


def _answers(socket: zmq.Socket[bytes], gone: zmq.Socket[bytes], where: str, timeout_s: float) -> Answers:
    poller = zmq.Poller()
    poller.register(socket, zmq.POLLIN)
    poller.register(gone, zmq.POLLIN)
    deadline: float | None = time.monotonic() + timeout_s
    while True:
        left_ms = None if deadline is None else int(max(0.0, deadline - time.monotonic()) * 1000)
        ready = dict(poller.poll(left_ms))
        if socket in ready:
            parts = socket.recv_multipart()
            if len(parts) == 2 and parts[0] == REPLY:
                if not parts[1]:
                    return
                deadline = None
                yield parts[1]
        elif gone in ready or not ready:
            raise _silent(where, began=deadline is None, closed=gone in ready)


def _silent(where: str, *, began: bool, closed: bool) -> NoRoomError:
    if began:
        return NoRoomError("the node stopped answering", where=where, instead="It may have been stopped; try again.")
    if closed:
        what = "something listens there, but it hung up: it has another key, or is not Roomful"
        return NoRoomError(what, where=where, instead="Compare the keys of both machines: roomful key list.")
    return NoRoomError("the node did not answer in time", where=where, instead="Look at its log, or try again.")


def _first_that_listens(hosts: Sequence[str], port: int) -> str:
    tried = []
    for host in hosts:
        try:
            tcp.create_connection((host, port), KNOCK_S).close()
        except (OSError, OverflowError, UnicodeError) as error:
            tried.append(f"{host}:{port} ({getattr(error, 'strerror', None) or error})")
        else:
            return host
    raise NoRoomError(
        "no agent answers",
        where=", ".join(tried) or "no address was given",
        instead="Start one with: roomful agent. To ask another machine, name it: --host HOST.",
    )
