"""Who may connect: every TCP socket speaks CURVE, and only holders of the installation's key get in.

    guard = curve.guard(context, public)       one for each ZeroMQ context, before its first server socket
    curve.server(socket, public, secret)       before bind
    curve.client(socket, public, secret)       before connect
    guard.refused                              connections turned away for their key
    guard.close()                              before the context is ended

An installation has one key pair, which serves both ends of every connection. A CURVE server proves who *it* is, but
lets in any client, whatever its key, unless somebody answers for it under ZAP (ZeroMQ's RFC 27): that is the guard's
thread. It must stand before the first server socket, because where nobody answers everybody is let in; where its
thread has died nobody is. Decided against: a plain mode (there would be rooms that forgot to leave it), and pyzmq's own
authenticator (it brings asyncio into every role's process, and keys in a folder of files).
"""

from __future__ import annotations

import threading
from typing import Any

import zmq
from zmq.utils import z85

_ADDRESS = "inproc://zeromq.zap.01"  # fixed by RFC 27
_DOMAIN = b"roomful"
_VERSION = b"1.0"


class Guard:
    """Answers for one context's server sockets. Made by `guard`."""

    def __init__(self, context: zmq.Context[Any], public: bytes) -> None:
        self._key = z85.decode(public)
        self._refused = 0
        self._door: zmq.Socket[bytes] = context.socket(zmq.ROUTER)
        self._door.linger = 0
        self._door.bind(_ADDRESS)
        self._bell: zmq.Socket[bytes] = context.socket(zmq.PAIR)
        self._bell.linger = 0
        self._bell.bind(f"inproc://guard-{id(self)}")
        ringer: zmq.Socket[bytes] = context.socket(zmq.PAIR)
        ringer.connect(f"inproc://guard-{id(self)}")
        self._ringer: zmq.Socket[bytes] | None = ringer
        self._thread = threading.Thread(target=self._watch, name="guard", daemon=True)
        self._thread.start()

    @property
    def refused(self) -> int:
        """How many connections were turned away."""
        return self._refused

    def close(self) -> None:
        """Ends the thread; from here on nobody is let in. May be called twice."""
        if self._ringer is not None:
            self._ringer.send(b"")
            self._thread.join()
            self._ringer.close(linger=0)
            self._ringer = None

    def _watch(self) -> None:
        poller = zmq.Poller()
        poller.register(self._door, zmq.POLLIN)
        poller.register(self._bell, zmq.POLLIN)
        while self._bell not in (ready := dict(poller.poll())):
            if self._door in ready:
                self._door.send_multipart(self._judge(self._door.recv_multipart()))
        self._bell.close()
        self._door.close()

    def _judge(self, parts: list[bytes]) -> list[bytes]:
        """RFC 27's reply to its request: [asker, "", version, id, domain, address, identity, mechanism, key]."""
        asker, empty, version, number, _domain, _address, _identity, mechanism, *credentials = parts
        if version == _VERSION and mechanism == b"CURVE" and credentials == [self._key]:
            return [asker, empty, _VERSION, number, b"200", b"OK", b"", b""]
        self._refused += 1
        return [asker, empty, _VERSION, number, b"400", b"another installation's key", b"", b""]


def guard(context: zmq.Context[Any], public: bytes) -> Guard:
    """Stands at the door of every server socket of `context`: lets in who holds the key of `public` (Z85)."""
    return Guard(context, public)


def server(socket: zmq.Socket[Any], public: bytes, secret: bytes) -> None:
    """Makes a socket the side that binds. Its context must have a guard."""
    socket.curve_server = True
    socket.curve_publickey = public
    socket.curve_secretkey = secret
    socket.zap_domain = _DOMAIN


def client(socket: zmq.Socket[Any], public: bytes, secret: bytes) -> None:
    """Makes a socket the side that connects; it talks to nobody but holders of the same installation's key."""
    socket.curve_serverkey = public
    socket.curve_publickey = public
    socket.curve_secretkey = secret
