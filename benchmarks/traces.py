"""How heartbeats really arrive: traces between network namespaces, on which the presets in `mesh/core/timing.py` are calibrated.

Eight processes, each in a namespace of its own, send numbered datagrams as an agent does (at the same rate, from the same kind of loop,
to the same neighbours on the ring) and note when the kernel had each: an agent drains its socket before it judges, so what waits there
is heard. Since all share one clock, delays are exact. Four cells: idle; twice as many CPU-bound processes as cores beside; 5 % loss with
20 ms delay and up to 50 ms jitter; both. From each trace:

    delay, inter-arrival   of single datagrams, and how many were lost
    lag                    from the kernel's having a datagram to its being read: how late a node's own loop was
    silence                how old the freshest evidence of a peer became, when observers tell one another what they heard with their
                           own next beat (the age vector): the quantity that `suspect_s` is held against
    wrong                  how often in an hour of one node that silence would have exceeded each threshold, nobody having died

Run: python -m benchmarks.traces [--seconds 60] [--cells idle,busy] [--help]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import struct
import subprocess
import sys
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.figures import machine
from benchmarks.rooms import busy, cores
from mesh.core.timing import WIRED
from tests.hosts.air import Air
from tests.hosts.network import Network, why_not

NODES = tuple(f"n{number}" for number in range(1, 9))
PORT = 47600
CELLS = {"idle": (0, False), "busy": (2, False), "lossy": (0, True), "busy and lossy": (2, True)}  # processes a core, bad network
LOSS_PERCENT, DELAY_S, JITTER_S = 5, 0.02, 0.05
THRESHOLDS_MS = (150, 180, 200, 220, 250, 300, 350, 400, 450, 500, 550, 600, 700)
SETTLED_S = 1.0
PADDING = b"." * 160  # as large as an agent's beat with its vector
LEVELS = (50.0, 99.0, 99.9, 100.0)


SO_TIMESTAMPNS = 35  # Linux: the kernel says with each datagram when it came


class Beat(NamedTuple):
    """One datagram: from whom, its number, when it was sent, when it was here and when it was read, in seconds of one clock."""

    sender: str
    number: int
    sent_s: float
    came_s: float
    read_s: float


# ---- one node's process


async def play(addresses: Sequence[str], seconds: float) -> list[list[Any]]:
    """Beat to these for so long; what came from others meanwhile, and a moment longer."""
    loop, heard = asyncio.get_running_loop(), list[list[Any]]()
    beats = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    beats.setblocking(False)
    beats.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    beats.bind(("0.0.0.0", PORT))

    def drain() -> None:
        with suppress(BlockingIOError):
            while True:
                data, more, _, sender = beats.recvmsg(2048, 64)
                whole_s, ns = struct.unpack("qq", more[0][2])
                number, sent = data.split(b" ", 2)[:2]
                heard.append([sender[0], int(number), float(sent), whole_s + ns / 1e9, time.time()])

    loop.add_reader(beats.fileno(), drain)
    due_s, end_s, number = loop.time() + WIRED.beat_s, loop.time() + seconds, 0
    while loop.time() < end_s:
        await asyncio.sleep(max(0.0, due_s - loop.time()))
        drain()
        late_s = loop.time() - due_s
        due_s = loop.time() + WIRED.beat_s - (late_s if late_s < WIRED.beat_s else 0.0)  # as `Judge.beat`
        number += 1
        for address in addresses:
            with suppress(OSError):
                beats.sendto(b"%d %.6f " % (number, time.time()) + PADDING, (address, PORT))
    await asyncio.sleep(0.2)
    loop.remove_reader(beats.fileno())
    beats.close()
    return heard


def record(cell: str, seconds: float) -> dict[str, list[Beat]]:
    """What each node heard."""
    hogs, lossy = CELLS[cell]
    with ExitStack() as stack:
        network = stack.enter_context(Air(NODES, DELAY_S, JITTER_S) if lossy else Network(NODES))
        for node in NODES if lossy else ():
            network.loses(node, LOSS_PERCENT)
        stack.enter_context(busy(hogs * cores(), niceness=0))
        names = {address: node for node, address in network.addresses.items()}
        started = {
            node: subprocess.Popen(
                ["ip", "netns", "exec", network.namespace(node), sys.executable, "-m", "benchmarks.traces", "--beat-to",
                 ",".join(network.addresses[each] for each in observers(node)), "--seconds", str(seconds)],
                stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent,
            )
            for node in NODES
        }  # fmt: skip
        said = {node: json.loads(process.communicate()[0]) for node, process in started.items()}
    return in_full({node: [Beat(names[sender], *rest) for sender, *rest in rows] for node, rows in said.items()})


def in_full(trace: dict[str, list[Beat]]) -> dict[str, list[Beat]]:
    """The part in which all beat: not the first seconds, in which one process starts after another, nor the last."""
    sent: dict[str, list[float]] = defaultdict(list)
    for each in (beat for rows in trace.values() for beat in rows):
        sent[each.sender].append(each.sent_s)
    begin_s, end_s = max(map(min, sent.values())) + SETTLED_S, min(map(max, sent.values()))
    return {node: [each for each in rows if begin_s <= each.sent_s <= end_s] for node, rows in trace.items()}


def observers(node: str) -> list[str]:
    """Its nearest neighbours on the ring, as `mesh.core.members` draws them."""
    at, count = NODES.index(node), len(NODES)
    steps = [step for distance in range(1, count // 2 + 1) for step in (distance, -distance)]
    return list(dict.fromkeys(NODES[(at + step) % count] for step in steps))[: WIRED.observers_max]


# ---- what a trace shows


def figures_of(trace: dict[str, list[Beat]], seconds: float) -> dict[str, Any]:
    """Quantiles in ms, losses in percent, and wrong suspicions by the node-hour for each threshold."""
    delays = [(each.came_s - each.sent_s) * 1000 for rows in trace.values() for each in rows]
    between, expected, heard = list[float](), 0, 0
    for rows in trace.values():
        for beats in _by_sender(rows).values():
            between += [(two.came_s - one.came_s) * 1000 for one, two in pairwise(beats)]
            expected += max(each.number for each in beats) - min(each.number for each in beats) + 1
            heard += len(beats)
    silences = [each for observer in trace for each in freshest_silences(trace, observer)]
    hours = len(NODES) * seconds / 3600
    return {
        "beats": heard, "lost_percent": round(100 * (1 - heard / expected), 2), "delay_ms": quantiles(delays),
        "lag_ms": quantiles([(each.read_s - each.came_s) * 1000 for rows in trace.values() for each in rows]),
        "inter_arrival_ms": quantiles(between), "silence_ms": quantiles(silences),
        "wrong_per_node_hour": {str(limit): round(sum(1 for each in silences if each > limit) / hours, 1) for limit in THRESHOLDS_MS},
    }  # fmt: skip


def freshest_silences(trace: dict[str, list[Beat]], observer: str) -> list[float]:
    """For each peer that the observer watches, how old (ms) its freshest evidence was just before each that followed. Evidence is a beat
    heard here, or one that another heard and told with its own next beat that arrived here."""
    mine = _by_sender(trace[observer])
    silences: list[float] = []
    for subject in mine:
        evidence = [(each.came_s, each.came_s) for each in mine[subject]]  # (known here since, of when)
        for other, told in mine.items():
            # What the other had heard when it sent its beat: it drains its socket before.
            came = [each.came_s for each in _by_sender(trace[other]).get(subject, [])] if other != subject else []
            for beat in told if came else ():
                known = bisect_right(came, beat.sent_s)
                if known:
                    evidence.append((beat.came_s, came[known - 1] + beat.came_s - beat.sent_s))  # an age is counted from its arrival
        freshest = 0.0
        for here_s, of_s in sorted(evidence):
            if freshest and of_s > freshest:
                silences.append((here_s - freshest) * 1000)
            freshest = max(freshest, of_s)
    return silences


def _by_sender(rows: Sequence[Beat]) -> dict[str, list[Beat]]:
    found: dict[str, list[Beat]] = defaultdict(list)
    for each in sorted(rows, key=lambda beat: beat.came_s):
        found[each.sender].append(each)
    return found


def quantiles(values: Sequence[float]) -> dict[str, float]:
    """The levels that matter, by nearest rank."""
    ranked = sorted(values)
    return {f"p{level:g}": round(ranked[min(len(ranked) - 1, int(len(ranked) * level / 100))], 1) for level in LEVELS}


def main() -> None:
    """Print the figures, in words and as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.traces", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="of each cell [default: 60]")
    parser.add_argument("--cells", default=",".join(CELLS), help=f"which of {','.join(CELLS)} [default: all]")
    parser.add_argument("--json", type=Path, metavar="FILE", dest="json_file", help="write the figures here as well")
    parser.add_argument("--beat-to", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.beat_to:
        print(json.dumps(asyncio.run(play(given.beat_to.split(","), given.seconds))))
        return
    if refused := why_not():
        raise SystemExit(f"traces: no hosts can be made here: {refused}")
    told: dict[str, Any] = {"seconds": given.seconds, "nodes": len(NODES), "beat_s": WIRED.beat_s, "cells": {}, "machine": machine()}
    for cell in given.cells.split(","):
        found = told["cells"][cell] = {**figures_of(record(cell, given.seconds), given.seconds), "load": round(os.getloadavg()[0], 1)}
        print(f"{cell}: {found['beats']} beats, {found['lost_percent']} % lost, load {found['load']}", file=sys.stderr)
        for what in ("delay_ms", "lag_ms", "inter_arrival_ms", "silence_ms", "wrong_per_node_hour"):
            print(f"  {what:20} {'  '.join(f'{name} {value}' for name, value in found[what].items())}", file=sys.stderr)
    print(json.dumps(told))
    if given.json_file:
        given.json_file.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
