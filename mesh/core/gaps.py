"""How long the audience could notice: the interval between frames around a change of holder.

Measured where it is felt, from the times at which frames arrived at the consumer: the longest interval between
two accepted frames within a second of the change, less the median interval before it. Decided against: the time from
fault to claim, which is what others quote and what nobody sees.

A stream with pauses of its own (speech in pieces) has no usual interval: then its longest pause before is what visitors were
used to, and only what goes beyond that is a gap. Answers of several copies are measured together, and within one utterance: the
time between two of them is the asker's, and which copy gives the next is nobody's loss.
"""

from __future__ import annotations

from collections import deque
from statistics import median
from typing import NamedTuple

AROUND_S = 1.0
KEPT = 64
UNEVEN = 5.0  # times the median: one interval in ten above this, and the stream has pauses of its own


class Gap(NamedTuple):
    """A change of holder as heard: from which node to which, and the time that could be noticed."""

    instance: str
    gap_ms: float
    before: str
    after: str


class GapMeter:
    """One instance of one input. `arrived` at each accepted frame; `due` now and then."""

    def __init__(self, instance: str) -> None:
        self._instance = instance
        self._intervals: deque[tuple[float, float]] = deque(maxlen=KEPT)  # (when it ended, how long it was)
        self._last_s: float | None = None
        self._utterance: str | None = None
        self._holder: tuple[str, int] | None = None
        self._until_s: float | None = None
        self._longest_s = self._usual_s = 0.0
        self._before = self._after = ""

    def arrived(self, holder: tuple[str, int], now: float, utterance: str | None = None) -> None:
        """A frame of this (node, generation) was accepted; a piece of this utterance, if it is one."""
        last_s = self._last_s
        self._last_s = now
        if utterance != self._utterance:
            self._utterance, last_s = utterance, None
        if last_s is None:
            self._holder = holder
            return
        interval_s = now - last_s
        if holder != self._holder:
            self._change(holder, interval_s, now)
        elif self._until_s is not None:
            self._longest_s = max(self._longest_s, interval_s)
        self._intervals.append((now, interval_s))

    def _change(self, holder: tuple[str, int], interval_s: float, now: float) -> None:
        if self._until_s is None:  # another change within the second belongs to the same gap
            around = [length for end, length in self._intervals if end >= now - AROUND_S]
            self._usual_s = _usual_s([length for end, length in self._intervals if end < now - AROUND_S] or
                                     [length for _, length in self._intervals] or [interval_s])
            self._longest_s = max([interval_s, *around])
            self._before = self._holder[0] if self._holder else ""
        self._longest_s = max(self._longest_s, interval_s)
        self._until_s, self._after, self._holder = now + AROUND_S, holder[0], holder

    @property
    def waits(self) -> bool:
        """Whether a change was heard whose second is not over."""
        return self._until_s is not None

    def due(self, now: float) -> Gap | None:
        """The gap of a change whose second is over, once."""
        if self._until_s is None or now < self._until_s:
            return None
        self._until_s = None
        return Gap(self._instance, max(0.0, self._longest_s - self._usual_s) * 1000, self._before, self._after)


def _usual_s(lengths: list[float]) -> float:
    """The interval that nobody notices."""
    middle, ordered = median(lengths), sorted(lengths)
    return ordered[-1] if ordered[len(ordered) * 9 // 10] > UNEVEN * middle else middle
