"""Stories of power: everything off and on, many times, and rooms that come back in pieces."""

from __future__ import annotations

import pytest

from tests.sim.power import belongs, cycles, summary


@pytest.mark.parametrize("apart_s", [0.0, 10.0, 120.0])
def test_off_and_on_again_and_again_ends_each_time_where_everything_belongs_and_nothing_thrashes(apart_s: float) -> None:
    # Given a room that is switched off while its roles have wandered, When its machines come back in any order
    found = cycles(8, apart_s, seed=3)
    # Then everything plays soon after the last has come, each role where it belongs
    assert [words for each in found for words in belongs(each)] == []
    assert max(each.all_play_s for each in found) < 8.0
    assert max(each.display_s for each in found) < 3.0
    # And no role went further than from an early machine to the one that it likes best, and apart from its copy
    assert summary(found)["moves"]["most_of_one_role"] <= 2
