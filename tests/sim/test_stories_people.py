"""Stories of what people do with a room, and of rooms that are short of machines."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from tests.sim.rooms import crowded, nameless, whispering
from tests.sim.story import FOUR, QUICK, Story, gpu_room
from tests.sim.world import World

# ---- people


def test_a_drained_machine_hands_over_first_and_gets_nothing_back_by_itself() -> None:
    story = Story(*FOUR).start()
    story.world.want("door", "drain")
    while "eye" in story.world.machines["door"].claims():
        assert story.world.playing("eye")
        story.world.run_for(0.005)
        assert story.world.t < 20.0
    story.agree()
    moved = story.pids("eye")
    story.world.want("door", "undrain")
    story.wait(5.0)
    assert story.pids("eye") == moved


def test_down_lasts_until_up_also_for_a_machine_that_was_off_meanwhile() -> None:
    story = Story(*FOUR).start()
    story.world.cut_power("left")
    story.wait(2.0)
    story.world.want("door", "down")
    story.wait(3.0)
    assert story.where() == {}
    story.world.boot("left")
    story.wait(30.0)
    assert story.where() == {}
    for name in FOUR:
        story.world.cut_power(name)
    for name in FOUR:
        story.world.boot(name)
    story.wait(30.0)
    assert story.where() == {}
    story.world.want("left", "up")
    story.agree()
    assert story.plays("wall@left", "left")


def test_a_goodbye_is_noticed_at_once() -> None:
    story = Story(*FOUR).start()
    story.world.want("shelf", "leave")
    story.until(lambda: len(story.said("node_left", name="shelf")) == 3, 0.1)


def test_a_machine_that_comes_and_goes_is_put_aside_for_longer_each_time() -> None:
    story = Story(*FOUR, timing=QUICK).start()
    story.wait(6.0)
    machine = story.world.machines["shelf"]
    aside: list[float] = []
    for _ in range(6):
        story.world.cut_power("shelf")
        story.wait(2.0)
        story.world.boot("shelf")
        story.wait(3.0)
        assert machine.agent is not None
        if machine.agent.state.put_aside:
            aside.append(machine.agent.standing.steadiness.aside_until_s - machine.now(story.world.t))
        story.wait(2.0)
    assert len(aside) == 3 and aside[0] < aside[1] < aside[2]
    # It holds nothing while it is aside, and the others know why
    assert not machine.claims()
    door = story.world.machines["door"].agent
    assert door is not None
    state = door.membership.members[machine.node].state
    assert state is not None and state.put_aside


def test_a_machine_is_not_put_aside_when_the_others_cannot_play_without_it() -> None:
    story = Story(*FOUR, room=gpu_room(), capabilities={"shelf": {"gpu": True}}, timing=QUICK).start()
    story.wait(6.0)
    for _ in range(6):
        story.world.cut_power("shelf")
        story.wait(2.0)
        story.world.boot("shelf")
        story.wait(4.0)
    assert story.plays("painter", "shelf")


def test_switching_everything_off_and_on_again_and_again_puts_nobody_aside() -> None:
    story = Story(*FOUR, timing=QUICK).start()
    for _ in range(6):
        story.wait(6.0)
        for name in FOUR:
            story.world.cut_power(name)
        for name in FOUR:
            story.world.after(story.rng.uniform(0.0, 2.0), story.world.boot, name)
        story.wait(3.0)
        story.agree()
    assert not [each for each in story.world.running() if each.agent is not None and each.agent.state.put_aside]


# ---- short of machines


def test_when_memory_runs_short_the_least_important_stays_out_with_a_reason_and_comes_back() -> None:
    names = ("door", "shelf", "left", "right", "lamp")
    story = Story(*names, room=replace(crowded(names), boot_grace_s=3.0)).start()
    assert all(len(machines) == 1 for machines in story.where().values())
    for name in ("left", "right", "lamp"):
        story.world.cut_power(name)
    story.wait(6.0)
    story.agree()
    assert len(story.world.playing("ear")) == 1
    missing = [name for name in ("mind/3", "extra") if not story.world.playing(name)]
    assert "mind/3" in missing and all(story.why_not(name) for name in missing)
    for name in ("left", "right", "lamp"):
        story.world.boot(name)
    story.agree(within_s=20.0)
    assert all(len(machines) == 1 for machines in story.where().values())


def test_traffic_of_one_node_does_not_grow_with_the_room() -> None:
    per_node: dict[int, float] = {}
    for count in (8, 24):
        names = tuple(f"m{index}" for index in range(count))
        world = World(3, replace(nameless(()), boot_grace_s=1.0))
        for name in names:
            world.add(name)
            world.boot(name)
        world.run(6.0)
        before = world.network.sent
        world.run(8.0)
        per_node[count] = (world.network.sent - before) / 2.0 / count
    assert per_node[24] <= per_node[8] * 1.25


def test_a_hundred_random_power_cycles_end_as_they_began() -> None:
    story = Story("door", "left", "right", room=replace(whispering(("door", "left", "right")), boot_grace_s=4.0)).start()
    home, rng = story.where(), Random(5)
    for _ in range(15):
        for name in story.world.machines:
            story.world.cut_power(name, lose_last_write=rng.random() < 0.3)
        for name in story.world.machines:
            story.world.after(rng.uniform(0.1, 3.0), story.world.boot, name)
        story.wait(3.1)
        story.agree()
        assert story.where().keys() == home.keys()
        assert story.plays("eye", "door")
