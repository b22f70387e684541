"""How large this node's side of the room is, counted so that two sides that meet can still tell which was larger.

It falls at once, when somebody falls silent, and grows only when the sides have been together for a while and have
agreed on every holder. So a machine that was alone says "one" until the room has settled who plays what.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Side:
    """The published size of one node's side, itself included."""

    settle_s: float
    size: int = 1
    wanted: int = 1
    grow_due_s: float = float("inf")

    def count(self, alive: int, now: float, *, agreed: bool) -> bool:
        """`alive` nodes are heard now, this one included; `agreed` says that no instance has two holders. True when the size changed."""
        before = self.size
        if alive <= self.size:
            self.size = self.wanted = alive
            self.grow_due_s = float("inf")
        elif alive != self.wanted or not agreed:
            self.wanted = alive
            self.grow_due_s = now + self.settle_s
        elif now >= self.grow_due_s:
            self.size = alive
            self.grow_due_s = float("inf")
        return self.size != before
