"""Copies follow one another's open answers, and the next in order goes on when answerer and asker are lost together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as some

from mesh.core.answers import Answerer, Effect, Hush, Reply, Retell, Shown
from mesh.core.following import STEP_S, Again, Company, Following, GoOn, Stale, company
from mesh.core.frames import Header, Sender
from mesh.core.hearing import Speaker, Utterances
from mesh.core.request_messages import Accepted, Ask, Done, Message, Said, can_be_followed

LOST, HERE, THIRD = Speaker("poet/1", "n-shelf", 1), Speaker("poet/2", "n-door", 1), Speaker("poet/3", "n-left", 1)
ALL = frozenset({"n-shelf", "n-door", "n-left", "n-right"})


def question(id: str = "mood:3:1.0", **other: Any) -> Ask:
    return Ask(id, "poet/1", 1, "prompt", "calm", "text", 0, 30_000, node="n-shelf")._replace(**other)


def following(copies: tuple[Speaker, ...] = (LOST,), here: frozenset[str] = ALL, **askers: tuple[str, int] | None) -> Following:
    ours = Following("poet/2")
    ours.route(Company(frozenset(copies), here, askers or {"mood": ("n-shelf", 1)}))
    return ours


def lose(ours: Following, copies: tuple[Speaker, ...] = (), *nodes: str) -> None:
    ours.route(Company(frozenset(copies), ALL - set(nodes), {"mood": None}))


def test_what_a_lost_copy_was_saying_to_a_lost_asker_is_gone_on_with_after_its_last_piece() -> None:
    # Given a copy that has said two pieces of an answer
    ours = following()
    ours.hear(question(), 0.0)
    for number, word in enumerate(("the", " night")):
        ours.hear(Said("mood:3:1.0", number, word, bytes([number])), 0.1)
    assert ours.due(0.2, playing=True, depth=0) == []
    # When its machine, which is the asker's too, falls silent
    lose(ours, (LOST,), "n-shelf")
    # Then this one goes on at once, under the same name, with what was said
    (effect,) = ours.due(1.0, playing=True, depth=0)
    assert isinstance(effect, GoOn)
    assert (effect.ask.utterance, effect.ask.so_far) == ("mood:3:1.0", (("the", b"\0"), (" night", b"\1")))
    assert (effect.ask.value, effect.ask.input, effect.ask.deadline_ms) == ("calm", "prompt", 29_000)
    assert ours.due(1.1, playing=True, depth=0) == [], "once"


def test_as_long_as_the_asker_lives_it_sees_to_it_itself() -> None:
    ours = following()
    ours.hear(question(node="n-right"), 0.0)
    ours.route(Company(frozenset(), ALL - {"n-shelf"}, {"mood": ("n-right", 1)}))
    assert ours.due(1.0, playing=True, depth=0) == []
    # But one that was restarted since does not know what it asked
    ours.route(Company(frozenset(), ALL - {"n-shelf"}, {"mood": ("n-right", 2)}))
    assert len(ours.due(1.1, playing=True, depth=0)) == 1


def test_as_long_as_the_copy_lives_it_answers_itself() -> None:
    ours = following()
    ours.hear(question(node="n-right"), 0.0)
    lose(ours, (LOST,), "n-right")
    assert ours.due(9.0, playing=True, depth=0) == []


def test_a_finished_answer_and_one_whose_time_is_over_are_forgotten() -> None:
    ours = following()
    ours.hear(question("mood:3:1.0"), 0.0)
    ours.hear(question("mood:3:1.1"), 0.0)
    ours.hear(Done("mood:3:1.0", 4, 0), 1.0)
    lose(ours, (), "n-shelf")
    assert ours.due(30.1, playing=True, depth=0) == []
    assert ours.open == 0


def test_a_standby_goes_on_only_when_it_has_become_the_holder() -> None:
    ours = following()
    ours.hear(question(), 0.0)
    lose(ours, (), "n-shelf")
    assert ours.due(1.0, playing=False, depth=0) == []
    assert len(ours.due(1.5, playing=True, depth=0)) == 1


def test_the_least_busy_goes_first_and_the_next_waits_a_step_for_a_sign() -> None:
    # Given two copies that follow a third, the other one with nothing to do, this one with two questions
    ours = following((LOST, THIRD))
    ours.hear(question(), 0.0)
    lose(ours, (LOST, THIRD), "n-shelf")
    # Then this one waits a step
    assert ours.due(1.0, playing=True, depth=2) == []
    assert ours.next_due_s() == 1.0 + STEP_S
    # And when the other shows that it goes on, leaves it to that
    ours.hear(question("mood:3:1.0~poet/3", instance="poet/3", utterance="mood:3:1.0", so_far=(("the", b""),)), 1.05)
    assert ours.due(2.0, playing=True, depth=0) == []
    # But when that one is lost as well, goes on after it
    lose(ours, (), "n-shelf", "n-left")
    (effect,) = ours.due(3.0, playing=True, depth=0)
    assert isinstance(effect, GoOn) and effect.ask.so_far == (("the", b""),) and effect.ask.utterance == "mood:3:1.0"


def test_where_the_first_in_order_does_not_begin_the_next_does() -> None:
    ours = following((LOST, THIRD))
    ours.hear(question(), 0.0)
    lose(ours, (LOST, THIRD), "n-shelf")
    assert ours.due(1.0, playing=True, depth=1) == []
    assert len(ours.due(1.0 + STEP_S, playing=True, depth=1)) == 1


def test_a_hole_in_what_is_followed_is_asked_for_again() -> None:
    ours = following()
    ours.hear(question(), 0.0)
    assert ours.hear(Said("mood:3:1.0", 1, " night"), 0.1) == [Again("poet/1")]
    ours.hear(question(utterance="mood:3:1.0", so_far=(("the", b""), (" night", b""))), 0.2)
    lose(ours, (), "n-shelf")
    (effect,) = ours.due(1.0, playing=True, depth=0)
    assert isinstance(effect, GoOn) and len(effect.ask.so_far) == 2


def test_a_question_that_supersedes_is_told_on_so_that_orphans_end_everywhere() -> None:
    ours = following()
    newer = question("mood:4:2.0", supersedes=True)
    assert ours.hear(newer, 0.0) == [Stale(newer)]
    assert ours.hear(newer, 0.1) == [], "once"


def test_a_picture_is_no_question_to_be_kept_in_mind_and_neither_is_one_of_an_unknown_asker() -> None:
    assert can_be_followed(question())
    assert not can_be_followed(question(node=""))
    assert not can_be_followed(question(value=b"x" * 100_000))


def test_the_company_is_read_from_the_agents_words() -> None:
    source = {"instance": "poet/1", "node": "n-shelf", "generation": 1, "state": "playing"}
    sources = [source, {**source, "instance": "poet/3", "state": "suspect"}]
    told = {"sources": sources, "here": ["n-door"], "askers": {"mood": ["n", 2], "eye": None}}
    assert company(told) == Company(frozenset({LOST}), frozenset({"n-door"}), {"mood": ("n", 2), "eye": None})


# ---- the answering side


def shown(effects: list[Effect]) -> list[Message]:
    return [effect.message for effect in effects if isinstance(effect, Shown)]


def answering(resumes: bool = True, instance: str = "poet/2") -> Answerer:
    ours = Answerer(instance, 1, frozenset({"prompt"}), resumes)
    ours.followed = True
    return ours


def test_who_is_followed_shows_what_it_accepts_says_and_ends_and_to_a_late_one_all_that_is_open() -> None:
    ours = answering(instance="poet/1")
    (opened,) = shown(ours.hear("a", question(), 0.0))
    assert isinstance(opened, Ask) and opened.utterance == "mood:3:1.0"
    ours.next(0.0)
    said = shown(ours.say("the", b"1", 3))
    assert said == [Said("mood:3:1.0", 0, "the", b"1")]
    assert ours.snapshot() == [question(utterance="mood:3:1.0", so_far=(("the", b"1"),))]
    assert shown(ours.end(None)) == [Done("mood:3:1.0", 1, 0)]
    assert ours.snapshot() == []


def test_an_asker_that_lives_after_all_finds_its_answer_where_it_is_gone_on_with() -> None:
    # Given a copy that goes on with an utterance of which it knows one piece, and has said one more
    ours = answering()
    ours.go_on(question("mood:3:1.0~poet/2", utterance="mood:3:1.0", so_far=(("the", b"1"),)), 0.0)
    job, _ = ours.next(0.0)
    assert job is not None and job.start == 1
    ours.say(" night", b"2", 6)
    # When the asker comes with the same utterance, of which it heard nothing
    effects = ours.hear("a", question("mood:3:1.0~2", instance="poet/2", utterance="mood:3:1.0"), 0.1)
    # Then it is given all of it, and what follows; nothing is answered twice
    replies = [effect.message for effect in effects if isinstance(effect, Reply)]
    assert replies == [
        Accepted("mood:3:1.0~2", 1, 0, "mood:3:1.0"), Said("mood:3:1.0~2", 0, "the", b"1"), Said("mood:3:1.0~2", 1, " night", b"2"),
    ]
    assert ours.depth == 1
    assert Reply("a", Said("mood:3:1.0~2", 2, " falls", b"3")) in ours.say(" falls", b"3", 6)


def test_what_its_asker_has_brought_here_already_is_not_gone_on_with_a_second_time() -> None:
    ours = answering()
    ours.hear("a", question("mood:3:1.0~2", instance="poet/2", utterance="mood:3:1.0"), 0.0)
    assert ours.go_on(question("mood:3:1.0~poet/2", utterance="mood:3:1.0"), 0.1) == []
    assert ours.depth == 1


def test_a_newer_question_ends_an_orphan_and_an_older_kind_of_question_does_not() -> None:
    ours = answering()
    ours.go_on(question("mood:3:1.0~poet/2", utterance="mood:3:1.0"), 0.0)
    job, _ = ours.next(0.0)
    assert job is not None
    ours.hear("a", question("eye:1:1.0", instance="poet/2", supersedes=True), 0.1)
    assert not job.cancelled, "another role asked"
    ours.hear("a", question("mood:4:2.0", instance="poet/2", supersedes=True), 0.1)
    assert job.cancelled


def test_an_orphan_goes_before_all_that_waits() -> None:
    ours = answering()
    ours.hear("a", question("mood:4:2.0", instance="poet/2"), 0.0)
    ours.go_on(question("mood:3:1.0~poet/2", utterance="mood:3:1.0"), 0.0)
    job, _ = ours.next(0.0)
    assert job is not None and job.utterance == "mood:3:1.0"


def test_orphans_keep_their_order_and_what_is_retold_of_one_that_is_cancelled_while_it_waits_is_ended() -> None:
    ours = answering()
    first, second = (question(f"mood:3:1.{n}~poet/2", utterance=f"mood:3:1.{n}", so_far=(("the", b""),)) for n in (0, 1))
    assert Retell(first._replace(instance="poet/2")) in ours.go_on(first, 0.0)
    ours.go_on(second, 0.0)
    job, _ = ours.next(0.0)
    assert job is not None and job.utterance == "mood:3:1.0"
    assert Hush("mood:3:1.1", 1, "cancelled") in ours.hear("a", question("mood:4:2.0", instance="poet/2", supersedes=True), 0.1)


def test_a_role_that_cannot_go_on_begins_afresh_under_a_name_of_its_own_and_the_beginning_is_ended() -> None:
    ours = answering(resumes=False)
    effects = ours.go_on(question("mood:3:1.0~poet/2", utterance="mood:3:1.0", so_far=(("the", b""),)), 0.0)
    assert Hush("mood:3:1.0", 1) in effects
    job, _ = ours.next(0.0)
    assert job is not None and (job.utterance, job.start, job.ask.so_far) == ("mood:3:1.0~poet/2", 0, ())


# ---- a room in miniature: whatever is lost, each listener shows each accepted sentence once and whole

PIECES = 4


@dataclass
class Poet:
    speaker: Speaker
    answerer: Answerer
    following: Following
    alive: bool = True


@dataclass
class Wall:
    """A listener, with the lines to it cut now and then."""

    utterances: Utterances = field(default_factory=Utterances)
    shown: dict[str, list[int]] = field(default_factory=dict)

    def hear(self, poet: Poet, utterance: str, piece: int, more: bool, now: float) -> None:
        sender = Sender(poet.speaker.instance, poet.speaker.node, 1, poet.speaker.generation, "text")
        header = Header(sender, 0, 0, False, "", utterance, piece, more, None, "", (), -1)
        if self.utterances.accepts(header, now):
            self.shown.setdefault(utterance, []).append(piece)


class Room:
    def __init__(self, copies: int) -> None:
        self.now = 0.0
        self.wall = Wall()
        self.poets = []
        for number in range(copies):
            speaker = Speaker(f"poet/{number}", f"n{number}", 1)
            answerer = Answerer(speaker.instance, 1, None, resumes=True)
            answerer.followed = True
            self.poets.append(Poet(speaker, answerer, Following(speaker.instance)))
        self.accepted: list[str] = []
        self.tell_routes()

    def alive(self) -> list[Poet]:
        return [poet for poet in self.poets if poet.alive]

    def tell_routes(self) -> None:
        here = frozenset(poet.speaker.node for poet in self.alive())
        for poet in self.alive():
            others = frozenset(each.speaker for each in self.alive() if each is not poet)
            poet.following.route(Company(others, here, {"mood": None}))

    def ask(self, number: int) -> None:
        """The asker lives on the same machine as who answers."""
        poet = self.alive()[number % len(self.alive())]
        id = f"mood:1:1.{len(self.accepted)}"
        ask = Ask(id, poet.speaker.instance, 1, "prompt", "calm", "text", 0, 10**9, node=poet.speaker.node)
        self.accepted.append(id)
        self.perform(poet, poet.answerer.hear("a", ask, self.now))

    def perform(self, poet: Poet, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Retell):
                assert effect.ask.utterance is not None
                for number in range(len(effect.ask.so_far)):
                    self.wall.hear(poet, effect.ask.utterance, number, True, self.now)
            if isinstance(effect, Shown):
                for other in self.alive():
                    if other is not poet:
                        other.following.hear(effect.message, self.now)

    def work(self, poet: Poet) -> None:
        answerer = poet.answerer
        for effect in poet.following.due(self.now, playing=True, depth=answerer.depth):
            assert isinstance(effect, GoOn)
            self.perform(poet, answerer.go_on(effect.ask, self.now))
        job = answerer.current
        if job is None:
            job, effects = answerer.next(self.now)
            self.perform(poet, effects)
        elif job.pieces >= PIECES:
            self.perform(poet, answerer.end(None))
        else:
            self.wall.hear(poet, job.utterance, job.pieces, job.pieces < PIECES - 1, self.now)
            self.perform(poet, answerer.say("word", bytes([job.pieces]), 4))

    def kill(self, number: int) -> None:
        if len(self.alive()) > 1:
            self.alive()[number % len(self.alive())].alive = False
            self.tell_routes()


STEPS = some.tuples(some.sampled_from(["ask", "work", "work", "work", "kill"]), some.integers(0, 4))


@settings(max_examples=300, deadline=None)
@given(some.integers(2, 5), some.lists(STEPS, max_size=60))
def test_every_accepted_sentence_is_shown_once_and_whole_while_any_copy_lives(copies: int, steps: list[tuple[str, int]]) -> None:
    room = Room(copies)
    for what, number in steps:
        room.now += 0.03
        if what == "ask":
            room.ask(number)
        elif what == "kill":
            room.kill(number)
        else:
            room.work(room.alive()[number % len(room.alive())])
    for _ in range(len(steps) * (PIECES + 2) + 30):
        room.now += 0.03
        for poet in room.alive():
            room.work(poet)
    assert room.wall.shown == {id: list(range(PIECES)) for id in room.accepted}
