"""What nodes tell one another besides heartbeats: who they are, what they play, and who lacks what.

States are pushed when they change; a heartbeat or a digest that names a newer one makes its reader ask for it, so a message
lost with its link is mended within about a second. Digests are answered for others too: two nodes that cannot reach each other
still know what the other plays, through anyone whom both can reach. It is the number of a state that counts, not who
passes it on. Decided against: repeating whole states to all (its cost grows with the square of the room).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from mesh.core.effects import Effect, HangUp, Save, SendControl
from mesh.core.events import Heard, LinkUp, PeerFound
from mesh.core.members import ALIVE, DEAD
from mesh.core.membership import Membership
from mesh.core.messages import (
    PROTOCOL,
    Ack,
    Beat,
    BeatsWanted,
    Digest,
    Hello,
    NodeRecord,
    NodeState,
    Probe,
    ProbeFor,
    State,
    StateWanted,
    Verdict,
)
from mesh.core.other_works import OtherWorks
from mesh.core.peers import Peers
from mesh.core.timing import Timing

NEVER = float("inf")
KNOWN_MAX = 256  # records in one Hello


@dataclass(slots=True)
class Contacts:
    """One node's dealings with the others. `news` is set when something was learned that is decided by. `epochs` are the highest
    that this node knows: after each claim everybody says the same of them, and of how many they hear, which is no news."""

    timing: Timing
    membership: Membership
    peers: Peers
    epochs: Mapping[str, int] = field(default_factory=dict)
    news: bool = False
    wanted_s: dict[tuple[str, str], float] = field(default_factory=dict)  # (node, whom) -> when its state was asked for last
    turn: int = 0
    lives: dict[str, tuple[int, bool]] = field(default_factory=dict)  # node -> (incarnation, here) that was acted upon
    redialled_s: dict[str, float] = field(default_factory=dict)
    seen_changes: int = -1
    others: OtherWorks = field(default_factory=OtherWorks)

    def heard(self, event: Heard, told: State, now: float) -> list[Effect]:
        """Take in one message. `told` is this node's own state as it was told last."""
        if self.others.met and getattr(event.message, "node", "") in self.others.met:
            return []
        match event.message:
            case Beat() as beat:
                effects = self.membership.heard(beat, event.address, now - self._waited_s(event))
                return [*effects, *self._want_state(beat.node, beat.incarnation, beat.version, beat.node, now)]
            case Probe() | ProbeFor() | Ack() | Verdict():
                return self.membership.heard(event.message, event.address, now)
            case Hello():
                return self._on_hello(event.message, now)
            case State():
                return self._on_state(event.message, now)
            case StateWanted():
                return self._on_wanted(event.message, told)
            case Digest():
                return self._on_digest(event.message, now)
            case BeatsWanted():
                return self._on_beats_wanted(event.message, now)
            case _:
                return []

    def _waited_s(self, event: Heard) -> float:
        """For how long a heartbeat has waited to be read. One that waited for too long says that this node itself stood still: then the
        newest may have found no more room in the buffer, and what was heard counts as heard now."""
        return event.age_s if event.age_s < self.timing.dead_s else 0.0

    def found(self, event: PeerFound, now: float) -> list[Effect]:
        """Discovery names a node: perhaps one of this installation, perhaps of another work that has its key."""
        effects = self.peers.found(event.record, now)
        if not event.same_key or event.record.protocol != PROTOCOL or self._belongs(event.record) or event.record.node in self.peers.known:
            return effects
        return [*effects, *self.others.announced(event.record)]

    def _belongs(self, record: NodeRecord) -> bool:
        """Whether a node is of this installation, as far as that can be said; one that waits to be sent a work is of none yet."""
        return self.peers.welcomes(record) or self.peers.installation == self.peers.waiting

    def unlinked(self, node: str, now: float) -> None:
        """The line to a peer broke."""
        self.peers.unlinked(node, now)
        self.others.unlinked(node)

    def link_up(self, event: LinkUp, told: State) -> list[Effect]:
        """A line to a peer answers: say who this is and what it plays; to another work, only who."""
        if self.others.linked(event.node):
            return [SendControl(event.node, Hello(self.membership.me))]
        self.peers.linked(event.node, event.address)
        member = self.membership.members.get(event.node)
        if member is not None:
            member.address = member.address or event.address
        hello = Hello(self.membership.me, self.peers.records()[:KNOWN_MAX])
        return [SendControl(event.node, hello), *_tell(event.node, told)]

    def follow(self, told: State, now: float) -> list[Effect]:
        """Act upon changes of who is here. A lost member's link is dropped with all that is queued on it; so is the old link under
        a new life, which may be in a long stall. A new life is told this node's state and asked for its own."""
        effects = self._redial_stale(now) if self.membership.stale_links else []
        if self.membership.changes == self.seen_changes:
            return effects
        self.seen_changes = self.membership.changes
        self.news = True
        for node, member in self.membership.members.items():
            life, before = (member.record.incarnation, member.here), self.lives.get(node)
            if before == life:
                continue
            self.lives[node] = life
            if before is not None and before[1]:
                self.peers.unlinked(node, now)
                effects.append(HangUp(node))
            if member.here:
                self.wanted_s[node, node] = now
                effects += [*self.peers.nudge(node, now), *_tell(node, told), SendControl(node, StateWanted(told.node))]
        return effects

    def _redial_stale(self, now: float) -> list[Effect]:
        """Whoever held this node dead hung up on it, and a line that was cut for a while may stall for as long again."""
        effects: list[Effect] = []
        for node in sorted(self.membership.stale_links):
            if now - self.redialled_s.get(node, -NEVER) >= self.timing.stalled_s:
                self.redialled_s[node] = now
                self.peers.unlinked(node, now)
                effects += [HangUp(node), *self.peers.nudge(node, now)]
        self.membership.stale_links.clear()
        return effects

    def _want_state(self, node: str, incarnation: int, version: int, speaker: str, now: float) -> list[Effect]:
        """`speaker` names a version of a node's state that has not come: ask the speaker for it, but not at every word."""
        member = self.membership.members.get(node)
        if member is not None:
            known = member.state.version if member.state is not None else -1
            if (incarnation, version) <= (member.record.incarnation, known):
                return []
            if not member.here and incarnation == member.record.incarnation:
                return []
            if member.behind_since_s is None:
                member.behind_since_s = now
        if node == self.membership.me.node or now - self.wanted_s.get((node, speaker), -NEVER) < self.timing.beat_s * 3:
            return []
        self.wanted_s[node, speaker] = now
        asked: list[Effect] = [SendControl(speaker, StateWanted(self.membership.me.node, "" if node == speaker else node))]
        if speaker == node and member is not None and member.behind_since_s is not None and now > member.behind_since_s:
            asked += self._ask_another(node)
        return asked

    def _ask_another(self, node: str) -> list[Effect]:
        """Asked directly it did not come: the line may be in a stall, or cut. Somebody else may have it."""
        others = [each.record.node for each in self.membership.present() if each.health == ALIVE and each.record.node != node]
        if not others:
            return []
        self.turn += 1
        return [SendControl(others[self.turn % len(others)], StateWanted(self.membership.me.node, node))]

    def _on_wanted(self, wanted: StateWanted, told: State) -> list[Effect]:
        if wanted.of in ("", told.node):
            return _tell(wanted.node, told)
        member = self.membership.members.get(wanted.of)
        if member is None or not member.here or member.state is None:
            return []
        record = member.record
        return [
            SendControl(wanted.node, Hello(record)),
            SendControl(wanted.node, State(record.node, record.incarnation, member.state, record.boot)),
        ]

    def _on_beats_wanted(self, wanted: BeatsWanted, now: float) -> list[Effect]:
        member = self.membership.members.get(wanted.node)
        if member is not None:
            member.wants_beats_s = now + 2 * self.timing.link_ask_s
        return []

    def _on_digest(self, digest: Digest, now: float) -> list[Effect]:
        sender = self.membership.members.get(digest.node)
        if sender is None or not sender.here:
            return [] if sender is None else self.membership.tell_node(digest.node, self.membership.verdict_on(sender))
        if digest.boot not in ("", sender.record.boot):
            return self.membership.on_other_boot(sender, digest.boot, now)
        sender.spoke_s = now
        effects: list[Effect] = []
        for node, incarnation, version, age_ms in digest.entries:
            member = self.membership.members.get(node)
            if member is not None and incarnation == member.record.incarnation:
                if member.by_link or not self.membership.watches(node):  # else beats tell it sooner, which stand in no stalled line
                    effects += self.membership.hearsay(member, age_ms / 1000, now)
                if member.health == DEAD and age_ms / 1000 >= self.timing.suspect_s:
                    effects += self.membership.tell_node(digest.node, self.membership.verdict_on(member))
            effects += self._want_state(node, incarnation, version, digest.node, now)
        return effects

    def _on_hello(self, hello: Hello, now: float) -> list[Effect]:
        record = hello.record
        effects = self.join(record.installation, now)
        if not self._belongs(record):
            self.peers.found(record, now, itself=True)
            self.peers.known.pop(record.node, None)
            return [*effects, *self.others.introduced(record, self.membership.me)]
        self.others.joins(record.node)
        effects += [*self.peers.found(record, now, itself=True), *self.peers.nudge(record.node, now)]
        new = record.node not in self.membership.members
        effects += self.membership.meet(record, self.peers.address(record.node), now)
        for other in hello.known:
            effects += self.peers.found(other, now)
        return [*effects, self._save_peers()] if new else effects

    def join(self, installation: str, now: float) -> list[Effect]:
        """Who waits for its first deployment belongs to the room that speaks to it first: it must have the same key to do so."""
        if not installation or self.peers.waiting in ("", installation) or self.membership.me.installation != self.peers.waiting:
            return []
        self.membership.me = replace(self.membership.me, installation=installation)
        return [Save("installation", installation), *self.peers.join(installation, now)]

    def _on_state(self, message: State, now: float) -> list[Effect]:
        effects: list[Effect] = []
        member = self.membership.members.get(message.node)
        if member is not None and message.incarnation > member.record.incarnation and message.boot:
            effects += self.membership.meet(replace(member.record, incarnation=message.incarnation, boot=message.boot), "", now)
            member = self.membership.members[message.node]
        if member is None or message.incarnation < member.record.incarnation:
            return effects
        if message.boot not in ("", member.record.boot):
            return effects
        if member.state is None or message.state.version > member.state.version:
            self.news = self.news or member.behind_since_s is not None or not self._says_the_same(member.state, message.state)
            member.state, member.behind_since_s = message.state, None
        return effects

    def _says_the_same(self, before: NodeState | None, now: NodeState) -> bool:
        """Whether a newer state differs in nothing that anybody here decides by. In a room of 256 each death makes 255 say whom they
        still hear; deciding anew for each of them kept every agent from its heartbeats for a third of a second."""
        if before is None or replace(before, version=now.version, hears=now.hears, epochs=now.epochs) != now:
            return False
        return all(epoch <= self.epochs.get(instance, 0) for instance, epoch in now.epochs.items())

    def behind(self, now: float) -> bool:
        """Whether somebody here is known to have said something lately that has not come yet: a claim, perhaps."""
        for member in self.membership.present():
            since = member.met_s if member.state is None else member.behind_since_s
            if since is not None and now < since + self.timing.listen_s:
                return True
        return False

    def _save_peers(self) -> Save:
        return Save("peers", [
            [r.node, r.boot, r.incarnation, r.name, list(r.addresses), r.control_port, r.beat_port, r.installation, r.protocol,
             r.revision, r.certificate]
            for r in self.peers.records()
        ])


def _tell(node: str, told: State) -> list[Effect]:
    """This node's own state, once it has said anything."""
    return [SendControl(node, told)] if told.state.version else []
