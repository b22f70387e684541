"""Who may connect: every TCP socket speaks CURVE, and only those get in who are known by their keys.

    guard = curve.guard(context, admits)           one for each ZeroMQ context, before its first server socket
    curve.server(socket, public, secret)           before bind
    guard.watch(socket)                            counts the calls there that come to nothing, in `guard.broken`
    curve.client(socket, theirs, public, secret)   before connect; `theirs`: the key of the one who is called
    curve.call(socket, theirs)                     before each further connect of the same socket
    guard.refused                                  connections turned away for their key
    guard.broken                                   those that broke off, or were noise, before they had shown one
    guard.cut(keys, sweep=False)                   hangs up on those who were let in by these keys
    guard.ports = frozenset((47610,))              where they listen: from then on nobody fills the process with calls never made
    guard.close()                                  before the context is ended

A CURVE server proves who *it* is, but lets in any client, whatever its key, unless somebody answers for it under ZAP
(ZeroMQ's RFC 27): that is the guard's thread. It must stand before the first server socket, because where nobody answers
everybody is let in; where its thread has died nobody is. It decides before a byte of a message is read.

A key may be asked about a moment before word of it has come here: of a process that has just been started, or a machine
that has just arrived. Refused (400), a ZeroMQ client never tries again; put off (300), it keeps a connection that nothing
will ever come over until the handshake's time is up. So the answer is held until the key is known, or for `hold_s`, which is
shorter than a handshake may take. At most 256 wait; then the oldest is let go of.

`cut`: ZeroMQ cannot hang up on one peer. The guard keeps from where each key came (a stolen one may come from several places),
and shuts those TCP connections down by their descriptors: whoever else calls from that very address is back at once. What a
list names is not all that may have to go: a key that was replaced, or a process that its node no longer speaks of, may still
have its line. So `sweep` hangs up on everybody who was let in and would not be now. Where more keys came than are remembered,
all lines are cut. Decided against: a plain mode (there would be rooms that forgot to leave it), pyzmq's own authenticator (it
brings asyncio into every role's process, and keys in a folder of files), and dropping messages by their sender's key (a stream
would still be sent to who was shut out).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import zmq
from zmq.utils import z85

from mesh.shell.crowding import descriptors, hang_up, thin_out
from mesh.shell.knocks import Knocks

TOLD_MAX = 100
WORDS = {
    b"300": "it calls with a key that nobody here knows: another installation's, or a stranger's",
    b"400": "it calls with a key that was shut out, or without one",
}
HOLDS = "it holds many connections open and does not say who it is: they were cut"
_ADDRESS = "inproc://zeromq.zap.01"  # fixed by RFC 27
_DOMAIN = b"roomful"
_VERSION = b"1.0"
HOLD_S = 1.0
LOOK_MS = 10  # while somebody waits
CROWD_MS, HURRY_MS = 300, 50  # between two looks for a crowd; where there was one
WAITING_MAX = 256
SEEN_MAX = 4096
ADDRESSES_MAX = 8  # remembered of one key
SETTLES_S = 1.5  # a handshake, beyond the time for which it may be held
_END, _WATCH = b"", b"watch"
Admits = Callable[[bytes], "bool | None"]  # of a raw key: let in, shut out, not known


class Guard:
    """Answers for one context's server sockets. Made by `guard`."""

    def __init__(self, context: zmq.Context[Any], admits: Admits, hold_s: float) -> None:
        self._admits = admits
        self._hold_s = hold_s
        self._refused = 0
        self._knocks = Knocks(hold_s + SETTLES_S)
        self._watched: list[zmq.Socket[Any]] = []
        self._monitors: list[zmq.Socket[Any]] = []
        self.turned_away: deque[tuple[str, str]] = deque(maxlen=TOLD_MAX)  # (address, why), for whoever tells people
        self.ports: frozenset[int] = frozenset()  # at which its sockets listen, once they do: where no stranger may hold many connections
        self._held: dict[tuple[bytes, bytes], tuple[float, list[bytes]]] = {}
        self._seen: dict[bytes, tuple[str, ...]] = {}  # key -> the addresses it was let in from, the last one last
        self._forgot = False  # more keys, or addresses of one, than are remembered
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
        """How many connections were turned away for their key."""
        return self._refused

    @property
    def broken(self) -> int:
        """How many calls at the sockets that are watched came to nothing before a key was shown. Noise counts some seconds later."""
        return self._knocks.broken(time.monotonic())

    def watch(self, socket: zmq.Socket[Any]) -> None:
        """Counts from now on what comes to nothing at a server socket. In the socket's own thread, before it is bound."""
        if self._ringer is not None:
            self._watched.append(socket)
            self._monitors.append(self._knocks.listen_at(socket))
            self._ringer.send(_WATCH)

    def news(self) -> list[tuple[str, str]]:
        """(address, why) of those who were turned away since this was asked last; the last hundred."""
        return [self.turned_away.popleft() for _ in range(len(self.turned_away))]

    def close(self) -> None:
        """Ends the thread; from here on nobody is let in. May be called twice."""
        if self._ringer is not None:
            for socket in self._watched:
                if not socket.closed:
                    socket.disable_monitor()
            self._ringer.send(_END)
            self._thread.join()
            self._ringer.close(linger=0)
            self._ringer = None

    def cut(self, keys: Iterable[bytes], *, sweep: bool = False) -> int:
        """Hangs up on the holders of these (raw) keys, who must not be admitted any more; with `sweep` on all others who would not be now,
        too. How many connections that was."""
        gone = {*keys, *(key for key in list(self._seen) if sweep and not self._admits(key))}
        unknown = self._forgot and bool(gone - self._seen.keys())
        addresses = {address for key in gone for address in self._seen.pop(key, ())}
        if not addresses and not unknown:
            return 0
        return sum(hang_up(fd, lambda peer: unknown or peer in addresses) for fd in descriptors())

    def _watch(self) -> None:
        poller = zmq.Poller()
        poller.register(self._door, zmq.POLLIN)
        poller.register(self._bell, zmq.POLLIN)
        crowd_s, wait_ms, read = 0.0, CROWD_MS, 0
        while True:
            ready, now = dict(poller.poll(LOOK_MS if self._held else wait_ms)), time.monotonic()
            if self._bell in ready:
                if self._bell.recv() == _END:
                    break
                for monitor in self._monitors[read:]:
                    poller.register(monitor, zmq.POLLIN)
                    read += 1
            if self._door in ready:
                self._hear(self._door.recv_multipart())
            if self._held:
                self._look(now)
            for monitor in self._monitors[:read]:
                if monitor in ready:
                    self._knocks.heard(monitor.recv_multipart(), now)
            if self.ports and now >= crowd_s:
                wait_ms = HURRY_MS if self._thin_out() else CROWD_MS
                crowd_s = now + wait_ms / 1000
        for each in (self._bell, self._door, *self._monitors):
            each.close(0)

    def _thin_out(self) -> int:
        """Nobody fills this process with calls that are never made. On how many it hung up."""
        gone = thin_out(self.ports, {each for known in self._seen.values() for each in known})
        for address, count in gone.items():
            self._refused += count
            self.turned_away.append((address, HOLDS))
        return sum(gone.values())

    def _hear(self, parts: list[bytes]) -> None:
        """RFC 27's request: [asker, "", version, id, domain, address, identity, mechanism, key]."""
        asker, _empty, version, number, _domain, _address, _identity, mechanism, *credentials = parts
        if version != _VERSION or mechanism != b"CURVE" or len(credentials) != 1:
            self._reply(parts, b"400", b"not with a key")
        elif not self._judge(parts, late=False):
            if len(self._held) >= WAITING_MAX:
                self._judge(self._held.pop(next(iter(self._held)))[1], late=True)
            self._held[asker, number] = (time.monotonic() + self._hold_s, parts)

    def _look(self, now: float) -> None:
        """Those who wait: whether their key has become known, or their time is up."""
        for asked, (until_s, parts) in list(self._held.items()):
            if self._judge(parts, late=now >= until_s):
                del self._held[asked]

    def _judge(self, parts: list[bytes], *, late: bool) -> bool:
        """Answers if it can be decided now; whether it was."""
        key = parts[-1]
        admitted = self._admits(key)
        if admitted is None and not late:
            return False
        if admitted:
            self._remember(key, parts[5].decode(errors="replace"))
            self._reply(parts, b"200", b"OK")
        elif admitted is None:
            self._reply(parts, b"300", b"nobody here knows this key yet")
        else:
            self._reply(parts, b"400", b"shut out")
        return True

    def _remember(self, key: bytes, address: str) -> None:
        """From where it was let in; the keys that have been silent longest are forgotten first."""
        known = (*(each for each in self._seen.pop(key, ()) if each != address), address)
        self._forgot |= len(known) > ADDRESSES_MAX or len(self._seen) >= SEEN_MAX
        if len(self._seen) >= SEEN_MAX:
            self._seen.pop(next(iter(self._seen)), None)
        self._seen[key] = known[-ADDRESSES_MAX:]

    def _reply(self, parts: list[bytes], code: bytes, words: bytes) -> None:
        if code != b"200":
            self._refused += 1
            self.turned_away.append((parts[5].decode(errors="replace")[:64], WORDS[code]))
        self._door.send_multipart([parts[0], b"", _VERSION, parts[3], code, words, b"", b""])


class Guests:
    """The keys that a role's process lets in, as its agent tells them, and its own."""

    def __init__(self, publics: Iterable[str] = ()) -> None:
        self._keys: frozenset[bytes] = frozenset()
        self.tell(publics)

    def tell(self, publics: Iterable[str]) -> frozenset[bytes]:
        """These (Z85) and no others from now on; those that are no longer among them. Raises ValueError for what is no key."""
        before = self._keys
        self._keys = frozenset(raw(each) for each in publics)
        return before - self._keys

    def admits(self, key: bytes) -> bool | None:
        """For `guard`."""
        return True if key in self._keys else None


def guard(context: zmq.Context[Any], admits: Admits, hold_s: float = HOLD_S) -> Guard:
    """Stands at the door of every server socket of `context`."""
    return Guard(context, admits, hold_s)


def server(socket: zmq.Socket[Any], public: bytes, secret: bytes) -> None:
    """Makes a socket the side that binds. Its context must have a guard."""
    socket.curve_server = True
    socket.curve_publickey = public
    socket.curve_secretkey = secret
    socket.zap_domain = _DOMAIN


def client(socket: zmq.Socket[Any], theirs: bytes, public: bytes, secret: bytes) -> None:
    """Makes a socket the side that connects; it talks to nobody but the holder of the key `theirs`."""
    socket.curve_serverkey = theirs
    socket.curve_publickey = public
    socket.curve_secretkey = secret


def call(socket: zmq.Socket[Any], theirs: str) -> None:
    """Whom the next `connect` of a client calls. Raises ZMQError for what is no key."""
    try:
        socket.curve_serverkey = theirs.encode()
    except (TypeError, ValueError, zmq.ZMQError) as error:
        raise zmq.ZMQError(zmq.EINVAL, "no key") from error


def raw(public: str) -> bytes:
    """A key's 32 bytes, as guards know it. Raises ValueError for what is none."""
    try:
        return z85.decode(public.encode())
    except KeyError:
        raise ValueError(f"no key: {public!r}") from None
