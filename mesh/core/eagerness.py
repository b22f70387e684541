"""Whether to look again and again for the next message, or to sleep until it comes.

Being woken on another core takes 25 us and more, which for two roles that answer each other is most of a round trip. So where
messages come in quick succession, whoever waits looks for a moment before it sleeps. Between two looks it lets whoever else wants the
core have it: where the system has put both ends on one core, the other one makes its answer in that moment, instead of when looking
is over; where each has a core, nothing happens. It looks by the round: after each,
looking goes on where it found at least half of the messages, and pauses where it did not; each pause in a row is twice as long. Where
all cores are busy, looking would only keep others from their work, and letting them have the core costs their whole turn: a
look of more than CROWDED_S ends the round, and the pause begins at once. A role with some hundred messages a second never looks, nor
does one that is idle.
"""

from __future__ import annotations

LOOK_S = 100e-6  # at most, before sleeping
QUICK_S = 200e-6  # a sleep shorter than that might have been spared
CROWDED_S = 1e-3  # a look that took longer: somebody else had the core, and kept it
ROUND = 64
PAUSE_MIN, PAUSE_MAX = 512, 8192  # quick messages that are slept for after a round that did not pay


class Eagerness:
    """One thread's. `tries` before each wait; then `found`, or `waited`."""

    __slots__ = ("_found", "_next_pause", "_pause", "_quick", "_vain")

    def __init__(self) -> None:
        self._quick = False
        self._found = self._vain = 0
        self._pause, self._next_pause = 0, PAUSE_MIN

    def tries(self) -> bool:
        """Whether to look for LOOK_S before sleeping."""
        return self._quick and not self._pause

    def found(self, seconds: float = 0.0) -> None:
        """Looking found a message, after so long."""
        self._found += 1
        if seconds > CROWDED_S:
            self._rest()
        elif self._found >= ROUND:
            self._judge()

    def waited(self, seconds: float, *, tried: bool, looked_s: float = 0.0) -> None:
        """A wait that ended in sleep took so long, looking included. `tried`: it was looked before, in vain, for `looked_s`."""
        self._quick = seconds < QUICK_S
        if tried:
            self._vain += 1
            if looked_s > CROWDED_S:
                self._rest()
            elif self._found + self._vain >= ROUND:
                self._judge()
        elif self._quick and self._pause:
            self._pause -= 1

    def _judge(self) -> None:
        if self._vain > self._found:
            self._rest()
        else:
            self._next_pause = PAUSE_MIN
            self._found = self._vain = 0

    def _rest(self) -> None:
        self._pause, self._next_pause = self._next_pause, min(PAUSE_MAX, self._next_pause * 2)
        self._found = self._vain = 0
