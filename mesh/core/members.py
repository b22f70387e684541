"""The table of members: each node's recorded health, how it may change, and who watches whom.

Heartbeats go straight from node to node; each node is watched by a few observers, its neighbours in hash order,
so that the traffic of one node does not grow with the room. Neighbours, since they watch one another too: what
one observer heard of a node reaches the other observers of that node with its next beat, and one lost beat alarms nobody
(observers drawn apart for each node shared next to nothing, and in a room of 16 suspected someone every minute). What
changes the table is decided in `membership.py` (what was heard) and `judging.py` (what was not).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from mesh.core.detector import Evidence
from mesh.core.effects import Effect, Report, SendControl, SendDatagram
from mesh.core.messages import Datagram, NodeRecord, NodeState, Verdict
from mesh.core.timing import Timing

ALIVE, SUSPECT, DEAD, LEFT = "alive", "suspect", "dead", "left"
SECONDHAND = 0.75  # of suspect_s: the silence after which those who only hear of a member believe others that accuse it

# The legal changes of health and what alone may bring each about. Nothing else changes a member's health.
TRANSITIONS: dict[tuple[str, str], str] = {
    (ALIVE, SUSPECT): "silence, or a verdict while nobody here hears it",
    (SUSPECT, ALIVE): "any newer sign of life",
    (SUSPECT, DEAD): "silence that outlasts the probes, or a verdict",
    (ALIVE, LEFT): "its own word only",
    (SUSPECT, LEFT): "its own word only",
    (DEAD, LEFT): "its own word only",
}
# From DEAD and LEFT there is one way back, a higher incarnation: that is a new life, and a new `Member`.


@dataclass(slots=True)
class Double:
    """Another boot that speaks under a member's identity, and how often it has spoken."""

    boot: str
    sequence: int
    since_s: float
    heard: int = 0


@dataclass(slots=True, eq=False)
class Member:
    """One other node with recorded health. `address` is where its datagrams came from last, or where its link answers."""

    record: NodeRecord
    evidence: Evidence
    health: str = ALIVE
    since_s: float = 0.0
    address: str = ""
    state: NodeState | None = None
    met_s: float = 0.0
    spoke_s: float = 0.0  # when this boot of it last spoke to this node itself, in any way
    heard_me_s: float = float("inf")  # when it last heard this node, as its heartbeats say; not yet said
    behind_since_s: float | None = None  # since when a newer state of it is known to exist than the one known here
    probed_s: float = 0.0
    accusers: frozenset[str] = frozenset()  # observers that hold it dead
    accused_s: float = float("-inf")  # when it was held suspect by others last, too early to believe them
    double: Double | None = None
    datagram_s: float = float("-inf")  # when a datagram of it came last
    by_link: bool = False  # it is heard over the link only: its datagrams do not come through
    watched_s: float | None = None  # since when this node watches it
    asked_beats_s: float = float("-inf")  # when it was asked for heartbeats over the link
    wants_beats_s: float = float("-inf")  # until when it wants this node's over the link

    @property
    def here(self) -> bool:
        """Counts as part of the room: alive, or only suspected."""
        return self.health in (ALIVE, SUSPECT)


@dataclass(slots=True)
class Table:
    """All members, and what telling them costs: nothing here decides. `changes` grows with every change of who is here, or where."""

    me: NodeRecord
    timing: Timing
    members: dict[str, Member] = field(default_factory=dict)
    sequence: int = 0
    changes: int = 0
    accusations: int = 0  # how often `accused_s` of any was set
    alarms: set[str] = field(default_factory=set)
    stale_links: set[str] = field(default_factory=set)  # peers out of touch for a while: the line to them may be in a TCP stall as long
    # What follows from who is here, found again after each change.
    _observers: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _watches: dict[str, bool] = field(default_factory=dict)
    _ring: list[str] | None = None
    _present: list[Member] | None = None
    _watched: list[Member] | None = None
    _lost: list[Member] | None = None

    # ---- who is here, and who watches whom

    def present(self) -> list[Member]:
        """The other members that count as here, in the order of their ids."""
        if self._present is None:
            self._present = [member for _, member in sorted(self.members.items()) if member.here]
        return self._present

    def observers(self, node: str) -> tuple[str, ...]:
        """The nodes that watch `node`: in a small room its nearest neighbours on the ring of all that are here, on either side in
        turn; in a larger one its group, in which all watch all."""
        found = self._observers.get(node)
        if found is None:
            ring, most = self._ring_with(node), self.timing.observers_max
            near = _neighbours(ring, node) if len(ring) < 2 * most else _group(ring, node, most + 1)
            found = self._observers[node] = near[:most]
        return found

    def _ring_with(self, node: str) -> list[str]:
        """All that are here, and `node`, in the order of the ring. Sorted once for each change: a large room asks it of everybody."""
        if self._ring is None:
            self._ring = sorted({self.me.node, *(each.record.node for each in self.present())}, key=hash_order)
        return self._ring if node in self._ring else sorted([*self._ring, node], key=hash_order)

    def watched(self) -> list[Member]:
        """The members this node watches."""
        if self._watched is None:
            self._watched = [each for each in self.present() if self.watches(each.record.node)]
        return self._watched

    def watches(self, node: str) -> bool:
        """Whether this node is one of those that watch `node`."""
        found = self._watches.get(node)
        if found is None:
            found = self._watches[node] = self.me.node in self.observers(node)
        return found

    def lost(self) -> list[Member]:
        """The members held dead: they may only be unreachable."""
        if self._lost is None:
            self._lost = [member for _, member in sorted(self.members.items()) if member.health == DEAD]
        return self._lost

    # ---- telling

    def send_to(self, nodes: Iterable[str], message: Datagram) -> Iterator[Effect]:
        """A datagram to each of these that has an address."""
        members = self.members
        for node in nodes:
            member = members.get(node)
            if member is not None and member.address:
                yield SendDatagram(member.address, member.record.beat_port, message, node)

    def tell_node(self, node: str, verdict: Verdict) -> list[Effect]:
        """A verdict to one node, as a datagram at once and over the link in case that is lost."""
        return [*self.send_to([node], verdict), SendControl(node, verdict)]

    def tell_all(self, verdict: Verdict) -> list[Effect]:
        """A verdict to everyone, the accused included: it is the one who can refute."""
        nodes = [each.record.node for each in self.present()]
        return [*self.send_to(nodes, verdict), *(SendControl(node, verdict) for node in nodes)]

    def repeat(self, verdict: Verdict) -> list[Effect]:
        """A verdict that somebody else has told to everyone, once more by datagram: one word of it may have been lost, or stand in a
        stalled line."""
        return list(self.send_to([each.record.node for each in self.present()], verdict))

    def verdict_on(self, member: Member) -> Verdict:
        """What this node holds of a member now."""
        record = member.record
        return Verdict(self.me.node, record.node, record.incarnation, max(0, member.evidence.sequence), member.health, record.boot)

    def own_word(self, health: str) -> Verdict:
        """A numbered word of this node about itself."""
        self.sequence += 1
        return Verdict(self.me.node, self.me.node, self.me.incarnation, self.sequence, health, self.me.boot)

    # ---- changing

    def change(self, member: Member, health: str, now: float) -> list[Effect]:
        """Changes a member's health if the table of transitions has it; else nothing happens."""
        if (member.health, health) not in TRANSITIONS:
            return []
        silent_ms = int(member.evidence.silence_s(now) * 1000)
        if health == ALIVE and now - member.since_s >= self.timing.dead_s:
            self.stale_links.add(member.record.node)
        member.health, member.since_s = health, now
        member.accusers = frozenset()
        self._changed()
        event = {ALIVE: "node_refuted", SUSPECT: "node_suspect", DEAD: "node_dead", LEFT: "node_left"}[health]
        return [Report(event, {"node": member.record.node, "name": member.record.name, "silent_ms": silent_ms})]

    def enter(self, member: Member) -> list[Effect]:
        """A new life: a node never met before, or a higher incarnation of one."""
        self.members[member.record.node] = member
        self._changed()
        record = member.record
        alarm: list[Effect] = []
        for other in self.present():
            if record.name and other.record.name == record.name and other is not member:
                there = [*sorted((_where(member), _where(other)))]
                alarm += self.alarm(f"two machines are called {record.name}: {there[0]} and {there[1]}")
        return [Report("node_up", {"node": record.node, "name": record.name, "incarnation": record.incarnation}), *alarm]

    def alarm(self, words: str) -> list[Effect]:
        """Something that a person must put right; said once."""
        if words in self.alarms:
            return []
        self.alarms.add(words)
        return [Report("alarm", {"what": words})]

    def _changed(self) -> None:
        self.changes += 1
        self._observers.clear()
        self._watches.clear()
        self._ring = self._present = self._watched = self._lost = None


def _neighbours(ring: list[str], node: str) -> tuple[str, ...]:
    at, count = ring.index(node), len(ring)
    steps = [step for distance in range(1, count // 2 + 1) for step in (distance, -distance)]
    return tuple(dict.fromkeys(ring[(at + step) % count] for step in steps))


def _group(ring: list[str], node: str, size_max: int) -> tuple[str, ...]:
    """The others of the group of a node, when the ring is cut into as few equal parts as there can be."""
    count, parts = len(ring), -(-len(ring) // size_max)
    mine = ring.index(node) * parts // count
    return tuple(each for each in ring[-(-mine * count // parts) : -(-(mine + 1) * count // parts)] if each != node)


def _where(member: Member) -> str:
    return f"{member.record.node[:8]} at {member.address or ', '.join(member.record.addresses)}"


@lru_cache(maxsize=1 << 14)
def hash_order(node: str, asker: str = "") -> bytes:
    """Where a node stands on the ring, the same everywhere; with an `asker`, in that one's own order (rendezvous hashing,
    Thaler and Ravishankar 1998)."""
    return hashlib.blake2b(f"{asker}|{node}".encode(), digest_size=8).digest()
