"""Screens in step: how far apart two machines show what has its time, and how far from the truth each clock says that it may be.

Three machines (network namespaces), each with a steady clock set hours apart from the others' (time namespaces): one says a beat every
tenth of a second, to be shown a quarter of a second later; two have a screen, a role that waits for the beat's time and then notes the
computer's one wall clock at the present call. Wired as it is, and on a network with 5 ms of jitter each way. All clocks of one computer
run at one pace: drift is tested in the simulator. Run: python -m benchmarks.in_step [--seconds N] [--help]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.rooms import AGENT, Figures, show
from tests.hosts.air import Air
from tests.hosts.network import Network, why_not
from tests.hosts.room import Room, lines_of

MACHINES = ("one", "two", "three")
SCREENS = ("two", "three")
SETTLE_S = 25.0
PIECE = """
installation: in-step
machines: {one: {}, two: {}, three: {}}
roles:
  beat: {kind: "./roles.py:Beat", on: [one]}
  screen: {kind: "./roles.py:Screen", each: [two, three], inputs: {beat: beat.beat}}
"""
ROLES = '''
"""A beat, and screens that show it."""
import time

from mesh.role import Event, Role


class Beat(Role):
    """Counts aloud, to be shown a quarter of a second later."""
    outputs = {"beat": Event}

    def setup(self):
        self.count = 0

    def tick(self):
        self.count += 1
        self.emit("beat", self.count, present_at=self.now_s() + 0.25)
        return 0.1


class Screen(Role):
    """Waits for the time of what it is to show, and writes down when it showed it."""
    display = True

    def setup(self):
        self.notes = (self.state_folder / "shown").open("a", buffering=1)

    def on_beat(self, frame: Event):
        while (left_s := frame.present_at_s - self.now_s()) > 0:
            time.sleep(left_s)
        self.notes.write(f"{frame.value} {time.time_ns()}\\n")

    def teardown(self):
        self.notes.close()
'''


def measure(network: Network, label: str, seconds: float) -> list[dict[str, Any]]:
    """Plays the room on this network; its rows."""
    figures = Figures("ms", {"present calls apart": 2.0})
    with tempfile.TemporaryDirectory() as where, network:
        folder = Path(where) / "piece"
        folder.mkdir()
        (folder / "deployment.yaml").write_text(PIECE)
        (folder / "roles.py").write_text(ROLES)
        agent = (sys.executable, "-P", "-m", "benchmarks.apart", *AGENT)
        with Room(folder, MACHINES, Path(where), network=network, agent=agent) as room:
            room.play(within_s=90.0)
            time.sleep(SETTLE_S + seconds)
            shown = {name: _shown(room.machines[name].home, seconds) for name in SCREENS}
            doubts = [room.ask(name, "report")["clock"]["doubt_ms"] for name in MACHINES]
    first, second = (shown[name] for name in SCREENS)
    for number in first.keys() & second.keys():
        figures.add("present calls apart", abs(first[number] - second[number]) / 1e6)
    for doubt in doubts:
        figures.add("stated doubt", doubt)
    return figures.rows(label)


def _shown(home: Path, seconds: float) -> dict[int, int]:
    """Beat -> when it was shown (ns of the wall clock), of the last so many seconds."""
    rows = [line.split() for path in home.glob("roles/screen*/shown") for line in lines_of(path)]
    shown = {int(number): int(at_ns) for number, at_ns in rows}
    last = max(shown.values(), default=0)
    return {number: at_ns for number, at_ns in shown.items() if at_ns > last - seconds * 1e9}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures, in words and as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.in_step", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="of beats that are looked at, on each network [default: 60]")
    given = parser.parse_args(arguments)
    if refused := why_not():
        raise SystemExit(f"in_step: no room of hosts can be made here: {refused}")
    rows = measure(Network(MACHINES), "wired,", given.seconds)
    rows += measure(Air(MACHINES, 0.0, 0.005), "5 ms jitter,", given.seconds)
    show("Screens in step", rows)


if __name__ == "__main__":
    main()
