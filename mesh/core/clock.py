"""The room's time on one machine: how it runs there, and how far another machine's clock is from one's own.

Two small things that the agreement in `timekeeping.py` is made of. A `Course` says what the room's time is at each moment of a
machine's own steady clock: a straight line, and on it a correction that is spread out (slewed), so that the time never steps
back and hardly ever forward. An `OffsetMeter` learns from questions and answers (four timestamps each, as NTP's, RFC 5905) by how
much another machine's clock is ahead.

An answer cannot arrive before it was sent. So each exchange says for certain that the offset lies between two values, and they lie as
far apart as the way there and back took. The meter keeps many such pairs, lets each grow with its age by what the drift is not known
to, and takes what all of them allow (Marzullo 1984): the quickest way there and the quickest way back count, wherever each was met, and
half of what remains is an error that is never exceeded. Decided against: NTP's clock filter, which believes the whole exchange that
was quickest. With jitter both ways it needs the square of the exchanges for the same error. And against assuming that both ways are
equally long: they are not, and the stated error says so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

DRIFT_MAX = 500e-6  # two steady clocks never run further apart than this: 100 ppm each are usual, NTP slews by 500
WANDER = 3e-6  # a drift that was measured may have changed by so much since, with the temperature
SAMPLES_MAX = 128
WAY_MAX_S = 2.0  # a question that took longer teaches nothing
ANCHOR_S, ANCHORS_MAX = 5.0, 48  # the drift is measured against estimates up to four minutes old
SLEW_MAX = 0.02  # the room's time runs at most so much faster or slower while it is corrected
AIM_S = 1.0  # a correction is spread over at least this
PACE_MAX = 2 * DRIFT_MAX  # of the room's time against any one clock
TIME_MAX_S = 1e12


@dataclass(frozen=True, slots=True)
class Course:
    """The room's time as a function of a machine's steady clock, in seconds.

    At `at_s` it is `room_s`; from there it runs at 1 + `pace`, and `slew_s` more (or less) is spread over the next `over_s`.
    """

    at_s: float = 0.0
    room_s: float = 0.0
    pace: float = 0.0
    slew_s: float = 0.0
    over_s: float = AIM_S

    def read(self, local_s: float) -> float:
        """The room's time when the steady clock shows `local_s`. Grows with it, from `at_s` on."""
        passed_s = local_s - self.at_s
        slewed = 0.0 if passed_s <= 0 else 1.0 if passed_s >= self.over_s else passed_s / self.over_s
        return self.room_s + passed_s * (1.0 + self.pace) + self.slew_s * slewed

    def left_s(self, local_s: float) -> float:
        """How much of the correction is still to come."""
        passed = (local_s - self.at_s) / self.over_s
        return self.slew_s * (1.0 - min(1.0, max(0.0, passed)))

    def towards(self, local_s: float, aim_s: float, pace: float) -> Course:
        """Goes on from here without a step, so as to show `aim_s` in AIM_S seconds, or as soon after as SLEW_MAX allows."""
        room_s = self.read(local_s)
        slew_s = aim_s - (room_s + AIM_S * (1.0 + pace))
        return Course(local_s, room_s, pace, slew_s, max(AIM_S, abs(slew_s) / SLEW_MAX))

    def as_order(self) -> dict[str, Any]:
        """For the processes of this machine, whose steady clock is the same."""
        return {
            "type": "clock", "at_s": self.at_s, "room_s": self.room_s, "pace": self.pace, "slew_s": self.slew_s, "over_s": self.over_s,
        }  # fmt: skip


def course_of(order: Mapping[str, Any]) -> Course:
    """The course in an order. Raises LookupError, TypeError or ValueError for what is none."""
    course = Course(*(float(order[key]) for key in ("at_s", "room_s", "pace", "slew_s", "over_s")))
    sound = abs(course.at_s) < TIME_MAX_S and abs(course.room_s) < TIME_MAX_S and AIM_S <= course.over_s < TIME_MAX_S
    if not (sound and abs(course.pace) <= PACE_MAX and abs(course.slew_s) <= course.over_s / 2):
        raise ValueError("a course on which no clock of a room runs")
    return course


@dataclass(frozen=True, slots=True)
class Estimate:
    """By how much another clock is ahead at a moment `at_s` of one's own, give or take `doubt_s`; and how that changes."""

    at_s: float
    offset_s: float
    doubt_s: float
    drift: float
    drift_doubt: float

    def offset_at(self, now: float) -> float:
        """By how much it is ahead at `now`, if nothing more is heard."""
        return self.offset_s + self.drift * (now - self.at_s)

    def doubt_at(self, now: float) -> float:
        """…and by how much that may be wrong."""
        return self.doubt_s + self.drift_doubt * abs(now - self.at_s)


@dataclass(slots=True)
class OffsetMeter:
    """One other machine's steady clock against one's own."""

    drift: float = 0.0
    drift_doubt: float = DRIFT_MAX
    estimate: Estimate | None = None
    _samples: deque[tuple[float, float, float]] = field(default_factory=lambda: deque(maxlen=SAMPLES_MAX))
    _anchors: deque[Estimate] = field(default_factory=lambda: deque(maxlen=ANCHORS_MAX))

    @property
    def count(self) -> int:
        """How many exchanges count now."""
        return len(self._samples)

    def add(self, asked_s: float, heard_s: float, answered_s: float, now: float) -> Estimate | None:
        """One exchange: asked and answer received by one's own clock (`asked_s`, `now`), heard and answered by the other's.
        The new estimate; the old one when this exchange teaches nothing."""
        way_s = now - asked_s
        least, most = answered_s - now, heard_s - asked_s
        if not 0.0 <= way_s <= WAY_MAX_S or least > most + DRIFT_MAX * way_s:
            return self.estimate
        slack = DRIFT_MAX * way_s  # the two ends of the exchange lie that far apart in time
        self._samples.append((now, least - slack, most + slack))
        least, most = self._bounds(now)
        self.estimate = Estimate(now, (least + most) / 2, (most - least) / 2, self.drift, self.drift_doubt)
        self._measure_drift(self.estimate)
        return self.estimate

    def _bounds(self, now: float) -> tuple[float, float]:
        """What all exchanges allow. Older ones that contradict newer ones are forgotten: a clock has been stopped or its pace changed."""
        least, most = float("-inf"), float("inf")
        for index in range(len(self._samples) - 1, -1, -1):
            at_s, low, high = self._samples[index]
            age_s = now - at_s
            low += (self.drift - self.drift_doubt) * age_s
            high += (self.drift + self.drift_doubt) * age_s
            if max(low, least) > min(high, most):
                for _ in range(index + 1):
                    self._samples.popleft()
                self._anchors.clear()
                self.drift_doubt = DRIFT_MAX
                break
            least, most = max(low, least), min(high, most)
        return least, most

    def _measure_drift(self, newest: Estimate) -> None:
        if not self._anchors or newest.at_s - self._anchors[-1].at_s >= ANCHOR_S:
            self._anchors.append(newest)
        best, drift = DRIFT_MAX, self.drift
        for anchor in self._anchors:
            passed_s = newest.at_s - anchor.at_s
            if passed_s >= ANCHOR_S:
                doubt = (newest.doubt_s + anchor.doubt_s) / passed_s + WANDER
                if doubt < best:
                    best, drift = doubt, (newest.offset_s - anchor.offset_s) / passed_s
        if best < DRIFT_MAX:
            self.drift, self.drift_doubt = drift, best
