"""One node's mind: events in, effects out, time as an argument.

It touches nothing and remembers everything that matters, so the same code decides in the room and in the
simulator. Each event is taken in by a small method; then the node settles: heartbeats and verdicts,
placement, one step for each instance, routes, and its own state told to all if it changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mesh.core import role_news
from mesh.core import view as views
from mesh.core.boot import prefers, waits_for
from mesh.core.cast import Cast
from mesh.core.claims import HOLDER, PLAYING, Ledger
from mesh.core.contacts import Contacts
from mesh.core.distribution import Distribution, nobody
from mesh.core.effects import Effect, Report, Save, SendControl
from mesh.core.events import (
    Carrier,
    DeploymentRead,
    Event,
    Heard,
    LinkHint,
    LinkUp,
    Measured,
    Offered,
    PeerFound,
    RevisionFailed,
    RevisionReady,
    Tick,
    Wanted,
)
from mesh.core.instances import Instance, instances
from mesh.core.judging import Judge
from mesh.core.members import LEFT
from mesh.core.membership import Membership
from mesh.core.messages import (
    Ack,
    Beat,
    BeatsWanted,
    Claim,
    ClockAsk,
    ClockTold,
    Digest,
    NodeRecord,
    NodeState,
    Order,
    Probe,
    ProbeFor,
    Signed,
    State,
    StateWanted,
    Verdict,
)
from mesh.core.names import role_name
from mesh.core.peers import Peers
from mesh.core.placement import Placement
from mesh.core.routes import Prompter, Scene
from mesh.core.scenery import scene_of
from mesh.core.spec import Deployment
from mesh.core.standing import Standing
from mesh.core.timekeeping import Timekeeper
from mesh.core.timing import WIRED, Timing
from mesh.core.view import View

NOTHING_PLACED = Placement({}, {}, {}, None)
NEVER = float("inf")
SAVED = ("order", "epochs", "returns", "offered", "ordered", "history")  # what a node takes from the lives before
OFTEN_CALM = frozenset({Beat, Digest, Verdict, State, Ack, Probe, ProbeFor, StateWanted, BeatsWanted, ClockAsk, ClockTold})


@dataclass(slots=True)
class Node:
    """A node's mind. `handle` takes any event at any time; `next_deadline` says when it wants a `Tick`.

    `saved` is what `Save` effects of earlier lives left under the keys in SAVED; what is missing was never kept.
    `trusts` says whether a revision is signed by the key's owner; `waiting` is the installation of a node that has none yet.
    """

    me: NodeRecord
    started_s: float
    timing: Timing = WIRED
    saved: dict[str, Any] = field(default_factory=dict)
    wall_s: float = 0.0  # what the wall clock showed when the steady clock showed 0
    trusts: Callable[[str, Signed], bool] = nobody
    waiting: str = ""
    membership: Membership = field(init=False)
    judge: Judge = field(init=False)
    peers: Peers = field(init=False)
    cast: Cast = field(init=False)
    contacts: Contacts = field(init=False)
    standing: Standing = field(init=False)
    distribution: Distribution = field(init=False)
    state: NodeState = field(init=False)  # as it is
    published: NodeState = field(init=False)  # as it was told last
    ledger: Ledger = field(default_factory=Ledger)
    prompter: Prompter = field(default_factory=Prompter)
    deployment: Deployment | None = None
    instances: tuple[Instance, ...] = ()
    awaited: Mapping[str, frozenset[str]] = field(default_factory=dict)
    placing: views.Placing = field(default_factory=views.Placing)
    placement: Placement = NOTHING_PLACED
    seen_playing: set[str] = field(default_factory=set)
    clock: Timekeeper = field(init=False)
    _words: State | None = None  # `published` as a message
    _routed: tuple[object, ...] = ()  # what routes were drawn from last
    settle_due_s: float = 0.0  # when time alone calls for settling
    gone: bool = False
    dirty: bool = True

    def __post_init__(self) -> None:
        self.membership = Membership(self.me, self.timing)
        self.judge = Judge(self.membership, self.started_s, NEVER, self.started_s)
        self.clock = Timekeeper(self.membership, self.started_s, self.wall_s, self.timing.listen_s)
        self.peers = Peers(self.me.node, self.me.installation, self.timing, self.waiting)
        self.cast = Cast(self.timing)
        self.distribution = Distribution(self.trusts, self.saved)
        self.contacts = Contacts(self.timing, self.membership, self.peers, self.ledger.epochs)
        self.standing = Standing(self.timing, self.started_s, self.membership, int(self.saved.get("returns") or 0))
        self.ledger.epochs.update(self.saved.get("epochs") or {})
        self.ledger.seen.update({instance: (epoch, "") for instance, epoch in self.ledger.epochs.items()})
        order = self.saved.get("order") or (0, "down", "")
        self.state = NodeState(0, {}, (0, ""), Order(*order), hears=1)
        self.published = self.state

    # ---- the door

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take in one event; returns what is to be done, in order."""
        if self.gone:
            return []
        effects = self._take_in(event, now)
        if isinstance(event, Tick):
            effects += self.judge.judge(now)
            effects += self._keep_time(now)
        if not self._is_calm(event, now):
            effects += self._settle(now)
            self.settle_due_s = min(self.peers.next_deadline(), self.cast.next_look_s, self.standing.next_due(self.deployment),
                                    self.distribution.next_due())
        judge = self.judge
        if not isinstance(event, Heard) and (now >= judge.beat_due_s or now >= judge.knock_due_s):  # all that waits was heard before
            effects += judge.beat(now, self.published.version)
            effects += judge.knock(now)
            told = judge.digest(now, self.published.version)
            if told is not None:
                effects.append(SendControl(*told))
        return effects

    def _is_calm(self, event: Event, now: float) -> bool:
        """Whether nothing follows from the event: most of what is heard, twenty times a second or more, changes nothing that is
        decided here."""
        if self.dirty or self.contacts.news or now >= self.settle_due_s or self.membership.stale_links:
            return False
        if self.membership.changes != self.contacts.seen_changes:
            return False
        if isinstance(event, Heard):
            message = event.message
            return type(message) in OFTEN_CALM and not (isinstance(message, Verdict) and message.subject == self.me.node)
        return isinstance(event, Tick)

    def next_deadline(self) -> float:
        """When this node next has something to do if nothing happens until then."""
        if self.gone:
            return NEVER
        due_s = self.judge.next_deadline()  # the clock's questions and the digests go out with the beat that is nearest
        return due_s if due_s < self.settle_due_s else self.settle_due_s

    def _take_in(self, event: Event, now: float) -> list[Effect]:
        match event:
            case Heard():
                return self._hear(event, now)
            case Tick():
                self.judge.lag(event.lag_s)
                return []
            case PeerFound():
                return self.contacts.found(event, now)
            case LinkUp():
                return self.contacts.link_up(event, self._told())
            case LinkHint():
                self.contacts.unlinked(event.node, now)
                return self.judge.hint(event.node, now)
            case Carrier():
                self.judge.carried(event.up, now)
                return []
            case DeploymentRead():
                return self._on_deployment(event, now)
            case Offered() | RevisionReady() | RevisionFailed():
                self.dirty = True
                return self.distribution.take(event, now)
            case Measured():
                self.state = replace(self.state, capabilities=event.capabilities)
                self.dirty = True
                return []
            case Wanted():
                return self._on_wanted(event, now)
            case _:
                self.dirty = True
                return role_news.take_in(self.cast, event, self._view, now)

    def _hear(self, event: Heard, now: float) -> list[Effect]:
        message = event.message
        if isinstance(message, ClockAsk):
            return self.clock.on_ask(message, event.address, now - event.age_s, now)
        if isinstance(message, ClockTold):
            return self.clock.on_told(message, now - event.age_s)
        return self.contacts.heard(event, self._told(), now)

    def _keep_time(self, now: float) -> list[Effect]:
        kept = self.clock.keeps
        effects = self.clock.ask(now, self.timing.beat_s / 2)
        self.dirty = self.dirty or self.clock.keeps != kept
        return effects

    # ---- this machine

    def _on_deployment(self, event: DeploymentRead, now: float) -> list[Effect]:
        self.deployment = event.deployment
        self.instances = instances(event.deployment)
        self.awaited = waits_for(event.deployment)
        self.state = replace(self.state, revision=event.revision)
        self.me = self.membership.me = replace(self.membership.me, revision=event.revision[1], work=event.deployment.installation)
        self.dirty = True
        joined = self.contacts.join(event.installation, now)
        return [*joined, *self.distribution.reads(event.revision), *self.cast.renew(event.touched, self._view(now))]

    def _on_wanted(self, event: Wanted, now: float) -> list[Effect]:
        self.dirty = True
        if event.verb in ("up", "down"):
            return self._adopt_order(Order(self.state.order.number + 1, event.verb, self.me.boot))
        if event.verb in ("drain", "undrain"):
            self.state = replace(self.state, drained=event.verb == "drain")
        if event.verb == "undrain":  # whoever takes a machine back vouches for it
            self.standing.steadiness.vouched(now)
            self.cast.forgive()
        if event.verb == "restore":
            self.cast.restore(event.instance, now)
        if event.verb != "leave":
            return []
        self.gone = True
        return self.membership.tell_all(self.membership.own_word(LEFT))

    def _adopt_order(self, order: Order) -> list[Effect]:
        if (order.number, order.stamp) <= (self.state.order.number, self.state.order.stamp):
            return []
        self.state = replace(self.state, order=order)
        self.dirty = True
        return [Save("order", [order.number, order.state, order.stamp]), Report("order", {"state": order.state})]

    # ---- settling

    def _settle(self, now: float) -> list[Effect]:
        self.me = self.membership.me
        effects = self.contacts.follow(self._told(), now)
        if self.contacts.news or self.dirty or now >= self.distribution.next_due():
            states = [each.state for each in self.membership.present() if each.state is not None]
            effects += self.distribution.look(states, now)
        if self.contacts.news:
            self.contacts.news, self.dirty = False, True
            orders = [each.order for each in states]
            effects += self._adopt_order(max(orders, key=lambda each: (each.number, each.stamp), default=self.state.order))
        changed, said = self.standing.look(now, self.deployment, agreed=self.ledger.agreed)
        effects += said
        if self.dirty or changed or now >= self.cast.next_look_s:
            effects += self._play(now)
        return [*effects, *self.peers.dial_due(now)]

    def _play(self, now: float) -> list[Effect]:
        """Placement, one step for each instance until nothing changes, routes, and the state told if it is new."""
        effects: list[Effect] = []
        for _ in range(4):
            before = (self._claims(), dict(self.cast.gave_up))
            view = self._view(now)
            if not self.standing.start.listened and self.state.order.state == "up":
                self.cast.next_look_s = NEVER
                effects += self.cast.agree(view, now)
                break  # what was adopted goes on as it was until the others have been heard
            effects += self.cast.decide(view, now)
            if view.waits:
                self.cast.next_look_s = min(self.cast.next_look_s, now + self.timing.listen_s / 4)
            if (self._claims(), self.cast.gave_up) == before:
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
        if self.deployment is not None and self.state.order.state == "up" and self.standing.start.listened:
            self.placement = self.placing.answered(self.deployment, self.instances, states, names, self.state.revision[1], self.ledger)
        else:
            self.placement = NOTHING_PLACED
        settled = frozenset(node for node, state in states.items() if state.settled)
        return View(
            self.me.node, self.instances, self.placement, self.ledger, names, settled, self._may_start, self._needs_ready,
            provisional=self.standing.start.provisional, side=self.standing.side.size, waits=self.contacts.behind(now),
        )

    def _states(self) -> dict[str, NodeState]:
        states = {m.record.node: m.state for m in self.membership.present() if m.state is not None}
        return {**states, self.me.node: self._as_it_is()}

    def _as_it_is(self) -> NodeState:
        """This node's state with what has changed since it was told last."""
        state, start, steadiness = self.state, self.standing.start, self.standing.steadiness
        changes: dict[str, Any] = {
            "claims": self._claims(), "gave_up": tuple(sorted(self.cast.gave_up.items())), "hears": self.standing.side.size,
            "settled": start.settled, "starting": start.starting, "steady": steadiness.steady, "put_aside": steadiness.put_aside,
            "aside_s": steadiness.aside_s, "keeps_time": self.clock.keeps, **self.distribution.said(),
        }
        if any(getattr(state, key) != value for key, value in changes.items()):
            self.state = state = replace(state, **changes)
        return state

    def _names(self) -> dict[str, str]:
        return {self.me.node: self.me.name, **{m.record.node: m.record.name for m in self.membership.present()}}

    def _claims(self) -> tuple[Claim, ...]:
        return tuple(part.claim for _, part in sorted(self.cast.parts.items()))

    def _may_start(self, instance: Instance) -> bool:
        """Before it is settled, a node plays what prefers it and what only it can play; the rest waits for the others."""
        labels = self.deployment.labels_of(self.me.name) if self.deployment else ()
        return self.standing.start.settled or bool(instance.pinned) or prefers(instance.role, self.me.name, labels)

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
        words = self._words
        if words is None or words.state is not self.published or words.incarnation != self.me.incarnation:
            words = self._words = State(self.me.node, self.me.incarnation, self.published, self.me.boot)
        return words

    def _publish(self) -> tuple[list[Effect], list[Effect]]:
        """(what to keep on disk first, what to tell the others)"""
        epochs = {name: epoch for name, epoch in self.ledger.epochs.items() if epoch}
        self._as_it_is()
        if epochs != self.state.epochs:
            self.state = replace(self.state, epochs=epochs)
        if not self.standing.start.listened and (self.deployment is None or not self.state.capabilities):
            return [], []  # half a description would make the others move what it plays
        if self.state == self.published and self.state.version > 0:
            return [], []
        saved: list[Effect] = [Save("epochs", epochs)] if epochs != self.published.epochs else []
        self.state = self.published = replace(self.state, version=self.state.version + 1)
        told = self._told()
        return saved, [SendControl(member.record.node, told) for member in self.membership.present()]

    def _tell_routes(self) -> list[Effect]:
        present = self.membership.present()
        drawn_from = (
            self.deployment, self._claims(), self.ledger.holdings, self.ledger.standbys,
            [(each.record.node, each.address, each.record.addresses, each.health) for each in present],
        )
        if self.deployment is None or drawn_from == self._routed:
            return []
        self._routed = drawn_from
        scene = self.scene()
        return [] if scene is None else self.prompter.tell(self._claims(), scene)

    def scene(self) -> Scene | None:
        """What routes are drawn from; None without a deployment."""
        if self.deployment is None:
            return None
        return scene_of(self.deployment, self.instances, self.ledger, self.me.node, self.membership.present())

    def holds(self, instance: str) -> bool:
        """Whether this node holds the instance now."""
        part = self.cast.parts.get(instance)
        return part is not None and part.claim.part == HOLDER
