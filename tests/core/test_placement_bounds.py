"""Where the exact search ends, and what it gives up there."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from mesh.core import placement_search
from mesh.core.placement import place
from mesh.core.spec import Needs
from tests.core.placement_rooms import GB, SCREEN, machine, plays, role, room, where


@pytest.mark.parametrize("bound", ["ITEMS_MAX", "MACHINES_MAX", "WORK_BITS_MAX"])
def test_what_is_beyond_a_bound_is_not_proven(bound: str, monkeypatch: pytest.MonkeyPatch) -> None:
    deployment = room(role("one", memory=1), role("two", memory=1), machines=["a"])
    found = place(deployment, [machine("a", 1)])
    assert found.complete is False
    monkeypatch.setattr(placement_search, bound, 0)
    found = place(deployment, [machine("a", 1)])
    assert where(found) == {"one": "a"}
    assert found.complete is None


def test_when_its_time_is_up_the_search_takes_the_first_way_and_the_same_instances_play(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given six who must change places; when no step is left after the first; then each machine is looked at once, and all play."""
    deployment = room(
        *[role(f"r{number}", memory=1 + number % 3, on=("any",)) for number in range(6)], role("new", memory=4, on=("a",)),
        machines=["a", "b", "c"],
    )
    here = [machine("a", 6), machine("b", 6), machine("c", 4)]
    held = [plays(f"r{number}", "abc"[number % 2]) for number in range(6)]
    before = set(place(deployment, here, held).holders)
    looked: list[int] = []
    descend = placement_search._descend
    monkeypatch.setattr(placement_search, "STEPS_MAX", 0)
    monkeypatch.setattr(placement_search, "_descend", lambda state, step, *rest: (looked.append(step), descend(state, step, *rest)))
    assert set(place(deployment, here, held).holders) == before
    assert looked == sorted(set(looked))


def test_a_copy_that_may_sit_nowhere_does_not_disturb_the_others() -> None:
    deployment = room(role("poet", memory=1, copies=3), role("lamp", memory=1, with_="poet"), role("big", memory=2), machines=["a", "b"])
    here = [machine("a", 3, gave_up={"poet/2"}), machine("b", 2, gave_up={"poet/2"})]
    found = place(deployment, here)
    assert set(found.unplaced) == {"poet/2"}


def test_two_walls_that_share_a_machine_with_a_copy_each_both_play_though_a_copy_has_to_move() -> None:
    deployment = room(
        role("wall", each=("b", "a"), kind=SCREEN, with_="poet"), role("poet", kind=SCREEN, copies=2), machines=["a", "b", "c"],
    )
    found = place(deployment, [machine(name) for name in "abc"], [plays("poet/2", "c")])
    assert found.complete
    assert {where(found)["poet/1"], where(found)["poet/2"]} == {where(found)["wall@a"], where(found)["wall@b"]} == {"a", "b"}


def test_a_role_of_a_kind_that_nobody_knows_is_placed_like_any_other() -> None:
    deployment = replace(room(role("eye"), role("page", of=("eye",)), machines=["a"]), kinds={})
    assert where(place(deployment, [machine("a")])) == {"eye": "a", "page": "a"}


def test_the_search_leaves_out_what_cannot_become_better(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given twelve rooms of 6 machines packed by 12 instances, most of them claimed elsewhere; then some hundred steps find the best."""
    looked: list[int] = []
    descend = placement_search._descend
    monkeypatch.setattr(placement_search, "_descend", lambda state, step, *rest: (looked.append(step), descend(state, step, *rest)))
    for seed in range(12):
        draw = Random(seed)
        sizes = [draw.randint(1, 60) for _ in range(12)]
        seats = [draw.randrange(6) for _ in sizes]
        capacity = [4 + sum(size for size, seat in zip(sizes, seats, strict=True) if seat == index) for index in range(6)]
        wanted = [role(f"r{number}", needs=Needs(size), on=(draw.choice("abcdef"), "any")) for number, size in enumerate(sizes)]
        held = [plays(each.name, draw.choice("abcdef")) for each in wanted if draw.random() < 0.6]
        here = [machine(name, memory / GB) for name, memory in zip("abcdef", capacity, strict=True)]
        assert place(room(*wanted, machines=tuple("abcdef")), here, held).complete
    assert 12 * 6 < len(looked) < 3_000, "1,153 when this was written"
