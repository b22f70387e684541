"""The artwork that the hosts play: streams with each kind of standby, and an ear that writes down when each frame arrived."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from tests.hosts.room import Room, lines_of

ROLES = '''
"""Streams to lose, and an ear to notice."""
import time

from mesh.role import Event, Options, Role


class Pulse(Role):
    """Says which machine it is on, at an even rate."""
    outputs = {"beat": Event}

    class Options(Options):
        rate: float = 50.0

    def setup(self):
        self.count = 0

    def tick(self):
        self.count += 1
        self.emit("beat", [self.settings["machine"], self.count])
        return 1 / self.options.rate


class Echo(Role):
    """Answers each question with the machine it is on and what it was asked."""
    outputs = {"answer": Event}

    def on_question(self, frame: Event):
        yield [self.settings["machine"], frame.value[1]]


class Ear(Role):
    """Writes a line for each frame: when it arrived (ns, steady clock), how old it was (us), input, machine, number."""
    inputs = {"*": "any"}
    display = True

    def setup(self):
        self.heard = open(self.state_folder / "heard", "a", buffering=1)

    def on_frame(self, input: str, frame):
        now_ns = time.monotonic_ns()
        age_us = (self.now_s() - frame.captured_s) * 1e6
        machine, number = frame.value
        self.heard.write(f"{now_ns} {age_us:.0f} {input} {machine} {number}\\n")

    def teardown(self):
        self.heard.close()
'''
DEPLOYMENT = """
installation: {installation}
boot_grace: {boot_grace}
machines: {{{machines}}}
roles:
  clock: {{kind: "./roles.py:Pulse", on: [{ear}, any], options: {{rate: {rate}}}}}
  hot: {{kind: "./roles.py:Pulse", on: [{carriers}, any], standby: hot, options: {{rate: {rate}}}}}
  warm: {{kind: "./roles.py:Pulse", on: [{carriers}, any], standby: warm, options: {{rate: {rate}}}}}
  cold: {{kind: "./roles.py:Pulse", on: [{carriers}, any], options: {{rate: {rate}}}}}
  echo: {{kind: "./roles.py:Echo", on: [{carriers}, any], inputs: {{question: clock.beat}}, copies: 2}}
  ear: {{kind: "./roles.py:Ear", each: [{ear}], inputs: {{hot: hot.beat, warm: warm.beat, cold: cold.beat, echo: echo.answer}}}}
"""
CARRIERS = "label:carrier"
STREAMS = ("hot", "warm", "cold", "echo")


@dataclass(frozen=True, slots=True)
class Arrival:
    """One frame at the ear: when (seconds of `time.monotonic`), how old, on which input, from which machine."""

    at_s: float
    age_s: float
    input: str
    machine: str
    number: int


def streams_piece(
    folder: Path, machines: Sequence[str], *, installation: str = "streams", rate: float = 50.0, boot_grace: str = "20s",
    carriers: str = CARRIERS,
) -> Path:  # fmt: skip
    """Write the artwork into `folder` and return it. The first machine has the ear and the clock; the streams are played by `carriers`,
    all others, none of whom is preferred."""
    named = ", ".join(f"{machine}: {{labels: [{'ear' if machine == machines[0] else 'carrier'}]}}" for machine in machines)
    folder.mkdir(parents=True, exist_ok=True)
    text = DEPLOYMENT.format(
        installation=installation, boot_grace=boot_grace, machines=named, rate=rate, ear=machines[0], carriers=carriers,
    )  # fmt: skip
    (folder / "deployment.yaml").write_text(text)
    (folder / "roles.py").write_text(ROLES)
    return folder


def read_arrival(line: str) -> Arrival:
    """One line that the ear wrote."""
    at_ns, age_us, input, machine, number = line.split()
    return Arrival(int(at_ns) / 1e9, int(age_us) / 1e6, input, machine, int(number))


def heard(home: Path, since_s: float = 0.0) -> list[Arrival]:
    """What the ear of the machine with this state folder heard, in the order of arrival."""
    lines = chain.from_iterable(map(lines_of, home.glob("roles/ear@*/heard")))
    return [arrival for arrival in map(read_arrival, lines) if arrival.at_s >= since_s]


def has_standbys(room: Room) -> bool:
    """Whether the hot and the warm role each have a standby that is ready, as everyone sees it."""
    seen = [room.status(name).get("roles", {}) for name in room.running()]
    return all(roles.get(role, {}).get("standby") for roles in seen for role in ("hot", "warm"))
