"""How often a healthy room on a bad radio is troubled for nothing: `python -m tests.sim.hours --hours 30`.

Sixteen nodes, one datagram in twenty lost, up to 50 ms of jitter, lines that stall as TCP does, and now and then a moment in
which nothing passes at all. Nothing is wrong with any machine, so each death and each take-over is a false one, and each suspicion
a needless re-route, turned back when it is refuted. Zero in T hours bounds the rate at 3 / T per hour with 95 % confidence (the rule
of three; Poisson's bound above zero). With `--add FILE` a long run can be made of several short ones with seeds of their own.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from dataclasses import replace
from math import exp
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from tests.sim.network import Weather
from tests.sim.rooms import whispering
from tests.sim.world import World

BURST_S = 0.4
COUNTED = {
    "node_suspect": "suspicions", "node_refuted": "refuted", "node_dead": "false_deaths", "takeover": "false_takeovers",
    "cut_off": "cut_off_said",
}


def live(hours: float, nodes: int, preset: str, *, loss: float, jitter_s: float, burst_every_s: float, seed: int = 1) -> dict[str, Any]:
    """The counts after so many simulated hours."""
    names = tuple(f"m{index:02}" for index in range(nodes))
    world = World(seed, replace(whispering(names), boot_grace_s=3.0, timing=preset), steps_max=10**12)
    for name in names:
        world.add(name)
        world.boot(name)
    world.run(10.0)
    world.said.clear()
    world.network.weather = Weather(0.002, jitter_s, loss, 0.005)
    counts = dict.fromkeys(COUNTED.values(), 0)
    began_s, until = time.monotonic(), world.t + hours * 3600
    gc.collect()
    gc.disable()
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task(f"{nodes} nodes, {preset}", total=until - world.t)
        while world.t < until:
            step_s = min(until - world.t, burst_every_s or 60.0)
            world.run_for(step_s)
            if burst_every_s:
                for one in names:
                    for other in names:
                        world.network.clog(one, other, BURST_S)
            for said in world.said:
                if said.event in COUNTED:
                    counts[COUNTED[said.event]] += 1
            world.said.clear()
            progress.advance(task, step_s)
    return {
        "preset": preset, "nodes": nodes, "loss": loss, "jitter_s": jitter_s, "burst_every_s": burst_every_s, "hours": hours, **counts,
        "seeds": [seed], "minutes": round((time.monotonic() - began_s) / 60, 1),
    }


def add(rows: list[dict[str, Any]], found: dict[str, Any]) -> dict[str, Any]:
    """Add a run to the row of its conditions; returns that row. Raises ValueError for a seed that the row has already."""
    conditions = ("preset", "nodes", "loss", "jitter_s", "burst_every_s")
    for row in rows:
        if all(row[key] == found[key] for key in conditions):
            if set(row["seeds"]) & set(found["seeds"]):
                raise ValueError(f"seed {found['seeds']} has been counted already")
            for key in ("hours", *COUNTED.values(), "seeds", "minutes"):
                row[key] = row[key] + found[key] if key == "seeds" else round(row[key] + found[key], 2)
            break
    else:
        row = dict(found)
        rows.append(row)
    row["takeovers_per_hour_at_most"] = round(most(row["false_takeovers"]) / row["hours"], 4)
    row["suspicions_per_node_hour"] = round(row["suspicions"] / row["hours"] / row["nodes"], 4)
    return row


def most(seen: int) -> float:
    """The largest mean that would still show so few events in one run of twenty (the upper 95 % bound of a Poisson count)."""
    low, high = float(seen), seen + 20.0 + 4.0 * seen
    for _ in range(60):
        mean = (low + high) / 2
        term, odds = exp(-mean), 0.0
        for count in range(seen + 1):
            odds += term
            term *= mean / (count + 1)
        low, high = (mean, high) if odds > 0.05 else (low, mean)
    return high


def main() -> int:
    """Prints one JSON value. Exit code 1 when there was a false take-over."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.hours", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--nodes", type=int, default=16)
    parser.add_argument("--preset", choices=("wired", "wireless"), default="wireless")
    parser.add_argument("--loss", type=float, default=0.05)
    parser.add_argument("--jitter", type=float, default=0.05, metavar="S")
    parser.add_argument("--burst-every", type=float, default=60.0, metavar="S", help="0 for none")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--add", type=Path, metavar="FILE", help="a JSON list of runs, to which this one is added")
    wanted = parser.parse_args()
    found = live(
        wanted.hours, wanted.nodes, wanted.preset, loss=wanted.loss, jitter_s=wanted.jitter, burst_every_s=wanted.burst_every,
        seed=wanted.seed,
    )
    rows = json.loads(wanted.add.read_text(encoding="utf-8")) if wanted.add and wanted.add.exists() else []
    row = add(rows, found)
    if wanted.add:
        wanted.add.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(row))
    return 1 if found["false_takeovers"] else 0


if __name__ == "__main__":
    sys.exit(main())
