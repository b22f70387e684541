"""What is lost is taken over, and what comes back takes nothing."""

from __future__ import annotations

import time

import psutil
import pytest

from tests.hosts.conftest import Play
from tests.hosts.pieces import STREAMS, has_standbys, heard
from tests.hosts.room import Room, bring_about, undo

SOON_S = 10.0  # a generous bound; how long it really takes is what benchmarks/failover.py measures


def test_a_role_that_is_killed_goes_on_at_its_standby_its_other_copy_or_anew(play: Play) -> None:
    # Given streams with a hot, a warm and no standby, and one in two copies
    room = play()
    before = room.pids()
    for instance in ("hot", "warm", "cold", "echo/1"):
        # When the process that plays one is killed
        where = room.holders()[instance][0]
        process = room.process(instance, where)
        gone = process.pid
        assert gone == before[instance]
        process.kill()
        # Then it plays again, by another process, and is heard
        room.until(lambda: room.pids().get(instance, gone) != gone, f"{instance} to be played by another", SOON_S)  # noqa: B023
        room.until(room.plays, "everything to play", SOON_S)
    _all_are_heard(room)
    # And nothing else was restarted
    after = room.pids()
    assert {name: after[name] for name in ("clock", "ear@a", "echo/2")} == {n: before[n] for n in ("clock", "ear@a", "echo/2")}


EVERYTHING_LEFT = ("clock", "ear@a", "hot", "warm", "cold")


@pytest.mark.parametrize(
    ("how", "stays"), [("cable out", EVERYTHING_LEFT), ("stopped", ("clock", "ear@a")), ("power cut", EVERYTHING_LEFT)]
)
def test_a_machine_that_falls_silent_is_replaced_and_when_it_is_back_one_holds_each(play: Play, how: str, stays: tuple[str, ...]) -> None:
    # Given a machine that carries most streams
    room = play()
    lost = room.holders()["hot"][0]
    left = [name for name in room.machines if name != lost]
    before = room.pids()
    # When it falls silent
    bring_about(room, how, lost)
    # Then the others play everything, and what was theirs goes on untouched
    room.until(lambda: room.plays(*left), "the others to play everything", SOON_S)
    _all_are_heard(room, but=lost)
    during = room.pids(*left)
    assert {name: during[name] for name in ("clock", "ear@a")} == {name: before[name] for name in ("clock", "ear@a")}
    # And when it is back, it is a member again, exactly one machine holds each, and nothing that stays is disturbed
    undo(room, how, lost)
    room.until(lambda: set(room.health(left[0]).values()) == {"alive"}, "it to be back", SOON_S)
    room.until(lambda: room.plays() and has_standbys(room), "everything to play on one machine each", 2 * SOON_S)
    after = room.pids()
    assert {name: after[name] for name in stays} == {name: during[name] for name in stays}, room.story()


def test_roles_play_on_without_their_agent_and_the_room_is_whole_when_it_is_back(play: Play) -> None:
    # Given a machine that carries streams
    room = play()
    there = room.holders()["hot"][0]
    machine, before = room.machines[there], room.pids()
    # When its agent is killed
    since_s = time.monotonic()
    assert machine.agent is not None
    machine.agent.kill()
    machine.agent.wait()
    # Then its roles play on, and another machine takes over what it held
    room.until(lambda: room.plays(*(name for name in room.machines if name != there)), "the others to play everything", SOON_S)
    assert psutil.pid_exists(before["hot"])
    # And when the agent is back, it knows its roles again, and one machine holds each
    room.start(there)
    room.until(lambda: machine.said("adopted", since_s=since_s, instance="hot"), "its roles to be adopted", SOON_S)
    room.until(lambda: room.plays() and has_standbys(room), "everything to play on one machine each", 2 * SOON_S)
    after = room.pids()
    assert {name: after[name] for name in ("clock", "ear@a")} == {name: before[name] for name in ("clock", "ear@a")}
    _all_are_heard(room)


def test_everything_off_and_on_at_once_plays_again_as_before_with_no_command_typed(play: Play) -> None:
    # Given a room that plays
    room = play()
    before = room.holders()
    # When the power fails and comes back
    room.power_off(*room.machines)
    room.power_on(*room.machines)
    # Then each role is where it was
    room.until(room.plays, "everything to play", 2 * SOON_S)
    assert room.holders() == before
    _all_are_heard(room)


def test_machines_that_come_back_one_after_another_each_play_what_belongs_there(play: Play) -> None:
    # Given a room whose streams like one machine best
    room = play(carriers="c, b")
    before = room.holders()
    assert before["hot"] == before["cold"] == ["c"]
    # When the power fails, and that machine is the last to come back
    room.power_off(*room.machines)
    since_s = time.monotonic()
    room.power_on("a", "b", "c", apart_s=3.0)
    # Then each role is where it was, and nothing that belongs there was played elsewhere meanwhile
    room.until(lambda: room.plays() and room.holders() == before, "everything to play where it was", 3 * SOON_S)
    assert not [each for name in "ab" for each in room.machines[name].said("role_state", since_s=since_s, instance="cold")], room.story()
    _all_are_heard(room)


def _all_are_heard(room: Room, but: str = "") -> None:
    """Each stream arrives at the ear, now, and none from the machine `but`."""
    ear = room.machines["a"].home
    since_s = max(each.at_s for each in heard(ear))
    room.until(lambda: {each.input for each in heard(ear, since_s + 0.001)} == set(STREAMS), "every stream to be heard", SOON_S)
    assert but not in {each.machine for each in heard(ear, since_s + 0.001)}
