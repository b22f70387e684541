"""The sockets over which revisions travel: their own, so that no chunk ever stands before a word of the control plane.

A context of their own too, since a context's one thread encrypts for all its sockets. What leaves is marked as bulk (IP's
type of service), so that network cards and routers that know more than one queue let heartbeats pass before it. Encryption
and the right to connect are `curve`'s, as on every other line.
"""

from __future__ import annotations

from typing import Any

import zmq

from mesh.core.parcels import Parcel, decode, encode
from mesh.errors import NoRoomError, WireError
from mesh.shell import curve
from mesh.shell.beats import port_taken
from mesh.shell.register import Register
from mesh.shell.sockets import bounded

TRANSFER_PORT = 47601
BULK = 0x08  # "maximize throughput" (RFC 1349), which queueing disciplines put last
QUEUE_MAX = 6  # messages, of up to a chunk each, that wait for one peer


class Line:
    """A line to one machine's transfer port. To be used from one thread."""

    def __init__(self, context: zmq.Context[Any], register: Register, node: str, address: str, port: int) -> None:
        """Raises NoRoomError while it is not known by which key that node is to be known."""
        self.where = (address, port)
        theirs = register.public(node)
        if theirs is None:
            raise NoRoomError("its key is not known here yet, or it was shut out", where=f"{address}:{port}")
        self.socket = _bulk(context.socket(zmq.DEALER))
        curve.client(self.socket, theirs, register.mine.public, register.mine.curve_secret)
        self.socket.setsockopt(zmq.RECONNECT_IVL_MAX, 2_000)
        self.socket.setsockopt(zmq.HEARTBEAT_IVL, 2_000)
        self.socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 6_000)
        self.socket.connect(f"tcp://{address}:{port}")

    def send(self, parcel: Parcel, body: bytes = b"") -> bool:
        """Whether it is on its way; never waits."""
        try:
            self.socket.send_multipart([encode(parcel), body], zmq.NOBLOCK)
        except zmq.ZMQError:
            return False
        return True

    def receive(self) -> tuple[Parcel, bytes] | None:
        """One answer, if one is there. Raises WireError for one that is none."""
        try:
            parts = self.socket.recv_multipart(zmq.NOBLOCK)
        except zmq.ZMQError:
            return None
        if len(parts) != 2:
            raise WireError("an answer is not a head and a body")
        return decode(parts[0]), parts[1]

    def close(self) -> None:
        """Hangs up."""
        self.socket.close(0)


def listen(context: zmq.Context[Any], guard: curve.Guard, register: Register, host: str, port: int) -> tuple[zmq.Socket[Any], int]:
    """The socket that others fetch from, and its port. `guard`: the context's. Raises TransportError."""
    socket = _bulk(context.socket(zmq.ROUTER))
    socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
    curve.server(socket, register.mine.public, register.mine.curve_secret)
    guard.watch(socket)
    try:
        socket.bind(f"tcp://{host}:{port or '*'}")
    except zmq.ZMQError as error:
        raise port_taken("TCP", host, port, OSError(error.errno, zmq.strerror(error.errno or 0))) from None
    endpoint = bytes(socket.getsockopt(zmq.LAST_ENDPOINT)).rstrip(b"\0").decode()
    return socket, int(endpoint.rsplit(":", 1)[1])


def _bulk(socket: zmq.Socket[Any]) -> zmq.Socket[Any]:
    bounded(socket)
    socket.sndhwm = socket.rcvhwm = QUEUE_MAX
    socket.setsockopt(zmq.TOS, BULK)
    return socket
