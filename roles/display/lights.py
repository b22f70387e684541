"""Light, over sACN or Art-Net: levels that are faded here and sent on as a lighting desk would.

An artist names what the lights are (`channels: {lamp: 1, wash: [2, 3, 4]}`) and sends values from 0 to 1 by these names. Where
a desk or another machine sends to the same universe the protocol decides: sACN takes the higher `priority`, and of equals each
channel's higher level. Each machine is a source of its own, so that a lost one fades out of the receivers (after 2.5 s) while
the next plays; it does not say goodbye when it hands over, which some lights answer by going dark.
Neither protocol answers: that levels leave this machine can be known here, that a lamp burns cannot.
"""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from pydantic import Field

from mesh.errors import RoleError
from mesh.role import Any_, Frame, Options, Role
from roles.display import dmx
from roles.display.fading import Fading, places_of
from roles.display.standin import StandIn

KEPT_ALIVE_S = 0.8  # E1.31, 6.6.1: between 800 and 1000 ms while nothing changes
UNSENT_S = 10.0
REPEATS = 3


class LightsOptions(Options):
    protocol: Literal["sacn", "artnet"] = Field("sacn", description="how: sACN (E1.31) or Art-Net")
    universe: int = Field(1, ge=0, le=63999, description="the universe of channel 1; channel 513 is the first of the next one")
    host: str | None = Field(None, description="one receiver's address; everyone (multicast or broadcast) when left out")
    interface: str | None = Field(None, description="this machine's own address on the lights' network, where it has several")
    priority: int = Field(100, ge=0, le=200, description="sACN: the highest of several sources is obeyed")
    channels: dict[str, int | str | list[int | str]] = Field(
        default_factory=dict, description='names for channels: {lamp: 1, wash: [2, 3, 4], pan: "5+6"} ("5+6" is one of two bytes)'
    )
    first: int = Field(1, ge=1, le=32768, description="the channel where the numbers of a vector or a list without a name begin")
    full: float = Field(1.0, gt=0, description="the value that is full: 1, or 255 where the values are DMX's own")
    fade: float = Field(1.0, ge=0, le=3600, description='seconds to a new level; an event may bring its own as "fade"')
    gamma: float = Field(1.0, gt=0, le=5, description="how levels are bent to the eye: 1 not at all, 2.2 for plain LEDs")
    rest: dict[str, float] = Field(default_factory=dict, description="levels at the start, and when the inputs are lost: {lamp: 0.2}")
    at_stop: Literal["hold", "dark"] = Field("hold", description="what is left behind on a clean stop: the last levels, or none")
    rate: float = Field(40.0, ge=1, le=44, description="packets a second while levels move")
    quiet: float = Field(30.0, gt=0, le=86400, description="seconds without an input after which the lights go to rest")


class Lights(Role):
    """Sends levels to lights over sACN or Art-Net, with names for channels and fades between levels."""

    inputs = {"*": Any_}
    display = True
    network = True
    exclusive = True
    Options = LightsOptions

    def setup(self) -> None:
        options = self.options
        self._fading = Fading(self._places(), options.gamma)
        universes = dmx.SACN_UNIVERSES if options.protocol == "sacn" else dmx.ARTNET_UNIVERSES
        if options.universe not in universes:
            raise RoleError(
                f"{options.protocol} has no universe {options.universe}", where=f"{self.name}, option universe",
                instead=f"write {universes[0]} to {universes[-1]}",
            )  # fmt: skip
        self._line = self._open()
        own = f"roomful/{self.settings.get('installation', '')}/{self.name}/{self.settings.get('machine', '')}"
        self._cid = uuid.uuid5(uuid.NAMESPACE_URL, own).bytes
        self._sequence = 0
        self._sent: tuple[list[bytes], int, float] = ([], 0, -1e9)  # what, how often, when last
        self._said: set[str] = set()
        self._standin = StandIn((), self.fallback_files, options.quiet, time.monotonic())
        self._resting = True
        for name, level in options.rest.items():
            self._order(name, level, 0.0)
        to = options.host or ("everyone" if options.protocol == "artnet" else dmx.sacn_address(options.universe))
        self.say(f"sends universe {options.universe} to {to} over {options.protocol}")

    def teardown(self) -> None:
        if not hasattr(self, "_line"):
            return
        if self.options.at_stop == "dark":
            for sequence in range(REPEATS):
                dark = [bytes(512)] * max(1, len(self._sent[0]))
                self._send(dark, ended=sequence > 0)
        self._line.close()

    def on_frame(self, input: str, frame: Frame) -> None:
        self._standin.heard(input, frame, time.monotonic())
        self._resting = False
        self._take(input, frame.value)

    def tick(self) -> float:
        now_s = time.monotonic()
        for stream, frame in self._standin.frames(now_s):
            self._resting = True
            self._take(stream, frame.value)
        if not self._resting and self._standin.lost(now_s):
            self._resting = True
            for name, level in self.options.rest.items():
                self._order(name, level, max(self.options.fade, 2.0))
        levels = self._fading.universes(now_s)
        what, times, last_s = self._sent
        if levels != what:
            times = 0
        if times < REPEATS or now_s - last_s >= KEPT_ALIVE_S:
            self._send(levels)
            self._sent = (levels, times + 1, now_s)
        return 1 / self.options.rate

    # ---- what comes

    def _take(self, stream: str, value: Any) -> None:
        if isinstance(value, Mapping):
            fade = value.get("fade") if "fade" not in self._fading.places else None
            fade_s = float(fade) if isinstance(fade, int | float) else self.options.fade
            for name, level in value.items():
                if str(name) in self._fading.places:
                    self._order(str(name), level, fade_s)
                elif name != "fade":
                    self._once(f"no channels are named `{str(name)[:60]}`: add them to option channels")
        elif isinstance(value, str):
            self._once(f"{stream} carries texts, which no light can show")
        elif stream in self._fading.places:
            self._order(stream, value, self.options.fade)
        elif isinstance(value, np.ndarray | list | tuple):
            for number, level in enumerate(self._numbers(value)[:32768]):
                self._fading.go((self.options.first - 1 + number, None), level, time.monotonic(), self.options.fade)
        elif value is not None:
            self._once(f"no channels are named `{stream}`: add them to option channels")

    def _order(self, name: str, level: Any, fade_s: float) -> None:
        if name not in self._fading.places:
            self._once(f"option rest speaks of `{name}`, which option channels does not name")
            return
        levels = self._numbers(level)
        if levels:
            self._fading.send(name, levels, time.monotonic(), max(0.0, fade_s))

    def _numbers(self, value: Any) -> list[float]:
        """Levels 0 to 1 of whatever holds numbers; [] of what does not."""
        try:
            numbers = np.asarray(value, np.float64).ravel()
        except (TypeError, ValueError):
            self._once(f"{value!r:.60} is no level")
            return []
        return [float(number) / self.options.full for number in numbers]

    # ---- what goes

    def _send(self, levels: list[bytes], *, ended: bool = False) -> None:
        options = self.options
        for number, values in enumerate(levels):
            universe = options.universe + number
            if options.protocol == "sacn":
                name = f"{self.settings.get('installation', 'roomful')} {self.name}"
                packet = dmx.sacn_packet(self._cid, name, options.priority, self._sequence, universe, values, ended=ended)
                address = (options.host or dmx.sacn_address(universe), dmx.SACN_PORT)
            else:
                packet = dmx.artnet_packet(self._sequence, universe, values)
                address = (options.host or "255.255.255.255", dmx.ARTNET_PORT)
            try:
                self._line.sendto(packet, address)
            except OSError as refusal:
                self._once(f"nothing reaches the lights at {address[0]}: {refusal.strerror or refusal}")
                return
        self._sequence += 1
        self.works(UNSENT_S, f"nothing could be sent to the lights for {UNSENT_S:g} s: is the cable of their network in?")

    def _open(self) -> socket.socket:
        line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            line.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 8)
            line.setblocking(False)
            if self.options.interface:
                line.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(self.options.interface))
                line.bind((self.options.interface, 0))
            if self.options.host:
                socket.getaddrinfo(self.options.host, dmx.SACN_PORT, socket.AF_INET)
            return line
        except OSError as refusal:
            line.close()
            raise RoleError(
                f"there is no way to the lights: {refusal.strerror or refusal}", where=f"{self.name}, options host and interface",
                instead="interface is this machine's own address on their network, host the receiver's; both may be left out",
            ) from refusal  # fmt: skip

    def _places(self) -> dict[str, list[tuple[int, int | None]]]:
        try:
            return {name: places_of(channels) for name, channels in self.options.channels.items()}
        except ValueError as fault:
            raise RoleError(
                str(fault), where=f"{self.name}, option channels", instead='write a number from 1, a list of them, or "5+6"'
            ) from fault

    def _once(self, what: str) -> None:
        if what not in self._said and len(self._said) < 100:
            self._said.add(what)
            self.say(what)
