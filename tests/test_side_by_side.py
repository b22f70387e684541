"""The README's table is written by the benchmark itself."""

from __future__ import annotations

import pytest

from benchmarks.side_by_side import BEGINS, ENDS, README, into_readme


def test_a_whole_run_puts_its_table_in_the_place_of_the_one_before_and_touches_nothing_else() -> None:
    # Given the README as it is
    text = README.read_text()
    before, after = text[: text.index(BEGINS)], text[text.index(ENDS) :]
    # When a run has made two tables, one after the other
    once = into_readme(text, "| first |")
    twice = into_readme(once, "| second |")
    # Then the last one stands there alone, and the rest is what it was
    assert "| first |" in once and "| first |" not in twice and "| second |" in twice
    assert twice.startswith(before + BEGINS) and twice.endswith(after)


def test_a_readme_without_a_place_for_the_table_is_left_alone_in_words() -> None:
    with pytest.raises(SystemExit, match="no place for the table"):
        into_readme("# Roomful\n", "| one |")
