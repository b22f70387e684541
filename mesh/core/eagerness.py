"""Whether to look again and again for the next message, or to sleep until it comes.

Being woken on another core takes 25 us and more, which for two roles that answer each other is most of a round trip. So where
messages come in quick succession, whoever waits looks for a moment before it sleeps. It does so by the round: after each,
looking goes on where it found at least half of the messages, and pauses where it did not; each pause in a row is twice as long. A
round is long enough for the system to move two that wait for each other on one core to two. Where all cores are
busy, looking would only keep others from their work: a pause of 8,192 messages for each round of 64 leaves less than a
hundredth of it. A role with some hundred messages a second never looks, nor does one that is idle.
"""

from __future__ import annotations

LOOK_S = 100e-6  # at most, before sleeping
QUICK_S = 200e-6  # a sleep shorter than that might have been spared
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

    def found(self) -> None:
        """Looking found a message."""
        self._found += 1
        if self._found >= ROUND:
            self._judge()

    def waited(self, seconds: float, *, tried: bool) -> None:
        """A wait that ended in sleep took so long, looking included. `tried`: it was looked before, in vain."""
        self._quick = seconds < QUICK_S
        if tried:
            self._vain += 1
            if self._found + self._vain >= ROUND:
                self._judge()
        elif self._quick and self._pause:
            self._pause -= 1

    def _judge(self) -> None:
        if self._vain > self._found:
            self._pause, self._next_pause = self._next_pause, min(PAUSE_MAX, self._next_pause * 2)
        else:
            self._next_pause = PAUSE_MIN
        self._found = self._vain = 0
