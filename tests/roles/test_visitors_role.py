"""Simulated visitors: always the same for a seed, and like people in a gallery."""

from __future__ import annotations

import math
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest

from mesh.errors import RoleError
from roles.sensing.crowd import PACE_M_S, Crowd, Habits
from roles.sensing.visitors import Visitors
from tests.roles.stage import Recorder, put_on

STEP_S = 0.5


def frames(count: int, **options: Any) -> Recorder:
    role, stage = put_on(Visitors, Path(), **options)
    role.setup()
    for _ in range(count):
        assert role.tick() == pytest.approx(1 / role.options.rate)
    return stage


def a_day(seed: int, **habits: Any) -> tuple[list[int], dict[int, float], list[int]]:
    """(how many came in each hour from 10 to 18, how long each stayed, the sizes of the groups)"""
    crowd = Crowd(Habits(seed=seed, **habits), time_s=9.5 * 3600)
    hours, came_s, stayed_s, groups = [0] * 8, {}, {}, {}
    while crowd.time_s < 18.5 * 3600:
        crowd.step(STEP_S)
        for each in crowd.came:
            hours[int(crowd.time_s // 3600) - 10] += 1
            came_s[each] = crowd.time_s
        groups.update({each.id: each.group for each in crowd.people})
        stayed_s.update({each: crowd.time_s - came_s[each] for each in crowd.left})
    assert crowd.people == [], "everybody has gone"
    return hours, stayed_s, [list(groups.values()).count(group) for group in set(groups.values())]


def test_a_seed_gives_the_same_people_each_time_and_another_seed_others() -> None:
    first, second, other = (frames(300, seed=seed, speed=10, size="64x48") for seed in (7, 7, 8))
    assert first.values("people") == second.values("people") != other.values("people")
    assert all(np.array_equal(a, b) for a, b in zip(first.values("image"), second.values("image"), strict=True))


def test_a_day_has_its_rhythm() -> None:
    hours, _, _ = a_day(1, most=200)
    assert sum(hours[4:7]) > 1.5 * sum(hours[0:3])
    assert sum(hours) > 200


def test_people_come_alone_and_in_groups_stay_for_different_times_and_go_when_it_closes() -> None:
    _, stayed_s, groups = a_day(2, most=200, stay_s=120.0)
    assert 0.2 < groups.count(1) / len(groups) < 0.5 and 0.3 < groups.count(2) / len(groups) < 0.6 and max(groups) <= 4
    assert 90 < median(stayed_s.values()) < 240
    assert max(stayed_s.values()) > 3 * median(stayed_s.values())


def test_they_walk_at_the_pace_of_people_stand_before_things_and_stay_in_the_room() -> None:
    crowd = Crowd(Habits(seed=3, per_hour=200), time_s=14 * 3600.0)
    before: dict[int, tuple[float, float]] = {}
    stood = 0
    for _ in range(4000):
        crowd.step(0.1)
        for each in crowd.people:
            assert 0 <= each.x <= 8 and 0 <= each.y <= 6
            if each.id in before:
                assert math.dist(before[each.id], (each.x, each.y)) <= PACE_M_S * 1.3 * 0.1 * 1.81
            stood += each.still_s > 3
        before = {each.id: (each.x, each.y) for each in crowd.people}
    assert stood > 1000


def test_a_group_keeps_together() -> None:
    crowd = Crowd(Habits(seed=4, per_hour=60), time_s=14 * 3600.0)
    apart, strangers = [], []
    for _ in range(20_000):
        crowd.step(0.2)
        walking = [each for each in crowd.people if not each.leaving]
        for one in walking:
            for other in walking:
                if one.id < other.id:
                    (apart if one.group == other.group else strangers).append(math.dist((one.x, one.y), (other.x, other.y)))
    assert median(apart) < 0.6 * median(strangers)


def test_a_full_room_lets_nobody_in() -> None:
    stage = frames(400, per_hour=2000, most=5, speed=20)
    assert max(each["count"] for each in stage.values("people")) == 5


def test_who_comes_and_goes_adds_up() -> None:
    stage = frames(600, speed=30, seed=5)
    said = stage.values("people")
    here = {each["id"] for each in said[0]["people"]}
    for each in said[1:]:
        here = (here | set(each["came"])) - set(each["left"])
        assert here == {person["id"] for person in each["people"]} and each["count"] == len(here)
    assert all(0 <= person["x"] <= 1 and 0 <= person["y"] <= 1 for each in said for person in each["people"])
    assert stage.fault(86_400) == ""


def test_a_picture_shows_as_many_light_places_as_there_are_people() -> None:
    empty = frames(1, per_hour=0, size="160x120").values("image")[0]
    assert empty.shape == (120, 160, 3) and empty.dtype == np.uint8 and empty.max() < 60
    stage = frames(50, per_hour=300, size="160x120", speed=10)
    lit = [int((picture.max(axis=2) > 110).sum()) for picture in stage.values("image")]
    counts = [each["count"] for each in stage.values("people")]
    assert np.corrcoef(lit, counts)[0, 1] > 0.5 or len(set(counts)) == 1
    assert lit[int(np.argmax(counts))] > 30


def test_at_night_nobody_is_there() -> None:
    assert {each["count"] for each in frames(50, at="03:00", speed=100).values("people")} == {0}


def test_hours_that_make_no_day_are_refused(tmp_path: Path) -> None:
    role, _ = put_on(Visitors, tmp_path, opens="18:00", closes="10:00")
    with pytest.raises(RoleError, match="closes before it opens"):
        role.setup()
