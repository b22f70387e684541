"""One node's mind: events in, effects out, time as an argument.

It touches nothing and remembers everything that matters, so the same code decides in the room and in the
simulator. Each event is taken in by a small method; then the node settles: heartbeats and verdicts,
placement, one step for each instance, routes, and its own state told to all if it changed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from mesh.core import view as views
from mesh.core.cast import Cast, View
from mesh.core.claims import HOLDER, PLAYING, STARTING, Ledger
from mesh.core.effects import Effect, HangUp, Report, Save, SendControl, Tell
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
    RoleReady,
    RoleStarted,
    Tick,
    Wanted,
)
from mesh.core.instances import Instance, instances
from mesh.core.membership import Membership
from mesh.core.messages import Ack, Beat, Hello, NodeRecord, NodeState, Order, Probe, ProbeFor, State, StateWanted, Verdict
from mesh.core.peers import Peers
from mesh.core.placement import Placement, place
from mesh.core.routes import Reach, Scene, routes_for
from mesh.core.spec import Deployment
from mesh.core.timing import WIRED, Timing

NOTHING_PLACED = Placement({}, {}, {}, None)


@dataclass(slots=True)
class Node:
    """A node's mind. `handle` takes any event at any time; `next_deadline` says when it wants a `Tick`.

    `saved` is what `Save` effects of earlier lives left: "order", "epochs", "peers".
    """

    me: NodeRecord
    started_s: float
    timing: Timing = WIRED
    saved: dict[str, Any] = field(default_factory=dict)
    membership: Membership = field(init=False)
    peers: Peers = field(init=False)
    cast: Cast = field(init=False)
    ledger: Ledger = field(default_factory=Ledger)
    state: NodeState = field(init=False)
    deployment: Deployment | None = None
    instances: tuple[Instance, ...] = ()
    placement: Placement = NOTHING_PLACED
    seen_playing: set[str] = field(default_factory=set)
    told_routes: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    wanted_version: dict[str, float] = field(default_factory=dict)
    draining: bool = False
    dirty: bool = True
    sync_due_s: float = 0.0

    def __post_init__(self) -> None:
        self.membership = Membership(self.me, self.timing, beat_due_s=self.started_s)
        self.peers = Peers(self.me.node, self.me.installation, self.timing)
        self.cast = Cast(self.timing)
        self.ledger.epochs.update(self.saved.get("epochs", {}))
        order = self.saved.get("order") or (0, "down", "")
        self.state = NodeState(0, {}, (0, ""), Order(*order), hears=1)
        self.sync_due_s = self.started_s + self.timing.sync_s

    # ---- the door

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take in one event; returns what is to be done, in order."""
        effects = self._take_in(event, now)
        return [*effects, *self._settle(now)]

    def next_deadline(self) -> float:
        """When this node next has something to do if nothing happens until then."""
        return min(self.membership.next_deadline(), self.peers.next_deadline(), self.cast.next_look_s, self.sync_due_s, self._start_due())

    def _take_in(self, event: Event, now: float) -> list[Effect]:
        match event:
            case Tick():
                self.membership.lag(event.lag_s)
                return []
            case Heard():
                return self._on_heard(event, now)
            case PeerFound():
                return self.peers.found(event.record, now)
            case LinkUp():
                return self._on_link_up(event, now)
            case LinkHint():
                self.peers.unlinked(event.node, now)
                return self.membership.hint(event.node, now)
            case Carrier():
                self.membership.carrier = event.up
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
                return self._on_state(event.message)
            case StateWanted():
                return [SendControl(event.message.node, self._told())]
            case _:
                return []

    def _on_datagram(self, event: Heard, now: float) -> list[Effect]:
        message = event.message
        assert isinstance(message, (Beat, Probe, ProbeFor, Ack, Verdict))
        before = self._health()
        effects = self.membership.heard(message, event.address, now)
        self._after_membership(before)
        if isinstance(message, Beat):
            effects += self._want_state(message, now)
        return [*effects, *self._hang_up_lost(before, now)]

    def _want_state(self, beat: Beat, now: float) -> list[Effect]:
        """The heartbeat names a version of its sender's state that has not come: ask, but not at every beat."""
        member = self.membership.members.get(beat.node)
        if member is None or not member.here or (member.state is not None and member.state.version >= beat.version):
            return []
        if now - self.wanted_version.get(beat.node, -1e9) < self.timing.beat_s * 3:
            return []
        self.wanted_version[beat.node] = now
        return [SendControl(beat.node, StateWanted(self.me.node))]

    def _on_hello(self, hello: Hello, now: float) -> list[Effect]:
        before = self._health()
        effects = self.peers.found(hello.record, now)
        new = hello.record.node not in before
        effects += self.membership.meet(hello.record, "", now)
        for record in hello.known:
            effects += self.peers.found(record, now)
        self._after_membership(before)
        if new:
            effects += [self._save_peers(), SendControl(hello.record.node, self._told())]
        return effects

    def _on_state(self, message: State) -> list[Effect]:
        member = self.membership.members.get(message.node)
        if member is None or message.incarnation < member.record.incarnation:
            return []
        if member.state is not None and message.state.version <= member.state.version and message.incarnation == member.record.incarnation:
            return []
        member.state = message.state
        self.dirty = True
        return self._adopt_order(message.state.order)

    def _adopt_order(self, order: Order) -> list[Effect]:
        if (order.number, order.stamp) <= (self.state.order.number, self.state.order.stamp):
            return []
        self.state = replace(self.state, order=order)
        self.dirty = True
        return [Save("order", [order.number, order.state, order.stamp]), Report("order", {"state": order.state})]

    # ---- links

    def _on_link_up(self, event: LinkUp, now: float) -> list[Effect]:
        self.peers.linked(event.node)
        member = self.membership.members.get(event.node)
        if member is not None and event.address:
            member.address = member.address or event.address
        peer = self.peers.known.get(event.node)
        before = self._health()
        effects = self.membership.meet(peer.record, event.address, now) if peer is not None and member is None else []
        self._after_membership(before)
        return [*effects, SendControl(event.node, Hello(self.me, self.peers.records()[:256])), SendControl(event.node, self._told())]

    def _hang_up_lost(self, before: dict[str, str], now: float) -> list[Effect]:
        """A dead peer's link is dropped with all that is queued on it, and dialled anew."""
        effects: list[Effect] = []
        for node, health in self._health().items():
            if health in ("dead", "left") and before.get(node) not in ("dead", "left"):
                self.peers.unlinked(node, now)
                effects.append(HangUp(node))
        return effects

    def _health(self) -> dict[str, str]:
        return {node: member.health for node, member in self.membership.members.items()}

    def _after_membership(self, before: dict[str, str]) -> None:
        self.me = self.membership.me
        if self._health() != before:
            self.dirty = True

    def _save_peers(self) -> Save:
        return Save("peers", [
            [r.node, r.boot, r.incarnation, r.name, list(r.addresses), r.control_port, r.beat_port, r.installation, r.protocol]
            for r in self.peers.records()
        ])

    # ---- this machine

    def _on_deployment(self, event: DeploymentRead) -> list[Effect]:
        self.deployment = event.deployment
        self.instances = instances(event.deployment)
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
            return []
        return self.membership.leave() if event.verb == "leave" else []

    def _on_role(self, event: Event, now: float) -> list[Effect]:
        self.dirty = True
        if isinstance(event, RoleReady):
            self.cast.ready(event.instance, event.generation, (event.frames_port, event.requests_port), event.pid, now)
        elif isinstance(event, RoleStarted):
            self.cast.started(event.instance, event.generation, event.pid)
        elif isinstance(event, RoleEnded) and not event.clean:
            return self.cast.ended(event.instance, event.generation, event.why, self._view(now), now)
        return []

    # ---- settling

    def _settle(self, now: float) -> list[Effect]:
        before = self._health()
        effects = self.membership.judge(now)
        self._after_membership(before)
        effects += self._hang_up_lost(before, now)
        if not self.state.settled and self._is_settled(now):
            self.state = replace(self.state, settled=True)
            self.dirty = True
            effects.append(Report("settled", {}))
        if self.dirty or now >= self.cast.next_look_s or self._start_due() <= now:
            effects += self._play(now)
        effects += self.peers.dial_due(now)
        effects += self.membership.beat(now, self.state.version)
        if now >= self.sync_due_s:
            self.sync_due_s = now + self.timing.sync_s
            effects += self._tell_state()
        return effects

    def _play(self, now: float) -> list[Effect]:
        """Placement, one step for each instance until nothing changes, routes, and the state told if it is new."""
        effects: list[Effect] = []
        for _ in range(4):
            before = self._claims()
            effects += self.cast.decide(self._view(now), now)
            if self._claims() == before:
                break
        self.dirty = False
        effects += self._publish()
        return [*effects, *self._tell_routes()]

    def _view(self, now: float) -> View:
        states = self._states()
        names = self._names()
        self.ledger.read(states)
        for role_instance, holdings in self.ledger.holdings.items():
            if any(each.claim.state == PLAYING for each in holdings):
                self.seen_playing.add(role_instance.split("@")[0].split("/")[0])
        up = self.deployment is not None and self.state.order.state == "up" and now - self.started_s >= self.timing.listen_s
        self.placement = self._place(states, names) if up else NOTHING_PLACED
        settled = frozenset(node for node, state in states.items() if state.settled)
        return View(
            self.me.node, self.instances, self.placement, self.ledger, names, settled, self._may_start, self._needs_ready,
            provisional=now - self.started_s < self.timing.provisional_s and not self.state.settled,
        )

    def _place(self, states: dict[str, NodeState], names: dict[str, str]) -> Placement:
        assert self.deployment is not None
        here = views.candidates(self.deployment, states, names, self.state.revision[1])
        return place(self.deployment, here, views.held(self.instances, self.ledger))

    def _states(self) -> dict[str, NodeState]:
        states = {m.record.node: m.state for m in self.membership.present() if m.state is not None}
        return {**states, self.me.node: replace(self.state, claims=self._claims())}

    def _names(self) -> dict[str, str]:
        return {self.me.node: self.me.name, **{m.record.node: m.record.name for m in self.membership.present()}}

    def _claims(self) -> tuple[Any, ...]:
        return tuple(part.claim for _, part in sorted(self.cast.parts.items()))

    # ---- a starting room

    def _is_settled(self, now: float) -> bool:
        """Past its boot grace: time is up, or every machine that the file names is here, or it met a node past its own."""
        if self.deployment is None or now - self.started_s < self.timing.listen_s:
            return False
        named = {machine.name for machine in self.deployment.machines}
        states = [m.state for m in self.membership.present() if m.state is not None]
        all_here = bool(named) and named <= set(self._names().values()) and len(states) == len(self.membership.present())
        return all_here or any(state.settled for state in states) or now - self.started_s >= self.deployment.boot_grace_s

    def _start_due(self) -> float:
        """When the next of the start's own steps is due; infinity when the node is settled."""
        if self.state.settled or self.deployment is None:
            return float("inf")
        listened = self.started_s + self.timing.listen_s
        return listened if not self.placement.holders else self.started_s + self.deployment.boot_grace_s

    def _may_start(self, instance: Instance) -> bool:
        """Before it is settled, a node plays what prefers it and what only it can play; the rest waits for the others."""
        if self.state.settled or instance.pinned:
            return True
        first = instance.role.on[0]
        labels = self.deployment.labels_of(self.me.name) if self.deployment else ()
        return first == self.me.name or (first.startswith("label:") and first.removeprefix("label:") in labels)

    def _needs_ready(self, instance: Instance) -> bool:
        """Whether each role it hears has played since the room went up. A display does not wait; nor does a take-over."""
        assert self.deployment is not None
        kind = self.deployment.kinds.get(instance.role.kind)
        return (kind is not None and kind.display) or all(wire.role in self.seen_playing for wire in instance.role.inputs)

    # ---- telling

    def _told(self) -> State:
        return State(self.me.node, self.me.incarnation, self.state)

    def _publish(self) -> list[Effect]:
        claims = self._claims()
        epochs = {name: epoch for name, epoch in self.ledger.epochs.items() if epoch}
        new = replace(
            self.state, claims=claims, epochs=epochs, gave_up=tuple(sorted(self.cast.gave_up.items())), hears=len(self._names()),
        )
        if new == self.state and self.state.version > 0:
            return []
        saved = [Save("epochs", epochs)] if epochs != self.state.epochs else []
        self.state = replace(new, version=self.state.version + 1)
        return [*saved, *self._tell_state()]

    def _tell_state(self) -> list[Effect]:
        return [SendControl(member.record.node, self._told()) for member in self.membership.present()]

    def _tell_routes(self) -> list[Effect]:
        if self.deployment is None:
            return []
        names: dict[str, tuple[str, ...]] = {}
        for instance in self.instances:
            names[instance.role.name] = (*names.get(instance.role.name, ()), instance.name)
        scene = Scene(self.deployment, names, self.ledger, self._reach())
        effects: list[Effect] = []
        current: dict[tuple[str, int], dict[str, Any]] = {}
        for name, part in sorted(self.cast.parts.items()):
            if part.claim.state == STARTING:
                continue
            key = (name, part.claim.generation)
            role = self.deployment.role(name.split("@")[0].split("/")[0])
            current[key] = routes_for(role, scene)
            if self.told_routes.get(key) != current[key]:
                effects.append(Tell(name, part.claim.generation, {"type": "routes", "routes": current[key]}))
        self.told_routes = current
        return effects

    def _reach(self) -> dict[str, Reach]:
        reach = {self.me.node: Reach(("127.0.0.1",))}
        for member in self.membership.present():
            others = tuple(address for address in member.record.addresses if address != member.address)
            addresses = (member.address, *others) if member.address else others
            reach[member.record.node] = Reach(addresses, member.health == "suspect")
        return reach

    def holds(self, instance: str) -> bool:
        """Whether this node holds the instance now."""
        part = self.cast.parts.get(instance)
        return part is not None and part.claim.part == HOLDER

