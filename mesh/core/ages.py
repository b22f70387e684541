"""How old frames are when they arrive: from the moment at which a sensor saw something to the moment at which a role has it.

A frame carries when it was captured, in the room's time, and every role that answers a frame with a frame hands that on. So what an
input measures is the whole way from the sensor to here, not one hop. Kept is a running window, for a median and a p99 that
forget last night. Decided against: measuring every frame (a clock read more for each of thousands a second, for a figure that is looked at
now and then).
"""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

KEPT = 256
EVERY_S = 0.05  # of a fast stream not every frame is measured
BELIEVED_S = 3600.0  # older, or younger than nothing: captured before the room's time was known here


class Age(NamedTuple):
    """Milliseconds, of the last so many frames that were measured."""

    median_ms: float
    p99_ms: float
    measured: int


class AgeMeter:
    """One input's."""

    __slots__ = ("_ages", "due_s")

    def __init__(self) -> None:
        self._ages: deque[float] = deque(maxlen=KEPT)
        self.due_s = 0.0

    def note(self, age_s: float, now: float) -> None:
        """A frame of this age came at `now`. Call it when `now` has reached `due_s`."""
        self.due_s = now + EVERY_S
        if -0.1 <= age_s < BELIEVED_S:
            self._ages.append(age_s)

    def age(self) -> Age | None:
        """What was measured; None where nothing was."""
        ranked = sorted(self._ages)
        if not ranked:
            return None
        middle, high = ranked[len(ranked) // 2], ranked[max(0, math.ceil(0.99 * len(ranked)) - 1)]
        return Age(round(middle * 1000, 2), round(high * 1000, 2), len(ranked))
