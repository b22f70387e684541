"""The figures that the simulator prints: what a node says does not grow with the room, and what zero events prove."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.sim.hours import add, live, most
from tests.sim.rooms import whispering
from tests.sim.traffic import traffic
from tests.sim.world import World


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


def test_in_a_large_room_one_death_makes_nobody_suspect_anybody_else() -> None:
    """Given 24 machines, of which most change whom they watch when one dies; then who begins to watch waits until it could have heard."""
    names = tuple(f"m{index:03}" for index in range(24))
    world = World(1, replace(whispering(names), boot_grace_s=2.0))
    for name in names:
        world.add(name)
        world.boot(name)
    world.run(8.0)

    def watchers() -> list[tuple[str, ...]]:
        tables = {name: agent.membership for name, machine in world.machines.items() if (agent := machine.agent) is not None}
        return [table.observers(table.me.node) for name, table in tables.items() if name != names[0]]

    before = watchers()
    lost_s = world.t
    world.cut_power(names[0])
    world.run_for(4.0)
    assert sum(one != other for one, other in zip(before, watchers(), strict=True)) > len(names) // 2
    assert {each.fields["name"] for each in world.reports("node_suspect") if each.t > lost_s} == {names[0]}
    assert {each.machine for each in world.reports("node_dead") if each.t > lost_s} == set(names[1:])
