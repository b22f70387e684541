"""Which instances compete, and which play for nobody.

A room falls into parts that do not touch: two instances are of one part when they can compete for the memory of a
machine, are copies of one role, must share a machine, or one plays for nobody without the other. Each part is solved
alone, so an exact search stays small even in a large room. A machine with memory for everything that could come to
it couples nothing.
"""

from __future__ import annotations

from mesh.core.placement_room import Room, feeding


def drop_what_plays_for_nobody(room: Room) -> None:
    """Take away the instances that feed no output which could play here; they are named in `room.for_nobody`."""
    possible = {item.role.name for item in room.items if item.allowed and item.role.name in room.outputs}
    useful = feeding(possible, room.sources)
    for index, item in enumerate(room.items):
        if item.role.name not in useful and item.allowed:
            room.for_nobody.add(index)
            item.allowed, item.layers, item.held, item.free, item.warm = 0, (), -1, 0, 0


def ample_machines(room: Room) -> int:
    """The machines with memory for everything that may be placed on them."""
    demand_by_mask: dict[int, int] = {}
    for item in room.items:
        demand_by_mask[item.allowed] = demand_by_mask.get(item.allowed, 0) + item.memory
    demand = [0] * len(room.machines)
    for mask, wanted in demand_by_mask.items():
        for machine in room.bits(mask):
            demand[machine] += wanted
    return sum(1 << index for index, wanted in enumerate(demand) if wanted <= room.memory[index])


def find_doubtful_audiences(room: Room, ample: int) -> None:
    """Fill `room.needs_one_of`: who feeds only outputs that may have to stay out for want of memory."""
    certain: set[str] = set()
    doubtful: dict[str, list[int]] = {}
    for index, item in enumerate(room.items):
        name = item.role.name
        if item.allowed and name in room.outputs:
            if not item.beside and (not item.memory or item.allowed & ample):
                certain.add(name)
            doubtful.setdefault(name, []).append(index)
    for name in certain:
        del doubtful[name]
    safe = feeding(certain, room.sources)
    outputs_of: dict[str, list[int]] = {}
    for name, outputs in doubtful.items():
        for source in feeding({name}, room.sources) - safe:
            outputs_of.setdefault(source, []).extend(outputs)
    for index, item in enumerate(room.items):
        if item.allowed and item.role.name in outputs_of and item.role.name not in room.outputs:
            room.needs_one_of[index] = outputs_of[item.role.name]


def parts(room: Room, ample: int) -> list[list[int]]:
    """The items that can be placed, in groups that do not touch; each group, and the groups, most important first."""
    group = list(range(len(room.items)))

    def root(index: int) -> int:
        while group[index] != index:
            group[index] = index = group[group[index]]
        return index

    def join(one: int, other: int) -> None:
        one, other = root(one), root(other)
        group[max(one, other)] = min(one, other)

    first_on: dict[int, int] = {}
    first_with: dict[int, int] = {}
    for index, item in enumerate(room.items):
        if not item.allowed:
            continue
        for other in (*item.siblings[:1], *item.beside, *room.needs_one_of.get(index, ())):
            join(index, other)
        contended = item.allowed & ~ample
        if item.memory and contended:
            if contended in first_with:  # it would meet the same machines again
                join(index, first_with[contended])
                continue
            first_with[contended] = index
            for machine in room.bits(contended):
                join(index, first_on.setdefault(machine, index))
    found: dict[int, list[int]] = {}
    for index, item in enumerate(room.items):
        if item.allowed:
            found.setdefault(root(index), []).append(index)
    return list(found.values())
