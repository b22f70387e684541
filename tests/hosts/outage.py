"""What an outage of any length does to a room: who held what before, while it lasted, and when all was well again.

One way of looking for the tests, whose outages last some seconds, and for `benchmarks.outages`, where a switch is off for as long as
one takes to start anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.hosts.pieces import has_standbys
from tests.hosts.room import Room

ALONE_S, WHOLE_S = 15.0, 30.0


@dataclass(frozen=True, slots=True)
class Outage:
    """Instance -> process id as `before`, and `after` all was well; instance -> machine as `held_before` and `held_after`.

    `alone` is what each machine held by itself in the end of the outage. All from the end of the outage on: `met_s` until the first two
    machines had met, `double_s` until no instance had two holders (0 where none had), `whole_s` until everything played on one
    machine each and the standbys were loaded.
    """

    before: dict[str, int]
    after: dict[str, int]
    held_before: dict[str, str]
    held_after: dict[str, str]
    alone: dict[str, set[str]]
    met_s: float
    double_s: float
    whole_s: float


def endure(room: Room, begin: Callable[[], object], end: Callable[[], object], off_s: float, side: Sequence[str]) -> Outage:
    """Let a room that plays go through an outage. While it lasts, the machines of this side must come to play everything by themselves."""
    before, held_before = room.pids(), holders(room)
    off_at_s = time.monotonic()
    begin()
    room.until(lambda: room.plays(*side), f"{', '.join(side)} to play everything without the others", ALONE_S)
    room.until(lambda: time.monotonic() >= off_at_s + off_s, "the outage to end", off_s + ALONE_S)
    held = {name: {instance for instance, by in room.holders(name).items() if by} for name in room.running()}
    on_at_s = time.monotonic()
    end()
    room.until(lambda: all(set(room.health(name).values()) == {"alive"} for name in room.running()), "all to have met", WHOLE_S)
    room.until(lambda: room.plays() and has_standbys(room), "everything to play on one machine each", WHOLE_S)
    whole_s = time.monotonic() - on_at_s
    held_after = holders(room)
    met_s = min(each["at_s"] for name in room.running() for each in room.machines[name].said("node_up", since_s=on_at_s)) - on_at_s
    return Outage(before, room.pids(), held_before, held_after, held, met_s, double_s(room, held, held_after, on_at_s), whole_s)


def holders(room: Room) -> dict[str, str]:
    """Instance -> the one machine that holds it."""
    return {instance: by[0] for instance, by in room.holders().items() if by}


def double_s(room: Room, held: dict[str, set[str]], held_after: dict[str, str], since_s: float) -> float:
    """The longest time from that moment on until all but one of several holders of an instance had stopped."""
    longest = 0.0
    for name, instances in held.items():
        for instance in instances:
            others = [other for other in held if other != name and instance in held[other]]
            if others and held_after[instance] != name:
                stops = room.machines[name].said("role_state", since_s=since_s, instance=instance, state="stopped")
                longest = max(longest, stops[0]["at_s"] - since_s)
    return longest
