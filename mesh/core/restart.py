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


@dataclass(slots=True)
class Record:
    """The recent history of one instance's process on this machine."""

    failures: int = 0  # ended without a stable stretch, in a row
    restarts: int = 0  # of all times
    playing_since_s: float | None = None

    def played(self, now: float) -> None:
        """The process is set up and works."""
        self.playing_since_s = now

    def ended(self, now: float) -> float | None:
        """The process ended unasked. Returns the seconds until the next start, or None: give up here."""
        stable = self.playing_since_s is not None and now - self.playing_since_s >= STABLE_S
        self.failures = 1 if stable else self.failures + 1
        self.playing_since_s = None
        self.restarts += 1
        if self.failures >= FAILURES_MAX:
            return None
        return FIRST_DELAY_S if self.failures == 1 else min(DELAY_MAX_S, DELAY_S * 2 ** (self.failures - 2))
