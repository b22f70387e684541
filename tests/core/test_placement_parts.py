"""Which instances compete: parts are as small as they can be, so that the exact search can take them; and who plays for whom."""

from __future__ import annotations

from mesh.core.instances import Candidate
from mesh.core.placement import place
from mesh.core.placement_parts import ample_machines, drop_what_plays_for_nobody, find_doubtful_audiences, parts
from mesh.core.placement_room import Room, read_room
from mesh.core.spec import Deployment, Needs
from tests.core.placement_rooms import SCREEN, machine, plays, role, room, where


def read(deployment: Deployment, here: list[Candidate]) -> tuple[Room, int]:
    found = read_room(deployment, here, [], frozenset(), frozenset())
    drop_what_plays_for_nobody(found)
    ample = ample_machines(found)
    find_doubtful_audiences(found, ample)
    return found, ample


def groups(deployment: Deployment, here: list[Candidate]) -> list[list[str]]:
    found, ample = read(deployment, here)
    return [[found.items[index].name for index in part] for part in parts(found, ample)]


# ---- parts


def test_instances_compete_for_the_memory_of_machines_that_cannot_carry_all_who_may_come() -> None:
    deployment = room(
        role("one", memory=2, on=("a",)), role("two", memory=1, on=("a", "b")), role("three", memory=1, on=("b", "c")),
        role("four", memory=1, on=("c",)), machines=["a", "b", "c"],
    )
    assert groups(deployment, [machine("a", 2), machine("b", 1), machine("c", 1)]) == [["one", "two", "three", "four"]]
    assert groups(deployment, [machine("a", 2), machine("b", 2), machine("c", 1)]) == [["one", "two"], ["three", "four"]]
    assert groups(deployment, [machine("a", 3), machine("b", 2), machine("c", 2)]) == [["one"], ["two"], ["three"], ["four"]]


def test_who_takes_no_memory_competes_with_nobody() -> None:
    deployment = room(role("one", memory=2), role("two", memory=1), role("eye"), role("ear"), machines=["a"])
    assert groups(deployment, [machine("a", 2)]) == [["one", "two"], ["eye"], ["ear"]]


def test_who_may_sit_nowhere_is_in_no_part_and_joins_nobody() -> None:
    deployment = room(
        role("gone", memory=1, on=("elsewhere",)), role("wall", each=("a", "b")), role("lamp", with_="wall", needs=Needs(camera=True))
    )
    assert groups(deployment, [machine("a", 2), machine("b", 2)]) == [["wall@a"], ["wall@b"]]


def test_copies_and_those_who_must_share_a_machine_are_of_one_part() -> None:
    deployment = room(role("poet", copies=3), role("lamp", with_="poet"), role("eye"))
    assert groups(deployment, [machine("a"), machine("b")]) == [["poet/1", "lamp", "poet/2", "poet/3"], ["eye"]]


def test_who_plays_only_for_an_output_that_may_stay_out_is_of_its_part() -> None:
    deployment = room(
        role("eye"), role("clock", memory=1), role("wall", memory=1, kind=SCREEN, of=("eye",), on=("a",)), role("ear"),
        role("lights", of=("ear",)),
    )
    assert groups(deployment, [machine("a", 1)]) == [["eye", "clock", "wall"], ["ear"], ["lights"]]


# ---- doubtful audiences


def doubts(deployment: Deployment, here: list[Candidate]) -> dict[str, set[str]]:
    found, _ = read(deployment, here)
    return {found.items[index].name: {found.items[each].name for each in needs} for index, needs in found.needs_one_of.items()}


def test_an_audience_is_certain_where_one_output_can_always_play() -> None:
    eye, clock = role("eye"), role("clock", memory=1, on=("a",))
    small = role("small", memory=1, kind=SCREEN, of=("eye",), on=("a", "b"))
    free = role("free", kind=SCREEN, of=("eye",), on=("a",))
    assert doubts(room(eye, clock, small, machines=["a", "b"]), [machine("a", 1)]) == {"eye": {"small"}}
    assert doubts(room(eye, clock, small, machines=["a", "b"]), [machine("a", 1), machine("b", 1)]) == {}
    assert doubts(room(eye, clock, small, free, machines=["a", "b"]), [machine("a", 1)]) == {}


def test_an_output_that_must_sit_beside_another_is_as_doubtful_as_that_one() -> None:
    """Given a wall that must share a machine with a voice, for which there is no memory; then what only feeds the wall does not play."""
    deployment = room(
        role("big", memory=2), role("eye"), role("wall", kind=SCREEN, of=("eye",), with_="voice"), role("voice", memory=1), machines=["a"]
    )
    found = place(deployment, [machine("a", 2)])
    assert where(found) == {"big": "a"}
    assert found.for_nobody == {"eye"}


def test_an_output_that_can_play_nowhere_is_no_audience() -> None:
    """Given two walls, one not here and one for which there is no memory; then what feeds both plays for nobody."""
    deployment = room(
        role("big", memory=2), role("eye"), role("far", kind=SCREEN, of=("eye",), on=("elsewhere",)),
        role("near", memory=1, kind=SCREEN, of=("eye",)), machines=["a"],
    )
    found = place(deployment, [machine("a", 2)])
    assert where(found) == {"big": "a"}
    assert found.unplaced["eye"] == "would play for nobody: far or near is not playing here"


def test_an_output_that_feeds_another_is_enough_for_itself() -> None:
    deployment = room(role("front", memory=2, kind=SCREEN), role("side", memory=2, kind=SCREEN, of=("front",)), machines=["a"])
    found = place(deployment, [machine("a", 2)])
    assert where(found) == {"front": "a"}
    assert found.for_nobody == frozenset()


def test_who_may_sit_nowhere_says_so_and_not_that_it_would_play_for_nobody() -> None:
    deployment = room(
        role("big", memory=2), role("eye", needs=Needs(camera=True)), role("wall", memory=1, kind=SCREEN, of=("eye",)), machines=["a"]
    )
    found = place(deployment, [machine("a", 2)])
    assert found.unplaced["eye"] == "a has no camera"
    assert found.for_nobody == frozenset()


def test_who_is_left_out_although_its_output_plays_does_not_play_for_nobody() -> None:
    deployment = room(role("wall", memory=2, kind=SCREEN, of=("eye",)), role("eye", memory=1), machines=["a"])
    found = place(deployment, [machine("a", 2)])
    assert where(found) == {"wall": "a"}
    assert found.unplaced == {"eye": "needs 1.0 GB of memory; a has 0 MB free"}
    assert found.for_nobody == frozenset()


def test_an_output_that_is_left_out_says_why() -> None:
    found = place(room(role("wall", memory=2, kind=SCREEN)), [machine("a", 1)])
    assert found.unplaced == {"wall": "needs 2.0 GB of memory; a has 1.0 GB free"}
    assert found.for_nobody == frozenset()


def test_who_does_not_fit_beside_the_one_it_must_share_a_machine_with_says_so() -> None:
    deployment = room(role("voice", memory=1), role("lamp", memory=2, with_="voice"), machines=["a"])
    found = place(deployment, [machine("a", 2)])
    assert where(found) == {"voice": "a"}
    assert found.unplaced == {"lamp": "needs 2.0 GB of memory; a has 1.0 GB free"}


# ---- what the search leaves equal


def test_of_seats_that_the_search_holds_equal_the_idle_one_is_taken() -> None:
    """Given an eye whose first wish is full, and two other machines, of which one shows a wall; then it plays on the other."""
    for busy, idle in (("b", "c"), ("c", "b")):
        deployment = room(
            role("big", memory=2, on=("a",)), role("eye", memory=1, on=("a", "any")), role("wall", each=(busy,)), machines=["a", "b", "c"]
        )
        here = [machine("a", 2), machine("b", 1), machine("c", 1)]
        assert where(place(deployment, here)) == {"big": "a", "eye": idle, f"wall@{busy}": busy}
        assert where(place(deployment, here, [plays("eye", busy)]))["eye"] == busy, "who sits already stays"


def test_a_pair_is_not_parted_for_an_idle_machine() -> None:
    deployment = room(
        role("big", memory=2, on=("a",)), role("voice", memory=1, on=("a", "any")), role("lamp", memory=1, with_="voice"),
        role("wall", each=("b",)), machines=["a", "b", "c"],
    )
    found = where(place(deployment, [machine("a", 2), machine("b", 2), machine("c", 2)]))
    assert found["voice"] == found["lamp"] != "a"


def test_holders_that_stay_are_not_moved_to_an_idle_machine() -> None:
    """Given two copies that share a machine, and a newcomer for whose wish there is no room; then the copies stay where they are."""
    deployment = room(role("poet", memory=1, copies=2), role("eye", memory=1, on=("a", "any")), machines=["a", "b", "c"])
    here = [machine("a", 2), machine("b", 2), machine("c", 2)]
    found = where(place(deployment, here, [plays("poet/1", "a"), plays("poet/2", "a")]))
    assert found["poet/1"] == found["poet/2"] == "a" != found["eye"]
