"""Who may exist and how to reach them: discovery's finds, the file's seeds, and every peer last seen on disk.

A peer is dialled until its link answers, then left alone until it breaks, and a lost one is dialled for
ever: that is what heals any partition, however long. Whether it is *alive* is not decided here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mesh.core.effects import Dial, Effect, HangUp
from mesh.core.messages import PROTOCOL, NodeRecord
from mesh.core.timing import Timing

UNPROVEN_MAX = 256  # as large as a room: all that a machine remembers may be unproven when it starts
STRANGERS_MAX = 256


@dataclass(slots=True)
class Peer:
    """One node that may exist. `due_s` is when to dial it next, unless its link is up."""

    record: NodeRecord
    due_s: float = 0.0
    dialled_s: float = float("-inf")
    delay_s: float = 0.0
    linked: bool = False
    address: str = ""  # where its link answered last
    proven: bool = False  # its link has answered
    vouched: bool = False  # `record` is what it said itself over a link
    rumour: NodeRecord | None = None  # what the network says of it otherwise; dialled in turn with `record`
    rumours_turn: bool = False

    def next_record(self) -> NodeRecord:
        """What to dial now."""
        if self.rumour is None:
            return self.record
        self.rumours_turn = not self.rumours_turn
        return self.rumour if self.rumours_turn else self.record


@dataclass(slots=True)
class Peers:
    """What mDNS says anybody on the network can have said: under the id of a node of this room, too, with another address and a
    high life's number. So it never takes the place of what a node said of itself over a link; it is a rumour, which is dialled as well
    while the link is down. Of those that nobody has proven so many are kept, and the oldest goes.

    All peers by node id. Peers of another installation are kept by name for `status`, and never dialled; one that waits for its
    first deployment is welcome to every room of its key, and belongs to the one that speaks to it first."""

    me: str
    installation: str
    timing: Timing
    waiting: str = ""  # the installation that a node names which has the key and waits to be sent a deployment
    known: dict[str, Peer] = field(default_factory=dict)
    strangers: dict[str, NodeRecord] = field(default_factory=dict)

    def found(self, record: NodeRecord, now: float, *, itself: bool = False) -> list[Effect]:
        """A record was found. Dials at once when it is new, or when something that matters for reaching it has changed. `itself`: the
        node said so over an encrypted link."""
        if record.node == self.me:
            return []
        if record.protocol != PROTOCOL and not itself:
            self._is_strange(record)
            return []
        if not self.welcomes(record):
            self._is_strange(record)
            return []
        peer = self.known.get(record.node)
        if peer is not None and not itself:
            return self._hear_rumour(peer, record, now)
        if peer is not None and peer.vouched and record.incarnation < peer.record.incarnation:
            return []
        if peer is not None and _reach(record) == _reach(peer.record):
            peer.record, peer.vouched, peer.rumour = record, True, None
            return []
        if record.control_port == 0 or not record.addresses:
            return []
        self.known[record.node] = Peer(record, now + self.timing.dial_s, now, self.timing.dial_s, vouched=itself)
        return [*([] if itself else self._forget_unproven()), Dial(record)]

    def welcomes(self, record: NodeRecord) -> bool:
        """Whether it is of this installation, or waits for its first."""
        return record.installation in (self.installation, self.waiting or self.installation)

    def _hear_rumour(self, peer: Peer, record: NodeRecord, now: float) -> list[Effect]:
        if _reach(record) == _reach(peer.record):
            if not peer.vouched:
                peer.record = record
            return []
        if record.control_port == 0 or not record.addresses or (peer.rumour and _reach(record) == _reach(peer.rumour)):
            return []
        peer.rumour, peer.rumours_turn = record, False
        if peer.linked:
            return []
        peer.rumours_turn, peer.due_s, peer.dialled_s, peer.delay_s = True, now + self.timing.dial_s, now, self.timing.dial_s
        return [Dial(record)]

    def _forget_unproven(self) -> list[Effect]:
        unproven = [node for node, peer in self.known.items() if not (peer.proven or peer.vouched)]
        gone = unproven[: max(0, len(unproven) - UNPROVEN_MAX)]
        for node in gone:
            del self.known[node]
        return [HangUp(node) for node in gone]

    def _is_strange(self, record: NodeRecord) -> None:
        if all(address.startswith("127.") for address in record.addresses):
            return  # a rehearsal on this very computer is nobody's business
        self.strangers.pop(record.node, None)
        self.strangers[record.node] = record
        if len(self.strangers) > STRANGERS_MAX:
            del self.strangers[next(iter(self.strangers))]

    def join(self, installation: str, now: float) -> list[Effect]:
        """This node waited, and belongs to this installation from now on."""
        self.installation = installation
        return [each for node in list(self.strangers) for each in self.found(self.strangers.pop(node), now)]

    def linked(self, node: str, address: str) -> None:
        """The link to the peer answers at `address`."""
        peer = self.known.get(node)
        if peer is not None:
            peer.linked, peer.address, peer.delay_s, peer.proven = True, address, self.timing.dial_s, True

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
        return [Dial(peer.next_record())]

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
                effects.append(Dial(peer.next_record()))
        return effects

    def next_deadline(self) -> float:
        """When `dial_due` next has something to do."""
        return min((peer.due_s for peer in self.known.values() if not peer.linked), default=float("inf"))

    def records(self) -> tuple[NodeRecord, ...]:
        """All peers of this installation, to tell others and to keep on disk; those that are proven first."""
        order = sorted(self.known.items(), key=lambda each: (not (each[1].proven or each[1].vouched), each[0]))
        return tuple(peer.record for _, peer in order)


def _reach(record: NodeRecord) -> tuple[object, ...]:
    return (record.addresses, record.control_port, record.beat_port)
