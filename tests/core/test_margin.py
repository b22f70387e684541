"""How long before a moment to wake."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from mesh.core.margin import MARGIN_MAX_S, MARGIN_MIN_S, Margin


def test_one_late_waking_is_allowed_for_at_once() -> None:
    margin = Margin()
    margin.note(0.001)
    assert 0.001 < margin.early_s <= MARGIN_MAX_S


def test_calm_brings_it_back_slowly() -> None:
    margin = Margin()
    margin.note(0.001)
    after_one = margin.early_s
    margin.note(0.00005)
    assert after_one * 0.9 < margin.early_s < after_one
    for _ in range(500):
        margin.note(0.00005)
    assert MARGIN_MIN_S <= margin.early_s < MARGIN_MIN_S * 1.01


def test_one_that_was_kept_from_its_processor_learns_nothing_from_it() -> None:
    margin = Margin()
    margin.note(0.025)
    assert margin.early_s == MARGIN_MIN_S


@given(some.lists(some.floats(-1.0, 10.0), max_size=50))
def test_it_stays_within_its_limits(wakings: list[float]) -> None:
    margin = Margin()
    for late_s in wakings:
        margin.note(late_s)
        assert MARGIN_MIN_S <= margin.early_s <= MARGIN_MAX_S
