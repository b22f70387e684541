"""Whether as much is asked of a role as it gets done, and more than its quick copies do.

Where a slow copy is free and a quick one would be over with a question sooner, although others wait before it, the question is better kept
back for the quick one: so it is for a few that come at once, and at the end of many. Where as many wait after each answer as before
it, the same is a mistake: the slow copy then idles for ever, and its share of the room's power is lost. The two cannot be told apart
at one moment, but by what was: for as long as an answer takes that copy, something was open all the while, and what is open has become
no less. Then, at the latest, it could have been used without anybody waiting longer (the rule for renting or buying: Karlin,
Manasse, Rudolph and Sleator 1988).
"""

from __future__ import annotations

from collections import deque

FORGOTTEN_S = 1.0  # nothing waited for so long: that was another time


class Backlog:
    """What is open of one role, at the moments when something waits."""

    __slots__ = ("_since_s", "_tops")

    def __init__(self) -> None:
        self._since_s = 0.0
        self._tops: deque[tuple[float, int]] = deque()  # (moment, how many), each lower than the one before: the most since then

    def note(self, open_: int, now: float) -> None:
        """So many are open now: in work, at hand, or waiting here."""
        if not self._tops or now - self._tops[-1][0] > FORGOTTEN_S:
            self._tops.clear()
            self._since_s = now
        while self._tops and self._tops[-1][1] <= open_:
            self._tops.pop()
        self._tops.append((now, open_))

    def over(self) -> None:
        """None is open any more."""
        self._tops.clear()

    def lasts(self, seconds: float, now: float) -> bool:
        """Whether for so long something has been open, and never more than now."""
        if not self._tops or now - self._since_s < seconds:
            return False
        while len(self._tops) > 1 and self._tops[0][0] < now - max(seconds, FORGOTTEN_S):
            self._tops.popleft()
        most = next(count for moment, count in self._tops if moment >= now - seconds or (moment, count) == self._tops[-1])
        return most <= self._tops[-1][1]
