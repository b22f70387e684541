"""The way of frames between processes of one machine: straight from one to the other, without a thread or a socket between.

A writer has a *door*, a listening socket of the system's own kind (AF_UNIX, packets in order); each input of a reader comes
to it with a line of its own. Small frames go along the line as they are; for large ones the line carries a bell, and the
frame lies in a ring of shared memory (`ring`). Over ZeroMQ a message of 100 bytes wakes three threads on its way; here it
wakes the reader. What a reader does not take in time waits at the writer: of `queue` at most 1,000 packets and 16 MB,
the oldest dropped (the reader sees from the numbers how many it missed); of `latest` nothing, as the newest is in the ring.

Nothing is encrypted here, and need not be: packets do not leave the kernel. Who may come in is decided by the kernel, too:
both ends ask it for the other's user, and talk to their own alone, who could read the installation's key anyway. The door's
name is in the kernel's abstract space: it belongs to one network namespace (a container with a network of its own is
another machine), it needs no file that a killed process would leave behind, and it is a keyed hash that nobody guesses. Where
there is no such door (another machine, another system, no shared memory) a reader takes the way over the network, by itself.

Decided against: ZeroMQ's ipc:// (files that stay, and its threads: three quarters of a round trip), ports on the loopback
address (any user may connect, hence encryption), and files in a folder of the user's (to be swept).
"""

from __future__ import annotations

import hashlib
import os
import socket
import struct
from collections import deque
from collections.abc import Callable

from mesh.core import bells
from mesh.errors import WireError
from mesh.shell.ring import Ring
from mesh.shell.waiting import Waiting

INLINE_BYTES_MAX = 64 * 1024  # a larger message lies in the ring
PENDING_MAX = 1000
PENDING_BYTES_MAX = 16 * 1024 * 1024
LISTENERS_MAX = 512
BACKLOG = 128
FAR = "ROOMFUL_FAR"  # set in a process's surroundings: it talks over the network also on one machine, to be measured so
HAS_DOORS = hasattr(socket, "SO_PEERCRED") and hasattr(os, "memfd_create") and FAR not in os.environ
_DONTWAIT = int(getattr(socket, "MSG_DONTWAIT", 0)) | int(getattr(socket, "MSG_NOSIGNAL", 0))


def door_name(secret: str | bytes, instance: str, node: str, generation: int, frames_port: int) -> str:
    """Where a process listens on its own machine. Only who holds the installation's key can work it out."""
    key = hashlib.blake2b(secret if isinstance(secret, bytes) else secret.encode()).digest()
    said = f"{instance}\0{node}\0{generation}\0{frames_port}".encode()
    return "\0roomful-" + hashlib.blake2b(said, digest_size=20, key=key).hexdigest()


def is_ours(line: socket.socket) -> bool:
    """Whether the other end is a process of this user's, as the kernel says."""
    _, user, _ = struct.unpack("iII", line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return bool(user == os.geteuid())


class Listener:
    """One reader, as its writer sees it."""

    __slots__ = ("_door", "_pending", "_pending_bytes", "fd", "latest", "line", "ring", "stream")

    def __init__(self, door: Door, line: socket.socket) -> None:
        self._door = door
        self.line = line
        self._pending: deque[tuple[bytes, Ring | None]] = deque()
        self._pending_bytes = 0
        self.fd = line.fileno()
        self.latest = False
        self.stream: NearStream | None = None
        self.ring: Ring | None = None  # the one it was told of

    def send(self, packet: bytes, ring: Ring | None = None) -> None:
        """Now, or as soon as it takes more; never waits. `ring`: its file goes along."""
        if not self._pending:
            try:
                self._put(packet, ring)
                return
            except BlockingIOError:
                if self.latest and ring is None:
                    return  # bells enough lie there to wake it
            except OSError:
                self._door.hang_up(self)
                return
        self._keep(packet, ring)

    def _put(self, packet: bytes, ring: Ring | None) -> None:
        if ring is None:
            self.line.send(packet, _DONTWAIT)
        else:
            socket.send_fds(self.line, [packet], [ring.fd], _DONTWAIT)

    def _keep(self, packet: bytes, ring: Ring | None) -> None:
        pending = self._pending
        if not pending:
            self._door.waiting.want_room(self.fd, True)
        if self.latest and ring is None:
            return
        pending.append((packet, ring))
        self._pending_bytes += len(packet)
        while len(pending) > PENDING_MAX or self._pending_bytes > PENDING_BYTES_MAX:
            oldest = pending.popleft()
            self._pending_bytes -= len(oldest[0])
            if oldest[1] is not None and oldest[1] is self.ring:
                self.ring = None  # it is told again with the next bell; turns of another ring mean nothing in the old one

    def _flush(self) -> None:
        pending = self._pending
        while pending:
            packet, ring = pending[0]
            if ring is None or not ring.closed:
                try:
                    self._put(packet, ring)
                except BlockingIOError:
                    return
                except OSError:
                    self._door.hang_up(self)
                    return
            pending.popleft()
            self._pending_bytes -= len(packet)
        self._door.waiting.want_room(self.fd, False)

    def wake(self) -> None:
        """It takes more, says something, or has hung up."""
        if self._pending:
            self._flush()
        try:
            packet = self.line.recv(1024, _DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            packet = b""
        if packet and self.stream is None:
            self._door.join(self, packet)
        else:
            self._door.hang_up(self)

    def close(self) -> None:
        """Hangs up."""
        self._pending.clear()
        self.line.close()


class NearStream:
    """One stream's readers on this machine, and its ring while there is one."""

    def __init__(self, door: Door, topic: bytes) -> None:
        self._door = door
        self.topic = topic
        self.listeners: tuple[Listener, ...] = ()
        self.ring: Ring | None = None
        self.unsent = 0  # frames for which there was no slot: every one was being read
        self.shut = False  # there is no memory to share
        self.said: Callable[[Listener], None] = _nothing  # tells who comes late

    def claim(self, data_bytes: int) -> int | None:
        """A slot of the ring for so much; a new ring where the old one is too small, or all of it is being read.

        None where there is none: this frame is lost for readers here, or they have been sent to the network's way."""
        ring = self.ring
        if ring is not None and bells.fits(ring.layout, 0, data_bytes):
            slot = ring.claim()
            if slot is not None:
                return slot
        layout = bells.layout_for(data_bytes, None if ring is None else ring.layout)
        if layout is None:
            self.unsent += 1
            return None
        try:
            self.ring = Ring(layout, 0 if ring is None else ring.turn)
        except OSError:
            if ring is None or not bells.fits(ring.layout, 0, data_bytes):
                self.shut = True
                self._door.send_away(self)
            self.unsent += 1
            return None
        if ring is not None:
            ring.close()
        return self.ring.claim()

    def publish(self, slot: int, start: int, size: int) -> None:
        """The message in a claimed slot goes to everybody here."""
        ring = self.ring
        assert ring is not None
        packet = bells.bell(slot, ring.publish(slot, start, size))
        for listener in self.listeners:
            self._ring_at(listener, ring, packet)

    def _ring_at(self, listener: Listener, ring: Ring, packet: bytes) -> None:
        if listener.ring is not ring:
            listener.ring = ring
            listener.send(bells.ring(ring.layout), ring)
        listener.send(packet)

    def small(self, message: bytes) -> None:
        """A message that is sent as it is to all who want every one, and lies in the ring for who wants the newest."""
        packet = b""
        for listener in self.listeners:
            if not listener.latest:
                listener.send(message)
            else:
                packet = packet or self._lay(message)
                if packet and self.ring is not None:
                    self._ring_at(listener, self.ring, packet)

    def whole(self, message: bytes) -> None:
        """A message too large for a packet that is no array: it lies in the ring for everybody."""
        packet = self._lay(message)
        if packet and self.ring is not None:
            for listener in self.listeners:
                self._ring_at(listener, self.ring, packet)

    def _lay(self, message: bytes) -> bytes:
        slot = self.claim(len(message))
        if slot is None or self.ring is None:
            return b""
        at = bells.slot_at(self.ring.layout, slot) + bells.MESSAGE_AT_LEAST
        self.ring.memory[at : at + len(message)] = message
        return bells.bell(slot, self.ring.publish(slot, bells.MESSAGE_AT_LEAST, len(message)))

    def close(self) -> None:
        """Gives its memory back, as soon as nobody reads it."""
        if self.ring is not None:
            self.ring.close()
            self.ring = None


def _nothing(_listener: Listener) -> None:
    return None


class Door:
    """Where readers of this machine come in. `streams` by topic; closed until `open`."""

    def __init__(self, waiting: Waiting) -> None:
        self.waiting = waiting
        self.streams: dict[bytes, NearStream] = {}
        self.refused = 0
        self.asked: Callable[[socket.socket], None] | None = None  # takes the line of one who comes to ask
        self._socket: socket.socket | None = None
        self._listeners: set[Listener] = set()

    def stream(self, topic: bytes) -> NearStream:
        """A stream that may be asked for here; `topic` ends with its end."""
        return self.streams.setdefault(topic, NearStream(self, topic))

    def open(self, name: str) -> None:
        """Listens. Where that cannot be, readers come over the network; nothing else changes."""
        if not HAS_DOORS:
            return
        door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        try:
            door.bind(name)
            door.listen(BACKLOG)
        except OSError:
            door.close()
            return
        self._socket = door
        self.waiting.add_file(door.fileno(), self.answer)

    def answer(self) -> None:
        """Lets in who waits outside. Cheap to ask; a role that works for long asks it between two frames."""
        while self._socket is not None:
            try:
                line, _ = self._socket.accept()
            except OSError:
                return
            if len(self._listeners) >= LISTENERS_MAX or not is_ours(line):
                self.refused += 1
                line.close()
                continue
            listener = Listener(self, line)
            self._listeners.add(listener)
            self.waiting.add_file(listener.fd, listener.wake)
            listener.wake()

    def join(self, listener: Listener, packet: bytes) -> None:
        """Its greeting has come."""
        try:
            topic, latest = bells.read_hello(packet)
        except WireError:
            self.refused += 1
            self.hang_up(listener)
            return
        if topic == bells.ASKING and self.asked is not None:
            self._listeners.discard(listener)
            self.waiting.remove_file(listener.fd)
            self.asked(listener.line)
            return
        if topic not in self.streams and len(self.streams) >= LISTENERS_MAX:
            self.refused += 1
            self.hang_up(listener)
            return
        stream = self.stream(topic)  # also one that is not there yet: what is said in an absent role's place
        if stream.shut:
            self.hang_up(listener)  # it goes to the network's way
            return
        listener.stream, listener.latest = stream, latest
        stream.listeners = (*stream.listeners, listener)
        stream.said(listener)

    def hang_up(self, listener: Listener) -> None:
        """It is gone, or must go."""
        if listener in self._listeners:
            self._listeners.discard(listener)
            self.waiting.remove_file(listener.fd)
            if listener.stream is not None:
                listener.stream.listeners = tuple(each for each in listener.stream.listeners if each is not listener)
            listener.close()

    def send_away(self, stream: NearStream) -> None:
        """There is no memory to share for this stream: its readers take the network's way from here on."""
        for listener in stream.listeners:
            self.hang_up(listener)

    def close(self) -> None:
        """Ends every line."""
        for listener in list(self._listeners):
            self.hang_up(listener)
        for stream in self.streams.values():
            stream.close()
        if self._socket is not None:
            self.waiting.remove_file(self._socket.fileno())
            self._socket.close()
            self._socket = None

