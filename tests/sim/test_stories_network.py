"""Stories of cables, switches and radios, and of clocks and disks that lie."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mesh.core.timing import WIRELESS
from tests.sim.network import Weather
from tests.sim.rooms import whispering
from tests.sim.story import FOUR, STARTED, Story

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


@pytest.mark.parametrize("deaf", ["left", "door", ""], ids=["one does not hear the other", "nor the other way", "neither hears the other"])
def test_after_a_cut_too_short_for_a_death_no_word_waits_for_a_line_in_a_stall(deaf: str) -> None:
    story = Story(*FOUR, timing=WIRELESS).start()
    story.wait(3.0)
    network = story.world.network
    for one, other in (("door", "left"), ("left", "door")):
        if deaf in ("", other):
            network.block(one, other)
    for name in ("door", "left"):
        story.world.want(name, "drain")  # words that wait in the lines between them
        story.world.want(name, "undrain")
    story.wait(1.0)
    network.heal()
    lines = [(story.world.machines[one].lines, story.world.machines[other].node) for one, other in (("door", "left"), ("left", "door"))]
    story.until(lambda: all(lines[node].up and not lines[node].flight for lines, node in lines), 0.3)
    assert not story.said("node_dead")


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


def test_two_works_on_one_network_do_not_mix_although_their_machines_share_names() -> None:
    story = Story(*FOUR)
    guests = [story.world.add(f"guest {name}") for name in FOUR]
    for guest in guests:
        guest.installation, guest.name = "next door", guest.name.removeprefix("guest ")
    for name in list(story.world.machines):
        story.world.boot(name)
    story.wait(6.0)
    ours = [machine for machine in story.world.running() if machine.installation == "house"]
    for group in (ours, guests):
        nodes = {machine.node for machine in group}
        played = [name for machine in group for name, claim in machine.claims().items() if claim.part == "holder"]
        assert len(played) == len(set(played)) == 7
        for machine in group:
            assert machine.agent is not None
            assert set(machine.agent.membership.members) == nodes - {machine.node}
            assert set(machine.agent.peers.strangers) == {each.node for each in (*ours, *guests)} - nodes
    assert not story.alarms()


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
