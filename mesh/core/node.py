"""One node's mind: events in, effects out, time as an argument.

It touches nothing and remembers everything that matters, so the same code decides in the room and in the
simulator. Each event is taken in by a small method; then the node settles: heartbeats and verdicts,
placement, one step for each instance, routes, and its own state told to all if it changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mesh.core import view as views
from mesh.core.boot import Start, is_complete, prefers, waits_for
from mesh.core.cast import Cast, View
from mesh.core.claims import HOLDER, PLAYING, Ledger
from mesh.core.effects import Effect, HangUp, Report, Save, SendControl
from mesh.core.events import (
    Carrier,
    DeploymentRead,
    Event,
    Heard,
    LinkHint,
    LinkUp,
    Measured,
    PeerFound,
    RoleEnded,
    RoleFound,
    RoleReady,
    RoleStarted,
    Tick,
    Wanted,
)
from mesh.core.flapping import Steadiness
from mesh.core.instances import Instance, instances
from mesh.core.judging import Judge
from mesh.core.members import ALIVE, LEFT, Member
from mesh.core.membership import Membership
from mesh.core.messages import (
    Ack,
    Beat,
    Claim,
    Digest,
    Hello,
    NodeRecord,
    NodeState,
    Order,
    Probe,
    ProbeFor,
    State,
    StateWanted,
    Verdict,
)
from mesh.core.peers import Peers
from mesh.core.placement import Placement
from mesh.core.routes import Prompter, Reach, Scene, role_name
from mesh.core.sides import Side
from mesh.core.spec import Deployment
from mesh.core.timing import WIRED, Timing

NOTHING_PLACED = Placement({}, {}, {}, None)
NEVER = float("inf")


@dataclass(slots=True)
class Node:
    """A node's mind. `handle` takes any event at any time; `next_deadline` says when it wants a `Tick`.

    `saved` is what `Save` effects of earlier lives left: "order", "epochs", "returns", "peers".
    """

    me: NodeRecord
    started_s: float
    timing: Timing = WIRED
    saved: dict[str, Any] = field(default_factory=dict)
    membership: Membership = field(init=False)
    judge: Judge = field(init=False)
    peers: Peers = field(init=False)
    cast: Cast = field(init=False)
    start: Start = field(init=False)
    steadiness: Steadiness = field(init=False)
    side: Side = field(init=False)
    state: NodeState = field(init=False)
    ledger: Ledger = field(default_factory=Ledger)
    prompter: Prompter = field(default_factory=Prompter)
    deployment: Deployment | None = None
    instances: tuple[Instance, ...] = ()
    awaited: Mapping[str, frozenset[str]] = field(default_factory=dict)
    placement: Placement = NOTHING_PLACED
    seen_playing: set[str] = field(default_factory=set)
    wanted_version: dict[str, float] = field(default_factory=dict)
    lives: dict[str, tuple[int, bool]] = field(default_factory=dict)  # node -> (incarnation, here) that was acted upon
    seen_changes: int = -1
    returned_s: float = NEVER  # when to judge whether the room had gone on without this node
    gone: bool = False
    dirty: bool = True

    def __post_init__(self) -> None:
        self.membership = Membership(self.me, self.timing)
        self.judge = Judge(self.membership, self.started_s, NEVER, self.started_s)
        self.peers = Peers(self.me.node, self.me.installation, self.timing)
        self.cast = Cast(self.timing)
        self.start = Start(self.started_s, self.timing)
        self.steadiness = Steadiness(self.timing, self.started_s, int(self.saved.get("returns", 0)))
        self.side = Side(self.timing.settle_s)
        self.ledger.epochs.update(self.saved.get("epochs", {}))
        order = self.saved.get("order") or (0, "down", "")
        self.state = NodeState(0, {}, (0, ""), Order(*order), hears=1)

    # ---- the door

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take in one event; returns what is to be done, in order."""
        if self.gone:
            return []
        effects = self._take_in(event, now)
        judged = self.judge.judge(now) if isinstance(event, Tick) else []
        return [*effects, *judged, *self._settle(now)]

    def next_deadline(self) -> float:
        """When this node next has something to do if nothing happens until then."""
        if self.gone:
            return NEVER
        return min(
            self.judge.next_deadline(), self.peers.next_deadline(), self.cast.next_look_s, self.side.grow_due_s, self.returned_s,
            self.start.next_due(self._grace_s()), self.steadiness.next_due(),
        )

    def _take_in(self, event: Event, now: float) -> list[Effect]:
        match event:
            case Tick():
                self.judge.lag(event.lag_s)
                return []
            case Heard():
                return self._on_heard(event, now)
            case PeerFound():
                return self.peers.found(event.record, now)
            case LinkUp():
                return self._on_link_up(event)
            case LinkHint():
                self.peers.unlinked(event.node, now)
                return self.judge.hint(event.node, now)
            case Carrier():
                self.judge.carrier = event.up
                return []
            case DeploymentRead():
                return self._on_deployment(event)
            case Measured():
                self.state = replace(self.state, capabilities=event.capabilities)
                self.dirty = True
                return []
            case Wanted():
                return self._on_wanted(event)
            case _:
                return self._on_role(event, now)

    # ---- messages

    def _on_heard(self, event: Heard, now: float) -> list[Effect]:
        match event.message:
            case Beat() | Probe() | ProbeFor() | Ack() | Verdict():
                return self._on_datagram(event, now)
            case Hello():
                return self._on_hello(event.message, now)
            case State():
                return self._on_state(event.message, now)
            case StateWanted():
                return [SendControl(event.message.node, self._told())]
            case Digest():
                return self._on_digest(event.message, now)
            case _:
                return []

    def _on_datagram(self, event: Heard, now: float) -> list[Effect]:
        message = event.message
        assert isinstance(message, (Beat, Probe, ProbeFor, Ack, Verdict))
        effects = self.membership.heard(message, event.address, now)
        if isinstance(message, Beat):
            effects += self._want_state(message.node, message.incarnation, message.version, now)
        return effects

    def _want_state(self, node: str, incarnation: int, version: int, now: float) -> list[Effect]:
        """Somebody names a version of a node's state that has not come: ask that node, but not at every beat."""
        member = self.membership.members.get(node)
        if member is None or not member.here or incarnation < member.record.incarnation:
            return []
        if member.state is not None and member.state.version >= version:
            return []
        if now - self.wanted_version.get(node, -NEVER) < self.timing.beat_s * 3:
            return []
        self.wanted_version[node] = now
        return [SendControl(node, StateWanted(self.me.node))]

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
        if member is None or message.incarnation < member.record.incarnation:
            return effects
        if message.boot not in ("", member.record.boot):
            return effects
        if member.state is not None and message.state.version <= member.state.version:
            return effects
        member.state = message.state
        self.dirty = True
        return [*effects, *self._adopt_order(message.state.order)]

    def _adopt_order(self, order: Order) -> list[Effect]:
        if (order.number, order.stamp) <= (self.state.order.number, self.state.order.stamp):
            return []
        self.state = replace(self.state, order=order)
        self.dirty = True
        return [Save("order", [order.number, order.state, order.stamp]), Report("order", {"state": order.state})]

    # ---- links

    def _on_link_up(self, event: LinkUp) -> list[Effect]:
        self.peers.linked(event.node, event.address)
        member = self.membership.members.get(event.node)
        if member is not None and event.address:
            member.address = member.address or event.address
        return [SendControl(event.node, Hello(self.me, self.peers.records()[:256])), SendControl(event.node, self._told())]

    def _follow_membership(self, now: float) -> list[Effect]:
        """A lost member's link is dropped with all that is queued on it; a new life is told this node's state and asked for its own."""
        self.me = self.membership.me
        if self.membership.changes == self.seen_changes:
            return []
        self.seen_changes = self.membership.changes
        self.dirty = True
        effects: list[Effect] = []
        for node, member in self.membership.members.items():
            life = (member.record.incarnation, member.here)
            before = self.lives.get(node)
            if before == life:
                continue
            self.lives[node] = life
            if before is not None and before[1]:  # also under a new life: the old line may be in a long stall
                self.peers.unlinked(node, now)
                effects.append(HangUp(node))
            if member.here:
                effects += [*self.peers.nudge(node, now), SendControl(node, self._told()), SendControl(node, StateWanted(self.me.node))]
                self.wanted_version[node] = now
        return effects

    def _save_peers(self) -> Save:
        return Save("peers", [
            [r.node, r.boot, r.incarnation, r.name, list(r.addresses), r.control_port, r.beat_port, r.installation, r.protocol]
            for r in self.peers.records()
        ])

    # ---- this machine

    def _on_deployment(self, event: DeploymentRead) -> list[Effect]:
        self.deployment = event.deployment
        self.instances = instances(event.deployment)
        self.awaited = waits_for(event.deployment)
        self.state = replace(self.state, revision=event.revision)
        self.me = self.membership.me = replace(self.membership.me, revision=event.revision[1])
        self.dirty = True
        return []

    def _on_wanted(self, event: Wanted) -> list[Effect]:
        self.dirty = True
        if event.verb in ("up", "down"):
            return self._adopt_order(Order(self.state.order.number + 1, event.verb, self.me.boot))
        if event.verb in ("drain", "undrain"):
            self.state = replace(self.state, drained=event.verb == "drain")
        if event.verb != "leave":
            return []
        self.gone = True
        return self.membership.tell_all(self.membership.own_word(LEFT))

    def _on_role(self, event: Event, now: float) -> list[Effect]:
        self.dirty = True
        if isinstance(event, RoleReady):
            self.cast.ready(event.instance, event.generation, (event.frames_port, event.requests_port), event.pid, now)
        elif isinstance(event, RoleStarted):
            self.cast.started(event.instance, event.generation, event.pid)
        elif isinstance(event, RoleFound):
            self.cast.adopt(event.claim, event.standby)
        elif isinstance(event, RoleEnded) and not event.clean:
            return self.cast.ended(event.instance, event.generation, event.why, self._view(now), now)
        return []

    # ---- settling

    def _settle(self, now: float) -> list[Effect]:
        effects = self._follow_membership(now)
        effects += self._look_at_myself(now)
        if self.dirty or now >= self.cast.next_look_s:
            effects += self._play(now)
        effects += self.peers.dial_due(now)
        effects += self.judge.beat(now, self.state.version)
        effects += self.judge.knock(now)
        told = self.judge.digest(now, self.state.version)
        return [*effects, SendControl(*told)] if told else effects

    def _look_at_myself(self, now: float) -> list[Effect]:
        """What this node says of itself that changes with time: its start, the size of its side, its steadiness."""
        effects: list[Effect] = []
        if not self.start.settled or now >= self.start.next_due(self._grace_s()):
            effects += self._look_at_start(now)
        if self.membership.refuted_s > self.steadiness.since_s:
            self.steadiness.interrupted(self.membership.refuted_s)
            self.returned_s = now + self.timing.settle_s / 2
        if now >= self.returned_s:
            self.returned_s = NEVER
            self._count_return(now)
        if self.dirty or now >= self.side.grow_due_s:
            alive = 1 + sum(1 for member in self.membership.present() if member.health == ALIVE)
            agreed = all(len(each) <= 1 for each in self.ledger.holdings.values())
            self.dirty |= self.side.count(alive, now, agreed=agreed)
        returns = self.steadiness.returns
        if self.steadiness.look(now):
            self.dirty = True
        if returns != self.steadiness.returns:
            effects.append(Save("returns", self.steadiness.returns))
        return effects

    def _look_at_start(self, now: float) -> list[Effect]:
        states = [member.state for member in self.membership.present()]
        complete = self.deployment is not None and is_complete(self.deployment, self._names().values()) and None not in states
        met_settled = any(state is not None and state.settled for state in states)
        was_settled = self.start.settled
        if not self.start.look(now, grace_s=self._grace_s(), complete=complete, met_settled=met_settled):
            return []
        self.dirty = True
        if was_settled or not self.start.settled:
            return []
        if self.start.joined:
            self.returned_s = now
        return [Report("settled", {"joined": self.start.joined})]

    def _grace_s(self) -> float | None:
        return self.deployment.boot_grace_s if self.deployment is not None else None

    def _count_return(self, now: float) -> None:
        """The room went on without this node if a larger side that has been running for a while is here."""
        states = [member.state for member in self.membership.present() if member.state is not None]
        if any(state.steady and state.hears > self.side.size for state in states):
            self.steadiness.came_back(now)
            self.dirty = True

    def _play(self, now: float) -> list[Effect]:
        """Placement, one step for each instance until nothing changes, routes, and the state told if it is new."""
        effects: list[Effect] = []
        for _ in range(4):
            before = self._claims()
            view = self._view(now)
            if not self.start.listened and self.state.order.state == "up":
                break  # what was adopted goes on as it was until the others have been heard
            effects += self.cast.decide(view, now)
            if view.waits:
                self.cast.next_look_s = min(self.cast.next_look_s, now + self.timing.listen_s / 4)
            if self._claims() == before:
                break
        self.dirty = False
        saved, told = self._publish()
        return [*saved, *effects, *told, *self._tell_routes()]

    def _view(self, now: float) -> View:
        states = self._states()
        names = self._names()
        self.ledger.read(states)
        for instance, holdings in self.ledger.holdings.items():
            if any(each.claim.state == PLAYING for each in holdings):
                self.seen_playing.add(role_name(instance))
        if self.deployment is not None and self.state.order.state == "up" and self.start.listened:
            self.placement = views.placement(self.deployment, self.instances, states, names, self.state.revision[1], self.ledger)
        else:
            self.placement = NOTHING_PLACED
        settled = frozenset(node for node, state in states.items() if state.settled)
        unknown = any(member.state is None and now < member.met_s + self.timing.listen_s for member in self.membership.present())
        return View(
            self.me.node, self.instances, self.placement, self.ledger, names, settled, self._may_start, self._needs_ready,
            provisional=self.start.provisional, side=self.side.size, waits=unknown,
        )

    def _states(self) -> dict[str, NodeState]:
        states = {m.record.node: m.state for m in self.membership.present() if m.state is not None}
        return {**states, self.me.node: self._as_it_is()}

    def _as_it_is(self) -> NodeState:
        """This node's state with what has changed since it was told last."""
        return replace(
            self.state, claims=self._claims(), gave_up=tuple(sorted(self.cast.gave_up.items())), hears=self.side.size,
            settled=self.start.settled, steady=self.steadiness.steady, put_aside=self.steadiness.put_aside,
        )

    def _names(self) -> dict[str, str]:
        return {self.me.node: self.me.name, **{m.record.node: m.record.name for m in self.membership.present()}}

    def _claims(self) -> tuple[Claim, ...]:
        return tuple(part.claim for _, part in sorted(self.cast.parts.items()))

    def _may_start(self, instance: Instance) -> bool:
        """Before it is settled, a node plays what prefers it and what only it can play; the rest waits for the others."""
        labels = self.deployment.labels_of(self.me.name) if self.deployment else ()
        return self.start.settled or bool(instance.pinned) or prefers(instance.role, self.me.name, labels)

    def _needs_ready(self, instance: Instance) -> bool:
        """Whether each role it hears has played since the room went up. A display does not wait; nor does a take-over."""
        assert self.deployment is not None
        kind = self.deployment.kinds.get(instance.role.kind)
        if kind is not None and kind.display:
            return True
        placed = {role_name(name) for name in self.placement.holders}
        return all(role in self.seen_playing or role not in placed for role in self.awaited.get(instance.role.name, ()))

    # ---- telling

    def _told(self) -> State:
        return State(self.me.node, self.me.incarnation, self.state, self.me.boot)

    def _publish(self) -> tuple[list[Effect], list[Effect]]:
        """(what to keep on disk first, what to tell the others)"""
        epochs = {name: epoch for name, epoch in self.ledger.epochs.items() if epoch}
        new = replace(self._as_it_is(), epochs=epochs)
        if new == self.state and self.state.version > 0:
            return [], []
        saved: list[Effect] = [Save("epochs", epochs)] if epochs != self.state.epochs else []
        self.state = replace(new, version=self.state.version + 1)
        told = self._told()
        return saved, [SendControl(member.record.node, told) for member in self.membership.present()]

    def _tell_routes(self) -> list[Effect]:
        if self.deployment is None:
            return []
        names: dict[str, tuple[str, ...]] = {}
        for instance in self.instances:
            names[instance.role.name] = (*names.get(instance.role.name, ()), instance.name)
        reach = {self.me.node: Reach(("127.0.0.1",)), **{each.record.node: _reach(each) for each in self.membership.present()}}
        return self.prompter.tell(self._claims(), Scene(self.deployment, names, self.ledger, reach))

    def holds(self, instance: str) -> bool:
        """Whether this node holds the instance now."""
        part = self.cast.parts.get(instance)
        return part is not None and part.claim.part == HOLDER


def _reach(member: Member) -> Reach:
    others = tuple(address for address in member.record.addresses if address != member.address)
    return Reach((member.address, *others) if member.address else others, member.health == "suspect")
