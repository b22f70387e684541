"""Pieces of an answer that come in quick succession are told together: a message costs more than a small model's token.

The first piece is told at once, and so is each one that comes slowly: only of pieces a few milliseconds apart do some wait, and
none for longer than a fiftieth of a second, which no reader sees. Told together they are still pieces, each with its number,
so that a sentence can be gone on with after any of them. Decided against: joining them into larger pieces, whose borders would
then depend on the machine's speed and not on the model alone.
"""

from __future__ import annotations

from typing import Any

QUICK_S = 0.012  # apart: pieces that come more slowly are told one by one
HELD_S = 0.02  # the longest that one waits for others
HELD_MAX = 256


class Batch:
    """What is held back of one answer."""

    def __init__(self) -> None:
        self.items: list[tuple[Any, bytes]] = []
        self._told_s = self._came_s = float("-inf")

    def begin(self) -> None:
        """Another answer: its first piece is not to wait."""
        self.items = []
        self._told_s = self._came_s = float("-inf")

    def add(self, value: Any, mark: bytes, now: float) -> bool:
        """One more. Whether they are to be told now."""
        quick = now - self._came_s < QUICK_S
        self._came_s = now
        self.items.append((value, mark))
        return not quick or now - self._told_s >= HELD_S or len(self.items) >= HELD_MAX

    def take(self, now: float) -> tuple[tuple[Any, bytes], ...]:
        """All that is held back, to be told now."""
        items, self.items, self._told_s = tuple(self.items), [], now
        return items
