"""Campaigns: `python -m tests.sim --seeds A:B` tries seeds and stops at the first that fails.

    python -m tests.sim --seeds 0:10000            tries them; exit code 1 and the seed's story when one fails
    python -m tests.sim --seeds 0:10000 --keep     and adds them to the kept total in tests/sim/total.json
    python -m tests.sim --seed 4711                one seed, with everything that was said
    python -m tests.sim --total                    what has been kept so far
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tests.sim import trial
from tests.sim.trial import Outcome, try_seed

TOTAL = Path(__file__).with_name("total.json")
COLLECT_EVERY = 25  # seeds; a world is one large cycle, and collecting while it lives costs a tenth of the time


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 0 when every rule held, 1 when one broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", metavar="A:B", help="try the seeds from A up to, but without, B")
    parser.add_argument("--seed", type=int, help="try one seed and say what happened")
    parser.add_argument("--keep", action="store_true", help="add what was tried to the kept total")
    parser.add_argument("--total", action="store_true", help="show the kept total")
    parser.add_argument("--all", action="store_true", help="go on after a seed that fails")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after so long, wherever that is")
    wanted = parser.parse_args(arguments)
    console = Console()
    if wanted.total:
        console.print_json(data=_kept())
        return 0
    if wanted.seed is not None:
        return _tell(wanted.seed, console)
    if not wanted.seeds:
        parser.print_help()
        return 2
    first, last = (int(each) for each in wanted.seeds.split(":"))
    return _campaign(range(first, last), console, keep=wanted.keep, go_on=wanted.all, minutes=wanted.minutes)


def _campaign(seeds: range, console: Console, *, keep: bool, go_on: bool, minutes: float) -> int:
    columns = (TextColumn("[progress.description]{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    began_s, simulated_s, steps, tried = time.monotonic(), 0.0, 0, 0
    longest_s = slowest_s = 0.0
    failed: list[Outcome] = []
    gc.freeze()
    gc.disable()
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("seeds", total=len(seeds))
        for seed in seeds:
            outcome = try_seed(seed)
            tried += 1
            if tried % COLLECT_EVERY == 0:
                gc.collect()
            simulated_s += outcome.simulated_s
            steps += outcome.steps
            longest_s, slowest_s = max(longest_s, outcome.two_holders_s), max(slowest_s, outcome.agreed_s)
            progress.advance(task)
            if outcome.broken:
                failed.append(outcome)
                progress.console.print(f"[red]seed {seed}:[/] {outcome.broken[0]}", highlight=False, markup=True)
                if not go_on:
                    break
            if time.monotonic() - began_s > minutes * 60:
                break
    took_s = time.monotonic() - began_s
    console.print(
        f"{tried} seeds, {len(failed)} failed, {simulated_s / 3600:.1f} simulated hours, {tried / took_s:.1f} seeds/s; "
        f"longest with two holders after healing {longest_s:.1f} s, longest until all agreed {slowest_s:.1f} s"
    )
    if keep:
        _keep(tried, simulated_s, steps, [each.seed for each in failed], (seeds.start, seeds.start + tried), longest_s, slowest_s)
    return 1 if failed else 0


def _tell(seed: int, console: Console) -> int:
    outcome = Outcome(seed)
    world = trial.make_world(seed)
    room = world.deployment
    console.print(f"{room.installation} on {', '.join(world.machines)}, {room.timing}, discovery: {world.discovery}")
    broken = trial.play(world, outcome)
    for said in world.said:
        fields = " ".join(f"{key}={value}" for key, value in said.fields.items() if key != "node")
        console.print(f"{said.t:8.3f}  {said.machine:8} {said.event:14} {fields}", highlight=False, markup=False)
    console.print(f"trace {world.trace:08x}: " + (broken or "every rule held"), highlight=False, markup=False)
    return 1 if broken else 0


def _kept() -> dict[str, object]:
    empty: dict[str, object] = {
        "seeds": 0, "simulated_hours": 0.0, "steps": 0, "two_holders_s_max": 0.0, "agreed_s_max": 0.0, "failed": [], "ranges": [],
    }
    return {**empty, **json.loads(TOTAL.read_text(encoding="utf-8"))} if TOTAL.exists() else empty


def _keep(
    seeds: int, simulated_s: float, steps: int, failed: list[int], span: tuple[int, int], two_holders_s: float, agreed_s: float,
) -> None:
    kept = _kept()
    kept["two_holders_s_max"] = max(float(str(kept["two_holders_s_max"])), round(two_holders_s, 2))
    kept["agreed_s_max"] = max(float(str(kept["agreed_s_max"])), round(agreed_s, 2))
    kept["seeds"] = int(str(kept["seeds"])) + seeds
    kept["simulated_hours"] = round(float(str(kept["simulated_hours"])) + simulated_s / 3600, 2)
    kept["steps"] = int(str(kept["steps"])) + steps
    ranges, failures = kept["ranges"], kept["failed"]
    assert isinstance(ranges, list) and isinstance(failures, list)
    if ranges and ranges[-1][1] == span[0]:
        ranges[-1][1] = span[1]
    else:
        ranges.append(list(span))
    failures += failed
    TOTAL.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
