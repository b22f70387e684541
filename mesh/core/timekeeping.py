"""How the whole room agrees on one time without a master: who asks whom for it, and what follows from the answer.

Those who keep the time stand in one order, that of their ids, which everyone knows, since each says in its state whether it keeps
the time. The first of them is the reference and follows nobody. Each other asks one of those before it (the k-th asks number
(k - 1) / FAN, so that nobody is asked by many and 256 nodes lie within four steps), a few times a second, by a datagram that is
answered at once. When the reference dies, the next simply follows nobody any more: its time runs on as it ran, and nobody notices.
Who arrives follows first and keeps the time only when it has followed for KEEP_S, so that nobody is led by a clock that has hardly
been compared.

The room's time begins as one machine's wall clock, and never goes back. Until a node has it, its roles are told the steady clock's own
seconds since the machine was started, which are less. Two rooms that meet may be months apart, since many small machines have no battery:
then the time that is *ahead* wins, and whoever is more than AHEAD_S behind it leaps forward. A clock without a battery is behind.
Less is slewed.

What a node states as its doubt is how far it may be from the reference: what its own exchanges leave open, what its source
stated, and what it has yet to slew. Decided against: the heartbeats themselves (they go to five neighbours, and in a large room
the groups of neighbours do not touch), a weighted mean of all (one bad clock moves everyone), and an election (the order needs none).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mesh.core.clock import AIM_S, PACE_MAX, Course, Estimate, OffsetMeter
from mesh.core.effects import ClockSet, Effect, Report, SendControl, SendDatagram
from mesh.core.members import Member, Table
from mesh.core.messages import ClockAsk, ClockTold

FAN = 5  # at most so many ask one node, and a few that are new
ASK_S, ASK_SOON_S, SOON = 0.5, 0.1, 60  # between two questions; the first so many come faster
FOLLOWED_MIN = 4  # exchanges before a node takes the time over
KEEP_S = 20.0  # so long a node has followed before others follow it, where others keep the time
ALONE_S = 5.0  # so long a node waits for the first in order to begin a time, before it does so itself
UNANSWERED_MAX = 3  # questions in a row before another is asked
AHEAD_S = 1.0
EARLIEST_S = 1.75e9  # a wall clock that shows less was never set
ENOUGH_S = 20e-6  # a correction that makes less than this is left out: the roles need not hear of it
METERS_MAX = 8
NEVER = float("inf")


@dataclass(slots=True)
class Timekeeper:
    """One node's part. `wall_s` is what its wall clock showed at its steady clock's 0. `keeps` goes out with the node's state."""

    table: Table
    started_s: float
    wall_s: float = 0.0
    listen_s: float = 1.0
    course: Course = field(default_factory=Course)
    known: bool = False  # the room's time is known here
    keeps: bool = False  # …and others may follow it
    source: str = ""  # the node that is followed, "" for none
    reference: str = ""
    steps: int = 0  # from the reference
    meters: dict[str, OffsetMeter] = field(default_factory=dict)
    due_s: float = 0.0
    number: int = 0
    asked: tuple[str, int, float] | None = None  # whom, with which number, when
    unanswered: int = 0
    answers: int = 0
    followed_s: float = NEVER  # since when the time is known here by another's word
    _source_doubt_s: float = 0.0
    _estimate: Estimate | None = None

    # ---- asking

    def ask(self, now: float, early_s: float = 0.0) -> list[Effect]:
        """When it is time, give or take `early_s`: ask the one that is followed, or begin the room's time. Sets `keeps`."""
        if now < self.due_s - early_s:
            return []
        leads = self.known and not self.source
        self.due_s = now + (ASK_S if leads or self.answers >= SOON else ASK_SOON_S)
        keepers = [each.record.node for each in self.table.present() if each.state is not None and each.state.keeps_time]
        if not keepers:
            return self._lead(now) if self.known or self._may_begin(now) else []
        me = self.table.me.node
        if self.keeps and me < keepers[0]:
            return self._lead(now)
        if self.known and not self.keeps and now - self.followed_s >= KEEP_S:
            self.keeps = True
        return self._ask_one(sorted({me, *keepers}), now)

    def _may_begin(self, now: float) -> bool:
        """Nobody keeps the time: the first in order of all that are here begins one, once it has listened."""
        here = self.table.present()
        first = all(self.table.me.node < each.record.node for each in here)
        waited_s = now - self.started_s
        return waited_s >= ALONE_S or (waited_s >= self.listen_s and first and all(each.state is not None for each in here))

    def _lead(self, now: float) -> list[Effect]:
        """Follow nobody: the time runs on as it runs."""
        self.keeps, self.source, self.asked, self._estimate = True, "", None, None
        self.reference, self.steps, self._source_doubt_s = self.table.me.node, 0, 0.0
        if self.known:
            return []
        return self._leap(now, max(EARLIEST_S, self.wall_s + now), 0.0)

    def _ask_one(self, order: list[str], now: float) -> list[Effect]:
        if self.asked is not None:
            self.unanswered += 1
        place = order.index(self.table.me.node)
        before = order[:place] or order[1:2]  # a newcomer that will be first follows the one that is
        usual = (place - 1) // FAN if place else 0
        chosen = before[(usual + self.unanswered // UNANSWERED_MAX) % len(before)]
        member = self.table.members[chosen]
        self.number += 1
        self.asked = (chosen, self.number, now)
        shown_s = self.course.read(now) if self.known else 0.0
        return [_send(member, member.address if not member.by_link else "", ClockAsk(self.table.me.node, self.number, shown_s))]

    # ---- answering

    def on_ask(self, ask: ClockAsk, address: str, heard_s: float, now: float) -> list[Effect]:
        """Answer what came at `heard_s`; and if the asker's time is far ahead, go on from there."""
        member = self.table.members.get(ask.node)
        if member is None or not self.known:
            return []
        effects = self._leap(now, ask.shown_s, self.course.pace) if ask.shown_s > self.course.read(now) + AHEAD_S else []
        course = self.course
        told = ClockTold(
            self.table.me.node, ask.number, heard_s, now, course.at_s, course.room_s, course.pace, course.slew_s, course.over_s,
            self.doubt_s(now), self.reference, self.steps,
        )  # fmt: skip
        return [_send(member, address, told), *effects]

    def on_told(self, told: ClockTold, now: float) -> list[Effect]:
        """An answer that came at `now`: compare the clocks, and follow."""
        if self.asked is None or self.asked[:2] != (told.node, told.number):
            return []
        asked_s, self.asked, self.unanswered = self.asked[2], None, 0
        if told.node not in self.meters:
            while len(self.meters) >= METERS_MAX:
                del self.meters[next(iter(self.meters))]
            self.meters[told.node] = OffsetMeter()
        meter = self.meters[told.node]
        estimate = meter.add(asked_s, told.heard_s, told.sent_s, now)
        if estimate is None:
            return []
        self.answers += 1
        if meter.count < FOLLOWED_MIN and self.source != told.node:
            return []
        self.source, self.reference, self.steps = told.node, told.reference, told.steps + 1
        self._source_doubt_s, self._estimate = told.doubt_s, estimate
        return self._follow(Course(told.at_s, told.room_s, told.pace, told.slew_s, told.over_s), estimate, now)

    # ---- following

    def _follow(self, theirs: Course, estimate: Estimate, now: float) -> list[Effect]:
        there_s, ahead_s = now + estimate.offset_s, now + AIM_S
        pace = max(-PACE_MAX, min(PACE_MAX, (1.0 + theirs.pace) * (1.0 + estimate.drift) - 1.0))
        if not self.known:
            self.followed_s = now
            return self._leap(now, theirs.read(there_s), pace)
        gap_s = theirs.read(there_s) - self.course.read(now)
        if gap_s > AHEAD_S:
            return self._leap(now, theirs.read(there_s), pace)
        if gap_s < -AHEAD_S:
            self._source_doubt_s = -gap_s
            return []  # it has heard how far ahead this node is, and will leap
        better = self.course.towards(now, theirs.read(ahead_s + estimate.offset_at(ahead_s)), pace)
        if all(abs(better.read(then_s) - self.course.read(then_s)) < ENOUGH_S for then_s in (ahead_s, now + 4 * AIM_S)):
            return []
        self.course = better
        return [ClockSet(better)]

    def _leap(self, now: float, room_s: float, pace: float) -> list[Effect]:
        """Forward at once; never back."""
        by_s = room_s - self.course.read(now)
        self.course = Course(now, max(room_s, self.course.read(now)), pace)
        said: list[Effect] = [Report("clock", {"leapt_s": round(by_s, 3)})] if self.known else []
        self.known = True
        return [*said, ClockSet(self.course)]

    # ---- what is known of it

    def doubt_s(self, now: float) -> float:
        """How far the time shown here may be from the reference's at most, in seconds."""
        if not self.known:
            return NEVER
        own_s = self._estimate.doubt_at(now) if self._estimate is not None else 0.0
        return self._source_doubt_s + own_s + abs(self.course.left_s(now))

    def described(self, now: float, names: Mapping[str, str]) -> dict[str, Any]:
        """For people and `--json`: whom it follows, over how many steps, how far it may be off, and how its own clock drifts."""
        leads = self.known and not self.source
        doubt_ms = round(self.doubt_s(now) * 1000, 3) if self.known else None
        reference = names.get(self.reference, self.reference[:8])
        if doubt_ms is None:
            words = "waits for the room's time"
        else:
            words = "the others follow it" if leads else f"{doubt_ms} ms from {reference} at most"
        drift = self._estimate.drift if self._estimate is not None else 0.0
        return {
            "known": self.known, "reference": reference, "steps": self.steps, "doubt_ms": doubt_ms,
            "drift_ppm": round(-drift * 1e6, 2), "words": words,
        }  # fmt: skip


def _send(member: Member, address: str, message: ClockAsk | ClockTold) -> Effect:
    """By datagram where datagrams pass, else over the link."""
    if not address:
        return SendControl(member.record.node, message)
    return SendDatagram(address, member.record.beat_port, message, member.record.node)
