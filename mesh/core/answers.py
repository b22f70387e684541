"""The answering side of requests: the queue, what was said so far, and what to repeat to whom.

One request is answered at a time, in the order of arrival; at most 64 wait, further ones are refused and go elsewhere.
Every piece is kept until 64 later requests are over, so that an asker whose connection broke gets what it missed, and
the same request sent twice is never answered twice. The other copies follow what is open here (`following.py`), and go on
with it when this machine and the asker's are lost together. Pure: time is an argument, the queue's owner calls the role.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mesh.core.names import role_name
from mesh.core.request_messages import Accepted, Ask, Cancel, Done, Message, Refused, Run, Said, can_be_followed

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
    ended: str = "failed"


class Retell(NamedTuple):
    """Say on the stream at once what a lost copy had said of this: for who has missed the last of it, for who comes late, and as a
    sign that it goes on, although it may have to wait its turn."""

    ask: Ask


class Shown(NamedTuple):
    """Tell whoever follows this copy."""

    message: Message


Effect = Reply | Hush | Retell | Shown


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
    moved: bool = False  # cancelled because another copy goes on with it: its listeners will hear that one
    orphan: bool = False  # nobody waits for it here any more; it goes on for whoever listens to the stream

    @property
    def pieces(self) -> int:
        """The number of the next piece."""
        return self.start + len(self.said)

    @property
    def other_name(self) -> str | None:
        """Its name on the stream, where that is not the request's own."""
        return None if self.utterance == self.ask.id else self.utterance

    def piece(self, number: int) -> tuple[Any, bytes]:
        """A piece of the utterance that was said here, or before."""
        if number < self.start:
            return self.ask.so_far[number]
        said = self.said[number - self.start]
        return said.value, said.mark

    def as_it_stands(self) -> Ask:
        """The request with all that was said of its answer, as another copy would go on with it."""
        return self.ask._replace(utterance=self.utterance, so_far=tuple(self.piece(number) for number in range(self.pieces)))


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
        self.followed = False  # whether any other copy follows this one

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
            return self._cancel(message.id, message.moved)
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
        orphan = self._orphan_of(ask)
        if orphan is not None:
            return self._claimed(orphan, peer, ask)
        stale = self.supersede(ask) if ask.supersedes else []
        job, effects = self._begin(ask, peer, now)
        self._queue.append(job)
        return [*stale, *effects, Reply(peer, Accepted(ask.id, self.depth, job.start, job.other_name))]

    def _begin(self, ask: Ask, peer: Peer, now: float) -> tuple[Job, list[Effect]]:
        """A job for it, under the name on the stream that it bore before where the role can go on; else that one ends."""
        job = self._known[ask.id] = Job(ask, peer, now + ask.deadline_ms / 1000, ask.id, orphan=peer is None)
        effects: list[Effect] = []
        if ask.utterance is not None and self._resumes:
            job.utterance, job.start = ask.utterance, len(ask.so_far)
            effects = [Retell(ask)] if ask.so_far else []
        elif ask.utterance is not None:
            effects = [Hush(ask.utterance, len(ask.so_far))]
            job.ask = ask._replace(so_far=())
        return job, [*effects, *self._show(job, job.as_it_stands())]

    def _show(self, job: Job, message: Message) -> list[Effect]:
        return [Shown(message)] if self.followed and can_be_followed(job.ask) else []

    def _why_not(self, ask: Ask) -> str:
        if self.closed:
            return self.closed
        if self._inputs is not None and ask.input not in self._inputs:
            return "unknown input"
        if ask.have:
            return "forgotten"
        return "busy" if len(self._queue) >= QUEUE_MAX else ""

    def _repeat(self, job: Job, have: int) -> list[Effect]:
        told: list[Message] = [Accepted(job.ask.id, self.depth, job.start, job.other_name)]
        told += job.said[max(0, have - job.start) :]
        if job.done is not None:
            told.append(job.done)
        return [Reply(job.peer, message) for message in told]

    def _cancel(self, id: str, moved: bool = False) -> list[Effect]:
        job = self._known.get(id)
        if job is None or job.done is not None:
            return []
        job.cancelled = True
        job.moved = moved
        if job in self._queue:
            self._queue.remove(job)
            return self._drop(job)
        return []  # it is in work: its owner ends it between two pieces

    # ---- orphans: answers that a lost copy owed to a lost asker

    def go_on(self, ask: Ask, now: float) -> list[Effect]:
        """Answer, before all that waits, what another copy has begun or had accepted, although nobody here asked for it."""
        mine = any(job.utterance == ask.utterance and not job.cancelled for job in self._known.values())
        if self.closed or ask.id in self._known or mine:
            return []  # its asker, which lives after all, has come here with it already
        job, effects = self._begin(ask._replace(instance=self._instance, generation=self._generation), None, now)
        before = sum(1 for each in self._queue if each.orphan)  # orphans stand in front, in the order in which they came
        self._queue.insert(before, job)
        return effects

    def supersede(self, ask: Ask) -> list[Effect]:
        """A newer question of the same kind makes the orphans stale, here or at another copy."""
        role = _role_of(ask.id)
        stale = [job for job in self._open() if job.orphan and job.ask.input == ask.input and _role_of(job.ask.id) == role]
        return [effect for job in stale for effect in self._cancel(job.ask.id)]

    def _orphan_of(self, ask: Ask) -> Job | None:
        """The job here that already goes on with this utterance: its asker lives after all, and asks for it again."""
        if ask.utterance is None:
            return None
        return next((job for job in self._known.values() if job.orphan and job.utterance == ask.utterance and not job.cancelled), None)

    def _claimed(self, job: Job, peer: Peer, ask: Ask) -> list[Effect]:
        have, old = len(ask.so_far), job.ask
        shown = self._show(job, Done(old.id, job.pieces, self.depth, "cancelled"))
        shown += self._show(job, job.as_it_stands()._replace(id=ask.id, node=ask.node))
        del self._known[old.id]
        self._known[ask.id] = job
        job.ask, job.peer, job.orphan = old._replace(id=ask.id, node=ask.node), peer, False
        job.said = [said._replace(id=ask.id) for said in job.said]
        job.done = None if job.done is None else job.done._replace(id=ask.id)
        told: list[Message] = [Accepted(ask.id, self.depth, have, job.utterance)]
        told += [Said(ask.id, number, *job.piece(number)) for number in range(have, job.pieces)]
        told += [] if job.done is None else [job.done]
        return [*shown, *(Reply(peer, message) for message in told)]

    def snapshot(self) -> list[Message]:
        """All that is open here, for a copy that begins to follow."""
        return [job.as_it_stands() for job in self._open() if can_be_followed(job.ask)]

    def _open(self) -> list[Job]:
        return [*([self.current] if self.current else []), *self._queue]

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
            effects += self._drop(job)
        return None, effects

    def say(self, value: Any, mark: bytes, weight: int) -> list[Effect]:
        """The next piece of what is in work. `weight` is about its size in bytes."""
        return self.say_run(((value, mark),), weight)

    def say_run(self, items: tuple[tuple[Any, bytes], ...], weight: int) -> list[Effect]:
        """The next pieces of what is in work, told at once: each as (value, mark)."""
        job = self.current
        assert job is not None
        run = self._keep(job, items, weight)
        told: Message = run if len(items) > 1 else job.said[-1]
        return [*([] if job.peer is None else [Reply(job.peer, told)]), *self._show(job, told)]

    def _keep(self, job: Job, items: tuple[tuple[Any, bytes], ...], weight: int) -> Run:
        run = Run(job.ask.id, job.pieces, items)
        job.said += run.each()
        job.weight += weight
        return run

    def end(self, ended: str | None, items: tuple[tuple[Any, bytes], ...] = (), weight: int = 0) -> list[Effect]:
        """What is in work is over: None, "cancelled" or "failed". `items` are its last pieces, told with its end."""
        job = self.current
        assert job is not None
        self._keep(job, items, weight)
        self.current = None
        return self._end(job, ended, items)

    def close(self, why: str) -> list[Effect]:
        """Takes no more, and sends everyone elsewhere: what waits, and what is in work (its owner drops it)."""
        self.closed = why
        jobs = self._open()
        self.current = None
        self._queue.clear()
        effects: list[Effect] = []
        for job in jobs:
            del self._known[job.ask.id]
            if job.peer is not None:  # its asker goes elsewhere with it; an orphan is left to those who follow
                effects += [Reply(job.peer, Refused(job.ask.id, why, 0)), *self._show(job, Done(job.ask.id, job.pieces, 0, "cancelled"))]
        return effects

    def _drop(self, job: Job) -> list[Effect]:
        """Cancelled while it waits. What was retold of it is ended, for it waits to be gone on with."""
        hush: list[Effect] = [Hush(job.utterance, job.pieces, "cancelled")] if job.start and not job.moved else []
        return [*hush, *self._end(job, "cancelled")]

    def _end(self, job: Job, ended: str | None, last: tuple[tuple[Any, bytes], ...] = ()) -> list[Effect]:
        job.done = Done(job.ask.id, job.pieces, self.depth, ended)
        self._kept.append(job)
        self._kept_weight += job.weight
        while len(self._kept) > KEPT_MAX or (self._kept_weight > KEPT_WEIGHT_MAX and len(self._kept) > 1):
            old = self._kept.popleft()
            self._kept_weight -= old.weight
            del self._known[old.ask.id]
        return [*([] if job.peer is None else [Reply(job.peer, job.done._replace(last=last))]), *self._show(job, job.done)]


def _role_of(id: str) -> str:
    """The role that asked, from a request's name."""
    return role_name(id.split(":")[0])
