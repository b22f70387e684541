"""Stories of the room's time: nobody sees it go back, and nobody is further from it than is said, whatever the network does."""

from __future__ import annotations

import pytest

from mesh.core.clock import SLEW_MAX
from mesh.core.timekeeping import EARLIEST_S, FAN, KEEP_S, Timekeeper
from tests.sim.machine import Machine
from tests.sim.network import Weather
from tests.sim.rooms import NAMES
from tests.sim.story import FOUR, Story

LOOK_S = 0.02
DRIFT = 6e-4  # the simulator's clocks run up to 200 ppm fast or slow, and the room's time may run as one of them


class Clocks:
    """Watches the time that the roles of each machine are shown."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.shown: dict[str, tuple[str, float, float]] = {}  # machine -> (boot, the world's time, the room's time there)
        self.fastest = 0.0
        self.slowest = 10.0
        self.worst_s = 0.0

    def keeper(self, name: str) -> Timekeeper:
        agent = self.story.world.machines[name].agent
        assert agent is not None
        return agent.clock

    def read(self, machine: Machine) -> float | None:
        """The room's time that its roles are shown; None before they were told of it."""
        return None if machine.course is None else machine.course.read(machine.now(self.story.world.t))

    def reference(self) -> str:
        """The one machine that leads."""
        (leader,) = [each.name for each in self.story.world.running() if each.agent is not None and self.leads(each.agent.clock)]
        return leader

    def leads(self, keeper: Timekeeper) -> bool:
        return keeper.keeps and not keeper.source

    def watch(self, seconds: float, *, agreed: bool = True) -> None:
        """Time passes. It never goes back anywhere; and if they have agreed, all are as near to the reference as they say."""
        world = self.story.world
        until = world.t + seconds
        while world.t < until:
            world.run(world.t + LOOK_S)
            for machine in world.running():
                self._look(machine)
            if agreed:
                self._compare()

    def _look(self, machine: Machine) -> None:
        now = self.read(machine)
        if now is None:
            return
        boot, seen_t, before = self.shown.get(machine.name, ("", 0.0, 0.0))
        self.shown[machine.name] = (machine.boot, self.story.world.t, now)
        if boot == machine.boot:
            assert now >= before, f"on {machine.name} the time went back by {before - now:.6f} s at {self.story.world.t:.2f} s"
            pace = (now - before) / (self.story.world.t - seen_t)
            self.fastest, self.slowest = max(self.fastest, pace), min(self.slowest, pace)

    def _compare(self) -> None:
        world = self.story.world
        reference = self.read(world.machines[self.reference()])
        assert reference is not None
        for machine in world.running():
            shown, keeper = self.read(machine), self.keeper(machine.name)
            if shown is None or not keeper.known:
                continue
            error_s, stated_s = abs(shown - reference), keeper.doubt_s(machine.now(world.t))
            assert error_s <= stated_s + 1e-4, f"{machine.name} is {error_s * 1000:.3f} ms off, and says {stated_s * 1000:.3f}"
            self.worst_s = max(self.worst_s, error_s)


def told_time(story: Story, *names: str) -> Clocks:
    """Start these machines, or all, and wait until each of them shows the room's time."""
    clocks = Clocks(story)
    for name in names or tuple(story.world.machines):
        story.world.boot(name)
    story.until(lambda: all(clocks.keeper(each.name).keeps for each in story.world.running()), 2 * KEEP_S, 0.1)
    return clocks


def settled(story: Story) -> Clocks:
    clocks = told_time(story)
    story.until(lambda: len([each for each in story.world.running() if not clocks.keeper(each.name).source]) == 1, 20.0, 0.1)
    clocks.watch(10.0, agreed=False)
    return clocks


@pytest.mark.parametrize(("jitter_s", "loss", "within_ms"), [(0.0003, 0.0, 1.0), (0.005, 0.02, 4.0), (0.05, 0.1, 25.0)])
def test_a_room_agrees_on_one_time_and_nobody_is_further_from_it_than_it_says(jitter_s: float, loss: float, within_ms: float) -> None:
    # Given clocks that run up to 200 ppm fast or slow, and a network with jitter and loss
    story = Story(*FOUR, seed=3)
    story.world.network.weather = Weather(0.0002, jitter_s, loss, 0.02)
    # When the room has played for a while
    clocks = settled(story)
    clocks.watch(60.0)
    # Then all show one time, without a leap
    assert clocks.worst_s * 1000 < within_ms
    assert 1 - SLEW_MAX - DRIFT < clocks.slowest < clocks.fastest < 1 + SLEW_MAX + DRIFT


@pytest.mark.parametrize("how", ["power", "agent", "cable", "left"])
def test_the_loss_of_the_reference_moves_the_time_of_nobody(how: str) -> None:
    story = Story(*FOUR, seed=5)
    clocks = settled(story)
    lost = clocks.reference()
    clocks.slowest, clocks.fastest = 10.0, 0.0
    # When the reference is lost
    if how == "power":
        story.world.cut_power(lost)
    elif how == "agent":
        story.world.kill_agent(lost)
    elif how == "cable":
        story.world.unplug(lost)
    else:
        story.world.want(lost, "leave")
    clocks.watch(5.0, agreed=False)
    # Then another leads, and the time ran on everywhere as it had run
    others = [each for each in story.world.running() if each.name != lost]
    assert [each.name for each in others if clocks.leads(clocks.keeper(each.name))] == [min(others, key=lambda each: each.node).name]
    assert abs(clocks.slowest - 1) < 2e-3 and abs(clocks.fastest - 1) < 2e-3
    if how != "cable":
        clocks.watch(30.0)


def test_each_machine_in_turn_may_be_lost_and_come_back() -> None:
    story = Story(*FOUR, seed=7)
    clocks = settled(story)
    for name in FOUR:
        story.world.cut_power(name)
        clocks.watch(8.0, agreed=False)
        story.world.machines[name].course = None
        story.world.boot(name)
        clocks.watch(2.5 * KEEP_S, agreed=False)
    clocks.watch(20.0)
    assert clocks.fastest < 1 + SLEW_MAX + DRIFT


def test_a_machine_that_joins_first_in_order_and_with_a_wall_clock_that_was_never_set_moves_nobody() -> None:
    # Given a room, and a newcomer that will be its reference, with no battery for its clock
    story = Story(*FOUR, seed=9)
    clocks = settled(story)
    story.world.add("lamp", node="0" * 16).wall_s = 0.0
    clocks.slowest, clocks.fastest = 10.0, 0.0
    # When it joins, follows, and at last leads
    story.world.boot("lamp")
    clocks.watch(1.0, agreed=False)
    clocks.watch(3 * KEEP_S, agreed=False)
    # Then everyone's time ran on
    assert clocks.reference() == "lamp"
    clocks.watch(20.0)
    assert abs(clocks.slowest - 1) < 4e-3 and abs(clocks.fastest - 1) < 4e-3


def test_of_two_rooms_that_meet_the_one_whose_time_is_ahead_leads_the_other_forward() -> None:
    # Given machines that start before their switch does, two of them without a clock that was ever set
    story = Story(*FOUR, seed=11)
    story.world.machines["door"].wall_s = story.world.machines["left"].wall_s = 100.0
    story.world.cut("door left", "shelf right")
    clocks = told_time(story)
    clocks.watch(5.0, agreed=False)
    read = {each.name: clocks.read(each) for each in story.world.running()}
    assert read["door"] is not None and read["shelf"] is not None
    assert EARLIEST_S <= read["door"] < EARLIEST_S + 1000 < 1.8e9 <= read["shelf"]
    # When the switch is there
    story.world.heal()
    story.until(lambda: len([each for each in FOUR if not clocks.keeper(each).source]) == 1, 20.0, 0.1)
    clocks.watch(5.0, agreed=False)
    # Then all show the later time; nobody's went back
    clocks.watch(20.0)
    assert all((clocks.read(each) or 0.0) >= 1.8e9 for each in story.world.running())


def test_a_machine_whose_clock_stood_still_while_it_slept_is_led_forward_again() -> None:
    story = Story(*FOUR, seed=13)
    clocks = settled(story)
    sleeper = next(name for name in FOUR if name != clocks.reference())
    machine = story.world.machines[sleeper]
    before = clocks.read(machine)
    # When it sleeps for half a minute, in which its steady clock does not go on
    story.world.pause(sleeper)
    story.world.run_for(30.0)
    machine.clock.zero_s -= 30.0
    clocks.shown.pop(sleeper)
    story.world.resume(sleeper)
    clocks.watch(5.0, agreed=False)
    # Then it shows what the others show
    assert before is not None and (clocks.read(machine) or 0.0) >= before + 34.0
    clocks.watch(20.0)


def test_in_a_large_room_nobody_is_asked_by_more_than_a_few() -> None:
    names = tuple(f"m{number}" for number in range(6))
    story = Story(*NAMES, *names, seed=15)
    clocks = settled(story)
    sources = [clocks.keeper(each.name).source for each in story.world.running()]
    assert sources.count("") == 1
    assert max(sources.count(each) for each in sources if each) <= FAN
    assert max(clocks.keeper(each.name).steps for each in story.world.running()) == 2
    clocks.watch(10.0)
