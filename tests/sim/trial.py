"""One seed: a room is drawn and started, hardship comes, everything is healed, and agreement is demanded."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from tests.sim import rooms
from tests.sim.checks import AFTER_HEALING, ALWAYS, offences, raise_fences
from tests.sim.hardship import Hardship
from tests.sim.world import SimulationError, World

LOOK_S = 0.2
AGREE_S = 25.0  # after healing: boot grace, the slowest start, a hand-over, and the settling of sides
QUIET_S = 1.5
ON_ITS_WAY_S = 0.5
TWO_HOLDERS_S = 1.0
CODEC_EVERY = 25


@dataclass(slots=True)
class Outcome:
    """What one seed showed. `trace` is the same whenever the same seed runs on the same code."""

    seed: int
    broken: list[str] = field(default_factory=list)
    trace: int = 0
    steps: int = 0
    simulated_s: float = 0.0
    agreed_s: float = 0.0  # from healing to agreement
    two_holders_s: float = 0.0  # from healing until no instance had two holders


def try_seed(seed: int) -> Outcome:
    """Run one seed to its end, or to the first rule that breaks."""
    outcome = Outcome(seed)
    world = make_world(seed)
    broken = play(world, outcome)
    if broken:
        outcome.broken.append(broken)
    outcome.trace, outcome.steps, outcome.simulated_s = world.trace, world.steps, world.t
    return outcome


def play(world: World, outcome: Outcome) -> str:
    """Hardship, healing, agreement. Returns the rule that broke, in words, or nothing."""
    try:
        _live(world, outcome)
    except SimulationError as fault:
        return str(fault)
    except AssertionError as fault:
        return f"an assertion in the core: {fault}"
    return ""


def make_world(seed: int) -> World:
    """The world of a seed, with its machines off."""
    rng = Random(seed)
    deployment, names = rooms.draw(rng)
    world = World(seed, deployment, with_codec=seed % CODEC_EVERY == 0)
    if rng.random() < 0.15:
        world.discovery = names[0]
    for name in names:
        machine = world.add(name)
        machine.load_s = {role.name: rng.choice((0.05, 0.1, 0.3, 1.0, 2.0)) for role in deployment.roles}
    return world


def _live(world: World, outcome: Outcome) -> None:
    rng = Random(world.seed ^ 0xFA17)
    slow = rng.random() < 0.1
    for name in world.machines:
        world.at(rng.uniform(0.0, 8.0 if slow else 0.5), world.boot, name)
    begin_s, length_s = rng.uniform(0.5, 6.0), rng.uniform(3.0, 15.0)
    hardship = Hardship(world, rng, begin_s + length_s)
    hardship.schedule(begin_s, rng.randint(1, 8))
    while world.t <= hardship.until_s:  # the last look is just beyond, so that every fault has ended
        _look(world)
    _heal(world)
    _await_agreement(world, outcome)


def _look(world: World) -> None:
    """Let a little time pass, then see that what must always hold does."""
    world.run_for(LOOK_S)
    raise_fences(world)
    broken = offences(world, ALWAYS)
    if broken:
        raise SimulationError(f"at {world.t:.2f} s: {broken[0]}")


def _heal(world: World) -> None:
    world.heal()
    for name in world.machines:
        world.resume(name)
        world.boot(name)
        world.want(name, "undrain")


def _await_agreement(world: World, outcome: Outcome) -> None:
    healed_s = world.t
    # Nodes that never met cannot know of each other's claims: how soon they meet is discovery's matter, and bounded by AGREE_S.
    began_with_two = {name for name in _with_two_holders(world) if _have_met(world, name)}
    while True:
        _look(world)
        two = began_with_two & set(_with_two_holders(world))
        if two:
            outcome.two_holders_s = world.t - healed_s
            if outcome.two_holders_s > TWO_HOLDERS_S:
                raise SimulationError(f"{sorted(two)} had two holders for more than {TWO_HOLDERS_S} s after healing at {healed_s:.2f} s")
        broken = offences(world, AFTER_HEALING)
        if not broken:
            break
        if world.t - healed_s > AGREE_S:
            raise SimulationError(f"no agreement {AGREE_S} s after healing at {healed_s:.2f} s: {broken[0]} ({len(broken)} offences)")
    outcome.agreed_s = world.t - healed_s
    _demand_quiet(world)


def _with_two_holders(world: World) -> list[str]:
    names = {name for machine in world.running() for name in machine.claims()}
    return sorted(name for name in names if len(world.holders(name)) > 1)


def _have_met(world: World, instance: str) -> bool:
    """Whether all who hold the instance have been members to one another."""
    agents = [machine.agent for machine in world.holders(instance) if machine.agent is not None]
    return all(other.me.node in agent.membership.members for agent in agents for other in agents if other is not agent)


def _demand_quiet(world: World) -> None:
    """In a room that has agreed nothing happens: no suspicion, no start, no end, the same pids."""
    before = {(machine.name, each.instance): each.pid for machine in world.running() for each in machine.processes.values()}
    said = len(world.said)
    until = world.t + QUIET_S
    while world.t < until:
        _look(world)
    after = {(machine.name, each.instance): each.pid for machine in world.running() for each in machine.processes.values()}
    if before != after:
        raise SimulationError(f"processes changed in a quiet room: {sorted(before.items() ^ after.items())}")
    loud = [each for each in world.said[said:] if each.event in ("node_suspect", "node_dead", "takeover", "claimed_anew", "cut_off")]
    if loud:
        raise SimulationError(f"a quiet room says {loud[0]}")
    until = world.t + ON_ITS_WAY_S
    while (broken := offences(world, AFTER_HEALING)) and world.t < until:  # a word on its way is no disagreement
        _look(world)
    if broken:
        raise SimulationError(f"agreement did not last: {broken[0]}")
