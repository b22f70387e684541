"""Who sits where so far, and the best next seat for one instance.

The greedy half of placement, used at every size: holders first, then the rest by importance, each where it is
liked best. `settled` tells when that is already the best there is; only what is left goes to a search.
"""

from __future__ import annotations

from collections.abc import Sequence

from mesh.core.placement_room import Room


class Seats:
    """A seating of some items. Changes only by `put` and `take`, which keep memory and load in step.

    `seat[i]` is item i's machine or -1; `free` the memory left on each machine; `count` the instances on it.
    """

    def __init__(self, room: Room) -> None:
        self.room = room
        self.seat = [-1] * len(room.items)
        self.free = list(room.memory)
        self.count = [0] * len(room.machines)
        self.waiting_beside: dict[int, list[int]] = {}  # item -> those that must share a machine with it
        for index, item in enumerate(room.items):
            for target in item.beside:
                self.waiting_beside.setdefault(target, []).append(index)

    def put(self, index: int, machine: int) -> None:
        """Seat an item. The caller has seen that it fits."""
        self.seat[index] = machine
        self.free[machine] -= self.room.items[index].memory
        self.count[machine] += 1

    def take(self, index: int) -> int:
        """Unseat an item; the machine it sat on."""
        machine = self.seat[index]
        self.seat[index] = -1
        self.free[machine] += self.room.items[index].memory
        self.count[machine] -= 1
        return machine

    def with_room(self, mask: int, memory: int) -> int:
        """Those of the machines in `mask` that have so much memory left."""
        if not memory:
            return mask
        found, free = 0, self.free
        for machine in self.room.bits(mask):
            if free[machine] >= memory:
                found |= 1 << machine
        return found

    def occupied_by(self, indices: Sequence[int]) -> int:
        """The machines on which any of these items sits."""
        mask = 0
        for index in indices:
            if self.seat[index] >= 0:
                mask |= 1 << self.seat[index]
        return mask

    def open_to(self, index: int) -> int:
        """The machines where the item could sit now without anyone moving."""
        return self.with_room(self.lawful(index), self.room.items[index].memory)

    def lawful(self, index: int) -> int:
        """The machines where the item may sit if memory were no question."""
        item = self.room.items[index]
        mask = item.allowed
        if item.beside:
            mask &= self.occupied_by(item.beside)
        if item.apart:
            mask &= ~self.occupied_by(item.siblings)
        return mask

    def best_of(self, index: int, mask: int) -> int:
        """The best machine of a mask that is not empty: away from copies, standby loaded, liked best, where it
        is, least loaded, first in the file."""
        item = self.room.items[index]
        if item.siblings:
            mask = self._least_crowded(item.siblings, mask)
        if item.warm & mask and item.held < 0:
            mask &= item.warm
        for layer in item.layers:
            if mask & layer:
                mask &= layer
                break
        if item.held >= 0 and mask >> item.held & 1:
            return item.held
        if not mask & (mask - 1):
            return mask.bit_length() - 1
        share, count = self.room.share, self.count
        return min(self.room.bits(mask), key=lambda machine: (count[machine] + 1) * share[machine])

    def _least_crowded(self, siblings: Sequence[int], mask: int) -> int:
        beside = [self.seat[index] for index in siblings]
        fewest = min(beside.count(machine) for machine in self.room.bits(mask))
        return sum(1 << machine for machine in self.room.bits(mask) if beside.count(machine) == fewest)

    def choose(self, index: int) -> bool:
        """Seat an item in the best open seat; False when there is none."""
        mask = self.open_to(index)
        if not mask:
            return False
        if index in self.waiting_beside:
            mask = self._good_for_company(index, mask)
        self.put(index, self.best_of(index, mask))
        return True

    def _good_for_company(self, index: int, mask: int) -> int:
        """Narrow to where those who must sit beside it could sit too, if there is such a place."""
        memory, narrowed = self.room.items[index].memory, mask
        for other in self.waiting_beside[index]:
            item = self.room.items[other]
            if self.seat[other] >= 0:
                narrowed &= 1 << self.seat[other]
            elif not item.siblings:
                narrowed &= item.allowed
                memory += item.memory
        return self.with_room(narrowed, memory) or mask

    def fill(self) -> None:
        """Holders keep their seats, as far as they fit; then everybody else by importance, nobody moving anybody.

        Displays that can sit on one machine only and take no memory come before the rest, so that their load is felt."""
        items = self.room.items
        for index, item in enumerate(items):
            if item.held >= 0 and self.free[item.held] >= item.memory:
                self.put(index, item.held)
            elif item.role.each and not item.memory:
                self.choose(index)
        for index, item in enumerate(items):
            if item.allowed and self.seat[index] < 0:
                for target in item.beside:
                    if self.seat[target] < 0:
                        self.choose(target)
                self.choose(index)
            elif item.free:
                now = self.take(index)
                mask = self.with_room(item.free & self.lawful(index), item.memory) | 1 << now
                self.put(index, self.best_of(index, mask))


def keeps_the_law(seats: Seats, part: Sequence[int]) -> bool:
    """Whether nobody seated breaks `with` or `spread: true` (holders may, after the file has changed)."""
    for index in part:
        machine = seats.seat[index]
        if machine >= 0:
            item = seats.room.items[index]
            if item.beside and not seats.occupied_by(item.beside) >> machine & 1:
                return False
            if item.apart and seats.occupied_by(item.siblings) >> machine & 1:
                return False
    return True


def settled(seats: Seats, part: Sequence[int]) -> bool:
    """Whether a part sits as well as it possibly can: everybody placed, nobody with a seat they would rather have."""
    if any(seats.seat[index] < 0 for index in part) or not keeps_the_law(seats, part):
        return False
    if all(seats.seat[index] == seats.room.items[index].held and not seats.room.items[index].free for index in part):
        return True
    if _only_copies(seats, part):
        return True
    return all(_could_not_be_better(seats, index) for index in part)


def _could_not_be_better(seats: Seats, index: int) -> bool:
    item, machine = seats.room.items[index], seats.seat[index]
    if seats.occupied_by(item.siblings) >> machine & 1:
        return False
    reach = item.allowed
    if item.held >= 0:
        reach = item.free | 1 << item.held
    elif item.warm:
        reach = item.warm
    if not reach >> machine & 1:
        return False
    best = next(rank for rank, layer in enumerate(item.layers) if layer & reach)
    if item.preference(machine) > best:
        return False
    return item.held < 0 or machine == item.held or item.preference(item.held) > best


def _only_copies(seats: Seats, part: Sequence[int]) -> bool:
    """Equal copies of one role, each with a machine to itself: taking turns for the best seat is the best they can do."""
    items = [seats.room.items[index] for index in part]
    first = items[0]
    if any(item.free or item.warm or item.allowed != first.allowed or item.role is not first.role for item in items):
        return False
    if any(item.held >= 0 and item.held != seats.seat[index] for index, item in zip(part, items, strict=True)):
        return False
    return len({seats.seat[index] for index in part}) == len(part)
