"""Roomful beside what a user could pick instead: bare pyzmq, Eclipse Zenoh and dora-rs, doing the same work in turn in one run.

    round trip      100 bytes from one process to another and back; and as between machines, encrypted, of those who encrypt
    pictures        640x480x3 and 1920x1080x3 on one machine, as many as come through
    pool            300 questions, 12 open, to processes that take 10, 20 and 40 ms: what share of the sum of their speeds
    killed, stopped one of three processes, while it answers: how many questions are never answered, and the longest wait

Every contestant takes its turn in every round, so that what else the machine does meets all of them; absolute figures drift from run to
run, the ratios to bare pyzmq are what counts. A whole run writes its table into the README and draws the plot beside this file.
Run: python -m benchmarks.side_by_side [--rounds N] [--only NAME,…] [--help]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.contestants import Contestant, contestants
from benchmarks.plot import Bar, plot
from benchmarks.rooms import progress
from mesh.shell.bench.rows import least, machine, p99, rates

HERE = Path(__file__).resolve().parent
POOL_MS, FAULT_MS = (10.0, 20.0, 40.0), (200.0, 200.0, 200.0)
BASE = "pyzmq"
README = HERE.parent / "README.md"
BEGINS, ENDS = "<!-- side by side: written by make bench -->", "<!-- side by side ends -->"


@dataclass(slots=True)
class Heat:
    """One piece of work. `title` for people; `more` says that more is better."""

    name: str
    title: str
    unit: str
    more: bool
    samples: dict[str, list[float]] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def is_fault(self) -> bool:
        """A fault is brought about once: what is waited for in vain takes long."""
        return self.name in ("killed", "stopped")

    def takes(self, contestant: Contestant) -> bool:
        """Whether it can take part."""
        return self.name != "round_trip_network" or contestant.encrypts

    def run(self, contestant: Contestant, quick: bool) -> None:
        """One turn."""
        try:
            self._run(contestant, quick)
        except Exception as fault:  # a peer that fails is said to have failed; the others go on
            self.failed[contestant.name] = str(fault).strip().splitlines()[-1][:200] if str(fault).strip() else type(fault).__name__

    def _run(self, contestant: Contestant, quick: bool) -> None:
        kept = self.samples.setdefault(contestant.name, [])
        if self.name == "round_trip":
            kept += contestant.round_trips(1000 if quick else 5000, 100)
        elif self.name == "round_trip_network":
            kept += contestant.round_trips(1000 if quick else 5000, 100, far=True)
        elif self.name.startswith("pictures"):
            width, height = (640, 480) if "480" in self.name else (1920, 1080)
            kept += rates(contestant.pictures(width, height, 1.5 if quick else 3.0)["arrivals"])
        elif self.name == "pool":
            found = contestant.shared_out(100 if quick else 300, 12, POOL_MS)
            kept.append(found["count"] / found["elapsed_s"] / sum(1000 / each for each in POOL_MS))
        else:
            found = contestant.shared_out(50, 6, FAULT_MS, fault=self.name.removesuffix("ped").removesuffix("ed"))
            kept.append(max(found["samples"]) / 1000)
            self.lost[contestant.name] = self.lost.get(contestant.name, 0) + found["lost"]

    def row(self, name: str) -> dict[str, Any]:
        """A contestant's figures."""
        values = self.samples.get(name)
        if not values:
            return {"name": self.name, "who": name, "value": None, "p99": None, "unit": self.unit, "ratio": None,
                    "failed": self.failed.get(name, "it measured nothing") if name in self.samples or name in self.failed else ""}
        base = self.samples.get(BASE)
        value = median(values)
        return {
            "name": self.name, "who": name, "value": value, "p99": least(values) if self.more else p99(values), "unit": self.unit,
            "ratio": value / median(base) if base else None, "samples": len(values), "lost": self.lost.get(name),
        }  # fmt: skip


def heats() -> list[Heat]:
    """All of them, in the order of the table."""
    return [
        Heat("round_trip", "100 bytes there and back", "us", False),
        Heat("round_trip_network", "the same as between machines, encrypted on both sides", "us", False),
        Heat("pictures_480p", "640x480 pictures on one machine", "frames/s", True),
        Heat("pictures_1080p", "1920x1080 pictures on one machine", "frames/s", True),
        Heat("pool", "unequal machines: share of the sum of their speeds", "", True),
        Heat("killed", "one of three is killed: longest wait", "ms", False),
        Heat("stopped", "one of three is stopped: longest wait", "ms", False),
    ]


def table(done: Sequence[Heat], who: Sequence[Contestant]) -> Table:
    """For people: each contestant's median and p99, and its ratio to bare pyzmq."""
    shown = Table(title=f"Side by side\n{machine()}", title_justify="left")
    shown.add_column("")
    for each in who:
        shown.add_column(each.name, justify="right")
    for heat in done:
        shown.add_row(heat.title, *(cell(heat.row(each.name)) for each in who))
    return shown


def cell(row: dict[str, Any]) -> str:
    """One figure in words."""
    if row["value"] is None:
        return "failed" if row["failed"] else ""
    digits = 3 if not row["unit"] else 0 if row["value"] >= 100 else 1
    lost = "" if row["lost"] is None else f", {row['lost']} lost" if row["lost"] else ", none lost"
    ratio = "" if row["ratio"] is None or lost else f" ({row['ratio']:.2f} x)"
    return f"{row['value']:.{digits}f} / {row['p99']:.{digits}f} {row['unit']}{ratio}{lost}".replace("  ", " ")


def markdown(done: Sequence[Heat], who: Sequence[Contestant]) -> str:
    """The same as the README shows it."""
    lines = ["| median / p99 | " + " | ".join(each.name for each in who) + " |", "|---|" + "---|" * len(who)]
    lines += [f"| {heat.title} | " + " | ".join(cell(heat.row(each.name)) for each in who) + " |" for heat in done]
    return "\n".join(lines)


def into_readme(text: str, table: str) -> str:
    """The README with this table in the place of the one before, and what it was measured on."""
    before, begins, rest = text.partition(BEGINS)
    _, ends, after = rest.partition(ENDS)
    if not (begins and ends):
        raise SystemExit(f"{README.name} has no place for the table: it lies between {BEGINS} and {ENDS}")
    return f"{before}{BEGINS}\n{table}\n\n{machine()}, through the Role API; ratios to bare pyzmq in brackets.\n{ENDS}{after}"


def bars(done: Sequence[Heat], who: Sequence[Contestant]) -> list[Bar]:
    """How many times as good as bare pyzmq each was; what has no ratio is left out."""
    found = []
    for heat in done:
        if heat.is_fault:
            continue
        for each in who:
            row = heat.row(each.name)
            if row["ratio"]:
                found.append(Bar(heat.title, each.name, row["ratio"] if heat.more else 1 / row["ratio"], cell(row).split(" (")[0]))
    return found


def main() -> None:
    """Print the figures, in words and as JSON; write the plot beside this file when all was measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.side_by_side", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="turns of each contestant in each piece of work but the faults [default: 3]")
    parser.add_argument("--only", default="", help=f"which of {','.join(each.name for each in heats())} [default: all]")
    parser.add_argument("--who", default="", help="which contestants [default: all that are installed]")
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--plot", type=Path, default=None, help="write the plot here [default: side_by_side.svg, in a whole run]")
    given = parser.parse_args()
    console = Console(stderr=True)
    for each in contestants():
        if each.why_not:
            console.print(f"[yellow]{each.name} is left out: {each.why_not}[/yellow]")
    who = [each for each in contestants() if not each.why_not and (not given.who or each.name in given.who.split(","))]
    done = [each for each in heats() if not given.only or each.name in given.only.split(",")]
    with progress() as bar:
        rounds = {heat.name: 1 if given.quick or heat.is_fault else given.rounds for heat in done}
        turns = [(heat, each) for heat in done for _ in range(rounds[heat.name]) for each in who if heat.takes(each)]
        for heat, each in bar.track(turns, description="side by side"):
            heat.run(each, given.quick)
    Console(width=max(120, Console().width)).print(table(done, who))
    print(markdown(done, who))
    for heat in done:
        for name, why in heat.failed.items():
            console.print(f"[red]{name} failed at {heat.name}: {why}[/red]")
    print(json.dumps([heat.row(each.name) for heat in done for each in who]), flush=True)
    whole = not (given.quick or given.only or given.who)
    if whole:
        README.write_text(into_readme(README.read_text(), markdown(done, who)))
    where = given.plot or (HERE / "side_by_side.svg" if whole else None)
    if where is not None:
        where.write_text(plot(bars(done, who), f"times bare pyzmq, in one run ({machine()})"))


if __name__ == "__main__":
    main()
