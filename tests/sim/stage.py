"""The role processes of the simulated machines: they load, play, crash, hang, and outlive their agent for a while."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mesh.core.effects import Halt, Launch, Tell
from mesh.core.events import RoleEnded, RoleFound, RoleReady, RoleStarted
from mesh.core.names import role_name
from tests.sim.machine import Machine, Process

if TYPE_CHECKING:
    from tests.sim.world import World

ORPHAN_S = 10.0
HANG_S = 3.0


@dataclass(slots=True)
class Stage:
    """Performs what a node wants done with processes, and lets them fail."""

    world: World

    def launch(self, machine: Machine, boot: str, order: Launch) -> None:
        if machine.agent is None or machine.boot != boot:
            return
        part = machine.agent.cast.parts.get(order.instance)
        if part is None or part.claim.generation != order.generation:
            return
        if order.instance in machine.processes:
            machine.queued[order.instance] = order
            return
        self.world.pid += 1
        process = Process(order.instance, order.generation, order.epoch, order.standby, self.world.pid)
        machine.processes[order.instance] = process
        self.world.feed(machine, RoleStarted(order.instance, order.generation, process.pid))
        role = role_name(order.instance)
        load_s = machine.load_s.get(role, 0.1) * self.world.rng.uniform(0.8, 1.2)
        fate = machine.failing.get(role)
        if fate == "hangs":
            self.world.after(load_s + HANG_S, self._died, machine, process, "killed: it made no progress")
        elif fate == "fails":
            self.world.after(load_s, self._died, machine, process, "its set-up failed")
        else:
            self.world.after(load_s, self._set_up, machine, process)

    def _set_up(self, machine: Machine, process: Process) -> None:
        if process.state == "loading":
            process.state = "set up"
            self.world.feed(machine, RoleReady(process.instance, process.generation, process.pid, process.pid + 1, process.pid))

    def crash(self, name: str, instance: str) -> None:
        """A role's process ends unasked."""
        process = self.world.machines[name].processes.get(instance)
        if process is not None:
            self._died(self.world.machines[name], process, "crashed")

    def _died(self, machine: Machine, process: Process, why: str) -> None:
        if machine.processes.get(process.instance) is not process:
            return
        clean = process.state == "ending"
        process.state = "gone"
        del machine.processes[process.instance]
        self.world.feed(machine, RoleEnded(process.instance, process.generation, why, clean=clean))
        waiting = machine.queued.pop(process.instance, None)
        if waiting is not None:
            self.launch(machine, machine.boot, waiting)

    def halt(self, machine: Machine, effect: Halt) -> None:
        machine.queued.pop(effect.instance, None)
        process = machine.processes.get(effect.instance)
        if process is not None:
            self.end(machine, process)

    def end(self, machine: Machine, process: Process) -> None:
        process.state, process.playing = "ending", False
        self.world.after(self.world.rng.uniform(0.01, 0.3), self._died, machine, process, "asked to")

    def told(self, machine: Machine, effect: Tell) -> None:
        process = machine.processes.get(effect.instance)
        if process is None or process.generation != effect.generation:
            return
        if effect.order["type"] == "play":
            process.playing, process.epoch = True, effect.order["epoch"]
        elif effect.order["type"] == "routes":
            process.routes = effect.order["routes"]

    # ---- without an agent

    def orphan(self, machine: Machine) -> None:
        """The agent is gone: each process remembers its claim and goes on for a while."""
        for instance, claim in machine.claims().items():
            machine.disk[f"claim {instance}"] = claim
        for process in machine.processes.values():
            process.orphan = True
            self.world.after(ORPHAN_S, self._orphan_ends, machine, process)

    def _orphan_ends(self, machine: Machine, process: Process) -> None:
        if process.orphan and machine.processes.get(process.instance) is process:
            process.state = "gone"
            del machine.processes[process.instance]

    def found(self, machine: Machine, process: Process) -> None:
        """A restarted agent finds a process of its last life and adopts it with the claim that the process knows."""
        process.orphan = False
        claim = machine.disk.get(f"claim {process.instance}")
        if claim is not None and process.state == "set up" and claim.generation == process.generation:
            self.world.adopted.add((machine.boot, process.instance))
            self.world.feed(machine, RoleFound(claim, process.standby))
            if claim.state == "starting":
                self.world.feed(machine, RoleReady(process.instance, process.generation, process.pid, process.pid + 1, process.pid))
        else:
            self.end(machine, process)
