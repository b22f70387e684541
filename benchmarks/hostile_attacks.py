"""The attackers of `benchmarks.hostile`: random and mutated messages at one port of a playing room, each from a process of its own.

One class a way in; each `throw` is one message; what the system did not take is not counted. The seeds that are mutated
are real ones: sealed heartbeats, ZeroMQ's greeting, HTTP calls, WebSocket frames, OSC packets, mDNS records, bells.
"""

from __future__ import annotations

import contextlib
import json
import random
import select
import socket
import struct
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

SIZES = (0, 1, 2, 7, 16, 18, 64, 200, 1000, 1400, 4000, 9000)
OPEN_MAX, ENDING_MAX = 6, 24  # connections of one attacker to one port; on a page they come from many addresses
SAID_MAX = 8  # messages on a connection
READ_MAX = 8
HANGS_UP_S = 0.5
LOOK_EACH, UNREAD_MAX, WAITS_S = 16, 40_000, 1.0
ZMTP = b"\xff" + bytes(8) + b"\x7f\x03\x01CURVE" + bytes(15) + b"\0" * 32
READY = b"\x04\x26\x05READY\x0bSocket-Type\0\0\0\x06DEALER"
HELLO = b"\x04\xc8\x05HELLO\x01\0" + bytes(72) + bytes(120)
OSC = b"/hand/x\0,ifs\0\0\0\0" + struct.pack(">if", 3, 0.5) + b"hey\0"
BUNDLE = b"#bundle\0" + struct.pack(">Qi", 1, len(OSC)) + OSC
CALLS = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"GET /%2e%2e/deployment.yaml HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"POST / HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{\"a\": 1}\n",
    b"POST / HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 26\r\n\r\n[1000000000000000000000000]",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 3000,
)
UPGRADE = (b"GET /roomful HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
           b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
FRAMES = (
    b"\x81\x85abcd\0\0\0\0\0", b"\x81\x92abcd" + bytes(x ^ y for x, y in zip(b'{"clock": 1234.56}', b"abcd" * 5, strict=False)),
    b"\x89\x84abcd\0\0\0\0", b"\x01\x85abcd\0\0\0\0\0\x80\x85abcd\0\0\0\0\0", b"\x82\xfe\x03\xe8abcd" + bytes(1000),
    b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xffabcd", b"\x88\x82abcd\x62\x8a",
)
_PROOF = b"Roomful-Proof: 1." + b"a" * 32 + b"." + b"b" * 64 + b":" + b"c" * 64 + b"\r\n"
DASHBOARD = (
    *CALLS, b"GET /nonce HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"POST /live HTTP/1.1\r\nHost: 127.0.0.1\r\n" + _PROOF + b"Content-Length: 0\r\n\r\n",
    b"POST /order HTTP/1.1\r\nHost: 127.0.0.1\r\n" + _PROOF + b"Content-Length: 16\r\n\r\n{\"verb\": \"down\"}",
    b"POST /order HTTP/1.1\r\nHost: 127.0.0.1\r\n" + _PROOF + b"Transfer-Encoding: chunked\r\n\r\n10\r\n{\"verb\": \"down\"}\r\n0\r\n\r\n",
)
STRAIGHT = b"\x03roomful-line" + bytes(16) + b"\0\0\0\x10" + bytes(16)
SEEDS: dict[str, Sequence[bytes]] = {
    "control": (ZMTP, ZMTP + HELLO, HELLO), "transfer": (ZMTP, ZMTP + HELLO, HELLO), "frames": (ZMTP, ZMTP + HELLO, HELLO),
    "requests": (ZMTP, ZMTP + HELLO, HELLO), "straight": (STRAIGHT,), "page": CALLS, "websocket": FRAMES, "http": CALLS,
    "dashboard": DASHBOARD, "osc": (OSC, BUNDLE), "door": (b"\x03roomful-1qmetronome.beat\0", b"\x01\0\0" + bytes(8)),
    "link": (ZMTP.replace(b"CURVE", b"NULL\0"), READY),
}


def mutated(seed: bytes, chance: random.Random) -> bytes:
    """A real message with some of its bytes changed, cut, doubled or filled; or random bytes."""
    if not seed or chance.random() < 0.25:
        return chance.randbytes(chance.choice(SIZES))
    data = bytearray(seed)
    for _ in range(chance.randint(1, 6)):
        place = chance.randrange(len(data)) if data else 0
        match chance.randrange(5):
            case 0 if data:
                data[place] = chance.randrange(256)
            case 1:
                del data[place : place + chance.randint(1, 40)]
            case 2:
                data[place:place] = chance.randbytes(chance.choice(SIZES[:8]))
            case 3:
                data[place:place] = data[place : place + 60]
            case _:
                data[place:place] = chance.choice((b"\xff" * 8, b"\0" * 8, b"\x91" * 600, b"[" * 600, b"\x7f\xff\xff\xff"))
    return bytes(data)


class Way(ABC):
    """One way into the room."""

    def __init__(self, seeds: Sequence[bytes], chance: random.Random) -> None:
        self.seeds, self.chance = tuple(seeds) or (b"",), chance
        self.thrown = self.connected = self.untaken = 0

    def throw(self) -> None:
        """One message; what the system refuses to send is not counted."""
        try:
            self.send(mutated(self.chance.choice(self.seeds), self.chance))
            self.thrown += 1
        except OSError:
            self.untaken += 1

    @abstractmethod
    def send(self, message: bytes) -> None: ...


class Datagrams(Way):
    """UDP; to a multicast address on loopback. No faster than whoever is attacked reads, so that what is thrown is not merely dropped by
    the system; or, where it is a `flood`, as fast as may be."""

    def __init__(self, address: tuple[str, int], seeds: Sequence[bytes], chance: random.Random, flood: bool = False) -> None:
        super().__init__(seeds, chance)
        self.address, self.flood = address, flood
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))

    def send(self, message: bytes) -> None:
        if not self.flood and self.thrown % LOOK_EACH == 0:
            until_s = time.monotonic() + WAITS_S
            while unread_bytes(self.address[1]) > UNREAD_MAX and time.monotonic() < until_s:
                time.sleep(0.002)
        self.socket.sendto(message, self.address)


def unread_bytes(port: int) -> int:
    """The most that waits at any socket with that UDP port, as the kernel says."""
    return max((int(row[4].partition(":")[2], 16) for row in udp_rows(port)), default=0)


def udp_rows(port: int) -> list[list[str]]:
    """What the kernel says of each socket with that UDP port (`proc(5)`: /proc/net/udp)."""
    with open("/proc/net/udp") as lines:
        rows = [line.split() for line in lines][1:]
    return [row for row in rows if int(row[1].rpartition(":")[2], 16) == port]


class Ending:
    """A line on which nothing more is said."""

    def __init__(self, line: socket.socket, now_s: float) -> None:
        self.line, self.until_s, self.reads = line, now_s + HANGS_UP_S, READ_MAX


class Lines(Way):
    """TCP or a Unix socket: several lines at once. On each a few messages are said, then nothing more, and the other end's hanging up is
    waited for, so that whoever is attacked has really read what was thrown, up to the first word for which it hung up. Some lines are never
    finished, some never read, some dropped. `first` is said on each, as it is.

    All that are ending are waited for at once: at an agent's link ZeroMQ puts a line aside where another gives the same name, and hangs up
    on it only after its other end has; a wait for each in turn made a million messages a matter of hours."""

    def __init__(self, connect: Callable[[int], socket.socket], seeds: Sequence[bytes], chance: random.Random, first: bytes = b"") -> None:
        super().__init__(seeds, chance)
        self.connect, self.first = connect, first
        self.open, self.ending = list[tuple[socket.socket, int]](), dict[int, Ending]()
        self.poll = select.poll()

    def send(self, message: bytes) -> None:
        if len(self.open) < OPEN_MAX:
            self.open.append((self.call(), self.chance.randint(1, SAID_MAX * (8 if self.first else 1))))
        place = self.chance.randrange(len(self.open))
        line, left = self.open[place]
        try:
            line.send(message)
        except OSError:  # it takes no more, or was hung up on
            del self.open[place]
            line.close()
            raise
        self.open[place] = (line, left - 1)
        if left <= 1:
            del self.open[place]
            self.end(line)

    def call(self) -> socket.socket:
        line = self.connect(self.connected)
        self.connected += 1
        if self.first:
            line.send(self.first)
        line.setblocking(False)
        return line

    def end(self, line: socket.socket) -> None:
        """Says no more there, and waits until no more than a few of those where nothing more is said are left."""
        if self.chance.random() > 0.02:  # else it is left half-open until its turn comes
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_WR)
        if self.chance.random() < 0.05:
            line.close()  # with what was answered unread
            return
        self.ending[line.fileno()] = Ending(line, time.monotonic())
        self.poll.register(line, select.POLLIN)
        while len(self.ending) > ENDING_MAX:
            self.part()

    def part(self) -> None:
        """From those that were hung up on, or were waited for long enough."""
        oldest = next(iter(self.ending.values()))
        for number, _ in self.poll.poll(max(0.0, oldest.until_s - time.monotonic()) * 1000):
            each = self.ending[number]
            each.reads -= 1  # whoever was let in, at a door say, is told things without end
            try:
                gone = not each.line.recv(65536) or each.reads == 0
            except OSError:
                gone = True
            if gone:
                self.drop(number)
        if oldest.until_s <= time.monotonic() and oldest.line.fileno() in self.ending:
            self.drop(oldest.line.fileno())

    def drop(self, number: int) -> None:
        self.poll.unregister(number)
        self.ending.pop(number).line.close()


def tcp(port: int) -> Callable[[int], socket.socket]:
    """Calls from many addresses, as a gallery's phones have."""

    def connect(number: int) -> socket.socket:
        return socket.create_connection(("127.0.0.1", port), 0.5, source_address=(f"127.0.{1 + number // 200 % 200}.{1 + number % 200}", 0))

    return connect


def unix(path: str) -> Callable[[int], socket.socket]:
    """A stream socket in a folder, or a packet socket in the kernel's own space."""

    def connect(_: int) -> socket.socket:
        line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET if path.startswith("\0") else socket.SOCK_STREAM)
        line.settimeout(0.5)
        line.connect(path)
        return line

    return connect


def way_to(target: dict[str, Any], seeds: dict[str, Sequence[bytes]], chance: random.Random) -> Way:
    """The way into one port."""
    way, at = target["way"], target["at"]
    if way == "mdns":
        return Datagrams(("224.0.0.251", at), seeds[way], chance)
    if way in ("heartbeats", "flood", "osc"):
        return Datagrams(("127.0.0.1", at), seeds[way], chance, way == "flood")
    if way in ("door", "link"):
        return Lines(unix(f"\0{at}" if way == "door" else at), seeds[way], chance)
    return Lines(tcp(at), seeds[way], chance, UPGRADE if way == "websocket" else b"")


def main() -> None:
    """The order on stdin: how many, from which seed, at what; then one line with what was thrown."""
    order = json.loads(sys.stdin.read())
    seeds = {**SEEDS, **{name: [bytes.fromhex(each) for each in packed] for name, packed in order["seeds"].items()}}
    way = way_to(order["target"], seeds, random.Random(order["seed"]))
    until_s = time.monotonic() + order["seconds"]
    while way.thrown < order["messages"] and time.monotonic() < until_s:
        for _ in range(min(20, order["messages"] - way.thrown)):
            way.throw()
    print(json.dumps({"thrown": way.thrown, "connections": way.connected, "untaken": way.untaken}), flush=True)


if __name__ == "__main__":
    main()
