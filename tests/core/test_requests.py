"""Requests: every one is answered once, in order, whatever breaks, as long as one copy lives."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from mesh.core.answers import QUEUE_MAX
from mesh.core.copies import AT_ONE_COPY_MAX, Copy, CopyId
from mesh.core.request_messages import Accepted, Ask, Cancel, Done, Refused, Run, Said
from mesh.core.requests import ALONE_S, LOSSES_MAX, WAITING_MAX, Asker, Heard, Over, Tell
from tests.core.request_room import PIECES, Room

STEPS = {
    "ask": 6, "supersede": 2, "to copy": 30, "to asker": 30, "work": 40, "kill": 3, "start": 4, "cut": 3, "mend": 6,
    "drop": 2,
    "suspect": 3, "refute": 5, "routes": 4, "time": 6, "cancel": 1,
}  # fmt: skip


def play(room: Room, seed: int, length: int = 400) -> None:
    """A run that its seed replays exactly."""
    chance = Random(seed)
    for step in chance.choices(list(STEPS), list(STEPS.values()), k=length):
        process = chance.choice(room.processes[-4:])
        if step == "ask" and room.asker.open < 12:
            room.ask(streamed=chance.random() < 0.8)
        elif step == "supersede":
            room.ask(supersede=True)
        elif step == "to copy":
            room.deliver_to_copy(process)
        elif step == "to asker":
            room.deliver_to_asker(process)
        elif step == "work":
            room.work(process)
        elif step == "kill":
            room.kill(process)
        elif step == "start":
            room.start()
            room.tell_routes()
        elif step == "cut":
            room.cut(process)
        elif step == "mend":
            room.mend(process)
        elif step == "drop":  # a queue was full
            queue = chance.choice([process.to_copy, process.to_asker])
            if queue:
                del queue[chance.randrange(len(queue))]
        elif step in ("suspect", "refute"):
            process.state = "suspect" if step == "suspect" else "playing"
            room.tell_routes()
        elif step == "routes":
            room.tell_routes()
        elif step == "time":
            room.pass_time(chance.choice([0.05, 0.3, 1.1, 2.1]))
        elif step == "cancel" and room.answers:
            room.perform(room.asker.cancel(chance.choice(list(room.answers)), room.now))


def held_to_its_promise(room: Room) -> None:
    room.heal()
    given_up = [id for id, outcome in room.over.items() if outcome == "lost"]
    assert not [room.why[id] for id in given_up if "copies were lost" not in room.why[id]]
    assert not [id for id in room.over if room.over[id] == "answered" and len(room.handed[id]) not in (0, PIECES)]


@pytest.mark.parametrize("seeds", [range(start, start + 50) for start in range(0, 400, 50)], ids=str)
@pytest.mark.parametrize("resumes", [False, True], ids=["begins afresh", "resumes"])
def test_no_order_of_events_loses_repeats_or_garbles_an_answer(seeds: range, resumes: bool) -> None:
    for seed in seeds:
        room = Room(copies=1 + seed % 3, resumes=resumes)
        try:
            play(room, seed)
            held_to_its_promise(room)
            if resumes:
                nothing_is_said_differently(room)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error


def nothing_is_said_differently(room: Room) -> None:
    """Whoever goes on with an utterance says what the one before it would have said, under the same numbers."""
    for pieces in room.utterances.values():
        said: dict[int, str] = {}
        for number, value in pieces:
            assert value is None or said.setdefault(number, value) == value


# ---- stories


def settle(room: Room, turns: int = 30) -> None:
    for _ in range(turns):
        for process in room.processes:
            room.deliver_to_copy(process)
            room.work(process)
            room.deliver_to_asker(process)


def test_a_copy_that_dies_in_mid_answer_is_replaced_and_nothing_is_said_twice() -> None:
    room = Room(copies=2)
    id = room.ask()
    first = room.processes[0]
    room.deliver_to_copy(first)
    for _ in range(3):  # begins, and says two pieces
        room.work(first)
    for _ in range(3):
        room.deliver_to_asker(first)
    assert len(room.handed[id]) == 2
    room.pass_time(0.4)
    room.kill(first)
    settle(room)
    assert room.over == {id: "answered"}
    assert len(room.handed[id]) == PIECES
    assert room.asker.retried == 1
    second = room.processes[1]
    assert [(gap.before, gap.after, gap.gap_s) for gap in room.bridged] == [(first.id, second.id, 0.4)]
    assert room.utterances[id][-1] == (2, None), "listeners are told that the first try ends"


def test_a_role_that_resumes_goes_on_under_the_same_name_from_where_it_stopped() -> None:
    room = Room(copies=2, resumes=True)
    id = room.ask()
    first = room.processes[0]
    room.deliver_to_copy(first)
    for _ in range(3):
        room.work(first)
    for _ in range(3):
        room.deliver_to_asker(first)
    room.kill(first)
    settle(room)
    assert room.over == {id: "answered"}
    assert [number for number, _ in room.utterances[id]] == [0, 1, 2]


def test_an_answer_gone_on_with_survives_a_broken_line_too() -> None:
    room = Room(copies=2, resumes=True)
    id = room.ask()
    first, second = room.processes
    room.deliver_to_copy(first)
    for _ in range(2):
        room.work(first)
    for _ in range(2):
        room.deliver_to_asker(first)
    room.kill(first)
    room.deliver_to_copy(second)
    room.work(second)
    room.work(second)
    for _ in range(2):  # it is accepted, and piece 1 arrives
        room.deliver_to_asker(second)
    room.work(second)
    room.cut(second)
    room.mend(second)
    settle(room)
    assert room.over == {id: "answered"}
    assert len(room.handed[id]) == PIECES


def test_every_try_that_was_begun_is_ended_for_its_listeners() -> None:
    room = Room(copies=3)
    id = room.ask()
    for process in room.processes[:2]:
        room.deliver_to_copy(process)
        for _ in range(2):  # begins, and says one piece
            room.work(process)
        for _ in range(2):
            room.deliver_to_asker(process)
        room.kill(process)
    settle(room)
    assert room.over == {id: "answered"}
    assert [[number for number, value in said if value is None] for said in room.utterances.values()] == [[1], [1], []]


def test_an_answer_that_begins_differently_ends_rather_than_garbles() -> None:
    room = Room(copies=2)
    id = room.ask()
    first = room.processes[0]
    room.deliver_to_copy(first)
    room.work(first)
    room.perform_answerer(first, first.answerer.say("another beginning", b"", 1))
    room.handed[id] = []
    effects = []
    while first.to_asker:
        effects += room.asker.hear(first.id, first.to_asker.popleft(), room.now)
    room.kill(first)
    settle(room)
    assert room.over == {id: "lost"}
    assert "broke off" in room.why[id]


def test_a_newer_frame_cancels_the_open_request_of_the_same_output() -> None:
    room = Room(copies=1)
    old = room.ask()
    room.deliver_to_copy(room.processes[0])
    room.work(room.processes[0])
    new = room.ask(supersede=True)
    assert room.over == {old: "cancelled"}
    settle(room)
    assert room.over == {old: "cancelled", new: "answered"}
    assert room.utterances.get(old, []) == []


def test_a_sentence_in_work_is_finished_and_of_those_that_wait_only_the_newest_is_said() -> None:
    # Given a copy that speaks, one more that it has taken, and others that wait
    room = Room(copies=1)
    spoken, *between = [room.ask() for _ in range(5)]
    room.deliver_to_copy(room.processes[0])
    room.work(room.processes[0])
    # When a newer one comes that lets the sentence finish
    new = room.ask(pass_over=True)
    # Then all between are left out, and the two others are said
    settle(room)
    assert room.over == {spoken: "answered", **dict.fromkeys(between, "cancelled"), new: "answered"}


def test_each_copy_holds_two_and_the_rest_wait_here() -> None:
    room = Room(copies=2)
    for _ in range(10):
        room.ask()
    assert [len(process.to_copy) for process in room.processes] == [AT_ONE_COPY_MAX, AT_ONE_COPY_MAX]
    settle(room, 60)
    assert room.asker.answered == 10


def test_a_copy_with_others_to_answer_gets_less() -> None:
    room = Room(copies=2)
    busy, idle = room.processes
    for number in range(5):
        other = Ask(f"other.{number}", busy.id.instance, busy.id.generation, "prompt", "calm", "text", 0, 30_000)
        busy.answerer.hear("other", other, 0.0)
    first = room.ask()
    for process in (busy, idle):
        room.deliver_to_copy(process)
        room.deliver_to_asker(process)
    room.perform(room.asker.cancel(first, room.now))
    for _ in range(2):
        room.ask()
    assert len([message for message in idle.to_copy if isinstance(message, Ask)]) == 2


def test_a_suspect_copy_keeps_its_request_only_where_there_is_no_other() -> None:
    room = Room(copies=1)
    room.ask()
    room.processes[0].state = "suspect"
    room.tell_routes()
    assert room.asker.retried == 0
    room.start()
    room.tell_routes()
    assert room.asker.retried == 1
    assert isinstance(room.processes[1].to_copy[0], Ask)
    assert isinstance(room.processes[0].to_copy[-1], Cancel)


def test_a_playing_copy_is_asked_before_a_suspect_one() -> None:
    room = Room(copies=2)
    room.processes[0].state = "suspect"
    room.tell_routes()
    for _ in range(3):
        room.ask()
    assert [len(process.to_copy) for process in room.processes] == [0, AT_ONE_COPY_MAX]


def test_a_copy_that_is_busy_is_not_asked_again_at_once() -> None:
    room = Room(copies=1)
    id = room.ask()
    only = room.processes[0]
    only.to_copy.clear()
    room.perform(room.asker.hear(only.id, Refused(id, "busy", QUEUE_MAX), room.now))
    assert not only.to_copy
    room.pass_time(0.15)
    assert [message.id for message in only.to_copy if isinstance(message, Ask)] == [f"{id}~2"]


def test_a_request_waits_for_a_copy_that_is_not_there_yet() -> None:
    room = Room(copies=0)
    id = room.ask()
    room.start()
    room.tell_routes()
    settle(room)
    assert room.over == {id: "answered"}


def test_a_request_nobody_answers_is_lost_at_its_deadline_and_says_why() -> None:
    room = Room(copies=0)
    id = room.ask(deadline_s=2.0)
    room.pass_time(1.9)
    assert room.over == {}
    room.pass_time(0.2)
    assert room.over == {id: "lost"}
    assert "in time" in room.why[id]


def test_where_nobody_plays_a_role_with_a_fallback_a_request_waits_a_while_and_not_for_ever() -> None:
    asker = Asker("mood:1:1")
    id, _ = asker.ask("poet", "prompt", "calm", type="text", captured_ns=0, deadline_s=60.0, now=0.0, fallback=True)
    other, _ = asker.ask("poet", "prompt", "calm", type="text", captured_ns=0, deadline_s=60.0, now=0.0)
    # A moment without anybody is only a change of holder
    assert asker.tick(0.2) == []
    asker.route({"poet": [Copy(CopyId("poet/1", "n", 1), "playing")]}, 1.0)
    assert Over(id, "lost", "nobody plays poet", "poet") not in asker.tick(1.0 + ALONE_S)
    asker.route({}, 7.0)
    asker.tick(7.1)
    # Then it is over, and the one for which nothing is laid by still waits
    assert asker.tick(7.2 + ALONE_S) == [Over(id, "lost", "nobody plays poet", "poet")]
    assert asker.open == 1 and asker.lost == 1 and other != id


def test_what_was_lost_on_the_way_is_asked_for_again() -> None:
    room = Room(copies=1)
    id = room.ask()
    room.processes[0].to_copy.clear()
    for _ in range(15):
        room.pass_time(0.1)
    settle(room)
    assert room.over == {id: "answered"}


def test_a_broken_line_loses_no_piece() -> None:
    room = Room(copies=1)
    id = room.ask()
    only = room.processes[0]
    room.deliver_to_copy(only)
    for _ in range(6):
        room.work(only)
    room.cut(only)
    room.mend(only)
    settle(room)
    assert room.over == {id: "answered"}
    assert len(room.handed[id]) == PIECES
    assert len(room.utterances[id]) == PIECES, "it was answered once, and repeated"


def test_a_question_that_ends_every_process_is_given_up() -> None:
    room = Room(copies=1)
    id = room.ask()
    for _ in range(LOSSES_MAX + 2):
        process = room.processes[-1]
        room.deliver_to_copy(process)
        room.deliver_to_asker(process)
        room.kill(process)
        room.start()
        room.tell_routes()
    assert room.over == {id: "lost"}


def test_a_copy_that_stops_cleanly_hands_its_requests_over() -> None:
    room = Room(copies=2)
    ids = [room.ask() for _ in range(4)]
    first = room.processes[0]
    room.deliver_to_copy(first)
    room.deliver_to_copy(first)
    room.work(first)
    room.perform_answerer(first, first.answerer.close("stopping"))
    settle(room, 60)
    assert room.over == dict.fromkeys(ids, "answered")


def test_the_oldest_is_lost_when_more_wait_than_anyone_should() -> None:
    room = Room(copies=0)
    ids = [room.ask() for _ in range(WAITING_MAX + 1)]
    assert room.over == {ids[0]: "lost"}


def test_a_role_that_fails_while_answering_loses_the_request_and_says_so() -> None:
    room = Room(copies=1)
    id = room.ask()
    only = room.processes[0]
    room.deliver_to_copy(only)
    room.work(only)
    room.perform_answerer(only, only.answerer.end("failed"))
    settle(room)
    assert room.over == {id: "lost"}
    assert "poet/1 failed" in room.why[id]


def test_one_who_plays_no_more_waits_for_nothing() -> None:
    room = Room(copies=1)
    ids = [room.ask() for _ in range(4)]
    room.perform(room.asker.close("muted", room.now))
    assert room.over == dict.fromkeys(ids, "cancelled")
    assert room.asker.open == 0


POETS = [CopyId(f"poet/{number}", "n", 1) for number in (1, 2, 3)]


def asking(*copies: CopyId) -> Asker:
    asker = Asker("mood:1:1")
    asker.route({"poet": [Copy(copy) for copy in copies]}, 0.0)
    return asker


def ask_one(asker: Asker, now: float, deadline_s: float = 1e6) -> tuple[str, list[tuple[CopyId, Ask]]]:
    id, effects = asker.ask("poet", "prompt", "calm", type="text", captured_ns=0, deadline_s=deadline_s, now=now)
    return id, sent(effects)


def sent(effects: list[Any]) -> list[tuple[CopyId, Ask]]:
    return [(each.copy, each.message) for each in effects if isinstance(each, Tell) and isinstance(each.message, Ask)]


def answer(asker: Asker, copy: CopyId, id: str, now: float) -> list[tuple[CopyId, Ask]]:
    """The copy accepts and is over with it; what is asked of whom next."""
    return [*sent(asker.hear(copy, Accepted(id, 1, 0), now)), *sent(asker.hear(copy, Done(id, 0, 0), now))]


@pytest.mark.parametrize(
    ("ms", "open_", "least"),
    [
        ((10, 20, 40), 12, 0.985), ((10, 20, 40), 6, 0.985), ((10, 20, 40), 30, 0.985), ((10, 10, 10), 12, 0.99), ((5, 8, 30), 12, 0.98),
        # The slowest would be over with a question later than the quick ones with all that are open: it must not idle all the same.
        ((10, 20, 100), 6, 0.95), ((50, 100, 400), 6, 0.94),
    ],
)  # fmt: skip
def test_unequal_copies_together_are_nearly_as_fast_as_the_sum_of_their_speeds(ms: tuple[int, ...], open_: int, least: float) -> None:
    # Given copies that take unlike times, and so many questions open at any time, 300 in all
    took_s = {copy: each / 1000 for copy, each in zip(POETS, ms, strict=True)}
    asker, now, asked, over = asking(*POETS), 0.0, 0, 0
    queues: dict[CopyId, list[str]] = {copy: [] for copy in POETS}
    free_s = dict.fromkeys(POETS, 0.0)
    ends: list[tuple[float, CopyId, str]] = []

    def take(given: list[tuple[CopyId, Ask]]) -> None:
        for copy, ask in given:
            queues[copy].append(ask.id)
            free_s[copy] = max(free_s[copy], now) + took_s[copy]
            ends.append((free_s[copy], copy, ask.id))

    while asked < open_:
        take(ask_one(asker, now)[1])
        asked += 1
    # When each answers in turn, and each answer brings the next question
    while over < 300:
        now, copy, id = min(ends)
        ends.remove((now, copy, id))
        over += 1
        take(answer(asker, copy, id, now))
        if asked < 300:
            take(ask_one(asker, now)[1])
            asked += 1
    # Then all is over nearly as early as if the fastest had always had the right share
    ideal_s = 300 / sum(1 / seconds for seconds in took_s.values())
    assert ideal_s / now >= least, (ideal_s, now)


def test_a_slow_copy_is_not_asked_where_a_quick_one_is_over_with_all_that_wait_sooner() -> None:
    # Given a quick and a slow copy, which are known as such
    asker = asking(*POETS[:2])
    for number in range(12):
        now = number * 2.0
        id, given = ask_one(asker, now)
        copy = given[0][0]
        answer(asker, copy, id, now + (0.01 if copy == POETS[0] else 1.0))
    # When three are asked at once
    given = [each for _ in range(3) for each in ask_one(asker, 30.0)[1]]
    # Then the quick one gets what it may hold, and the third waits for it
    assert [copy for copy, _ in given] == [POETS[0], POETS[0]]


def test_like_copies_that_have_nothing_to_do_are_asked_in_turn() -> None:
    # Given two copies whose answers take nearly as long
    asker, asked = asking(*POETS[:2]), []
    for number in range(20):
        now = number * 2.0
        id, given = ask_one(asker, now)
        copy = given[0][0]
        asked.append(copy)
        answer(asker, copy, id, now + (0.10 if copy == POETS[0] else 0.11))
    # Then each has had half of the questions
    assert asked.count(POETS[0]) == asked.count(POETS[1]) == 10


def test_a_copy_that_stands_still_is_left_for_an_idle_one_long_before_its_machine_is_judged() -> None:
    # Given copies that answer within 20 ms
    asker = asking(*POETS[:2])
    now = 0.0
    for _ in range(10):
        now += 0.02
        for copy, ask in ask_one(asker, now)[1]:
            answer(asker, copy, ask.id, now + 0.02)
    # When one accepts a question and says nothing more
    now += 1.0
    _, ((stuck, ask),) = ask_one(asker, now)
    asker.hear(stuck, Accepted(ask.id, 1, 0), now + 0.01)
    assert sent(asker.tick(now + 0.2)) == []
    # Then the other is asked, and the first told that it has moved
    effects = asker.tick(now + 0.6)
    ((other, again),) = sent(effects)
    assert other != stuck and again.utterance == ask.id
    assert Tell(stuck, Cancel(ask.id, moved=True)) in effects
    assert asker.counters()["retried"] == 1 and asker.lost == 0


def test_a_copy_is_given_time_that_its_role_is_known_to_need() -> None:
    asker = asking(*POETS[:2])
    for number in range(3):  # a model that reads for two seconds before it speaks
        ((copy, ask),) = ask_one(asker, number * 10.0)[1]
        asker.hear(copy, Accepted(ask.id, 1, 0), number * 10.0)
        asker.hear(copy, Said(ask.id, 0, "the"), number * 10.0 + 2.0)
        asker.hear(copy, Done(ask.id, 1, 0), number * 10.0 + 2.1)
    ((copy, ask),) = ask_one(asker, 40.0)[1]
    asker.hear(copy, Accepted(ask.id, 1, 0), 40.0)
    assert [other for other, _ in sent(asker.tick(44.0)) if other != copy] == []


def test_a_run_of_pieces_counts_like_the_pieces_one_by_one() -> None:
    asker = asking(POETS[0])
    id, effects = asker.ask("poet", "prompt", "calm", type="text", captured_ns=0, deadline_s=9.0, now=0.0, streamed=True)
    ((copy, ask),) = sent(effects)
    asker.hear(copy, Accepted(ask.id, 1, 0), 0.0)
    told = asker.hear(copy, Run(ask.id, 0, (("the", b""), (" night", b""))), 0.1)
    assert told == [Heard(id, "the"), Heard(id, " night")]
    # One that overlaps what was heard adds what is new
    assert asker.hear(copy, Run(ask.id, 1, ((" night", b""), (" falls", b""))), 0.2) == [Heard(id, " falls")]
    assert asker.hear(copy, Done(ask.id, 3, 0), 0.3) == [Over(id, "answered")]
