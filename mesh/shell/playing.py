"""The role's thread: one loop that reads the sockets, and hands one thing at a time to the role.

In each turn: one piece of an answer in work, and while there is none, `tick` if it is due, one frame of each input, and
the next request. Nothing of a role ever overlaps, so a role needs no locks; and since the same thread owns the sockets,
no frame waits for another thread.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import zmq

from mesh.core.ages import AgeMeter
from mesh.core.answers import Answerer
from mesh.core.clock import course_of
from mesh.core.following import Again, Following, GoOn
from mesh.core.following import Effect as FollowEffect
from mesh.core.frames import Header
from mesh.core.request_messages import Kept, Message
from mesh.core.requests import TICK_S, Asker
from mesh.errors import RoleError
from mesh.role import Frame, Piece, Role
from mesh.shell import curve
from mesh.shell.answering import Answering
from mesh.shell.asking import Asking
from mesh.shell.border import Border
from mesh.shell.fallbacks import Fallbacks
from mesh.shell.following import Followers, FollowLine
from mesh.shell.gate import Gate
from mesh.shell.handlers import Handlers, seconds
from mesh.shell.holding import Holding
from mesh.shell.host_config import HostConfig
from mesh.shell.host_link import HostLink
from mesh.shell.inputs import Ear, Inputs
from mesh.shell.memory import Memory
from mesh.shell.near import door_name
from mesh.shell.preparing import bind, make_role
from mesh.shell.sources import Routes, read_routes
from mesh.shell.stage import FRAME_DEADLINE_S, Stage
from mesh.shell.standing import Standing
from mesh.shell.streams import HWM, Ways, bounded
from mesh.shell.waiting import Waiting

LAST_WORDS_MS = 200
AFTER_FAILURE_S = 1.0
UNROUTED_S = 1.0  # how long a role that may play waits to be told who listens to it
GUESTS_HOLD_S = 4.0  # for a key that the agent has not told yet; a handshake between roles may take 5
NEVER = float("inf")


class Playing:
    """One instance, from its sockets to its end: `prepare`, `run`, `close`."""

    def __init__(self, config: HostConfig, standing: Standing, link: HostLink) -> None:
        self._config = config
        self._standing = standing
        self._link = link
        self._waiting = Waiting()
        standing.ring = self._waiting.ring
        self._context: zmq.Context[Any] = zmq.Context()
        public, secret = config.curve_public.encode(), config.curve_secret.encode()
        ways = (self._context, public, secret, self._waiting)
        self._guests = curve.Guests()
        self._guests.tell((config.curve_public, *standing.vouched))
        self._guard = curve.guard(self._context, self._guests.admits, GUESTS_HOLD_S)
        standing.meet = self._meet
        self._meet([], False)  # what was told meanwhile
        self._frames = self._context.socket(zmq.XPUB)
        self._frames.setsockopt(zmq.XPUB_VERBOSE, 1)
        curve.server(self._frames, public, secret)
        self._guard.watch(self._frames)
        gate = Gate(self._waiting, config.bind, documented=config.ports[0] != 0)
        self._ways = Ways(self._frames, self._waiting, gate)
        self._waiting.add(self._frames, self._ways.far.look)
        self._inputs = Inputs(*ways, link.tell, config.doors)
        self._asking = Asking(*ways, Asker(""), link.tell, Fallbacks(Path(config.folder)), config.doors)
        self._answering = Answering(*ways)
        self._answering.take_offer = gate.take
        self._guard.watch(self._answering.socket)
        self._following = Following(config.instance)
        self._follow_line = FollowLine(*ways, self._hear_of)
        self._stage = Stage(config, standing, self._asking, self._answering, link.tell, self._pump, self._is_wanted)
        self._border = Border(standing, Path(config.folder), link.tell, config.role)
        self._holding = Holding(self._stage.clock)
        self._holds = False
        self._role: Role | None = None
        self._ages: dict[str, AgeMeter] = {}
        self._tick_s = NEVER
        self._house_s = 0.0
        self._was_playing = self._was_active = self._routed = False
        self._unrouted_until_s = NEVER

    # ---- the beginning and the end

    def prepare(self) -> None:
        """Makes the role, binds its sockets, runs its `setup`; then the agent knows that it is ready. Raises GivingUp."""
        role = self._border.begin(make_role, self._config, self._stage)
        outputs = self._border.begin(type(role).outputs_for, role.options)
        self._handlers = Handlers(role)
        bounded(self._frames, min([HWM[type_] for type_ in outputs.values()], default=1000))
        self._stage.give(outputs, self._ways)
        config = self._config
        answerer = Answerer(config.instance, config.generation, self._handlers.inputs, self._handlers.resumes)
        answerer.closed = "standby"
        self._followers = Followers(self._frames, config.instance)
        self._followers.snapshot = self._all_that_is_open
        self._ways.far.subscribed.append(self._greet)
        self._answering.begin(answerer, self._stage.first, self._border, self._standing, self._followers)
        self._memory = Memory(role, config, self._standing, self._followers.tell, self._link.tell)
        ports = [
            self._border.begin(bind, socket, config.bind, port, config.instance)
            for socket, port in zip((self._frames, self._answering.socket), config.ports, strict=True)
        ]
        self._guard.ports = frozenset(ports)
        self._ways.door.asked = self._answering.meet
        self._ways.door.open(door_name(config.doors, config.instance, config.node, config.generation, ports[0]))
        self._standing.counts = self._counts
        self._border.begin(role.setup)
        self._standing.loading_since_s = None
        self._memory.restore()
        self._role, self._holds = role, role.display and not role.keeps_time
        self._tick = role.tick
        self._link.tell({"type": "ready", "frames_port": ports[0], "requests_port": ports[1]})

    def close(self) -> None:
        """Hands back what was asked of it, closes what `setup` opened, hangs up."""
        if self._role is not None:
            self._answering.close("stopping")
            self._role.rests = self._standing.rests
            self._border.call(self._role.teardown)
        self._inputs.close()
        self._follow_line.close()
        self._asking.close()
        self._answering.hang_up()
        self._ways.door.close()
        self._ways.gate.close()
        self._waiting.remove(self._frames)
        for socket in (self._frames, self._answering.socket):
            socket.close(linger=LAST_WORDS_MS)
        self._guard.close()
        self._context.term()

    def _meet(self, cut: list[str], sweep: bool) -> None:
        """Lets in whom the agent vouches for, and hangs up on who was shut out; with `sweep` on all whom it does not vouch for. In the
        watch thread: it waits for no role."""
        self._guests.tell((self._config.curve_public, *self._standing.vouched))
        self._guard.cut((curve.raw(each) for each in cut), sweep=sweep)

    # ---- the loop

    def run(self) -> None:
        """Plays until it is told to stop. Raises GivingUp when the role cannot work."""
        standing, waiting = self._standing, self._waiting
        self._unrouted_until_s = time.monotonic() + UNROUTED_S
        self._obey()
        more = True
        while not standing.stopping:
            due_s = min(self._house_s, self._answering.due_s() if self._answering.in_work else min(self._tick_s, self._holding.due_s()))
            waiting.wait(0.0 if more else max(0.0, due_s - time.monotonic()))
            if waiting.rang:
                self._obey()
            more = self._turn()

    def _turn(self) -> bool:
        """Hands on what there is. Whether something waits already for the next turn."""
        now = time.monotonic()
        if now >= self._house_s:
            self._keep_house(now)
        elif now >= self._following.next_due_s():
            self._go_on(now)
        self._memory.look(now)
        answering, more = self._answering, False
        if answering.in_work:
            if now >= answering.due_s():
                answering.advance()
            return not answering.in_work or answering.due_s() <= now
        if self._standing.woken and self._was_active:
            self._standing.woken, self._tick_s = False, now
        while (due := self._holding.next()) is not None:
            with self._stage.presenting(due.present_ns / 1e9):
                due.hand_over()
        if now >= self._tick_s:
            self._call_tick(now)
        for ear in self._inputs.ears:
            if ear.waiting:
                self._deliver(ear)
                more = more or bool(ear.waiting)
        if answering.answerer.waits:
            answering.start(self._answer)
            if answering.in_work:
                answering.advance()
            more = True
        return more

    def _pump(self) -> None:
        """A turn without the role, for a handler that waits for an answer."""
        if self._standing.stopping:
            raise RoleError("the role is stopping", where=self._config.instance)
        self._waiting.wait(max(0.0, self._house_s - time.monotonic()))
        if self._waiting.rang:
            self._obey()
        now = time.monotonic()
        if self._standing.handling_since_s is not None:  # who waits for an answer has not hung: that has its own deadline
            self._standing.handling_since_s = now
        if now >= self._house_s:
            self._house_s = now + TICK_S
            self._asking.tick(now)

    def _is_wanted(self) -> bool:
        """A look at the sockets from inside a handler: whether what it makes is still wanted."""
        self._waiting.wait(0.0)
        return not self._standing.stopping and self._answering.wanted()

    def _keep_house(self, now: float) -> None:
        self._house_s = now + TICK_S
        if self._standing.active != self._was_active:
            self._stand()
        self._asking.tick(now)
        self._ways.look()
        self._go_on(now)
        for ear, closing in self._inputs.keep_house(now):
            self._border.call(ear.handle, closing)

    # ---- who follows whom

    def _greet(self, subscription: bytes) -> None:
        """Somebody begins to listen, to a stream or to what followers are told, or ceases to."""
        self._followers.greet(subscription)
        self._answering.answerer.followed = self._followers.any

    def _all_that_is_open(self) -> list[Message]:
        kept: list[Message] = [self._memory.kept()] if self._memory.any else []
        return [*kept, *self._answering.answerer.snapshot()]

    def _hear_of(self, message: Message) -> None:
        """What one that is followed tells."""
        if isinstance(message, Kept):
            self._memory.hear(message)
        else:
            self._follow(self._following.hear(message, time.monotonic()))

    def _go_on(self, now: float) -> None:
        """Answers what a lost copy owed to a lost asker, where it is this copy's turn."""
        answerer = self._answering.answerer
        self._follow(self._following.due(now, playing=self._standing.playing and not answerer.closed, depth=answerer.depth))

    def _follow(self, effects: Iterable[FollowEffect]) -> None:
        answerer = self._answering.answerer
        for effect in effects:
            if isinstance(effect, Again):
                self._follow_line.again(effect.instance)
            elif isinstance(effect, GoOn):
                self._link.tell({"type": "event", "level": "info", "event": "goes_on", "what": _goes_on(effect)})
                self._answering.perform(answerer.go_on(effect.ask, time.monotonic()))
            else:
                self._answering.perform(answerer.supersede(effect.ask))

    # ---- what the role gets

    def _deliver(self, ear: Ear) -> None:
        taken = ear.input.take()
        if taken is None:
            return
        header, value = taken
        if not header.piece:  # how long a sentence then takes to be said is no delay
            self._note_age(ear.input.name, header.captured_ns)
        if ear.answers:
            ask = ear.request(header, value, int(FRAME_DEADLINE_S * 1000))
            if ask is not None:
                self._answering.answerer.submit(ask, time.monotonic())
            return
        if not (self._holds and self._holding.takes(header.present_ns, value, partial(self._hand_over, ear, header, value))):
            self._hand_over(ear, header, value)

    def _hand_over(self, ear: Ear, header: Header, value: Any) -> None:
        stage = self._stage
        stage.captured_ns = header.captured_ns
        self._border.call(ear.handle, ear.frame(header, value))
        stage.captured_ns = None

    def _note_age(self, input: str, captured_ns: int) -> None:
        """Now and then, how long ago what has come on an input was captured."""
        now = time.monotonic()
        meter = self._ages.get(input)
        if meter is None:
            meter = self._ages[input] = AgeMeter()
        if now >= meter.due_s:
            meter.note((self._stage.clock.now_ns() - captured_ns) / 1e9, now)

    def _answer(self, input: str, frame: Frame, so_far: tuple[Piece, ...]) -> Any:
        self._note_age(input, int(frame.captured_s * 1e9))
        return self._handlers.answer(input, frame, so_far)

    def _call_tick(self, now: float) -> None:
        done, wait_s = self._border.call(self._next_tick)
        if not done:
            self._tick_s = now + AFTER_FAILURE_S
        elif wait_s is None:
            self._tick_s = NEVER
        else:  # from when it was due, so that no drift adds up; from now where it is late already
            self._tick_s = max(self._tick_s + wait_s, time.monotonic())

    def _next_tick(self) -> float | None:
        return seconds(self._tick(), self._tick, Path(self._config.folder))

    # ---- what the agent wants

    def _obey(self) -> None:
        self._waiting.rang = False
        orders = self._link.orders
        while not orders.empty():
            order = orders.get()
            try:
                if order["type"] == "routes":
                    self._route(read_routes(order["routes"]))
                    self._routed = True
                elif order["type"] == "keys":
                    self._inputs.shun(frozenset(map(str, order["gone"])), frozenset(map(str, order["cut"])))
                elif order["type"] == "clock":
                    self._stage.clock.follow(course_of(order))
            except (LookupError, TypeError, ValueError, AttributeError, zmq.ZMQError) as error:
                what = f"an order that cannot be followed: {error!r}"
                self._link.tell({"type": "event", "level": "error", "what": what})
        self._stand()

    def _stand(self) -> None:
        """Becomes what the agent made of it: holder, hot standby, or one that waits.

        What a role emits before its routes have come would ask nobody, so its first tick waits for them a moment.
        """
        self._stage.follow_epoch()  # also for what is answered by `yield`, which no `emit` precedes
        playing = self._standing.playing
        active = self._standing.active and (self._routed or time.monotonic() >= self._unrouted_until_s)
        before = (self._was_playing, self._was_active)
        if playing != self._was_playing:
            self._was_playing = playing
            if playing:
                self._answering.answerer.closed = ""
            else:
                self._answering.close("standby")
                self._asking.drop()
        if active != self._was_active:
            self._was_active = active
            self._tick_s = time.monotonic() if active else NEVER
        if (playing, active) != before:
            self._route(self._stage.routes)

    def _route(self, routes: Routes) -> None:
        """A waiting standby listens to nobody, so that it costs nobody anything; its lines are made when it plays."""
        self._stage.routes = routes
        if self._was_active:
            self._inputs.route(routes.inputs, self._handlers)
        else:
            self._inputs.close()
            self._holding.clear()
        self._asking.fallbacks.route(routes.fallbacks)
        self._asking.route(routes.copies if self._standing.playing else {})
        self._follow_line.follow(routes.followed)
        self._following.route(routes.company)
        self._go_on(time.monotonic())

    def _counts(self) -> dict[str, Any]:
        """For the pulse; called from the watch thread, reads only."""
        ears = self._inputs.ears
        return {
            "frames": {output.where: output.number for output in list(self._stage.outputs.values())},
            "received": {ear.input.name: ear.input.received for ear in ears},
            "dropped": {ear.input.name: ear.input.dropped for ear in ears},
            "rules": {ear.input.name: ear.input.form[2] for ear in ears},
            "ages": {input: age._asdict() for input, meter in list(self._ages.items()) if (age := meter.age()) is not None},
            "unsent": {output.where: output.unsent for output in list(self._stage.outputs.values()) if output.unsent},
            "near": {ear.input.name: ear.input.near for ear in ears}, "asked_near": self._asking.near,
            "straight": {ear.input.name: ear.input.straight for ear in ears if ear.input.straight},
            "requests": self._asking.asker.counters(),
            "answering": self._answering.answerer.depth, "following": self._following.open, "state": self._memory.number,
            "turned_away": self._guard.news(),
            "refused": {
                "keys": self._guard.refused, "handshakes": self._guard.broken, "requests": self._answering.refused + self._asking.refused,
                "frames": sum(ear.input.refused for ear in ears), "followed": self._follow_line.refused,
                "lines": self._ways.door.refused + self._ways.far.refused + self._ways.gate.refused,
            },
        }  # fmt: skip


def _goes_on(effect: GoOn) -> str:
    said = len(effect.ask.so_far)
    return f"goes on after piece {said} with what a lost machine was saying" if said else "answers what a lost machine had accepted"
