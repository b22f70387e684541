"""OSC in: each message is an event. TouchDesigner, Max, Pure Data, Chataigne and most phones' apps speak it.

python-osc reads the packets; the socket and its thread are our own, because the library's server sleeps through a
bundle's time tag with everything behind it waiting. A bundle is held until its time, but at most a second: machines in
an offline room seldom agree on the time of day, and a cue that comes is better than one that waits for a wrong clock.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import re
import socket
import struct
import threading
import time
from typing import Any

from pydantic import Field

from mesh.errors import EngineMissingError, RoleError
from mesh.role import Event, Options, Role
from roles.sensing.inbox import Freshness, Inbox
from roles.sensing.standin import StandIn, from_file

PACKET_BYTES_MAX = 65_536
AHEAD_S_MAX = 1.0
BUNDLE, TIME_TAG_BYTES = b"#bundle\0", 8
LOOK_S = 0.5


class OscOptions(Options):
    port: int = Field(9000, ge=1, le=65535, description="the UDP port to listen on")
    listen: str | None = Field(None, description="the address to listen on; left out: every one of the machine's, in a rehearsal 127.0.0.1")
    addresses: list[str] = Field(["*"], min_length=1, description='which messages count, such as ["/hand/*", "/button/?"]; * alone: all')
    silent_s: float | None = Field(None, gt=0, description="faulty when nothing has come for so many seconds; left out: never")
    stand_in: str | None = Field(
        None, json_schema_extra={"file": True},
        description="a file of readings played in a rehearsal besides what comes: lines such as "
        '{"after_s": 1, "value": {"address": "/a", "values": [1]}}',
    )


class Osc(Role):
    """Emits each OSC message that comes over UDP, as {"address": "/hand/x", "values": [0.5]}."""

    outputs = {"message": Event}
    extra = "osc"
    network = True
    holds = {"port": "UDP port"}
    Options = OscOptions

    def setup(self) -> None:
        try:
            from pythonosc.osc_packet import OscPacket, ParseError
        except ImportError as missing:
            raise EngineMissingError(
                "sensing.osc needs python-osc, which is not installed on this machine", where=self.name, instead="pip install roomful[osc]"
            ) from missing
        self._packet, self._parse_error = OscPacket, ParseError
        logging.getLogger().addFilter(_not_of_the_library)
        rehearsal = bool(self.settings.get("rehearsal"))
        self._wanted = [_as_pattern(address) for address in self.options.addresses]
        self._inbox = Inbox(self)
        self._held: list[tuple[float, int, dict[str, Any]]] = []
        self._order = itertools.count()
        self._broken = 0
        self._stand_in: StandIn | None = None
        if rehearsal and self.options.stand_in:
            self._stand_in = from_file(self.folder / self.options.stand_in, self.options.stand_in)
        self._socket = self._listen(self.options.listen or ("127.0.0.1" if rehearsal else "0.0.0.0"))
        self._fresh = Freshness(
            self, "OSC", self.options.silent_s, instead=f"see whether its sender runs, and sends to UDP port {self.options.port} here"
        )
        self._thread = threading.Thread(target=self._read, name="osc", daemon=True)
        self._thread.start()
        self.say(f"listens for OSC on UDP port {self._socket.getsockname()[1]}")
        self.publish("port", self._socket.getsockname()[1])

    def teardown(self) -> None:
        if hasattr(self, "_thread"):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as poke:  # a blocked recv wakes on a datagram, not on a close
                self._closing = True
                host, port = self._socket.getsockname()
                poke.sendto(b"", ("127.0.0.1" if host == "0.0.0.0" else host, port))
            self._thread.join(2.0)
        if hasattr(self, "_socket"):
            self._socket.close()

    def tick(self) -> float | None:
        self._inbox.news()
        now = self.now_s()
        for heard_s, (due_s, message) in self._inbox.take():
            heapq.heappush(self._held, (max(due_s, heard_s), next(self._order), message))
        while self._held and self._held[0][0] <= now:
            due_s, _, message = heapq.heappop(self._held)
            self._give(message, due_s)
        wait_s = LOOK_S
        if self._stand_in is not None:
            for message in self._stand_in.due(now):
                self._give(message, now)
            wait_s = min(wait_s, self._stand_in.wait_s(now))
        self._fresh.look()
        return min(wait_s, max(0.0, self._held[0][0] - now)) if self._held else wait_s

    def _give(self, message: Any, captured_s: float) -> None:
        self._fresh.saw()
        self._inbox.give("message", message, captured_s)

    def _listen(self, address: str) -> socket.socket:
        listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            listening.bind((address, self.options.port))
        except OSError as error:
            listening.close()
            raise RoleError(
                f"UDP port {self.options.port} of {address} cannot be used: {error.strerror or error}",
                where=f"{self.name}, option port", instead="end the program that listens there, or choose another port on both sides",
            ) from None
        return listening

    # ---- in the listening thread

    _closing = False

    def _read(self) -> None:
        while not self._closing:
            try:
                data, sender = self._socket.recvfrom(PACKET_BYTES_MAX)
            except OSError:
                return
            if data:
                self._take(data, sender)

    def _take(self, data: bytes, sender: tuple[str, int]) -> None:
        """Everything that python-osc raises for a packet that is none is the sender's mistake, and is said once."""
        try:
            _check_sizes(data)
            packet = self._packet(data)
            found = [(self._due_s(timed.time), timed.message) for timed in packet.messages]
            kept = [(due_s, _as_event(message)) for due_s, message in found if self._counts(message.address)]
        except (self._parse_error, struct.error, ValueError, TypeError, IndexError, OverflowError, RecursionError) as error:
            self._broken += 1
            if self._broken in (1, 100, 10_000):
                self._inbox.tell(f"what {sender[0]} sends is not OSC: {error} ({self._broken} packets so far)")
            return
        for each in kept:
            self._inbox.put(each)

    def _due_s(self, time_tag: float) -> float:
        """When on the room's clock: a time tag up to a second ahead is kept, any other means now."""
        ahead_s = time_tag - time.time()
        return self.now_s() + ahead_s if 0 < ahead_s <= AHEAD_S_MAX else 0.0

    def _counts(self, address: str) -> bool:
        return any(pattern.fullmatch(address) for pattern in self._wanted)


def _not_of_the_library(record: logging.LogRecord) -> bool:
    """python-osc writes a line for each packet that is none, which a flood would make a flood of the log; they are counted here instead."""
    return "pythonosc" not in record.pathname


def _check_sizes(data: bytes) -> None:
    """python-osc follows the size of a bundle's element wherever it leads, backwards too, and so without end: one packet would keep it
    busy for good. Raises ValueError for an element that does not lead onward, and struct.error for half of a size."""
    left = [data]
    while left:
        bundle, at = left.pop(), len(BUNDLE) + TIME_TAG_BYTES
        while bundle.startswith(BUNDLE) and at < len(bundle):
            (size,) = struct.unpack_from(">i", bundle, at)
            if size <= 0:
                raise ValueError(f"a bundle's element of {size} bytes")
            left.append(bundle[at + 4 : at + 4 + size])
            at += 4 + size


def _as_event(message: Any) -> dict[str, Any]:
    return {"address": message.address, "values": [_plain(value) for value in message.params]}


def _plain(value: Any) -> Any:
    """OSC's numbers, texts, blobs and truths travel as they are, arrays as lists; a colour or a time as its text."""
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value if value is None or isinstance(value, (bool, int, float, str, bytes)) else str(value)


def _as_pattern(address: str) -> re.Pattern[str]:
    """OSC 1.0's wildcards: ? one character, * any but a slash, [a-c] a set, {this,that} either. `*` alone takes all."""
    if address in ("*", "/*"):
        return re.compile(r".*", re.DOTALL)
    words = {"?": "[^/]", "*": "[^/]*", "{": "(?:", "}": ")", ",": "|", "[": "[", "]": "]", "!": "^", "-": "-"}
    text, inside = "", ""
    for letter in address:
        inside = letter if letter in "[{" else "" if letter in "]}" else inside
        special = letter in "?*[]{}" or (letter == "," and inside == "{") or (letter in "!-" and inside == "[")
        text += words[letter] if special else re.escape(letter)
    try:
        return re.compile(text)
    except re.error as error:
        raise RoleError(
            f"{address!r} is no pattern of OSC addresses: {error}", where="option addresses", instead='write such as "/hand/*"'
        ) from None
