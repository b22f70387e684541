"""Making room in a part that is too large for the exact search: bounded, so it may miss a way but is never slow.

For each instance without a seat, most important first: move one or two others elsewhere to let it in; failing that,
put out less important ones, as unimportant as possible, which are then tried again themselves. Decided against:
starting the whole part from nothing, which would find a little more and move every holder in the room.
"""

from __future__ import annotations

from collections.abc import Sequence

from mesh.core.placement_seats import Seats

LOOKS_A_PAIR = 40  # seats looked at for one part, for each pair of machines: 6 ms with 32, half a second with 256
DEPTH_MAX = 2  # who is moved may itself move one other


class Repair:
    """One part being repaired in place."""

    def __init__(self, seats: Seats, part: Sequence[int]) -> None:
        self.seats, self.room, self.part = seats, seats.room, part
        self.looks_left = LOOKS_A_PAIR * len(seats.free) ** 2
        self.on: dict[int, set[int]] = {}
        for index in part:
            if seats.seat[index] >= 0:
                self.on.setdefault(seats.seat[index], set()).add(index)

    def run(self) -> None:
        """Seat whoever can be seated. Items further down the list that lose their seat get their turn later."""
        for index in self.part:
            if self.seats.seat[index] >= 0 and not self._lawful(index):
                self._take(index)
        for index in self.part:
            if self.seats.seat[index] < 0:
                self._seat(index)

    def _seat(self, index: int) -> None:
        if self.seats.choose(index):
            self.on.setdefault(self.seats.seat[index], set()).add(index)
        elif self.looks_left > 0 and not self._by_moving(index, DEPTH_MAX, frozenset({index})):
            self._by_putting_out(index)

    def _lawful(self, index: int) -> bool:
        return bool(self.seats.lawful(index) >> self.seats.seat[index] & 1)

    def _put(self, index: int, machine: int) -> None:
        self.seats.put(index, machine)
        self.on.setdefault(machine, set()).add(index)

    def _take(self, index: int) -> int:
        machine = self.seats.take(index)
        self.on[machine].discard(index)
        return machine

    def _movable(self, machine: int) -> list[int]:
        """Who could be asked to leave a machine: whoever has just come first, then the least important."""
        items, waiting = self.room.items, self.seats.waiting_beside
        there = [index for index in self.on.get(machine, ()) if items[index].memory and not items[index].beside]
        return sorted((index for index in there if index not in waiting), key=lambda index: (items[index].held >= 0, -index))

    def _machines_for(self, index: int) -> list[int]:
        """Where it may sit, liked best first."""
        lawful = self.seats.lawful(index)
        return [machine for layer in self.room.items[index].layers for machine in self.room.bits(layer & lawful)]

    def _by_moving(self, index: int, depth: int, fixed: frozenset[int]) -> bool:
        """Seat it by moving others to seats of their own."""
        memory = self.room.items[index].memory
        for machine in self._machines_for(index):
            moved: list[int] = []
            for other in self._movable(machine):
                if self.seats.free[machine] >= memory or self.looks_left <= 0:
                    break
                if other not in fixed and self._move_away(other, machine, depth, fixed):
                    moved.append(other)
            if self.seats.free[machine] >= memory:
                self._put(index, machine)
                return True
            for other in reversed(moved):
                if self.seats.free[machine] >= self.room.items[other].memory:
                    self._take(other)
                    self._put(other, machine)
        return False

    def _move_away(self, index: int, machine: int, depth: int, fixed: frozenset[int]) -> bool:
        self._take(index)
        self.looks_left -= len(self.seats.free)
        elsewhere = self.seats.open_to(index) & ~(1 << machine)
        if elsewhere:
            self._put(index, self.seats.best_of(index, elsewhere))
            return True
        if depth > 1 and self._by_moving(index, depth - 1, fixed | {index}) and self.seats.seat[index] != machine:
            return True
        if self.seats.seat[index] < 0:
            self._put(index, machine)
        return False

    def _by_putting_out(self, index: int) -> None:
        """Seat it in place of less important ones, on the machine where the most important of these matters least."""
        memory, beside = self.room.items[index].memory, self.room.items[index].beside
        best: list[int] | None = None
        where = -1
        for machine in self._machines_for(index):
            self.looks_left -= len(self.on.get(machine, ()))
            out, free = [], self.seats.free[machine]
            for other in sorted(self.on.get(machine, ()), reverse=True):
                if free >= memory or other < index:
                    break
                if self.room.items[other].memory and other not in beside:
                    out.append(other)
                    free += self.room.items[other].memory
            if free >= memory and (best is None or min(out, default=index) > min(best, default=index)):
                best, where = out, machine
        if best is None:
            return
        for other in best:
            self._take(other)
            for follower in self.seats.waiting_beside.get(other, ()):
                if self.seats.seat[follower] >= 0 and not self._lawful(follower):
                    self._take(follower)
        self._put(index, where)


def repair(seats: Seats, part: Sequence[int]) -> None:
    """Seat as many of a large part as the bound allows, the important first, and leave nobody playing for nobody."""
    Repair(seats, part).run()
    for _ in range(3):
        idle = _without_audience(seats, part)
        if not idle:
            return
        for index in idle:
            seats.take(index)
        waiting = [index for index in part if seats.seat[index] < 0]
        first = [index for index in waiting if seats.room.items[index].role.name in seats.room.outputs]
        Repair(seats, [*first, *(index for index in waiting if index not in first)]).run()
    for index in _without_audience(seats, part):
        seats.take(index)


def _without_audience(seats: Seats, part: Sequence[int]) -> list[int]:
    """Those seated whose every output has stayed out."""
    needs = seats.room.needs_one_of
    return [
        index for index in part
        if seats.seat[index] >= 0 and index in needs and all(seats.seat[output] < 0 for output in needs[index])
    ]

