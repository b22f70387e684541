"""A role that takes long to load says so, and where it is: nobody should look at "starting" and wonder.

Loading a model may take minutes and is no fault, so nothing is ended here; but a camera that does not answer, a slow disk or an endless
loop in `setup` look the same from outside. Each is told after a while, and then more and more seldom.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LATE_S = (5.0, 20.0, 60.0, 300.0, 1800.0)  # after so long it is told of


class Loading:
    """Which processes load, and since when. Time is an argument."""

    def __init__(self) -> None:
        self._begun: dict[str, tuple[int, float, int]] = {}  # instance -> (generation, since when, how often it was told of)

    def begun(self, instance: str, generation: int, now: float) -> None:
        """A process was started."""
        self._begun[instance] = (generation, now, 0)

    def late(self, loading: Mapping[str, int], now: float) -> list[tuple[str, float]]:
        """(instance, seconds) of those to tell of now. `loading` are the instances that are not ready, with their generation."""
        found = []
        for instance, (generation, since_s, told) in list(self._begun.items()):
            if loading.get(instance) != generation:
                del self._begun[instance]
            elif told < len(LATE_S) and now - since_s >= LATE_S[told]:
                passed = sum(now - since_s >= each for each in LATE_S)  # several at once, on a machine that stood still
                self._begun[instance] = (generation, since_s, passed)
                found.append((instance, now - since_s))
        return found


def place_in(facts: Mapping[str, Any]) -> str:
    """Where a process says in its pulse that it is; "" where it does not say, or nonsense."""
    match facts.get("loading"):
        case [int() | float(), str(place)]:
            return place
    return ""


def loading_words(why: str, facts: Mapping[str, Any]) -> str:
    """What `status` says of a role that is not ready, with how long that has lasted and where it is."""
    match facts.get("loading"):
        case [int() | float() as for_s, str(place)]:
            return f"{why} (for {for_s:.0f} s{', now at ' if place else ''}{place})"
    return why


def late_words(for_s: float, place: str) -> str:
    """In words; `place` is where the process is, "" where it has not said."""
    where = f"it is at {place}" if place else "its process has said nothing yet: the machine is busy, or its disk slow"
    return f"still loading after {for_s:.0f} s: {where}"
