"""What a scripted story needs: a room with names, a stop-watch, and eyes on who plays what in which process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

from mesh.core.spec import Deployment, Needs
from mesh.core.timing import WIRED, Timing
from tests.sim.checks import AFTER_HEALING, ALWAYS, offences, raise_fences
from tests.sim.rooms import heard, whispering
from tests.sim.world import Said, World

STEP_S = 0.01
FOUR = ("door", "shelf", "left", "right")
QUICK = replace(WIRED, provisional_s=2.0, steady_s=4.0, aside_s=6.0, aside_max_s=60.0)
STARTED = replace(WIRED, provisional_s=2.0)  # a room whose first three minutes are over


def gpu_room() -> Deployment:
    """A whispering room with a painter that only a machine with a GPU can play."""
    room = replace(whispering(FOUR), boot_grace_s=5.0)
    painter = heard("painter", "filter", 5, "mood", needs=Needs(gpu=True))
    return replace(room, roles=(*room.roles, painter, heard("canvas", "screen", 6, "painter", each=("left",))))


class Story:
    """A room that is told about. Every step of time, what must always hold is looked at."""

    def __init__(
        self, *names: str, room: Deployment | None = None, seed: int = 1, timing: Timing | None = None,
        capabilities: dict[str, Any] | None = None,
    ) -> None:
        room = room or replace(whispering(names), boot_grace_s=20.0)
        self.world = World(seed, room, timing=timing)
        self.rng = Random(seed)
        for name in names:
            self.world.add(name, capabilities=(capabilities or {}).get(name))

    # ---- time

    def start(self, *names: str) -> Story:
        """Switch on these machines, or all, and wait until the room agrees."""
        for name in names or tuple(self.world.machines):
            self.world.boot(name)
        self.agree(within_s=30.0)
        return self

    def wait(self, seconds: float) -> None:
        """Time passes, and the rules that always hold do."""
        until = self.world.t + seconds
        while self.world.t < until - 1e-9:
            self.world.run(min(until, self.world.t + 0.2))
            raise_fences(self.world)
            broken = offences(self.world, ALWAYS)
            assert not broken, f"at {self.world.t:.2f} s: {broken[0]}"

    def until(self, wanted: Callable[[], bool], within_s: float, step_s: float = STEP_S) -> float:
        """Waits for it; returns how long that took. Fails the story when it takes longer than `within_s`."""
        took_s = self.world.run_until(wanted, within_s, step_s)
        assert took_s is not None, f"not within {within_s} s: {self.where()}"
        return took_s

    def agree(self, within_s: float = 15.0) -> float:
        """Waits until all rules of a healthy room hold."""
        began = self.world.t
        while offences(self.world, AFTER_HEALING):
            assert self.world.t - began < within_s, offences(self.world, AFTER_HEALING)[:3]
            self.wait(0.1)
        return self.world.t - began

    # ---- looking

    def where(self) -> dict[str, list[str]]:
        """{instance: the machines on which it plays}"""
        names = {name for machine in self.world.running() for name in machine.claims()}
        return {name: self.world.playing(name) for name in sorted(names)}

    def plays(self, instance: str, on: str) -> bool:
        """Whether just this machine plays it."""
        return self.world.playing(instance) == [on]

    def holder(self, instance: str) -> str:
        """The one machine that plays it."""
        (name,) = self.world.playing(instance)
        return name

    def pids(self, *instances: str) -> dict[tuple[str, str], int]:
        """{(machine, instance): pid} of the processes that play, of these instances or of all."""
        return {
            (machine.name, name): machine.processes[name].pid
            for machine in self.world.running() for name, claim in machine.claims().items()
            if claim.part == "holder" and claim.state == "playing" and (not instances or name in instances)
        }

    def said(self, event: str, **fields: Any) -> list[Said]:
        """What any node reported of this kind."""
        return self.world.reports(event, **fields)

    def alarms(self) -> list[str]:
        """All alarms, in words."""
        return [each.fields["what"] for each in self.said("alarm")]

    def epoch(self, instance: str) -> int:
        """The epoch at which its one holder plays."""
        return int(self.world.machines[self.holder(instance)].claims()[instance].epoch)

    def why_not(self, instance: str) -> str:
        """Why it does not play, in the words of some node."""
        agent = self.world.running()[0].agent
        assert agent is not None
        return agent.placement.unplaced.get(instance, "")
