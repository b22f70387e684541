"""How a figure is told: a median and the p99 beside what the bare library reached in the same run."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

WINDOW_S = 0.1


@dataclass(frozen=True, slots=True)
class Row:
    """One line of `roomful bench --json`. `p99` is the bad end: of a rate, what 99 of 100 windows exceed. `raw` and `ratio` (ours / raw)
    are None where there is nothing bare to hold it against; `more_is_better` says which way is good; `note` is for people."""

    name: str
    value: float
    p99: float
    unit: str
    raw: float | None = None
    ratio: float | None = None
    samples: int = 0
    more_is_better: bool = False
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """The shape that others build on."""
        return asdict(self)


def row(
    name: str, unit: str, ours: Sequence[float], raw: Sequence[float] = (), *,
    more_is_better: bool = False, note: str = "", digits: int = 2,
) -> Row:  # fmt: skip
    """A row from the samples of both."""
    value, bare = median(ours), median(raw) if raw else None
    return Row(
        name, round(value, digits), round(least(ours) if more_is_better else p99(ours), digits), unit,
        None if bare is None else round(bare, digits), None if not bare else round(value / bare, 3), len(ours), more_is_better, note,
    )  # fmt: skip


def p99(values: Sequence[float]) -> float:
    """The value that 99 of 100 do not exceed (nearest rank)."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(0.99 * len(ranked)) - 1)]


def least(values: Sequence[float]) -> float:
    """The value that 99 of 100 reach."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, len(ranked) // 100)]


def rates(arrivals: Sequence[float]) -> list[float]:
    """Frames a second in each window of a tenth of a second, from the times at which they came."""
    if len(arrivals) < 2:
        return []
    first, counts = arrivals[0], [0] * int((arrivals[-1] - arrivals[0]) / WINDOW_S)
    for each in arrivals:
        index = int((each - first) / WINDOW_S)
        if index < len(counts):
            counts[index] += 1
    return [count / WINDOW_S for count in counts]


def machine() -> str:
    """What the figures were measured on."""
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, load {load}"
