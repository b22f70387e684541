"""Stories of power: everything off and on, many times, and rooms that come back in pieces."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.sim.power import belongs, cycles, summary
from tests.sim.rooms import whispering
from tests.sim.story import FOUR, Story


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


def test_a_machine_that_boots_slowly_every_morning_is_not_held_for_one_that_comes_and_goes() -> None:
    # Given a room that is switched off and on again and again, whose door needs two minutes to boot
    story = Story(*FOUR, room=replace(whispering(FOUR), boot_grace_s=20.0)).start()
    for _ in range(5):
        for name in FOUR:
            story.world.cut_power(name)
        story.wait(2.0)
        for name in FOUR:
            story.world.after(115.0 if name == "door" else 0.0, story.world.boot, name)
        story.wait(117.0)
        # Then the camera's role is back on it each time, and it is never put aside
        story.agree(within_s=30.0)
        assert story.holder("eye") == "door"
        assert not any(machine.agent.standing.steadiness.put_aside for machine in story.world.running() if machine.agent is not None)


def test_copies_that_had_to_share_a_machine_part_again_when_the_room_has_been_steady_for_a_while() -> None:
    # Given a room in which all but two machines lose their power, so that both copies end on one, or beside what else there is
    story = Story(*FOUR).start()
    story.wait(200.0)
    for name in ("door", "shelf", "right"):
        story.world.cut_power(name)
    story.agree(within_s=30.0)
    assert story.holder("poet/1") == story.holder("poet/2") == "left"
    # When they are back
    for name in ("door", "shelf", "right"):
        story.world.boot(name)
    story.wait(10.0)
    story.agree(within_s=30.0)
    # Then holders stay at first, and once everybody has been here for a minute the copies are each other's standby again
    story.wait(70.0)
    story.agree(within_s=30.0)
    assert story.holder("poet/1") != story.holder("poet/2")
    moved = [said for said in story.said("takeover", cause="planned") if said.fields["instance"].startswith("poet/")]
    assert len(moved) == 1
