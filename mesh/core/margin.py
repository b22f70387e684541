"""How long before a moment a process must wake, so as not to miss it: learnt from how late it woke before.

A system wakes whoever sleeps a little late: by some hundredths of a millisecond on a quiet computer, by milliseconds on a
busy one. Who must not be late sleeps to a margin before the moment and looks at the clock from there on. The margin grows at once to
the latest waking seen, and shrinks slowly, so that a calm machine spends little on looking; it is never more than MARGIN_MAX_S, for
what is later than that is no matter of waking but of a processor that another has. Decided against: one fixed margin (0.3 ms
is too little on a small virtual machine and too much on a quiet board).
"""

from __future__ import annotations

from dataclasses import dataclass

MARGIN_MIN_S, MARGIN_MAX_S = 0.0003, 0.002
ROOM = 1.25  # beyond the latest waking that was seen
CALMS = 0.02  # of what is too much goes with each waking


@dataclass(slots=True)
class Margin:
    """Sleep until `early_s` before the moment, then look."""

    early_s: float = MARGIN_MIN_S

    def note(self, late_s: float) -> None:
        """It woke so long after it should have. One that was kept from its processor for longer than any margin teaches nothing."""
        if late_s > MARGIN_MAX_S:
            return
        wanted_s = min(MARGIN_MAX_S, max(MARGIN_MIN_S, late_s * ROOM))
        if wanted_s > self.early_s:
            self.early_s = wanted_s
        else:
            self.early_s += (wanted_s - self.early_s) * CALMS
