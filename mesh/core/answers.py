"""The answering side of requests: the queue, what was said so far, and what to repeat to whom.

One request is answered at a time, in the order of arrival; at most 64 wait, further ones are refused and go elsewhere.
Every piece is kept until 64 later requests are over, so that an asker whose connection broke gets what it missed, and
the same request sent twice is never answered twice. Pure: time is an argument, the queue's owner calls the role.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mesh.core.request_messages import Accepted, Ask, Cancel, Done, Message, Refused, Said

QUEUE_MAX = 64
KEPT_MAX = 64
KEPT_WEIGHT_MAX = 16 * 1024 * 1024

Peer = Hashable  # how the shell finds the asker again; None for a frame that nobody asked about


class Reply(NamedTuple):
    """Send this to the asker."""

    peer: Peer
    message: Message


class Hush(NamedTuple):
    """Say on the stream that this utterance of a lost copy ends here, after so many pieces."""

    utterance: str
    pieces: int


Effect = Reply | Hush


@dataclass(slots=True, eq=False)
class Job:
    """One request here. `utterance` is its name on the stream; `start` where its own pieces begin."""

    ask: Ask
    peer: Peer
    expires_s: float
    utterance: str
    start: int = 0
    said: list[Said] = field(default_factory=list)
    weight: int = 0
    cancelled: bool = False
    done: Done | None = None

    @property
    def pieces(self) -> int:
        """The number of the next piece."""
        return self.start + len(self.said)


class Answerer:
    """The requests of one process. It takes those on `inputs` (None: on any); `resumes`: it can go on with another's."""

    def __init__(self, instance: str, generation: int, inputs: frozenset[str] | None, resumes: bool) -> None:
        self._instance = instance
        self._generation = generation
        self._inputs = inputs
        self._resumes = resumes
        self._queue: deque[Job] = deque()
        self._known: dict[str, Job] = {}
        self._kept: deque[Job] = deque()
        self._kept_weight = 0
        self.current: Job | None = None
        self.closed = ""  # why no request is taken now: "standby" or "stopping"

    @property
    def depth(self) -> int:
        """How many are in work or waiting."""
        return len(self._queue) + (self.current is not None)

    @property
    def waits(self) -> bool:
        """Whether a request waits to be answered and none is in work."""
        return bool(self._queue) and self.current is None

    # ---- from askers

    def hear(self, peer: Peer, message: Message, now: float) -> list[Effect]:
        """An asker's word: what to reply, and what to say on the stream."""
        if isinstance(message, Ask):
            return self._asked(peer, message, now)
        if isinstance(message, Cancel):
            return self._cancel(message.id)
        return []

    def _asked(self, peer: Peer, ask: Ask, now: float) -> list[Effect]:
        if (ask.instance, ask.generation) != (self._instance, self._generation):
            return [Reply(peer, Refused(ask.id, "another process", self.depth))]
        job = self._known.get(ask.id)
        if job is not None:
            job.peer = peer  # its connection may be a new one
            return self._repeat(job, ask.have)
        why = self._why_not(ask)
        if why:
            return [Reply(peer, Refused(ask.id, why, self.depth))]
        job = Job(ask, peer, now + ask.deadline_ms / 1000, ask.id)
        hush: list[Effect] = []
        if ask.utterance is not None:
            if self._resumes and ask.so_far:
                job.utterance, job.start = ask.utterance, len(ask.so_far)
            else:
                hush = [Hush(ask.utterance, len(ask.so_far))]
        self._queue.append(job)
        self._known[ask.id] = job
        return [*hush, Reply(peer, Accepted(ask.id, self.depth, job.start))]

    def _why_not(self, ask: Ask) -> str:
        if self.closed:
            return self.closed
        if self._inputs is not None and ask.input not in self._inputs:
            return "unknown input"
        if ask.have:
            return "forgotten"
        return "busy" if len(self._queue) >= QUEUE_MAX else ""

    def _repeat(self, job: Job, have: int) -> list[Effect]:
        told: list[Message] = [Accepted(job.ask.id, self.depth, job.start)]
        told += job.said[max(0, have - job.start) :]
        if job.done is not None:
            told.append(job.done)
        return [Reply(job.peer, message) for message in told]

    def _cancel(self, id: str) -> list[Effect]:
        job = self._known.get(id)
        if job is None or job.done is not None:
            return []
        job.cancelled = True
        if job in self._queue:
            self._queue.remove(job)
            return self._end(job, "cancelled")
        return []  # it is in work: its owner ends it between two pieces

    # ---- from the one who answers

    def submit(self, ask: Ask, now: float) -> None:
        """A frame on an answering input that came without an asker: it is answered like a request, oldest dropped."""
        if ask.id in self._known or self.closed == "stopping":
            return
        if len(self._queue) >= QUEUE_MAX:
            oldest = next((job for job in self._queue if job.peer is None), None)
            if oldest is None:
                return
            self._queue.remove(oldest)
            self._end(oldest, "cancelled")
        job = self._known[ask.id] = Job(ask, None, now + ask.deadline_ms / 1000, ask.id)
        self._queue.append(job)

    def next(self, now: float) -> tuple[Job | None, list[Effect]]:
        """The next request to answer, which is now in work. None when there is none, or one is in work already."""
        effects: list[Effect] = []
        while self._queue and self.current is None:
            job = self._queue.popleft()
            if now < job.expires_s:
                self.current = job
                return job, effects
            effects += self._end(job, "cancelled")
        return None, effects

    def say(self, value: Any, mark: bytes, weight: int) -> list[Effect]:
        """The next piece of what is in work. `weight` is about its size in bytes."""
        job = self.current
        assert job is not None
        said = Said(job.ask.id, job.pieces, value, mark)
        job.said.append(said)
        job.weight += weight
        return [] if job.peer is None else [Reply(job.peer, said)]

    def end(self, ended: str | None) -> list[Effect]:
        """What is in work is over: None, "cancelled" or "failed"."""
        job = self.current
        assert job is not None
        self.current = None
        return self._end(job, ended)

    def close(self, why: str) -> list[Effect]:
        """Takes no more, and sends everyone elsewhere: what waits, and what is in work (its owner drops it)."""
        self.closed = why
        jobs = [*([self.current] if self.current else []), *self._queue]
        self.current = None
        self._queue.clear()
        for job in jobs:
            del self._known[job.ask.id]
        return [Reply(job.peer, Refused(job.ask.id, why, 0)) for job in jobs if job.peer is not None]

    def _end(self, job: Job, ended: str | None) -> list[Effect]:
        job.done = Done(job.ask.id, job.pieces, self.depth, ended)
        self._kept.append(job)
        self._kept_weight += job.weight
        while len(self._kept) > KEPT_MAX or (self._kept_weight > KEPT_WEIGHT_MAX and len(self._kept) > 1):
            old = self._kept.popleft()
            self._kept_weight -= old.weight
            del self._known[old.ask.id]
        return [] if job.peer is None else [Reply(job.peer, job.done)]
