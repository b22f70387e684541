"""How long the audience could notice that something died: faults in a room of real hosts, felt at a consumer of 100 Hz streams.

Four machines (network namespaces) play the whispering room and, beside it, four streams of 100 frames a second: one with a hot
standby, one with a warm one, one with none, and one that is the answers of two copies. A role that hears all four writes down when each
frame arrived. One machine after the other is broken and mended:

    a role's process gets SIGKILL
    a machine falls silent: cable out; SIGSTOP to everything on it; power cut (cable out, then SIGKILL to everything)

once with the machine otherwise idle and once with every core busy. All hosts share this computer's cores, and what they carry starts again
elsewhere on the same cores: figures on real machines are better. Run: python -m benchmarks.failover [--faults N] [--help]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from rich.progress import Progress

from benchmarks.rooms import (
    AGENT,
    CARRIERS,
    EAR,
    MACHINES,
    Ear,
    Figures,
    bench_piece,
    busy,
    cores,
    delay_ms,
    gap_ms,
    progress,
    show,
    unanswered,
    wait_until,
)
from tests.hosts.network import why_not
from tests.hosts.room import Room

BEFORE_S, AFTER_S = 1.0, 0.5  # what is looked at before a fault, and after the stream is heard from elsewhere
WITHIN_S, MENDED_S = 20.0, 60.0
CRASH_PROMISES = {"hot": 50.0, "copy": 50.0, "warm": 150.0, "cold": None, "request": None}
SILENCE_PROMISES = {"hot": 500.0, "copy": 500.0, "request": 500.0, "warm": 1000.0, "cold": None}
HOWS = ("cable out", "stopped", "power cut")


class Bench:
    """The room, its ear, and one fault at a time."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.ear = Ear(room.machines[EAR].home)
        self.lost = 0
        self.late: list[str] = []

    # ---- between faults

    def holders(self) -> dict[str, str]:
        """Instance -> machine, as the ear's machine sees it, of those that play."""
        roles = self.room.status(EAR).get("roles", {})
        return {name: role["machine"] for name, role in roles.items() if role["state"] == "playing"}

    def is_whole(self) -> bool:
        """Everything plays, every machine is a member, the streams' standbys are loaded, the copies apart, on the carriers."""
        said = self.room.status(EAR)
        roles = said.get("roles", {})
        if not roles or any(role["state"] != "playing" for role in roles.values()):
            return False
        if any(machine["health"] != "alive" for machine in said["machines"].values()):
            return False
        return all(roles[name]["standby"] for name in ("hot", "warm"))

    def settle(self) -> None:
        """Wait until the room is whole, has agreed, and has played undisturbed for a moment whose length is left to chance."""
        wait_until(self.is_whole, "the room to be whole again", MENDED_S, 0.2)
        wait_until(lambda: all(len(each) == 1 for each in self.room.holders().values()), "one holder each", MENDED_S, 0.2)
        self.ear.forget()
        time.sleep(BEFORE_S + random.random() * 0.3)

    # ---- faults

    def crash(self, name: str, figures: Figures) -> None:
        """SIGKILL to the process that plays a stream (for `copy` one of the two)."""
        self.settle()
        instance = f"copy/{random.choice((1, 2))}" if name == "copy" else name
        process = self.room.process(instance, self.holders()[instance])
        fault_s = time.monotonic()
        process.kill()
        if name == "copy":
            time.sleep(BEFORE_S)
            arrivals = self.ear.read()["copy"]
            figures.add("copy", gap_ms(arrivals, fault_s))
            figures.add("request", delay_ms(arrivals, fault_s))
            self.lost += unanswered(arrivals)
        else:
            figures.add(name, self._gap(name, fault_s, _began_anew))

    def silence(self, how: str, figures: Figures) -> None:
        """The machine that carries the streams falls silent, and comes back when all are heard from the other one."""
        self.settle()
        holders = self.holders()
        victim = holders["hot"]
        other = next(each for each in CARRIERS if each != victim)
        fault_s = {"cable out": self.room.unplug, "stopped": self.room.freeze, "power cut": self.room.power_off}[how](victim)
        for name in ("hot", "warm", "cold"):
            if holders[name] == victim:
                figures.add(f"{how} {name}", self._gap(name, fault_s, lambda arrivals: _by(arrivals, other)))
        self._requests(how, figures, fault_s)
        self._mend(how, victim)

    def _requests(self, how: str, figures: Figures, fault_s: float) -> None:
        arrivals = self.ear.read()["copy"]
        figures.add(f"{how} copy", gap_ms(arrivals, fault_s))
        figures.add(f"{how} request", delay_ms(arrivals, fault_s))
        self.lost += unanswered(arrivals)

    def _mend(self, how: str, victim: str) -> None:
        if how == "stopped":
            self.room.thaw(victim)
        elif how == "power cut":
            self.room.power_on(victim)
        else:
            self.room.network.plug(victim)

    def _gap(self, name: str, fault_s: float, resumed_at: Callable[[list[Any]], float | None]) -> float:
        """The gap of a stream once it is heard from its new holder."""
        resumed: float | None = None

        def is_heard() -> bool:
            nonlocal resumed
            resumed = resumed_at([each for each in self.ear.read().get(name, []) if each.at_s > fault_s])
            return resumed is not None and time.monotonic() > resumed + AFTER_S

        wait_until(is_heard, f"{name} to be heard again", WITHIN_S)
        assert resumed is not None
        return gap_ms([each for each in self.ear.arrivals[name] if each.at_s < resumed + AFTER_S], fault_s)


def _by(arrivals: list[Any], machine: str) -> float | None:
    return next((each.at_s for each in arrivals if each.machine == machine), None)


def _began_anew(arrivals: list[Any]) -> float | None:
    """When another process is heard: another machine, or numbers that begin again (a hot standby counts by itself)."""
    for one, two in pairwise(arrivals):
        if one.machine != two.machine or two.number < one.number:
            return float(two.at_s)
    first = arrivals[0] if arrivals else None
    return float(first.at_s) if first is not None and len(arrivals) > BEFORE_S * 50 else None


def run(bench: Bench, faults: int, hogs: int, bar: Progress, label: str, parts: set[str]) -> list[dict[str, Any]]:
    """All faults of one cell; returns its rows. Machines come first, since a role's crash parts the streams that shared one."""
    crashes, silences = Figures("ms", CRASH_PROMISES), Figures("ms", SILENCE_PROMISES)
    faulted: list[tuple[str, Callable[[], None]]] = []
    if "silence" in parts:
        faulted += [(how, partial(bench.silence, how, silences)) for how in HOWS]
    if "crash" in parts:
        faulted += [(f"crash, {name}", partial(bench.crash, name, crashes)) for name in ("hot", "warm", "cold", "copy")]
    with busy(hogs):
        for named, fault in faulted:
            for _ in bar.track(range(faults), description=f"{label}: {named}"):
                _try(bench, fault)
            bar.console.print(f"{label}: {named}, {faults} faults, load {os.getloadavg()[0]:.1f}")
    return [*crashes.rows(f"{label}, crash:"), *silences.rows(f"{label},")]


def _try(bench: Bench, fault: Callable[[], None]) -> None:
    """A fault whose consequences do not end in time is told, and the room is begun afresh; it is never just left out."""
    try:
        fault()
    except (TimeoutError, AssertionError, KeyError, ValueError) as late:
        bench.late.append(f"{late}")
        print(f"failover: {late}\n{bench.room.story()}", file=sys.stderr)
        mend(bench.room)


def mend(room: Room) -> None:
    """Whatever was broken: everything off, cables in, everything on."""
    room.thaw(*room.machines)
    room.stop(*room.machines)
    room.power_off(*room.machines)
    room.power_on(*room.machines)


@contextlib.contextmanager
def bench_room(alone: bool) -> Iterator[Bench]:
    """A room that plays."""
    with tempfile.TemporaryDirectory() as where:
        folder = bench_piece(Path(where) / "piece", alone=alone)
        with Room(folder, MACHINES, Path(where), agent=AGENT) as room:
            room.play(within_s=MENDED_S)
            yield Bench(room)


def main() -> None:
    """Print the figures, in words and as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.failover", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--faults", type=int, default=100, help="of each kind [default: 100]")
    parser.add_argument("--cells", default="idle,busy", help="which of idle,busy [default: both]")
    parser.add_argument("--parts", default="crash,silence", help="which of crash,silence [default: both]")
    parser.add_argument("--alone", action="store_true", help="the streams alone, without the whispering room beside")
    given = parser.parse_args()
    if refused := why_not():
        raise SystemExit(f"failover: no room of hosts can be made here: {refused}")
    rows: list[dict[str, Any]] = []
    with bench_room(given.alone) as bench, progress() as bar:
        for cell in given.cells.split(","):
            rows += run(bench, given.faults, 2 * cores() if cell == "busy" else 0, bar, cell, set(given.parts.split(",")))
    show("Failover: gaps at a consumer of 100 Hz, and added delay of requests", rows)
    print(f"answers that never reached the consumer: {bench.lost}; faults that were not over in time: {len(bench.late)}", file=sys.stderr)
    for each in bench.late:
        print(f"  {each}", file=sys.stderr)
    if bench.late:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
