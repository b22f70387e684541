"""The exact search for one part of a room: which instances can play together, then how with the fewest changes.

First the question of what can be placed at all. A set of items is a number (a bit for each, the most important
highest), and a set of such sets is one big integer with a bit for each number. Machine by machine, "what the machines
from here on can hold" is

    reach[b] = union, over each load f that machine b can carry, of (reach[b + 1] without the sets that meet f) << f

since for sets that share no item, union is addition, and adding to numbers is shifting bits. For 12 items that is
4096-bit arithmetic, at most 4096 times for each machine: every packing of 6 machines is judged in some milliseconds, no
case is unlucky, and the highest bit of the result *is* the best set by importance. Then a branch and bound over loads,
which `reach` keeps from ever entering a dead end, finds the way with the fewest moves. Decided against: a solver library
(a dependency in the innermost loop, and answers that differ between versions), and item-by-item backtracking (fast,
except on the evening when it is not).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from mesh.core.placement_room import Room

ITEMS_MAX = 16
MACHINES_MAX = 128
# Loads times the bits of a set of sets: what comes of 6 machines that could each carry any of 12 items. Never beyond.
WORK_BITS_MAX = (6 << 12) << 12
# Loads looked at while optimising, some 40 ms. Cut there, the same instances play; only a move too many may be made.
STEPS_MAX = 120_000

Load = tuple[int, int]  # (set of items, cost of having just these on the machine)


@dataclass(slots=True)
class Search:
    """One part as the search sees it: item p of n stands for bit n - 1 - p."""

    room: Room
    part: Sequence[int]
    loads: list[list[Load]]
    machines: list[int]
    costs: list[dict[int, int]]  # per position, machine -> cost
    reach: list[int] = field(default_factory=list)
    steps: int = 0
    best_cost: int = -1
    best_loads: list[int] = field(default_factory=list)
    seen: dict[tuple[int, int], int] = field(default_factory=dict)
    floors: list[dict[int, int]] = field(default_factory=list)


def search(room: Room, part: Sequence[int]) -> dict[int, int] | None:
    """{item: machine} of the best placement of a part: who is placed, most important first; forced moves of holders;
    copies that share a machine; standbys left unused; wishes, most important first; free moves. None when the part is
    too large to be sure of.
    """
    if len(part) > ITEMS_MAX:
        return None
    allowed = 0
    for index in part:
        allowed |= room.items[index].allowed
    machines = list(room.bits(allowed))
    if len(machines) > MACHINES_MAX:
        return None
    costs = _costs(room, part)
    loads: list[list[Load]] = []
    work = 0
    for machine in machines:
        loads.append(_loads(room, part, machine, costs))
        work += len(loads[-1]) << len(part)
        if work > WORK_BITS_MAX:
            return None
    state = Search(room, part, loads, machines, costs)
    _find_reach(state)
    chosen = (state.reach[0] & _sets_with_an_audience(room, part)).bit_length() - 1
    _find_floors(state)
    _descend(state, 0, chosen, 0, [])
    found: dict[int, int] = {}
    for machine, load in zip(machines, state.best_loads, strict=False):
        for place, index in enumerate(part):
            if load >> (len(part) - 1 - place) & 1:
                found[index] = machine
    return found


def _costs(room: Room, part: Sequence[int]) -> list[dict[int, int]]:
    """Costs are one integer of fields, the weightiest highest, so that adding and comparing is lexicographic:
    forced moves | copies together (added in `_loads`) | standby not used | wishes, 6 bits an item | free moves."""
    size = len(part)
    unused, move = 1 << 5 + 6 * size, 1 << 5 + 6 * size + 13
    costs = []
    for place, index in enumerate(part):
        item = room.items[index]
        here: dict[int, int] = {}
        for rank, layer in enumerate(item.layers):
            for machine in room.bits(layer):
                cost = min(rank, 63) << 5 + 6 * (size - 1 - place)
                if item.held >= 0:
                    cost += 0 if machine == item.held else 1 if item.free >> machine & 1 else move + 1
                elif not item.warm >> machine & 1:  # a standby that is nowhere costs the same everywhere
                    cost += unused
                here[machine] = cost
        costs.append(here)
    return costs


def _loads(room: Room, part: Sequence[int], machine: int, costs: list[dict[int, int]]) -> list[Load]:
    """Every set of items that the machine can carry, with its cost."""
    size, capacity = len(part), room.memory[machine]
    bit_of = {index: 1 << (size - 1 - place) for place, index in enumerate(part)}
    together = 1 << 5 + 6 * size + 5
    found = [(0, 0, 0)]
    bound: list[tuple[int, int]] = []
    for place, index in enumerate(part):
        cost = costs[place].get(machine)
        if cost is None:
            continue
        item, bit = room.items[index], bit_of[index]
        copies = sum(bit_of[other] for other in item.siblings if other in bit_of)
        if item.beside:
            bound.append((bit, sum(bit_of[other] for other in item.beside if other in bit_of)))
        space = capacity - item.memory
        mine = item.memory
        before = [entry for entry in found if entry[1] <= space and not (item.apart and entry[0] & copies)]
        if copies:
            before = [(load, used, sofar + (load & copies).bit_count() * together) for load, used, sofar in before]
        found += [(load | bit, used + mine, sofar + cost) for load, used, sofar in before]
    if bound:
        found = [entry for entry in found if all(not entry[0] & bit or entry[0] & targets for bit, targets in bound)]
    return [(load, cost) for load, _, cost in found]


def _sets_without(place: int, size: int) -> int:
    """The sets, out of all of `size` items, that lack the item of bit `place`."""
    pattern, length = (1 << (1 << place)) - 1, 2 << place
    while length < 1 << size:
        pattern |= pattern << length
        length *= 2
    return pattern


def _find_reach(state: Search) -> None:
    size = len(state.part)
    everything = (1 << (1 << size)) - 1
    without = {1 << place: _sets_without(place, size) for place in range(size)}
    disjoint: dict[int, int] = {0: everything}
    reach = [1]
    for loads in reversed(state.loads):
        below = here = reach[-1]
        for load, _ in loads:
            if here == everything:  # also true of every machine that is still to come
                break
            free = disjoint.get(load)
            if free is None:
                free, rest = everything, load
                while rest:
                    free &= without[rest & -rest]
                    rest &= rest - 1
                disjoint[load] = free
            here |= (below & free) << load
        reach.append(here)
    state.reach = reach[::-1]


def _sets_with_an_audience(room: Room, part: Sequence[int]) -> int:
    """The sets in which nobody plays for nobody."""
    size = len(part)
    everything = (1 << (1 << size)) - 1
    without = {index: _sets_without(size - 1 - place, size) for place, index in enumerate(part)}
    good = everything
    for index in part:
        outputs = room.needs_one_of.get(index)
        if outputs is not None:
            seen = 0
            for output in outputs:
                seen |= everything ^ without.get(output, everything)
            good &= without[index] | seen
    return good


def _find_floors(state: Search) -> None:
    """The least that each item can cost on the machines from the b-th on."""
    size = len(state.part)
    floors: list[dict[int, int]] = [{}]
    for machine in reversed(state.machines):
        here = dict(floors[-1])
        for place, costs in enumerate(state.costs):
            bit = 1 << (size - 1 - place)
            if machine in costs and costs[machine] < here.get(bit, costs[machine] + 1):
                here[bit] = costs[machine]
        floors.append(here)
    state.floors = floors[::-1]


def _floor(state: Search, step: int, rest: int) -> int:
    """At least what seating these items on the machines from `step` on costs; remembered beside the single items'."""
    known = state.floors[step]
    cost = known.get(rest)
    if cost is None:
        cost = known[rest] = known[rest & -rest] + (_floor(state, step, rest & (rest - 1)) if rest & (rest - 1) else 0)
    return cost


def _descend(state: Search, step: int, rest: int, cost: int, chosen: list[int]) -> None:
    """Try the loads of machine `step` on what is left, most promising first."""
    if not rest:  # nobody comes here but by a better way than the best so far
        state.best_cost, state.best_loads = cost, list(chosen)
        return
    known = state.seen.get((step, rest))
    if known is not None and known <= cost:
        return
    state.seen[(step, rest)] = cost
    loads, below = state.loads[step], state.reach[step + 1]
    state.steps += len(loads)
    options = []
    for load, price in loads:
        left = rest ^ load
        if load & rest == load and below >> left & 1:
            options.append((price + (_floor(state, step + 1, left) if left else 0), load, price))
    options.sort()
    for least, load, price in options:
        if state.best_cost >= 0 and (cost + least >= state.best_cost or state.steps > STEPS_MAX):
            break
        chosen.append(load)
        _descend(state, step + 1, rest ^ load, cost + price, chosen)
        chosen.pop()
