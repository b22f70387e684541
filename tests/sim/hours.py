"""How often a healthy room on a bad radio is troubled for nothing: `python -m tests.sim.hours --hours 30`.

Sixteen nodes, one datagram in twenty lost, up to 50 ms of jitter, lines that stall as TCP does, and now and then a moment in
which nothing passes at all. Nothing is wrong with any machine, so each death and each take-over is a false one. Zero
in T hours bounds the rate at 3 / T per hour with 95 % confidence (the rule of three).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from typing import Any

from rich.console import Console
from rich.progress import Progress

from tests.sim.network import Weather
from tests.sim.rooms import whispering
from tests.sim.world import World

BURST_S = 0.4


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
    counts = {"node_suspect": 0, "node_dead": 0, "takeover": 0, "cut_off": 0}
    began_s, until = time.monotonic(), world.t + hours * 3600
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
                if said.event in counts:
                    counts[said.event] += 1
            world.said.clear()
            progress.advance(task, step_s)
    return {
        "hours": hours, "nodes": nodes, "preset": preset, "loss": loss, "jitter_s": jitter_s, "burst_every_s": burst_every_s,
        "false_deaths": counts["node_dead"], "false_takeovers": counts["takeover"],
        "takeovers_per_hour_at_most": round((3.0 if not counts["takeover"] else counts["takeover"] + 3.0) / hours, 4),
        "suspicions_per_node_hour": round(counts["node_suspect"] / hours / nodes, 3), "cut_off_said": counts["cut_off"],
        "minutes": round((time.monotonic() - began_s) / 60, 1),
    }


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
    wanted = parser.parse_args()
    found = live(
        wanted.hours, wanted.nodes, wanted.preset, loss=wanted.loss, jitter_s=wanted.jitter, burst_every_s=wanted.burst_every,
        seed=wanted.seed,
    )
    print(json.dumps(found))
    return 1 if found["false_takeovers"] else 0


if __name__ == "__main__":
    sys.exit(main())
