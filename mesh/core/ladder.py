"""Which rung of a ladder a machine plays: the best model that fits it, or the next that does not fail there.

A machine decides for itself, from what it has and from what its other roles were promised, so a smaller model takes over simply
because a smaller machine does. Sizes are those of the files: what a model takes in memory is its weights and some for working.
Decided against: measuring (a model that does not fit is found out by a machine that swaps, in front of visitors), and climbing up
again by itself (a role that restarts because memory came free is worse than a smaller sentence).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mesh.core.spec import RoleSpec

WEIGHT = 1.25  # memory for each byte of a model's file
BESIDE_BYTES = 48 * 1024 * 1024  # and for the process around it


def memory_for(size_bytes: int) -> int:
    """About how many bytes a process takes that plays a model whose file has this size."""
    return int(size_bytes * WEIGHT) + BESIDE_BYTES


@dataclass(slots=True)
class Rungs:
    """What one machine has learnt about its ladders: the first rung of each instance that has not failed here."""

    first: dict[str, int] = field(default_factory=dict)

    def choose(self, instance: str, role: RoleSpec, sizes: Mapping[str, int], memory_bytes: int) -> str:
        """The model that `instance` plays here: the best of the ladder that is on this disk (`sizes` in bytes), has not failed here and
        fits in `memory_bytes` (0: nobody knows); where none fits, the smallest."""
        first = min(self.first.get(instance, 0), len(role.ladder) - 1)
        here = [name for name in role.ladder[first:] if name in sizes] or list(role.ladder[-1:])
        fitting = [name for name in here if not memory_bytes or memory_for(sizes.get(name, 0)) <= memory_bytes]
        return fitting[0] if fitting else min(here, key=lambda name: sizes.get(name, 0))

    def failed(self, instance: str, role: RoleSpec, model: str) -> str:
        """`model` could not be set up here; the next one, or "" when it was the last."""
        at = role.ladder.index(model) + 1 if model in role.ladder else len(role.ladder)
        if at >= len(role.ladder):
            return ""
        self.first[instance] = at
        return role.ladder[at]
