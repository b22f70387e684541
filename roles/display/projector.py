"""Projectors: on when the room is open and the work plays, off at night, and heard of when something is wrong with them.

Nothing needs to be wired: a projector follows the opening hours of the deployment file. An input overrides them, for a work that
wants the dark. It goes off when the work is laid to rest (`roomful down`). Switching off at every stop is not the default: a role also
stops when it moves to another machine, and a lamp that is cooling down leaves the wall black for minutes.
"""

from __future__ import annotations

import time
from typing import Any

from pydantic import Field

from mesh.errors import RoleError
from mesh.role import Any_, Event, Frame, Options, Role
from roles.display.beamer import Beamer
from roles.display.hours import is_open, now_there
from roles.display.pjlink import PORT

TICK_S = 0.5
ORDERS = {"on": True, "1": True, "true": True, "off": False, "0": False, "false": False}


class ProjectorOptions(Options):
    host: str | list[str] = Field(description="the projector's address, or several: [192.168.1.50, 192.168.1.51]")
    port: int = Field(PORT, ge=1, le=65535, description="PJLink's port")
    password: str = Field("", max_length=32, description="the projector's PJLink password, if it has one")
    hours: bool = Field(True, description="follow the opening hours of the deployment file; else it is on whenever the role plays")
    early: float = Field(5.0, ge=0, le=240, description="minutes before opening at which it is switched on, to be warm in time")
    off_at_down: bool = Field(True, description="switch it off at `roomful down`")
    off_at_stop: bool = Field(False, description="switch it off whenever the role stops, also when it moves to another machine")
    poll: float = Field(20.0, ge=0.1, le=3600, description="seconds between two looks at how it is")
    patience: float = Field(60.0, gt=0, le=86400, description="seconds without an answer after which the role is faulty")


class Projector(Role):
    """Switches projectors on and off over PJLink, by opening hours or by an input, and reports how they are."""

    inputs = {"*": Any_}
    outputs = {"status": Event}
    display = True
    network = True
    exclusive = True
    Options = ProjectorOptions

    def setup(self) -> None:
        options = self.options
        hosts = [options.host] if isinstance(options.host, str) else list(options.host)
        if not hosts or not all(host.strip() for host in hosts):
            raise RoleError("no projector is named", where=f"{self.name}, option host", instead="write its address, such as 192.168.1.50")
        self._order: bool | None = None
        self._told: dict[str, Any] = {}
        self._misread: set[str] = set()
        self._beamers = [Beamer(host.strip(), options.port, options.password, options.poll) for host in hosts]
        for beamer in self._beamers:
            beamer.wish(self._wanted())
            beamer.start()

    def teardown(self) -> None:
        for beamer in getattr(self, "_beamers", []):
            beamer.stop(off=self.options.off_at_stop or (self.rests and self.options.off_at_down))

    def on_frame(self, input: str, frame: Frame) -> None:
        """On or off: true or false, a text, or an event's `power`; null gives the power back to the opening hours."""
        value = frame.value.get("power", "") if isinstance(frame.value, dict) else frame.value
        order = ORDERS.get(str(value).strip().lower())
        if order is None and value is not None:
            if input not in self._misread:  # once: a sensor that is wired to it by mistake says something many times a second
                self._misread.add(input)
                self.say(f"{str(value)[:40]!r} on input {input} is neither on nor off: wire true, false, on or off to it")
            return
        self._misread.discard(input)
        self._order = order
        self.tick()

    def tick(self) -> float:
        wanted, now_s = self._wanted(), time.monotonic()
        faults = []
        for beamer in self._beamers:
            beamer.wish(wanted)
            for line in beamer.news():
                self.say(line)
            faults.append(beamer.fault(now_s, self.options.patience))
            self._tell(beamer)
        fault = "; ".join(filter(None, faults))
        if fault:
            self.faulty(fault)
        elif all(beamer.condition is not None for beamer in self._beamers):
            self.works()
        return TICK_S

    def _wanted(self) -> bool:
        if self._order is not None:
            return self._order
        opening = self.settings.get("opening") if self.options.hours else None
        return is_open(opening, now_there(opening), self.options.early)

    def _tell(self, beamer: Beamer) -> None:
        """The projector's condition, when it has changed."""
        condition = beamer.condition
        if condition is None:
            return
        told = {
            "host": beamer.host, "power": condition.power, "warnings": list(condition.warnings), "errors": list(condition.errors),
            "lamp_hours": list(condition.lamp_hours),
        }  # fmt: skip
        if told != self._told.get(beamer.host):
            self._told[beamer.host] = told
            self.emit("status", told)
            self.publish("projectors", {host: state["power"] for host, state in self._told.items()})
