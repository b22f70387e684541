"""That a model works, and does not merely run: a known question is asked again and again, and its answer is known.

A model that computes nonsense (memory gone bad, a driver that gave up), that has fallen back to a slower processor, or that
takes for ever looks alive from outside. The question is asked in the role's own thread between two answers, so it is short; one
that never comes back is noticed by the agent, which sees that the role is busy. Decided against: comparing with what another copy
says (copies may run on unlike processors), and a fixed deadline (what is slow on one machine is fast on another).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mesh.role import Role

EVERY_S = 30.0
SLOWER_MAX = 20.0  # times the quickest answer there was: a busy machine is not a broken one
PATIENCE_S = 5.0  # and below this nothing is too slow
TOLERANCE = 2e-2  # of the known answer: threads and providers add in other orders, half numbers are coarse


class Proof:
    """One known question. `ask` answers it, the same way each time; `same` compares two answers."""

    def __init__(
        self, ask: Callable[[], Any], same: Callable[[Any, Any], bool] = lambda one, other: bool(one == other), *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """Asks it for the first time: what is answered now is what is right."""
        self._ask, self._same, self._clock = ask, same, clock
        self._known, self.quickest_s = self._timed()

    def _timed(self) -> tuple[Any, float]:
        began_s = self._clock()
        answer = self._ask()
        return answer, self._clock() - began_s

    @property
    def deadline_s(self) -> float:
        """How long the answer may take."""
        return max(PATIENCE_S, SLOWER_MAX * self.quickest_s)

    def fault(self) -> str:
        """Asks it again. What is wrong, in words; "" when nothing is."""
        answer, took_s = self._timed()
        if not self._same(self._known, answer):
            return "the model answers a known question otherwise than when it was loaded"
        if took_s > self.deadline_s:
            return f"the model took {took_s:.1f} s for a question that took {self.quickest_s:.2f} s before"
        self.quickest_s = min(self.quickest_s, took_s)
        return ""

    def prove(self, role: Role) -> float:
        """Asks it again and has the role say how that went; returns the seconds until the next time. For a role's `tick`."""
        fault = self.fault()
        if fault:
            role.faulty(fault)
        else:
            self.speaks(role)
        return EVERY_S

    def speaks(self, role: Role) -> None:
        """It is seen to work: an answer is being given."""
        role.works(2 * EVERY_S + self.deadline_s, "the model has not been seen to work for a minute")


def fell_back(role: Role, where: str, best: bool) -> str:
    """Compares where a model runs ("cuda", "cpu") with where it ran on this machine the last time, and keeps the better. `best`: it
    is as good as was asked for. What is wrong, in words; "" when it did not fall back from something better."""
    if role.state_folder is None or role.model is None:
        return ""
    kept = role.state_folder / "ran-on.json"
    before = _read(kept)
    if best:
        kept.write_text(json.dumps({"model": role.model.sha256, "where": where}), encoding="utf-8")
        return ""
    if before.get("model") == role.model.sha256 and before.get("where") not in (None, where):
        return f"the model runs on {where}; on this machine it ran on {before['where']} before"
    return ""


def same_outputs(known: Mapping[str, Any], answer: Mapping[str, Any]) -> bool:
    """Whether two answers are equal but for what adding in another order changes."""
    for name, value in known.items():
        other = answer.get(name)
        if other is None or other.shape != value.shape:
            return False
        if np.issubdtype(value.dtype, np.floating):
            reach = float(np.abs(value).max(initial=0.0))
            if not np.allclose(value, other, rtol=TOLERANCE, atol=TOLERANCE * max(reach, 1e-6), equal_nan=True):
                return False
        elif (value != other).any():
            return False
    return True


def _read(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
