"""Who may exist and how to reach them: discovery's finds, the file's seeds, and every peer last seen on disk.

A peer is dialled until its link answers, then left alone until it breaks, and a lost one is dialled for
ever: that is what heals any partition, however long. Whether it is *alive* is not decided here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mesh.core.effects import Dial, Effect
from mesh.core.messages import NodeRecord
from mesh.core.timing import Timing


@dataclass(slots=True)
class Peer:
    """One node that may exist. `due_s` is when to dial it next, unless its link is up."""

    record: NodeRecord
    due_s: float = 0.0
    dialled_s: float = float("-inf")
    delay_s: float = 0.0
    linked: bool = False
    address: str = ""  # where its link answered last


@dataclass(slots=True)
class Peers:
    """All peers by node id. Peers of another installation are kept by name for `status`, and never dialled; one that waits for its
    first deployment is welcome to every room of its key, and belongs to the one that speaks to it first."""

    me: str
    installation: str
    timing: Timing
    waiting: str = ""  # the installation that a node names which has the key and waits to be sent a deployment
    known: dict[str, Peer] = field(default_factory=dict)
    strangers: dict[str, NodeRecord] = field(default_factory=dict)

    def found(self, record: NodeRecord, now: float) -> list[Effect]:
        """A record was found. Dials at once when it is new, or when something that matters for reaching it has changed."""
        if record.node == self.me:
            return []
        if record.installation not in (self.installation, self.waiting or self.installation):
            elsewhere = any(not address.startswith("127.") for address in record.addresses)
            if elsewhere and len(self.strangers) < 256:  # a rehearsal on this very computer is nobody's business
                self.strangers[record.node] = record
            return []
        peer = self.known.get(record.node)
        if peer is not None and record.incarnation < peer.record.incarnation:
            return []
        if peer is not None and _reach(record) == _reach(peer.record):
            peer.record = record
            return []
        if record.control_port == 0 or not record.addresses:
            return []
        self.known[record.node] = Peer(record, now + self.timing.dial_s, now, self.timing.dial_s)
        return [Dial(record)]

    def join(self, installation: str, now: float) -> list[Effect]:
        """This node waited, and belongs to this installation from now on."""
        self.installation = installation
        return [each for record in list(self.strangers.values()) if record.installation == installation
                for each in self.found(self.strangers.pop(record.node), now)]

    def linked(self, node: str, address: str) -> None:
        """The link to the peer answers at `address`."""
        peer = self.known.get(node)
        if peer is not None:
            peer.linked, peer.address, peer.delay_s = True, address, self.timing.dial_s

    def address(self, node: str) -> str:
        """Where the peer's link answered last; "" when it never did."""
        peer = self.known.get(node)
        return peer.address if peer is not None else ""

    def nudge(self, node: str, now: float) -> list[Effect]:
        """There is a sign of life of the peer: if its link is down, dial it at once."""
        peer = self.known.get(node)
        if peer is None or peer.linked or now - peer.dialled_s < self.timing.beat_s:
            return []
        peer.due_s, peer.dialled_s = now + self.timing.dial_s, now
        return [Dial(peer.record)]

    def unlinked(self, node: str, now: float) -> None:
        """The link is gone: dial again soon."""
        peer = self.known.get(node)
        if peer is None:
            return
        peer.dialled_s = float("-inf")
        if peer.linked:
            peer.linked = False
            peer.delay_s = self.timing.dial_s
            peer.due_s = now + self.timing.dial_s

    def dial_due(self, now: float) -> list[Effect]:
        """Dial those whose time has come, each time a little later, for ever."""
        effects: list[Effect] = []
        for peer in self.known.values():
            if not peer.linked and peer.due_s <= now:
                peer.delay_s = min(self.timing.dial_max_s, max(self.timing.dial_s, peer.delay_s * 1.5))
                peer.due_s, peer.dialled_s = now + peer.delay_s, now
                effects.append(Dial(peer.record))
        return effects

    def next_deadline(self) -> float:
        """When `dial_due` next has something to do."""
        return min((peer.due_s for peer in self.known.values() if not peer.linked), default=float("inf"))

    def records(self) -> tuple[NodeRecord, ...]:
        """All peers of this installation, to tell others and to keep on disk."""
        return tuple(peer.record for _, peer in sorted(self.known.items()))


def _reach(record: NodeRecord) -> tuple[object, ...]:
    return (record.addresses, record.control_port, record.beat_port)
