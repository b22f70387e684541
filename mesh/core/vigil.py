"""Working, not merely running: what a role's pulse says about it, as a verdict.

A process that exists may still be stuck in one call for ever, stopped, or growing until the machine dies. Each
role's watch thread tells every quarter second how long the present call has lasted and how much memory is used; a
silence of that thread says that the whole process stands still. Loading a model is not a hang: nothing is judged
before the role has said that it is ready.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

HUNG_S = 20.0  # one call of a role's method that lasts longer than this has hung; an answer counts each piece anew
STILL_S = 2.5  # no pulse for this long: stopped, or stuck in a library that lets no other thread run
HUNG, TOO_LARGE = "hung", "too large"


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a role's process (`HUNG` or `TOO_LARGE`), and that in words for a person."""

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
        return Finding(HUNG, f"it hung: one call lasted {busy_s:.0f} s")
    used = pulse.get("rss_bytes", 0)
    if limit_bytes is not None and isinstance(used, int) and used > limit_bytes:
        return Finding(TOO_LARGE, f"it used {used / 1e6:,.0f} MB of memory; its limit is {limit_bytes / 1e6:,.0f} MB")
    return None
