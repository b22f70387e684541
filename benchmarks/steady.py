"""Whether anything grows: 1920x1080 pictures at full rate for ten minutes, and a reader that stands still beside others.

    steady     a writer and a reader on one machine: rate, and memory of each process in the first and in the last minute
    stopped    beside a writer at 60 frames a second, one of two readers is stopped (SIGSTOP) for a minute: the writer's rate and memory and
               the other reader's rate, before, meanwhile and afterwards

Memory is all that is resident (the ring of shared memory, which each has mapped, with each of them).
Run: python -m benchmarks.steady [--minutes N] [--only steady,stopped] [--json FILE] [--help]
"""

from __future__ import annotations

import argparse
import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from benchmarks.rooms import progress
from mesh.shell.bench.rows import machine
from mesh.shell.bench.troupe import Player, Troupe

LOOK_S = 1.0
RATE = 60.0
STILL_S = 900.0  # the measurement itself may be stopped meanwhile, and let go again
CALM_S = 10.0


def mb(pid: int) -> float:
    """Resident memory of a process, in MB."""
    return float(psutil.Process(pid).memory_info().rss) / 1e6


def steady(minutes: float) -> dict[str, Any]:
    """Pictures at full rate; memory and rate by the minute."""
    with Troupe() as troupe:
        writer = troupe.start("writer", "Writer")
        reader = troupe.start("reader", "Reader", {"seconds": 1e9, "keep": False})
        troupe.route(writer, inputs={"got": reader.stream("got", "event")})
        troupe.route(reader, inputs={"image": writer.stream("image", "image", "latest")})
        processes = {"writer": writer, "reader": reader}
        looks: list[dict[str, float]] = []
        with progress() as bar:
            for _ in bar.track(range(int(minutes * 60 / LOOK_S)), description="steady"):
                _for(troupe, LOOK_S)
                looks.append({"received": _received(reader), **{name: mb(player.process.pid) for name, player in processes.items()}})
    minute = max(1, min(int(60 / LOOK_S), len(looks) // 2))
    parts = {"first": looks[:minute], "last": looks[-minute:]}
    found: dict[str, Any] = {"minutes": minutes, "part_s": minute * LOOK_S}
    for label, part in parts.items():
        rate = (part[-1]["received"] - part[0]["received"]) / max(LOOK_S, (len(part) - 1) * LOOK_S)
        held = {f"{name}_mb": round(sum(look[name] for look in part) / len(part), 2) for name in processes}
        found[label] = {"frames_s": round(rate, 1), **held}
    return found


def stopped(seconds: float) -> dict[str, Any]:
    """One of two readers is stopped."""
    with Troupe() as troupe:
        writer = troupe.start("writer", "Writer", {"rate": RATE})
        still, other = (troupe.start(f"reader/{number}", "Reader", {"seconds": 1e9, "keep": False}) for number in (1, 2))
        for reader in (still, other):
            troupe.route(reader, inputs={"image": writer.stream("image", "image", "latest")})
        _for(troupe, 5.0)
        found = {"before": _watched(troupe, writer, other, seconds)}
        still.process.send_signal(signal.SIGSTOP)
        found["while one is stopped"] = _watched(troupe, writer, other, seconds)
        still.process.send_signal(signal.SIGCONT)
        before = _received(still)
        found["afterwards"] = _watched(troupe, writer, other, CALM_S)
        reads_s = (_received(still) - before) / CALM_S
        found["the stopped one, afterwards"] = {"reads_s": round(reads_s, 1), "mb": round(mb(still.process.pid), 1)}
    return found


def _watched(troupe: Troupe, writer: Player, reader: Player, seconds: float) -> dict[str, float]:
    """Frames a second written and read, and memory at the end."""

    def counts() -> tuple[float, float]:
        return float(sum(writer.pulse.get("frames", {}).values())), _received(reader)

    began, began_s = counts(), time.monotonic()
    _for(troupe, seconds)
    ended, passed_s = counts(), time.monotonic() - began_s
    writes_s, reads_s = ((then - now) / passed_s for now, then in zip(began, ended, strict=True))
    return {
        "seconds": seconds, "writes_s": round(writes_s, 2), "other_reads_s": round(reads_s, 2),
        "writer_mb": round(mb(writer.process.pid), 1), "other_mb": round(mb(reader.process.pid), 1),
    }  # fmt: skip


def _received(reader: Player) -> float:
    return float(sum(reader.pulse.get("received", {}).values()))


def _for(troupe: Troupe, seconds: float) -> None:
    until_s = time.monotonic() + seconds
    troupe.until(lambda: time.monotonic() > until_s, "time to pass", seconds + STILL_S)


def main() -> None:
    """Print the figures, and keep them where that is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.steady", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="at full rate [default: 10]")
    parser.add_argument("--stopped", type=float, default=60.0, help="seconds for which a reader is stopped [default: 60]")
    parser.add_argument("--only", default="steady,stopped", help="which of them [default: both]")
    parser.add_argument("--json", type=Path, help="add the figures to this file")
    given = parser.parse_args()
    parts: dict[str, Callable[[], Any]] = {"steady": lambda: steady(given.minutes), "stopped": lambda: stopped(given.stopped)}
    for name in given.only.split(","):
        found = {"machine": machine(), **parts[name]()}
        print(json.dumps({name: found}, indent=1), flush=True)
        if given.json:
            kept = json.loads(given.json.read_text()) if given.json.exists() else {}
            given.json.write_text(json.dumps({**kept, name: found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
