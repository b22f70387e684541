"""The size of a side: it falls at once and grows late."""

from __future__ import annotations

from mesh.core.sides import Side


def test_a_side_falls_at_once() -> None:
    side = Side(2.0, size=5)
    assert side.count(3, 10.0, agreed=True)
    assert side.size == 3


def test_a_side_grows_only_when_the_sides_have_been_together_for_a_while() -> None:
    side = Side(2.0)
    assert not side.count(4, 10.0, agreed=True)
    assert side.grow_due_s == 12.0
    assert not side.count(4, 11.9, agreed=True)
    assert side.count(4, 12.0, agreed=True)
    assert side.size == 4 and side.grow_due_s == float("inf")


def test_another_arrival_begins_the_wait_anew() -> None:
    side = Side(2.0)
    side.count(2, 10.0, agreed=True)
    side.count(3, 11.0, agreed=True)
    assert not side.count(3, 12.5, agreed=True)
    assert side.count(3, 13.0, agreed=True)


def test_a_side_does_not_grow_while_two_hold_the_same_instance() -> None:
    side = Side(2.0)
    side.count(2, 10.0, agreed=True)
    assert not side.count(2, 12.0, agreed=False)
    assert not side.count(2, 13.9, agreed=True)
    assert side.count(2, 14.0, agreed=True)


def test_a_meeting_that_breaks_off_leaves_the_side_as_it_was() -> None:
    side = Side(2.0)
    side.count(7, 10.0, agreed=True)
    assert not side.count(1, 11.0, agreed=True)
    assert side.size == 1 and side.grow_due_s == float("inf")
