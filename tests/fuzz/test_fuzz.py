"""Whatever comes, a reader returns or says what it promises: the corpus replayed, and fresh inputs each time."""

from __future__ import annotations

import time
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from tests.fuzz.corpus import kept
from tests.fuzz.mutation import mutated
from tests.fuzz.targets import TARGETS

PATIENCE_S = 5.0  # on a slow machine; what is bounded takes milliseconds


@pytest.mark.parametrize("name", TARGETS)
def test_what_once_did_harm_does_none(name: str) -> None:
    for data, _ in kept(name):
        begun_s = time.monotonic()
        TARGETS[name].read(data)
        assert time.monotonic() - begun_s < PATIENCE_S


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(chance=some.integers(0, 2**64))
def test_a_real_one_that_was_mutated_does_no_harm(name: str, chance: int) -> None:
    TARGETS[name].read(mutated(TARGETS[name].seeds, Random(chance)))


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(data=some.binary(max_size=600))
def test_any_bytes_do_no_harm(name: str, data: bytes) -> None:
    TARGETS[name].read(data)


@pytest.mark.parametrize("name", TARGETS)
def test_its_seeds_are_real_ones_so_that_what_is_mutated_gets_past_the_first_look(name: str) -> None:
    for seed in TARGETS[name].seeds:
        TARGETS[name].read(seed)


def test_the_corpus_holds_what_was_found() -> None:
    assert {name for name in TARGETS if list(kept(name))} >= {"posted", "browser_says", "recorded_message"}
