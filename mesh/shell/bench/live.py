"""The room that plays now, measured without touching it: what each node says of its clock, its streams and itself."""

from __future__ import annotations

import time
from typing import Any

from mesh.errors import RoomfulError
from mesh.shell.bench.rows import Row, row
from mesh.shell.finding import Door

ASKED = 20


def measure_room(door: Door) -> list[Row]:
    """For each machine that answers: how long a question to it takes, how far its clock may be off, and what its agent costs."""
    said = door.ask("status")
    rows: list[Row] = []
    for name, machine in said["machines"].items():
        if machine["health"] != "alive":
            continue
        try:
            rows += _machine(name, door.at(machine))
        except RoomfulError as fault:
            rows.append(Row(f"answer {name}", 0.0, 0.0, "ms", note=str(fault)))
    return rows


def _machine(name: str, door: Door) -> list[Row]:
    took = []
    for _ in range(ASKED):
        began_s = time.perf_counter()
        door.ask("who")
        took.append((time.perf_counter() - began_s) * 1000)
    first: dict[str, Any] = door.ask("report")
    rows = [row(f"answer {name}", "ms", took, note="a question to its agent, a new encrypted line each")]
    clock, agent = first.get("clock"), first.get("agent")
    if clock and clock["doubt_ms"] is not None:
        rows.append(Row(f"clock {name}", clock["doubt_ms"], clock["doubt_ms"], "ms", note=clock["words"]))
    if agent:
        share = agent["core_percent"]
        rows.append(Row(f"idle {name}", share, share, "% of a core", note="its agent, since it was started"))
        rows.append(Row(f"idle_memory {name}", agent["rss_mb"], agent["rss_mb"], "MB"))
    for instance, pulse in sorted(first.get("roles", {}).items()):
        for input, age in sorted(pulse.get("ages", {}).items()):
            note = "from capture to arrival"
            rows.append(Row(f"age {instance} {input}", age["median_ms"], age["p99_ms"], "ms", samples=age["measured"], note=note))
    return rows
