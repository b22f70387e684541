"""What happened, told to a person: each reason once, with what to do, and what repeats itself in short."""

from __future__ import annotations

from typing import Any

from mesh.core.event_words import Telling, sentence, told
from mesh.errors import RoleError, on_a_line

WHY = "no camera is there as /dev/video0 (option source); to do: plug the camera in"


def failed(**more: Any) -> dict[str, Any]:
    return {"event": "role_failed", "instance": "eye", "machine": "a", "what": WHY, **more}


def ended(**more: Any) -> dict[str, Any]:
    return {"event": "role_state", "instance": "eye", "machine": "a", "state": "ended", "why": WHY, **more}


def test_a_fault_on_one_line_says_what_where_and_what_to_do() -> None:
    dark = RoleError("it is dark", where="option lens", instead="take the cap off")
    assert dark.words == "it is dark (option lens); to do: take the cap off"
    assert on_a_line("it is dark") == "it is dark"


def test_why_a_process_ended_is_said_once_and_the_same_again_in_short() -> None:
    # Given a role that cannot play, five times, until the machine gives up on it
    telling = Telling()
    lines = [telling.words(event) for _ in range(5) for event in (failed(), ended())]
    lines.append(telling.words({"event": "gave_up", "instance": "eye", "machine": "a", "why": WHY, "again_s": 20}))
    # Then its reason is said at first and at the end, and in short between
    assert lines[0] == f"eye cannot play: {WHY}" and lines[1] == ""
    assert lines[2:10:2] == [f"eye cannot play on a, as before ({count} times now)" for count in (2, 3, 4, 5)]
    assert lines[-1] == f"gave up on eye on a, and tries again in 20 s: {WHY}"


def test_another_reason_an_end_of_its_own_and_a_fault_after_it_played_are_said_whole() -> None:
    telling = Telling()
    telling.words(failed())
    assert telling.words(failed(what="the disk is full")) == "eye cannot play: the disk is full"
    assert telling.words(ended(why="ended by SIGKILL")) == "eye is ended on a: ended by SIGKILL"
    assert telling.words(ended()) == f"eye is ended on a: {WHY}"  # nothing was said of it a moment ago
    telling.words(failed())
    assert telling.words({"event": "role_state", "instance": "eye", "machine": "a", "state": "playing"}) == "eye is playing on a"
    assert telling.words(failed()) == f"eye cannot play: {WHY}"


def test_what_is_told_from_memory_is_told_alike() -> None:
    events = [failed(age_s=9.0), ended(age_s=8.9), failed(age_s=2.0), ended(age_s=1.9)]
    assert [words for _, words in told(events)] == [f"eye cannot play: {WHY}", "eye cannot play on a, as before (2 times now)"]


def test_an_edit_that_waits_for_the_next_rehearsal_is_told_as_such() -> None:
    event = {"event": "role_edit", "instance": "the room", "file": "deployment.yaml", "what": "it plays later", "later": True}
    assert sentence(event) == "deployment.yaml: it plays later"


def test_an_event_of_an_older_agent_is_told_without_what_it_does_not_say() -> None:
    assert sentence({"event": "gave_up", "instance": "eye", "why": "no"}) == "gave up on eye: no"


def edit(instance: str, t: float, what: str = "roles.py:3: no", **more: Any) -> dict[str, Any]:
    said = {"what": what, "traceback": "Traceback\n", "t": t, "machine": "a"}
    return {"event": "role_edit", "instance": instance, "file": "roles.py", **said, **more}


def test_a_mistake_in_a_file_that_roles_share_is_told_once_with_its_traceback() -> None:
    telling = Telling()
    assert telling.words(edit("mood", 1.0)) == "roles.py:3: no; mood plays on as it was before roles.py was edited\nTraceback"
    # By a standby on another machine it is told already, and of another role in short
    assert telling.words(edit("mood", 1.1, machine="b")) == ""
    assert telling.words(edit("eye", 1.2)) == "eye plays on as it was before roles.py was edited, for the same reason"
    # The same mistake saved again later is told again
    assert telling.words(edit("mood", 2.0)).endswith("Traceback") and telling.words(edit("mood", 9.0, machine="b")).endswith("Traceback")
    assert telling.words(edit("mood", 20.0, back=True)).startswith("roles.py:3: no; mood plays again as it was before")


def test_that_an_edit_plays_is_told_once_for_the_role_and_its_standby() -> None:
    telling = Telling()
    assert telling.words(edit("mood", 1.0, what="")) == "mood plays what was edited in roles.py"
    assert telling.words(edit("mood", 1.4, what="", machine="b")) == ""
    for again in (2.0, 3.0):  # saved once more
        assert telling.words(edit("mood", again, what="")) == "mood plays what was edited in roles.py"
        assert telling.words(edit("mood", again + 0.4, what="", machine="b")) == ""


def test_what_does_not_work_is_told_once_and_not_again_when_it_is_ended_for_that() -> None:
    telling = Telling()
    assert telling.words({**failed(), "event": "role_faulty"}) == f"eye does not work: {WHY}"
    assert telling.words(ended()) == "" and telling.words(ended()) == f"eye is ended on a: {WHY}"
