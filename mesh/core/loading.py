"""A role that takes long says so, and where it is: nobody should look at "starting", or at a still picture, and wonder.

Loading a model may take minutes and is no fault, so nothing is ended here; but a camera that does not answer, a slow disk or an endless
loop in `setup` look the same from outside. Each is told after a while, and then more and more seldom. One call of a role that plays is
told of once, long before it counts as hung: a model on a slow machine may need that long for every picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LINGERS_S = 5.0  # one call that lasts longer is told of
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


class Lingering:
    """Which processes were told of for one long call."""

    def __init__(self) -> None:
        self._told: dict[str, int] = {}

    def words(self, instance: str, generation: int, pulse: Mapping[str, Any], hung_s: float) -> str:
        """What to tell of a process whose present call lasts; "" for nothing, or nothing new. After `hung_s` it would be ended."""
        for_s, place = _lasting(pulse.get("facts", {}), "busy")
        if for_s < LINGERS_S or self._told.get(instance) == generation:
            return ""
        self._told[instance] = generation
        where = f"it is at {place}" if place else "where is not known"
        return f"one call has lasted for {for_s:.0f} s: {where}; a call of {hung_s:.0f} s is ended"


def place_in(facts: Mapping[str, Any], what: str = "loading") -> str:
    """Where a process says in its pulse that it is, loading or `busy`; "" where it does not say, or nonsense."""
    return _lasting(facts, what)[1]


def _lasting(facts: Mapping[str, Any], what: str) -> tuple[float, str]:
    match facts.get(what):
        case [int() | float() as for_s, str(place)]:
            return for_s, place
    return 0.0, ""


def loading_words(why: str, facts: Mapping[str, Any]) -> str:
    """What `status` says of a role that is not ready, with how long that has lasted and where it is."""
    match facts.get("loading"):
        case [int() | float() as for_s, str(place)]:
            return f"{why} (for {for_s:.0f} s{', now at ' if place else ''}{place})"
    return why


def busy_words(why: str, facts: Mapping[str, Any]) -> str:
    """What `status` says of a role that plays, with the call that lasts and where it is."""
    for_s, place = _lasting(facts, "busy")
    if for_s < LINGERS_S:
        return why
    return "; ".join(filter(None, [why, f"one call has lasted for {for_s:.0f} s{', at ' if place else ''}{place}"]))


def late_words(for_s: float, place: str) -> str:
    """In words; `place` is where the process is, "" where it has not said."""
    where = f"it is at {place}" if place else "its process has said nothing yet: the machine is busy, or its disk slow"
    return f"still loading after {for_s:.0f} s: {where}"
