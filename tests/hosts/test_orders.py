"""What a person orders holds: a stop hands over first, and `down` lasts until `up`, whatever the power does."""

from __future__ import annotations

from tests.hosts.conftest import Play

SOON_S = 15.0


def test_a_machine_that_is_stopped_by_hand_hands_over_what_it_plays_before_it_leaves(play: Play) -> None:
    # Given a machine that carries streams
    room = play()
    there = room.holders()["hot"][0]
    left = [name for name in room.machines if name != there]
    carried = {name for name, where in room.holders().items() if where == [there]}
    # When its agent is asked to end
    room.stop(there)
    # Then the others play everything, and all of it was handed over by plan: nothing waited for a time-out
    room.until(lambda: room.plays(*left), "the others to play everything", SOON_S)
    told = [event for name in left for event in room.machines[name].said("takeover") if event["from"] == there]
    assert carried <= {event["instance"] for event in told}
    assert {event["cause"] for event in told} == {"planned"}
    assert room.health(left[0])[there] == "left"
    # And no process of it is left
    assert room.processes(there) == []


def test_down_lasts_until_up_through_power_cuts_and_for_a_machine_that_was_off_meanwhile(play: Play) -> None:
    # Given a room that plays, and one machine of it that loses power before the others are told to rest
    room = play()
    room.power_off("c")
    room.until(lambda: room.health("a").get("c") == "dead", "c to be missed", SOON_S)
    assert room.run("b", "down").returncode == 0
    room.until(lambda: not any(room.holders("a", "b").values()), "the room to rest", SOON_S)
    # When the power fails for the others too, and all come back, the one that was told nothing among them
    room.power_off("a", "b")
    room.power_on("a", "b")
    room.until(lambda: room.status("a") and room.status("b"), "two to be back", SOON_S)
    room.power_on("c")
    room.until(lambda: set(room.health("c").values()) == {"alive"} and len(room.health("c")) >= 2, "all to have met", SOON_S)
    # Then all hold to the order, and nothing plays
    room.until(lambda: {room.status(name).get("order") for name in room.machines} == {"down"}, "all to know the order", SOON_S)
    room.until(lambda: not any(room.holders().values()), "nothing to play", SOON_S)
    # Until somebody says otherwise
    assert room.run("c", "up").returncode == 0
    room.until(room.plays, "everything to play", 2 * SOON_S)
