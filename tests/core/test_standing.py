"""How a node stands in the room: when it looks, what it counts, and whether the room went on without it."""

from __future__ import annotations

from typing import Any

from mesh.core.effects import Report, Save
from mesh.core.members import ALIVE, SUSPECT
from mesh.core.messages import NodeState
from mesh.core.standing import Standing
from mesh.core.timing import WIRED
from tests.core.cases import ROOM, membership, said

SETTLE_S = WIRED.settle_s


def standing(*others: str, now: float = 0.0, **states: NodeState) -> Standing:
    """A node that starts, and the others that it meets."""
    table = membership(*others, now=now)
    for name, state in states.items():
        table.members[f"n-{name}"].state = state
    return Standing(WIRED, now, table)


def looked(node: Standing, *times: float, agreed: bool = True) -> list[str]:
    """What it reported and saved."""
    found = []
    for now in times:
        for effect in node.look(now, ROOM, agreed=agreed)[1]:
            found.append(effect.event if isinstance(effect, Report) else effect.key if isinstance(effect, Save) else "")
    return found


def settled(*others: str, **states: NodeState) -> Standing:
    """A node whose grace is over, alone in the room, a long time ago; then it meets the others."""
    node = Standing(WIRED, 0.0, membership())
    looked(node, 1.0, 20.0, 1000.0)
    for name in others:
        met = membership(name, now=1000.0).members[f"n-{name}"]
        met.state = states.get(name)
        node.membership.enter(met)
    return node


def running(**more: Any) -> NodeState:
    """What a node of a room of four says that has been running for a while."""
    return said(**{"steady": True, "hears": 4, **more})


# ---- its start


def test_it_settles_when_all_are_there_and_have_said_something() -> None:
    node = standing("door", "shelf", "left", "right", door=said(settled=False), shelf=said(settled=False), left=said(settled=False))
    assert looked(node, 1.0, 2.0) == []
    node.membership.members["n-right"].state = said(settled=False)
    assert looked(node, 3.0) == ["settled"]
    assert looked(node, 4.0) == []


def test_without_a_deployment_nothing_settles() -> None:
    node = standing()
    assert node.look(100.0, None, agreed=True)[1] == []
    assert not node.start.settled
    assert node.next_due(None) == WIRED.provisional_s


def test_who_joined_goes_by_the_word_of_those_it_joined_for_as_long_as_they_say_so() -> None:
    node = standing("door", door=said(starting=True))
    looked(node, 1.0, 1.0 + WIRED.join_s)
    assert node.start.joined and node.start.provisional
    node.membership.members["n-door"].state = said(starting=False)
    assert node.look(30.0, ROOM, agreed=True)[0]
    assert not node.start.provisional


def test_what_it_claims_is_provisional_until_its_time_is_up_although_nothing_else_happens() -> None:
    node = settled()
    assert not node.start.provisional
    node = Standing(WIRED, 0.0, membership())
    looked(node, 1.0, 20.0)
    assert node.start.provisional
    assert node.look(WIRED.provisional_s, ROOM, agreed=True)[0]
    assert not node.start.provisional


# ---- its side


def test_its_side_are_those_who_are_heard_and_it_grows_when_that_has_lasted() -> None:
    node = settled("door", "shelf")
    node.membership.change(node.membership.members["n-shelf"], SUSPECT, 1000.0)
    looked(node, 1000.0)
    assert (node.side.size, node.side.wanted) == (1, 2)
    looked(node, 1000.0 + SETTLE_S / 2)
    assert node.side.size == 1
    assert node.look(1000.0 + SETTLE_S, ROOM, agreed=True)[0]
    assert node.side.size == 2


def test_its_side_is_counted_when_somebody_comes_or_goes_and_not_at_every_look() -> None:
    node = settled("door")
    looked(node, 1000.0)
    due = node.side.grow_due_s
    looked(node, 1000.1, agreed=False)
    assert node.side.grow_due_s == due
    node.membership.change(node.membership.members["n-door"], SUSPECT, 1000.2)
    looked(node, 1000.2)
    assert node.side.wanted == 1


# ---- its returns


def test_who_joins_a_larger_room_that_has_been_running_for_a_while_has_come_back() -> None:
    node = standing("door", door=running())
    assert looked(node, 1.0, 1.0 + WIRED.join_s) == ["settled", "returns"]
    assert node.returns == 1
    assert looked(node, 5.0, 50.0) == []


def test_who_begins_a_room_or_joins_one_that_starts_or_is_no_larger_has_not() -> None:
    for state in (running(settled=False), running(starting=True), running(steady=False), running(hears=1)):
        node = standing("door", door=state)
        assert looked(node, 1.0, 1.0 + WIRED.join_s, 20.0, 50.0) == ["settled"]
        assert node.returns == 0


def test_one_that_starts_is_enough_for_a_room_that_starts() -> None:
    node = standing("door", "shelf", "left", door=running(), shelf=running(starting=True))
    assert looked(node, 1.0, 1.0 + WIRED.join_s) == ["settled"]


def test_one_that_has_said_nothing_yet_says_nothing_of_the_room() -> None:
    node = standing("door", "shelf", door=running())
    assert looked(node, 1.0, 1.0 + WIRED.join_s) == ["settled", "returns"]


def test_who_was_held_dead_by_a_room_that_went_on_has_come_back_after_a_moment_and_once() -> None:
    node = settled("door", door=running())
    looked(node, 1001.0)
    node.membership.refuted_s = 1002.0
    assert looked(node, 1002.0) == []
    assert not node.steadiness.steady
    assert node.next_due(ROOM) <= 1002.0 + SETTLE_S / 2
    assert looked(node, 1002.0 + SETTLE_S / 4) == []
    assert looked(node, 1002.0 + SETTLE_S / 2) == ["returns"]
    assert looked(node, 1010.0, 1050.0) == []
    assert node.returns == 1


def test_who_was_held_dead_by_a_smaller_side_has_only_been_interrupted() -> None:
    node = settled("door", door=running(hears=1))
    looked(node, 1001.0)
    node.membership.refuted_s = 1002.0
    assert looked(node, 1002.0, 1002.0 + SETTLE_S) == []
    assert (node.returns, node.steadiness.since_s) == (0, 1002.0)


def test_the_count_of_returns_is_kept_when_it_changes_and_begins_with_what_was_kept() -> None:
    node = Standing(WIRED, 0.0, membership(), returns=2)
    assert looked(node, 1.0, 2.0) == []
    assert looked(node, WIRED.aside_max_s) == ["settled", "returns"]
    assert node.returns == 0


def test_a_member_is_counted_again_when_it_is_heard_again() -> None:
    node = settled("door")
    door = node.membership.members["n-door"]
    node.membership.change(door, SUSPECT, 1000.0)
    looked(node, 1000.0)
    node.membership.change(door, ALIVE, 1000.1)
    looked(node, 1000.1)
    assert node.side.wanted == 2
