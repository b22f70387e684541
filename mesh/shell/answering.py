"""The answering end of requests in a role's process: the socket on which it is asked, and the answer now in work.

An answer is a generator of the role's. It is advanced by one piece at a time, and between two pieces the process reads
its sockets (every few milliseconds where pieces come fast), so that a cancellation arrives and further requests queue.
Each piece goes out twice: on the role's first stream, for whoever listens, and to the asker, who counts. A handler that is
no generator answers by what it emits on that stream.
"""

from __future__ import annotations

import contextlib
import socket as system
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import zmq

from mesh.core.answers import Answerer, Effect, Hush, Reply, Retell, Shown
from mesh.core.request_messages import MESSAGE_BYTES_MAX, Ask, Offer, Taken, decode, encode
from mesh.errors import WireError
from mesh.role import Frame, Pause, Piece
from mesh.shell import curve
from mesh.shell.arrays import as_travelling, as_value, weight_bytes
from mesh.shell.batching import Batch
from mesh.shell.border import Border
from mesh.shell.following import Followers
from mesh.shell.standing import Standing
from mesh.shell.streams import Output, bounded
from mesh.shell.talk import Talk
from mesh.shell.waiting import EVENTS, NOBLOCK, POLLIN, Waiting

QUEUE_MAX = 1000
ASKERS_MAX = 512  # on this machine
SLICE_S = 0.004  # so long pieces are made before the sockets are looked at
Pieces = tuple[tuple[Any, bytes], ...]  # as (value, mark)
Handle = Callable[[str, Frame, tuple[Piece, ...]], Any]


class Answering:
    """One process's ROUTER, its answerer, and the generator in work."""

    def __init__(self, context: zmq.Context[Any], public: bytes, secret: bytes, waiting: Waiting) -> None:
        self._waiting = waiting
        self.socket: Any = bounded(context.socket(zmq.ROUTER), QUEUE_MAX)
        self.socket.setsockopt(zmq.MAXMSGSIZE, MESSAGE_BYTES_MAX)
        curve.server(self.socket, public, secret)
        waiting.add(self.socket, self.read)
        self.take_offer: Callable[[Offer], Taken] = _take_none
        self._refused = 0
        self._talks: set[Talk] = set()
        self._pieces: Iterator[Any] | None = None
        self._more = False  # the last piece on the stream said that others follow
        self._batch = Batch()
        self.resume_s = 0.0  # until when the answer in work pauses

    def begin(self, answerer: Answerer, output: Output | None, border: Border, standing: Standing, followers: Followers) -> None:
        """Before the first wait. `output` is the role's first stream, if it has one."""
        self.answerer = answerer
        self._followers = followers
        self._output = output
        self._border = border
        self._standing = standing

    # ---- hearing and replying

    def read(self) -> None:
        """Takes everything that askers sent."""
        socket = self.socket
        while socket.get(EVENTS) & POLLIN:
            parts = socket.recv_multipart(NOBLOCK)
            if len(parts) == 2:
                self._take(*parts)
            else:
                self._refused += 1

    def meet(self, line: system.socket) -> None:
        """One on this machine comes to ask."""
        if len(self._talks) >= ASKERS_MAX:
            self._refused += 1
            line.close()
        else:
            self._talks.add(Talk(line, self._waiting, self._take, self._left))

    def _left(self, talk: Talk) -> None:
        self._refused += talk.refused
        self._talks.discard(talk)

    def _take(self, peer: Talk | bytes, data: Any) -> None:
        try:
            message = decode(data)
        except WireError:
            self._refused += 1
            return
        if type(message) is Offer:
            self.perform([Reply(peer, self.take_offer(message))])
        else:
            self.perform(self.answerer.hear(peer, message, time.monotonic()))

    @property
    def files(self) -> tuple[int, ...]:
        """Those by which a question, or the word that none is wanted any more, can come."""
        return (self.socket.fd, self._waiting.bell, *(talk.file for talk in self._talks))

    @property
    def refused(self) -> int:
        """Broken messages."""
        return self._refused + sum(talk.refused for talk in list(self._talks))

    def perform(self, effects: Iterable[Effect]) -> None:
        """Does what the answerer says."""
        sent = False
        for effect in effects:
            if isinstance(effect, Shown):
                self._followers.tell(effect.message)
                continue
            if isinstance(effect, Hush):
                self._publish(effect.utterance, effect.pieces, ended=effect.ended)
                continue
            if isinstance(effect, Retell):
                self._retell(effect.ask)
                continue
            if type(effect.peer) is Talk:
                effect.peer.send(encode(effect.message))
                continue
            sent = True
            with contextlib.suppress(zmq.ZMQError):  # its queue is full or it is gone: an asker that misses something asks again
                self.socket.send_multipart([effect.peer, encode(effect.message)], NOBLOCK)
        if sent:
            self._waiting.sent(self.socket)

    def _publish(self, utterance: str, piece: int, ended: str | None = None) -> None:
        """The end of an utterance on the stream. Only texts come in pieces that wait for one."""
        if self._output is not None and self._output.type == "text":
            captured_ns = self.answerer.current.ask.captured_ns if self.answerer.current else 0
            self._output.send("", captured_ns, self._standing.muted, utterance, piece, False, ended)

    def _retell(self, ask: Ask) -> None:
        if self._output is None or ask.utterance is None:
            return
        more = self._output.type == "text"
        for number, (value, _) in enumerate(ask.so_far):
            self._output.send(as_value(value), ask.captured_ns, self._standing.muted, ask.utterance, number, more)

    # ---- answering

    @property
    def in_work(self) -> bool:
        """Whether a generator is to be advanced."""
        return self._pieces is not None

    def due_s(self) -> float:
        """When it is to be advanced next: at once, unless it pauses and is still wanted."""
        return self.resume_s if self.wanted() else 0.0

    def wanted(self) -> bool:
        """Whether nobody has cancelled what is in work."""
        return self.answerer.current is None or not self.answerer.current.cancelled

    def start(self, handle: Handle) -> bool:
        """Takes the next request, if one waits and none is in work. Whether it did."""
        job, effects = self.answerer.next(time.monotonic())
        self.perform(effects)
        if job is None:
            return False
        frame = Frame(
            as_value(job.ask.value), captured_s=job.ask.captured_ns / 1e9, request=job.utterance,
            source=job.ask.id.split(":")[0],
        )  # fmt: skip
        resumed = tuple(Piece(as_value(value), mark) for value, mark in job.ask.so_far)
        self._batch.begin()
        self._more = bool(job.start) and self._output is not None and self._output.type == "text"
        done, result = self._border.call(handle, job.ask.input, frame, resumed)
        if not done:
            self._finish("failed")
        elif isinstance(result, Iterator):
            self._pieces = result
        else:
            self._finish(None)
        return True

    def advance(self) -> None:
        """The next pieces of the answer in work, for a few milliseconds of them, or its end. Nothing while it pauses."""
        job, pieces = self.answerer.current, self._pieces
        assert job is not None and pieces is not None
        if job.cancelled:
            self._border.call(getattr(pieces, "close", _nothing))
            self._finish("cancelled")
            return
        if self.resume_s > time.monotonic():
            return
        done, over = self._border.call(self._make_some, pieces, part=True)
        if not done or over:
            self._finish("cancelled" if job.cancelled else None if done else "failed")

    def _make_some(self, pieces: Iterator[Any]) -> bool:
        """Pieces for a slice of time, or until a pause. Whether there are no more. Inside the border: a piece of the wrong type is the
        artist's mistake too."""
        until_s = time.monotonic() + SLICE_S
        texts = self._output is None or self._output.type == "text"
        for piece in pieces:
            kind, now = type(piece), time.monotonic()
            if kind is Pause:
                self.resume_s = now + piece.seconds
                self._tell()
                return False
            value, mark = (piece.value, piece.mark) if kind is Piece else (piece, b"")
            if not texts or type(value) is not str:
                self.say(value, mark, more=False)
            elif self._batch.add(value, mark, now):
                self._tell()
            if now >= until_s:
                return False
        return True

    def _tell(self) -> None:
        """What was held back: on the stream, and to the asker."""
        items = self._spoken()
        if items:
            self.perform(self.answerer.say_run(items, _weight(items)))

    def _spoken(self) -> Pieces:
        """What was held back, which is said on the stream now."""
        job, items = self.answerer.current, self._batch.take(time.monotonic())
        if not items or job is None:
            return ()
        if self._output is not None:
            piece, muted = job.pieces, self._standing.muted
            if len(items) == 1:
                self._output.send(items[0][0], job.ask.captured_ns, muted, job.utterance, piece, True)
            else:
                self._output.send_run([text for text, _ in items], job.ask.captured_ns, muted, job.utterance, piece)
            self._more = True
        return items

    def say(self, value: Any, mark: bytes, more: bool, captured_ns: int | None = None, present_ns: int | None = None) -> None:
        """A piece of the answer in work, at once: on the stream, and to the asker."""
        self._tell()
        job = self.answerer.current
        assert job is not None
        if self._output is not None:
            captured_ns = job.ask.captured_ns if captured_ns is None else captured_ns
            self._output.send(value, captured_ns, self._standing.muted, job.utterance, job.pieces, more, None, present_ns)
        self._more = more
        travelling = as_travelling(value)
        self.perform(self.answerer.say(travelling, mark, weight_bytes(travelling)))

    def _finish(self, ended: str | None) -> None:
        job = self.answerer.current
        assert job is not None
        items = self._spoken()
        self._pieces, self.resume_s = None, 0.0
        if self._more and not job.moved:
            self._publish(job.utterance, job.pieces + len(items), ended)
        self._more = False
        self.perform(self.answerer.end(ended, items, _weight(items)))
        if ended is None:
            self._border.succeeded()

    def close(self, why: str) -> None:
        """Sends every request elsewhere: "stopping" or "standby"."""
        if self._pieces is not None:
            self._border.call(getattr(self._pieces, "close", _nothing))
            self._pieces = None
        self._batch.begin()
        self._more, self.resume_s = False, 0.0
        self.perform(self.answerer.close(why))

    def hang_up(self) -> None:
        """Ends the lines of those on this machine; what was sent on them still arrives."""
        for talk in self._talks:
            talk.close()
        self._talks.clear()


def _weight(items: Pieces) -> int:
    return sum(len(text) for text, _ in items)


def _take_none(offer: Offer) -> Taken:
    return Taken(offer.id, 0, offer.secret)


def _nothing() -> None:
    return None
