"""Scripted stories: each is something that will happen in a gallery one day, and what the visitor must not notice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.sim.rooms import nameless, ring, whispering
from tests.sim.story import FOUR, QUICK, STARTED, Story, gpu_room


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
    story = Story(*FOUR, room=gpu_room(), capabilities={"shelf": {"gpu": True}}).start()
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
