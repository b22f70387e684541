"""The figures that the simulator prints: what a node says does not grow with the room, and what zero events prove."""

from __future__ import annotations

import pytest

from tests.sim.hours import add, live, most
from tests.sim.traffic import traffic


def test_what_a_node_says_is_flat_from_8_nodes_to_32() -> None:
    found = {nodes: traffic(nodes, 4.0) for nodes in (8, 16, 32)}
    totals = [each["bytes_per_s"] for each in found.values()]
    assert max(totals) <= 2 * min(totals), found
    # And in a room at rest it is heartbeats, digests and the clock, and nothing else
    assert set(found[32]["kinds"]) <= {"Beat", "Digest", "ClockAsk", "ClockTold"}


def test_zero_events_bound_the_rate_at_three_and_more_events_higher() -> None:
    assert most(0) == pytest.approx(2.996, abs=0.001)
    assert most(1) == pytest.approx(4.744, abs=0.001)
    assert most(10) == pytest.approx(16.962, abs=0.001)


def test_runs_of_the_same_conditions_add_up_and_a_seed_counts_once() -> None:
    one = live(0.02, 4, "wireless", loss=0.05, jitter_s=0.05, burst_every_s=20.0, seed=1)
    rows = [one]
    add(rows, live(0.02, 4, "wireless", loss=0.05, jitter_s=0.05, burst_every_s=0.0, seed=1))
    both = add(rows, live(0.03, 4, "wireless", loss=0.05, jitter_s=0.05, burst_every_s=20.0, seed=2))
    assert len(rows) == 2 and both["hours"] == 0.05 and both["seeds"] == [1, 2]
    assert both["false_takeovers"] == 0 and both["takeovers_per_hour_at_most"] == pytest.approx(2.996 / 0.05, abs=0.1)
    with pytest.raises(ValueError, match="already"):
        add(rows, live(0.01, 4, "wireless", loss=0.05, jitter_s=0.05, burst_every_s=20.0, seed=2))
