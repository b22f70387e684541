"""Readings that stand in for a device in a rehearsal: from a file, or made up from a seed.

A file of readings is plain lines, because an artist writes it by hand as often as a sketch prints it:

    {"after_s": 0.5, "value": {"distance": 120}}     half a second after the one before; any value the kind emits
    {"after_s": 2.0, "value": 7}

It is played in a loop. Decided against: one stand-in for every kind in the mesh itself (only the kind knows what a
plausible reading of its device looks like), and chance without a seed (a rehearsal must be repeatable).
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mesh.errors import RoleError
from mesh.role import Role
from roles.sensing.inbox import Freshness

READINGS_MAX = 1_000_000
FASTEST_S = 0.001
Reading = tuple[float, Any]  # seconds after the one before, value


class StandIn:
    """Gives each reading when it is due. Begins at the first call of `due`."""

    def __init__(self, readings: Iterator[Reading]) -> None:
        self._readings = readings
        self._next = next(readings)
        self._due_s: float | None = None

    def due(self, now_s: float) -> list[Any]:
        """All whose time has come, in order."""
        if self._due_s is None:
            self._due_s = now_s + self._next[0]
        found: list[Any] = []
        while self._due_s <= now_s and len(found) < 1000:
            found.append(self._next[1])
            self._next = next(self._readings)
            self._due_s += self._next[0]
        return found

    def play(self, role: Role, fresh: Freshness, output: str) -> float:
        """Emits on `output` all whose time has come, as the device's own; seconds until the next one. For a role's `tick`."""
        now_s = role.now_s()
        for value in self.due(now_s):
            fresh.saw()
            role.emit(output, value, captured_s=now_s)
        return self.wait_s(now_s)

    def wait_s(self, now_s: float) -> float:
        """Seconds until the next one is due."""
        return max(0.0, (self._due_s if self._due_s is not None else now_s) - now_s)


def from_file(path: Path, shown: str) -> StandIn:
    """The readings of a file, in a loop. Raises RoleError with the line that is none."""
    readings = []
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    readings.append(_reading(line, shown, number))
                if len(readings) > READINGS_MAX:
                    raise RoleError(f"{shown} has more than {READINGS_MAX:,} readings", instead="shorten it: it is played in a loop")
    except (OSError, UnicodeDecodeError) as error:
        raise RoleError(f"{shown} cannot be read: {error}", where="option stand_in",
                        instead="put the file into the deployment's folder, or leave the option out") from None
    if not readings:
        raise RoleError(f"{shown} holds no readings", where="option stand_in", instead='write lines such as {"after_s": 0.5, "value": 7}')
    return StandIn(itertools.cycle(readings))


def _reading(line: str, shown: str, number: int) -> Reading:
    try:
        given = json.loads(line)
        after_s = float(given["after_s"])
        if not FASTEST_S <= after_s <= 86_400:
            raise ValueError(f"after_s must be from {FASTEST_S} to 86400")
        return after_s, given["value"]
    except (ValueError, TypeError, KeyError) as error:
        raise RoleError(
            f"this is no reading: {error}", where=f"{shown}:{number}", instead='write lines such as {"after_s": 0.5, "value": 7}'
        ) from None


def drifting(seed: int, every_s: float, low: float, high: float) -> Iterator[tuple[float, float]]:
    """A reading that wanders between two bounds, as a light or a distance in a room does."""
    chance = random.Random(seed)
    value, pace = (low + high) / 2, 0.0
    while True:
        pace = 0.9 * pace + chance.gauss(0, (high - low) / 60) - 0.02 * (value - (low + high) / 2)
        value = min(high, max(low, value + pace))
        yield every_s, value
