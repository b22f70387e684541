"""The room's time in a role's process: read at every frame, so in whole nanoseconds and with as little arithmetic as can be.

Every process of a machine reads the same steady clock, so all show the same time on it, and none has to ask anybody for it.
"""

from __future__ import annotations

import time

from mesh.core.clock import Course


class RoomClock:
    """Seconds of the room, by the course that the agent gave last. Never goes back."""

    __slots__ = ("_after_ns", "_at_ns", "_last_ns", "_over_ns", "_pace", "_room_ns", "_slew")

    def __init__(self, course: Course | None = None) -> None:
        """Without a course it shows the wall clock's time."""
        self._last_ns = 0
        self.follow(course or Course(0.0, (time.time_ns() - time.monotonic_ns()) / 1e9))

    def follow(self, course: Course) -> None:
        """A better course. Where it shows less than was shown already, the clock stands until the room has caught up."""
        self._at_ns, self._room_ns = int(course.at_s * 1e9), int(course.room_s * 1e9)
        self._over_ns, self._pace = int(course.over_s * 1e9), course.pace
        self._slew = course.slew_s / course.over_s
        self._after_ns = self._room_ns + int(course.slew_s * 1e9)

    def now_ns(self) -> int:
        """Nanoseconds of the room."""
        passed_ns = time.monotonic_ns() - self._at_ns
        if passed_ns >= self._over_ns:
            now_ns = self._after_ns + passed_ns + int(passed_ns * self._pace)
        else:
            now_ns = self._room_ns + passed_ns + int(passed_ns * (self._pace + (self._slew if passed_ns > 0 else 0.0)))
        if now_ns < self._last_ns:
            return self._last_ns
        self._last_ns = now_ns
        return now_ns
