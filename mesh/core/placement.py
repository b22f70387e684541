"""Which machine plays what: one pure function that every node computes for itself.

`place` promises, of two placements, the one that is better in this order:
  1. who plays, the most important first (the file's order; second copies after everybody's first);
  2. fewer holders moved; a holder moves only so that somebody else can play, or because its machine no longer may;
  3. copies of a role apart;   4. a standby that is loaded used;   5. wishes (`on:`) met, the most important first;
  6. load even, by instances for each core.
Up to 6 machines and 12 instances (and in most larger rooms, for they fall into parts that do not touch) 1 is exact, so that a
complete placement is found whenever there is one. Beyond that the search is bounded and says "not found", never "impossible".

Copies apart comes before wishes: two copies that both wish for one machine would go down with it, and copies are each
other's standby. Decided against: weights and scores (nobody can say why 7.3 beat 7.1), and remembering anything between calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from mesh.core.instances import Candidate, Capabilities, Held, Instance, instances
from mesh.core.placement_parts import ample_machines, drop_what_plays_for_nobody, find_doubtful_audiences, parts
from mesh.core.placement_repair import repair
from mesh.core.placement_room import read_room
from mesh.core.placement_search import search
from mesh.core.placement_seats import Seats, settled
from mesh.core.placement_words import Reasons
from mesh.core.spec import Deployment
from mesh.core.standby import Succession

__all__ = ["Candidate", "Capabilities", "Held", "Instance", "Placement", "instances", "place"]


@dataclass(frozen=True, slots=True)
class Placement:
    """Who plays what, who takes over, who cannot play and why. Nodes are named by id, instances in the file's order.

    holders   instance -> node
    standby   instance -> nodes in order of succession, at most 8; () where nobody would take over, for copies and for `each`
    loaded    instance -> the node that keeps its warm or hot standby now. A warm or hot role that is missing here has no
              memory left for one: its successor starts it cold
    unplaced  instance -> why, in plain words
    for_nobody  those of the unplaced that feed no output that could play here: nobody takes them over, and who plays them may go on
    complete  True: everything plays. False: something does not, and no placement could play it all. None: something
              does not, and a bounded search found no better; there may be one
    """

    holders: dict[str, str] = field(default_factory=dict)
    standby: dict[str, tuple[str, ...]] = field(default_factory=dict)
    unplaced: dict[str, str] = field(default_factory=dict)
    complete: bool | None = True
    loaded: dict[str, str] = field(default_factory=dict)
    for_nobody: frozenset[str] = frozenset()


def place(
    deployment: Deployment, candidates: Sequence[Candidate], held: Sequence[Held] = (), *,
    may_fail_back: frozenset[str] = frozenset(), provisional: frozenset[str] = frozenset(), may_part: frozenset[str] = frozenset(),
) -> Placement:
    """Decide who plays what. Depends on the values given alone, not on their order.

    `held` are the claims of nodes that are here (others are passed over). `may_fail_back` names the instances whose
    hold-down is over and that may return to a machine they like better; `provisional` those that were claimed while the room
    started, which may go once to a machine they like better, or, for copies, to one of their own; `may_part` copies that share
    a machine, and are no standby of each other there, which may go to one of their own that they like as well.
    """
    room = read_room(deployment, candidates, held, may_fail_back, provisional, may_part)
    drop_what_plays_for_nobody(room)
    ample = ample_machines(room)
    find_doubtful_audiences(room, ample)
    seats = Seats(room)
    seats.fill()
    unproven: set[int] = set()
    for part in parts(room, ample):
        if not settled(seats, part):
            unproven.update(_solve(seats, part))
    return _as_values(deployment, seats, unproven)


def _solve(seats: Seats, part: list[int]) -> list[int]:
    """Seat a part for which being polite was not enough. Returns those for whom being left out proves nothing."""
    found = search(seats.room, part)
    if found is None:
        repair(seats, part)
        return part
    for index in part:
        if seats.seat[index] >= 0:
            seats.take(index)
    for index, machine in found.items():
        seats.put(index, machine)
    _level(seats, part)
    return []


def _level(seats: Seats, part: list[int]) -> None:
    """Among seats that the search holds equal, the less loaded one, for those that sit nowhere yet."""
    for index in part:
        item = seats.room.items[index]
        if seats.seat[index] >= 0 and item.held < 0 and index not in seats.waiting_beside:
            now = seats.take(index)
            equal = next(layer for layer in item.layers if layer >> now & 1)
            seats.put(index, seats.best_of(index, seats.open_to(index) & equal))


def _as_values(deployment: Deployment, seats: Seats, unproven: set[int]) -> Placement:
    room = seats.room
    succession = Succession(seats)
    nodes = [each.node for each in room.machines]
    index_of = {item.name: index for index, item in enumerate(room.items)}
    idle: set[str] = set()
    missing = [index for index in range(len(room.items)) if seats.seat[index] < 0]
    placement = Placement(complete=True if not missing else None if set(missing) <= unproven else False)
    reasons = Reasons(deployment, room.machines, dict(zip(nodes, seats.free, strict=True))) if missing else None
    for instance in room.every:
        index = index_of[instance.name]
        if seats.seat[index] >= 0:
            placement.holders[instance.name] = nodes[seats.seat[index]]
            placement.standby[instance.name] = tuple(nodes[machine] for machine in succession.orders.get(index, ()))
            if index in succession.loaded:
                placement.loaded[instance.name] = nodes[succession.loaded[index]]
        elif reasons is not None:
            absent = _absent_outputs(seats, instance, index)
            if absent:
                idle.add(instance.name)
            placement.unplaced[instance.name] = (
                reasons.for_nobody(absent) if absent else _why(reasons, seats, instance, index, index not in unproven)
            )
    return replace(placement, for_nobody=frozenset(idle))


def _why(reasons: Reasons, seats: Seats, instance: Instance, index: int, proven: bool) -> str:
    role = instance.role
    if role.with_ is not None and not any(seats.seat[other] >= 0 for other in seats.room.items[index].beside):
        return f"must share a machine with {role.with_}, which is not playing here"
    return reasons.why_not(instance, proven=proven)


def _absent_outputs(seats: Seats, instance: Instance, index: int) -> list[str]:
    """The outputs for which an instance would play, when it would play for them alone and none of them plays; otherwise nothing."""
    room = seats.room
    if index not in room.for_nobody and index not in room.needs_one_of:
        return []
    fed, todo = {instance.role.name}, [instance.role.name]
    while todo:
        for user in room.used_by[todo.pop()]:
            if user not in fed:
                fed.add(user)
                todo.append(user)
    fed &= room.outputs
    if any(item.role.name in fed and seats.seat[other] >= 0 for other, item in enumerate(room.items)):
        return []
    return [name for name in room.used_by if name in fed]
