"""Which revision of the deployment this machine fetches, and which it plays.

A revision is (number, hash). Two statements about one exist, each signed by the owner of the installation's key, for code in
a deployment runs on every machine: that it is *offered* (to be fetched, so that it lies ready), and that it is *ordered* (to be
played). Each node adopts the highest of either that anybody here has adopted, and says so in its own state: so both are told
onward by whoever heard them, also when the machine at which they were given has died since. Whoever has the ordered one whole
and found good plays it at once; whoever has not goes on as it was, fetches it, and then does. So all switch
together when all were ready, and who was off catches up when it returns.

Where two sides were given different revisions while they could not talk, the higher pair wins on both; the other stays on
the disks that have it, is named in `status`, and can be rolled back to. An order to roll back is an order like any: a higher
number with an earlier hash. A folder that a machine was started with counts as number 1 and needs no signature: it concerns
that machine alone.

Whether a signature is good is asked of `trusts`, since cryptography is not for this room. Decided against: a coordinator
that counts who is ready (it may die; the owner's command counts, and nothing changes if it dies), a vote (there is
no quorum in a room), and numbers alone (two sides would use the same one).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from mesh.core.effects import Effect, Fetch, Play, Prune, Report, Save
from mesh.core.events import Offered, RevisionFailed, RevisionReady
from mesh.core.manifest import is_hash
from mesh.core.messages import NodeState, Signed

KEPT = 3  # revisions that lie on a disk besides one on its way
HISTORY_MAX = 16
AGAIN_S = 30.0
NEVER = float("inf")
FETCH, PLAY = "fetch", "play"
BY_HAND = 1
NOTHING = Signed()


def signed_words(purpose: str, number: int, revision: str) -> bytes:
    """What is signed, for the purpose "fetch" or "play"."""
    return f"roomful-revision-1 {purpose} {number} {revision}".encode()


def nobody(purpose: str, statement: Signed) -> bool:
    """Trusts nothing: for a node that was given no key to check by."""
    return False


def rank(statement: Signed) -> tuple[int, str]:
    """The higher wins."""
    return (statement.number, statement.hash)


@dataclass(slots=True)
class Distribution:
    """One node's revisions. `saved` is what an earlier life kept: "offered", "ordered", "history"."""

    trusts: Callable[[str, Signed], bool] = nobody
    saved: dict[str, Any] = field(default_factory=dict)
    offered: Signed = NOTHING
    ordered: Signed = NOTHING
    playing: tuple[int, str] = (0, "")
    ready: set[str] = field(default_factory=set)
    cannot: dict[str, str] = field(default_factory=dict)
    again_s: dict[str, float] = field(default_factory=dict)
    history: list[tuple[int, str]] = field(default_factory=list)  # what was played here, the last at the end
    fetching: str = ""
    switching: tuple[int, str] = (0, "")
    _refused: set[tuple[str, Signed]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.offered = self._kept("offered", FETCH)
        self.ordered = self._kept("ordered", PLAY)
        for row in self.saved.get("history") or []:
            if isinstance(row, (list, tuple)) and len(row) == 2 and isinstance(row[0], int) and is_hash(row[1]):
                self.history.append((row[0], row[1]))

    def _kept(self, key: str, purpose: str) -> Signed:
        row = self.saved.get(key)
        if not isinstance(row, (list, tuple)) or len(row) != 3 or not isinstance(row[0], int) or not is_hash(row[1]):
            return NOTHING
        try:
            statement = Signed(row[0], row[1], bytes.fromhex(row[2]))
        except (ValueError, TypeError):
            return NOTHING
        return statement if self.trusts(purpose, statement) else NOTHING

    # ---- what happens

    def take(self, event: Offered | RevisionReady | RevisionFailed, now: float) -> list[Effect]:
        """Take in what was said at this node, or what its disk holds."""
        match event:
            case Offered():
                return self._adopt(event.purpose, event.statement)
            case RevisionReady():
                self.ready.add(event.hash)
                self.cannot.pop(event.hash, None)
                self.again_s.pop(event.hash, None)
                if self.fetching == event.hash:
                    self.fetching = ""
                    return [Report("revision", {"state": "ready", "number": self.number_of(event.hash), "hash": event.hash, "why": ""})]
            case RevisionFailed():
                self.ready.discard(event.hash)
                self.cannot[event.hash] = event.why
                self.again_s[event.hash] = now + AGAIN_S
                self.fetching = "" if self.fetching == event.hash else self.fetching
                self.switching = (0, "") if self.switching[1] == event.hash else self.switching
                said = {"state": "cannot", "number": self.number_of(event.hash), "hash": event.hash, "why": event.why}
                return [Report("revision", said)]
        return []

    def reads(self, revision: tuple[int, str]) -> list[Effect]:
        """From now on this revision is played here."""
        before, self.playing, self.switching = self.playing, revision, (0, "")
        self.ready.add(revision[1])
        self.cannot.pop(revision[1], None)
        if self.history[-1:] != [revision]:
            self.history = [*[each for each in self.history if each != revision], revision][-HISTORY_MAX:]
        self.ready &= set(self.keeps())
        effects: list[Effect] = [Save("history", [list(each) for each in self.history]), Prune(self.keeps())]
        if before[1] and before != revision:
            effects.append(Report("revision", {"state": "playing", "number": revision[0], "hash": revision[1], "why": ""}))
            if before[0] == revision[0]:
                effects.append(Report("revisions_met", {"number": revision[0], "hash": revision[1], "kept": before[1]}))
        return effects

    def look(self, states: Iterable[NodeState], now: float) -> list[Effect]:
        """Adopt the highest of what the others have adopted; fetch and play what follows from it."""
        effects: list[Effect] = []
        for state in states:
            if state.offered != self.offered and rank(state.offered) > max(rank(self.offered), rank(self.ordered)):
                effects += self._adopt(FETCH, state.offered)
            if state.ordered != self.ordered and rank(state.ordered) > rank(self.ordered):
                effects += self._adopt(PLAY, state.ordered)
        wanted = self.wanted()
        if wanted is None:
            return effects
        if wanted.hash in self.ready:
            if rank(self.ordered) > self.playing and wanted == self.ordered and self.switching != rank(wanted):
                self.switching = rank(wanted)
                effects.append(Play(*rank(wanted)))
        elif self.fetching != wanted.hash and now >= self.again_s.get(wanted.hash, 0.0):
            self.fetching = wanted.hash
            effects.append(Fetch(*rank(wanted)))
        return effects

    def wanted(self) -> Signed | None:
        """The revision that should lie here, and may not yet: what is ordered, then what is offered above it."""
        if self.ordered.hash and rank(self.ordered) > self.playing:
            return self.ordered
        if self.offered.hash and rank(self.offered) > max(rank(self.ordered), self.playing):
            return self.offered
        return None

    def next_due(self) -> float:
        """When time alone changes something: what failed is tried again."""
        wanted = self.wanted()
        if wanted is None or wanted.hash in self.ready or self.fetching == wanted.hash:
            return NEVER
        return self.again_s.get(wanted.hash, 0.0)

    def _adopt(self, purpose: str, statement: Signed) -> list[Effect]:
        if not is_hash(statement.hash) or (purpose, statement) in self._refused:
            return []
        known = self.offered if purpose == FETCH else self.ordered
        if rank(statement) <= rank(known):
            return []
        if not self.trusts(purpose, statement):
            if len(self._refused) < HISTORY_MAX:
                self._refused.add((purpose, statement))
            what = f"revision {statement.number} ({statement.hash[:8]}) is not signed by the owner of the key: it was refused"
            return [Report("alarm", {"what": what})]
        key = "offered" if purpose == FETCH else "ordered"
        setattr(self, key, statement)
        # Whoever sends it again has mended what was the matter, or is told anew; what is not wanted any more is nobody's concern.
        wanted = {self.offered.hash, self.ordered.hash} - {statement.hash}
        self.cannot = {revision: why for revision, why in self.cannot.items() if revision in wanted}
        self.again_s = {revision: when for revision, when in self.again_s.items() if revision in wanted}
        saved = Save(key, [statement.number, statement.hash, statement.signature.hex()])
        return [saved, Report("revision", {"state": key, "number": statement.number, "hash": statement.hash, "why": ""})]

    # ---- looking

    def said(self) -> dict[str, Any]:
        """What this node says of it in its state."""
        return {
            "offered": self.offered, "ordered": self.ordered, "ready": tuple(sorted(self.ready)),
            "cannot": tuple(sorted((revision, why[:400]) for revision, why in self.cannot.items())),
        }

    def keeps(self) -> tuple[str, ...]:
        """The revisions whose files stay on this disk: what is played, what is wanted, and the last before them."""
        wanted = [each.hash for each in (self.ordered, self.offered) if each.hash and rank(each) >= self.playing]
        before = [revision for _, revision in reversed(self.history)]
        return tuple(dict.fromkeys([self.playing[1], *wanted, *list(dict.fromkeys(before))[:KEPT]]))

    def number_of(self, revision: str) -> int:
        """The highest number under which a revision is known here."""
        known = [(each.number, each.hash) for each in (self.offered, self.ordered)] + self.history
        return max((number for number, each in known if each == revision), default=0)

    def others(self) -> list[tuple[int, str]]:
        """The revisions that lie here and are not played, the latest first: any of them can be rolled back to."""
        return sorted(((self.number_of(each), each) for each in self.ready if each != self.playing[1]), reverse=True)

    def previous(self) -> str:
        """The revision that was played before the one that is played now; "" when there was none, or it is not here."""
        before = [each for _, each in self.history if each != self.playing[1] and each in self.ready]
        return before[-1] if before else ""
