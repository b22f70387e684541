"""What a node says of itself that changes with time alone: its start, the size of its side, its steadiness."""

from __future__ import annotations

from dataclasses import dataclass, field

from mesh.core.boot import Start, is_complete
from mesh.core.effects import Effect, Report, Save
from mesh.core.flapping import Steadiness
from mesh.core.members import ALIVE
from mesh.core.membership import Membership
from mesh.core.sides import Side
from mesh.core.spec import Deployment
from mesh.core.timing import Timing

NEVER = float("inf")


@dataclass(slots=True)
class Standing:
    """Looked at after each event; `look` returns whether anything changed, and what is to be done about it."""

    timing: Timing
    started_s: float
    membership: Membership
    returns: int = 0  # as kept on disk
    start: Start = field(init=False)
    side: Side = field(init=False)
    steadiness: Steadiness = field(init=False)
    seen_changes: int = -1
    returned_s: float = NEVER  # when to judge whether the room had gone on without this node

    def __post_init__(self) -> None:
        self.start = Start(self.started_s, self.timing)
        self.side = Side(self.timing.settle_s)
        self.steadiness = Steadiness(self.timing, self.started_s, self.returns)

    def look(self, now: float, deployment: Deployment | None, *, agreed: bool) -> tuple[bool, list[Effect]]:
        """`agreed` says that no instance has two holders."""
        changed = False
        effects: list[Effect] = []
        grace_s = deployment.boot_grace_s if deployment is not None else None
        if not self.start.settled or self.start.joined or now >= self.start.next_due(grace_s):
            changed, effects = self._look_at_start(now, deployment, grace_s)
        changed |= self._look_for_return(now)
        if self.membership.changes != self.seen_changes or now >= self.side.grow_due_s:
            self.seen_changes = self.membership.changes
            alive = 1 + sum(1 for member in self.membership.present() if member.health == ALIVE)
            changed |= self.side.count(alive, now, agreed=agreed)
        changed |= self.steadiness.look(now)
        if self.steadiness.returns != self.returns:
            self.returns = self.steadiness.returns
            effects.append(Save("returns", self.returns))
        return changed, effects

    def _look_at_start(self, now: float, deployment: Deployment | None, grace_s: float | None) -> tuple[bool, list[Effect]]:
        present = self.membership.present()
        states = [member.state for member in present]
        names = [self.membership.me.name, *(member.record.name for member in present)]
        complete = deployment is not None and is_complete(deployment, names) and None not in states
        met_settled = any(state is not None and state.settled for state in states)
        was_settled = self.start.settled
        room_starts = any(state is not None and state.starting for state in states)
        changed = self.start.look(now, grace_s=grace_s, complete=complete, met_settled=met_settled, room_starts=room_starts)
        if was_settled or not self.start.settled:
            return changed, []
        if self.start.joined:
            self.returned_s = now
        return changed, [Report("settled", {"joined": self.start.joined})]

    def _look_for_return(self, now: float) -> bool:
        """The room went on without this node if a larger side that has been running for a while is here."""
        refuted_s = self.membership.refuted_s
        if refuted_s > self.steadiness.since_s:
            self.steadiness.interrupted(refuted_s)
            self.returned_s = now + self.timing.settle_s / 2
        if now < self.returned_s:
            return False
        self.returned_s = NEVER
        states = [member.state for member in self.membership.present() if member.state is not None]
        # Who boots slowly while the whole room starts has not come back to a room that went on without it.
        if any(state.starting for state in states) or not any(state.steady and state.hears > self.side.size for state in states):
            return False
        self.steadiness.came_back(now)
        return True

    def next_due(self, deployment: Deployment | None) -> float:
        """When time alone changes something next."""
        grace_s = deployment.boot_grace_s if deployment is not None else None
        return min(self.start.next_due(grace_s), self.side.grow_due_s, self.steadiness.next_due(), self.returned_s)
