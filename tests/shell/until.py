"""How a test waits for the world: for a condition, with a bound, never for a time to pass."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

WITHIN_S = 15.0


async def until(condition: Callable[[], object], within_s: float = WITHIN_S) -> None:
    """Returns once the condition holds; fails, and says which it was, when it does not within the bound."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s} s"
        await asyncio.sleep(0.005)
