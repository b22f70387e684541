"""A machine's node: waits, calls the mind in `mesh.core.node`, and performs what it says. Decides nothing.

One asyncio loop, one thread. Roles are processes of their own and frames never come here, so that the
heartbeats stay in time whatever the models do. Disk writes go through one other thread in their order,
since a slow SD card would otherwise stop the heart.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from mesh.core import effects
from mesh.core.addresses import CONTROL_PORT
from mesh.core.claims import HOLDER
from mesh.core.codec import BEAT_MARK, decode, encode
from mesh.core.effects import Effect
from mesh.core.events import Carrier, Event, Heard, LinkHint, LinkUp, Measured, PeerFound, Tick, Wanted
from mesh.core.messages import Answer, Beat, Call, Message, NodeRecord, ShutOut, Verdict
from mesh.core.node import SAVED, Node
from mesh.core.refusals import Refusals
from mesh.core.timing import PRESETS, WAITING_TIMING
from mesh.errors import RoomfulError, WireError
from mesh.shell import discovery, machine
from mesh.shell.answers import Answers
from mesh.shell.beats import Beats
from mesh.shell.deafness import Deafness
from mesh.shell.distributing import Distributing, Held
from mesh.shell.editing import Editing
from mesh.shell.interfaces import LOOPBACK, VIRTUAL, LinkWatch, all_interfaces, usable_addresses
from mesh.shell.launching import Ports, Stead
from mesh.shell.logs import Logs
from mesh.shell.processes import STILL_HERE_S, Processes
from mesh.shell.record import announced
from mesh.shell.seeds import dial_seed, remembered
from mesh.shell.settings import Settings
from mesh.shell.shutting_out import ShuttingOut
from mesh.shell.storage import Store, read_identity
from mesh.shell.transport import Control, Reply, bind_together
from mesh.shell.vouching import Vouching, as_text

HAND_OVER_S = 8.0
EVENTS_MAX = 1000


class Agent:
    """One node. `run` returns when `stop` was called, with every process of it ended."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.started_s = time.monotonic()
        self.store = Store(settings.home)
        self.logs = Logs(settings.home / "logs")
        self.hints: dict[str, tuple[str, str]] = {}
        self.events: list[dict[str, Any]] = []
        self.listeners: list[Callable[[dict[str, Any]], None]] = [settings.on_event]
        self.early: list[tuple[str, dict[str, Any]]] = []  # what is to be reported once this node has a name
        self.distributing = Distributing(self)
        self.refused = {"datagram": 0, "control": 0}
        self.refusals = Refusals()
        self._disk = ThreadPoolExecutor(1, "disk")
        self._stopping = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._due_s = 0.0
        self._deadline_s = float("inf")  # the mind's, for which the timer is set
        self._sealed: tuple[Message | None, bytes] = (None, b"")  # sent last, since most are sent to several
        self._encoded: tuple[Message | None, bytes] = (None, b"")
        self._handling = self._leaving = False
        self._deaf = Deafness()
        self.shutting_out = ShuttingOut(self)
        self._queue: list[Event] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._seeds: set[str] = set()

    # ---- life

    async def run(self) -> None:
        """Play until stopped."""
        loop = self.loop = asyncio.get_running_loop()
        held = await loop.run_in_executor(None, self.distributing.begin)
        self._open(held)
        await self._announce()
        self.processes.deployment = held.deployment
        self.processes.adopt()
        for event in self.distributing.first():
            self.feed(event)
        self.processes.turned_away = lambda address, what: self.refusals.note(address, what, self.now())
        self.processes.measured = {**machine.measure(), **self.settings.capabilities}
        self.feed(Measured(self.processes.measured))
        self._dial_remembered(held)
        self._tasks.append(loop.create_task(self._still_here()))
        if self.settings.rehearsal and held.deployment is not None and held.folder is not None:
            editing = Editing(
                held.folder, held.deployment, self.processes, lambda: self.node.cast, self.feed, self.report, self._is_first)
            self._tasks.append(loop.create_task(editing.watch()))
        await self._stopping.wait()
        await self._close()

    def stop(self) -> None:
        """End this node: it says goodbye, and its roles end with it."""
        self._stopping.set()

    def _open(self, held: Held) -> None:
        settings, deployment = self.settings, held.deployment
        identity = read_identity(self.store, name=settings.name, node=settings.key.node)
        self.beats = Beats(self._on_datagram, BEAT_MARK)
        self.vouching = Vouching(settings.key, self.store, self.beats.send, lambda *kept: self.save_later(self.save, *kept))
        self.control = Control(self.vouching.register, receive=self._on_control, on_hint=self._on_hint, ask=self.vouching.show)
        local = settings.rehearsal
        port = bind_together(self.control, self.beats, "127.0.0.1" if local else "0.0.0.0", 0 if local else CONTROL_PORT)
        named = [each.name for each in deployment.machines] if deployment is not None else []
        name = machine.name_of_this(identity.name, named if deployment is not None else None)
        me = NodeRecord(
            identity.node, secrets.token_hex(4), identity.incarnation, name,
            ("127.0.0.1",) if settings.rehearsal else tuple(usable_addresses()), port, port, self.distributing.installation(),
            certificate=as_text(settings.key.certificate.pack()),
        )
        mine = settings.key.public, settings.key.curve_secret
        self.processes = Processes(
            settings.run, mine, self.logs, Ports(settings.rehearsal), lambda: self.node.cast, self.feed, self.report, self.now)
        self.node = Node(
            me, self.now(), PRESETS[deployment.timing if deployment is not None else WAITING_TIMING],
            {key: self.store.read(key) for key in SAVED}, max(time.time(), self.processes.course.read(self.now())) - self.now(),
            self.distributing.trusts, settings.key.hash(""),
        )
        self.node.state = replace(self.node.state, transfer_port=self.distributing.open())
        self.answers = Answers(self)
        self.processes.stead = Stead(
            identity.node, name, held.folder or settings.home, settings.home, self.processes.endpoint, settings.key, settings.rehearsal,
            settings.secrets, settings.replay)
        self._links = LinkWatch(self._on_links)
        if not settings.rehearsal:
            self._links.start()
        if named and name not in named and not settings.rehearsal:
            self.report("trouble", {"what": f"the file names no machine {name!r}, so this is a spare; it names {', '.join(named)}"})
        for event, fields in self.early:
            self.report(event, fields)
        self.report("started", {"machine": me.name, "node": me.node, "control_port": port, "beat_port": port})

    def save_later(self, save: Callable[..., None], *values: Any) -> None:
        """In the thread that writes to the disk; called from any other."""
        with contextlib.suppress(RuntimeError):  # it is ending
            self._disk.submit(save, *values)

    async def _announce(self) -> None:
        self.discovery = discovery.Discovery(
            self._on_found, self._on_addresses, lambda words: self.report("trouble", {"what": words}),
            loopback_only=self.settings.rehearsal,
        )
        await self.discovery.start(self._advertised())

    def _advertised(self) -> discovery.NodeRecord:
        return announced(self.node.membership.me, self.vouching.introductions.as_text())

    def _dial_remembered(self, held: Held) -> None:
        """The peers last seen, and the seeds, beside mDNS."""
        for record in remembered(self.store.read("peers", [])):
            self.feed(PeerFound(record))
        self.dial_seeds((*(held.deployment.seeds if held.deployment is not None else ()), *self.settings.seeds))

    def dial_seeds(self, seeds: tuple[str, ...]) -> None:
        """Call at these addresses, which the file or the command line names, until somebody answers."""
        for seed in [each for each in dict.fromkeys(seeds) if each not in self._seeds]:
            self._seeds.add(seed)
            self._tasks.append(self.loop.create_task(dial_seed(
                seed, self.vouching.register, self._on_seed, lambda host, what: self.refusals.note(host, what, self.now()))))

    def _on_seed(self, found: NodeRecord) -> None:
        """A seed answered, and so has the key: a machine that waits for its first deployment belongs to that room."""
        mine = self.node.membership.me.installation
        self.feed(PeerFound(replace(found, installation=mine) if mine == self.settings.key.hash("") else found, True))

    async def _hand_over(self) -> None:
        """Before a machine leaves, the others take what it plays, loaded first; what only it can play ends with it."""
        self.feed(Wanted("drain"))
        until_s = self.now() + HAND_OVER_S
        while self.now() < until_s and self.node.membership.present() and any(
            part.claim.part == HOLDER for part in self.node.cast.parts.values()
        ):
            await asyncio.sleep(0.02)

    async def _close(self) -> None:
        if not self.settings.rehearsal:
            await self._hand_over()
        self._leaving = self.processes.leaving = True
        self.feed(Wanted("leave"))
        if self._timer:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        self._links.close()
        await self.distributing.close()
        await self.processes.close()
        await self.discovery.stop()
        await self.control.close()
        self.beats.close()
        await asyncio.get_running_loop().run_in_executor(None, self._disk.shutdown)

    # ---- the mind

    def now(self) -> float:
        """Seconds of this node's own clock; never jumps."""
        return time.monotonic()

    def feed(self, event: Event) -> None:
        """Let the mind take in an event, and do what it says. Events that arise while doing so wait their turn."""
        self._queue.append(event)
        if self._handling:
            return
        self._handling = True
        try:
            while self._queue:
                for effect in self.node.handle(self._queue.pop(0), self.now()):
                    self._perform(effect)
        finally:
            self._handling = False
        if (guests := self.vouching.guests(self.node)) is not None:
            self.processes.set_guests(guests)
        if not self.settings.rehearsal:
            self.processes.keep()
        self._set_timer()

    def _set_timer(self) -> None:
        deadline_s = self.node.next_deadline()
        if self._timer and deadline_s == self._deadline_s and not self._leaving:
            return  # as after most of what is heard
        if self._timer:
            self._timer.cancel()
        self._timer = None
        if self._leaving:
            return
        self._deadline_s, now = deadline_s, self.now()
        self._due_s = max(deadline_s, now + 0.002)
        self._timer = asyncio.get_running_loop().call_later(self._due_s - now, self._tick)

    def _tick(self) -> None:
        self._timer = None
        lag_s = max(0.0, self.now() - self._due_s)
        self._hear_out()
        self.feed(Tick(lag_s))

    def _hear_out(self) -> None:
        """Take what waits on the wire into the queue, before the next event: nobody is judged, nor told on, before that is heard."""
        if not self._handling:
            self._handling = True
            try:
                self.beats.drain()
            finally:
                self._handling = False

    def _perform(self, effect: Effect) -> None:
        match effect:
            case effects.SendDatagram():
                if effect.message is not self._sealed[0]:
                    self._sealed = (effect.message, self.vouching.group.seal(effect.message, self.now()))
                self.beats.send(effect.address, effect.port, self._sealed[1])
            case effects.SendControl():
                if effect.message is not self._encoded[0]:
                    self._encoded = (effect.message, encode(effect.message))
                self.control.send(effect.node, self._encoded[1])
            case effects.Dial():
                self.vouching.learn(effect.record.certificate)
                self.control.connect(effect.record.node, effect.record.addresses, effect.record.control_port)
            case effects.HangUp():
                self.control.disconnect(effect.node)
                self.distributing.hang_up(effect.node)
            case effects.Launch():
                self.processes.launch(effect)
            case effects.Halt():
                self.processes.halt(effect)
            case effects.End():
                self.processes.end(effect)
            case effects.Tell():
                self.processes.tell(effect)
            case effects.ClockSet():
                self.processes.set_clock(effect.course)
            case effects.Fetch() | effects.Play() | effects.Prune():
                self.distributing.perform(effect)
            case effects.Save():
                if effect.key == "installation":
                    self.discovery.update(self._advertised())
                self._disk.submit(self.save, effect.key, effect.value)
            case effects.Report():
                self.report(effect.event, effect.fields)

    def save(self, key: str, value: Any) -> None:
        """To the disk, in the thread that may wait for it."""
        try:
            self.store.write(key, value)
        except RoomfulError as fault:
            self.report_later("trouble", {"what": str(fault)})

    async def _still_here(self) -> None:
        while True:
            self.processes.look()
            self.distributing.reach()
            if self.settings.rehearsal:
                self.report("report", {"machine": self.node.me.name, "roles": self.roles_now()})
            await asyncio.sleep(STILL_HERE_S)

    def _is_first(self) -> bool:
        """Whether this node, of those that are here, speaks for all."""
        return all(self.node.me.node <= other.record.node for other in self.node.membership.present())

    # ---- the network

    def cut(self, machines: list[str], on: bool) -> None:
        """In a rehearsal, which has one network for all: hear no more of these machines, nor may the roles here; or hear them again."""
        self._deaf.turn(machines, on, self.node.peers.records())
        self.processes.tell_all({"type": "cut", "nodes": sorted(self._deaf.nodes)})

    def _on_datagram(self, data: bytes, sender: tuple[str, int], age_s: float) -> None:
        if sender[1] in self._deaf.ports or self.vouching.introductions.hear(data, sender):
            return
        try:
            message = self.vouching.group.unseal(data, self.now())
        except WireError as fault:
            self.refused["datagram"] += 1
            self.refusals.note(sender[0], fault.what, self.now())
            return
        if self.vouching.bars(message):
            self.refused["datagram"] += 1
            return
        self.feed(Heard(message, sender[0], age_s))

    def _on_control(self, data: bytes, reply: Reply) -> None:
        try:
            message: Message = decode(data)
        except WireError:
            self.refused["control"] += 1
            return
        if isinstance(message, Verdict):
            self._hear_out()
        if isinstance(message, Call):
            self.answers.answer(message, lambda answer: reply(encode(answer)))
        elif isinstance(message, ShutOut):
            self.shutting_out.hear(message)
        elif self.vouching.bars(message):
            self.refused["control"] += 1
        elif not isinstance(message, (Answer, Beat)) and not self._deaf.drops(message):
            believed = self.vouching.take_in(message)
            if believed is not None:
                self.feed(Heard(believed))

    def _on_hint(self, peer: str, what: str, detail: str) -> None:
        if what == "reached":
            self.hints.pop(peer, None)
            self.feed(LinkUp(peer, detail))
            self.shutting_out.greet(peer)
            return
        self.hints[peer] = (what, detail)
        self.feed(LinkHint(peer))

    def _on_found(self, record: discovery.NodeRecord) -> None:
        if (found := self.vouching.found(record, self.node.contacts.peers)) is not None:
            self.feed(found)

    def _on_links(self) -> None:
        """An interface came or went: the node must know whether it is its own cable that is out."""
        cards = [each for each in all_interfaces() if each.kind != LOOPBACK]
        real = [each for each in cards if each.kind != VIRTUAL] or cards
        self.feed(Carrier(any(each.up for each in real)))

    def _on_addresses(self, addresses: tuple[str, ...]) -> None:
        if not self.settings.rehearsal:
            self.node.me = self.node.membership.me = replace(self.node.membership.me, addresses=addresses)

    # ---- telling people

    def report(self, event: str, fields: dict[str, Any]) -> None:
        """Something a person may want to know: kept for `roomful events` and told to who listens."""
        told = {"t": round(self.now() - self.started_s, 3), "event": event, **fields}
        if event != "report":
            self.events.append(told)
            del self.events[:-EVENTS_MAX]
        for listener in list(self.listeners):
            listener(told)

    def report_later(self, event: str, fields: dict[str, Any]) -> None:
        """`report` from another thread."""
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.report, event, fields)

    def roles_now(self) -> dict[str, dict[str, Any]]:
        """Each process on this node: its claim's state and numbers, and its last pulse."""
        return {
            name: {
                "part": part.claim.part, "state": part.claim.state, "pid": part.claim.pid, "restarts": part.claim.restarts,
                "model": part.claim.model,
                "generation": part.claim.generation, "epoch": part.claim.epoch, "pulse": self.processes.pulses.get(name, {}),
            }
            for name, part in self.node.cast.parts.items()
        }
