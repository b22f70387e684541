"""What must hold, each a small function with a sentence as its name. They judge the world from outside.

`ALWAYS` is looked at all the time, faults or none; `AFTER_HEALING` when the faults are over and the room has had
its time to agree. Each yields one line for each offence, and nothing when all is well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from mesh.core.instances import instances
from mesh.core.members import ALIVE
from mesh.core.messages import Claim
from mesh.core.names import role_name
from mesh.core.placement_room import feeding
from tests.sim.machine import Machine
from tests.sim.world import World

Check = Callable[[World], Iterator[str]]


def _holders(world: World) -> dict[str, list[tuple[Machine, Claim]]]:
    found: dict[str, list[tuple[Machine, Claim]]] = {}
    for machine in world.running():
        for name, claim in machine.claims().items():
            if claim.part == "holder":
                found.setdefault(name, []).append((machine, claim))
    return found


# ---- at all times


def no_process_plays_without_a_claim(world: World) -> Iterator[str]:
    for machine in world.running():
        claims = machine.claims()
        for process in machine.processes.values():
            claim = claims.get(process.instance)
            wanted = claim is not None and claim.generation == process.generation
            if process.state != "ending" and not process.orphan and not wanted and not machine.paused:
                yield f"{machine.name}: process of {process.instance} (generation {process.generation}) without a claim"


def no_claim_to_play_is_without_its_process(world: World) -> Iterator[str]:
    for machine in world.running():
        if machine.paused:
            continue
        for name, claim in machine.claims().items():
            process = machine.processes.get(name)
            if claim.state in ("ready", "playing") and (process is None or process.generation != claim.generation):
                yield f"{machine.name}: claims {name} is {claim.state}, and there is no such process"


def a_process_plays_exactly_when_its_claim_says_so(world: World) -> Iterator[str]:
    for machine in world.running():
        if machine.paused:
            continue
        for name, claim in machine.claims().items():
            process = machine.processes.get(name)
            if process is None or process.generation != claim.generation or process.state == "ending":
                continue
            if process.playing != (claim.state == "playing"):
                yield f"{machine.name}: {name} is {claim.state}, its process {'plays' if process.playing else 'does not play'}"
            if process.playing and process.epoch != claim.epoch:
                yield f"{machine.name}: {name} plays at epoch {process.epoch} and claims {claim.epoch}"


def each_consumer_is_told_of_at_most_one_holder(world: World) -> Iterator[str]:
    for machine in world.running():
        for process in machine.processes.values():
            for instance, sources in _sources(process.routes).items():
                holders = [each for each in sources if each["rank"] == 0]
                if len(holders) > 1:
                    yield f"{machine.name}: {process.instance} hears {instance} from {[each['node'] for each in holders]}"


def _roles_for_somebody(world: World, placed: set[str]) -> set[str]:
    """The roles whose streams reach a display, or an end, that is among those placed. Found by walking, not by asking `place`."""
    used_by: dict[str, tuple[str, ...]] = {role.name: () for role in world.deployment.roles}
    for role in world.deployment.roles:
        for source in {wire.role for wire in role.inputs} | ({role.with_} if role.with_ else set()):
            if source != role.name:
                used_by[source] = (*used_by[source], role.name)
    ends = {name for name, users in used_by.items() if not users or world.deployment.kind_of(name).display}
    ends |= set(used_by) - feeding(ends, used_by)
    return feeding(ends & placed, used_by)


def nothing_is_started_for_nobody(world: World) -> Iterator[str]:
    for machine, instance, placed in world.started:
        if role_name(instance) not in _roles_for_somebody(world, {role_name(name) for name in placed}):
            yield f"{machine} started {instance}, and nothing that it feeds is placed"
    world.started.clear()


def nothing_that_plays_is_stopped_but_for_a_reason(world: World) -> Iterator[str]:
    """The reasons: another holder stands above it, it may not play here any more, or the room is down."""
    for name, instance, epoch in world.stopped:
        yield f"{name} stopped {instance}, which it held at epoch {epoch}, for no reason"
    world.stopped.clear()


def no_dead_node_lives_again_without_a_new_life(world: World) -> Iterator[str]:
    for machine in world.running():
        assert machine.agent is not None
        for node, member in machine.agent.membership.members.items():
            key = (machine.boot, node)
            record = member.record
            buried = world.buried.get(key, -1)
            if member.here and record.incarnation <= buried:
                yield f"{machine.name}: {record.name} was dead at incarnation {buried} and is {member.health} at {record.incarnation}"
            if not member.here:
                world.buried[key] = max(buried, record.incarnation)


def an_epoch_is_never_used_for_two_claims_of_one_node(world: World) -> Iterator[str]:
    for machine in world.running():
        if machine.lost_writes:
            continue  # a disk that forgets its last write may use the number twice: the same node, so nobody is misled
        for name, claim in machine.claims().items():
            if claim.part != "holder":
                continue
            key = (machine.node, name, claim.epoch)
            life = world.claimed.setdefault(key, (machine.boot, claim.generation))
            if life[0] != machine.boot and (machine.boot, name) not in world.adopted:
                yield f"{machine.name}: {name} at epoch {claim.epoch} again in another life"


def an_incarnation_only_grows(world: World) -> Iterator[str]:
    for machine in world.running():
        assert machine.agent is not None
        known = world.incarnations.get(machine.node, 0)
        mine = machine.agent.me.incarnation
        if mine < known and not machine.lost_writes:
            yield f"{machine.name}: incarnation {mine} after {known}"
        world.incarnations[machine.node] = max(known, mine)


ALWAYS: tuple[Check, ...] = (
    no_process_plays_without_a_claim, no_claim_to_play_is_without_its_process, a_process_plays_exactly_when_its_claim_says_so,
    each_consumer_is_told_of_at_most_one_holder, nothing_is_started_for_nobody,
    nothing_that_plays_is_stopped_but_for_a_reason, no_dead_node_lives_again_without_a_new_life,
    an_epoch_is_never_used_for_two_claims_of_one_node, an_incarnation_only_grows,
)


# ---- after healing


def everyone_sees_everyone_alive(world: World) -> Iterator[str]:
    for machine in world.running():
        assert machine.agent is not None
        members = machine.agent.membership.members
        for other in world.running():
            if other is machine or other.agent is None:
                continue
            member = members.get(other.node)
            if member is None or member.health != ALIVE or member.record.boot != other.boot:
                yield f"{machine.name} sees {other.name} as {member.health if member else 'unknown'}"
            elif member.record.incarnation != other.agent.me.incarnation:
                yield f"{machine.name} sees {other.name} at incarnation {member.record.incarnation}, not {other.agent.me.incarnation}"


def nobody_sees_a_machine_that_is_off(world: World) -> Iterator[str]:
    running = {machine.node for machine in world.running()}
    for machine in world.running():
        assert machine.agent is not None
        for node, member in machine.agent.membership.members.items():
            if member.here and node not in running:
                yield f"{machine.name} sees {member.record.name} as {member.health}, which is off"


def everyone_knows_what_everyone_says(world: World) -> Iterator[str]:
    for machine in world.running():
        assert machine.agent is not None
        for other in world.running():
            member = machine.agent.membership.members.get(other.node)
            if other is machine or member is None or other.agent is None:
                continue
            if member.state != other.agent.state:
                version = member.state.version if member.state else None
                yield f"{machine.name} knows version {version} of {other.name}, which is at {other.agent.state.version}"


def everyone_computes_the_same_placement(world: World) -> Iterator[str]:
    placements = {machine.name: machine.agent.placement for machine in world.running() if machine.agent is not None}
    if len({str(each) for each in placements.values()}) > 1:
        yield f"placements differ: {({name: each.holders for name, each in placements.items()})}"


def each_placed_instance_has_exactly_one_holder_known_to_all(world: World) -> Iterator[str]:
    holders = _holders(world)
    for machine in world.running():
        assert machine.agent is not None
        placement = machine.agent.placement
        for instance in instances(world.deployment):
            actual = sorted((each.node, claim.epoch) for each, claim in holders.get(instance.name, []))
            known = sorted((each.node, each.claim.epoch) for each in machine.agent.ledger.holdings.get(instance.name, []))
            if known != actual:
                yield f"{machine.name} knows {known} as holders of {instance.name}, which are {actual}"
            placed = placement.holders.get(instance.name)
            if placed is None and instance.name in placement.for_nobody and len(actual) == 1:
                continue  # it played when its screens were lost, and goes on
            if [node for node, _ in actual] != ([placed] if placed else []):
                yield f"{instance.name} is held by {actual}, placed on {placed} by {machine.name}"


def every_holder_plays(world: World) -> Iterator[str]:
    for name, found in _holders(world).items():
        for machine, claim in found:
            if claim.state != "playing":
                yield f"{name} on {machine.name} is only {claim.state}"


def no_consumer_refuses_the_holder_it_is_told_to_hear(world: World) -> Iterator[str]:
    for machine in world.running():
        for process in machine.processes.values():
            for instance, sources in _sources(process.routes).items():
                for source in sources:
                    fence = process.fence.get(instance, (0, ""))
                    if source["state"] == "playing" and (source["epoch"], source["node"]) < fence:
                        yield f"{machine.name}: {process.instance} refuses {instance} at epoch {source['epoch']}, for it has seen {fence}"


def every_consumer_hears_what_it_is_wired_to(world: World) -> Iterator[str]:
    holders = _holders(world)
    for machine in world.running():
        for process in machine.processes.values():
            if process.state != "set up":
                continue
            heard = _sources(process.routes)
            for wire in world.deployment.role(role_name(process.instance)).inputs:
                if wire.input not in process.routes.get("inputs", {}):
                    continue
                for name, found in holders.items():
                    if role_name(name) == wire.role and (found[0][0].node not in {each["node"] for each in heard.get(name, [])}):
                        yield f"{machine.name}: {process.instance} does not hear {name} on {found[0][0].name}"


def every_side_counts_the_whole_room(world: World) -> Iterator[str]:
    count = len(world.running())
    for machine in world.running():
        assert machine.agent is not None
        if machine.agent.state.hears != count:
            yield f"{machine.name} says that it hears {machine.agent.state.hears} of {count}"


def everyone_follows_the_same_order(world: World) -> Iterator[str]:
    orders = {machine.agent.state.order for machine in world.running() if machine.agent is not None}
    if len(orders) > 1:
        yield f"orders differ: {orders}"


def everyone_plays_the_same_revision(world: World) -> Iterator[str]:
    revisions = world.sending.played()
    if len(set(revisions.values())) > 1:
        yield f"revisions differ: {revisions}"
    for machine in world.running():
        assert machine.agent is not None
        ordered = machine.agent.state.ordered
        if (ordered.number, ordered.hash) > machine.agent.state.revision:
            yield f"{machine.name} has yet to turn to revision {ordered.number}"


def nothing_is_about_to_end(world: World) -> Iterator[str]:
    for machine in world.running():
        for process in machine.processes.values():
            if process.state != "set up":
                yield f"{machine.name}: {process.instance} is {process.state}"


def wanted_standbys_are_ready(world: World) -> Iterator[str]:
    for machine in world.running()[:1]:
        assert machine.agent is not None
        for name, node in machine.agent.placement.loaded.items():
            ready = [each.node for each in machine.agent.ledger.standbys.get(name, []) if each.claim.state == "ready"]
            if ready != [node]:
                yield f"standbys of {name} are {ready}, wanted is {node}"


AFTER_HEALING: tuple[Check, ...] = (
    everyone_sees_everyone_alive, nobody_sees_a_machine_that_is_off, everyone_knows_what_everyone_says,
    everyone_computes_the_same_placement, each_placed_instance_has_exactly_one_holder_known_to_all, every_holder_plays,
    no_consumer_refuses_the_holder_it_is_told_to_hear, every_consumer_hears_what_it_is_wired_to,
    every_side_counts_the_whole_room, everyone_follows_the_same_order, everyone_plays_the_same_revision, wanted_standbys_are_ready,
    nothing_is_about_to_end,
)


def offences(world: World, checks: tuple[Check, ...]) -> list[str]:
    """One line for each rule that is broken now."""
    return [f"{check.__name__.replace('_', ' ')}: {line}" for check in checks for line in check(world)]


def _sources(routes: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """All that a process is told to hear or ask, by instance."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    heard = [each["sources"] for each in routes.get("inputs", {}).values()]
    asked = [ask["copies"] for asks in routes.get("asks", {}).values() for ask in asks]
    for source in [each for sources in (*heard, *asked) for each in sources]:
        found.setdefault(source["instance"], {})[f"{source['node']} {source['epoch']}"] = source
    return {instance: list(each.values()) for instance, each in found.items()}


def raise_fences(world: World) -> None:
    """Each consumer has by now had a frame from whoever it hears, if that one plays and can reach it."""
    by_node = {machine.node: machine for machine in world.running()}
    for machine in world.running():
        for process in machine.processes.values():
            for instance, sources in _sources(process.routes).items():
                for source in sources:
                    there = by_node.get(source["node"])
                    played = there.processes.get(instance) if there is not None else None
                    if there is None or played is None or not played.playing or not world.network.open(there.key, machine.key):
                        continue
                    if played.epoch == source["epoch"]:
                        rank = (source["epoch"], source["node"])
                        process.fence[instance] = max(process.fence.get(instance, (0, "")), rank)
