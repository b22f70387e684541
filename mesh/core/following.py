"""The answers that are open at the other copies of this role, kept in mind, so that a sentence survives its machine.

As long as the asker lives it takes its question elsewhere itself. When asker and answerer are lost together, nobody would:
so every copy follows what the others have accepted and said, and at suspicion of both machines the next in order goes on,
from the token where it stopped. A standby follows its holder likewise, and goes on when it has become the holder.

Everyone who follows sees nearly the same, so nobody asks for permission: they rank themselves, the one with the least to do
first, and each next one waits a step longer for a sign that somebody has begun. Should two begin after all, they say the same
(drawing is pure) under the same name, and whoever listens shows each piece once. Decided against: handing every question
to two copies (half of a small room's power), and an election (its messages would be the slowest part of the gap).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mesh.core.hearing import Speaker
from mesh.core.request_messages import Ask, Done, Message, Run, Said

STEP_S = 0.1  # how much longer each next in order waits
FOLLOWED_MAX = 256
NEVER = float("inf")


class Again(NamedTuple):
    """Something of this instance did not arrive: let it tell all that is open there once more."""

    instance: str


class GoOn(NamedTuple):
    """Answer this here: nobody else is left who would."""

    ask: Ask


class Stale(NamedTuple):
    """A newer question was asked of another copy: what goes on here for nobody is out of date."""

    ask: Ask


Effect = Again | GoOn | Stale


@dataclass(slots=True)
class _Followed:
    ask: Ask
    copy: Speaker
    expires_s: float
    said: list[tuple[Any, bytes]] = field(default_factory=list)
    due_s: float | None = None  # when it is this copy's turn, since both who dealt with it are gone

    @property
    def utterance(self) -> str:
        return self.ask.utterance or self.ask.id


@dataclass(frozen=True, slots=True)
class Company:
    """Who else is there, as the agent says: the processes that play this role's other instances (or the one that this standby
    stands by for), the machines that are heard, and who plays the roles that ask this one (None: nobody)."""

    copies: frozenset[Speaker] = frozenset()
    here: frozenset[str] = frozenset()
    askers: Mapping[str, tuple[str, int] | None] = field(default_factory=dict)


class Following:
    """What one process keeps in mind of the others. `instance` is its own; every method returns what is to be done."""

    def __init__(self, instance: str) -> None:
        self._instance = instance
        self._company = Company()
        self._speakers: dict[tuple[str, int], Speaker] = {}
        self._answers: dict[str, _Followed] = {}

    def route(self, company: Company) -> None:
        """A full replacement. Who is no longer named is gone."""
        self._company = company
        self._speakers.update({(each.instance, each.generation): each for each in company.copies})
        kept = {(each.copy.instance, each.copy.generation) for each in self._answers.values()}
        named = {(each.instance, each.generation) for each in company.copies}
        self._speakers = {key: speaker for key, speaker in self._speakers.items() if key in kept or key in named}

    def hear(self, message: Message, now: float) -> list[Effect]:
        """What a copy shows of its answers. Later ones may say the same again."""
        if isinstance(message, Ask):
            return self._opened(message, now)
        if isinstance(message, Said):
            return self._spoke(message)
        if isinstance(message, Run):
            return [effect for said in message.each() for effect in self._spoke(said)][:1]
        if isinstance(message, Done):
            self._answers.pop(message.id, None)
        return []

    def _opened(self, ask: Ask, now: float) -> list[Effect]:
        copy = self._speakers.get((ask.instance, ask.generation))
        if copy is None:
            return []
        known = self._answers.get(ask.id)
        if known is not None and len(known.said) > len(ask.so_far):
            return []
        followed = _Followed(ask._replace(so_far=()), copy, now + ask.deadline_ms / 1000, list(ask.so_far))
        for id, other in list(self._answers.items()):
            if other.utterance == followed.utterance and not self._lives(other.copy):
                del self._answers[id]  # somebody has gone on with it
        self._answers[ask.id] = followed
        if len(self._answers) > FOLLOWED_MAX:
            del self._answers[next(iter(self._answers))]
        return [Stale(ask)] if ask.supersedes and known is None else []

    def _spoke(self, said: Said) -> list[Effect]:
        followed = self._answers.get(said.id)
        if followed is None or said.piece < len(followed.said):
            return []
        if said.piece > len(followed.said):
            return [Again(followed.copy.instance)]
        followed.said.append((said.value, said.mark))
        return []

    def due(self, now: float, *, playing: bool, depth: int) -> list[Effect]:
        """What this copy, if it plays, must go on with by now; `depth` is how much it has to do."""
        effects: list[Effect] = []
        for id, followed in list(self._answers.items()):
            if now >= followed.expires_s:
                del self._answers[id]
            elif not playing or self._lives(followed.copy) or self._waits(followed.ask):
                followed.due_s = None
            elif followed.due_s is None:
                followed.due_s = now + STEP_S * self._rank(followed.copy.instance, depth)
            if followed.due_s is not None and now >= followed.due_s:
                del self._answers[id]
                effects.append(GoOn(self._request(followed, now)))
        return effects

    def next_due_s(self) -> float:
        """When `due` next has something to do, unless something is heard before."""
        return min((each.due_s for each in self._answers.values() if each.due_s is not None), default=NEVER)

    @property
    def open(self) -> int:
        """How many answers are kept in mind."""
        return len(self._answers)

    # ---- who is left

    def _lives(self, copy: Speaker) -> bool:
        return copy in self._company.copies and copy.node in self._company.here

    def _waits(self, ask: Ask) -> bool:
        """Whether its asker lives, and will see to it itself."""
        if ask.node not in self._company.here:
            return False
        instance, _, rest = ask.id.partition(":")
        if instance not in self._company.askers:
            return True
        playing = self._company.askers[instance]
        generation = rest.partition(":")[2].partition(".")[0]
        return playing is not None and playing[0] == ask.node and str(playing[1]) == generation

    def _rank(self, lost: str, depth: int) -> int:
        """This copy's place among those who could go on: the least busy first, then round the ring from the one that was lost."""
        busy = {each.instance: 0 for each in self._company.copies if self._lives(each)}
        for followed in self._answers.values():
            if followed.copy.instance in busy and self._lives(followed.copy):
                busy[followed.copy.instance] += 1
        busy[self._instance] = depth
        order = sorted(busy, key=lambda name: (busy[name], name <= lost, name))
        return order.index(self._instance)

    def _request(self, followed: _Followed, now: float) -> Ask:
        deadline_ms = max(0, int((followed.expires_s - now) * 1000))
        return followed.ask._replace(
            id=f"{followed.utterance}~{self._instance}", instance=self._instance, deadline_ms=deadline_ms, have=0,
            utterance=followed.utterance, so_far=tuple(followed.said), supersedes=False,
        )  # fmt: skip


def company(told: Mapping[str, Any]) -> Company:
    """The company of an agent's routes. Raises LookupError, TypeError or ValueError for what is none."""
    playing = [each for each in told["sources"] if each["state"] == "playing"]
    copies = frozenset(Speaker(each["instance"], each["node"], int(each["generation"])) for each in playing)
    askers = {name: None if who is None else (str(who[0]), int(who[1])) for name, who in told["askers"].items()}
    return Company(copies, frozenset(told["here"]), askers)
