"""Open Sound Control, out: to the tools that artists already have open (Max, Pure Data, TouchDesigner, Chataigne, QLab).

python-osc packs the messages; the socket is our own and connected, because only a connected UDP socket hears that nobody
listens at the other end. UDP loses: what holds (a value, not a moment) can be said again every `repeat` seconds. Decided
against: one OSC dialect for everything; a text is a text, a number a number, each field of an event an address of its own.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from pydantic import Field

from mesh.errors import EngineMissingError, RoleError, on_a_line
from mesh.role import Any_, Frame, Options, Role
from roles.display.sayings import Sayings
from roles.display.standin import StandIn

DATAGRAM_BYTES_MAX = 60_000
TICK_S = 0.1
DEPTH_MAX = 8
UNHEARD_S = 5.0  # a receiver that refuses for so long is said to be absent

Message = tuple[str, list[Any]]
FIREWALL = ", or open that port in its firewall"


class OscOptions(Options):
    host: str = Field("127.0.0.1", description="who listens: an address or a name; 192.168.1.255 for everyone of a network")
    port: int = Field(9000, ge=1, le=65535, description="the port it listens at")
    address: str = Field("/{stream}", pattern=r"^/", description="where a stream goes; {stream} is the input's name, {role} this role's")
    addresses: dict[str, str] = Field(default_factory=dict, description="inputs with an address of their own: {line: /wall/text}")
    pieces: bool = Field(False, description="send a text piece by piece as it is spoken, not once when it is whole")
    fields: bool = Field(True, description="send each field of an event to ADDRESS/FIELD; else its values in order, as one message")
    repeat: float | None = Field(None, gt=0, le=3600, description="seconds after which the last values are sent once more; left out: never")
    quiet: float = Field(30.0, gt=0, le=86400, description="seconds without an input after which the fallback is sent instead")


class Osc(Role):
    """Sends streams as Open Sound Control messages over UDP: texts, numbers, fields of events, vectors."""

    inputs = {"*": Any_}
    extra = "osc"
    network = True
    display = True
    exclusive = True
    Options = OscOptions

    def setup(self) -> None:
        try:
            from pythonosc import osc_bundle_builder, osc_message_builder
        except ImportError as missing:
            raise EngineMissingError(
                "display.osc needs python-osc, which is not installed on this machine", where=self.name, instead="pip install roomful[osc]"
            ) from missing
        self._builders = (osc_message_builder, osc_bundle_builder)
        self._line = self._connected()
        self._sayings = Sayings()
        self._standin = StandIn(self.fallback, self.fallback_files, self.options.quiet, time.monotonic())
        self._last: dict[str, list[Message]] = {}
        self._said: set[str] = set()
        self._repeat_s = time.monotonic()
        self._refused_s: float | None = None
        self._absent = False
        self.say(f"sends to {self.options.host} port {self.options.port} over UDP")

    def teardown(self) -> None:
        if hasattr(self, "_line"):
            self._line.close()

    def on_frame(self, input: str, frame: Frame) -> None:
        self._standin.heard(input, frame, time.monotonic())
        self._take(input, frame)

    def tick(self) -> float:
        now_s = time.monotonic()
        for stream, frame in self._standin.frames(now_s):
            self._take(stream or "line", frame)
        if self.options.repeat is not None and now_s - self._repeat_s >= self.options.repeat:
            self._repeat_s = now_s
            for messages in list(self._last.values()):
                self._send(messages)
        self._judge(now_s)
        return TICK_S

    def _take(self, stream: str, frame: Frame) -> None:
        address = self.options.addresses.get(stream, self.options.address)
        address = address.replace("{stream}", _tidy(stream)).replace("{role}", _tidy(self.name))
        if isinstance(frame.value, str):
            for text in [frame.value] if self.options.pieces else self._sayings.take(stream, frame):
                self._send([(address, [text])] if text else [])
            return
        messages = self._messages(stream, address, frame.value)
        if messages:
            self._last[stream] = messages
            self._send(messages)

    def _messages(self, stream: str, address: str, value: Any) -> list[Message]:
        if isinstance(value, np.ndarray):
            if value.dtype == np.uint8 and value.ndim >= 2:
                self._once(f"{stream} carries pictures, which OSC cannot: they are not sent")
                return []
            return [(address, [float(number) for number in value.ravel()[: DATAGRAM_BYTES_MAX // 5]])]
        if isinstance(value, Mapping) and not self.options.fields:
            return [(address, [argument for _, inner in _flat(address, value) for argument in inner])]
        return list(_flat(address, value))

    def _send(self, messages: list[Message]) -> None:
        message_builder, bundle_builder = self._builders
        built = []
        for address, arguments in messages:
            builder = message_builder.OscMessageBuilder(address)
            for argument in arguments:
                builder.add_arg(argument, _type_of(argument))
            built.append(builder.build())
        if len(built) > 1:
            bundle = bundle_builder.OscBundleBuilder(bundle_builder.IMMEDIATELY)
            for message in built:
                bundle.add_content(message)
            built = [bundle.build()]
        for packet in built:
            if len(packet.dgram) > DATAGRAM_BYTES_MAX:
                self._once(f"a message of {len(packet.dgram)} bytes is too long for UDP and is not sent")
                continue
            self._post(packet.dgram)

    def _post(self, datagram: bytes) -> None:
        """A refusal belongs to the datagram before: the system tells it at the next one, which is then sent again."""
        for last in (False, True):
            try:
                self._line.send(datagram)
            except ConnectionRefusedError:
                self._refused_s = self._refused_s or time.monotonic()
            except OSError as refusal:
                self.faulty(on_a_line(f"nothing can be sent to {self.options.host}: {refusal.strerror or refusal}",
                                      instead="see to this machine's network cable, and to option host"))
                return
            else:
                if not last:
                    self._refused_s = None
                return

    def _judge(self, now_s: float) -> None:
        """A receiver that is not there is no fault of this role, and no other machine would reach it: it is said, not mended."""
        absent = self._refused_s is not None and now_s - self._refused_s >= UNHEARD_S
        if absent != self._absent:
            self._absent = absent
            where = f"{self.options.host} port {self.options.port}"
            self.say(f"nobody listens at {where}: start the program there{FIREWALL}" if absent else f"{where} listens again")
            self.publish("receiver", "nobody listens" if absent else "listens")
        if not absent:
            self.works()

    def _connected(self) -> socket.socket:
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(self.options.host, self.options.port, type=socket.SOCK_DGRAM)[0]
            line = socket.socket(family, kind, protocol)
            line.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            line.setblocking(False)
            line.connect(address)
            return line
        except OSError as refusal:
            raise RoleError(
                f"there is no way to {self.options.host}: {refusal.strerror or refusal}", where=f"{self.name}, option host",
                instead="write the address of the computer that listens, such as 192.168.1.30",
            ) from refusal  # fmt: skip

    def _once(self, what: str) -> None:
        if what not in self._said and len(self._said) < 100:
            self._said.add(what)
            self.say(what)


def _tidy(name: str) -> str:
    """A name as part of an OSC address, which may hold none of these: space # * , / ? [ ] { }"""
    return "".join("_" if letter in ' #*,/?[]{}' else letter for letter in name)


def _flat(address: str, value: Any, depth: int = 0) -> Iterator[Message]:
    """An event as messages: fields by their names, a list as the arguments of one message."""
    if isinstance(value, Mapping) and depth < DEPTH_MAX:
        for key, inner in value.items():
            yield from _flat(f"{address}/{_tidy(str(key))}", inner, depth + 1)
    elif isinstance(value, list | tuple) and any(isinstance(item, Mapping | list | tuple) for item in value) and depth < DEPTH_MAX:
        for place, inner in enumerate(value):
            yield from _flat(f"{address}/{place}", inner, depth + 1)
    elif isinstance(value, list | tuple):
        yield address, list(value)
    else:
        yield address, [] if value is None else [value]


def _type_of(argument: Any) -> str:
    """Explicit types: a whole number beyond 32 bits must not be refused, and most receivers know f but not d."""
    if isinstance(argument, bool):
        return "T" if argument else "F"
    if isinstance(argument, int):
        return "i" if -(2**31) <= argument < 2**31 else "h" if -(2**63) <= argument < 2**63 else "f"
    return {float: "f", str: "s", bytes: "b"}.get(type(argument), "N")
