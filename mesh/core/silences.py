"""How long the copies of a role are silent while they answer, and what would be unusual.

A process that was stopped, or is stuck in a library, keeps its connection and says nothing; the heartbeats of its machine go
on. What "nothing for too long" is depends on the role: milliseconds for one that counts people, seconds for a large language
model that reads a long prompt. So it is learnt: the longest silence of late, of any copy, fading slowly. Decided against: a
time-out in the deployment file, which nobody could set before the piece has run.
"""

from __future__ import annotations

from collections.abc import Collection

from mesh.core.copies import CopyId

TIMES, AT_LEAST_S = 3.0, 0.4  # so many times the longest silence of late, and at least so long, is unusual
FADING = 0.98  # of the longest silence, with each word that is heard


class Silences:
    """What one asker knows of them. `began_s` is when the request in question was given to the copy."""

    def __init__(self) -> None:
        self._spoke_s: dict[CopyId, float] = {}
        self._longest_s: dict[str, float] = {}

    def spoke(self, role: str, copy: CopyId, began_s: float, now: float) -> None:
        """The copy, with something of mine to do, says something."""
        silent_s = self._silent_s(copy, began_s, now)
        self._spoke_s[copy] = now
        self._longest_s[role] = max(self._longest_s.get(role, 0.0) * FADING, silent_s)

    def is_unusual(self, role: str, copy: CopyId, began_s: float, now: float, patience: int = 1) -> bool:
        """Whether it has been silent for longer than copies of this role ever are, `patience` times over. Never before one of them
        was heard."""
        longest_s = self._longest_s.get(role)
        return longest_s is not None and self._silent_s(copy, began_s, now) >= patience * max(AT_LEAST_S, TIMES * longest_s)

    def keep(self, named: Collection[CopyId]) -> None:
        """Forget all other copies."""
        self._spoke_s = {copy: spoke_s for copy, spoke_s in self._spoke_s.items() if copy in named}

    def _silent_s(self, copy: CopyId, began_s: float, now: float) -> float:
        return now - max(self._spoke_s.get(copy, 0.0), began_s)
