"""The answering side of requests: a bounded queue, one answer for each request, and what was missed told again."""

from __future__ import annotations

import pytest

from mesh.core.answers import KEPT_MAX, QUEUE_MAX, Answerer, Effect, Hush, Reply, Retell
from mesh.core.request_messages import Accepted, Ask, Cancel, Done, Message, Refused, Said


def ask(id: str, **other: object) -> Ask:
    return Ask(id, "poet/1", 1, "prompt", "calm", "text", 0, 30_000)._replace(**other)  # type: ignore[arg-type]


def answerer() -> Answerer:
    return Answerer("poet/1", 1, frozenset({"prompt"}), resumes=False)


def told(effects: list[Effect]) -> list[Message]:
    return [effect.message for effect in effects if isinstance(effect, Reply)]


def test_the_queue_is_bounded_and_says_that_it_is_busy() -> None:
    ours = answerer()
    for number in range(QUEUE_MAX):
        assert isinstance(told(ours.hear("a", ask(str(number)), 0.0))[0], Accepted)
    assert told(ours.hear("a", ask("one more"), 0.0)) == [Refused("one more", "busy", QUEUE_MAX)]


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"generation": 2}, "another process"),
        ({"instance": "poet/2"}, "another process"),
        ({"input": "weather"}, "unknown input"),
        ({"have": 3}, "forgotten"),
    ],
)
def test_what_is_not_for_this_process_is_refused(changed: dict[str, object], why: str) -> None:
    ours = answerer()
    assert told(ours.hear("a", ask("x", **changed), 0.0)) == [Refused("x", why, 0)]


def test_the_same_request_twice_is_answered_once_and_its_missing_pieces_are_repeated() -> None:
    ours = answerer()
    ours.hear("old line", ask("x"), 0.0)
    ours.next(0.0)
    for word in ("the", "night"):
        ours.say(word, b"", 1)
    ours.end(None)
    again = ours.hear("new line", ask("x", have=1), 0.0)
    assert told(again) == [Accepted("x", 0, 0), Said("x", 1, "night"), Done("x", 2, 0)]
    assert all(effect.peer == "new line" for effect in again if isinstance(effect, Reply))
    assert ours.next(0.0)[0] is None


def test_a_cancelled_one_in_the_queue_is_never_begun_and_one_in_work_is_marked() -> None:
    ours = answerer()
    for id in ("x", "y"):
        ours.hear("a", ask(id), 0.0)
    ours.next(0.0)
    assert told(ours.hear("a", Cancel("y"), 0.0)) == [Done("y", 0, 1, "cancelled")]
    ours.hear("a", Cancel("x"), 0.0)
    assert ours.current is not None and ours.current.cancelled
    ours.end("cancelled")
    assert ours.next(0.0)[0] is None


def test_one_whose_time_is_over_is_not_begun() -> None:
    ours = answerer()
    ours.hear("a", ask("x", deadline_ms=100), 0.0)
    job, effects = ours.next(0.2)
    assert job is None
    assert told(effects) == [Done("x", 0, 0, "cancelled")]


def test_old_answers_are_forgotten() -> None:
    ours = answerer()
    for number in range(KEPT_MAX * 3):
        ours.hear("a", ask(str(number)), 0.0)
        ours.next(0.0)
        ours.say("word", b"", 1)
        ours.end(None)
    assert len(ours._known) == KEPT_MAX


def test_the_beginning_of_a_lost_copy_is_ended_on_the_stream_or_gone_on_with() -> None:
    so_far = (("the", b"1"), ("night", b"2"))
    afresh = answerer()
    effects = afresh.hear("a", ask("y", utterance="x", so_far=so_far), 0.0)
    assert effects == [Hush("x", 2), Reply("a", Accepted("y", 1, 0))]
    resumes = Answerer("poet/1", 1, None, resumes=True)
    effects = resumes.hear("a", ask("y", utterance="x", so_far=so_far), 0.0)
    assert effects == [Retell(ask("y", utterance="x", so_far=so_far)), Reply("a", Accepted("y", 1, 2, "x"))]
    job, _ = resumes.next(0.0)
    assert job is not None and (job.utterance, job.pieces) == ("x", 2)


def test_one_that_stops_sends_everyone_elsewhere_and_takes_nobody_any_more() -> None:
    ours = answerer()
    for id in ("x", "y"):
        ours.hear("a", ask(id), 0.0)
    ours.next(0.0)
    assert told(ours.close("stopping")) == [Refused("x", "stopping", 0), Refused("y", "stopping", 0)]
    assert told(ours.hear("a", ask("z"), 0.0)) == [Refused("z", "stopping", 0)]


def test_frames_that_nobody_asked_about_give_way_to_newer_ones() -> None:
    ours = answerer()
    for number in range(QUEUE_MAX + 2):
        ours.submit(ask(str(number)), 0.0)
    ours.submit(ask("5"), 0.0)
    assert ours.depth == QUEUE_MAX
    job, _ = ours.next(0.0)
    assert job is not None and job.ask.id == "2"
    assert ours.end(None) == []
