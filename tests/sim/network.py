"""The simulated network: datagrams that get lost, doubled and late, and lines that behave like TCP.

A line is in order and complete while it lasts; loss is a stall of 0.2 s x 2^n, not a gap. A line that
carries nothing for some seconds breaks, and what was on it is gone, or comes late. Old datagrams are kept and
played again after reconnects, since that is what forgotten buffers and confused switches do.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

from mesh.core.events import Heard, LinkHint, LinkUp
from mesh.core.messages import Message, NodeRecord

if TYPE_CHECKING:
    from tests.sim.machine import Machine
    from tests.sim.world import World

RTO_S = 0.2
RTO_STEPS_MAX = 4
RETRY_MIN_S, RETRY_MAX_S, RETRY_LONG_S, LONG_AFTER_S = 0.05, 1.0, 3.0, 60.0
ANSWER_S = 0.6  # an attempt that takes longer is given up, and another is made
BREAK_MIN_S, BREAK_MAX_S = 5.0, 7.0
WAITING_MAX = 256
KEPT_MAX = 300


@dataclass(slots=True)
class Weather:
    """What datagrams and lines meet everywhere: seconds, and odds from 0 to 1."""

    delay_s: float = 0.0005
    jitter_s: float = 0.001
    loss: float = 0.0
    double: float = 0.0


@dataclass(slots=True, eq=False)
class Line:
    """One machine's line to one peer: dialled until it answers, in order while it lasts."""

    owner: Machine
    node: str
    record: NodeRecord
    up: bool = False
    closed: bool = False
    dialling: bool = False
    number: int = 0
    delay_s: float = RETRY_MIN_S
    failing_since_s: float = 0.0
    told: str = ""
    stalls: int = 0
    last_s: float = 0.0
    pumping: bool = False
    remote_boot: str = ""
    waiting: deque[Message] = field(default_factory=deque)
    flight: deque[tuple[float, Message]] = field(default_factory=deque)


@dataclass(slots=True)
class Network:
    """Everything between the machines. Ordered pairs of machine names in `blocked` let nothing pass, in `clogged` nothing yet."""

    world: World
    rng: Random
    weather: Weather = field(default_factory=Weather)
    blocked: set[tuple[str, str]] = field(default_factory=set)
    clogged: dict[tuple[str, str], float] = field(default_factory=dict)
    firewalled: set[str] = field(default_factory=set)  # machines that no datagram reaches, while lines do
    kept: list[tuple[str, str, Message]] = field(default_factory=list)
    sent: int = 0
    lines: list[Line] = field(default_factory=list)

    def open(self, one: str, other: str) -> bool:
        """Whether anything passes from one machine to the other."""
        return one == other or (one, other) not in self.blocked

    # ---- faults

    def block(self, one: str, other: str) -> None:
        """From now on nothing passes in this direction."""
        self.blocked.add((one, other))
        for line in self.lines:
            pair = (line.owner.key, self._there(line))
            if line.up and pair in ((one, other), (other, one)):
                after_s = self.rng.uniform(BREAK_MIN_S, BREAK_MAX_S)
                self.world.after(after_s, self._break_if_blocked, line, line.number)

    def unblock(self, one: str, other: str) -> None:
        """Everything passes again in this direction."""
        self.blocked.discard((one, other))

    def clog(self, one: str, other: str, for_s: float) -> None:
        """Nothing passes for a while, and then all of it at once."""
        self.clogged[one, other] = self.world.t + for_s

    def heal(self) -> None:
        """Everything passes everywhere, and the weather is fine."""
        self.blocked.clear()
        self.clogged.clear()
        self.firewalled.clear()
        self.weather = Weather()

    def replay(self, count: int) -> None:
        """Some datagrams of the past come once more."""
        for _ in range(min(count, len(self.kept))):
            sender, receiver, message = self.rng.choice(self.kept)
            self.world.after(self.rng.random() * 0.5, self._arrive, sender, receiver, message)

    # ---- datagrams

    def datagram(self, sender: Machine, address: str, message: Message) -> None:
        """Towards whoever has that address now."""
        receiver = self.world.addresses.get(address)
        if receiver is None or not receiver.powered or receiver.key in self.firewalled:
            return
        if self.blocked and not self.open(sender.key, receiver.key):
            return
        rng, weather = self.rng, self.weather
        self.sent += 1
        if self.sent % 7 == 0:
            if len(self.kept) < KEPT_MAX:
                self.kept.append((sender.key, receiver.key, message))
            else:
                self.kept[rng.randrange(KEPT_MAX)] = (sender.key, receiver.key, message)
        if weather.loss and rng.random() < weather.loss:
            return
        delay_s = weather.delay_s + rng.random() * weather.jitter_s
        if self.clogged:
            delay_s += max(0.0, self.clogged.get((sender.key, receiver.key), 0.0) - self.world.t)
        self.world.after(delay_s, self._arrive, sender.key, receiver.key, message)
        if weather.double and rng.random() < weather.double:
            self.world.after(delay_s + rng.random() * 0.3, self._arrive, sender.key, receiver.key, message)

    def _arrive(self, sender: str, receiver: str, message: Message) -> None:
        machine = self.world.machines[receiver]
        self.world.arrive(machine, Heard(message, self.world.machines[sender].address))

    # ---- lines

    def dial(self, owner: Machine, record: NodeRecord) -> None:
        """Keep a line to this peer; dial at once unless it is up."""
        line = owner.lines.get(record.node)
        if line is None:
            line = owner.lines[record.node] = Line(owner, record.node, record, failing_since_s=self.world.t)
            self.lines.append(line)
        line.record = record
        if not line.up and not line.dialling:
            line.number += 1
            self._attempt(line, line.number)

    def hang_up(self, owner: Machine, node: str) -> None:
        """Close the line and forget what waits on it."""
        line = owner.lines.pop(node, None)
        if line is not None:
            self.lines.remove(line)
            line.closed, line.up = True, False
            self._forget_flight(line)

    def send(self, owner: Machine, node: str, message: Message) -> None:
        """Over the line to `node`; waits for it within bounds; dropped when there is none."""
        line = owner.lines.get(node)
        if line is None:
            return
        if line.up:
            self._take(line, message)
        else:
            if len(line.waiting) >= WAITING_MAX:
                line.waiting.popleft()
            line.waiting.append(message)

    def _there(self, line: Line) -> str:
        there = self.world.at_address(line.record.addresses[0])
        return there.key if there is not None else ""

    def _passes(self, line: Line) -> bool:
        there = self._there(line)
        return bool(there) and self.open(line.owner.key, there) and self.open(there, line.owner.key)

    def _attempt(self, line: Line, number: int) -> None:
        if line.closed or line.number != number or line.up or line.owner.agent is None:
            return
        line.dialling = True
        passes = self._passes(line)
        there = self.world.at_address(line.record.addresses[0])
        if passes and there is not None and there.agent is not None and not there.paused:
            delay_s = 4 * (self.weather.delay_s + self.rng.random() * self.weather.jitter_s) + self._stall_s() + self._clog_s(line)
            if delay_s < ANSWER_S:
                self.world.after(delay_s, self._answered, line, number)
                return
            passes = False
        found = "refused" if passes and there is not None and there.agent is None else "unreachable"
        self._retry(line, found, 0.002 if found == "refused" else 0.5)

    def _retry(self, line: Line, found: str, took_s: float) -> None:
        line.dialling = False
        if found != line.told:
            line.told = found
            self.world.after(took_s, self.world.feed, line.owner, LinkHint(line.node))
        self.world.after(took_s + line.delay_s, self._attempt, line, line.number)
        long = self.world.t - line.failing_since_s > LONG_AFTER_S
        line.delay_s = RETRY_LONG_S if long else min(2 * line.delay_s, RETRY_MAX_S)

    def _answered(self, line: Line, number: int) -> None:
        if line.closed or line.number != number or line.up or line.owner.agent is None:
            return
        there = self.world.at_address(line.record.addresses[0])
        if not self._passes(line) or there is None or there.agent is None or there.node != line.node:
            self._retry(line, "unreachable", 0.5)
            return
        line.dialling, line.up, line.told, line.delay_s = False, True, "reached", RETRY_MIN_S
        line.remote_boot, line.last_s, line.stalls = there.boot, self.world.t, 0
        self.world.feed(line.owner, LinkUp(line.node, there.address))
        while line.waiting and line.up:
            self._take(line, line.waiting.popleft())

    def _take(self, line: Line, message: Message) -> None:
        delay_s = self.weather.delay_s + self.rng.random() * self.weather.jitter_s + self._stall_s()
        line.last_s = max(line.last_s, self.world.t + delay_s)
        line.flight.append((line.last_s, message))
        if not line.pumping:
            line.pumping = True
            self.world.at(line.last_s, self._pump, line, line.number)

    def _pump(self, line: Line, number: int) -> None:
        if line.number != number or not line.up:
            return
        line.pumping = False
        there = self.world.at_address(line.record.addresses[0])
        clog_s = self._clog_s(line)
        if there is None or not self._passes(line) or clog_s > 0:
            line.pumping = True
            self.world.after(max(clog_s, RTO_S * 2**line.stalls), self._pump, line, number)
            line.stalls = min(RTO_STEPS_MAX, line.stalls + 1)
            return
        if there.agent is None or there.boot != line.remote_boot:
            self.break_off(line)
            return
        line.stalls = 0
        while line.flight and line.flight[0][0] <= self.world.t:
            self.world.arrive(there, Heard(line.flight.popleft()[1]))
        if line.flight and line.up and line.number == number:
            line.pumping = True
            self.world.at(line.flight[0][0], self._pump, line, number)

    def break_off(self, line: Line) -> None:
        """The connection is gone: its owner hears of it, and dials again."""
        if line.closed or not line.up:
            return
        line.up = False
        self._forget_flight(line)
        line.failing_since_s = self.world.t
        self.world.feed(line.owner, LinkHint(line.node))
        if not line.closed:
            self.world.after(RETRY_MIN_S, self._attempt, line, line.number)

    def broken_at(self, machine: Machine) -> None:
        """An agent ended: who had a line to it learns so at once, if anything passes."""
        for line in list(self.lines):
            if line.up and line.node == machine.node and line.owner is not machine and self._passes(line):
                self.world.after(0.001, self._break_if_same, line, line.number)

    def _break_if_same(self, line: Line, number: int) -> None:
        if line.number == number:
            self.break_off(line)

    def _break_if_blocked(self, line: Line, number: int) -> None:
        there = self.world.at_address(line.record.addresses[0])
        gone = there is None or there.agent is None or there.boot != line.remote_boot
        if line.number == number and (gone or not self._passes(line)):
            self.break_off(line)

    def watch(self, machine: Machine) -> None:
        """A machine lost power: the lines to it break when they have been silent for some seconds."""
        for line in self.lines:
            if line.up and line.node == machine.node:
                self.world.after(self.rng.uniform(BREAK_MIN_S, BREAK_MAX_S), self._break_if_blocked, line, line.number)

    def _forget_flight(self, line: Line) -> None:
        """What was on a broken line is gone, or comes late out of some buffer."""
        line.number += 1
        line.pumping = line.dialling = False
        there = self._there(line)
        for _, message in line.flight:
            if there and self.rng.random() < 0.2 and self._passes(line):
                self.world.after(self.rng.random() * 2.0, self._late, there, line.remote_boot, message)
        line.flight.clear()

    def _late(self, there: str, boot: str, message: Message) -> None:
        machine = self.world.machines[there]
        if machine.boot == boot:
            self.world.arrive(machine, Heard(message))

    def _stall_s(self) -> float:
        """Loss on a line: retransmission after 0.2 s, doubling each time that is lost too."""
        stall_s, step = 0.0, 0
        while self.weather.loss and step < RTO_STEPS_MAX and self.rng.random() < self.weather.loss:
            stall_s += RTO_S * 2**step
            step += 1
        return stall_s

    def _clog_s(self, line: Line) -> float:
        if not self.clogged:
            return 0.0
        there = self._there(line)
        until = max(self.clogged.get((line.owner.key, there), 0.0), self.clogged.get((there, line.owner.key), 0.0))
        return max(0.0, until - self.world.t)


def as_trace(message: Any) -> str:
    """A message in a word, for the trace."""
    return type(message).__name__
