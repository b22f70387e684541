"""The parts that this node has: each instance's process here, the claim that goes with it, and what the processes say.

Every change of a claim goes through the table of `claims.py`. What a node should play is decided in `cast.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from mesh.core import claims
from mesh.core.claims import HOLDER, READY, STARTING
from mesh.core.effects import Effect, End, Launch, Report
from mesh.core.events import RoleEnded, RoleTooLarge
from mesh.core.messages import Claim
from mesh.core.restart import Record
from mesh.core.timing import Timing
from mesh.core.view import View

OUTGROWN_S = 10.0  # for how long a machine does not play what it hands over because it grew too large


@dataclass(slots=True)
class Part:
    """One instance's process on this node and the claim that goes with it."""

    claim: Claim
    standby: str = "none"  # how it was launched: "none" for a holder, "hot" or "warm"
    published: dict[str, object] = field(default_factory=dict)

    @property
    def where(self) -> tuple[str, str]:
        """Its place in the table of transitions."""
        return (self.claim.part, self.claim.state)


@dataclass(slots=True)
class Parts:
    """This node's parts, the record of each instance's process here, and what it gave up on."""

    timing: Timing
    parts: dict[str, Part] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)
    gave_up: dict[str, str] = field(default_factory=dict)
    try_again_s: dict[str, float] = field(default_factory=dict)
    generations: dict[str, int] = field(default_factory=dict)  # of the process that counts
    last_generations: dict[str, int] = field(default_factory=dict)  # that were ever given

    def next_generation(self, name: str) -> int:
        """A number that no process of this instance ever had here: what one said must never be taken for what another says."""
        given = max(self.last_generations.get(name, 0), self.generations.get(name, 0)) + 1
        self.last_generations[name] = given
        return given

    def forgive(self) -> None:
        """What this machine gave up on is tried again at once, with a clean record."""
        for name in self.gave_up:
            self.records.pop(name, None)
        self.gave_up, self.try_again_s = {}, {}

    # ---- the processes speak

    def ready(self, name: str, generation: int, ports: tuple[int, int], pid: int, now: float) -> bool:
        """A process finished its set-up. False when it is one of a past generation."""
        part = self.parts.get(name)
        if part is None or part.claim.generation != generation:
            return False
        trouble = part.claim.trouble if self.record(name).faults else ""  # what was faulty has yet to show that it works
        self._restate(name, state=READY, frames_port=ports[0], requests_port=ports[1], pid=pid, trouble=trouble)
        self.record(name).played(now)
        return True

    def renewed(self, name: str, generation: int, ports: tuple[int, int], pid: int, key: str = "", vouch: str = "") -> bool:
        """Another process, of edited code or again of the code before, takes the place of the one that plays: nothing else changes. False
        when none plays here."""
        if name not in self.parts:
            return False
        self.generations[name] = generation
        self._restate(name, state=STARTING, generation=generation, trouble="", key=key, vouch=vouch)
        self._restate(name, state=READY, frames_port=ports[0], requests_port=ports[1], pid=pid)
        return True

    def works(self, name: str, generation: int) -> None:
        """A role that was faulty works again."""
        part = self.parts.get(name)
        if part is not None and part.claim.generation == generation and part.claim.state != STARTING:
            self._restate(name, trouble="")

    def adopt(self, claim: Claim, standby: str) -> None:
        """A process that outlived this node's last agent goes on as it was. If the room has gone on without it, that shows now: its
        side is only this node."""
        self.generations[claim.instance] = max(claim.generation, self.generations.get(claim.instance, 0))
        self.parts[claim.instance] = Part(replace(claim, heard=1), standby)

    def started(self, name: str, generation: int, pid: int, model: str = "", key: str = "", vouch: str = "") -> None:
        """The process of a launched instance exists; of a ladder, it plays `model`."""
        part = self.parts.get(name)
        if part is not None and part.claim.generation == generation:
            self._restate(name, pid=pid, model=model, key=key, vouch=vouch)

    def ended(self, end: RoleEnded, view: View, now: float) -> list[Effect]:
        """A process ended unasked. Another place that is ready takes over; else it is started again here, or given up."""
        name, generation, why = end.instance, end.generation, end.why
        part = self.parts.get(name)
        if part is None or part.claim.generation != generation:
            return []
        record = self.record(name)
        delay_s = record.edited() if end.edited else record.ended(now, faulty=end.faulty, worked_s=end.worked_s)
        report = Report("role_state", {"instance": name, "state": "ended", "why": why})
        if delay_s is None:
            self.gave_up[name] = why
            self.try_again_s[name] = self.record(name).given_up(now, alone=not view.placement.standby.get(name))
            self.parts.pop(name)
            return [report, Report("gave_up", {"instance": name, "why": why, "again_s": round(self.try_again_s[name] - now)})]
        elsewhere = [each for each in view.ledger.standbys.get(name, ()) if each.claim.state == READY and each.node != view.me]
        if part.claim.part == HOLDER and elsewhere:
            self.parts.pop(name)
            return [report]
        generation = self.generations[name] = self.next_generation(name)
        self._restate(
            name, state=STARTING, generation=generation, pid=0, frames_port=0, requests_port=0, trouble=why,
            restarts=self.record(name).restarts,
        )
        return [report, Launch(name, generation, self.parts[name].claim.epoch, self.parts[name].standby, delay_s)]

    def outgrown(self, end: RoleTooLarge, view: View, now: float) -> list[Effect]:
        """It uses more memory than it may. Where another is loaded that one takes over first, and the process ends then; else now."""
        name, part = end.instance, self.parts.get(end.instance)
        if part is None or part.claim.generation != end.generation:
            return []
        ready = any(each.claim.state == READY and each.node != view.me for each in view.ledger.standbys.get(name, ()))
        if part.claim.part != HOLDER or not ready:
            return [End(name, end.generation, end.why)]
        self.gave_up[name], self.try_again_s[name] = end.why, now + OUTGROWN_S  # so that it is placed elsewhere
        return [Report("handing_over", {"instance": name, "why": end.why})]

    def record(self, name: str) -> Record:
        """The recent history of the instance's process here."""
        return self.records.setdefault(name, Record())

    # ---- changing a claim

    def _move(self, name: str, part: Part) -> None:
        """Every change of a claim's (part, state) goes through the table."""
        before = self.parts[name].where if name in self.parts else ("", "")
        if before != part.where and part.where not in claims.TRANSITIONS[before]:
            raise AssertionError(f"{name}: {before} -> {part.where} is not in the table of claims")
        self.parts[name] = part

    def _restate(self, name: str, **changes: object) -> None:
        part = self.parts[name]
        self._move(name, Part(replace(part.claim, **changes), part.standby, part.published))  # type: ignore[arg-type]

    def _state_of(self, name: str, view: View) -> Report:
        claim = self.parts[name].claim
        state = claim.state if claim.part == HOLDER else f"{self.parts[name].standby} standby, {claim.state}"
        return Report("role_state", {"instance": name, "state": state, "machine": view.names.get(view.me, ""), "epoch": claim.epoch})
