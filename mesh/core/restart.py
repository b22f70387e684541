"""When to start a role's process again: at once the first time, then more and more slowly, then not here.

A process that has played for a while has earned a clean record; one that never got that far is counted.
Decided against: a fixed number of restarts for ever (a role that crashes once a week would run out).
"""

from __future__ import annotations

from dataclasses import dataclass

FIRST_DELAY_S = 0.0
DELAY_S = 0.5  # before the second start, doubling
DELAY_MAX_S = 30.0
STABLE_S = 30.0  # played this long: the record is clean again
FAILURES_MAX = 5  # failed starts in a row until this machine gives up on the instance
GIVEN_UP_S = 60.0  # for how long, doubling each time: a camera may be plugged in again with nobody at a keyboard
GIVEN_UP_MAX_S = 1800.0


@dataclass(slots=True)
class Record:
    """The recent history of one instance's process on this machine."""

    failures: int = 0  # ended without a stable stretch, in a row
    restarts: int = 0  # of all times
    playing_since_s: float | None = None
    times_given_up: int = 0

    def given_up(self, now: float) -> float:
        """Give up here for a while; returns until when. The next failure then gives up again at once."""
        self.times_given_up += 1
        self.failures = FAILURES_MAX - 1
        return now + min(GIVEN_UP_MAX_S, GIVEN_UP_S * 2.0 ** (self.times_given_up - 1))

    def played(self, now: float) -> None:
        """The process is set up and works."""
        self.playing_since_s = now

    def ended(self, now: float) -> float | None:
        """The process ended unasked. Returns the seconds until the next start, or None: give up here."""
        stable = self.playing_since_s is not None and now - self.playing_since_s >= STABLE_S
        if stable:
            self.times_given_up = 0
        self.failures = 1 if stable else self.failures + 1
        self.playing_since_s = None
        self.restarts += 1
        if self.failures >= FAILURES_MAX:
            return None
        return FIRST_DELAY_S if self.failures == 1 else min(DELAY_MAX_S, DELAY_S * 2.0 ** (self.failures - 2))
