"""What the measurements on real hosts share: the room that is broken and mended again and again, and every core made busy."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from benchmarks.figures import machine, median, p99
from tests.hosts.pieces import ROLES, Arrival, read_arrival

AGENT = (sys.executable, "-P", "-m", "benchmarks.patient", "agent")
WHISPERING_ROOM = Path(__file__).resolve().parent.parent / "deployments" / "whispering-room"
MACHINES = ("door", "shelf", "left-wall", "right-wall")
EAR, CARRIERS, SPARE = "door", ("shelf", "right-wall"), "left-wall"
STREAMS = f"""
  clock: {{kind: "./streams.py:Pulse", on: [{EAR}], options: {{rate: 100}}}}
  hot: {{kind: "./streams.py:Pulse", on: [{", ".join(CARRIERS)}], standby: hot, options: {{rate: 100}}}}
  warm: {{kind: "./streams.py:Pulse", on: [{", ".join(CARRIERS)}], standby: warm, options: {{rate: 100}}}}
  cold: {{kind: "./streams.py:Pulse", on: [{", ".join(CARRIERS)}], options: {{rate: 100}}}}
  copy: {{kind: "./streams.py:Echo", on: [{", ".join((*CARRIERS, SPARE))}], inputs: {{question: clock.beat}}, copies: 2}}
  ear: {{kind: "./streams.py:Ear", each: [{EAR}], inputs: {{hot: hot.beat, warm: warm.beat, cold: cold.beat, copy: copy.answer}}}}
"""
ALONE = f"installation: streams\nmachines: {{{', '.join(f'{each}: {{}}' for each in MACHINES)}}}\nroles:{STREAMS}"
NICENESS = 5  # of the processes that keep the cores busy: that of the roles, for in a room it is models that do so


def bench_piece(folder: Path, *, alone: bool) -> Path:
    """The streams that are measured, at 100 Hz, beside the whispering room and its models, or alone."""
    if alone:
        folder.mkdir(parents=True)
        (folder / "deployment.yaml").write_text(ALONE)
    else:
        shutil.copytree(WHISPERING_ROOM, folder, ignore=shutil.ignore_patterns("training", "__pycache__"))
        text = (folder / "deployment.yaml").read_text()
        (folder / "deployment.yaml").write_text(text.replace("\nroles:\n", f"\nroles:{STREAMS}", 1))
    (folder / "streams.py").write_text(ROLES)
    return folder


class Ear:
    """What the ear writes down, read on from where it was read last."""

    def __init__(self, home: Path) -> None:
        self._path = home / "roles" / f"ear@{EAR}" / "heard"
        self._at = 0
        self.arrivals: dict[str, list[Arrival]] = {}

    def read(self) -> dict[str, list[Arrival]]:
        """Every arrival since `forget`, by input."""
        with open(self._path, "rb") as file:
            file.seek(self._at)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._at += len(whole)
        for line in whole.decode().splitlines():
            arrival = read_arrival(line)
            self.arrivals.setdefault(arrival.input, []).append(arrival)
        return self.arrivals

    def forget(self) -> None:
        """Begin anew."""
        self.read()
        self.arrivals = {}


def gap_ms(arrivals: Sequence[Arrival], fault_s: float) -> float:
    """DESIGN.md, section 6: the longest interval around the fault less the median interval before it."""
    intervals = [(one.at_s, two.at_s - one.at_s) for one, two in pairwise(arrivals)]
    before = [length for begin, length in intervals if begin < fault_s - 0.1]
    around = [length for begin, length in intervals if begin + length > fault_s]
    return (max(around) - median(before)) * 1000


def delay_ms(arrivals: Sequence[Arrival], fault_s: float) -> float:
    """What the fault added to the slowest answer to a question asked since shortly before it."""
    before = [each.age_s for each in arrivals if each.at_s < fault_s - 0.1]
    around = [each.age_s for each in arrivals if each.at_s > fault_s]
    return (max(around) - median(before)) * 1000


def unanswered(arrivals: Sequence[Arrival], until_s: float) -> list[int]:
    """The questions that nobody answered, by number: of those between the first that was answered, and the last that had been answered
    by that moment. Who counts gives the answers time to arrive after it."""
    numbers = {each.number for each in arrivals}
    last = max((each.number for each in arrivals if each.at_s <= until_s), default=0)
    return [number for number in range(min(numbers), last) if number not in numbers]


@contextmanager
def busy(count: int, niceness: int = NICENESS) -> Iterator[None]:
    """So many processes beside, that compute without end."""
    command = ["nice", "-n", str(niceness), sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(command) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def wait_until(condition: Callable[[], object], what: str, within_s: float, look_s: float = 0.01) -> None:
    """As the tests wait, but looking as seldom as is asked, so that the looking weighs nothing. Raises TimeoutError."""
    end_s = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > end_s:
            raise TimeoutError(f"waited {within_s:.0f} s in vain for {what}")
        time.sleep(look_s)


def progress() -> Progress:
    """The bar that every measurement shows."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True))


@dataclasses.dataclass(slots=True)
class Figures:
    """The samples of one measurement by name, each with the promise it is held against (None: there is none)."""

    unit: str
    promises: dict[str, float | None]
    samples: dict[str, list[float]] = dataclasses.field(default_factory=dict)

    def add(self, name: str, value: float) -> None:
        """One sample."""
        self.samples.setdefault(name, []).append(value)

    def rows(self, prefix: str) -> list[dict[str, Any]]:
        """As `roomful bench --json` gives figures, with the number of samples and the promise for p99."""
        return [
            {
                "name": f"{prefix} {name}", "value": round(median(kept), 3), "p99": round(p99(kept), 3), "unit": self.unit, "raw": None,
                "ratio": None, "samples": len(kept), "worst": round(max(kept), 3), "promise": self.promises.get(name),
            }
            for name, kept in self.samples.items()
        ]


def show(title: str, rows: Sequence[dict[str, Any]]) -> None:
    """A table for people, then the same as one JSON value."""
    table = Table(title=f"{title}\n{machine()}", title_justify="left")
    for heading in ("", "samples", "median", "p99", "worst", "promised p99"):
        table.add_column(heading, justify="left" if not heading else "right")
    for row in rows:
        promise = "" if row["promise"] is None else f"< {row['promise']:.0f} {'✓' if row['p99'] < row['promise'] else '✗'}"
        figures = (f"{row[key]:.1f} {row['unit']}" for key in ("value", "p99", "worst"))
        table.add_row(row["name"], str(row["samples"]), *figures, promise)
    Console(width=max(100, Console().width)).print(table)
    print(json.dumps(list(rows)), flush=True)


def cores() -> int:
    """How many processors there are to keep busy."""
    return os.cpu_count() or 1
