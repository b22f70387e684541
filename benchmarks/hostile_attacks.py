"""The attackers of `benchmarks.hostile`: random and mutated messages at each port of a playing room, from a process of their own.

One class a way in; each `throw` is one message. Connections that the room closes are made anew, some are left half-open. The seeds that
are mutated are real ones: sealed heartbeats, ZeroMQ's greeting, HTTP calls, WebSocket frames, OSC packets, mDNS records, bells.
"""

from __future__ import annotations

import contextlib
import json
import random
import socket
import struct
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

SIZES = (0, 1, 2, 7, 16, 18, 64, 200, 1000, 1400, 4000, 9000)
OPEN_MAX = 6  # connections of one attacker to one port; on a page they come from many addresses
ZMTP = b"\xff" + bytes(8) + b"\x7f\x03\x01CURVE" + bytes(15) + b"\0" * 32
READY = b"\x04\x26\x05READY\x0bSocket-Type\0\0\0\x06DEALER"
HELLO = b"\x04\xc8\x05HELLO\x01\0" + bytes(72) + bytes(120)
OSC = b"/hand/x\0,ifs\0\0\0\0" + struct.pack(">if", 3, 0.5) + b"hey\0"
BUNDLE = b"#bundle\0" + struct.pack(">Qi", 1, len(OSC)) + OSC
CALLS = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"GET /%2e%2e/deployment.yaml HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"GET /roomful HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x81\x85abcd\0\0\0\0\0",
    b"POST / HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{\"a\": 1}\n",
    b"POST / HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 26\r\n\r\n[1000000000000000000000000]",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 3000,
)


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
        self.thrown = self.connected = 0

    def throw(self) -> None:
        """One message; what the system refuses to send is not counted."""
        with contextlib.suppress(OSError):
            self.send(mutated(self.chance.choice(self.seeds), self.chance))
            self.thrown += 1

    @abstractmethod
    def send(self, message: bytes) -> None: ...


class Datagrams(Way):
    """UDP; to a multicast address on loopback."""

    def __init__(self, address: tuple[str, int], seeds: Sequence[bytes], chance: random.Random) -> None:
        super().__init__(seeds, chance)
        self.address = address
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))

    def send(self, message: bytes) -> None:
        self.socket.sendto(message, self.address)


class Lines(Way):
    """TCP or a Unix socket: several lines at once, some never finished, some never read."""

    def __init__(self, connect: Callable[[int], socket.socket], seeds: Sequence[bytes], chance: random.Random) -> None:
        super().__init__(seeds, chance)
        self.connect, self.open = connect, list[socket.socket]()

    def send(self, message: bytes) -> None:
        if len(self.open) < OPEN_MAX or self.chance.random() < 0.002:
            if len(self.open) >= OPEN_MAX:
                self.open.pop(0).close()
            line = self.connect(self.connected)
            line.setblocking(False)
            self.connected += 1
            self.open.append(line)
        line = self.chance.choice(self.open)
        try:
            line.send(message)
            if self.chance.random() < 0.5:
                line.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            self.open.remove(line)
            line.close()


def tcp(port: int) -> Callable[[int], socket.socket]:
    """Calls from many addresses, as a gallery's phones have."""

    def connect(number: int) -> socket.socket:
        return socket.create_connection(("127.0.0.1", port), 0.5, source_address=(f"127.0.{1 + number // 200 % 200}.{1 + number % 200}", 0))

    return connect


def unix(path: str) -> Callable[[int], socket.socket]:
    """A stream socket in a folder, or a packet socket in the kernel's own space."""

    def connect(_: int) -> socket.socket:
        line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET if path.startswith("\0") else socket.SOCK_STREAM)
        line.connect(path)
        return line

    return connect


def ways(order: dict[str, Any], chance: random.Random) -> dict[str, Way]:
    """Every way that the order names, by a name for a person."""
    sealed = [bytes.fromhex(each) for each in order["sealed"]]
    found: dict[str, Way] = {}
    for name, port in order["beats"].items():
        found[f"heartbeats {name}"] = Datagrams(("127.0.0.1", port), sealed, chance)
    for name, port in order["zmtp"].items():
        found[name] = Lines(tcp(port), [ZMTP, ZMTP + HELLO, HELLO], chance)
    for name, port in order["http"].items():
        found[name] = Lines(tcp(port), CALLS, chance)
    found["osc"] = Datagrams(("127.0.0.1", order["osc"]), [OSC, BUNDLE], chance)
    found["mdns"] = Datagrams(("224.0.0.251", 5353), [bytes.fromhex(each) for each in order["mdns"]], chance)
    for number, path in enumerate(order["doors"]):
        found[f"door {number}"] = Lines(unix("\0" + path), [b"\x03roomful-1qmetronome.beat\0", b"\x01\0\0" + bytes(8)], chance)
    for number, path in enumerate(order["links"]):
        found[f"link {number}"] = Lines(unix(path), [ZMTP.replace(b"CURVE", b"NULL\0"), READY], chance)
    return found


def main() -> None:
    """The order on stdin: how many, from which seed, at what; then for a line each second with what was thrown so far."""
    order = json.loads(sys.stdin.read())
    chance = random.Random(order["seed"])
    found = ways(order, chance)
    names, told_s = list(found), time.monotonic()
    until_s = time.monotonic() + order["seconds"]
    for number in range(order["messages"]):
        if time.monotonic() > until_s:
            break
        found[names[number % len(names)]].throw()
        if not number % 500 and time.monotonic() - told_s > 1.0:
            told_s = time.monotonic()
            print(json.dumps({"at": number}), flush=True)
    print(json.dumps({"thrown": {name: way.thrown for name, way in found.items()}, "connections": {
        name: way.connected for name, way in found.items() if way.connected}}), flush=True)


if __name__ == "__main__":
    main()
