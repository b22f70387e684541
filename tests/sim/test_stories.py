"""Scripted stories: each is something that will happen in a gallery one day, and what the visitor must not notice."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from mesh.core.spec import Deployment, Needs
from mesh.core.timing import WIRED
from tests.sim.network import Weather
from tests.sim.rooms import crowded, heard, nameless, ring, whispering
from tests.sim.story import Story
from tests.sim.world import World

FOUR = ("door", "shelf", "left", "right")
QUICK = replace(WIRED, provisional_s=2.0, steady_s=4.0, aside_s=6.0, aside_max_s=60.0)
STARTED = replace(WIRED, provisional_s=2.0)  # a room whose first three minutes are over


def _gpu_room() -> Deployment:
    room = replace(whispering(FOUR), boot_grace_s=5.0)
    painter = heard("painter", "filter", 5, "mood", needs=Needs(gpu=True))
    return replace(room, roles=(*room.roles, painter, heard("canvas", "screen", 6, "painter", each=("left",))))


# ---- starting


def test_a_room_that_is_switched_on_plays_each_role_where_it_belongs() -> None:
    story = Story(*FOUR).start()
    assert story.plays("eye", "door")
    assert story.plays("wall@left", "left") and story.plays("wall@right", "right")
    assert story.holder("poet/1") != story.holder("poet/2")
    assert story.world.t < 5.0
    assert not story.said("takeover")


def test_a_room_whose_file_names_no_machines_plays_on_whatever_is_there() -> None:
    story = Story("laptop", "box", room=nameless(())).start()
    assert all(machines for machines in story.where().values())
    assert story.world.t < 5.0


def test_machines_that_all_know_only_one_seed_find_each_other() -> None:
    story = Story(*FOUR)
    story.world.discovery = "shelf"
    story.start()
    assert story.plays("wall@right", "right")


def test_a_display_starts_at_once_while_the_rest_waits_for_the_others() -> None:
    story = Story(*FOUR)
    story.world.boot("left")
    story.until(lambda: story.plays("wall@left", "left"), 3.0)
    story.wait(5.0)
    assert story.where() == {"wall@left": ["left"]}
    story.world.boot("door")
    story.until(lambda: story.plays("eye", "door"), 3.0)


def test_a_room_with_a_machine_missing_plays_without_it_after_the_grace() -> None:
    story = Story(*FOUR)
    for name in ("shelf", "left", "right"):
        story.world.boot(name)
    story.wait(19.0)
    assert "eye" not in story.where()
    story.until(lambda: len(story.world.playing("eye")) == 1, 4.0)
    story.agree()


def test_a_preferred_machine_that_boots_late_gets_its_role_once_and_loaded_first() -> None:
    # Given a room that started without its camera machine
    story = Story(*FOUR)
    for name in ("shelf", "left", "right"):
        story.world.boot(name)
    story.until(lambda: len(story.world.playing("eye")) == 1, 30.0)
    before = story.holder("eye")
    # When that one comes, a minute later
    story.wait(60.0)
    story.world.machines["door"].load_s["eye"] = 3.0
    story.world.boot("door")
    # Then the old holder plays until the new one is loaded
    while not story.plays("eye", "door"):
        assert story.world.playing("eye") == [before]
        story.world.run_for(0.01)
        assert story.world.t < 120.0
    story.agree()
    assert [each.fields["cause"] for each in story.said("takeover", instance="eye")] == ["planned"]


def test_after_three_minutes_the_holders_stay_even_when_the_preferred_machine_comes() -> None:
    story = Story(*FOUR)
    for name in ("shelf", "left", "right"):
        story.world.boot(name)
    story.wait(185.0)
    before = story.pids("eye", "presence", "mood")
    story.world.boot("door")
    story.wait(10.0)
    story.agree()
    assert story.pids("eye", "presence", "mood") == before


@pytest.mark.parametrize("seed", range(6))
def test_switching_everything_off_and_on_repairs_the_piece_whatever_the_order(seed: int) -> None:
    # Given a room in which roles have wandered
    story = Story(*FOUR, seed=seed).start()
    home = story.where()
    story.world.cut_power("door")
    story.wait(3.0)
    story.world.boot("door")
    story.agree()
    assert story.where() != home
    # When staff switch everything off and on, in any order, up to two minutes apart
    for name in FOUR:
        story.world.cut_power(name, lose_last_write=story.rng.random() < 0.5)
    story.world.said.clear()
    story.wait(5.0)
    for name in FOUR:
        story.world.after(story.rng.uniform(0.0, 120.0 if seed % 2 else 15.0), story.world.boot, name)
    story.until(lambda: len(story.world.running()) == 4, 130.0, 0.5)
    # Then each role is where it belongs, and came there without wandering about
    story.agree(within_s=20.0)
    assert story.plays("eye", "door")
    assert story.holder("poet/1") != story.holder("poet/2")
    assert all(len(story.said("takeover", instance=name)) <= 2 for name in story.where())


# ---- machines that are lost


def test_the_gpu_machine_loses_power_during_the_opening() -> None:
    # Given the only machine that can paint
    story = Story(*FOUR, room=_gpu_room(), capabilities={"shelf": {"gpu": True}}).start()
    assert story.plays("painter", "shelf")
    others = story.pids("eye", "wall@left", "wall@right")
    # When it goes dark, Then all that can go on does, and what cannot says why
    story.world.cut_power("shelf")
    story.wait(10.0)
    story.agree()
    assert story.pids("eye", "wall@left", "wall@right") == others
    assert "painter" not in story.where()
    assert "GPU" in story.why_not("painter").upper()
    # And when it is back, it paints again
    story.world.boot("shelf")
    story.until(lambda: story.plays("painter", "shelf"), 10.0)
    story.agree()


def test_a_warm_standby_plays_within_a_second_of_a_power_cut() -> None:
    story = Story(*FOUR).start()
    story.world.cut_power(story.holder("presence"))
    assert story.until(lambda: len(story.world.playing("presence")) == 1, 2.0) < 1.0
    story.agree()


def test_consumers_turn_to_the_hot_standby_at_suspicion() -> None:
    story = Story(*FOUR).start()
    holder = story.holder("mood")
    listener = next(name for name in ("poet/1", "poet/2", "wall@left") if name in story.where())
    assert listener
    began = story.world.t
    story.world.cut_power(holder)
    story.until(lambda: bool(story.said("node_suspect", name=holder)), 1.0)
    assert story.world.t - began < 0.45
    story.until(lambda: len(story.world.playing("mood")) == 1, 1.0)
    story.agree()


@pytest.mark.parametrize("names", [("left", "right"), ("door", "left", "right")])
def test_a_room_of_two_or_three_fails_over_as_fast_as_any(names: tuple[str, ...]) -> None:
    story = Story(*names, room=replace(whispering(("door", *names)[-3:]), boot_grace_s=2.0)).start()
    lost = story.holder("presence")
    began = story.world.t
    story.world.cut_power(lost)
    story.until(lambda: any(name != lost for name in story.world.playing("presence")), 1.5)
    assert story.world.t - began < 1.0
    assert not story.said("cut_off")


def test_when_all_but_one_are_lost_the_last_plays_what_its_own_screen_needs() -> None:
    story = Story(*FOUR).start()
    for name in ("door", "shelf", "right"):
        story.world.cut_power(name)
    story.wait(8.0)
    story.agree()
    assert story.where() == {name: ["left"] for name in ("eye", "presence", "mood", "poet/1", "poet/2", "wall@left")}


def test_when_every_screen_is_out_of_reach_what_plays_goes_on_and_nothing_is_started_for_nobody() -> None:
    story = Story(*FOUR, timing=STARTED).start()
    before = story.pids()
    for name in ("left", "right"):
        story.world.cut_power(name)
    story.wait(8.0)
    assert story.pids() == {key: pid for key, pid in before.items() if key[0] in ("door", "shelf")}
    story.world.boot("left")
    story.agree(within_s=20.0)
    assert story.plays("wall@left", "left") and all(len(machines) == 1 for name, machines in story.where().items())


def test_a_lost_machine_that_returns_finds_the_holders_where_they_are() -> None:
    story = Story(*FOUR, timing=STARTED).start()
    story.wait(3.0)
    story.world.cut_power("door")
    story.wait(5.0)
    before = story.pids("eye", "presence", "mood", "poet/1", "poet/2")
    story.world.boot("door")
    story.wait(20.0)
    story.agree()
    assert story.pids("eye", "presence", "mood", "poet/1", "poet/2") == before


def test_a_role_that_asks_for_it_goes_home_after_the_hold_down_and_not_before() -> None:
    story = Story("door", "shelf", "left", room=ring(("door", "shelf", "left")), timing=QUICK).start()
    story.wait(5.0)
    assert story.plays("ping", "left")
    story.world.cut_power("left")
    story.wait(3.0)
    assert not story.plays("ping", "left")
    story.world.boot("left")
    story.wait(3.0)
    assert not story.plays("ping", "left")
    story.until(lambda: story.plays("ping", "left"), 6.0)
    story.agree()
    assert [each.fields["cause"] for each in story.said("takeover", instance="ping")][-1] == "planned"


def test_a_new_computer_takes_a_dead_ones_place_by_taking_its_name() -> None:
    story = Story(*FOUR).start()
    story.world.cut_power("left")
    story.wait(3.0)
    story.world.add("left again")
    story.world.machines["left again"].name = "left"
    story.world.boot("left again")
    story.until(lambda: bool(story.world.machines["left again"].claims().get("wall@left")), 5.0)
    assert not story.alarms()


# ---- roles that fail


def test_a_crash_with_a_standby_waits_for_no_time_out() -> None:
    story = Story(*FOUR).start()
    holder = story.holder("presence")
    began = story.world.t
    story.world.stage.crash(holder, "presence")
    story.until(lambda: any(name != holder for name in story.world.playing("presence")), 1.0, 0.001)
    assert story.world.t - began < 0.02
    story.agree()


def test_a_crash_without_a_standby_is_started_again_where_it_was() -> None:
    story = Story(*FOUR).start()
    others = {key: pid for key, pid in story.pids().items() if key[1] != "eye"}
    epoch = story.epoch("eye")
    story.world.stage.crash("door", "eye")
    story.until(lambda: story.plays("eye", "door"), 1.0)
    assert story.epoch("eye") == epoch
    assert {key: pid for key, pid in story.pids().items() if key[1] != "eye"} == others


@pytest.mark.parametrize("how", ["fails", "hangs"])
def test_a_start_that_always_fails_is_given_up_placed_elsewhere_and_said(how: str) -> None:
    story = Story(*FOUR)
    story.world.machines["door"].failing["eye"] = how
    for name in FOUR:
        story.world.boot(name)
    story.until(lambda: bool(story.said("gave_up", instance="eye")), 40.0)
    story.until(lambda: len(story.world.playing("eye")) == 1, 5.0)
    assert story.holder("eye") != "door"
    story.agree()


def test_a_camera_that_is_plugged_in_again_is_tried_again_by_itself() -> None:
    story = Story("left", room=replace(whispering(("left", "right")), boot_grace_s=1.0))
    story.world.machines["left"].failing["eye"] = "fails"
    story.world.boot("left")
    story.until(lambda: bool(story.said("gave_up", instance="eye")), 20.0)
    story.world.machines["left"].failing.clear()
    story.until(lambda: story.plays("eye", "left"), 90.0, 0.5)


def test_a_model_that_loads_for_a_minute_is_no_hang() -> None:
    story = Story(*FOUR)
    story.world.machines["door"].load_s["eye"] = 60.0
    for name in FOUR:
        story.world.boot(name)
    story.until(lambda: story.plays("eye", "door"), 90.0, 0.5)
    assert len(story.said("role_state", instance="eye", state="starting")) == 1


# ---- the network


def test_a_switch_that_reboots_for_101_seconds_changes_no_process_and_ends_with_the_holders_it_began_with() -> None:
    story = Story(*FOUR).start()
    story.wait(5.0)
    before = story.pids()
    story.world.cut(*FOUR)
    story.wait(101.0)
    assert {key: pid for key, pid in story.pids().items() if key in before} == before
    story.world.heal()
    healed = story.world.t
    story.until(lambda: all(len(machines) <= 1 for machines in story.where().values()), 1.0)
    assert story.world.t - healed < 1.0
    story.agree()
    assert story.pids() == before


@pytest.mark.parametrize("alone", FOUR)
def test_an_isolated_machine_plays_on_and_never_takes_over_the_room_that_went_on_without_it(alone: str) -> None:
    story = Story(*FOUR, timing=STARTED).start()
    story.wait(5.0)
    own = {key: pid for key, pid in story.pids().items() if key[0] == alone}
    story.world.unplug(alone, noticed=alone in ("door", "left"))
    story.wait(20.0)
    assert {key: pid for key, pid in story.pids().items() if key in own} == own
    room = {key: pid for key, pid in story.pids().items() if key[0] != alone}
    story.world.plug_in(alone)
    story.agree()
    assert {key: pid for key, pid in story.pids().items() if key[0] != alone} == room


def test_of_two_halves_the_one_that_played_first_keeps_its_holder() -> None:
    story = Story(*FOUR).start()
    story.wait(5.0)
    before = story.pids("eye", "presence", "mood")
    story.world.cut("door shelf left", "right")
    story.world.cut("door shelf", "left right")
    story.wait(10.0)
    story.world.heal()
    story.agree()
    assert story.pids("eye", "presence", "mood") == before


def test_of_unequal_parts_the_larger_keeps_its_holder_although_the_other_played_first() -> None:
    story = Story(*FOUR, timing=STARTED).start()
    story.wait(5.0)
    assert story.plays("eye", "door")
    story.world.cut("door", "shelf left right")
    story.wait(10.0)
    taken = story.pids("eye")
    story.world.heal()
    story.agree()
    assert len(taken) == 2
    assert set(story.pids("eye").items()) == {each for each in taken.items() if each[0][0] != "door"}


def test_a_machine_that_is_deaf_for_a_while_does_no_harm() -> None:
    story = Story(*FOUR).start()
    for other in FOUR[1:]:
        story.world.network.block(other, "door")
    story.wait(10.0)
    for other in FOUR[1:]:
        story.world.network.unblock(other, "door")
    story.agree()


def test_two_machines_that_cannot_reach_each_other_still_agree_through_the_others() -> None:
    # Given a cable fault between two machines of a room in which all others see both
    story = Story(*FOUR).start()
    story.world.cut("door", "shelf")
    story.wait(15.0)
    # Then nobody is thought dead, and no instance has two holders
    assert all(len(machines) == 1 for machines in story.where().values())
    for machine in story.world.running():
        assert machine.agent is not None
        assert {each.health for each in machine.agent.membership.members.values()} == {"alive"}
    # And a role that is lost meanwhile is taken over by one machine only
    story.world.stage.crash("door", "eye")
    story.wait(3.0)
    assert all(len(machines) == 1 for machines in story.where().values())


def test_a_radio_in_which_nothing_passes_for_a_moment_is_at_most_a_suspicion() -> None:
    story = Story(*FOUR, room=replace(whispering(FOUR), timing="wireless")).start()
    before = story.pids()
    for _ in range(10):
        for one in FOUR:
            for other in FOUR:
                story.world.network.clog(one, other, 0.4)
        story.wait(3.0)
    assert story.pids() == before
    assert not story.said("node_dead") and not story.said("takeover")


def test_one_datagram_in_twenty_lost_and_fifty_milliseconds_of_jitter_alarm_nobody_on_a_radio() -> None:
    story = Story(*FOUR, room=replace(whispering(FOUR), timing="wireless")).start()
    before = story.pids()
    story.world.network.weather = Weather(0.002, 0.05, 0.05, 0.01)
    story.wait(120.0)
    assert story.pids() == before
    assert not story.said("node_suspect") and not story.said("takeover")


def test_where_datagrams_do_not_pass_heartbeats_take_the_link_and_a_death_is_found_later() -> None:
    # Given a technician's firewall on one machine, from the start
    story = Story(*FOUR, timing=STARTED)
    story.world.network.firewalled.add("shelf")
    story.start()
    before = story.pids()
    story.wait(8.0)
    said = len(story.world.said)
    story.wait(30.0)
    assert story.pids() == before
    assert not [each for each in story.world.said[said:] if each.event in ("node_suspect", "node_dead", "takeover")]
    # When a machine dies, it is found dead all the same
    story.world.cut_power("right")
    story.until(lambda: "right" in {each.fields["name"] for each in story.said("node_dead") if each.machine == "shelf"}, 6.0)


def test_old_packets_after_a_healing_revive_nobody() -> None:
    story = Story(*FOUR).start()
    story.wait(10.0)
    story.world.cut_power("shelf")
    story.wait(3.0)
    for _ in range(20):
        story.world.network.replay(50)
        story.wait(0.5)
    assert not story.said("node_up", name="shelf", incarnation=2)
    for machine in story.world.running():
        assert machine.agent is not None
        assert machine.agent.membership.members[story.world.machines["shelf"].node].health == "dead"


# ---- clocks, disks, doubles


def test_a_clock_that_leaps_ahead_kills_nobody() -> None:
    story = Story(*FOUR).start()
    before = story.pids()
    for by_s in (0.5, 30.0, 3600.0):
        story.world.jump_clock("door", by_s)
        story.wait(3.0)
    assert story.pids() == before
    assert not story.said("node_dead")


def test_an_agent_that_slept_comes_back_without_accusing_anybody() -> None:
    story = Story(*FOUR).start()
    story.world.pause("shelf")
    story.wait(0.6)
    story.world.resume("shelf")
    story.wait(1.0)
    assert not [each for each in story.said("node_suspect") if each.machine == "shelf"]
    story.world.pause("shelf")
    story.wait(5.0)
    story.world.resume("shelf")
    story.agree()
    assert not [each for each in story.said("node_suspect") if each.machine == "shelf"]


def test_an_agent_that_restarts_adopts_its_roles() -> None:
    story = Story(*FOUR).start()
    before = story.pids()
    story.world.kill_agent("door")
    story.wait(0.3)
    story.world.boot("door")
    story.agree()
    assert story.pids() == before
    assert not story.said("takeover")


def test_a_disk_that_lost_its_last_write_gives_no_life_twice() -> None:
    story = Story(*FOUR).start()
    machine = story.world.machines["left"]
    story.world.cut_power("left")
    machine.disk["incarnation"] = 0
    story.wait(2.0)
    story.world.boot("left")
    story.agree()
    assert machine.agent is not None and machine.agent.me.incarnation == 2
    assert not story.alarms()


def test_a_copied_disk_is_an_alarm_and_the_room_goes_on() -> None:
    story = Story(*FOUR).start()
    before = story.pids("eye", "presence", "mood")
    story.world.add("copy", node=story.world.machines["right"].node)
    story.world.boot("copy")
    story.wait(12.0)
    assert any("use" in words and story.world.machines["right"].node in words for words in story.alarms())
    assert story.pids("eye", "presence", "mood") == before


def test_two_machines_of_one_name_are_an_alarm_that_names_both() -> None:
    story = Story(*FOUR).start()
    twin = story.world.add("twin")
    twin.name = "left"
    story.world.boot("twin")
    story.wait(3.0)
    assert any("two machines are called left" in words and twin.address in words for words in story.alarms())


def test_whoever_knows_a_higher_epoch_says_so_and_the_holder_claims_above_it_without_a_restart() -> None:
    story = Story(*FOUR).start()
    story.world.cut_power("right")
    story.wait(2.0)
    before = story.pids("eye")
    story.world.machines["right"].disk["epochs"] = {"eye": 40}
    story.world.boot("right")
    story.wait(6.0)
    assert story.epoch("eye") == 41
    assert story.pids("eye") == before


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
    story = Story(*FOUR, room=_gpu_room(), capabilities={"shelf": {"gpu": True}}, timing=QUICK).start()
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
