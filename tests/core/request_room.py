"""A room in miniature for the property tests of requests: one asker, several copies, links that break; no clock, no socket.

Links behave as ZeroMQ's do: in order; what is under way when one breaks is lost without a word.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from mesh.core.answers import Answerer, Hush, Reply
from mesh.core.copies import Copy, CopyId
from mesh.core.request_messages import Message, decode, encode
from mesh.core.requests import Asker, Bridged, Effect, Heard, Over, Tell

ROLE = "poet"
PIECES = 3


@dataclass
class Process:
    """One copy: its answerer and the two directions of its line."""

    id: CopyId
    answerer: Answerer
    state: str = "playing"
    alive: bool = True
    linked: bool = True
    to_copy: deque[Message] = field(default_factory=deque)
    to_asker: deque[Message] = field(default_factory=deque)


class Room:
    """What happens is chosen by whoever tests; `check` holds after every step."""

    def __init__(self, copies: int = 2, resumes: bool = False) -> None:
        self.now = 0.0
        self.asker = Asker("mood:1:1")
        self.resumes = resumes
        self.processes: list[Process] = []
        self.over: dict[str, str] = {}
        self.bridged: list[Bridged] = []
        self.why: dict[str, str] = {}
        self.handed: dict[str, list[Any]] = {}
        self.answers: dict[str, str] = {}  # id -> value asked
        self.utterances: dict[str, list[tuple[int, Any]]] = {}  # what a listener hears of the stream
        self.generation = 0
        for _ in range(copies):
            self.start()
        self.tell_routes()

    # ---- what the world does

    def start(self) -> None:
        self.generation += 1
        id = CopyId(f"poet/{self.generation}", "node-a", self.generation)
        answerer = Answerer(id.instance, id.generation, frozenset({"prompt"}), self.resumes)
        self.processes.append(Process(id, answerer))

    def tell_routes(self) -> None:
        living = [process for process in self.processes if process.alive]
        copies = [Copy(process.id, process.state, rank) for rank, process in enumerate(living)]
        self.perform(self.asker.route({ROLE: copies}, self.now))

    def kill(self, process: Process) -> None:
        process.alive = False
        self.cut(process)

    def cut(self, process: Process) -> None:
        process.linked = False
        process.to_copy.clear()
        process.to_asker.clear()
        self.perform(self.asker.link_down(process.id, self.now))

    def mend(self, process: Process) -> None:
        if process.alive and not process.linked:
            process.linked = True
            self.perform(self.asker.link_up(process.id, self.now))

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.perform(self.asker.tick(self.now))

    # ---- what the role wants

    def ask(self, supersede: bool = False, pass_over: bool = False, streamed: bool = True, deadline_s: float = 1e6) -> str:
        value = f"question {len(self.answers)}"
        id, effects = self.asker.ask(
            ROLE, "prompt", value, type="text", captured_ns=0, deadline_s=self.now + deadline_s, now=self.now,
            topic="tags", supersede=supersede, pass_over=pass_over, streamed=streamed,
        )  # fmt: skip
        self.answers[id] = value
        self.handed[id] = []
        self.perform(effects)
        return id

    # ---- steps of the network and of the copies

    def deliver_to_copy(self, process: Process) -> None:
        if process.to_copy:
            message = decode(encode(process.to_copy.popleft()))
            self.perform_answerer(process, process.answerer.hear("asker", message, self.now))

    def deliver_to_asker(self, process: Process) -> None:
        if process.to_asker:
            message = decode(encode(process.to_asker.popleft()))
            self.perform(self.asker.hear(process.id, message, self.now))

    def work(self, process: Process) -> None:
        """One piece of its answer, or its end; and a listener hears it."""
        if not process.alive:
            return
        answerer = process.answerer
        if answerer.current is None:
            _, effects = answerer.next(self.now)
            self.perform_answerer(process, effects)
            return
        job = answerer.current
        if job.cancelled or job.pieces >= PIECES:
            self.perform_answerer(process, answerer.end("cancelled" if job.cancelled else None))
            return
        value = f"{job.ask.value}, piece {job.pieces}"
        self.utterances.setdefault(job.utterance, []).append((job.pieces, value))
        self.perform_answerer(process, answerer.say(value, b"mark", 10))

    # ---- effects

    def perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Tell):
                process = next((each for each in self.processes if each.id == effect.copy), None)
                if process is not None and process.linked:
                    process.to_copy.append(effect.message)
            elif isinstance(effect, Heard):
                self.handed[effect.id].append(effect.value)
            elif isinstance(effect, Bridged):
                self.bridged.append(effect)
            elif isinstance(effect, Over):
                assert effect.id not in self.over, "over twice"
                self.over[effect.id] = effect.outcome
                self.why[effect.id] = effect.why
        self.check()

    def perform_answerer(self, process: Process, effects: list[Any]) -> None:
        for effect in effects:
            if isinstance(effect, Reply) and process.linked:
                process.to_asker.append(effect.message)
            elif isinstance(effect, Hush):
                self.utterances.setdefault(effect.utterance, []).append((effect.pieces, None))

    # ---- what must hold

    def check(self) -> None:
        counted = self.asker.counters()
        assert counted["open"] == self.asker.open
        assert counted["asked"] - counted["open"] == len(self.over)
        for id, pieces in self.handed.items():
            assert pieces == [f"{self.answers[id]}, piece {index}" for index in range(len(pieces))]

    def heal(self, steps_max: int = 3000) -> None:
        """Every link is mended, one copy lives, routes are true: then everything comes to its end."""
        for process in self.processes:
            process.state = "playing"
            self.mend(process)
        if not any(process.alive for process in self.processes):
            self.start()
        self.tell_routes()
        for _ in range(steps_max):
            if not self.asker.open:
                return
            for process in self.processes:
                self.deliver_to_copy(process)
                self.work(process)
                self.deliver_to_asker(process)
            self.pass_time(0.05)
        raise AssertionError(f"{self.asker.open} requests never ended")
