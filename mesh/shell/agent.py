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
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mesh.core.codec import decode, encode, seal, unseal
from mesh.core.effects import Dial, Effect, Halt, HangUp, Launch, Report, Save, SendControl, SendDatagram, Tell
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
from mesh.core.messages import PROTOCOL, Answer, Beat, Call, Message, NodeRecord
from mesh.core.node import Node
from mesh.core.spec import Deployment
from mesh.core.timing import PRESETS
from mesh.errors import RoomfulError, WireError
from mesh.shell import discovery, folder, machine
from mesh.shell.answers import Answers
from mesh.shell.beats import Beats
from mesh.shell.deafness import Deafness
from mesh.shell.interfaces import LOOPBACK, VIRTUAL, LinkWatch, all_interfaces, usable_addresses
from mesh.shell.keys import InstallationKey
from mesh.shell.launching import Ports, Stead, config_for, role_of
from mesh.shell.logs import Logs
from mesh.shell.seeds import CONTROL_PORT, dial_seed, remembered
from mesh.shell.storage import Store, read_identity
from mesh.shell.supervisor import Exit, LaunchOrder, Supervisor
from mesh.shell.transport import Control, Link, Reply

BEAT_PORT = 47600
STILL_HERE_S = 0.5
EVENTS_MAX = 1000


@dataclass(frozen=True, slots=True)
class Settings:
    """How an agent was started. `run` is a short folder for the link's socket."""

    home: Path
    folder: Path
    key: InstallationKey
    run: Path
    name: str = ""
    seeds: tuple[str, ...] = ()
    rehearsal: bool = False
    on_event: Callable[[dict[str, Any]], None] = lambda event: None
    capabilities: dict[str, Any] = field(default_factory=dict)


class Agent:
    """One node. `run` returns when `stop` was called, with every process of it ended."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.started_s = time.monotonic()
        self.store = Store(settings.home)
        self.logs = Logs(settings.home / "logs")
        self.ports = Ports(settings.rehearsal)
        self.pulses: dict[str, dict[str, Any]] = {}
        self.hints: dict[str, tuple[str, str]] = {}
        self.events: list[dict[str, Any]] = []
        self.listeners: list[Callable[[dict[str, Any]], None]] = [settings.on_event]
        self.refused = {"datagram": 0, "control": 0}
        self._disk = ThreadPoolExecutor(1, "disk")
        self._stopping = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._due_s = 0.0
        self._waiting: dict[str, Launch] = {}
        self._failures: dict[str, str] = {}
        self._handling = False
        self._deaf = Deafness()
        self._queue: list[Event] = []
        self._tasks: list[asyncio.Task[None]] = []

    # ---- life

    async def run(self) -> None:
        """Play until stopped."""
        loop = self._loop = asyncio.get_running_loop()
        deployment, revision = await loop.run_in_executor(None, _read_folder, self.settings.folder)
        self._open(deployment)
        await self._announce(deployment)
        self.feed(DeploymentRead(deployment, (1, revision)))
        self.feed(Measured({**machine.measure(), **self.settings.capabilities}))
        self._dial_remembered(deployment)
        self._tasks.append(loop.create_task(self._still_here()))
        await self._stopping.wait()
        await self._close()

    def stop(self) -> None:
        """End this node: it says goodbye, and its roles end with it."""
        self._stopping.set()

    def _open(self, deployment: Deployment) -> None:
        settings = self.settings
        identity = read_identity(self.store, name=settings.name)
        self.beats = Beats(self._on_datagram)
        self.control = Control(identity.node, settings.key, receive=self._on_control, on_hint=self._on_hint)
        host = "127.0.0.1" if settings.rehearsal else "0.0.0.0"
        beat_port = self.beats.bind(host, 0 if settings.rehearsal else BEAT_PORT)
        control_port = self.control.bind("127.0.0.1" if settings.rehearsal else "*", 0 if settings.rehearsal else CONTROL_PORT)
        self.link = Link(self._on_role)
        endpoint = self.link.bind(settings.run / "link")
        me = NodeRecord(
            identity.node, secrets.token_hex(4), identity.incarnation, machine.name_of_this(identity.name, [each.name for each in deployment.machines]),
            ("127.0.0.1",) if settings.rehearsal else tuple(usable_addresses()), control_port, beat_port,
            settings.key.hash(deployment.installation),
        )
        self.supervisor = Supervisor(self.logs, self._on_exit, lambda words: self.report("trouble", {"what": words}))
        self.node = Node(me, self.now(), PRESETS[deployment.timing], {
            "order": self.store.read("order"), "epochs": self.store.read("epochs", {}),
        })
        self.answers = Answers(self)
        self._stead = Stead(identity.node, me.name, settings.folder, settings.home, endpoint, settings.key, settings.rehearsal)
        self._links = LinkWatch(self._on_links)
        if not settings.rehearsal:
            self._links.start()
        self.report("started", {"machine": me.name, "node": me.node, "control_port": control_port, "beat_port": beat_port})

    async def _announce(self, deployment: Deployment) -> None:
        me = self.node.me
        self.discovery = discovery.Discovery(
            self._on_found, self._on_addresses, lambda words: self.report("trouble", {"what": words}),
            loopback_only=self.settings.rehearsal,
        )
        await self.discovery.start(discovery.NodeRecord(
            node=me.node, boot=me.boot, name=me.name, incarnation=me.incarnation, protocol=PROTOCOL, control_port=me.control_port,
            beat_port=me.beat_port, installation_hash=me.installation, addresses=me.addresses,
        ))

    def _dial_remembered(self, deployment: Deployment) -> None:
        """The peers last seen, and the seeds, beside mDNS."""
        for record in remembered(self.store.read("peers", [])):
            self.feed(PeerFound(record))
        for seed in dict.fromkeys((*deployment.seeds, *self.settings.seeds)):
            dialling = dial_seed(seed, self.settings.key, lambda found: self.feed(PeerFound(found)))
            self._tasks.append(self._loop.create_task(dialling))

    async def _close(self) -> None:
        self.feed(Wanted("leave"))
        if self._timer:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        for instance in self.supervisor.running():
            self.link.send(instance, self.node.cast.generations.get(instance, 0), {"type": "stop"})
        self._links.close()
        await self.supervisor.close(2.0)
        await self.discovery.stop()
        await self.control.close()
        self.beats.close()
        self.link.close()
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
        self._set_timer()

    def _set_timer(self) -> None:
        loop = asyncio.get_running_loop()
        if self._timer:
            self._timer.cancel()
        if self._stopping.is_set():
            return
        self._due_s = max(self.node.next_deadline(), self.now() + 0.002)
        self._timer = loop.call_at(loop.time() + self._due_s - self.now(), self._tick)

    def _tick(self) -> None:
        lag_s = max(0.0, self.now() - self._due_s)
        self.beats.drain()
        self.feed(Tick(lag_s))

    def _perform(self, effect: Effect) -> None:
        match effect:
            case SendDatagram():
                self.beats.send(effect.address, effect.port, seal(effect.message, self.settings.key.beat_key))
            case SendControl():
                self.control.send(effect.node, encode(effect.message))
            case Dial():
                self.control.connect(effect.record.node, effect.record.addresses, effect.record.control_port)
            case HangUp():
                self.control.disconnect(effect.node)
            case Launch():
                self._launch_after(effect)
            case Halt():
                self._halt(effect)
            case Tell():
                self.link.send(effect.instance, effect.generation, effect.order)
            case Save():
                self._disk.submit(self._save, effect.key, effect.value)
            case Report():
                self.report(effect.event, effect.fields)

    def _save(self, key: str, value: Any) -> None:
        try:
            self.store.write(key, value)
        except RoomfulError as fault:
            self.report_later("trouble", {"what": str(fault)})

    # ---- processes

    def _launch_after(self, order: Launch) -> None:
        if order.delay_s > 0:
            asyncio.get_running_loop().call_later(order.delay_s, self._launch, order)
        else:
            self._launch(order)

    def _launch(self, order: Launch) -> None:
        """Start the process, unless it is no longer wanted; wait for its predecessor to end first."""
        part = self.node.cast.parts.get(order.instance)
        if part is None or part.claim.generation != order.generation or self.node.deployment is None or self._stopping.is_set():
            return
        if order.instance in self.supervisor.running():
            self._waiting[order.instance] = order
            return
        try:
            role = role_of(order.instance, self.node.deployment)
            config = config_for(order, role, self.node.deployment, self._stead, self.ports.pair(order.instance))
            pid = self.supervisor.start(LaunchOrder(order.instance, order.generation, config))
        except (RoomfulError, OSError) as fault:
            self.feed(RoleEnded(order.instance, order.generation, str(fault)))
            return
        self.feed(RoleStarted(order.instance, order.generation, pid))

    def _halt(self, effect: Halt) -> None:
        self._waiting.pop(effect.instance, None)
        self.link.send(effect.instance, effect.generation, {"type": "stop"})
        self.supervisor.stop(effect.instance, effect.grace_s)

    def _on_exit(self, end: Exit) -> None:
        why = self._failures.pop(end.instance, "") or _why_ended(end)
        self.pulses.pop(end.instance, None)
        self.ports.taken.pop(end.instance, None)
        self.feed(RoleEnded(end.instance, end.generation, why, clean=end.asked))
        waiting = self._waiting.pop(end.instance, None)
        if waiting is not None:
            self._launch(waiting)

    def _on_role(self, instance: str, generation: int, message: dict[str, Any]) -> None:
        """A role's process speaks."""
        if generation != self.node.cast.generations.get(instance):
            return
        match message.get("type"):
            case "ready":
                self.feed(RoleReady(instance, generation, message["frames_port"], message["requests_port"], message.get("pid", 0)))
            case "pulse":
                self.pulses[instance] = message
            case "failed":
                words = [str(message.get(key)) for key in ("what", "where", "instead") if message.get(key)]
                self._failures[instance] = "; ".join(words)
                self.report("role_failed", {"instance": instance, "what": "; ".join(words)})
            case "event" | "gap" as kind:
                fields = {key: value for key, value in message.items() if key != "type"}
                self.report(f"role_{kind}", {"instance": instance, **fields})

    async def _still_here(self) -> None:
        while True:
            for instance in self.supervisor.running():
                self.link.send(instance, self.node.cast.generations.get(instance, 0), {"type": "still_here"})
            if self.settings.rehearsal:
                self.report("report", {"machine": self.node.me.name, "roles": self.roles_now()})
            await asyncio.sleep(STILL_HERE_S)

    # ---- the network

    def cut(self, machines: list[str], on: bool) -> None:
        """In a rehearsal, which has one network for all: hear no more of these machines, nor may the roles here; or hear them again."""
        self._deaf.turn(machines, on, self.node.peers.records())
        for instance in self.supervisor.running():
            self.link.send(instance, self.node.cast.generations.get(instance, 0), {"type": "cut", "nodes": sorted(self._deaf.nodes)})

    def _on_datagram(self, data: bytes, sender: tuple[str, int]) -> None:
        if sender[1] in self._deaf.ports:
            return
        try:
            message = unseal(data, self.settings.key.beat_key)
        except WireError:
            self.refused["datagram"] += 1
            return
        self.feed(Heard(message, sender[0]))

    def _on_control(self, data: bytes, reply: Reply) -> None:
        try:
            message: Message = decode(data)
        except WireError:
            self.refused["control"] += 1
            return
        if isinstance(message, Call):
            self.answers.answer(message, lambda answer: reply(encode(answer)))
        elif not isinstance(message, (Answer, Beat)) and not self._deaf.drops(message):
            self.feed(Heard(message))

    def _on_hint(self, peer: str, what: str, detail: str) -> None:
        if what == "reached":
            self.hints.pop(peer, None)
            self.feed(LinkUp(peer, detail))
            return
        self.hints[peer] = (what, detail)
        self.feed(LinkHint(peer))

    def _on_found(self, record: discovery.NodeRecord) -> None:
        self.feed(PeerFound(NodeRecord(
            record.node, record.boot, record.incarnation, record.name, record.addresses, record.control_port, record.beat_port,
            record.installation_hash, record.protocol,
        )))

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
            self._loop.call_soon_threadsafe(self.report, event, fields)

    def roles_now(self) -> dict[str, dict[str, Any]]:
        """Each process on this node: its claim's state and numbers, and its last pulse."""
        return {
            name: {
                "part": part.claim.part, "state": part.claim.state, "pid": part.claim.pid, "restarts": part.claim.restarts,
                "generation": part.claim.generation, "epoch": part.claim.epoch, "pulse": self.pulses.get(name, {}),
            }
            for name, part in self.node.cast.parts.items()
        }


def _read_folder(path: Path) -> tuple[Deployment, str]:
    return folder.load(path), folder.folder_hash(path)


def _why_ended(end: Exit) -> str:
    how = f"ended by {end.signal}" if end.signal else f"ended with exit code {end.code}"
    last = next((line for line in reversed(end.last_lines) if line.strip() and not line.startswith("----")), "")
    return f"{how}; its last words: {last}" if last else how

