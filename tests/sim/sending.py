"""Revisions in the simulator: who holds which, how long one takes to arrive, and the owner who sends and orders them.

Bytes are not simulated (`core/fetching.py` is tested by itself, and real machines send real ones): a revision arrives some time
after somebody within reach has it whole, and is lost on the way when the machine loses power.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING

from mesh.core.distribution import FETCH, PLAY, signed_words
from mesh.core.effects import Fetch, Play, Prune
from mesh.core.events import DeploymentRead, Event, Offered, RevisionFailed, RevisionReady
from mesh.core.messages import Signed
from mesh.core.spec import Deployment

if TYPE_CHECKING:
    from tests.sim.machine import Machine
    from tests.sim.world import World

FIRST = "0" * 64  # the folder that every machine was started with


def sign(purpose: str, number: int, revision: str, key: str = "owner") -> Signed:
    """A statement as the owner of the key signs it, or somebody else."""
    words = signed_words(purpose, number, revision)
    return Signed(number, revision, hashlib.blake2b(words, key=key.encode(), digest_size=32).digest())


def trusts(purpose: str, statement: Signed) -> bool:
    """Whether the owner signed it."""
    return statement == sign(purpose, statement.number, statement.hash)


def another(deployment: Deployment, role: str, number: int) -> Deployment:
    """The same work with one role that is not what it was."""
    return replace(deployment, roles=tuple(
        replace(each, options={**each.options, "edited": number}) if each.name == role else each for each in deployment.roles
    ))


def touched(old: Deployment, new: Deployment) -> frozenset[str]:
    """The roles of both that differ."""
    before = {role.name: role for role in old.roles}
    return frozenset(role.name for role in new.roles if role.name in before and before[role.name] != role)


@dataclass(slots=True)
class Sending:
    """All revisions of a world. `at_source`: revision -> the machine at which its owner stands."""

    world: World
    rng: Random
    deployments: dict[str, Deployment] = field(default_factory=dict)
    at_source: dict[str, str] = field(default_factory=dict)
    arrives_s: tuple[float, float] = (0.1, 0.8)
    failing: dict[str, str] = field(default_factory=dict)  # machine -> why no revision can be had there

    def begun(self, machine: Machine) -> list[Event]:
        """What a starting agent finds on its disk: the ordered revision if it lies there, else the one played last."""
        self.deployments.setdefault(FIRST, self.world.deployment)
        whole = machine.disk.get("whole") or [FIRST]
        ordered, history = machine.disk.get("ordered"), machine.disk.get("history") or []
        rows = [*([ordered] if ordered else []), *reversed(history), (1, FIRST)]
        number, revision = next((row[0], row[1]) for row in rows if row[1] in whole)
        return [*(RevisionReady(each) for each in whole), DeploymentRead(self.deployments[revision], (number, revision))]

    # ---- what a node wants done

    def fetch(self, machine: Machine, effect: Fetch) -> None:
        self.world.after(0.05, self._look, machine, machine.boot, effect.hash)

    def _look(self, machine: Machine, boot: str, revision: str) -> None:
        if machine.boot != boot or machine.agent is None or machine.agent.distribution.fetching != revision:
            return
        if machine.name in self.failing:
            self.world.feed(machine, RevisionFailed(revision, self.failing[machine.name]))
            return
        there = [each for each in self.world.running() if revision in (each.disk.get("whole") or [FIRST])]
        network = self.world.network
        near = [each for each in there if network.open(each.key, machine.key) and network.open(machine.key, each.key)]
        if near or self.at_source.get(revision) == machine.name:
            self.world.after(self.rng.uniform(*self.arrives_s), self._arrived, machine, boot, revision)
        else:
            self.world.after(0.3, self._look, machine, boot, revision)

    def _arrived(self, machine: Machine, boot: str, revision: str) -> None:
        if machine.boot != boot or machine.agent is None or machine.agent.distribution.fetching != revision:
            return
        machine.disk["whole"] = [*(machine.disk.get("whole") or [FIRST]), revision]
        self.world.feed(machine, RevisionReady(revision))

    def play(self, machine: Machine, effect: Play) -> None:
        self.world.after(self.rng.uniform(0.002, 0.05), self._turn, machine, machine.boot, effect)

    def _turn(self, machine: Machine, boot: str, effect: Play) -> None:
        agent = machine.agent
        if machine.boot != boot or agent is None or agent.deployment is None:
            return
        new = self.deployments[effect.hash]
        self.world.feed(machine, DeploymentRead(new, (effect.number, effect.hash), touched(agent.deployment, new)))

    def prune(self, machine: Machine, effect: Prune) -> None:
        machine.disk["whole"] = [each for each in (machine.disk.get("whole") or [FIRST]) if each in effect.keep]

    # ---- the owner

    def offer(self, at: str, deployment: Deployment) -> Signed:
        """At this machine the owner sends another revision; its number is above all that are known there."""
        revision = f"{len(self.deployments):x}".rjust(2, "0") + hashlib.sha256(repr(deployment.roles).encode()).hexdigest()[2:]
        self.deployments.setdefault(FIRST, self.world.deployment)
        self.deployments[revision], self.at_source[revision] = deployment, at
        statement = sign(FETCH, self.highest(at) + 1, revision)
        self.world.feed(self.world.machines[at], Offered(FETCH, statement))
        return statement

    def order(self, at: str, offered: Signed) -> None:
        """At this machine the owner orders that it be played."""
        self.world.feed(self.world.machines[at], Offered(PLAY, sign(PLAY, offered.number, offered.hash)))

    def highest(self, at: str) -> int:
        """The highest number known to a machine, of revisions that are played, offered or ordered anywhere it can see."""
        agent = self.world.machines[at].agent
        assert agent is not None
        states = [agent.state, *(each.state for each in agent.membership.present() if each.state is not None)]
        return max(max(state.revision[0], state.offered.number, state.ordered.number) for state in states)

    def all_ready(self, revision: str, *names: str) -> bool:
        """Whether all that run, or these, have it."""
        wanted = [self.world.machines[name] for name in names] or self.world.running()
        return all(each.agent is not None and revision in each.agent.distribution.ready for each in wanted)

    def played(self) -> dict[str, tuple[int, str]]:
        """Machine -> the revision that it plays."""
        return {each.name: each.agent.state.revision for each in self.world.running() if each.agent is not None}
