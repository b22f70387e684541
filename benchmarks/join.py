"""How long until a node is known by all: real agents over real mDNS on loopback, no seeds.

Three agents run; a fourth starts. Measured from its sockets being bound (its own `started`) until everyone has it as a member
and it has everyone. Run: python -m benchmarks.join [RUNS]
"""

from __future__ import annotations

import json
import sys

from benchmarks.figures import machine, median, p99
from mesh.shell.bench.joining import one_join

MACHINES = ("one", "two", "three", "four")


def main() -> None:
    """Print the figures, in words and as JSON."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    results = [one_join(MACHINES) for _ in range(runs)]
    bound, launched = [each[0] for each in results], [each[1] for each in results]
    print(f"known by all, from its sockets being bound: median {median(bound):.0f} ms, p99 {p99(bound):.0f} ms; "
          f"from its process being started: median {median(launched):.0f} ms ({runs} runs, {machine()})")
    row = {"name": "join", "value": round(median(bound), 1), "p99": round(p99(bound), 1), "unit": "ms", "raw": None, "ratio": None}
    print(json.dumps([row]))


if __name__ == "__main__":
    main()
