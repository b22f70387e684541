"""Stories of machines cut off from one another: who waits, who plays on, and that it always heals."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mesh.core.effects import Effect, SendDatagram
from mesh.core.members import DEAD
from mesh.core.messages import Verdict
from mesh.core.status import status
from tests.sim.machine import Machine
from tests.sim.rooms import whispering
from tests.sim.story import FOUR, STARTED, Story

EIGHT = ("door", "shelf", "lamp", "desk", "rack", "shed", "left", "right")


@pytest.mark.parametrize("order", ["door shelf left right", "left right door shelf", "left door shelf right"])
def test_a_switch_that_is_off_for_101_seconds_changes_nothing_wherever_the_displays_are(order: str) -> None:
    # Given a room whose camera is at the first of these and whose displays are at the last two
    names = tuple(order.split())
    story = Story(*FOUR, room=replace(whispering(names), boot_grace_s=5.0), timing=STARTED).start()
    story.wait(5.0)
    before = story.pids()
    # When nothing passes between any two of them for 101 s, Then no process of theirs ends, although some start beside them
    story.world.cut(*FOUR)
    for _ in range(101):
        story.wait(1.0)
        assert before.items() <= story.pids().items()
    # And when the switch is back, those that began it go on with it, and nobody else does
    story.world.heal()
    healed = story.world.t
    story.until(lambda: all(len(machines) <= 1 for machines in story.where().values()), 1.0)
    assert story.world.t - healed < 1.0
    story.agree()
    assert story.pids() == before


@pytest.mark.parametrize("noticed", [True, False])
def test_a_machine_that_only_stands_by_and_is_cut_off_for_101_seconds_leaves_the_room_as_it_was(noticed: bool) -> None:
    story = Story(*EIGHT, room=replace(whispering(EIGHT), boot_grace_s=5.0), timing=STARTED).start()
    story.wait(5.0)
    before = story.pids()
    alone = next(name for name in EIGHT if name not in {machine for machine, _ in before})
    started = len(story.world.started)
    story.world.unplug(alone, noticed=noticed)
    story.wait(101.0)
    # Then it takes nothing over, not even for displays of which only others would tell it that they are gone, and nobody is disturbed
    assert story.pids() == before
    assert not [each for each in story.world.started[started:] if each[0] == alone]
    story.world.plug_in(alone)
    story.agree()
    assert story.pids() == before


@pytest.mark.parametrize("alone", FOUR)
def test_a_machine_that_holds_roles_and_is_cut_off_for_101_seconds_keeps_its_processes_until_the_room_has_it_back(alone: str) -> None:
    # Given a machine with roles of its own, cut off for 101 s
    story = Story(*FOUR, timing=STARTED).start()
    story.wait(5.0)
    before = story.pids()
    own = {key: pid for key, pid in before.items() if key[0] == alone}
    story.world.unplug(alone, noticed=False)
    for _ in range(101):
        story.wait(1.0)
        assert before.items() <= story.pids().items()
    # When it is back, Then the larger side's holders stay, and its own roles that nobody else could play
    story.world.plug_in(alone)
    story.agree()
    elsewhere = {name for (machine, name) in own if not name.startswith("wall")}
    after = story.pids()
    assert {key: pid for key, pid in after.items() if key[1] not in elsewhere} == {
        key: pid for key, pid in before.items() if key[1] not in elsewhere
    }
    assert not [key for key in after if key[0] == alone and key[1] in elsewhere]


def test_when_half_of_the_others_fall_silent_together_nothing_is_taken_over_until_it_is_clear_who_is_cut_off() -> None:
    # Given five machines, of which two lose their power at the same moment
    names = ("door", "shelf", "lamp", "left", "right")
    story = Story(*names, room=replace(whispering(names), boot_grace_s=5.0), timing=STARTED).start()
    story.wait(5.0)
    lost = {story.holder("presence"), story.holder("eye")}
    if len(lost) == 1:
        lost.add(next(name for name in names if name not in lost))
    began = story.world.t
    for name in lost:
        story.world.cut_power(name)
    # Then each of the others says that it may be cut off itself, and waits; then the room plays on
    story.until(lambda: len({each.machine for each in story.said("cut_off")}) == 3, 1.0)
    story.wait(1.5)
    assert not story.said("node_dead")
    story.until(lambda: len(story.world.playing("presence")) == 1, 3.0)
    assert 2.0 < story.world.t - began < 4.0
    story.agree()


def test_a_machine_whose_own_cable_is_out_waits_for_nothing() -> None:
    story = Story(*FOUR, timing=STARTED).start()
    story.wait(5.0)
    alone = "left"
    began = story.world.t
    story.world.unplug(alone, noticed=True)
    story.until(lambda: "eye" in story.world.machines[alone].claims(), 2.0)
    assert story.world.t - began < 1.2
    assert not [each for each in story.said("cut_off") if each.machine == alone]


def test_in_a_room_of_three_the_last_one_takes_over_at_once_when_both_others_are_lost_together() -> None:
    names = ("door", "left", "right")
    story = Story(*names, room=replace(whispering(names), boot_grace_s=2.0), timing=STARTED).start()
    story.wait(3.0)
    began = story.world.t
    for name in ("door", "right"):
        story.world.cut_power(name)
    story.until(lambda: story.plays("wall@left", "left") and story.plays("eye", "left"), 3.0)
    assert story.world.t - began < 1.5
    assert not story.said("cut_off")


def _seconds_until_held_dead(story: Story, lost: str) -> dict[str, float]:
    """Cuts that machine's power; for each of the others how long it took to hold it dead."""
    began, said = story.world.t, len(story.world.said)
    story.world.cut_power(lost)
    story.wait(8.0)
    words = [each for each in story.world.said[said:] if each.event == "node_dead"]
    assert {each.fields["name"] for each in words} == {lost}
    return {each.machine: each.t - began for each in words}


@pytest.mark.parametrize("seed", range(8, 20))
def test_a_death_is_known_at_once_to_those_who_do_not_watch_the_lost_machine(seed: int) -> None:
    # Given a room so large that not everybody watches everybody
    story = Story(*EIGHT, room=replace(whispering(EIGHT), boot_grace_s=5.0), timing=STARTED, seed=seed).start()
    # When one loses its power
    took_s = _seconds_until_held_dead(story, EIGHT[seed % 8])
    # Then the last to hold it dead is hardly later than the first, and nobody had to wait out a patience of its own
    assert len(took_s) == 7
    assert max(took_s.values()) - min(took_s.values()) < STARTED.beat_s


@pytest.mark.parametrize("hearer", EIGHT[1:])
def test_a_death_is_known_as_soon_when_the_first_word_of_it_comes_late_and_all_others_of_that_teller(hearer: str) -> None:
    story = Story(*EIGHT, room=replace(whispering(EIGHT), boot_grace_s=5.0), timing=STARTED).start()
    late: list[str] = []

    def first_word_is_late(machine: Machine, effect: Effect) -> None:
        told = isinstance(effect, SendDatagram) and isinstance(effect.message, Verdict) and effect.message.health == DEAD
        if told and effect.node == story.world.machines[hearer].node and not late:
            late.append(machine.name)
            story.world.network.clog(machine.name, hearer, 5.0)

    story.world.watchers.append(first_word_is_late)
    # When whoever first tells this machine of a death cannot reach it for five seconds, neither by datagram nor over the link
    took_s = _seconds_until_held_dead(story, "door")
    # Then it knows as soon as all others
    assert late and len(took_s) == 7
    assert max(took_s.values()) - min(took_s.values()) < STARTED.beat_s


def test_when_all_who_watch_one_another_are_cut_off_together_the_others_find_out_within_seconds() -> None:
    # Given a room of two groups of observers, of which one has a switch of its own
    names = tuple(f"m{number}" for number in range(12))
    story = Story(*names, room=replace(whispering(names), boot_grace_s=5.0), timing=STARTED).start()
    table = story.world.machines["m0"].agent.membership  # type: ignore[union-attr]
    group = {story.world.machines["m0"].node, *table.observers(story.world.machines["m0"].node)}
    one = [each.name for each in story.world.running() if each.node in group]
    other = [name for name in names if name not in one]
    assert len(one) == len(other) == 6
    # When nothing passes between the two, so that nobody who watches a lost machine can tell of it
    said, began = len(story.world.said), story.world.t
    story.world.cut(" ".join(one), " ".join(other))
    # Then each side knows of every loss, and nobody takes a machine of its own side for lost
    story.until(lambda: len([each for each in story.world.said[said:] if each.event == "node_dead"]) == 2 * 6 * 6, 6.0)
    assert story.world.t - began < 5.0
    sides = {name: one if name in one else other for name in names}
    assert not [each for each in story.world.said[said:] if each.event == "node_dead" and each.fields["name"] in sides[each.machine]]
    story.world.heal()
    story.agree()


@pytest.mark.parametrize("datagrams", [True, False])
def test_a_split_of_many_minutes_heals_although_discovery_is_silent(datagrams: bool) -> None:
    # Given two halves that mDNS tells nothing more of each other
    story = Story(*FOUR, timing=STARTED).start()
    story.wait(70.0)
    story.world.discovery = "nobody"
    if not datagrams:
        story.world.network.firewalled.update(FOUR)
        story.wait(20.0)
    story.world.cut("door left", "shelf right")
    story.world.run_for(300.0)
    # When the cable is mended, Then they find each other by dialling whom they knew
    for one in ("door", "left"):
        for other in ("shelf", "right"):
            story.world.network.unblock(one, other)
            story.world.network.unblock(other, one)
    story.agree(within_s=30.0)


def test_machines_that_were_all_restarted_while_split_find_each_other_from_their_disks() -> None:
    story = Story(*FOUR, timing=STARTED).start()
    story.wait(70.0)
    story.world.discovery = "nobody"
    story.world.cut("door left", "shelf right")
    for name in FOUR:
        story.world.cut_power(name)
    for name in FOUR:
        story.world.boot(name)
    story.wait(120.0)
    story.world.heal()
    story.agree(within_s=30.0)


def test_a_display_never_moves_and_is_back_with_its_machine() -> None:
    story = Story(*FOUR, timing=STARTED).start()
    story.world.cut_power("left")
    story.wait(60.0)
    assert "wall@left" not in story.where()
    assert "left" in story.why_not("wall@left")
    story.world.boot("left")
    story.until(lambda: story.plays("wall@left", "left"), 3.0)
    assert {each.fields["to"] for each in story.said("takeover", instance="wall@left")} <= {"left"}


def test_where_datagrams_do_not_pass_status_says_so_and_what_to_open() -> None:
    story = Story(*FOUR, timing=STARTED).start()
    story.world.network.firewalled.add("door")
    story.wait(10.0)
    agent = story.world.machines["door"].agent
    assert agent is not None
    for name in ("shelf", "left", "right"):
        assert "open UDP port" in status(agent, {})["machines"][name]["why"]
    assert not [each for each in story.said("node_dead")]
    story.world.network.firewalled.clear()
    story.wait(10.0)
    assert status(agent, {})["machines"]["shelf"]["why"] == ""


def test_three_works_on_one_network_do_not_mix() -> None:
    story = Story(*FOUR)
    works = {"house": list(FOUR)}
    for work in ("cellar", "roof"):
        for name in FOUR:
            guest = story.world.add(f"{work} {name}")
            guest.installation, guest.name = work, name
            works.setdefault(work, []).append(guest.key)
    for name in list(story.world.machines):
        story.world.boot(name)
    story.wait(6.0)
    story.world.cut_power("cellar door")
    story.wait(3.0)
    for keys in works.values():
        group = [story.world.machines[key] for key in keys if story.world.machines[key].agent is not None]
        nodes = {machine.node for machine in group}
        played = [name for machine in group for name, claim in machine.claims().items() if claim.part == "holder"]
        assert len(played) == len(set(played)) == 7
        for machine in group:
            assert machine.agent is not None
            assert {each.record.node for each in machine.agent.membership.present()} == nodes - {machine.node}
    assert not story.alarms()
