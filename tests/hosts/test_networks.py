"""Networks that are worse than they look: deaf in one direction, lossy, renumbered, off for a while."""

from __future__ import annotations

import time

from tests.hosts.air import Air
from tests.hosts.conftest import Play, has_standbys
from tests.hosts.pieces import STREAMS, heard
from tests.hosts.room import Room

SOON_S = 10.0
LOSSY_S = 30.0
OFF_S = 20.0


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


def test_a_switch_that_is_off_for_a_while_leaves_one_holder_each(play: Play) -> None:
    # Given a room that plays
    room = play()
    before, off_s = room.pids(), time.monotonic()
    # When the switch loses its power
    room.network.switch(False)
    # Then the machine with the output plays everything by itself
    room.until(lambda: room.plays("a"), "the machine with the ear to play alone", SOON_S)
    _is_heard(room, within_s=SOON_S)
    room.until(lambda: time.monotonic() > off_s + OFF_S, "the switch to be off for a while", OFF_S + SOON_S)
    # And when it is back, one machine holds each, and what was never taken from anyone goes on in its process
    room.network.switch(True)
    room.until(lambda: room.plays() and has_standbys(room), "everything to play on one machine each", 2 * SOON_S)
    after = room.pids()
    assert {name: after[name] for name in ("clock", "ear@a")} == {name: before[name] for name in ("clock", "ear@a")}


def _is_heard(room: Room, *, within_s: float) -> None:
    """Every stream arrives at the ear from now on."""
    ear, since_s = room.machines["a"].home, time.monotonic()
    room.until(lambda: {each.input for each in heard(ear, since_s)} == set(STREAMS), "every stream to be heard", within_s)
