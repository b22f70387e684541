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
TRIES_MAX = 4


class Repair:
    """One part being repaired in place. Whoever stands earlier in `part` matters more."""

    def __init__(self, seats: Seats, part: Sequence[int], looks_left: int) -> None:
        self.seats, self.room, self.part = seats, seats.room, part
        self.rank = {index: place for place, index in enumerate(part)}
        self.looks_left = looks_left
        self.moves: list[tuple[int, int]] = []  # item and where it sat, in order: what did not help is taken back
        self.on: dict[int, set[int]] = {}
        for index in part:
            if seats.seat[index] >= 0:
                self.on.setdefault(seats.seat[index], set()).add(index)

    def run(self) -> int:
        """Seat whoever can be seated; returns how many looks are left. Those further down the list who lose their seat get their turn
        later."""
        for index in self.part:
            if self.seats.seat[index] >= 0 and not self._lawful(index):
                self._empty(self._leaving({index}))
        for index in self.part:
            if self.seats.seat[index] < 0:
                self._seat(index)
        return self.looks_left

    def _seat(self, index: int) -> None:
        if not self._sit(index) and self.looks_left > 0 and not self._by_moving(index, DEPTH_MAX):
            self._by_putting_out(index)

    def _sit(self, index: int) -> bool:
        """In an open seat, if there is one."""
        if not self.seats.choose(index):
            return False
        self.on.setdefault(self.seats.seat[index], set()).add(index)
        return True

    def _lawful(self, index: int) -> bool:
        return bool(self.seats.lawful(index) >> self.seats.seat[index] & 1)

    def _put(self, index: int, machine: int) -> None:
        self.seats.put(index, machine)
        self.on.setdefault(machine, set()).add(index)

    def _take(self, index: int) -> int:
        machine = self.seats.take(index)
        self.on[machine].discard(index)
        return machine

    def _empty(self, items: set[int]) -> None:
        for index in items:
            self._take(index)

    def _movable(self, machine: int) -> list[int]:
        """Who could be asked to leave a machine: whoever has just come first, then the least important."""
        items, waiting = self.room.items, self.seats.waiting_beside
        there = [index for index in self.on.get(machine, ()) if items[index].memory and index not in waiting]
        return sorted(there, key=lambda index: (items[index].held >= 0, -self.rank[index]))

    def _machines_for(self, index: int, mask: int = -1) -> list[int]:
        """Where it may sit, of the machines in a mask; liked best first."""
        lawful = self.seats.lawful(index) & mask
        return [machine for layer in self.room.items[index].layers for machine in self.room.bits(layer & lawful)]

    def _by_moving(self, index: int, depth: int, mask: int = -1) -> bool:
        """Seat it on one of these machines by moving others to seats of their own. When there is no way nobody has moved."""
        memory = self.room.items[index].memory
        for machine in self._machines_for(index, mask):
            before = len(self.moves)
            for other in self._movable(machine):
                if self.seats.free[machine] >= memory or self.looks_left <= 0:
                    break
                self._move_away(other, depth)
            if self.seats.open_to(index) >> machine & 1:  # a copy of it may have come here meanwhile
                self._put(index, machine)
                return True
            while len(self.moves) > before:
                other, seat = self.moves.pop()
                self._take(other)
                self._put(other, seat)
        return False

    def _move_away(self, index: int, depth: int) -> None:
        """To an open seat, or one that others make for it; where there is none it stays."""
        machine = self._take(index)
        self.looks_left -= len(self.seats.free)
        elsewhere = self.seats.open_to(index) & ~(1 << machine)
        if elsewhere:
            self._put(index, self.seats.best_of(index, elsewhere))
        elif depth <= 1 or not self._by_moving(index, depth - 1, ~(1 << machine)):
            self._put(index, machine)
            return
        self.moves.append((index, machine))

    def _by_putting_out(self, index: int) -> None:
        """Seat it in place of less important ones, on the machine where the most important of these matters least."""
        item, rank = self.room.items[index], self.rank
        best: set[int] = set()
        dearest = rank[index]
        for machine in self._machines_for(index):
            self.looks_left -= len(self.on.get(machine, ()))
            out: set[int] = set()
            free = self.seats.free[machine]
            for other in sorted(self.on.get(machine, ()), key=rank.__getitem__, reverse=True):
                if free >= item.memory:
                    break
                leaving = self._leaving(out | {other})
                if self.room.items[other].memory and self._dearest(leaving) > rank[index] and leaving.isdisjoint(item.beside):
                    out = leaving
                    free = self.seats.free[machine] + sum(self.room.items[each].memory for each in out)
            if free >= item.memory and self._dearest(out) > dearest:
                best, dearest = out, self._dearest(out)
        self._empty(best)
        self._sit(index)

    def _dearest(self, items: set[int]) -> int:
        return min(map(self.rank.__getitem__, items))

    def _leaving(self, out: set[int]) -> set[int]:
        """Those of one machine who would have to leave it with these: who sits beside them, and beside nobody else."""
        leaving, todo = set(out), list(out)
        while todo:
            other = todo.pop()
            for follower in self.seats.waiting_beside.get(other, ()):
                hosts = {host for host in self.room.items[follower].beside if self.seats.seat[host] == self.seats.seat[other]}
                if self.seats.seat[follower] == self.seats.seat[other] and hosts <= leaving and follower not in leaving:
                    leaving.add(follower)
                    todo.append(follower)
        return leaving


def repair(seats: Seats, part: Sequence[int]) -> None:
    """Seat as many of a large part as the bound allows, the important first, and leave nobody playing for nobody.

    Unless somebody more important plays for it nobody moves: then all stay as the polite half of placement left them, but for those who
    break the law or play for nobody. So whatever comes next is better than what was, and a room never goes round in circles."""
    polite = [seats.seat[index] for index in part]
    _make_room(seats, part)
    found = [seats.seat[index] for index in part]
    _seat_as(seats, part, polite)
    while _put_out_wrong(seats, part):
        pass
    if [machine < 0 for machine in found] < [seats.seat[index] < 0 for index in part]:
        _seat_as(seats, part, found)


def _seat_as(seats: Seats, part: Sequence[int], machines: Sequence[int]) -> None:
    for index in part:
        if seats.seat[index] >= 0:
            seats.take(index)
    for index, machine in zip(part, machines, strict=True):
        if machine >= 0:
            seats.put(index, machine)


def _put_out_wrong(seats: Seats, part: Sequence[int]) -> bool:
    """Unseat who breaks the law where they sit, the less important of two first, and who plays for nobody. False when there is none."""
    wrong = _without_audience(seats, part)
    for index in wrong:
        seats.take(index)
    for index in reversed(part):
        machine = seats.seat[index]
        if machine >= 0 and not seats.lawful(index) >> machine & 1:
            seats.take(index)
            wrong.append(index)
    return bool(wrong)


def _make_room(seats: Seats, part: Sequence[int]) -> None:
    """Look for seats again and again, within the bound.

    While it changes anything it is looked once more, for who moved has left a seat. When somebody's outputs have all stayed out, it is
    tried again with these as important as whoever plays for them, and after that without the latter."""
    needs = seats.room.needs_one_of
    raised: set[int] = set()  # whose outputs are to be as important as they are
    hopeless: set[int] = set()
    looks_left = LOOKS_A_PAIR * len(seats.free) ** 2
    for _ in range(TRIES_MAX):
        before = [seats.seat[index] for index in part]
        matters = {index: (index, 1) for index in part if index not in hopeless}
        for index in raised:
            matters.update({output: min(matters[output], (index, 0)) for output in needs[index]})
        looks_left = Repair(seats, sorted(matters, key=matters.__getitem__), looks_left).run()
        idle = _without_audience(seats, part)
        for index in idle:
            seats.take(index)
            (hopeless if index in raised else raised).add(index)
        raised -= hopeless
        if not idle and before == [seats.seat[index] for index in part]:
            return


def _without_audience(seats: Seats, part: Sequence[int]) -> list[int]:
    """Those seated whose every output has stayed out."""
    needs = seats.room.needs_one_of
    return [
        index for index in part
        if seats.seat[index] >= 0 and index in needs and all(seats.seat[output] < 0 for output in needs[index])
    ]
