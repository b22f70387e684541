"""How long the audience could notice that something died: faults in a room of real hosts, felt at a consumer of 100 Hz streams.

Four machines (network namespaces) play the whispering room and, beside it, four streams of 100 frames a second: one with a hot
standby, one with a warm one, one with none, and one that is the answers of two copies. A role that hears all four writes down when each
frame arrived. Round after round something is broken and mended:

    crash        the processes that play the streams get SIGKILL, one after another, each when the one before it is heard again
    cable out    the machine that carries them falls silent: its cable is out,
    stopped      … every process on it gets SIGSTOP,
    power cut    … its cable is out and every process on it gets SIGKILL

once with the machine otherwise idle and once with every core busy. All hosts share this computer's cores, and what they carry starts again
elsewhere on the same cores: figures on real machines are better. A chunk of faults at a time can be added to a file (`--append`), so that
a hundred of each kind fit into quiet moments; `--report` reads them all. Run: python -m benchmarks.failover [--faults N] [--help]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.figures import machine
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
from tests.hosts.room import Room, bring_about, undo

BEFORE_S, AFTER_S = 1.0, 0.4  # what is looked at before a fault, and after the stream is heard from elsewhere
LATE_S = 0.5  # how long after it was asked an answer may come and still not count as lost
WITHIN_S, MENDED_S = 20.0, 60.0
CRASH = "crash"
SILENCES = ("cable out", "stopped", "power cut")
PROMISES: dict[tuple[bool, str], float | None] = {  # (whether a machine fell silent, what) -> p99 in ms
    (False, "hot"): 50.0, (False, "copy"): 50.0, (False, "warm"): 150.0,
    (True, "hot"): 500.0, (True, "copy"): 500.0, (True, "request"): 500.0, (True, "warm"): 1000.0,
}  # fmt: skip


class Bench:
    """The room, its ear, and one round of faults at a time. `tell` takes each figure as it is found."""

    def __init__(self, room: Room, tell: Callable[[dict[str, Any]], None]) -> None:
        self.room = room
        self.ear = Ear(room.machines[EAR].home)
        self._tell = tell

    # ---- between faults

    def holders(self) -> dict[str, str]:
        """Instance -> machine, as the ear's machine sees it, of those that play."""
        roles = self.room.status(EAR).get("roles", {})
        return {name: role["machine"] for name, role in roles.items() if role["state"] == "playing"}

    def is_whole(self) -> bool:
        """Everything plays on one machine each, every machine is a member, the streams' standbys are loaded. All from one machine's
        word, so that looking weighs little."""
        said = self.room.status(EAR)
        roles, machines = said.get("roles", {}), said.get("machines", {})
        if not roles or any(role["state"] != "playing" for role in roles.values()):
            return False
        if any(each["health"] != "alive" for each in machines.values()):
            return False
        held = [part for each in machines.values() for part in each["roles"] if not part.endswith("(standby)")]
        return len(held) == len(set(held)) and all(roles[name]["standby"] for name in ("hot", "warm"))

    def settle(self) -> None:
        """Wait until the room is whole, has agreed, and has played undisturbed for a moment whose length is left to chance."""
        wait_until(self.is_whole, "the room to be whole again", MENDED_S, 0.1)
        self.ear.forget()
        time.sleep(BEFORE_S + random.random() * 0.1)

    # ---- rounds

    def crash(self) -> None:
        """SIGKILL to one process after another."""
        self.settle()
        began_s = time.monotonic()
        holders = self.holders()
        for name in ("hot", "copy", "warm", "cold"):
            instance = f"copy/{random.choice((1, 2))}" if name == "copy" else name
            process = self.room.process(instance, holders[instance])
            fault_s = time.monotonic()
            process.kill()
            if name == "copy":
                time.sleep(AFTER_S + BEFORE_S / 2)
                arrivals = self.ear.read()["copy"]
                self._found(CRASH, "copy", gap_ms(arrivals, fault_s))
                self._found(CRASH, "request", delay_ms(arrivals, fault_s))
            else:
                self._found(CRASH, name, self._gap(name, fault_s, _began_anew))
        self._count_lost(CRASH, began_s)

    def silence(self, how: str) -> None:
        """The machine that carries the streams falls silent, and comes back when all are heard from the other one."""
        self.settle()
        holders = self.holders()
        victim = holders["hot"]
        other = next(each for each in CARRIERS if each != victim)
        fault_s = bring_about(self.room, how, victim)
        for name in ("hot", "warm", "cold"):
            if holders[name] == victim:
                self._found(how, name, self._gap(name, fault_s, lambda arrivals: _by(arrivals, other)))
        arrivals = self.ear.read()["copy"]
        if victim in (holders["copy/1"], holders["copy/2"]):
            self._found(how, "copy", gap_ms(arrivals, fault_s))
            self._found(how, "request", delay_ms(arrivals, fault_s))
        self._count_lost(how, fault_s)
        undo(self.room, how, victim)

    def _found(self, how: str, what: str, value_ms: float) -> None:
        self._tell({"how": how, "what": what, "ms": round(value_ms, 2)})
        promise_ms = PROMISES.get((how != CRASH, what))
        if promise_ms is not None and value_ms > promise_ms:
            print(f"failover: {how}, {what}: {value_ms:.0f} ms, at {time.monotonic():.3f}\n{self.room.story()}", file=sys.stderr)

    def _count_lost(self, how: str, since_s: float) -> None:
        """Answers to what was asked from shortly before the fault until a moment ago; that moment is theirs to arrive in."""
        until_s = time.monotonic() - LATE_S
        numbers = unanswered(self.ear.read()["copy"], until_s)
        self._tell({"how": how, "what": "lost", "count": len(numbers), "of": int((until_s - since_s) * 100)})

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


# ---- chunks of rounds, and what they found together


class Found:
    """Every figure found, one JSON object a line where a file is given; `cell` is what the machine had to do beside."""

    def __init__(self, path: Path | None) -> None:
        self._file = path.open("a", buffering=1) if path is not None else None
        self.rows: list[dict[str, Any]] = []
        self.cell = ""

    def tell(self, figure: dict[str, Any]) -> None:
        """One more."""
        row = {"cell": self.cell, **figure, "load": round(os.getloadavg()[0], 1)}
        self.rows.append(row)
        if self._file is not None:
            self._file.write(json.dumps(row) + "\n")


def read_all(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """What earlier chunks found."""
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


def run(faults: int, cell: str, kinds: Sequence[str], found: Found, *, alone: bool) -> None:
    """So many rounds of each kind in a room of their own."""
    found.cell = cell
    with bench_room(alone, found.tell) as bench, progress() as bar, busy(2 * cores() if cell == "busy" else 0):
        for kind in kinds:
            for _ in bar.track(range(faults), description=f"{cell}: {kind}"):
                try:
                    bench.crash() if kind == CRASH else bench.silence(kind)
                except (TimeoutError, AssertionError, LookupError, ValueError) as late:
                    # Told, and the room begun afresh; never just left out.
                    found.tell({"how": kind, "what": "not over in time", "why": str(late)[:500]})
                    print(f"failover: {late}\n{bench.room.story()}", file=sys.stderr)
                    mend(bench.room)


def mend(room: Room) -> None:
    """Whatever was broken: everything off, cables in, everything on."""
    room.thaw(*room.machines)
    room.stop(*room.machines)
    room.power_off(*room.machines)
    room.power_on(*room.machines)


@contextlib.contextmanager
def bench_room(alone: bool, tell: Callable[[dict[str, Any]], None]) -> Iterator[Bench]:
    """A room that plays."""
    with tempfile.TemporaryDirectory() as where:
        folder = bench_piece(Path(where) / "piece", alone=alone)
        with Room(folder, MACHINES, Path(where), agent=AGENT) as room:
            room.play(within_s=MENDED_S)
            yield Bench(room, tell)


def figures_of(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The table: for each cell a role's crash, a silent machine however it fell silent, and each way apart."""
    rows: list[dict[str, Any]] = []
    for cell in dict.fromkeys(each["cell"] for each in found):
        for title, hows in (("a role crashes", (CRASH,)), ("a machine falls silent", SILENCES), *((how, (how,)) for how in SILENCES)):
            silent = CRASH not in hows
            figures = Figures("ms", {what: PROMISES.get((silent, what)) for what in ("hot", "copy", "request", "warm", "cold")})
            for each in found:
                if each["cell"] == cell and each["how"] in hows and "ms" in each:
                    figures.add(each["what"], each["ms"])
            rows += figures.rows(f"{cell}, {title}:")
    return rows


def summary_of(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The table and what stands beside it, for `--json`."""
    lost = [each for each in found if each["what"] == "lost"]
    load = sorted(each["load"] for each in found)
    return {
        "figures": figures_of(found), "machine": machine(), "load_median": load[len(load) // 2] if load else None,
        "answers": {"asked": sum(each["of"] for each in lost), "lost": sum(each["count"] for each in lost)},
        "not_over_in_time": [each for each in found if each["what"] == "not over in time"],
    }  # fmt: skip


def main() -> None:
    """Print the figures, in words and as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.failover", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--faults", type=int, default=100, help="rounds of each kind [default: 100]")
    parser.add_argument("--cells", default="idle,busy", help="which of idle,busy [default: both]")
    parser.add_argument("--kinds", default=",".join((CRASH, *SILENCES)), help=f"which of {','.join((CRASH, *SILENCES))} [default: all]")
    parser.add_argument("--alone", action="store_true", help="the streams alone, without the whispering room beside")
    parser.add_argument("--append", type=Path, metavar="FILE", help="add every figure to this file, a JSON object a line")
    parser.add_argument("--report", type=Path, nargs="+", metavar="FILE", help="break nothing; tell what these files hold")
    parser.add_argument("--json", type=Path, metavar="FILE", dest="json_file", help="write the table here as well")
    given = parser.parse_args()
    if given.report:
        found = read_all(given.report)
    else:
        if refused := why_not():
            raise SystemExit(f"failover: no room of hosts can be made here: {refused}")
        kept = Found(given.append)
        for cell in given.cells.split(","):
            run(given.faults, cell, given.kinds.split(","), kept, alone=given.alone)
        found = kept.rows
    summary = summary_of(found)
    show("Failover: gaps at a consumer of 100 Hz, and added delay of requests", summary["figures"])
    answers, late = summary["answers"], summary["not_over_in_time"]
    print(f"answers that never reached the consumer: {answers['lost']} of {answers['asked']}; "
          f"faults that were not over in time: {len(late)}; load {summary['load_median']}", file=sys.stderr)
    if given.json_file:
        given.json_file.write_text(json.dumps(summary, indent=1) + "\n")
    if late or answers["lost"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
