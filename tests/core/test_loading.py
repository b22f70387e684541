"""A role that loads for long is told of, more and more seldom, with where it is; nonsense in its pulse harms nobody."""

from __future__ import annotations

import pytest

from mesh.core.loading import LATE_S, Lingering, Loading, busy_words, late_words, loading_words, place_in
from mesh.core.vigil import HUNG_S, examine


def test_one_that_is_ready_in_time_is_never_told_of() -> None:
    loading = Loading()
    loading.begun("eye", 1, 0.0)
    assert loading.late({"eye": 1}, LATE_S[0] - 0.1) == []
    assert loading.late({}, LATE_S[0] + 1) == []
    assert loading.late({"eye": 1}, LATE_S[0] + 2) == []  # it was ready meanwhile: no process of that generation loads


def test_one_that_loads_on_is_told_of_at_each_of_the_times_once() -> None:
    loading = Loading()
    loading.begun("eye", 1, 10.0)
    told = [second for second in range(10, 2010) if loading.late({"eye": 1}, float(second))]
    assert told == [10 + each for each in LATE_S]


def test_a_machine_that_stood_still_tells_it_once_and_a_process_started_anew_has_its_time_again() -> None:
    loading = Loading()
    loading.begun("eye", 1, 0.0)
    assert loading.late({"eye": 1}, 70.0) == [("eye", 70.0)]
    assert loading.late({"eye": 1}, 71.0) == []
    loading.begun("eye", 2, 80.0)
    assert loading.late({"eye": 2}, 84.0) == [] and loading.late({"eye": 2}, 85.0) == [("eye", 5.0)]


def test_the_words_say_for_how_long_and_where_or_that_nothing_was_said_yet() -> None:
    assert late_words(5.2, "roles.py:14 in setup") == "still loading after 5 s: it is at roles.py:14 in setup"
    assert "has said nothing yet" in late_words(20.0, "")
    facts = {"loading": [12, "roles.py:14 in setup"]}
    assert loading_words("its process is loading", facts) == "its process is loading (for 12 s, now at roles.py:14 in setup)"
    assert loading_words("its process is loading", {"loading": [12, ""]}) == "its process is loading (for 12 s)"


@pytest.mark.parametrize("nonsense", [None, "x", [], [1], ["a", "b"], [1, 2], {"a": 1}, [1, "a", "b"], 7])
def test_what_a_process_that_was_taken_over_says_there_harms_nobody(nonsense: object) -> None:
    assert place_in({"loading": nonsense}) == "" and place_in({}) == ""
    assert loading_words("loading", {"loading": nonsense}) == "loading"
    assert busy_words("", {"busy": nonsense}) == "" and Lingering().words("eye", 1, {"facts": {"busy": nonsense}}, HUNG_S) == ""
    assert examine({"busy_s": HUNG_S, "facts": {"busy": nonsense}}, 0.1, None) is not None


def test_one_long_call_is_told_of_once_for_each_process_with_its_place_long_before_it_counts_as_hung() -> None:
    lingering = Lingering()
    pulse = {"busy_s": 5.2, "facts": {"busy": [5.2, "roles.py:9 in tick"]}}
    words = lingering.words("eye", 1, pulse, HUNG_S)
    assert words == "one call has lasted for 5 s: it is at roles.py:9 in tick; a call of 20 s is ended"
    assert lingering.words("eye", 1, pulse, HUNG_S) == "" and lingering.words("eye", 2, pulse, HUNG_S) == words
    assert lingering.words("ear", 1, {"facts": {"busy": [4.9, "x"]}}, HUNG_S) == ""
    # And what `status` says, and what ends it, name the place as well
    assert busy_words("", pulse["facts"]) == "one call has lasted for 5 s, at roles.py:9 in tick"  # type: ignore[arg-type]
    found = examine({**pulse, "busy_s": 20.1}, 0.1, None)
    assert found is not None and found.words == "it hung: one call lasted 20 s, at roles.py:9 in tick"
