"""What a role's process costs beside a bare Python with numpy, and whether anything grows: 1920x1080 pictures at full rate for ten minutes.

    overhead   resident and own ("unique") memory of a role's process that does nothing, and of `python -c "import numpy"`
    steady     a writer and a reader on one machine: rate, and memory of each process in the first and in the last minute
    stopped    beside a writer at 60 frames a second, one of two readers is stopped (SIGSTOP) for a minute: the writer's rate and memory and
               the other reader's rate, before and meanwhile

Run: python -m benchmarks.steady [--minutes N] [--only overhead,steady,stopped] [--help]
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import psutil

from benchmarks.rooms import progress
from mesh.shell.bench.rows import machine
from mesh.shell.bench.troupe import Player, Troupe

LOOK_S = 1.0
STOPPED_S = 60.0
CALM_S = 10.0


def mb(pid: int) -> tuple[float, float]:
    """Resident and unique memory of a process, in MB."""
    memory = psutil.Process(pid).memory_full_info()
    return memory.rss / 1e6, memory.uss / 1e6


def overhead() -> None:
    """A role's process that does nothing, beside a bare one."""
    program = "import numpy, sys; print(flush=True); sys.stdin.read()"
    bare = subprocess.Popen([sys.executable, "-P", "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with bare, Troupe() as troupe:
        assert bare.stdin is not None and bare.stdout is not None
        bare.stdout.readline()
        role = troupe.start("listener", "Listener")
        _for(troupe, CALM_S)
        ours, theirs = mb(role.process.pid), mb(bare.pid)
        before = psutil.Process(role.process.pid).cpu_times()
        _for(troupe, CALM_S)
        after = psutil.Process(role.process.pid).cpu_times()
        bare.stdin.close()
    share = (after.user + after.system - before.user - before.system) / CALM_S * 100
    print(f"a role's process that does nothing: {ours[0]:.1f} MB resident, {ours[1]:.1f} MB its own, {share:.2f} % of a core; bare Python "
          f"with numpy: {theirs[0]:.1f} MB, {theirs[1]:.1f} MB")


def steady(minutes: float) -> None:
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
                looks.append({
                    "received": float(sum(reader.pulse.get("received", {}).values())),
                    **{name: mb(player.process.pid)[0] for name, player in processes.items()},
                })  # fmt: skip
    minute = max(1, min(int(60 / LOOK_S), len(looks) // 2))
    first, last = looks[:minute], looks[-minute:]
    for name in processes:
        early, late = (sum(look[name] for look in part) / len(part) for part in (first, last))
        print(f"{name}: {early:.1f} MB in the first {minute * LOOK_S:.0f} s, {late:.1f} MB in the last, {late - early:+.1f}")
    for label, part in (("first", first), ("last", last)):
        rate = (part[-1]["received"] - part[0]["received"]) / max(LOOK_S, (len(part) - 1) * LOOK_S)
        print(f"rate in the {label} {minute * LOOK_S:.0f} s: {rate:.0f} frames/s")


def stopped() -> None:
    """One of two readers is stopped."""
    with Troupe() as troupe:
        writer = troupe.start("writer", "Writer", {"rate": 60.0})
        readers = [troupe.start(f"reader/{number}", "Reader", {"seconds": 1e9, "keep": False}) for number in (1, 2)]
        for reader in readers:
            troupe.route(reader, inputs={"image": writer.stream("image", "image", "latest")})
        _for(troupe, 5.0)
        before = _watched(troupe, writer, readers[1], STOPPED_S / 2)
        readers[0].process.send_signal(signal.SIGSTOP)
        meanwhile = _watched(troupe, writer, readers[1], STOPPED_S)
        readers[0].process.send_signal(signal.SIGCONT)
    for label, (wrote, read, memory) in (("before", before), ("stopped", meanwhile)):
        print(f"{label}: the writer {wrote:.1f} frames/s and {memory:.1f} MB, the other reader {read:.1f} frames/s")


def _watched(troupe: Troupe, writer: Player, reader: Player, seconds: float) -> tuple[float, float, float]:
    """Frames a second written and read, and the writer's memory at the end."""

    def counts() -> tuple[int, int]:
        return sum(writer.pulse.get("frames", {}).values()), sum(reader.pulse.get("received", {}).values())

    began, began_s = counts(), time.monotonic()
    _for(troupe, seconds)
    ended, passed_s = counts(), time.monotonic() - began_s
    return (ended[0] - began[0]) / passed_s, (ended[1] - began[1]) / passed_s, mb(writer.process.pid)[0]


def _for(troupe: Troupe, seconds: float) -> None:
    until_s = time.monotonic() + seconds
    troupe.until(lambda: time.monotonic() > until_s, "time to pass", seconds + 30.0)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.steady", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="at full rate [default: 10]")
    parser.add_argument("--only", default="overhead,steady,stopped", help="which of them [default: all]")
    given = parser.parse_args()
    parts: dict[str, Callable[[], Any]] = {"overhead": overhead, "steady": lambda: steady(given.minutes), "stopped": stopped}
    print(machine())
    for name in given.only.split(","):
        parts[name]()


if __name__ == "__main__":
    main()
