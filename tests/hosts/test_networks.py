"""Networks that are worse than they look: deaf in one direction, lossy, renumbered, walled off, off for a while."""

from __future__ import annotations

import time

import pytest

from tests.hosts.air import Air
from tests.hosts.conftest import Play
from tests.hosts.outage import endure, holders
from tests.hosts.pieces import STREAMS, has_standbys, heard
from tests.hosts.room import Room

SOON_S = 10.0
LOSSY_S = 30.0
OFF_S = 8.0


def test_a_machine_that_one_other_cannot_hear_is_not_held_dead(play: Play) -> None:
    # Given a machine that carries most streams
    room = play()
    there = room.holders()["hot"][0]
    before, since_s = room.pids(), time.monotonic()
    # When the machine with the ear hears nothing of it any more, while the third hears both
    room.network.deafens("a", there)
    room.until(lambda: time.monotonic() > since_s + 4.0, "several deaths' time")
    # Then nobody is buried and nobody takes anything over
    assert not [each for machine in room.machines.values() for each in machine.said("node_dead", since_s=since_s)]
    assert room.pids() == before
    # And when that is mended, all is heard again from where it was
    room.network.mends("a")
    _is_heard(room, within_s=SOON_S)
    assert room.pids() == before


def test_half_a_minute_on_a_link_that_is_late_uneven_and_loses_one_in_twenty_kills_nobody(play: Play) -> None:
    # Given a room of three machines whose words arrive 20 to 70 ms late, each at its own time
    room = play(network=Air(("a", "b", "c"), 0.02, 0.05))
    before, since_s = room.pids(), time.monotonic()
    # When each loses 5 % of what it should hear besides
    for name in room.machines:
        room.network.loses(name, 5)
    room.until(lambda: time.monotonic() > since_s + LOSSY_S, "half a minute", LOSSY_S + SOON_S)
    # Then nobody was held dead, nothing moved, and the streams still arrive
    assert not [each for machine in room.machines.values() for each in machine.said("node_dead", since_s=since_s)], room.story()
    assert room.pids() == before
    _is_heard(room, within_s=SOON_S)


def test_a_machine_with_a_new_address_is_heard_there_and_restarts_nothing(play: Play) -> None:
    # Given a machine that carries most streams
    room = play()
    there = room.holders()["hot"][0]
    before = room.pids()
    # When it is given another address
    room.network.readdress(there, "10.77.0.99")
    # Then the streams are heard again from the same processes, and the room knows the new address
    _is_heard(room, within_s=SOON_S)
    assert room.pids() == before
    room.until(lambda: list(room.status("a")["machines"][there]["addresses"]) == ["10.77.0.99"], "the new address to be known", SOON_S)
    # And what changes there is heard of: a role that crashes is taken over at once
    room.process("hot", there).kill()
    room.until(lambda: room.status("a")["roles"]["hot"]["machine"] not in (None, there), "its standby to take over", SOON_S)


@pytest.mark.parametrize("carriers", ["label:carrier", "a"], ids=["the displays elsewhere", "the displays where all plays"])
def test_a_switch_that_is_off_for_a_while_changes_no_process_and_ends_with_the_holders_it_began_with(play: Play, carriers: str) -> None:
    # Given a room that plays, its streams on the machine with the ear or on another
    room = play(carriers=carriers)
    # When the switch loses its power for a while (for 101 s in benchmarks/outages.py, by the same code)
    outage = endure(room, lambda: room.network.switch(False), lambda: room.network.switch(True), OFF_S, ["a"])
    # Then the machine with the ear has played everything by itself, and in the end all is in the process that played it before
    assert {"hot", "warm", "cold"} <= outage.alone["a"]
    assert (outage.held_after, outage.after) == (outage.held_before, outage.before), room.story()
    _is_heard(room, within_s=SOON_S)


def test_a_machine_that_was_cut_off_takes_nothing_from_the_room_that_went_on_without_it(play: Play) -> None:
    # Given a machine that carries streams
    room = play()
    cut_off = holders(room)["hot"]
    # When its cable is out for a while, and the two others play everything
    left = [name for name in room.machines if name != cut_off]
    outage = endure(room, lambda: room.network.unplug(cut_off), lambda: room.network.plug(cut_off), OFF_S, left)
    # Then it has played on by itself all the time, and in the end each is where the larger side played it
    assert "hot" in outage.alone[cut_off]
    assert {outage.held_after[instance] for instance in outage.alone[cut_off] & {"hot", "warm", "cold"}}.isdisjoint({cut_off})
    _is_heard(room, within_s=SOON_S)


def test_where_a_firewall_lets_no_datagram_in_the_room_plays_on_says_so_and_still_finds_the_dead(play: Play) -> None:
    # Given a room that plays
    room = play()
    before, since_s = room.pids(), time.monotonic()
    # When a firewall on each machine lets no datagram in any more
    for name in room.machines:
        room.network.bars_datagrams(name)
    # Then each says so of each, with what to do, and nobody is held dead and nothing moves
    room.until(lambda: _barred(room) == len(room.machines) * (len(room.machines) - 1), "all to say that datagrams are barred", SOON_S)
    assert not [each for machine in room.machines.values() for each in machine.said("node_dead", since_s=since_s)], room.story()
    assert room.pids() == before
    # And when a machine dies, the others notice and take over what it played
    lost = room.holders()["hot"][0]
    left = [name for name in room.machines if name != lost]
    room.power_off(lost)
    room.until(lambda: room.plays(*left), "the others to play everything", SOON_S)
    _is_heard(room, within_s=SOON_S)
    # And when it is back, they meet again without mDNS, by what they remember of one another
    room.power_on(lost)
    room.until(lambda: set(room.health(left[0]).values()) == {"alive"}, "it to be back", 2 * SOON_S)
    room.until(lambda: room.plays() and has_standbys(room), "everything to play on one machine each", 2 * SOON_S)


def _barred(room: Room) -> int:
    """How often a machine says of another that its datagrams do not come through."""
    said = (about for name in room.running() for other, about in room.status(name).get("machines", {}).items() if other != name)
    return sum("open UDP port" in about["why"] for about in said)


def _is_heard(room: Room, *, within_s: float) -> None:
    """Every stream arrives at the ear from now on."""
    ear, since_s = room.machines["a"].home, time.monotonic()
    room.until(lambda: {each.input for each in heard(ear, since_s)} == set(STREAMS), "every stream to be heard", within_s)
