"""What nodes tell one another besides heartbeats: who they are, what they play, and who lacks what.

States are pushed when they change; a heartbeat or a digest that names a newer one makes its reader ask for it, so a message
lost with its link is mended within about a second. Nothing is believed because of *who* passes it on: a state only ever comes from
the node it describes. Decided against: repeating whole states to all (its cost grows with the square of the room).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from mesh.core.effects import Effect, HangUp, Save, SendControl
from mesh.core.events import Heard, LinkUp
from mesh.core.membership import Membership
from mesh.core.messages import Ack, Beat, Digest, Hello, Probe, ProbeFor, State, StateWanted, Verdict
from mesh.core.peers import Peers
from mesh.core.timing import Timing

NEVER = float("inf")
KNOWN_MAX = 256  # records in one Hello


@dataclass(slots=True)
class Contacts:
    """One node's dealings with the others. `news` is set when something was learned that placement depends on."""

    timing: Timing
    membership: Membership
    peers: Peers
    news: bool = False
    wanted_s: dict[str, float] = field(default_factory=dict)  # node -> when its state was asked for last
    lives: dict[str, tuple[int, bool]] = field(default_factory=dict)  # node -> (incarnation, here) that was acted upon
    seen_changes: int = -1

    def heard(self, event: Heard, told: State, now: float) -> list[Effect]:
        """Take in one message. `told` is this node's own state as it was told last."""
        match event.message:
            case Beat() as beat:
                effects = self.membership.heard(beat, event.address, now)
                return [*effects, *self._want_state(beat.node, beat.incarnation, beat.version, now)]
            case Probe() | ProbeFor() | Ack() | Verdict():
                return self.membership.heard(event.message, event.address, now)
            case Hello():
                return self._on_hello(event.message, now)
            case State():
                return self._on_state(event.message, now)
            case StateWanted():
                return [SendControl(event.message.node, told)]
            case Digest():
                return self._on_digest(event.message, now)
            case _:
                return []

    def link_up(self, event: LinkUp, told: State) -> list[Effect]:
        """A line to a peer answers: say who this is and what it plays."""
        self.peers.linked(event.node, event.address)
        member = self.membership.members.get(event.node)
        if member is not None:
            member.address = member.address or event.address
        hello = Hello(self.membership.me, self.peers.records()[:KNOWN_MAX])
        return [SendControl(event.node, hello), SendControl(event.node, told)]

    def follow(self, told: State, now: float) -> list[Effect]:
        """Act upon changes of who is here. A lost member's link is dropped with all that is queued on it; so is the old link under
        a new life, which may be in a long stall. A new life is told this node's state and asked for its own."""
        if self.membership.changes == self.seen_changes:
            return []
        self.seen_changes = self.membership.changes
        self.news = True
        effects: list[Effect] = []
        for node, member in self.membership.members.items():
            life, before = (member.record.incarnation, member.here), self.lives.get(node)
            if before == life:
                continue
            self.lives[node] = life
            if before is not None and before[1]:
                self.peers.unlinked(node, now)
                effects.append(HangUp(node))
            if member.here:
                self.wanted_s[node] = now
                effects += [*self.peers.nudge(node, now), SendControl(node, told), SendControl(node, StateWanted(told.node))]
        return effects

    def _want_state(self, node: str, incarnation: int, version: int, now: float) -> list[Effect]:
        """Somebody names a version of a node's state that has not come: ask that node, but not at every beat."""
        member = self.membership.members.get(node)
        if member is None or not member.here or incarnation < member.record.incarnation:
            return []
        if member.state is not None and member.state.version >= version:
            return []
        if now - self.wanted_s.get(node, -NEVER) < self.timing.beat_s * 3:
            return []
        self.wanted_s[node] = now
        return [SendControl(node, StateWanted(self.membership.me.node))]

    def _on_digest(self, digest: Digest, now: float) -> list[Effect]:
        sender = self.membership.members.get(digest.node)
        if sender is None or not sender.here:
            return [] if sender is None else self.membership.tell_node(digest.node, self.membership.verdict_on(sender))
        effects: list[Effect] = []
        for node, incarnation, version, age_ms in digest.entries:
            member = self.membership.members.get(node)
            if member is not None and incarnation == member.record.incarnation:
                effects += self.membership.hearsay(node, age_ms / 1000, now)
            effects += self._want_state(node, incarnation, version, now)
        return effects

    def _on_hello(self, hello: Hello, now: float) -> list[Effect]:
        record = hello.record
        effects = [*self.peers.found(record, now), *self.peers.nudge(record.node, now)]
        new = record.node not in self.membership.members
        effects += self.membership.meet(record, self.peers.address(record.node), now)
        for other in hello.known:
            effects += self.peers.found(other, now)
        return [*effects, self._save_peers()] if new else effects

    def _on_state(self, message: State, now: float) -> list[Effect]:
        effects: list[Effect] = []
        member = self.membership.members.get(message.node)
        if member is not None and message.incarnation > member.record.incarnation and message.boot:
            effects += self.membership.meet(replace(member.record, incarnation=message.incarnation, boot=message.boot), "", now)
            member = self.membership.members[message.node]
        if member is None or message.incarnation < member.record.incarnation or message.boot not in ("", member.record.boot):
            return effects
        if member.state is None or message.state.version > member.state.version:
            member.state = message.state
            self.news = True
        return effects

    def _save_peers(self) -> Save:
        return Save("peers", [
            [r.node, r.boot, r.incarnation, r.name, list(r.addresses), r.control_port, r.beat_port, r.installation, r.protocol]
            for r in self.peers.records()
        ])
