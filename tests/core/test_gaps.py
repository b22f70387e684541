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


def test_a_stream_with_pauses_of_its_own_has_a_gap_only_beyond_them() -> None:
    # Given speech: sentences of five pieces, eight seconds apart
    meter, now = GapMeter("poet"), 0.0
    for _ in range(6):
        now = heard(meter, A, now + 8.0, 5, step_s=0.14)
    # When the next sentence comes from another, 8.5 s later
    last_s = heard(meter, B, now + 8.5, 5, step_s=0.14)
    # Then half a second is what could be noticed, not eight
    gap = meter.due(last_s + AROUND_S)
    assert gap is not None and gap.gap_ms == pytest.approx(500, abs=1)


def test_the_time_between_two_answers_is_no_gap_and_a_pause_within_one_is() -> None:
    # Given two copies that answer in turn, eight seconds apart
    meter = GapMeter("poet")
    for number, holder in enumerate((A, B, A)):
        for piece in range(10):
            meter.arrived(holder, number * 8.0 + piece * 0.1, f"r{number}")
    assert not meter.waits
    # When one stops in the middle of its answer and the other goes on
    meter.arrived(B, 17.2, "r2")
    # Then the pause within the sentence is the gap
    gap = meter.due(17.2 + AROUND_S)
    assert gap is not None and gap.gap_ms == pytest.approx(200, abs=1)


def test_a_single_stutter_does_not_make_a_steady_stream_uneven() -> None:
    meter = GapMeter("mood")
    last_s = heard(meter, A, 0.0, 30)
    last_s = heard(meter, A, last_s + 0.5, 200)
    last_s = heard(meter, B, last_s + 0.3, 50)
    gap = meter.due(last_s + AROUND_S)
    assert gap is not None and gap.gap_ms == pytest.approx(290, abs=1)
