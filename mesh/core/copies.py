"""Which copy of a role a request goes to: what is known of each, and the choice.

The copy with the least to do gets the next one: what this process has with it, and what it said it has of others.
A copy holds at most two of mine, one in work and one at hand; the rest wait at the asker, so that a fast copy takes
more and a dead one takes few along. Unequal machines are so used in proportion to their speed without anybody
measuring it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

AT_ONE_COPY_MAX = 2
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


class Copies:
    """Every role's copies, and what this process has with each."""

    def __init__(self) -> None:
        self._of: dict[str, dict[CopyId, Copy]] = {}
        self._held: dict[CopyId, int] = {}
        self._others: dict[CopyId, int] = {}  # what it has of other askers, as it said last
        self._avoid: dict[CopyId, float] = {}  # not before then; NEVER while its connection is down
        self._turn: dict[CopyId, int] = {}
        self._turns = 0

    def route(self, roles: Mapping[str, Iterable[Copy]]) -> None:
        """A full replacement. What is known of copies that are still named stays known."""
        self._of = {role: {each.id: each for each in many if each.state != "standby"} for role, many in roles.items()}
        known = {id for many in self._of.values() for id in many}
        for id in [id for id in self._turn if id not in known]:
            del self._turn[id]
            for table in (self._held, self._others):
                table.pop(id, None)
        self._avoid = {id: until_s for id, until_s in self._avoid.items() if id in known}

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

    def reported(self, id: CopyId, depth: int) -> None:
        """What it said of the length of its queue."""
        self._others[id] = max(0, depth - self._held.get(id, 0))

    def take(self, id: CopyId) -> None:
        """One more request is with it."""
        self._held[id] = self._held.get(id, 0) + 1
        self._turns += 1
        self._turn[id] = self._turns

    def release(self, id: CopyId) -> None:
        """One less."""
        if self._held.get(id, 0) > 0:
            self._held[id] -= 1

    def has_another(self, role: str, id: CopyId, now: float) -> bool:
        """Whether some other copy can be relied on."""
        others = [copy for copy in self._of.get(role, {}).values() if copy.id != id]
        return any(copy.state == "playing" and self._able(copy.id, now) for copy in others)

    def choose(self, role: str, now: float) -> CopyId | None:
        """Who gets the next one; a suspect one only where there is no other. None: it has to wait."""
        able = [copy for copy in self._of.get(role, {}).values() if self._able(copy.id, now)]
        able = [copy for copy in able if copy.state == "playing"] or able
        free = [copy for copy in able if self._held.get(copy.id, 0) < AT_ONE_COPY_MAX]
        return min(free, key=self._load).id if free else None

    def _able(self, id: CopyId, now: float) -> bool:
        return self._avoid.get(id, 0.0) <= now

    def _load(self, copy: Copy) -> tuple[int, int, int, CopyId]:
        busy = self._held.get(copy.id, 0) + self._others.get(copy.id, 0)
        return (busy, self._turn.get(copy.id, 0), copy.rank, copy.id)
