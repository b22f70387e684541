"""The gap as the audience feels it: the longest interval around a change of holder, less the usual one."""

from __future__ import annotations

import pytest

from mesh.core.gaps import AROUND_S, Gap, GapMeter

A, B, C = ("node-a", 1), ("node-b", 1), ("node-c", 1)


def heard(meter: GapMeter, holder: tuple[str, int], start_s: float, count: int, step_s: float = 0.01) -> float:
    for index in range(count):
        meter.arrived(holder, start_s + index * step_s)
    return start_s + (count - 1) * step_s


def test_the_gap_is_the_silence_less_the_usual_interval() -> None:
    meter = GapMeter("mood")
    last_s = heard(meter, A, 0.0, 100)
    last_s = heard(meter, B, last_s + 0.3, 50)
    gap = meter.due(last_s + AROUND_S)
    assert gap is not None
    assert (gap.instance, gap.before, gap.after) == ("mood", "node-a", "node-b")
    assert gap.gap_ms == pytest.approx(290, abs=0.1)


def test_a_stutter_just_before_or_after_the_change_belongs_to_it() -> None:
    meter = GapMeter("mood")
    last_s = heard(meter, A, 0.0, 100)
    last_s = heard(meter, A, last_s + 0.4, 5)
    last_s = heard(meter, B, last_s + 0.1, 5)
    last_s = heard(meter, B, last_s + 0.2, 5)
    gap = meter.due(last_s + AROUND_S)
    assert gap is not None and gap.gap_ms == pytest.approx(390, abs=0.1)


def test_no_gap_is_told_without_a_change_of_holder_or_before_its_second_is_over() -> None:
    meter = GapMeter("mood")
    last_s = heard(meter, A, 0.0, 10)
    last_s = heard(meter, A, last_s + 5.0, 10)
    assert meter.due(99.0) is None
    meter.arrived(B, last_s + 0.5)
    assert meter.waits
    assert meter.due(last_s + 0.6) is None


def test_a_gap_is_told_once() -> None:
    meter = GapMeter("mood")
    heard(meter, A, 0.0, 3)
    meter.arrived(B, 1.0)
    assert isinstance(meter.due(3.0), Gap)
    assert meter.due(4.0) is None


def test_two_changes_within_a_second_are_one_gap() -> None:
    meter = GapMeter("mood")
    last_s = heard(meter, A, 0.0, 100)
    meter.arrived(B, last_s + 0.2)
    meter.arrived(C, last_s + 0.5)
    gap = meter.due(last_s + 2.0)
    assert gap == Gap("mood", pytest.approx(290, abs=0.1), "node-a", "node-c")


def test_a_process_started_again_on_the_same_node_is_a_change() -> None:
    meter = GapMeter("mood")
    heard(meter, A, 0.0, 3)
    meter.arrived(("node-a", 2), 1.0)
    assert meter.waits
