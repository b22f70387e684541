"""How fast a silent machine is noticed, how often a healthy one is wrongly suspected, and what listening costs.

Eight agents in network namespaces, in the four cells of the prototype that MEASURED.md tells of: idle; four CPU-bound processes beside;
5 % loss with 20 ms delay and up to 50 ms jitter; both. One after the other falls silent (cable out; SIGSTOP to everything; power
cut), until each of the seven others holds it dead, and comes back. Times are each observer's own, from the fault to its `node_suspect`
and `node_dead`. A suspicion of a machine that was well is counted by the node-hour. `--cpu 5,8,16` measures instead what an agent
costs in rooms of so many that nothing happens in. Run: python -m benchmarks.detection [--faults N] [--help]
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
from rich.progress import Progress

from benchmarks.rooms import AGENT, Figures, busy, progress, show, wait_until
from tests.hosts.air import Air
from tests.hosts.network import Network, why_not
from tests.hosts.room import Room, bring_about, undo

NODES = tuple(f"n{number}" for number in range(1, 9))
CELLS = {"idle": (0, False), "busy": (4, False), "lossy": (0, True), "busy and lossy": (4, True)}  # CPU-bound processes, bad network
LOSS_PERCENT, DELAY_S, JITTER_S = 5, 0.02, 0.05
HOWS = ("cable out", "stopped", "power cut")
NOTICED_S, BACK_S = 20.0, 60.0
CALM_S = 2.0
IDLE_AFTER_S, CPU_S = 15.0, 30.0  # machines that have just met compare their clocks ten times a second for a while
# What the prototype reached at this preset (MEASURED.md), as p99.
SUSPECT_MS = {"idle": 239.0, "busy": 239.0, "lossy": 367.0, "busy and lossy": 367.0}
DEAD_MS = {"idle": 762.0, "busy": 762.0, "lossy": 870.0, "busy and lossy": 870.0}
PIECE = """
installation: listening
machines: {{{machines}}}
roles:
  quiet: {{kind: "./roles.py:Quiet", each: [{first}]}}
"""
ROLES = '"""One quiet role."""\nfrom mesh.role import Role\n\n\nclass Quiet(Role):\n    """Says nothing."""\n'


def quiet_piece(folder: Path, machines: Sequence[str]) -> Path:
    """A deployment in which nothing happens."""
    folder.mkdir(parents=True)
    (folder / "deployment.yaml").write_text(PIECE.format(machines=", ".join(f"{each}: {{}}" for each in machines), first=machines[0]))
    (folder / "roles.py").write_text(ROLES)
    return folder


class Watch:
    """One cell: the room, and what was seen of its faults."""

    def __init__(self, room: Room, cell: str) -> None:
        self.room = room
        self.cell = cell
        self.figures = Figures("ms", {"suspect": SUSPECT_MS[cell], "dead": DEAD_MS[cell]})
        self.wrong = {"node_suspect": 0, "node_dead": 0}
        self.node_s = 0.0

    def are_well(self) -> bool:
        """Whether everyone holds everyone alive."""
        return all(self.room.health(node) == {other: "alive" for other in NODES if other != node} for node in NODES)

    def fault(self, victim: str, how: str) -> None:
        """One machine falls silent, is noticed by all others, and comes back."""
        room, others = self.room, [each for each in NODES if each != victim]
        began_s = time.monotonic()
        time.sleep(CALM_S + random.random())
        fault_s = bring_about(room, how, victim)

        def seen(event: str) -> list[float]:
            said = (room.machines[each].said(event, since_s=fault_s, name=victim) for each in others)
            return [(each[0]["at_s"] - fault_s) * 1000 for each in said if each]

        wait_until(lambda: len(seen("node_dead")) == len(others), f"all to hold {victim} dead", NOTICED_S)
        for event, name in (("node_suspect", "suspect"), ("node_dead", "dead")):
            for value in seen(event):
                self.figures.add(name, value)
        self._count_wrong(victim, others, began_s)
        undo(room, how, victim)
        wait_until(self.are_well, "all to be back", BACK_S, 0.2)

    def _count_wrong(self, victim: str, others: Sequence[str], began_s: float) -> None:
        self.node_s += (time.monotonic() - began_s) * len(others)
        for event in self.wrong:
            said = [each for other in others for each in self.room.machines[other].said(event, since_s=began_s)]
            self.wrong[event] += sum(1 for each in said if each["name"] != victim)

    def rows(self) -> list[dict[str, Any]]:
        """The cell's figures."""
        hours = self.node_s / 3600
        rates = {"suspected": self.wrong["node_suspect"] / hours, "held dead": self.wrong["node_dead"] / hours}
        return [*self.figures.rows(f"{self.cell},"), *(_row(f"{self.cell}, healthy {n}", [rate], "/h") for n, rate in rates.items())]


def measure(cell: str, faults: int, bar: Progress) -> list[dict[str, Any]]:
    """All faults of one cell; returns its rows."""
    hogs, lossy = CELLS[cell]
    with ExitStack() as stack:
        where = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        network = stack.enter_context(Air(NODES, DELAY_S, JITTER_S) if lossy else Network(NODES))
        room = stack.enter_context(Room(quiet_piece(where / "piece", NODES), NODES, where, network=network, agent=AGENT))
        watch = Watch(room, cell)
        room.start(*NODES)
        wait_until(watch.are_well, "all to have met", BACK_S, 0.2)
        for node in NODES if lossy else ():
            network.loses(node, LOSS_PERCENT)
        stack.enter_context(busy(hogs, niceness=0))
        for number in bar.track(range(faults), description=cell):
            watch.fault(NODES[number % len(NODES)], HOWS[number % len(HOWS)])
        return watch.rows()


def cost(count: int) -> list[dict[str, Any]]:
    """What an agent takes of a core in a room of so many in which nothing happens, and its memory."""
    nodes = tuple(f"n{number}" for number in range(1, count + 1))
    with tempfile.TemporaryDirectory() as where:
        with Room(quiet_piece(Path(where) / "piece", nodes), nodes, Path(where)) as room:
            room.play(within_s=BACK_S)
            agents = [psutil.Process(each.agent.pid) for each in room.machines.values() if each.agent is not None]
            time.sleep(IDLE_AFTER_S)
            before, began_s = [_cpu_s(each) for each in agents], time.monotonic()
            time.sleep(CPU_S)
            passed_s = time.monotonic() - began_s
            shares = [(_cpu_s(each) - was) / passed_s * 100 for each, was in zip(agents, before, strict=True)]
            memory = [each.memory_info().rss / 1e6 for each in agents]
    return [_row(f"agent of {count}, core", shares, "%"), _row(f"agent of {count}, resident", memory, "MB")]


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _row(name: str, values: Sequence[float], unit: str) -> dict[str, Any]:
    figures = Figures(unit, {}, {name: list(values)})
    return {**figures.rows("")[0], "name": name}


def main() -> None:
    """Print the figures, in words and as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--faults", type=int, default=100, help="in each cell [default: 100]")
    parser.add_argument("--cells", default=",".join(CELLS), help=f"which of {','.join(CELLS)} [default: all]")
    parser.add_argument("--cpu", metavar="5,8,16", help="measure the agents' own cost in rooms of so many instead")
    given = parser.parse_args()
    if refused := why_not():
        raise SystemExit(f"detection: no room of hosts can be made here: {refused}")
    if given.cpu:
        show("An agent's cost while nothing happens", [row for count in given.cpu.split(",") for row in cost(int(count))])
        return
    rows: list[dict[str, Any]] = []
    with progress() as bar:
        for cell in given.cells.split(","):
            rows += measure(cell, given.faults, bar)
    show("Detection by each observer, against the prototype's p99", rows)


if __name__ == "__main__":
    main()
