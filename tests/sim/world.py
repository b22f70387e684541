"""Virtual time: one queue of events for all machines, the real `mesh.core.node`, and one seed that replays exactly.

Plays the part that `mesh/shell` plays in a room: waits, feeds each node, performs its effects. The order of
things follows the shell's: what a slept agent finds in its sockets is taken in before it judges anybody; a process is
started only after its predecessor has ended; a disk write may be lost with the power if it was the last.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, get_args
from zlib import crc32

from mesh.core.codec import decode, encode, seal, unseal
from mesh.core.effects import (
    ClockSet,
    Dial,
    Effect,
    Fetch,
    Halt,
    HangUp,
    Launch,
    Play,
    Prune,
    Report,
    Save,
    SendControl,
    SendDatagram,
    Tell,
)
from mesh.core.events import (
    Carrier,
    DeploymentRead,
    Event,
    Heard,
    Measured,
    PeerFound,
    Tick,
    Wanted,
)
from mesh.core.messages import Beat, NodeRecord, Verdict
from mesh.core.node import Node
from mesh.core.spec import Deployment
from mesh.core.timing import PRESETS, Timing
from tests.sim.machine import GIB, Clock, Machine
from tests.sim.network import Network
from tests.sim.sending import Sending, trusts
from tests.sim.stage import Stage

KEY = b"the room's key, thirty-two bytes"
LATE_TICKS_MAX = 20
STEPS_MAX = 3_000_000
NEVER = float("inf")
NAMES = {kind: kind.__name__.encode() for kind in get_args(Event)}


class SimulationError(AssertionError):
    """A rule was broken, or time stood still."""


@dataclass(slots=True)
class Said:
    """A report of one node, at the world's time."""

    t: float
    machine: str
    event: str
    fields: dict[str, Any]


@dataclass(slots=True)
class World:
    """All machines and what is between them. `t` is the world's time in seconds."""

    seed: int
    deployment: Deployment
    with_codec: bool = False
    timing: Timing | None = None
    t: float = 0.0
    rng: Random = field(init=False)
    network: Network = field(init=False)
    stage: Stage = field(init=False)
    sending: Sending = field(init=False)
    machines: dict[str, Machine] = field(default_factory=dict)
    addresses: dict[str, Machine] = field(default_factory=dict)
    queue: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = field(default_factory=list)
    pushed: int = 0
    steps: int = 0
    steps_max: int = STEPS_MAX
    trace: int = 0
    said: list[Said] = field(default_factory=list)
    pid: int = 1000
    discovery: str = "mdns"  # "mdns", or the name of the one machine that all know as their seed
    buried: dict[tuple[str, str], int] = field(default_factory=dict)  # (boot, node) -> incarnation at which that boot held it dead
    claimed: dict[tuple[str, str, int], tuple[str, int]] = field(default_factory=dict)  # (node, instance, epoch) -> (boot, generation)
    adopted: set[tuple[str, str]] = field(default_factory=set)  # (boot, instance) of processes that outlived their agent
    incarnations: dict[str, int] = field(default_factory=dict)
    stopped: list[tuple[str, str, int]] = field(default_factory=list)  # (machine, instance, epoch): told to stop, for no reason
    started: list[tuple[str, str, tuple[str, ...]]] = field(default_factory=list)  # (machine, instance, what it saw placed then)
    watchers: list[Callable[[Machine, Effect], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = Random(self.seed)
        self.network = Network(self, Random(self.seed ^ 0x5EED))
        self.stage = Stage(self)
        self.sending = Sending(self, Random(self.seed ^ 0xD15C))

    # ---- time

    def at(self, t: float, do: Callable[..., None], *args: Any) -> None:
        """Do something at the world's time `t`."""
        self.pushed += 1
        heapq.heappush(self.queue, (t, self.pushed, do, args))

    def after(self, delay_s: float, do: Callable[..., None], *args: Any) -> None:
        """Do something in so many seconds."""
        self.pushed += 1
        heapq.heappush(self.queue, (self.t + delay_s, self.pushed, do, args))

    def run(self, until: float) -> None:
        """Let time pass until `until`. Raises SimulationError when it does not pass."""
        queue, pop = self.queue, heapq.heappop
        while queue and queue[0][0] <= until:
            for _ in range(1000):
                self.t, _, do, args = pop(queue)
                do(*args)
                self.steps += 1
                if not queue or queue[0][0] > until:
                    break
            if self.steps > self.steps_max:
                raise SimulationError(f"more than {self.steps_max} steps by {self.t:.3f} s: does time stand still?")
        self.t = max(self.t, until)

    def run_for(self, seconds: float) -> None:
        """Let so much time pass."""
        self.run(self.t + seconds)

    def run_until(self, wanted: Callable[[], bool], within_s: float, step_s: float = 0.05) -> float | None:
        """Let time pass until it holds; returns how long that took, None when it never did."""
        began = self.t
        while not wanted():
            if self.t - began >= within_s:
                return None
            self.run(self.t + step_s)
        return self.t - began

    # ---- machines

    def add(self, name: str, *, node: str = "", capabilities: dict[str, Any] | None = None) -> Machine:
        """A computer, switched off."""
        number = len(self.machines) + 1
        has = {"memory_bytes": 4 * GIB, "cores": 4, "extras": ("llm", "onnx"), **(capabilities or {})}
        machine = Machine(name, name, node or f"{self.rng.getrandbits(64):016x}", f"10.0.0.{number}", has)
        machine.clock = Clock(self.rng.uniform(0.0, 1000.0), 1.0 + self.rng.uniform(-2e-4, 2e-4))
        machine.disk["order"] = [1, "up", "first"]
        self.machines[name] = self.addresses[machine.address] = machine
        return machine

    def at_address(self, address: str) -> Machine | None:
        """The machine that has this address and is switched on."""
        machine = self.addresses.get(address)
        return machine if machine is not None and machine.powered else None

    def boot(self, name: str) -> None:
        """Switch a machine on, or start its agent again; its disk says which life this is."""
        machine = self.machines[name]
        if machine.agent is not None:
            return
        machine.powered, machine.paused = True, False
        incarnation = int(machine.disk.get("incarnation") or 0) + 1
        machine.write("incarnation", incarnation)
        machine.boot = f"{self.rng.getrandbits(32):08x}"
        record = NodeRecord(machine.node, machine.boot, incarnation, machine.name, (machine.address,), 4000, 5000, machine.installation)
        saved = {key: value for key, value in machine.disk.items() if value is not None}
        timing = self.timing or PRESETS[self.deployment.timing]
        machine.agent = Node(record, machine.now(self.t), timing, saved, machine.wall_s, trusts, "waiting")
        machine.inbox, machine.aside, machine.wake_t, machine.handling = [], [], NEVER, False
        for process in [each for each in machine.processes.values() if each.orphan]:
            self.stage.found(machine, process)
        for event in self.sending.begun(machine):
            self.feed(machine, event)
        self.feed(machine, Measured(dict(machine.capabilities)))
        for row in saved.get("peers", []):
            self.feed(machine, PeerFound(NodeRecord(*row[:4], tuple(row[4]), *row[5:])))
        self._announce(machine)

    def _announce(self, machine: Machine) -> None:
        """Discovery: by mDNS everybody in reach hears of everybody; else all know one address."""
        assert machine.agent is not None
        for other in self.machines.values():
            if other is machine or other.agent is None:
                continue
            if self.discovery not in ("mdns", other.key, machine.key):
                continue
            for hearer, told in ((machine, other), (other, machine)):
                if told.agent is None or hearer.agent is None or not self.network.open(told.key, hearer.key):
                    continue
                known = hearer.agent.peers.known.get(told.node)
                if known is None or known.record.boot != told.boot:
                    self.after(self.rng.uniform(0.005, 0.2), self.feed, hearer, PeerFound(told.agent.me))
        if self.t < 60.0:
            self.after(1.0 + self.rng.random(), self._announce_again, machine, machine.boot)

    def _announce_again(self, machine: Machine, boot: str) -> None:
        if machine.boot == boot and machine.agent is not None:
            self._announce(machine)

    def cut_power(self, name: str, *, lose_last_write: bool = False) -> None:
        """Everything on the machine is gone at once, and nobody is told."""
        machine = self.machines[name]
        if lose_last_write:
            machine.lose_last_write()
        self.network.watch(machine)
        self._stop_agent(machine)
        machine.powered = False
        for process in machine.processes.values():
            process.state = "gone"
        machine.processes.clear()

    def kill_agent(self, name: str) -> None:
        """The agent's process ends; its roles go on for a while without it."""
        machine = self.machines[name]
        if machine.agent is None:
            return
        self.stage.orphan(machine)
        self.network.broken_at(machine)
        self._stop_agent(machine)

    def _stop_agent(self, machine: Machine) -> None:
        for node in list(machine.lines):
            self.network.hang_up(machine, node)
        machine.agent, machine.paused = None, False
        machine.queued.clear()
        machine.inbox, machine.aside = [], []

    def pause(self, name: str) -> None:
        """The agent sleeps; what comes in waits in its sockets."""
        self.machines[name].paused = self.machines[name].agent is not None

    def resume(self, name: str) -> None:
        """The agent wakes: first it hears out what has piled up, then its overdue timer fires."""
        machine = self.machines[name]
        if not machine.paused:
            return
        machine.paused = False
        inbox, machine.inbox = machine.inbox, []
        self._hear_out(machine)
        for event in inbox:
            self.feed(machine, event)
        if machine.agent is not None:
            self._tick(machine)

    def jump_clock(self, name: str, by_s: float) -> None:
        """The machine's clock leaps ahead."""
        machine = self.machines[name]
        machine.clock.zero_s += by_s
        if machine.agent is not None and not machine.paused:
            self._tick(machine)

    def want(self, name: str, verb: str) -> None:
        """The operator's word, given at this machine."""
        self.feed(self.machines[name], Wanted(verb))

    def unplug(self, name: str, *, noticed: bool = True) -> None:
        """The network cable is out. The machine's own carrier says so, if its driver does."""
        for other in self.machines:
            if other != name:
                self.network.block(name, other)
                self.network.block(other, name)
        if noticed:
            self.after(0.05, self.feed, self.machines[name], Carrier(False))

    def plug_in(self, name: str) -> None:
        """The cable is in again."""
        for other in self.machines:
            self.network.unblock(name, other)
            self.network.unblock(other, name)
        self.feed(self.machines[name], Carrier(True))

    def cut(self, *sides: str) -> None:
        """Split the network: each argument names a side, its machines separated by spaces."""
        groups = [side.split() for side in sides]
        for index, group in enumerate(groups):
            for other in groups[:index]:
                for one in group:
                    for two in other:
                        self.network.block(one, two)
                        self.network.block(two, one)

    def heal(self) -> None:
        """Everything passes again, everywhere, in fine weather; cables are in."""
        self.network.heal()
        for machine in self.machines.values():
            machine.failing.clear()
            self.feed(machine, Carrier(True))

    # ---- the agent's part

    def arrive(self, machine: Machine, event: Heard) -> None:
        """A message came. A heartbeat's datagram waits until the machine is awake for another reason, which is taken in after it."""
        if event.address and type(event.message) is Beat:
            if machine.agent is not None and len(machine.aside) < 4000:
                machine.aside.append((self.t, event))
            return
        if event.address or type(event.message) is Verdict:
            self._hear_out(machine)
        self.feed(machine, event)

    def _hear_out(self, machine: Machine) -> None:
        if machine.aside and not (machine.paused or machine.handling):
            aside, machine.aside = machine.aside, []
            for came_t, event in aside:
                self.feed(machine, event._replace(age_s=(self.t - came_t) * machine.clock.rate))

    def feed(self, machine: Machine, event: Event) -> None:
        """Let the machine's node take in an event, and perform what it says."""
        agent = machine.agent
        if agent is None:
            return
        if machine.paused or machine.handling:
            if len(machine.inbox) < 4000:
                machine.inbox.append(event)
            return
        self.trace = crc32(b"%.9f %s %s" % (self.t, machine.name.encode(), NAMES[type(event)]), self.trace)
        machine.handling, machine.turning = True, type(event) is DeploymentRead
        clock, datagram = machine.clock, self.network.datagram
        plain = not (self.with_codec or self.watchers)
        for effect in agent.handle(event, clock.zero_s + self.t * clock.rate):
            if plain and type(effect) is SendDatagram:  # most effects are heartbeats
                datagram(machine, effect.address, effect.message)
            else:
                self._perform(machine, effect)
        machine.handling = machine.turning = False
        if machine.inbox and machine.agent is agent:
            inbox, machine.inbox = machine.inbox, []
            for waiting in inbox:
                self.feed(machine, waiting)
            return
        self._arm(machine)

    def _arm(self, machine: Machine) -> None:
        if machine.agent is None or machine.paused:
            return
        due_s = machine.agent.next_deadline()
        if due_s == machine.due_s and machine.wake_t != NEVER:
            return  # its alarm is set already
        machine.due_s = due_s
        if due_s == NEVER:
            return
        wake_t = max(machine.clock.when(due_s), self.t + 0.002)
        if wake_t < machine.wake_t - 1e-9:
            machine.wake_t = wake_t
            self.at(wake_t, self._wake, machine, machine.boot, wake_t)

    def _wake(self, machine: Machine, boot: str, wake_t: float) -> None:
        if machine.boot != boot or machine.wake_t != wake_t:
            return
        machine.wake_t = NEVER
        if machine.agent is None or machine.paused:
            return
        if machine.due_s > machine.now(self.t) + 1e-9:
            self._arm(machine)
            return
        self._tick(machine)

    def _tick(self, machine: Machine) -> None:
        assert machine.agent is not None
        now = machine.now(self.t)
        lag_s = max(0.0, now - max(machine.due_s, 0.0)) if machine.due_s != NEVER else 0.0
        self._hear_out(machine)
        machine.wake_t = NEVER
        self.feed(machine, Tick(lag_s if lag_s > 0.003 else 0.0))
        if machine.agent is None or machine.agent.next_deadline() > now:
            machine.late_ticks = 0
            return
        machine.late_ticks += 1
        if machine.late_ticks > LATE_TICKS_MAX:
            raise SimulationError(f"{machine.name} left a deadline in the past at {self.t:.3f} s")

    def _perform(self, machine: Machine, effect: Effect) -> None:
        for watch in self.watchers:
            watch(machine, effect)
        match effect:
            case SendDatagram():
                message = unseal(seal(effect.message, KEY), KEY) if self.with_codec else effect.message
                self.network.datagram(machine, effect.address, message)
            case SendControl():
                self.network.send(machine, effect.node, decode(encode(effect.message)) if self.with_codec else effect.message)
            case Dial():
                self.network.dial(machine, effect.record)
            case HangUp():
                self.network.hang_up(machine, effect.node)
            case Launch():
                if effect.standby == "none" and machine.agent is not None and effect.generation == 1:
                    self.started.append((machine.name, effect.instance, tuple(machine.agent.placement.holders)))
                self.after(effect.delay_s, self.stage.launch, machine, machine.boot, effect)
            case Halt():
                self._note_stop(machine, effect)
                self.stage.halt(machine, effect)
            case Tell():
                self.stage.told(machine, effect)
            case ClockSet():
                machine.course = effect.course
            case Fetch():
                self.sending.fetch(machine, effect)
            case Play():
                self.sending.play(machine, effect)
            case Prune():
                self.sending.prune(machine, effect)
            case Save():
                machine.write(effect.key, effect.value)
            case Report():
                self.said.append(Said(self.t, machine.name, effect.event, effect.fields))

    def _note_stop(self, machine: Machine, effect: Halt) -> None:
        """Remember a playing process that is told to stop although its node sees nobody above it and may still play it."""
        process, agent = machine.processes.get(effect.instance), machine.agent
        if process is None or agent is None or not process.playing or process.generation != effect.generation or machine.turning:
            return
        rank = (process.epoch, machine.node)
        relieved = any(each.rank > rank for each in agent.ledger.holdings.get(effect.instance, []) if each.node != machine.node)
        barred = effect.instance not in agent.placement.holders and effect.instance not in agent.placement.for_nobody
        if not relieved and not barred and agent.state.order.state == "up":
            self.stopped.append((machine.name, effect.instance, process.epoch))

    # ---- looking

    def running(self) -> list[Machine]:
        """The machines whose agent runs and has not said goodbye."""
        return [machine for machine in self.machines.values() if machine.agent is not None and not machine.agent.gone]

    def holders(self, instance: str) -> list[Machine]:
        """The machines whose node claims to hold the instance."""
        return [each for each in self.running() if (claim := each.claims().get(instance)) is not None and claim.part == "holder"]

    def playing(self, instance: str) -> list[str]:
        """The names of the machines on which the instance plays."""
        return sorted(each.name for each in self.holders(instance) if each.claims()[instance].state == "playing")

    def reports(self, event: str, **fields: Any) -> list[Said]:
        """What was said of this kind, with these fields."""
        return [each for each in self.said if each.event == event and all(each.fields.get(key) == value for key, value in fields.items())]
