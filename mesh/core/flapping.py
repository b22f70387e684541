"""A machine that comes and goes: it counts its own returns and puts itself aside, longer each time.

Only a return to a room that went on without it counts: one that has been running for a while and was larger. Switching
everything off and on, or a switch that reboots, is nobody's fault and counts for nobody. The count is kept on disk, since a bad
power supply shows in restarts, and forgotten after a long stretch without a break.
"""

from __future__ import annotations

from dataclasses import dataclass

from mesh.core.timing import Timing

NEVER = float("inf")


@dataclass(slots=True)
class Steadiness:
    """What a machine says of its own steadiness: `steady` (may be failed back to) and `put_aside`."""

    timing: Timing
    since_s: float
    returns: int = 0
    aside_until_s: float = -NEVER
    steady: bool = False
    put_aside: bool = False

    def came_back(self, now: float) -> None:
        """This machine returned to a room that had gone on without it."""
        self.returns += 1
        self.interrupted(now)
        beyond = self.returns - self.timing.returns_max
        if beyond > 0:
            self.aside_until_s = now + min(self.timing.aside_max_s, self.timing.aside_s * 2 ** min(20, beyond - 1))

    def interrupted(self, now: float) -> None:
        """The room has held it dead, whoever was to blame: its stretch without a break begins anew."""
        self.since_s = now
        self.steady = False

    def vouched(self, now: float) -> None:
        """A person says that it is in order: its returns are forgotten, and it takes part again."""
        self.returns, self.aside_until_s = 0, -NEVER
        self.put_aside = False

    @property
    def aside_s(self) -> int:
        """For how long it is put aside this time, in whole seconds; 0 when it is not."""
        return round(self.aside_until_s - self.since_s) if self.put_aside else 0

    def look(self, now: float) -> bool:
        """True when something that it says has changed."""
        before = (self.steady, self.put_aside, self.returns)
        self.steady = now >= self.since_s + self.timing.steady_s
        self.put_aside = now < self.aside_until_s
        if now >= self._forgotten_s():
            self.returns = 0
        return before != (self.steady, self.put_aside, self.returns)

    def next_due(self) -> float:
        """When time alone changes something next."""
        dues = [self.aside_until_s] if self.put_aside else []
        if not self.steady:
            dues.append(self.since_s + self.timing.steady_s)
        elif self.returns:
            dues.append(self._forgotten_s())
        return min(dues, default=NEVER)

    def _forgotten_s(self) -> float:
        return max(self.since_s, self.aside_until_s) + self.timing.aside_max_s
