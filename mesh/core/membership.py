"""Who is here: what each word that is heard does to the table of members.

A suspicion is refuted by any newer sign of life, a death only by a higher incarnation, so that no late or
doubled datagram revives the dead. A verdict is told to all, the accused included, and a death once more by each observer that
believes it: who does not watch the lost one needs two such words, and any one word may get lost. (Told only by whoever came to
it first, it reached those 0.4 s later in six of ten deaths, and 3.5 s later once.) Two machines of one
identity are an alarm that names both; the one that was here first stays, until it falls silent.

After SWIM (Das, Gupta, Motivala 2002) with Lifeguard's self-doubt (Dadgar et al. 2018), without their
random probing: in a room of a few machines everyone can listen to everyone, and does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from mesh.core.detector import Evidence
from mesh.core.effects import Effect, Report, Save, SendControl, SendDatagram
from mesh.core.members import ALIVE, DEAD, LEFT, SECONDHAND, SUSPECT, Double, Member, Table
from mesh.core.messages import Ack, Beat, Datagram, NodeRecord, Probe, ProbeFor, Verdict

DOUBLE_BEATS, DOUBLE_S = 20, 5.0  # a second boot that speaks so often and so long is no echo of a past life


@dataclass(slots=True)
class Membership(Table):
    """The table, and what this node hears. Methods return effects; none reads a clock. `refuted_s` is when it last
    learned that others hold it dead."""

    refuted_s: float = float("-inf")
    replaced_s: float | None = None  # since when others hold another boot of this node alive

    # ---- learning of members

    def meet(self, record: NodeRecord, address: str, now: float) -> list[Effect]:
        """A node introduced itself over an authenticated link. A higher incarnation is a new life; a lower one is a ghost."""
        if record.node == self.me.node:
            return self._on_my_double(record.boot, f"{record.name} at {', '.join(record.addresses)}")
        known = self.members.get(record.node)
        if known is None or record.incarnation > known.record.incarnation:
            return self._new_life(record, address, now)
        if record.boot != known.record.boot:  # perhaps passed on by somebody who knows no better
            return [] if known.here else self.on_other_boot(known, record.boot, now, address=address)
        if record.incarnation < known.record.incarnation:
            return []
        known.record, known.spoke_s = record, now
        known.address = known.address or address
        return self.tell_node(record.node, self.verdict_on(known)) if not known.here else []

    def _new_life(self, record: NodeRecord, address: str, now: float) -> list[Effect]:
        known = self.members.get(record.node)
        where = address or (known.address if known else "") or (record.addresses[0] if record.addresses else "")
        member = Member(record, Evidence(now, now), ALIVE, now, where, met_s=now, spoke_s=now)
        if known is not None and known.record.boot == record.boot:
            member.evidence.sequence = known.evidence.sequence
            member.state = known.state if known.here else None  # the same process, which only answers an accusation
        elif known is not None:
            member.double = Double(known.record.boot, known.evidence.sequence, now)
            if known.here and known.state is not None:
                # An agent that restarted before it was found dead: its roles have outlived it, until it says otherwise.
                member.state, member.behind_since_s = replace(known.state, version=0), now
        return self.enter(member)

    def on_other_boot(self, member: Member, boot: str, now: float, *, sequence: int = 0, address: str = "") -> list[Effect]:
        """Words of another boot than the member's: it restarted and its disk forgot its incarnation, or it has a double. If the boot
        that is known here has not spoken for a while, that one is buried, so that the other comes back with a new incarnation. What
        the others hear does not count: they may hear the other boot under the same incarnation."""
        watching = self.watches(member.record.node)
        patience_s = self.timing.suspect_s + self.timing.dead_s if watching else self.timing.meet_s
        if not member.here or now - member.spoke_s >= patience_s:
            member.address = address or member.address
            buried = [*self.change(member, SUSPECT, now), *self.change(member, DEAD, now)]
            return [*buried, *self.tell_node(member.record.node, self.verdict_on(member))]
        double = member.double
        if double is None or double.boot != boot:
            member.double = Double(boot, sequence, now)
            return []
        if sequence <= double.sequence:
            return []
        double.sequence = sequence
        double.heard += 1
        if double.heard >= DOUBLE_BEATS and now - double.since_s >= DOUBLE_S:
            where = f"{member.record.name} at {member.address} and another at {address or 'an unknown address'}"
            return self.alarm(f"two machines use the identity {member.record.node}: {where}")
        return []

    def _on_my_double(self, boot: str, where: str) -> list[Effect]:
        if boot in ("", self.me.boot):
            return []
        return self.alarm(f"another machine uses this one's identity: {self.me.name} is also {where}")

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
                return self._on_ack(message, address, now)
            case Verdict():
                return self._on_verdict(message, now)

    def _on_beat(self, beat: Beat, address: str, now: float) -> list[Effect]:
        members = self.members
        sender = members.get(beat.node)
        before = sender.evidence.sequence if sender is not None else -1
        effects = self.sign_of_life(beat.node, beat.boot, beat.incarnation, beat.sequence, address, now)
        sender = members.get(beat.node)
        if sender is None or not sender.here or sender.record.boot != beat.boot or beat.sequence <= before:
            return effects  # what a late or doubled beat says of others is as stale as itself
        self._note_way(sender, address, now)
        for node, age_ms in beat.ages:
            subject = members.get(node)
            if node == self.me.node:
                self._note_gap(sender, sender.heard_me_s, now - age_ms / 1000)
                sender.heard_me_s = now - age_ms / 1000
            elif subject is not None and (subject.health == SUSPECT or now - age_ms / 1000 > subject.evidence.freshest_s):
                effects += self.hearsay(subject, age_ms / 1000, now)
        return effects

    def _note_way(self, member: Member, address: str, now: float) -> None:
        """By datagram or over the link: when only the link brings words for a while, silence is given more time."""
        if address:
            member.datagram_s, member.by_link = now, False
        elif now - member.datagram_s >= self.timing.suspect_s + self.timing.dead_s:
            member.by_link = True

    def _note_gap(self, member: Member, before_s: float, after_s: float) -> None:
        """Between these two moments nothing passed from one to the other: the line between them, too, stood still, and TCP tries it again
        as late as it has been cut. Two holders that met after a cut of 1.2 s, too short for a death, told each other so 1.2 s later."""
        if after_s - before_s >= self.timing.stalled_s:
            self.stale_links.add(member.record.node)

    def hearsay(self, subject: Member, age_s: float, now: float) -> list[Effect]:
        """Somebody heard it so long ago."""
        if not subject.here:
            return []
        subject.evidence.hear_of(age_s, now)
        return self._refute_if_fresh(subject, now) if subject.health == SUSPECT else []

    def sign_of_life(self, node: str, boot: str, incarnation: int, sequence: int, address: str, now: float) -> list[Effect]:
        """Something numbered came straight from `node`."""
        if node == self.me.node:
            return self._on_my_double(boot, f"at {address}")
        member = self.members.get(node)
        if member is None:
            return []
        if incarnation > member.record.incarnation:
            effects = self._new_life(replace(member.record, incarnation=incarnation, boot=boot), address, now)
            self.members[node].evidence.hear(sequence, now)
            return effects
        if boot != member.record.boot:
            return self.on_other_boot(member, boot, now, sequence=sequence, address=address)
        if incarnation < member.record.incarnation or not member.evidence.hear(sequence, now):
            return []
        if member.watched_s is not None:  # of others words come so seldom that a gap says nothing
            self._note_gap(member, max(member.spoke_s, member.watched_s), now)
        member.spoke_s = now
        if address and address != member.address:
            member.address = address
            self.changes += 1  # the roles here must be told where to listen
        if not member.here:
            return self.tell_node(node, self.verdict_on(member))
        return self._refute_if_fresh(member, now) if member.health == SUSPECT else []

    def _refute_if_fresh(self, member: Member, now: float) -> list[Effect]:
        if member.evidence.silence_s(now) >= self.timing.suspect_s:
            return []
        return [*self.change(member, ALIVE, now), *self.tell_all(self.verdict_on(member))]

    def _on_probe(self, probe: Probe, address: str) -> list[Effect]:
        known = self.members.get(probe.node)
        if probe.target != self.me.node or known is None:
            return []
        self.sequence += 1
        ack = Ack(self.me.node, self.me.boot, self.me.incarnation, self.sequence, probe.number, probe.relay)
        if not address:
            return [SendControl(probe.node, ack)]
        return [SendDatagram(address, known.record.beat_port, ack, probe.node)]

    def _on_probe_for(self, wanted: ProbeFor) -> list[Effect]:
        if wanted.node not in self.members:
            return []
        return list(self.send_to([wanted.target], Probe(self.me.node, wanted.target, wanted.number, wanted.node)))

    def _on_ack(self, ack: Ack, address: str, now: float) -> list[Effect]:
        """An answer over the link while datagrams are silent: they do not come through, so silence is given more time."""
        member = self.members.get(ack.target)
        if member is not None and not ack.relay and ack.boot == member.record.boot:
            if address or ack.sequence > member.evidence.sequence:  # a datagram that was overtaken by the link's word has come, too
                self._note_way(member, address, now)
        effects = self.sign_of_life(ack.target, ack.boot, ack.incarnation, ack.sequence, "", now)
        return [*effects, *self.send_to([ack.relay], replace(ack, relay=""))]  # who asked through this node, if it was another

    # ---- verdicts

    def _on_verdict(self, verdict: Verdict, now: float) -> list[Effect]:
        if verdict.subject == self.me.node:
            return self._accused(verdict, now)
        member = self.members.get(verdict.subject)
        if member is None or verdict.incarnation < member.record.incarnation:
            return []
        own_word = verdict.node == verdict.subject
        if verdict.incarnation == member.record.incarnation and verdict.boot not in ("", member.record.boot):
            return []
        if verdict.health == ALIVE:
            return self._vouched(member, verdict, now)
        if verdict.incarnation > member.record.incarnation:
            return []
        if verdict.health == LEFT:
            return self._said_goodbye(member, verdict, now) if own_word else []
        return self._denounced(member, verdict, now) if member.here else []

    def _said_goodbye(self, member: Member, verdict: Verdict, now: float) -> list[Effect]:
        return self.change(member, LEFT, now) if member.evidence.vouch(verdict.sequence, 0.0, now) else []

    def _denounced(self, member: Member, verdict: Verdict, now: float) -> list[Effect]:
        """Others hold it suspect or dead. Who watches it believes their own ears; who does not needs two such words, and knows of a
        healthy one by hearsay that is a beat old and some delay, so that a late accusation must not find it silent. One that comes too
        early is kept in mind: if nothing newer is heard of the accused, it is believed then (`Judge._believed_due`)."""
        watching = self.watches(verdict.subject)
        heard_lately = member.evidence.silence_s(now) < self.timing.suspect_s * (1 if watching else SECONDHAND)
        if heard_lately and member.evidence.sequence > verdict.sequence:
            return self.tell_node(verdict.node, self.verdict_on(member)) if member.health == ALIVE else []
        if heard_lately:
            member.accused_s = now
            self.accusations += 1
            return []
        accusers = member.accusers
        effects = self.change(member, SUSPECT, now)
        if verdict.health != DEAD:
            return effects
        if verdict.node in self.observers(verdict.subject):
            accusers |= {verdict.node}
        if not watching and len(accusers) < 2:
            member.accusers = accusers
            return effects
        effects += self.change(member, DEAD, now)
        return [*effects, *self.repeat(self.verdict_on(member))] if watching else effects

    def _vouched(self, member: Member, verdict: Verdict, now: float) -> list[Effect]:
        """Somebody says that a node lives. A new life only counts from its own mouth; a refuted suspicion from any."""
        if verdict.node == verdict.subject:
            boot = verdict.boot or member.record.boot
            return self.sign_of_life(verdict.subject, boot, verdict.incarnation, verdict.sequence, "", now)
        if verdict.incarnation != member.record.incarnation or member.health != SUSPECT:
            return []
        if not member.evidence.vouch(verdict.sequence, self.timing.beat_s, now):
            return []
        return self.change(member, ALIVE, now)

    def _replaced(self, verdict: Verdict, now: float) -> list[Effect]:
        """Somebody holds another boot of this node alive. For a moment that is its own past life; after that it has a double."""
        if verdict.boot in ("", self.me.boot) or verdict.incarnation < self.me.incarnation:
            return []
        if self.replaced_s is None:
            self.replaced_s = now
        return self._on_my_double(verdict.boot, "elsewhere") if now - self.replaced_s >= DOUBLE_S else []

    def _accused(self, verdict: Verdict, now: float) -> list[Effect]:
        """This node is held suspect or dead. A suspicion is refuted with a newer sequence, a death with a new incarnation."""
        if verdict.health == ALIVE:
            return self._replaced(verdict, now)
        if verdict.health == DEAD:
            self.stale_links.add(verdict.node)
        if verdict.incarnation < self.me.incarnation:
            return self.tell_node(verdict.node, self.own_word(ALIVE))  # it does not know this life yet
        effects: list[Effect] = []
        if verdict.health in (DEAD, LEFT) or verdict.incarnation > self.me.incarnation:
            self.refuted_s = now
            self.me = replace(self.me, incarnation=verdict.incarnation + 1)
            effects += [Save("incarnation", self.me.incarnation), Report("refuted", {"incarnation": self.me.incarnation})]
        alive = self.own_word(ALIVE)
        known = self.members.get(verdict.node)
        also = self.tell_node(verdict.node, alive) if known is not None and not known.here else []
        return [*effects, *self.tell_all(alive), *also]
