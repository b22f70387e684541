"""Silence as evidence: what counts as a sign of life, and what is forgiven."""

from __future__ import annotations

import pytest

from mesh.core.detector import Evidence


def test_silence_is_counted_from_the_last_sign_of_life() -> None:
    evidence = Evidence(0.0, 0.0)
    assert evidence.hear(1, 10.0)
    assert evidence.silence_s(10.3) == pytest.approx(0.3)
    assert evidence.due_s(0.22) == pytest.approx(10.22)


def test_a_duplicate_and_a_late_datagram_prove_nothing() -> None:
    evidence = Evidence(0.0, 0.0)
    evidence.hear(5, 1.0)
    assert not evidence.hear(5, 2.0)
    assert not evidence.hear(4, 2.0)
    assert evidence.silence_s(2.0) == pytest.approx(1.0)


def test_the_freshest_ear_counts() -> None:
    evidence = Evidence(0.0, 0.0)
    evidence.hear_of(0.1, 1.0)
    assert evidence.silence_s(1.0) == pytest.approx(0.1)


def test_hearsay_never_moves_the_evidence_back() -> None:
    evidence = Evidence(0.0, 0.0)
    evidence.hear(1, 1.0)
    evidence.hear_of(0.9, 1.1)
    assert evidence.freshest_s == 1.0


def test_hearsay_is_not_passed_on_as_own_hearing() -> None:
    evidence = Evidence(0.0, 0.0)
    evidence.hear_of(0.0, 1.0)
    assert evidence.direct_s == 0.0


def test_own_lag_is_forgiven_up_to_the_cap_between_two_signs_of_life() -> None:
    evidence = Evidence(0.0, 0.0)
    evidence.forgive(0.06, 0.1)
    assert evidence.silence_s(0.3) == pytest.approx(0.24)
    evidence.forgive(5.0, 0.1)
    assert evidence.silence_s(0.3) == pytest.approx(0.2)


def test_a_new_sign_of_life_ends_forgiveness() -> None:
    evidence = Evidence(0.0, 0.0)
    evidence.forgive(0.1, 0.1)
    evidence.hear(1, 1.0)
    assert evidence.silence_s(1.2) == pytest.approx(0.2)
    evidence.forgive(0.1, 0.1)
    evidence.hear_of(0.0, 2.0)
    assert evidence.silence_s(2.2) == pytest.approx(0.2)


def test_a_sign_of_life_that_came_before_what_is_known_moves_nothing_back() -> None:
    evidence = Evidence(0.0, 0.0)
    evidence.hear(1, 1.0)
    assert evidence.hear(2, 0.9)
    assert (evidence.sequence, evidence.direct_s, evidence.freshest_s) == (2, 1.0, 1.0)
