"""The room's time on one machine, and one machine's clock against another's: by tables and by chance, in virtual time."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from mesh.core.clock import AIM_S, DRIFT_MAX, SLEW_MAX, Course, OffsetMeter, course_of


class Pair:
    """Two steady clocks and the network between them: `one` asks `other`. `there` and `back` give the time that each way takes."""

    def __init__(self, *, ahead_s: float = 37.5, drift: float = 0.0) -> None:
        self.ahead_s, self.drift, self.t = ahead_s, drift, 1000.0
        self.meter = OffsetMeter()

    def other(self, t: float) -> float:
        return t + self.ahead_s + self.drift * (t - 1000.0)

    def true_offset(self) -> float:
        return self.other(self.t) - self.t

    def exchange(self, there_s: float, back_s: float, held_s: float = 0.0001) -> None:
        asked_s, heard_t = self.t, self.t + there_s
        self.t = heard_t + held_s + back_s
        self.meter.add(asked_s, self.other(heard_t), self.other(heard_t + held_s), self.t)

    def error_s(self) -> float:
        estimate = self.meter.estimate
        assert estimate is not None
        return abs(estimate.offset_at(self.t) - self.true_offset())

    def doubt_s(self) -> float:
        estimate = self.meter.estimate
        assert estimate is not None
        return estimate.doubt_at(self.t)


@settings(max_examples=60)
@given(
    seed=some.integers(0, 2**32), drift=some.floats(-2e-4, 2e-4), there_s=some.floats(1e-5, 0.02), back_s=some.floats(1e-5, 0.02),
    jitter_there_s=some.floats(0.0, 0.06), jitter_back_s=some.floats(0.0, 0.06), loss=some.floats(0.0, 0.5),
)  # fmt: skip
def test_the_error_is_never_more_than_is_stated(
    seed: int, drift: float, there_s: float, back_s: float, jitter_there_s: float, jitter_back_s: float, loss: float,
) -> None:  # fmt: skip
    rng, pair = Random(seed), Pair(drift=drift)
    for _ in range(150):
        if rng.random() >= loss:
            pair.exchange(there_s + rng.random() * jitter_there_s, back_s + rng.random() * jitter_back_s)
            assert pair.error_s() <= pair.doubt_s() + 1e-9
            assert abs(pair.drift - pair.meter.drift) <= pair.meter.drift_doubt + 1e-9
        pair.t += 0.5
        if pair.meter.estimate is not None:
            assert pair.error_s() <= pair.doubt_s() + 1e-9


def test_with_jitter_both_ways_the_quickest_of_each_way_count() -> None:
    rng, pair = Random(1), Pair(drift=1e-4)
    for _ in range(240):
        pair.exchange(0.0002 + rng.random() * 0.005, 0.0002 + rng.random() * 0.005)
        pair.t += 0.5
    assert pair.error_s() < 0.0003
    assert pair.doubt_s() < 0.0012


def test_the_drift_is_known_within_a_few_parts_in_a_million_after_some_minutes() -> None:
    rng, pair = Random(2), Pair(drift=-87e-6)
    for _ in range(480):
        pair.exchange(0.0002 + rng.random() * 0.0002, 0.0002 + rng.random() * 0.0002)
        pair.t += 0.5
    assert pair.meter.drift == pytest.approx(-87e-6, abs=2e-6)
    assert pair.meter.drift_doubt < 8e-6


@pytest.mark.parametrize("leap_s", [-3600.0, -0.5, 0.003, 12.0])
def test_a_clock_that_leaps_is_believed_anew_at_the_next_exchange(leap_s: float) -> None:
    pair = Pair()
    for _ in range(60):
        pair.exchange(0.0003, 0.0004)
        pair.t += 0.5
    pair.ahead_s += leap_s
    pair.exchange(0.0003, 0.0004)
    assert pair.error_s() <= pair.doubt_s() < 0.001
    assert pair.meter.drift_doubt == DRIFT_MAX


@pytest.mark.parametrize(
    ("asked_s", "heard_s", "answered_s", "now"),
    [(10.0, 5.0, 5.0, 9.0), (10.0, 5.0, 5.0, 13.0), (10.0, 5.0, 6.0, 10.5)],
    ids=["answered before it was asked", "too long under way", "held for longer than it was away"],
)
def test_an_exchange_that_cannot_be_teaches_nothing(asked_s: float, heard_s: float, answered_s: float, now: float) -> None:
    meter = OffsetMeter()
    assert meter.add(asked_s, heard_s, answered_s, now) is None
    assert meter.count == 0


times = some.floats(0.0, 1e6)


@given(
    at_s=times, aims=some.lists(some.tuples(some.floats(0.0, 3.0), some.floats(-2.0, 2.0), some.floats(-1e-3, 1e-3)), max_size=6),
    looks=some.lists(some.floats(0.0, 0.99), min_size=1, max_size=5),
)  # fmt: skip
def test_a_course_that_is_corrected_never_steps_and_never_goes_back(
    at_s: float, aims: list[tuple[float, float, float]], looks: list[float],
) -> None:  # fmt: skip
    course, now = Course(at_s, 1000.0), at_s
    for passed_s, by_s, pace in aims:
        now += passed_s
        better = course.towards(now, course.read(now) + AIM_S + by_s, pace)
        assert better.read(now) == pytest.approx(course.read(now), abs=1e-6)
        course = better
        shown = [course.read(now + look * 100) for look in sorted(looks)]
        assert shown == sorted(shown)
        for one, two in zip(sorted(looks), sorted(looks)[1:], strict=False):
            assert abs((course.read(now + two * 100) - course.read(now + one * 100)) - (two - one) * 100) <= (two - one) * 100 * (
                SLEW_MAX + 2e-3
            ) + 1e-6


def test_a_correction_is_done_when_it_was_to_be_done() -> None:
    course = Course(10.0, 500.0).towards(12.0, 503.01, 0.0)
    assert course.read(12.0) == pytest.approx(502.0)
    assert course.read(13.0) == pytest.approx(503.01)
    assert course.read(14.0) == pytest.approx(504.01)
    assert (course.left_s(12.0), course.left_s(12.5), course.left_s(13.0)) == pytest.approx((0.01, 0.005, 0.0))


def test_a_course_travels_as_an_order() -> None:
    course = Course(10.0, 500.0, 1e-5, 0.001, 1.0)
    assert course_of(course.as_order()) == course


@pytest.mark.parametrize(
    "change",
    [
        {"pace": 0.5}, {"over_s": 0.0}, {"over_s": float("nan")}, {"slew_s": 5.0}, {"room_s": "noon"}, {"at_s": None},
        {"at_s": float("inf")},
    ],
)
def test_what_is_no_course_is_refused(change: dict[str, object]) -> None:
    with pytest.raises((LookupError, TypeError, ValueError)):
        course_of({**Course(10.0, 500.0).as_order(), **change})
