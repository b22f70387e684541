"""What silence does: heartbeats, suspicion, probes, deaths, and the doubt whether the fault is here.

    alive --suspect_s of silence--> suspect --dead_s of unanswered probes--> dead --knocked for, for ever--> a new life

When half or more of three or more watched peers fall silent together, this node may be the one that is cut
off: it says so and holds its verdicts for `hold_s`. Its own carrier settles that at once. With one or two
peers nothing is held: a room of two machines must fail over as fast as any. When none of the watched is heard,
nothing is known of those whom only others watch either, so that they are probed, too, and all who fell silent
together die together: a machine that is cut off would otherwise take over, one after another, for machines
that it holds alive only because nobody says otherwise. Judged only after the socket was drained, so a node that
slept hears out what has piled up before it accuses anybody.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log2

from mesh.core.effects import Effect, Report, SendControl
from mesh.core.members import ALIVE, DEAD, SECONDHAND, SUSPECT, Member, Table, hash_order
from mesh.core.messages import Beat, BeatsWanted, Digest, Probe, ProbeFor

AGES_MAX = 16
NEVER = float("inf")


@dataclass(slots=True)
class Judge:
    """Turns time that passes without a word into effects. Methods return effects; none reads a clock."""

    table: Table
    beat_due_s: float = 0.0
    knock_due_s: float = 0.0
    sync_due_s: float = 0.0
    number: int = 0
    knocked: int = 0
    told: int = 0
    carrier: bool = True
    held_since_s: float | None = None
    _judge_due_s: float = 0.0
    _judged_changes: int = -1
    _deaf: tuple[int, bool, float] = (-1, False, NEVER)  # (changes, whether none of the watched is alive, when the last fell silent)
    _stale: tuple[int, float] = (-1, 0.0)  # (changes of the table, how long one that only others watch may be silent)

    # ---- the beat, the knock, the digest

    def beat(self, now: float, version: int) -> list[Effect]:
        """One heartbeat to each observer, with how long ago each watched peer was last heard directly."""
        table = self.table
        if now < self.beat_due_s:
            return []
        late = now - self.beat_due_s
        self.beat_due_s = now + table.timing.beat_s - (late if late < table.timing.beat_s else 0.0)
        table.sequence += 1
        ages = tuple([(each.record.node, _ms(now - each.evidence.direct_s)) for each in table.watched() if each.health == ALIVE])
        me = table.me
        beat = Beat(me.node, me.boot, me.incarnation, table.sequence, version, ages[:AGES_MAX])
        effects: list[Effect] = [*table.send_to(table.observers(me.node), beat)]
        if table.sequence % table.timing.link_every == 0:
            effects += [SendControl(each.record.node, beat) for each in table.present() if now < each.wants_beats_s]
        return effects

    def knock(self, now: float) -> list[Effect]:
        """Tells a few of the dead that they are held dead. One that only could not be reached answers with a new life."""
        if now < self.knock_due_s:
            return []
        lost, count = self.table.lost(), self.table.timing.knocks_max
        self.knock_due_s = now + self.table.timing.knock_s if lost else NEVER
        first = self.knocked % max(1, len(lost))
        self.knocked += count
        chosen = [*lost[first:], *lost[:first]][:count]
        return [each for member in chosen for each in self.table.send_to([member.record.node], self.table.verdict_on(member))]

    def digest(self, now: float, version: int) -> tuple[str, Digest] | None:
        """Every `sync_s`, what this node has heard of all, for one other in turn. None when it is not time, or nobody is here."""
        beat_s, late = self.table.timing.beat_s, now - self.sync_due_s
        if late < -beat_s / 2:  # with the beat that is nearest: a wake of its own costs more
            return None
        self.sync_due_s = now + self._sync_s() - (late if late < beat_s else 0.0)
        me, present = self.table.me, self.table.present()
        if not present:
            return None
        ranked = sorted(present, key=lambda each: hash_order(each.record.node, me.node))
        self.told += 1
        entries = [(me.node, me.incarnation, version, 0)]
        entries += [
            (each.record.node, each.record.incarnation, each.state.version if each.state else 0, _ms(now - each.evidence.freshest_s))
            for each in present if each.health == ALIVE
        ]
        return ranked[self.told % len(ranked)].record.node, Digest(me.node, tuple(entries), me.boot)

    def _sync_s(self) -> float:
        timing = self.table.timing
        return timing.sync_s * max(1.0, len(self.table.present()) / timing.sync_nodes)

    # ---- judging

    def judge(self, now: float) -> list[Effect]:
        """Suspect the silent, probe the suspects, bury those whom no probe reached. Call after the socket was drained."""
        effects: list[Effect] = []
        watches = self.table.watches
        present, lately_s = self.table.present(), now - self.table.timing.suspect_s + 1e-6  # a cheap test first
        for member in present:
            if not watches(member.record.node):
                member.watched_s = None
            elif member.watched_s is None:
                member.watched_s = now
            if member.health == ALIVE and member.evidence.freshest_s <= lately_s and now >= self._doubt_due(member):
                effects += self._doubt(member, now)
        if self._hears_nobody():
            for member in self.table.present():
                if member.health == ALIVE and now >= self._doubt_due(member):
                    effects += self._doubt(member, now)
        if self.held_since_s is not None or any(member.health == SUSPECT for member in present):
            effects += self._doubt_myself(now)
        for member in self.table.present():
            if member.health == SUSPECT:
                effects += self._pursue(member, now)
            elif not watches(member.record.node):
                if now >= self._believed_due(member):
                    effects += self.table.change(member, SUSPECT, now)
                elif member.evidence.freshest_s <= lately_s and now >= self._stale_due(member):
                    effects += self._probe(member, now)
            elif member.by_link and now >= member.asked_beats_s + self.table.timing.link_ask_s:
                member.asked_beats_s = now
                effects.append(SendControl(member.record.node, BeatsWanted(self.table.me.node)))
        if self.knock_due_s == NEVER and self.table.lost():
            self.knock_due_s = now
        self._judged_changes = -1
        return effects

    def hint(self, node: str, now: float) -> list[Effect]:
        """The link to `node` broke. A reason to probe at once, but no verdict."""
        member = self.table.members.get(node)
        return self._probe(member, now) if member is not None and member.health == ALIVE else []

    def carried(self, up: bool, now: float) -> None:
        """This machine's own carrier went or came. When it comes, the dead are knocked for at once."""
        if up and not self.carrier and self.table.lost():
            self.knock_due_s = now
        self.carrier = up

    def lag(self, lag_s: float) -> None:
        """This node itself was late by `lag_s`: forgive the peers what it may have missed."""
        if lag_s > self.table.timing.beat_s / 2:
            for member in self.table.watched():
                member.evidence.forgive(lag_s, self.table.timing.lag_cap_s)

    def _doubt_due(self, member: Member) -> float:
        """When silence makes an alive member suspect. Longer for one that only others watch, as what they hear comes in turns, and not
        before it was probed in vain."""
        timing, evidence = self.table.timing, member.evidence
        if not self.table.watches(member.record.node):
            return evidence.due_s(timing.suspect_s if self._hears_nobody() else self._stale_s() + timing.dead_s)
        due = evidence.due_s(timing.link_suspect_s if member.by_link else timing.suspect_s)
        if evidence.sequence < 0:
            due = max(due, member.met_s + timing.meet_s)
        # Who has only begun to watch knows no more than hearsay: a beat or two must have had the time to come. In a room of 40 one death
        # makes 28 change whom they watch, and each was suspected by all who had never heard it themselves.
        return due if member.watched_s is None else max(due, member.watched_s + timing.suspect_s)

    def _believed_due(self, member: Member) -> float:
        """When one that only others watch is suspected because they said so, too early then, and nothing was heard of it since."""
        evidence = member.evidence
        return evidence.due_s(self.table.timing.suspect_s * SECONDHAND) if member.accused_s >= evidence.freshest_s else NEVER

    def _hears_nobody(self) -> bool:
        """Whether none of those this node watches is alive to it, so that nobody tells it of the others either."""
        if self._deaf[0] != self.table.changes:
            watched = self.table.watched()
            deaf = bool(watched) and not any(each.health == ALIVE for each in watched)
            last_s = max((each.since_s for each in self.table.present() if each.health == SUSPECT), default=NEVER) if deaf else NEVER
            self._deaf = (self.table.changes, deaf, last_s)
        return self._deaf[1]

    def _stale_due(self, member: Member) -> float:
        """When one that only others watch is probed, since nobody tells of it."""
        return max(member.evidence.due_s(self._stale_s()), member.probed_s + self.table.timing.probe_s)

    def _stale_s(self) -> float:
        if self._stale[0] != self.table.changes:
            self._stale = (self.table.changes, self.table.timing.stale_s + self._sync_s() * log2(len(self.table.members) + 1) * 2)
        return self._stale[1]

    def _doubt(self, member: Member, now: float) -> list[Effect]:
        effects = self.table.change(member, SUSPECT, now)
        return [*effects, *self.table.tell_all(self.table.verdict_on(member)), *self._probe(member, now)]

    def _probe(self, member: Member, now: float) -> list[Effect]:
        table, target = self.table, member.record.node
        member.probed_s = now
        self.number += 1
        ranked = sorted((hash_order(each.record.node, target), each.record.node) for each in table.present() if each.health == ALIVE)
        helpers = [node for _, node in ranked if node != target][: table.timing.helpers_max]
        return [
            *table.send_to([target], Probe(table.me.node, target, self.number)),
            SendControl(target, Probe(table.me.node, target, self.number)),
            *table.send_to(helpers, ProbeFor(table.me.node, target, self.number)),
        ]

    def _pursue(self, member: Member, now: float) -> list[Effect]:
        if now >= self._death_due(member):
            return [*self.table.change(member, DEAD, now), *self.table.tell_all(self.table.verdict_on(member))]
        return self._probe(member, now) if now >= member.probed_s + self.table.timing.probe_s else []

    def _death_due(self, member: Member) -> float:
        timing = self.table.timing
        patience = timing.link_dead_s if member.by_link else timing.dead_s
        due = member.since_s + patience * (1 if self.table.watches(member.record.node) else 2)
        if self._hears_nobody():
            last_s = self._deaf[2]
            due = (last_s if last_s - member.since_s <= timing.together_s else member.since_s) + patience
        return due if self.held_since_s is None else max(due, self.held_since_s + timing.dead_s + timing.hold_s)

    def _doubt_myself(self, now: float) -> list[Effect]:
        """Half or more of three or more peers silent together: the fault may be here, so the verdicts are held for a while.
        The node's own carrier settles it at once: with the cable out nobody else is to blame, and nothing is gained by waiting."""
        watched, timing = self.table.watched(), self.table.timing
        silent = [each.since_s for each in watched if each.health == SUSPECT]
        together = max((sum(1 for each in silent if 0 <= each - first <= timing.together_s) for first in silent), default=0)
        cut_off = self.carrier and len(watched) >= 3 and together * 2 >= len(watched)
        if cut_off and self.held_since_s is None:
            self.held_since_s = min(silent)
            return [Report("cut_off", {"silent": len(silent), "of": len(watched)})]
        if not cut_off and self.held_since_s is not None:
            self.held_since_s = None
            return [Report("cut_off_over", {"alive": 1 + sum(1 for each in watched if each.health == ALIVE)})]
        return []

    def next_deadline(self) -> float:
        """When `beat`, `knock` or `judge` next has something to do; a digest goes with a beat. Signs of life only put judging off, so when
        that is due is found once after each judging and each change of the table: a call too early costs less than that at every beat."""
        known = self.table.changes + self.table.accusations
        if self._judged_changes != known:
            self._judged_changes = known
            self._judge_due_s = min(map(self._due, self.table.present()), default=NEVER)
        due_s = self.beat_due_s if self.beat_due_s < self._judge_due_s else self._judge_due_s
        return self.knock_due_s if self.knock_due_s < due_s else due_s

    def _due(self, member: Member) -> float:
        if member.health == ALIVE:
            due = self._doubt_due(member)
            if not self.table.watches(member.record.node):
                return min(due, self._stale_due(member), self._believed_due(member))
            return min(due, member.asked_beats_s + self.table.timing.link_ask_s) if member.by_link else due
        return min(self._death_due(member), member.probed_s + self.table.timing.probe_s)


def _ms(seconds: float) -> int:
    return int(seconds * 1000) if seconds > 0 else 0
