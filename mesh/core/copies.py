"""Which copy of a role a request goes to: what is known of each, and the choice.

Each request goes where it will be over first: what a copy has to do (of mine, and what it said it has of others) times how
long its answers took of late, less how long it has been at the one in work. A copy holds at most two of mine, one in work and one at
hand; the rest wait at the asker, so that a fast copy takes more and a dead one takes few along; and one waits for a fast copy where a
slow one, though it is free, would be over with it later (list scheduling by earliest completion: Ibarra and Kim 1977), unless the
slow one has been passed over for long enough (`backlog`). Of those that have nothing to do and differ little, each is asked in turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from mesh.core.backlog import Backlog

AT_ONE_COPY_MAX = 2
LEARNING = 0.25  # the weight of the newest answer in how long they take
ALIKE = 1.25  # of those that have nothing to do, what would be over within this much of the earliest is as good
EQUAL = 1.02  # the same of those that have
SILENT_S, SILENT_MAX_S = 1.0, 16.0  # not asked for so long after it was given up for its silence
NEVER = float("inf")


class CopyId(NamedTuple):
    """One process that answers."""

    instance: str
    node: str
    generation: int


class Copy(NamedTuple):
    """A copy as the routes name it. `state`: "playing", "suspect" or "standby" (never asked)."""

    id: CopyId
    state: str = "playing"
    rank: int = 0


class Seat:
    """A copy while it is planned what goes where: how many it has, how many more it may get, how long until it is over with all."""

    __slots__ = ("free", "has", "id", "load_s", "rank", "took_s", "turn")

    def __init__(self, copy: Copy, took_s: float, turn: int) -> None:
        self.id, self.rank, self.took_s, self.turn = copy.id, copy.rank, took_s, turn
        self.has = self.free = 0
        self.load_s = 0.0

    @property
    def over_s(self) -> float:
        """How long until it would be over with one more."""
        return self.load_s + self.took_s

    def take(self, turn: int) -> None:
        """One more goes there, or waits for it."""
        self.has, self.free, self.load_s, self.turn = self.has + 1, self.free - 1, self.load_s + self.took_s, turn


def _earliest(seats: Sequence[Seat]) -> Seat:
    """The one that would be over with one more first; of those that are as good, the one with the least to do, each in turn."""
    first = min(seats, key=lambda seat: seat.over_s)
    alike = [seat for seat in seats if seat.over_s <= first.over_s * (EQUAL if first.has or seat.has else ALIKE)]
    return min(alike, key=lambda seat: (seat.has, seat.turn, seat.rank, seat.id))


class Copies:
    """Every role's copies, and what this process has with each."""

    def __init__(self) -> None:
        self._of: dict[str, dict[CopyId, Copy]] = {}
        self._held: dict[CopyId, int] = {}
        self._others: dict[CopyId, int] = {}  # what it has of other askers, as it said last
        self._avoid: dict[CopyId, float] = {}  # not before then; NEVER while its connection is down
        self._silent: dict[CopyId, int] = {}  # how often it was given up for its silence since it spoke last
        self._turn: dict[CopyId, int] = {}
        self._turns = 0
        self._took: dict[CopyId, float] = {}  # seconds an answer took of late
        self._over_s: dict[CopyId, float] = {}  # when it was over with one last
        self._since_s: dict[CopyId, float] = {}  # since when it is at what it has in work of mine
        self._backlogs: dict[str, Backlog] = {}

    def route(self, roles: Mapping[str, Iterable[Copy]]) -> None:
        """A full replacement. What is known of copies that are still named stays known."""
        self._of = {role: {each.id: each for each in many if each.state != "standby"} for role, many in roles.items()}
        known = self.named
        for id in [id for id in self._turn if id not in known]:
            del self._turn[id]
            for table in (self._took, self._over_s, self._since_s):
                table.pop(id, None)
            for counts in (self._held, self._others):
                counts.pop(id, None)
        self._backlogs = {role: backlog for role, backlog in self._backlogs.items() if role in self._of}
        self._avoid = {id: until_s for id, until_s in self._avoid.items() if id in known}
        self._silent = {id: times for id, times in self._silent.items() if id in known}

    def state(self, role: str, id: CopyId) -> str:
        """ "playing", "suspect", "down" (no connection) or "gone" (no longer named)."""
        copy = self._of.get(role, {}).get(id)
        if copy is None:
            return "gone"
        return "down" if self.is_down(id) else copy.state

    def any(self, role: str) -> bool:
        """Whether anybody plays the role, reachable or not."""
        return bool(self._of.get(role))

    def is_down(self, id: CopyId) -> bool:
        """Whether its connection is broken."""
        return self._avoid.get(id) == NEVER

    def down(self, id: CopyId) -> None:
        """Its connection broke."""
        self._avoid[id] = NEVER

    def up(self, id: CopyId) -> bool:
        """Its connection stands. Returns whether it was down before."""
        return self._avoid.pop(id, None) == NEVER

    def avoid(self, id: CopyId, until_s: float) -> None:
        """It refused: it is not asked before then."""
        if not self.is_down(id):
            self._avoid[id] = until_s

    def fell_silent(self, id: CopyId, now: float) -> None:
        """It says nothing where it should: it is not asked for a moment, and each time twice as long until it speaks."""
        if not self.is_down(id) and self._avoid.get(id, 0.0) <= now:
            times = self._silent[id] = self._silent.get(id, 0) + 1
            self._avoid[id] = now + min(SILENT_MAX_S, SILENT_S * 2 ** (times - 1))

    def spoke(self, id: CopyId) -> None:
        """It says something: it can be asked again."""
        if self._silent.pop(id, None) and not self.is_down(id):
            self._avoid.pop(id, None)

    def reported(self, id: CopyId, depth: int) -> None:
        """What it said of the length of its queue."""
        self._others[id] = max(0, depth - self._held.get(id, 0))

    def over(self, id: CopyId, began_s: float, now: float) -> None:
        """It has answered what it was given at `began_s`; it began with that when it was over with the one before."""
        seconds = now - max(began_s, self._over_s.get(id, 0.0))
        before = self._took.get(id, seconds)
        self._took[id] = before + (seconds - before) * LEARNING
        self._over_s[id] = self._since_s[id] = now

    @property
    def named(self) -> frozenset[CopyId]:
        """Every copy of every role."""
        return frozenset(id for many in self._of.values() for id in many)

    def is_idle(self, role: str, but: CopyId, now: float) -> bool:
        """Whether some other copy that can be relied on has nothing to do."""
        others = [copy.id for copy in self._of.get(role, {}).values() if copy.id != but and copy.state == "playing"]
        return any(self._able(id, now) and not self._busy(id) for id in others)

    def take(self, id: CopyId, now: float) -> None:
        """One more request is with it."""
        if not self._held.get(id, 0):
            self._since_s[id] = now
        self._held[id] = self._held.get(id, 0) + 1
        self._turns += 1
        self._turn[id] = self._turns

    def release(self, id: CopyId) -> None:
        """One less."""
        if self._held.get(id, 0) > 0:
            self._held[id] -= 1
        for role, many in self._of.items():
            if id in many and role in self._backlogs and not any(self._held.get(each, 0) for each in many):
                self._backlogs[role].over()

    def has_another(self, role: str, id: CopyId, now: float) -> bool:
        """Whether some other copy can be relied on."""
        others = [copy for copy in self._of.get(role, {}).values() if copy.id != id]
        return any(copy.state == "playing" and self._able(copy.id, now) for copy in others)

    def plan(self, role: str, count: int, now: float) -> list[CopyId | None]:
        """Where the next `count` requests go, in their order; None: it waits for one that is quicker, or there is nobody for it. A
        suspect copy only where there is no other."""
        able = [copy for copy in self._of.get(role, {}).values() if self._able(copy.id, now)]
        able = [copy for copy in able if copy.state == "playing"] or able
        known = [self._took[copy.id] for copy in able if copy.id in self._took]
        usual_s = sum(known) / len(known) if known else 0.0
        seats = [Seat(copy, self._took.get(copy.id, usual_s), self._turn.get(copy.id, 0)) for copy in able]
        for seat in seats:
            held = self._held.get(seat.id, 0)
            begun_s = min(seat.took_s, now - self._since_s.get(seat.id, now)) if held else 0.0
            seat.has, seat.free, seat.load_s = self._busy(seat.id), AT_ONE_COPY_MAX - held, self._busy(seat.id) * seat.took_s - begun_s
        backlog = self._backlogs.setdefault(role, Backlog())
        backlog.note(count + sum(self._held.get(seat.id, 0) for seat in seats), now)
        planned: list[CopyId | None] = []
        while len(planned) < count and any(seat.free > 0 for seat in seats):
            chosen = _earliest(seats)
            planned.append(chosen.id if chosen.free > 0 else None)
            chosen.take(self._turns + 1 + len(planned))
        for seat in sorted(seats, key=lambda each: each.took_s):
            if None in planned and not seat.has and backlog.lasts(seat.took_s, now):
                planned[len(planned) - 1 - planned[::-1].index(None)] = seat.id  # the newest: it would wait longest
                seat.has += 1
        return planned

    def _busy(self, id: CopyId) -> int:
        return self._held.get(id, 0) + self._others.get(id, 0)

    def _able(self, id: CopyId, now: float) -> bool:
        return self._avoid.get(id, 0.0) <= now
