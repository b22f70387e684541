"""Drawing a token is a pure function, with the taste of llama.cpp's samplers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roles.inference.drawing import Taste, chance, draw, request_seed

LOGITS = np.log(np.array([0.5, 0.25, 0.125, 0.0625, 0.0625], np.float32))
FREE = Taste(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0)


def shares(taste: Taste, logits: np.ndarray = LOGITS, said: tuple[int, ...] = (), count: int = 4000) -> np.ndarray:
    drawn = [draw(logits, said, taste, 1, position) for position in range(count)]
    return np.bincount(drawn, minlength=len(logits)) / count


def test_without_filters_words_come_as_often_as_the_model_means() -> None:
    assert np.abs(shares(FREE) - np.exp(LOGITS)).max() < 0.03


def test_temperature_0_takes_the_likeliest_and_the_lower_of_two_equals() -> None:
    assert draw(LOGITS, (), Taste(temperature=0), 5, 5) == 0
    assert draw(np.array([1, 3, 3], np.float32), (), Taste(temperature=0), 5, 5) == 1


@pytest.mark.parametrize(
    ("taste", "left"),
    [
        (Taste(temperature=1, top_k=2, top_p=1, min_p=0), {0, 1}),
        (Taste(temperature=1, top_k=0, top_p=0.7, min_p=0), {0, 1}),
        (Taste(temperature=1, top_k=0, top_p=1, min_p=0.2), {0, 1, 2}),
        (Taste(temperature=1, top_k=1, top_p=1, min_p=0), {0}),
        (Taste(temperature=9, top_k=3, top_p=0.6, min_p=0.9), {0}),
    ],
)
def test_a_filter_leaves_only_the_words_it_should(taste: Taste, left: set[int]) -> None:
    assert set(np.flatnonzero(shares(taste))) == left


def test_cold_is_narrow_and_hot_is_wide() -> None:
    cold, hot = (shares(Taste(temperature=t, top_k=0, top_p=1, min_p=0)) for t in (0.3, 3.0))
    assert cold[0] > 0.85
    assert hot[0] < 0.35


def test_a_penalty_makes_what_was_said_less_likely() -> None:
    logits = np.array([2.0, 1.0, -1.0], np.float32)
    repeats = Taste(temperature=1, top_k=0, top_p=1, min_p=0, repeat_penalty=1.5)
    assert shares(repeats, logits, (0,))[0] < shares(FREE, logits)[0] - 0.05
    assert shares(repeats, logits, (2,))[2] < shares(FREE, logits)[2]
    far = Taste(temperature=1, top_k=0, top_p=1, min_p=0, repeat_penalty=1.5, repeat_last=1)
    assert shares(far, logits, (0, 1))[0] == pytest.approx(shares(far, logits, (1,))[0])


def test_the_logits_are_left_as_they_were() -> None:
    logits = LOGITS.copy()
    draw(logits, (0, 1), Taste(repeat_penalty=2.0), 1, 1)
    assert (logits == LOGITS).all()


def test_chance_is_the_same_everywhere_and_spread_evenly() -> None:
    # These numbers are a promise: another machine, of another version, must draw them too.
    assert [round(chance(7, position), 12) for position in range(3)] == [0.278137261317, 0.882730017658, 0.056774863826]
    many = np.array([chance(3, position) for position in range(5000)])
    assert many.min() >= 0 and many.max() < 1
    assert np.abs(np.histogram(many, 10, (0, 1))[0] - 500).max() < 100


def test_each_request_has_its_own_chance_unless_the_seed_is_fixed() -> None:
    assert request_seed(None, "mood:1:4") != request_seed(None, "mood:1:5")
    assert request_seed(None, "mood:1:4") == request_seed(None, "mood:1:4")
    assert request_seed(9, "mood:1:4") == request_seed(9, "mood:1:5") != request_seed(8, "mood:1:5")


@given(
    st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=60),
    st.integers(0, 2**64 - 1),
    st.integers(0, 10**6),
    st.floats(0, 5),
    st.integers(0, 70),
    st.floats(0.01, 1),
    st.floats(0, 1),
    st.floats(0.5, 3),
)
def test_whatever_the_settings_a_word_of_the_vocabulary_is_drawn(
    logits: list[float], seed: int, position: int, temperature: float, top_k: int, top_p: float, min_p: float, penalty: float
) -> None:
    taste = Taste(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p, repeat_penalty=penalty)
    values = np.array(logits, np.float32)
    token = draw(values, [0], taste, seed, position)
    assert 0 <= token < len(logits)
    assert token == draw(values, [0], taste, seed, position)
