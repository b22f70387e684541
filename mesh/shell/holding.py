"""Frames that came before their time, for displays that do not wait for it themselves: lights, sound, OSC, an artist's own.

A frame says when it is to be shown (`Frame.present_at_s`), and most displays need nothing but to be handed it then. Those
that prepare what they show (draw it, decode it) and wait for the moment on their own say so (`Role.keeps_time`) and get each
frame at once. What is held is bounded by number and bytes; beyond that, or for a time so far off that nobody can have meant it, a frame is
handed over at once, because showing early is better than not at all.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from mesh.shell.presenting import AHEAD_NS_MAX
from mesh.shell.room_clock import RoomClock

FRAMES_MAX, BYTES_MAX = 1000, 128 * 1024 * 1024
EARLY_NS = 5_000_000  # so long before its time the thread turns to the next one, and then waits for nothing else
NEVER = float("inf")


class Due(NamedTuple):
    """One frame, and what hands it over."""

    present_ns: int
    number: int
    size_bytes: int
    hand_over: Callable[[], None]


class Holding:
    """What waits for its time in one role's process."""

    def __init__(self, clock: RoomClock) -> None:
        self._clock = clock
        self._due: list[Due] = []
        self._bytes = 0
        self._numbers = itertools.count()

    def takes(self, present_ns: int | None, value: Any, hand_over: Callable[[], None]) -> bool:
        """Whether it is held: not where it has no time, or one that is past, mistaken, or for which there is no room."""
        if present_ns is None or not 0 < present_ns - self._clock.now_ns() < AHEAD_NS_MAX:
            return False
        size_bytes = int(getattr(value, "nbytes", 0)) or (len(value) if isinstance(value, str | bytes) else 0)
        if len(self._due) >= FRAMES_MAX or self._bytes + size_bytes > BYTES_MAX:
            return False
        self._bytes += size_bytes
        heapq.heappush(self._due, Due(present_ns, next(self._numbers), size_bytes, hand_over))
        return True

    def due_s(self) -> float:
        """When `next` has something, in seconds of the steady clock."""
        if not self._due:
            return NEVER
        return time.monotonic() + (self._due[0].present_ns - EARLY_NS - self._clock.now_ns()) / 1e9

    def next(self) -> Due | None:
        """The first whose time has all but come; of equal times the one that came first."""
        if not self._due or self._due[0].present_ns - EARLY_NS > self._clock.now_ns():
            return None
        due = heapq.heappop(self._due)
        self._bytes -= due.size_bytes
        return due

    def clear(self) -> None:
        """Nothing of it is shown any more."""
        self._due.clear()
        self._bytes = 0
