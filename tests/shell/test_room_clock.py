"""The room's time as a role reads it."""

from __future__ import annotations

import time
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mesh.core.clock import Course
from mesh.shell import room_clock
from mesh.shell.room_clock import RoomClock


def test_without_an_agent_it_shows_the_wall_clock_s_time() -> None:
    assert RoomClock().now_ns() == pytest.approx(time.time_ns(), abs=10**9)


def test_the_room_s_clock_never_goes_back() -> None:
    now = time.monotonic()
    clock = RoomClock(Course(now, 1000.0))
    before = clock.now_ns()
    clock.follow(Course(now, 0.0))
    assert clock.now_ns() == before
    clock.follow(Course(now, 2000.0))
    assert clock.now_ns() >= before + 999 * 10**9


@given(
    some.lists(
        some.tuples(some.floats(0, 1e6), some.floats(-1e-3, 1e-3), some.floats(-0.02, 0.02), some.floats(0.0, 3.0)), min_size=1, max_size=5,
    ),
)
def test_it_shows_what_the_course_says_and_never_less_than_before(courses: list[tuple[float, float, float, float]]) -> None:
    local_s, shown_ns, clock = 5000.0, 0, RoomClock(Course())
    for ahead_s, pace, slew_s, passes_s in courses:
        course = Course(local_s, 1.8e9 + ahead_s, pace, slew_s, 1.0)
        clock.follow(course)
        for part in (0.0, 0.3, 1.0):
            now_s = local_s + part * passes_s
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(room_clock.time, "monotonic_ns", partial(int, now_s * 1e9))
                now_ns = clock.now_ns()
            assert now_ns >= shown_ns
            assert now_ns == shown_ns or now_ns / 1e9 == pytest.approx(course.read(now_s), abs=2e-6)
            shown_ns = now_ns
        local_s += passes_s
