"""How old what is shown is, and where it was captured: from the wires and the pulses, in words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mesh.core.ages import EVERY_S, KEPT, AgeMeter
from mesh.core.latency import in_words, latencies, sensors
from tests.sim.rooms import heard, ring, whispering

ROOM = whispering(("door", "shelf", "left", "right"))


def test_the_sensor_of_a_role_is_at_the_far_end_of_its_wires() -> None:
    assert sensors("wall", ROOM) == sensors("poet", ROOM) == ("eye",)
    assert sensors("eye", ROOM) == ("eye",)
    assert sensors("nobody", ROOM) == ()


def test_a_role_with_two_inputs_has_the_sensors_of_both_and_each_input_its_own() -> None:
    ear = heard("ear", "source", 5)
    both = replace(ROOM, roles=(*ROOM.roles, ear, heard("canvas", "screen", 6, "mood", "ear", each=("left",))))
    assert sensors("canvas", both) == ("eye", "ear")
    assert (sensors("canvas", both, "mood"), sensors("canvas", both, "ear")) == (("eye",), ("ear",))


def test_roles_that_hear_each_other_end_the_search() -> None:
    assert sensors("page", ring(("a", "b"))) == ()


def test_each_input_of_each_instance_is_told_and_a_line_is_said_for_each_display() -> None:
    age = {"median_ms": 84.2, "p99_ms": 130.4, "measured": 200}
    pulses = {"wall@left": {"ages": {"poet": age}}, "mood": {"ages": {"presence": {**age, "median_ms": 6.25}}}, "eye": {}}
    rows = latencies(ROOM, pulses)
    assert [(row["instance"], row["input"], row["from"], row["display"]) for row in rows] == [
        ("mood", "presence", ["eye"], False), ("wall@left", "poet", ["eye"], True),
    ]  # fmt: skip
    assert rows[1]["median_ms"] == 84.2
    assert in_words(rows) == ["eye → wall@left 84 ms, at most 130"]
    assert latencies(None, pulses)[1]["from"] == []


def test_the_median_and_the_worst_in_a_hundred_of_the_last_frames_are_kept() -> None:
    meter = AgeMeter()
    assert meter.age() is None
    for number in range(2 * KEPT):
        meter.note(0.5 if number < KEPT else 0.01 if number % 50 else 0.2, number * EVERY_S)
    age = meter.age()
    assert age is not None
    assert (age.median_ms, age.p99_ms, age.measured) == (10.0, 200.0, KEPT)


def test_a_fast_stream_is_measured_now_and_then() -> None:
    meter = AgeMeter()
    meter.note(0.01, 100.0)
    assert meter.due_s == 100.0 + EVERY_S


@pytest.mark.parametrize("nonsense_s", [-5.0, 1.7e9])
def test_what_was_captured_before_the_time_was_known_is_not_believed(nonsense_s: float) -> None:
    meter = AgeMeter()
    meter.note(nonsense_s, 1.0)
    assert meter.age() is None
