"""Working, not merely running: what a role's pulse says about it, as a verdict.

A process that exists may still be stuck in one call for ever, stopped, or growing until the machine dies. Each
role's watch thread tells every quarter second how long the present call has lasted and how much memory is used; a
silence of that thread says that the whole process stands still. Loading a model is not a hang: nothing is judged
before the role has said that it is ready; nor is an agent's coming too late to listen a role's silence. A role that leaks is
handed over before it is ended, where a standby is loaded; one that grows so fast that there may be no time for that is ended
at once.

What only the role can know (its picture is frozen, its model answers nonsense) it says itself, with `Role.works` and
`Role.faulty`: its last word goes out with every pulse, and a word that holds for a while only (`works(for_s=…)`) turns
into a fault here, by the watch thread, when it was not renewed. Decided against: judging a role by how much it emits (a
mood that changes twice a day works), and a fault without a process's end (drivers and graphics contexts seldom recover).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mesh.core.loading import place_in

HUNG_S = 20.0  # one call of a role's method that lasts longer than this has hung; an answer counts each piece anew
STILL_S = 2.5  # no pulse for this long: stopped, or stuck in a library that lets no other thread run
CEILING = 1.5  # times its limit: a role that grows so fast is ended at once, before the machine has no memory left
HAND_OVER_S = 5.0  # for so long a role above its limit may go on until its standby has taken over
HUNG, TOO_LARGE, OVERGROWN, FAULTY = "hung", "too large", "overgrown", "faulty"


@dataclass(frozen=True, slots=True)
class Word:
    """A role's last word about itself. Times are seconds of its machine's steady clock.

    `works_since_s` is None until it has said for the first time that it works, and while it is faulty; `worked_s` is how long
    the last stretch of working lasted, None until there was one. `faulty` are its words for what is wrong, "" for nothing.
    """

    said_s: float = 0.0
    works_since_s: float | None = None
    worked_s: float | None = None
    for_s: float | None = None
    otherwise: str = ""
    faulty: str = ""

    def works(self, now: float, for_s: float | None, otherwise: str) -> Word:
        """It says that it works, for `for_s` seconds (None: until it says otherwise)."""
        since_s = now if self.works_since_s is None else self.works_since_s
        return Word(now, since_s, now - since_s, for_s, otherwise)

    def is_faulty(self, now: float, what: str) -> Word:
        """It says that it does not work. To say it again does not change when it began."""
        return self if self.faulty else Word(now, None, self.worked_s, faulty=what or "it does not say why")

    def told(self, now: float, active_since_s: float) -> dict[str, Any]:
        """For the pulse: `faulty` in words or "", and `worked_s`. Time before `active_since_s` is not held against it."""
        from_s = max(self.said_s, active_since_s)
        late = self.for_s is not None and now - from_s > self.for_s
        words = self.faulty or ((self.otherwise or f"it has not worked for {now - from_s:.0f} s") if late else "")
        worked_s = self.worked_s
        if self.works_since_s is not None and self.for_s is None:
            worked_s = now - self.works_since_s
        return {"faulty": words, "worked_s": None if worked_s is None else round(worked_s, 3)}


class SignsOfLife:
    """When each process was last heard. The agent looks every `each_s` seconds; where it comes later than that (a flood at its port, a
    machine that is drowning), it was the agent who did not listen, and no process is thought silent for that time."""

    def __init__(self, each_s: float) -> None:
        self._each_s = each_s
        self._looked_s: float | None = None
        self._came_s: dict[str, float] = {}

    def heard(self, instance: str, now: float) -> None:
        """A pulse came."""
        self._came_s[instance] = now

    def forget(self, instance: str) -> None:
        """It has ended, or is being ended."""
        self._came_s.pop(instance, None)

    def look(self, now: float) -> dict[str, float]:
        """How long each has been silent, in seconds. To be called every `each_s`, when all that waits has been read."""
        late_s = 0.0 if self._looked_s is None else max(0.0, now - self._looked_s - self._each_s)
        self._looked_s = now
        self._came_s = {instance: min(now, came_s + late_s) for instance, came_s in self._came_s.items()}
        return {instance: now - came_s for instance, came_s in self._came_s.items()}


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a role's process (`HUNG`, `TOO_LARGE`, `OVERGROWN` or `FAULTY`), and that in words for a person."""

    what: str
    words: str


def examine(pulse: Mapping[str, Any], age_s: float, limit_bytes: int | None) -> Finding | None:
    """Judge a role that is ready by its last pulse, which came `age_s` ago. None when it works.

    `limit_bytes` is the file's `limits: {memory: …}`, None for no limit.
    """
    if age_s >= STILL_S:
        return Finding(HUNG, f"it stood still: no sign of life for {age_s:.0f} s")
    busy_s = pulse.get("busy_s", 0.0)
    if isinstance(busy_s, (int, float)) and busy_s >= HUNG_S:
        place = place_in(facts if isinstance(facts := pulse.get("facts"), Mapping) else {}, "busy")
        return Finding(HUNG, f"it hung: one call lasted {busy_s:.0f} s{', at ' if place else ''}{place}")
    used = pulse.get("rss_bytes", 0)
    if limit_bytes is not None and isinstance(used, int) and used > limit_bytes:
        what = OVERGROWN if used > limit_bytes * CEILING else TOO_LARGE
        return Finding(what, f"it used {used / 1e6:,.0f} MB of memory; its limit is {limit_bytes / 1e6:,.0f} MB")
    faulty = pulse.get("faulty")
    return Finding(FAULTY, faulty) if isinstance(faulty, str) and faulty else None


def has_worked(pulse: Mapping[str, Any]) -> bool:
    """Whether a role has said that it works, and still stands by it."""
    return pulse.get("worked_s") is not None and not pulse.get("faulty")
