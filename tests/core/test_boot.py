"""A node's first minutes."""

from __future__ import annotations

from dataclasses import replace

from mesh.core.boot import Start, is_complete, prefers, waits_for
from mesh.core.spec import RoleSpec, Wire
from mesh.core.timing import WIRED
from tests.core.cases import EYE, KINDS, ROOM


def _look(start: Start, now: float, *, grace_s: float | None = 20.0, complete: bool = False, met_settled: bool = False) -> Start:
    start.look(now, grace_s=grace_s, complete=complete, met_settled=met_settled)
    return start


def test_a_node_listens_for_a_second_before_anything_else() -> None:
    start = Start(100.0, WIRED)
    assert start.next_due(20.0) == 101.0
    assert not _look(start, 100.9, complete=True, met_settled=True).settled
    assert _look(start, 101.0, complete=True).settled


def test_the_grace_ends_when_its_time_is_up() -> None:
    start = _look(Start(100.0, WIRED), 101.0)
    assert start.listened and not start.settled
    assert start.next_due(20.0) == 120.0
    assert not _look(start, 119.9).settled
    assert _look(start, 120.0).settled
    assert not start.joined


def test_the_grace_ends_at_once_when_all_that_the_file_names_are_here() -> None:
    assert _look(Start(0.0, WIRED), 2.0, complete=True).settled
    assert is_complete(ROOM, ["door", "shelf", "left", "right", "spare"])
    assert not is_complete(ROOM, ["door", "shelf", "left"])
    assert is_complete(replace(ROOM, machines=()), ["anybody"])


def _joined(started_s: float = 0.0) -> Start:
    """A node that met one past its grace while it listened."""
    return _look(_look(Start(started_s, WIRED), started_s + 0.1, met_settled=True), started_s + 2.0, met_settled=True)


def test_the_grace_ends_on_meeting_a_node_past_its_own() -> None:
    start = _joined()
    assert start.settled and start.joined


def test_a_node_that_has_just_met_one_past_its_grace_waits_for_whom_that_one_may_have_met_last() -> None:
    # Given a node in its grace, with a machine still missing
    start = _look(Start(0.0, WIRED), 3.0)
    # When somebody else, who has met the missing one, is past his
    assert not _look(start, 3.1, met_settled=True).settled
    # Then it waits a moment to meet it, too, or until that moment is over
    assert start.next_due(20.0) == 3.1 + WIRED.join_s
    assert _look(replace(start), 3.2, complete=True, met_settled=True).settled
    assert _look(start, 3.1 + WIRED.join_s, met_settled=True).settled


def test_without_a_deployment_there_is_nothing_to_settle() -> None:
    start = _look(Start(0.0, WIRED), 50.0, grace_s=None, complete=True)
    assert not start.settled
    assert start.next_due(None) == WIRED.provisional_s


def test_whose_grace_was_over_by_itself_does_not_join_those_it_meets_later() -> None:
    # Given a node that settled alone, while its room starts
    start = _look(Start(0.0, WIRED), 20.0)
    # When it meets another that is past its grace, and loses it again
    for met in (True, False):
        _look(start, 21.0, met_settled=met)
        # Then both go on starting their room, and what it claims may still be handed over
        assert start.settled and not start.joined
        assert start.starting and start.provisional


def test_who_has_joined_has_joined_also_when_those_it_joined_are_gone() -> None:
    start = _look(_joined(), 3.0, met_settled=False)
    assert start.joined and not start.starting


def test_claims_are_provisional_while_the_room_starts() -> None:
    start = _look(Start(0.0, WIRED), 2.0, complete=True)
    assert start.provisional
    assert start.next_due(20.0) == WIRED.provisional_s
    assert not _look(start, WIRED.provisional_s).provisional
    assert start.next_due(20.0) == float("inf")


def test_who_joins_a_running_room_claims_nothing_provisionally() -> None:
    start = _joined()
    assert not start.provisional and not start.starting


def test_who_joins_a_room_that_still_starts_goes_by_the_others_word() -> None:
    start = _joined()
    assert start.look(3.0, grace_s=20.0, complete=False, met_settled=True, room_starts=True)
    assert start.provisional and not start.starting
    assert start.look(90.0, grace_s=20.0, complete=False, met_settled=True, room_starts=False)
    assert not start.provisional


def test_looking_says_whether_anything_has_changed() -> None:
    start = Start(0.0, WIRED)
    assert not start.look(0.5, grace_s=20.0, complete=False, met_settled=False)
    assert start.look(1.0, grace_s=20.0, complete=False, met_settled=False)
    assert not start.look(1.5, grace_s=20.0, complete=False, met_settled=False)


def test_a_role_prefers_a_machine_by_name_or_by_label_and_only_as_its_first_wish() -> None:
    assert prefers(EYE, "door", ())
    assert not prefers(EYE, "shelf", ("door",))
    labelled = replace(EYE, on=("label:camera", "door"))
    assert prefers(labelled, "attic", ("camera",))
    assert not prefers(labelled, "door", ())
    assert not prefers(replace(EYE, on=("any",)), "door", ())


def test_a_role_awaits_those_it_hears() -> None:
    awaited = waits_for(ROOM)
    assert awaited["eye"] == frozenset()
    assert awaited["presence"] == {"eye"}
    assert awaited["poet"] == {"mood"}


def test_in_a_ring_nobody_waits_for_the_others() -> None:
    ring = replace(ROOM, kinds=KINDS, roles=(
        RoleSpec("a", "mood", 0, inputs=(Wire("x", "c", "tags"),)),
        RoleSpec("b", "mood", 1, inputs=(Wire("x", "a", "tags"), Wire("y", "eye", "image"))),
        RoleSpec("c", "mood", 2, inputs=(Wire("x", "b", "tags"),)),
        RoleSpec("self", "mood", 3, inputs=(Wire("x", "self", "tags"),)),
        EYE,
    ))
    awaited = waits_for(ring)
    assert awaited["a"] == awaited["c"] == awaited["self"] == frozenset()
    assert awaited["b"] == {"eye"}


def test_who_has_settled_neither_unsettles_nor_becomes_a_joiner_when_machines_go_and_come() -> None:
    start = _look(Start(0.0, WIRED), 2.0, complete=True)
    assert start.settled and start.starting
    _look(start, 3.0, complete=False)
    assert start.settled
    _look(start, 4.0, met_settled=True)
    assert not start.joined and start.starting


def test_a_node_without_a_deployment_looks_again_when_its_first_minutes_are_over() -> None:
    start = _look(Start(0.0, WIRED), 2.0, grace_s=None)
    assert start.next_due(None) == WIRED.provisional_s
