"""What a listener believes of those it listens to: whose frames count, and which pieces were already shown.

Both rules live at the consumer because nobody else can keep them: a machine cut off does not know that another took its
place, and a repeated piece is only a repeat to somebody who has shown the first one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from mesh.core.frames import Header, Sender

UTTERANCES_MAX = 2048  # remembered per input; the oldest are forgotten
BEGINNING_S = 0.5  # how long the beginning of an utterance may come after its middle
PATIENCE_S = 1.0  # how long an utterance may wait for somebody to continue it after its speaker was lost


class Speaker(NamedTuple):
    """One process that may speak on a stream."""

    instance: str
    node: str
    generation: int


@dataclass(slots=True)
class _Belief:
    """Of one instance: the highest (epoch, node) that spoke or is said to play, which process that is, who it was before, and
    whether its standby is heard."""

    highest: tuple[int, str] = (-1, "")
    process: tuple[str, int] = ("", -1)  # (node, generation)
    before: tuple[int, str] = (-1, "")
    to_standby: bool = False
    broken: tuple[int, str] = (-1, "")  # the (epoch, node) to which the line broke, until it speaks again

    def raise_to(self, claim: tuple[int, str], generation: int) -> None:
        """This is the highest from now on, if it is."""
        if claim > self.highest:
            self.before = self.highest if self.highest[1] != claim[1] else self.before
            self.highest, self.process = claim, (claim[1], generation)


class Fence:
    """Lets through the frames of each instance's highest (epoch, node) only.

    Of a process that has only claimed anew, what it said at its lower epoch counts on: this listener may know of the new
    one before the process does. And what the holder before answered may still be on its way, when whoever asked has the answer already
    and nobody will give it again; a piece that both say is shown once.

    Muted frames, a hot standby's, pass while the instance's holder is suspect or gone, or the line to it broke, *and* it has not
    spoken since. They raise nothing: a standby has no claim, so its epoch means nothing.
    """

    def __init__(self) -> None:
        self._beliefs: dict[str, _Belief] = {}
        self._named: frozenset[str] = frozenset()
        self._shunned: frozenset[str] = frozenset()
        self._spoke: Sender | None = None  # admitted last, and nothing has changed since

    def route(self, sources: Iterable[tuple[str, str, int, int, str]]) -> None:
        """What the agent says: (instance, node, epoch, generation, state) of each source. Instances that are no longer named are
        heard on until `forget`: what they said while they counted may still be on its way."""
        named = list(sources)
        self._shunned -= {each[1] for each in named}
        playing = {each[0] for each in named if each[4] == "playing"}
        beliefs = {instance: self._beliefs.get(instance, _Belief()) for instance, *_ in named}
        for instance, node, epoch, generation, state in named:
            if state == "playing":
                beliefs[instance].raise_to((epoch, node), generation)
        for instance, belief in beliefs.items():
            belief.to_standby = instance not in playing or belief.broken == belief.highest
        self._named = frozenset(beliefs)
        self._beliefs = {**self._beliefs, **beliefs}
        self._spoke = None

    def forget(self) -> None:
        """Hears no more of instances that are not named, nor of those who held the others before."""
        self._beliefs = {instance: belief for instance, belief in self._beliefs.items() if instance in self._named}
        for belief in self._beliefs.values():
            belief.before = (-1, "")
        self._spoke = None

    def shun(self, nodes: Iterable[str]) -> None:
        """Nothing of what these nodes say counts any more, or ever did: until routes name one of them again. Who spoke for an instance
        from there holds it no longer, so that its standby is heard."""
        self._shunned |= frozenset(nodes)
        for belief in self._beliefs.values():
            if belief.highest[1] in self._shunned:
                belief.to_standby = True
        self._spoke = None

    def broke(self, instance: str, node: str, epoch: int) -> None:
        """The line to this process broke. If it is the one that counts, its standby does until it speaks again: the end of a process is
        known here at once, and by the agents only some steps later."""
        belief = self._beliefs.get(instance)
        if belief is not None and (epoch, node) >= belief.highest:
            belief.highest = belief.broken = (epoch, node)
            belief.to_standby = True
            self._spoke = None

    def admits(self, sender: Sender, muted: bool, answers: bool = False) -> bool:
        """Whether a frame of this sender counts; `answers` says that it belongs to a request. Remembers what it learns from it."""
        if sender is self._spoke and not muted:
            return True
        belief = self._beliefs.get(sender.instance)
        if belief is None or sender.node in self._shunned:
            return False
        if muted:
            return belief.to_standby
        spoke = (sender.epoch, sender.node)
        if spoke < belief.highest:
            return (sender.node, sender.generation) == belief.process or (answers and spoke == belief.before)
        belief.raise_to(spoke, sender.generation)
        belief.to_standby, belief.broken = False, (-1, "")
        self._spoke = sender
        return True


@dataclass(slots=True)
class _Heard:
    speaker: Speaker
    highest: int
    open: bool = True
    closed: bool = False
    wait_until_s: float | None = None


class Utterances:
    """Which pieces of which requests were shown: each (request, piece) once, in order, nothing after its end."""

    def __init__(self) -> None:
        self._heard: dict[str, _Heard] = {}
        self._unbegun: dict[str, float] = {}  # since when pieces of a request come whose beginning did not

    def accepts(self, header: Header, now: float) -> bool:
        """Whether this piece is new. Frames outside of any request always are.

        Who begins to listen in the middle of an utterance is told its beginning anew, and waits for that a moment.
        """
        if header.request is None:
            return True
        sender = header.sender
        speaker = Speaker(sender.instance, sender.node, sender.generation)
        heard = self._heard.get(header.request)
        if heard is None:
            if header.piece > 0 and header.ended is None and self._awaits_beginning(header.request, now):
                return False
            self._unbegun.pop(header.request, None)
            self._remember(header.request, _Heard(speaker, header.piece, header.more, header.ended is not None))
            return header.ended is None  # the end of something that was never begun
        if heard.closed or (header.piece <= heard.highest and header.ended is None):
            if heard.open and speaker != heard.speaker:  # another has begun to go on with it, from here or from a little before
                heard.speaker, heard.wait_until_s = speaker, None
            return False
        if header.ended is not None and not heard.open:
            return False
        heard.speaker, heard.highest, heard.wait_until_s = speaker, max(header.piece, heard.highest), None
        heard.open, heard.closed = header.more, header.ended is not None
        return True

    def _awaits_beginning(self, request: str, now: float) -> bool:
        if len(self._unbegun) >= UTTERANCES_MAX:
            del self._unbegun[next(iter(self._unbegun))]
        return now - self._unbegun.setdefault(request, now) < BEGINNING_S

    def lost(self, speaking: Collection[Speaker], now: float) -> None:
        """Only these still speak: what others left unfinished waits a moment for somebody to go on with it."""
        for heard in self._heard.values():
            if heard.open and heard.speaker not in speaking and heard.wait_until_s is None:
                heard.wait_until_s = now + PATIENCE_S

    def broken(self, now: float) -> list[tuple[str, int]]:
        """(request, next piece's number) of utterances that nobody continued in time; each is told once and closed."""
        late = []
        for request, heard in self._heard.items():
            if heard.wait_until_s is not None and heard.wait_until_s <= now:
                heard.open, heard.closed, heard.wait_until_s = False, True, None
                late.append((request, heard.highest + 1))
        return late

    @property
    def waits(self) -> bool:
        """Whether `broken` may have something to tell later."""
        return any(heard.wait_until_s is not None for heard in self._heard.values())

    def _remember(self, request: str, heard: _Heard) -> None:
        if len(self._heard) >= UTTERANCES_MAX:
            del self._heard[next(iter(self._heard))]
        self._heard[request] = heard
