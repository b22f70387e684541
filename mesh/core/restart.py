"""When to start a role's process again: at once the first time, then more and more slowly, then not here.

A process that has played for a while has earned a clean record; one that never got that far is counted. A role that runs
but does not work (`Role.faulty`) has earned nothing by running: a fresh process cures most of that, and where it does not,
a third one would not either, so the second such fault in a row leaves the role to another machine. Decided against: a fixed
number of restarts for ever (a role that crashes once a week would run out).
"""

from __future__ import annotations

from dataclasses import dataclass

FIRST_DELAY_S = 0.0
DELAY_S = 0.5  # before the second start, doubling
DELAY_MAX_S = 30.0
STABLE_S = 30.0  # played this long: the record is clean again
FAULTS_MAX = 2  # times in a row that it ran without working until this machine gives up on the instance
UNPROVEN_S = 600.0  # a role that never says that it works must have played this long between two faults
FAILURES_MAX = 5  # failed starts in a row until this machine gives up on the instance
GIVEN_UP_S = 60.0  # for how long, doubling each time: a camera may be plugged in again with nobody at a keyboard
GIVEN_UP_MAX_S = 1800.0
ALONE_S = 20.0  # for how long at most where no other machine could play it: nobody is served by waiting


@dataclass(slots=True)
class Record:
    """The recent history of one instance's process on this machine."""

    failures: int = 0  # ended without a stable stretch, in a row
    faults: int = 0  # ended because it did not work, in a row
    restarts: int = 0  # of all times
    playing_since_s: float | None = None
    times_given_up: int = 0

    def given_up(self, now: float, *, alone: bool = False) -> float:
        """Give up here for a while; returns until when. The next failure then gives up again at once.

        `alone`: no other machine could play it."""
        self.times_given_up += 1
        self.failures, self.faults = FAILURES_MAX - 1, FAULTS_MAX - 1
        wait_s = GIVEN_UP_S * 2.0 ** min(self.times_given_up - 1, 10)
        return now + min(ALONE_S if alone else GIVEN_UP_MAX_S, wait_s)

    def played(self, now: float) -> None:
        """The process is set up and works."""
        self.playing_since_s = now

    def edited(self) -> float:
        """The process ended because what it shows was edited. Returns the seconds until the next start: none, and nothing is held
        against it."""
        self.playing_since_s = None
        self.restarts += 1
        return FIRST_DELAY_S

    def ended(self, now: float, *, faulty: bool = False, worked_s: float | None = None) -> float | None:
        """The process ended unasked. Returns the seconds until the next start, or None: give up here.

        `faulty`: it was ended because it did not work; `worked_s`: for how long it had said that it does, None if it never did.
        """
        played_s = 0.0 if self.playing_since_s is None else now - self.playing_since_s
        stable = played_s >= (UNPROVEN_S if faulty else STABLE_S) if worked_s is None else worked_s >= STABLE_S
        if stable:
            self.times_given_up = self.failures = self.faults = 0
        self.failures += 1
        self.faults += faulty
        self.playing_since_s = None
        self.restarts += 1
        if self.failures >= FAILURES_MAX or self.faults >= FAULTS_MAX:
            return None
        return FIRST_DELAY_S if self.failures == 1 else min(DELAY_MAX_S, DELAY_S * 2.0 ** (self.failures - 2))
