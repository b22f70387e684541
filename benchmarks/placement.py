"""How long `place` takes: `python -m benchmarks.placement`. It is asked at each event, so it must never make a heartbeat late.

Rooms of every sort of role on unequal machines: with plenty of memory, with a twentieth more than is needed, and with too little;
asked anew, with everybody held, and with one machine lost.
"""

from __future__ import annotations

import argparse
import json
import time

from benchmarks.figures import machine, median, p99
from mesh.core.instances import Held
from mesh.core.placement import place
from tests.core.test_placement_speed import large_room

SIZES = ((6, 12, 100, 0.0), (32, 200, 100, 20.0), (256, 1000, 12, 1000.0))  # machines, instances, runs, promised ms (0: none)


def measure(machines: int, wanted: int, runs: int, slack: float) -> list[float]:
    """Milliseconds of each run: other rooms each time, the three questions in turn."""
    took: list[float] = []
    for seed in range(-(-runs // 3)):
        deployment, candidates = large_room(machines, wanted, slack, seed + 1)
        found = place(deployment, candidates)
        held = [Held(instance, node, 1) for instance, node in found.holders.items()]
        lost = candidates[1]
        left = [each for each in held if each.node != lost.node]
        questions = [(candidates, []), (candidates, held), ([each for each in candidates if each is not lost], left)]
        for here, claims in questions:
            start = time.perf_counter()
            place(deployment, here, claims)
            took.append((time.perf_counter() - start) * 1000)
    return took


def main() -> int:
    """Exit code 1 when a median breaks its promise."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.placement", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true")
    wanted = parser.parse_args()
    rows = []
    for machines, count, runs, promised in SIZES:
        for slack, words in ((0, "memory is no question"), (2.0, "plenty"), (1.05, "just enough"), (0.9, "too little")):
            took = measure(machines, count, runs, slack)
            rows.append({
                "name": f"place {machines} x {count}, {words}", "value": round(median(took), 2), "p99": round(p99(took), 2),
                "runs": len(took), "unit": "ms", "promised": promised or None,
            })
    if wanted.json:
        print(json.dumps({"machine": machine(), "rows": rows}))
    else:
        print(machine())
        for row in rows:
            print(f"{row['name']:45} median {row['value']:8.2f} ms, p99 {row['p99']:8.2f} ms, {row['runs']} runs")
    return 1 if any(row["promised"] and row["value"] >= row["promised"] for row in rows) else 0


if __name__ == "__main__":
    raise SystemExit(main())
