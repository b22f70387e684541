"""Who is here: one table of members, and how each one's health may change.

Heartbeats go straight from node to node; each node is watched by a few observers fixed by hash order, so
that the traffic of one node does not grow with the room. A suspicion is probed, directly and through
others; a verdict is told to all. The accused may refute: a suspicion by any newer sign of life, a death
only by a higher incarnation, so that no late or doubled datagram revives the dead.

After SWIM (Das, Gupta, Motivala 2002) with Lifeguard's self-doubt (Dadgar et al. 2018), without their
random probing: in a room of a few machines everyone can listen to everyone, and does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from mesh.core.detector import Evidence
from mesh.core.effects import Effect, Report, Save, SendControl, SendDatagram
from mesh.core.messages import Ack, Beat, Datagram, NodeRecord, NodeState, Probe, ProbeFor, Verdict
from mesh.core.timing import Timing

ALIVE, SUSPECT, DEAD, LEFT = "alive", "suspect", "dead", "left"

# The legal changes of health and what alone may bring each about. Nothing else changes a member's health.
TRANSITIONS: dict[tuple[str, str], str] = {
    (ALIVE, SUSPECT): "silence, or a verdict while nobody here hears it",
    (SUSPECT, ALIVE): "any newer sign of life",
    (SUSPECT, DEAD): "silence that outlasts the probes, or a verdict",
    (ALIVE, DEAD): "a verdict, from those who watch it, about a node this one does not hear",
    (DEAD, ALIVE): "a higher incarnation only",
    (LEFT, ALIVE): "a higher incarnation only",
    (ALIVE, LEFT): "its own word only",
    (SUSPECT, LEFT): "its own word only",
    (DEAD, LEFT): "its own word only",
}


@dataclass(slots=True)
class Member:
    """One other node with recorded health. `address` is where its datagrams came from last, or where its link answers."""

    record: NodeRecord
    evidence: Evidence
    health: str = ALIVE
    since_s: float = 0.0
    address: str = ""
    state: NodeState | None = None
    probed_s: float = 0.0
    hinted: bool = False

    @property
    def here(self) -> bool:
        """Counts as part of the room: alive, or only suspected."""
        return self.health in (ALIVE, SUSPECT)


@dataclass(slots=True)
class Membership:
    """The table, and what this node must do to keep it true. Methods return effects; none reads a clock."""

    me: NodeRecord
    timing: Timing
    members: dict[str, Member] = field(default_factory=dict)
    sequence: int = 0
    number: int = 0
    beat_due_s: float = 0.0
    carrier: bool = True
    held_since_s: float | None = None
    asked_by: dict[tuple[str, int], str] = field(default_factory=dict)
    alarms: set[str] = field(default_factory=set)
    _observers: dict[str, tuple[str, ...]] = field(default_factory=dict)

    # ---- who watches whom

    def present(self) -> list[Member]:
        """The other members that count as here, in the order of their ids."""
        return [member for _, member in sorted(self.members.items()) if member.here]

    def observers(self, node: str) -> tuple[str, ...]:
        """The nodes that watch `node`: the first few of all others here, in an order fixed by hash."""
        if node not in self._observers:
            others = [self.me.node, *(each.record.node for each in self.members.values() if each.here)]
            ranked = sorted((hash_order(node, other), other) for other in others if other != node)
            self._observers[node] = tuple(other for _, other in ranked[: self.timing.observers_max])
        return self._observers[node]

    def watched(self) -> list[Member]:
        """The members this node watches."""
        return [member for member in self.present() if self.me.node in self.observers(member.record.node)]

    # ---- the beat

    def beat(self, now: float, version: int) -> list[Effect]:
        """One heartbeat to each observer, with how long ago each watched peer was last heard directly."""
        if now < self.beat_due_s:
            return []
        late = now - self.beat_due_s
        self.beat_due_s = now + self.timing.beat_s - (late if late < self.timing.beat_s else 0.0)
        self.sequence += 1
        ages = tuple(
            (each.record.node, int((now - each.evidence.direct_s) * 1000)) for each in self.watched() if each.health == ALIVE
        )
        beat = Beat(self.me.node, self.me.boot, self.me.incarnation, self.sequence, version, ages[:16])
        return list(self._send_to(self.observers(self.me.node), beat))

    def _send_to(self, nodes: tuple[str, ...] | list[str], message: Datagram) -> Iterator[Effect]:
        for node in nodes:
            member = self.members.get(node)
            if member is not None and member.address:
                yield SendDatagram(member.address, member.record.beat_port, message, node)

    def tell_all(self, message: Verdict) -> list[Effect]:
        """A verdict goes to everyone at once as a datagram, and over the links in case that is lost."""
        nodes = [each.record.node for each in self.present() if each.record.node != message.subject]
        return [*self._send_to(nodes, message), *(SendControl(node, message) for node in nodes)]

    # ---- learning of members

    def meet(self, record: NodeRecord, address: str, now: float) -> list[Effect]:
        """A node introduced itself over an authenticated link. A higher incarnation is a new life; a lower one is a ghost."""
        if record.node == self.me.node:
            return self._alarm_clone(record)
        known = self.members.get(record.node)
        if known is None or record.incarnation > known.record.incarnation:
            return self._new_life(record, address, now)
        if record.incarnation < known.record.incarnation:
            return self._tell(known, self._verdict_on(known))
        if record.boot != known.record.boot:
            return self._alarm(f"two machines use the identity {record.node}: {known.record.name} and {record.name}")
        known.record = record
        known.address = known.address or address
        if known.health in (DEAD, LEFT):
            return self._tell(known, self._verdict_on(known))
        return []

    def _new_life(self, record: NodeRecord, address: str, now: float) -> list[Effect]:
        known = self.members.get(record.node)
        self.members[record.node] = Member(record, Evidence(now, now), ALIVE, now, address or (known.address if known else ""))
        self._observers.clear()
        namesakes = [each.record for each in self.present() if each.record.name == record.name and each.record.node != record.node]
        found = self._alarm(f"two machines are called {record.name}") if namesakes and record.name else []
        return [Report("node_up", {"node": record.node, "name": record.name, "incarnation": record.incarnation}), *found]

    def _alarm_clone(self, record: NodeRecord) -> list[Effect]:
        if record.boot == self.me.boot:
            return []
        return self._alarm(f"another machine uses this one's identity: {record.name} at {', '.join(record.addresses)}")

    def _alarm(self, words: str) -> list[Effect]:
        if words in self.alarms:
            return []
        self.alarms.add(words)
        return [Report("alarm", {"what": words})]

    # ---- hearing

    def heard(self, message: Datagram, address: str, now: float) -> list[Effect]:
        """Take in one datagram, or a verdict that came over a link."""
        match message:
            case Beat():
                return self._on_beat(message, address, now)
            case Probe():
                return self._on_probe(message, address)
            case ProbeFor():
                return self._on_probe_for(message)
            case Ack():
                return self._on_ack(message, now)
            case Verdict():
                return self._on_verdict(message, now)

    def _on_beat(self, beat: Beat, address: str, now: float) -> list[Effect]:
        effects = self._sign_of_life(beat.node, beat.boot, beat.incarnation, beat.sequence, address, now)
        sender = self.members.get(beat.node)
        if sender is None or not sender.here:
            return effects
        for node, age_ms in beat.ages:
            subject = self.members.get(node)
            if subject is not None and subject.health in (ALIVE, SUSPECT):
                subject.evidence.hear_of(age_ms / 1000, now)
                effects += self._refute_if_fresh(subject, now)
        return effects

    def _sign_of_life(self, node: str, boot: str, incarnation: int, sequence: int, address: str, now: float) -> list[Effect]:
        """Something numbered came straight from `node`."""
        member = self.members.get(node)
        if member is None:
            return []
        if node == self.me.node or incarnation < member.record.incarnation:
            return []
        if incarnation == member.record.incarnation and boot != member.record.boot:
            return self._alarm(f"two machines use the identity {node}: {member.record.name} is one of them")
        if incarnation > member.record.incarnation:
            effects = self._new_life(replace(member.record, incarnation=incarnation, boot=boot), address, now)
            self.members[node].evidence.sequence = sequence
            return effects
        if not member.evidence.hear(sequence, now):
            return []
        if address:
            member.address = address
        if member.health in (DEAD, LEFT):
            return self._tell(member, self._verdict_on(member))
        return self._refute_if_fresh(member, now)

    def _refute_if_fresh(self, member: Member, now: float) -> list[Effect]:
        if member.health != SUSPECT or member.evidence.silence_s(now) >= self.timing.suspect_s:
            return []
        effects = self._change(member, ALIVE, now)
        return [*effects, *self.tell_all(self._verdict_on(member))]

    def _on_probe(self, probe: Probe, address: str) -> list[Effect]:
        if probe.target != self.me.node:
            return []
        self.sequence += 1
        ack = Ack(self.me.node, self.me.boot, self.me.incarnation, self.sequence, probe.number, probe.relay)
        known = self.members.get(probe.node)
        where = known.record.beat_port if known else 0
        return [SendDatagram(address, where, ack, probe.node)] if where and address else []

    def _on_probe_for(self, wanted: ProbeFor) -> list[Effect]:
        subject = self.members.get(wanted.target)
        if subject is None or wanted.node not in self.members:
            return []
        return list(self._send_to([wanted.target], Probe(self.me.node, wanted.target, wanted.number, wanted.node)))

    def _on_ack(self, ack: Ack, now: float) -> list[Effect]:
        effects = self._sign_of_life(ack.target, ack.boot, ack.incarnation, ack.sequence, "", now)
        if ack.relay and ack.relay != self.me.node:
            effects += self._send_to([ack.relay], replace(ack, relay=""))
        return effects

    def _on_verdict(self, verdict: Verdict, now: float) -> list[Effect]:
        if verdict.subject == self.me.node:
            return self._accused(verdict)
        member = self.members.get(verdict.subject)
        if member is None or verdict.incarnation < member.record.incarnation:
            return []
        if verdict.health == LEFT:
            own_word = verdict.node == verdict.subject and verdict.incarnation == member.record.incarnation
            return self._change(member, LEFT, now) if own_word and member.health != LEFT else []
        if verdict.health == ALIVE:
            return self._vouched(member, verdict, now)
        if verdict.incarnation > member.record.incarnation or not member.here:
            return []
        if member.evidence.sequence > verdict.sequence and member.evidence.silence_s(now) < self.timing.suspect_s:
            return self._tell_node(verdict.node, self._verdict_on(member))
        if verdict.health == SUSPECT and member.health == ALIVE:
            return self._change(member, SUSPECT, now)
        if verdict.health == DEAD and member.evidence.silence_s(now) >= self.timing.suspect_s:
            return self._change(member, DEAD, now)
        if verdict.health == DEAD and self.me.node not in self.observers(verdict.subject):
            return self._change(member, DEAD, now)
        return []

    def _vouched(self, member: Member, verdict: Verdict, now: float) -> list[Effect]:
        """Somebody says that a node lives. A new life only counts from its own mouth; a refuted suspicion from any."""
        if verdict.node == verdict.subject:
            return self._sign_of_life(verdict.subject, member.record.boot, verdict.incarnation, verdict.sequence, "", now)
        newer = verdict.incarnation == member.record.incarnation and verdict.sequence > member.evidence.sequence
        if member.health == SUSPECT and newer:
            member.evidence.freshest_s = max(member.evidence.freshest_s, now - self.timing.beat_s)
            return self._change(member, ALIVE, now)
        return []

    def _accused(self, verdict: Verdict) -> list[Effect]:
        """This node is held suspect or dead. A suspicion is refuted with a newer sequence, a death with a new incarnation."""
        if verdict.health == ALIVE:
            return []
        effects: list[Effect] = []
        if verdict.health in (DEAD, LEFT) and verdict.incarnation >= self.me.incarnation:
            self.me = replace(self.me, incarnation=verdict.incarnation + 1)
            effects.append(Save("incarnation", self.me.incarnation))
            effects.append(Report("refuted", {"incarnation": self.me.incarnation}))
        elif verdict.incarnation > self.me.incarnation:
            self.me = replace(self.me, incarnation=verdict.incarnation + 1)
            effects.append(Save("incarnation", self.me.incarnation))
        self.sequence += 1
        alive = Verdict(self.me.node, self.me.node, self.me.incarnation, self.sequence, ALIVE)
        return [*effects, *self.tell_all(alive), *self._tell_node(verdict.node, alive)]

    # ---- judging

    def judge(self, now: float) -> list[Effect]:
        """Suspect the silent, probe the suspects, bury those whom no probe reached. Call after the socket was drained."""
        effects: list[Effect] = []
        for member in self.watched():
            if member.health == ALIVE and (member.hinted or member.evidence.silence_s(now) >= self.timing.suspect_s):
                effects += self._doubt(member, now)
        for member in self.present():
            if member.health == SUSPECT:
                effects += self._pursue(member, now)
        return effects

    def hint(self, node: str, now: float) -> list[Effect]:
        """The link to `node` broke. A reason to probe at once, but no verdict."""
        member = self.members.get(node)
        if member is None or member.health != ALIVE:
            return []
        return self._probe(member, now)

    def lag(self, lag_s: float) -> None:
        """This node itself was late by `lag_s`: forgive the peers what it may have missed."""
        if lag_s > self.timing.beat_s / 2:
            for member in self.watched():
                member.evidence.forgive(lag_s, self.timing.lag_cap_s)

    def _doubt(self, member: Member, now: float) -> list[Effect]:
        effects = self._change(member, SUSPECT, now)
        return [*effects, *self.tell_all(self._verdict_on(member)), *self._probe(member, now)]

    def _probe(self, member: Member, now: float) -> list[Effect]:
        member.probed_s = now
        self.number += 1
        target = member.record.node
        ranked = sorted((hash_order(target, each.record.node), each.record.node) for each in self.present() if each.health == ALIVE)
        helpers = [node for _, node in ranked if node != target][: self.timing.helpers_max]
        return [
            *self._send_to([target], Probe(self.me.node, target, self.number)),
            *self._send_to(helpers, ProbeFor(self.me.node, target, self.number)),
        ]

    def _pursue(self, member: Member, now: float) -> list[Effect]:
        watching = self.me.node in self.observers(member.record.node)
        patience_s = self.timing.dead_s if watching else self.timing.dead_s * 2
        if now - member.since_s >= patience_s:
            if self._cut_off(now):
                return []
            return [*self._change(member, DEAD, now), *self.tell_all(self._verdict_on(member))]
        return self._probe(member, now) if watching and now - member.probed_s >= self.timing.probe_s else []

    def _cut_off(self, now: float) -> bool:
        """Half or more of three or more peers silent together: the fault may be here, so hold the verdicts for a while.
        The node's own carrier settles it at once: with the cable out, nobody else is to blame and nothing is gained by waiting."""
        watched = self.watched()
        silent = [each for each in watched if each.health == SUSPECT]
        first = min((each.since_s for each in silent), default=now)
        together = [each for each in silent if each.since_s - first <= self.timing.together_s]
        if not self.carrier or len(watched) < 3 or len(together) * 2 < len(watched):
            self.held_since_s = None
            return False
        self.held_since_s = first
        return now - first < self.timing.dead_s + self.timing.hold_s

    # ---- changing

    def leave(self) -> list[Effect]:
        """Say goodbye: the only way to `left`."""
        self.sequence += 1
        return self.tell_all(Verdict(self.me.node, self.me.node, self.me.incarnation, self.sequence, LEFT))

    def _change(self, member: Member, health: str, now: float) -> list[Effect]:
        if (member.health, health) not in TRANSITIONS:
            return []
        was_here = member.here
        silent_ms = int(member.evidence.silence_s(now) * 1000)
        member.health, member.since_s, member.hinted = health, now, False
        if was_here != member.here:
            self._observers.clear()
        event = {ALIVE: "node_refuted", SUSPECT: "node_suspect", DEAD: "node_dead", LEFT: "node_left"}[health]
        return [Report(event, {"node": member.record.node, "name": member.record.name, "silent_ms": silent_ms})]

    def _verdict_on(self, member: Member) -> Verdict:
        return Verdict(self.me.node, member.record.node, member.record.incarnation, member.evidence.sequence, member.health)

    def _tell(self, member: Member, verdict: Verdict) -> list[Effect]:
        return self._tell_node(member.record.node, verdict)

    def _tell_node(self, node: str, verdict: Verdict) -> list[Effect]:
        return [*self._send_to([node], verdict), SendControl(node, verdict)]

    def next_deadline(self) -> float:
        """When `beat` or `judge` next has something to do."""
        dues = [self.beat_due_s]
        for member in self.watched():
            if member.health == ALIVE:
                dues.append(member.evidence.due_s(self.timing.suspect_s))
        for member in self.present():
            if member.health == SUSPECT:
                dues += [member.since_s + self.timing.dead_s, member.probed_s + self.timing.probe_s]
        return min(dues)


def hash_order(node: str, other: str) -> bytes:
    """Where `other` stands among those who might watch `node`; the same on every node (rendezvous hashing, Thaler and
    Ravishankar 1998)."""
    return hashlib.blake2b(f"{node}|{other}".encode(), digest_size=8).digest()

