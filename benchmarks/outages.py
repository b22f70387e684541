"""What outages as long as they are in a gallery leave behind: a switch that starts anew for 101 s, a room switched off and on.

`--switch`: rooms of three machines in network namespaces, all at once, each with another outage: the switch is off, with the displays
on the machine that plays everything and elsewhere; the cable of a machine is out that holds the streams, and of one that holds
none. Process ids and holders before and after, what each side held alone, how long an instance had two holders.
`--power`: the whispering room loses its power and gets it back five times, machine after machine, in another order and another pace
each time, with no command typed. Where each role ended, and the seconds until all play.
Run: python -m benchmarks.outages [--switch] [--power] [--help]
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.figures import machine
from benchmarks.rooms import MACHINES, WHISPERING_ROOM, wait_until
from tests.hosts.network import Network, why_not
from tests.hosts.outage import endure, holders
from tests.hosts.pieces import CARRIERS, has_standbys, streams_piece
from tests.hosts.room import Room

OFF_S = 101.0
PACES_S = (0.0, 1.0, 4.0, 10.0, 25.0)  # from one machine's power to the next one's
DARK_S = 2.0
MENDED_S, PLAYS_S = 60.0, 120.0
THREE = ("a", "b", "c")
# What is cut, and on whose machines the streams are: the machine with the ear is a.
CUTS = {
    "switch off, displays elsewhere": ("switch", CARRIERS),
    "switch off, displays where all plays": ("switch", "a"),
    "cut off while it holds": ("holder", CARRIERS),
    "cut off while it holds nothing": ("idler", "b"),
}


def switch_off(name: str, off_s: float) -> dict[str, Any]:
    """One outage of the network."""
    what, carriers = CUTS[name]
    with ExitStack() as stack:
        where = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder = streams_piece(where / "piece", THREE, carriers=carriers)
        room = stack.enter_context(Room(folder, THREE, where, network=stack.enter_context(Network(THREE))))
        room.play(within_s=MENDED_S)
        room.until(lambda: has_standbys(room), "the standbys to be loaded", MENDED_S)
        held = holders(room)
        cut_off = held["hot"] if what == "holder" else next(each for each in THREE[1:] if each != held["hot"])
        begin: Callable[[], object] = lambda: room.network.switch(False)  # noqa: E731
        end: Callable[[], object] = lambda: room.network.switch(True)  # noqa: E731
        side = ["a"]
        if what != "switch":
            begin, end = (lambda: room.network.unplug(cut_off)), (lambda: room.network.plug(cut_off))
            side = [each for each in THREE if each != cut_off]
        outage = endure(room, begin, end, off_s, side)
    changed = sorted(each for each in outage.before if outage.after.get(each) != outage.before[each])
    return {
        "outage": name, "off_s": off_s, "cut_off": cut_off if what != "switch" else "all from all", **asdict(outage),
        "alone": {each: sorted(parts) for each, parts in outage.alone.items()}, "processes_changed": changed,
        "holders_changed": sorted(each for each in held if outage.held_after.get(each) != held[each]),
    }  # fmt: skip


def power_cuts(paces: tuple[float, ...], seed: int) -> list[dict[str, Any]]:
    """The whispering room off and on."""
    chance, rows = random.Random(seed), []
    with tempfile.TemporaryDirectory() as where:
        folder = Path(where) / "piece"
        shutil.copytree(WHISPERING_ROOM, folder, ignore=shutil.ignore_patterns("training", "__pycache__"))
        with Room(folder, MACHINES, Path(where)) as room:
            room.play(within_s=MENDED_S)
            first = settled(room)
            for pace_s in paces:
                order = chance.sample(MACHINES, len(MACHINES))
                room.power_off(*MACHINES)
                time.sleep(DARK_S)
                on_s = time.monotonic()
                room.power_on(*order, apart_s=pace_s)
                last_s = time.monotonic()
                wait_until(room.plays, "everything to play", PLAYS_S, 0.1)
                playing_s = time.monotonic()
                ended = settled(room)
                moved = [each for name in MACHINES for each in room.machines[name].said("takeover", since_s=on_s)]
                rows.append({
                    "order": order, "apart_s": pace_s, "plays_after_last_s": round(playing_s - last_s, 1),
                    "plays_after_first_s": round(playing_s - on_s, 1), "ended": ended, "as_before": ended == first,
                    "handed_over": [f"{each['instance']} {each['from']} -> {each['to']}" for each in moved],
                })  # fmt: skip
    return rows


def settled(room: Room) -> dict[str, str]:
    """Who holds what, once nobody moves any more for a while."""
    found, since_s = holders(room), time.monotonic()
    while time.monotonic() < since_s + 5.0:
        time.sleep(0.25)
        now = holders(room)
        if now != found:
            found, since_s = now, time.monotonic()
    return found


def main() -> None:
    """Print the figures, in words and as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.outages", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--switch", action="store_true", help="only this part")
    parser.add_argument("--power", action="store_true", help="only this part")
    parser.add_argument("--off", type=float, default=OFF_S, metavar="SECONDS", help=f"how long the switch is off [default: {OFF_S:.0f}]")
    parser.add_argument("--seed", type=int, default=1, help="of the order in which machines come back")
    parser.add_argument("--json", type=Path, metavar="FILE", dest="json_file", help="write the result here as well")
    given = parser.parse_args()
    if refused := why_not():
        raise SystemExit(f"outages: no room of hosts can be made here: {refused}")
    both = given.switch == given.power
    told: dict[str, Any] = {"switch": [], "power": [], "machine": machine()}
    if both or given.switch:
        with ThreadPoolExecutor(len(CUTS)) as rooms:
            told["switch"] = list(rooms.map(lambda name: switch_off(name, given.off), CUTS))
    for each in told["switch"]:
        print(f"{each['outage']}, {each['off_s']:.0f} s: processes changed {each['processes_changed'] or 'none'}, holders changed "
              f"{each['holders_changed'] or 'none'}, met after {each['met_s']:.2f} s, two holders until {each['double_s']:.2f} s, "
              f"whole after {each['whole_s']:.1f} s", file=sys.stderr)
    if both or given.power:
        told["power"] = power_cuts(PACES_S, given.seed)
    for each in told["power"]:
        print(f"power back {each['apart_s']:.0f} s apart, {' '.join(each['order'])}: all play {each['plays_after_last_s']} s after "
              f"the last; {'each role where it was' if each['as_before'] else 'elsewhere: ' + str(each['ended'])}; "
              f"handed over: {each['handed_over'] or 'none'}", file=sys.stderr)
    print(json.dumps(told))
    if given.json_file:
        given.json_file.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
