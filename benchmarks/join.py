"""How long until a node is known by all: real agents over real mDNS on loopback, no seeds.

Three agents run; a fourth starts. Measured from its sockets being bound (its own `started`) until everyone has it as a member
and it has everyone. Run: python -m benchmarks.join [RUNS]
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.figures import machine, median, p99
from mesh.shell.folder import load
from mesh.shell.rehearsal import Rehearsal

PIECE = """
installation: joining
machines: {one: {}, two: {}, three: {}, four: {}}
roles:
  clock: {kind: "./roles.py:Clock", on: [one]}
"""
ROLES = '''
"""One quiet role."""
from mesh.role import Role, Event


class Clock(Role):
    """Says nothing."""
    outputs = {"time": Event}
'''


class Late(Rehearsal):
    """A rehearsal whose last machine is switched on by hand."""

    async def __aenter__(self) -> Rehearsal:
        self.late = self.machines.pop()
        return await super().__aenter__()

    async def join(self) -> None:
        await self._start(self.late)


async def one_join(folder: Path) -> tuple[float, float]:
    """Seconds from the last node's sockets being bound, and from its process being started, until all know all."""
    met: dict[tuple[str, str], float] = {}
    began: dict[str, float] = {}

    def hear(event: dict[str, Any]) -> None:
        if event["event"] == "node_up":
            met.setdefault((event["seen_by"], event["name"]), time.monotonic())
        elif event["event"] == "started":
            began[event["machine"]] = time.monotonic()

    names = ["one", "two", "three", "four"]
    rehearsal = Late(folder, load(folder), list(names), hear)
    async with rehearsal:
        await _until(lambda: len(met) == 6)
        await asyncio.sleep(1.0)
        started = time.monotonic()
        await rehearsal.join()
        await _until(lambda: len(met) == 12)
        last = max(when for pair, when in met.items() if "four" in pair)
        return last - began["four"], last - started


async def _until(condition: Any) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("the nodes did not meet within 30 s")
        await asyncio.sleep(0.002)


def main() -> None:
    """Print the figures, in words and as JSON."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    with tempfile.TemporaryDirectory() as where:
        folder = Path(where)
        (folder / "deployment.yaml").write_text(PIECE)
        (folder / "roles.py").write_text(ROLES)
        results = [asyncio.run(one_join(folder)) for _ in range(runs)]
    bound, launched = [each[0] * 1000 for each in results], [each[1] * 1000 for each in results]
    print(f"known by all, from its sockets being bound: median {median(bound):.0f} ms, p99 {p99(bound):.0f} ms; "
          f"from its process being started: median {median(launched):.0f} ms ({runs} runs, {machine()})")
    row = {"name": "join", "value": round(median(bound), 1), "p99": round(p99(bound), 1), "unit": "ms", "raw": None, "ratio": None}
    print(json.dumps([row]))


if __name__ == "__main__":
    main()
