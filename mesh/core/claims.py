"""Claims and epochs: who plays an instance, told by its number.

A claim is a node's statement about itself. Consumers believe the highest (epoch, node id), so at the
outputs there is never more than one holder. Who *stays* when two holders meet after a split is another
question: the one that played for the larger side, for the others saw it play all along. The winner then
claims above both without restarting, and the loser stops when it hears that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mesh.core.messages import Claim, NodeState

HOLDER, STANDBY = "holder", "standby"
STARTING, READY, PLAYING, STOPPING = "starting", "ready", "playing", "stopping"

# The legal changes of a claim's (part, state) on the node that makes it, and what brings each about.
TRANSITIONS: dict[tuple[str, str], dict[tuple[str, str], str]] = {
    ("", ""): {
        (HOLDER, STARTING): "placed here and nobody holds it",
        (STANDBY, STARTING): "next in order, or about to take over by plan",
    },
    (HOLDER, STARTING): {
        (HOLDER, READY): "the process is set up and waits for what it needs",
        (HOLDER, STARTING): "the process ended and is started again",
        ("", ""): "given up, placed elsewhere, or not wanted",
    },
    (HOLDER, READY): {
        (HOLDER, PLAYING): "what it needs is ready",
        (HOLDER, STARTING): "the process ended and is started again",
        ("", ""): "placed elsewhere, or not wanted",
    },
    (HOLDER, PLAYING): {
        (HOLDER, PLAYING): "claimed anew above another holder",
        (HOLDER, STARTING): "the process ended and is started again",
        ("", ""): "another holder stands above, or not wanted",
    },
    (STANDBY, STARTING): {
        (STANDBY, READY): "the process is set up",
        (HOLDER, STARTING): "the holder is gone",
        ("", ""): "no longer next in order, or the process ended",
    },
    (STANDBY, READY): {
        (HOLDER, PLAYING): "the holder is gone, or hands over by plan",
        (STANDBY, STARTING): "the process ended and is started again",
        ("", ""): "no longer next in order",
    },
}


@dataclass(frozen=True, slots=True)
class Holding:
    """One node's claim to hold an instance."""

    node: str
    claim: Claim

    @property
    def rank(self) -> tuple[int, str]:
        """What consumers compare: the higher is believed."""
        return (self.claim.epoch, self.node)


@dataclass(slots=True)
class Ledger:
    """All claims of the nodes that are here, and the highest epoch of each instance that was ever named; `seen` is the highest
    (epoch, node) in a holder's claim, which is what consumers here may have listened to."""

    epochs: dict[str, int] = field(default_factory=dict)
    seen: dict[str, tuple[int, str]] = field(default_factory=dict)
    holdings: dict[str, list[Holding]] = field(default_factory=dict)
    standbys: dict[str, list[Holding]] = field(default_factory=dict)
    agreed: bool = True  # no instance has two holders
    _known: dict[str, tuple[NodeState, tuple[Holding, ...]]] = field(default_factory=dict)  # node -> what it said last, and its claims

    def read(self, states: Mapping[str, NodeState]) -> None:
        """Take in what the nodes that are here say now. Epochs are remembered for ever, claims only while they are made."""
        self.holdings, self.standbys = {}, {}
        for node, state in sorted(states.items()):
            known = self._known.get(node)
            if known is None or known[0] is not state:
                known = self._known[node] = (state, self._take_down(node, state))
            for holding in known[1]:
                where = self.holdings if holding.claim.part == HOLDER else self.standbys
                where.setdefault(holding.claim.instance, []).append(holding)
        self.agreed = True
        for instance, found in self.holdings.items():
            self.agreed &= len(found) == 1
            self._look_above(instance, found)

    def _take_down(self, node: str, state: NodeState) -> tuple[Holding, ...]:
        for instance, epoch in state.epochs.items():
            self.saw(instance, epoch)
        for claim in state.claims:
            self.saw(claim.instance, claim.epoch)
        return tuple(Holding(node, claim) for claim in state.claims)

    def _look_above(self, instance: str, holders: list[Holding]) -> None:
        """Consumers here would refuse a holder that stands below one of the same epoch whom they have heard: then that epoch is
        used up, and saying so makes the holder claim above it."""
        believed = max(holders, key=lambda each: each.rank)
        seen = self.seen.get(instance, (0, ""))
        if believed.rank >= seen:
            self.seen[instance] = believed.rank
        elif seen[0] == believed.claim.epoch:
            self.saw(instance, seen[0] + 1)

    def saw(self, instance: str, epoch: int) -> None:
        """An epoch was named; no claim of this node will ever be at or below it."""
        if epoch > self.epochs.get(instance, 0):
            self.epochs[instance] = epoch

    def hidden(self, instance: str) -> bool:
        """Whether somebody has claimed the instance at an epoch that no claim seen here has reached."""
        return self.epochs.get(instance, 0) > self.seen.get(instance, (0, ""))[0]

    def next_epoch(self, instance: str) -> int:
        """The number for a new claim: above all that were ever seen."""
        return self.epochs.get(instance, 0) + 1

    def believed(self, instance: str) -> Holding | None:
        """The holder that consumers listen to: the highest (epoch, node)."""
        holders = self.holdings.get(instance, ())
        return holders[0] if len(holders) == 1 else max(holders, key=lambda each: each.rank, default=None)

    def winner(self, instance: str) -> Holding | None:
        """The holder that stays. With one holder, that one; with several, by `beats`."""
        holders = self.holdings.get(instance, [])
        best: Holding | None = None
        for each in holders:
            if best is None or beats(each, best):
                best = each
        return best


def beats(one: Holding, other: Holding) -> bool:
    """Whether `one` stays when both hold the same instance.

    A hand-over by plan is no conflict: the later claim was made in full knowledge of the earlier (`planned` is cleared as soon as
    that one has stopped). After a split it is the larger side's holder, as the sides were before they met, then the earlier claim (it
    played first), then the lower node id. The same answer on every node.
    """
    if one.claim.planned or other.claim.planned:
        return one.rank > other.rank
    return _standing(one) < _standing(other)


def _standing(each: Holding) -> tuple[int, int, str]:
    return (-each.claim.heard, each.claim.first, each.node)
