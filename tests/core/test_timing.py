"""The formulas that `mesh.core.timing` states hold for both presets, and no knob goes without one."""

from __future__ import annotations

import ast
import dataclasses
import inspect

import pytest

from mesh.core import timing
from mesh.core.timing import PRESETS, WIRED, WIRELESS, Timing

BURST_S, DELAY_MAX_S = 0.4, 0.07  # of the bad radio that the wireless preset is for
EITHER = pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)


def test_every_knob_says_its_unit_and_why() -> None:
    tree = ast.parse(inspect.getsource(timing))
    body = next(each for each in tree.body if isinstance(each, ast.ClassDef)).body
    said = {
        knob.target.id: words.value.value
        for knob, words in zip(body, body[1:], strict=False)
        if isinstance(knob, ast.AnnAssign) and isinstance(knob.target, ast.Name)
        and isinstance(words, ast.Expr) and isinstance(words.value, ast.Constant)
    }  # fmt: skip
    for field in dataclasses.fields(Timing):
        words = str(said.get(field.name, ""))
        assert len(words) > 60, f"{field.name} is not explained"
        assert field.name.endswith("_s") == words.startswith("s "), f"{field.name}: its unit is not said first"


@EITHER
def test_one_lost_beat_is_no_suspicion_and_an_answer_to_a_probe_comes_before_the_next_one(preset: Timing) -> None:
    assert preset.suspect_s > 2 * preset.beat_s
    assert preset.probe_s >= preset.beat_s
    assert preset.dead_s > 4 * preset.probe_s


@EITHER
def test_peers_cut_off_in_one_moment_are_judged_as_one_and_held_for_several_deaths(preset: Timing) -> None:
    assert 2 * preset.beat_s < preset.together_s <= preset.suspect_s + preset.beat_s
    assert preset.hold_s > 3 * preset.dead_s


def test_a_burst_on_a_radio_is_a_suspicion_and_never_a_death() -> None:
    assert WIRELESS.suspect_s > BURST_S + DELAY_MAX_S
    assert WIRELESS.dead_s > 2 * BURST_S
    assert WIRELESS.probe_s > 2 * DELAY_MAX_S


def test_over_the_link_a_packet_lost_twice_is_no_suspicion() -> None:
    assert WIRED.link_suspect_s > WIRED.link_every * WIRED.beat_s + 0.2 + 0.4
    assert WIRED.link_ask_s > 2 * WIRED.link_suspect_s


def test_a_wired_room_keeps_its_promises_by_these_thresholds_alone() -> None:
    """500 ms for what turns at suspicion and 1 s for what waits for death, with a beat just sent, half of each to spare for the rest."""
    assert WIRED.suspect_s + WIRED.beat_s < 0.5
    assert WIRED.suspect_s + WIRED.beat_s + WIRED.dead_s < 1.0 - 0.1
