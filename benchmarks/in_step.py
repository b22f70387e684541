"""Screens in step: how far apart two machines show what has its time, and what that is made of.

Three machines (network namespaces), each with a steady clock set minutes to hours apart from the others' (time namespaces): one says a
beat every tenth of a second, to be shown a quarter of a second later; two show it. Looked at with the computer's one wall clock, at
the present call: of a role of a few lines (`role`), of `display.screen` (`screen`; its present call hands the drawn picture to SDL), and,
with --browser, of a Chromium on each machine that has opened a page (there a frame of 16.7 ms of its own passes between two pictures).

"clocks" is by how much the two machines' room clocks differ at that moment, "lateness" what each call was late by its own
machine's. Wired as it is, and on a network with 5 ms of jitter each way. All clocks of one computer run at one pace: drift is tested in the
simulator. --busy adds processes that compute without end, niced as models are. --plain takes away the right to run in real time, as an
ordinary user has it who did not use `roomful install`.

Run: python -m benchmarks.in_step [--seconds N] [--busy N] [--plain] [--browser] [--json FILE] [--help]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.rooms import AGENT, Figures, busy, show
from mesh.shell.bench.rows import machine
from tests.hosts.air import Air
from tests.hosts.network import Network, why_not
from tests.hosts.room import Room, lines_of
from tests.roles.browser import Browser, chromium

MACHINES = ("one", "two", "three")
SCREENS = ("two", "three")
SETTLE_S = 25.0
PROMISED_MS = 2.0
APART = (sys.executable, "-P", "-m", "benchmarks.apart")
PLAIN = ("setpriv", "--bounding-set", "-sys_nice", "prlimit", "--rtprio=0")
PIECE = """
installation: in-step
machines: {one: {}, two: {}, three: {}}
roles:
  beat: {kind: "./roles.py:Beat", on: [one]}
"""
SHOWS = """
  role: {kind: "./roles.py:Shows", each: [two, three], inputs: {beat: beat.beat}}
  screen: {kind: "./roles.py:Screen", each: [two, three], inputs: {sky: beat.sky}, options: {window: 640x360, fade: 0}}
"""
PAGES = """
  page: {kind: display.web, each: [two, three], inputs: {beat: beat.beat}, options: {port: 8080}}
"""
LISTENS = """
globalThis.shown = [];
roomful.on("beat", frame => shown.push([frame.value, performance.timeOrigin + performance.now(), roomful.now()])), 0
"""
ROLES = '''
"""A beat, and what shows it."""
import os
import time

import numpy

from mesh.role import Event, Image, Role
from roles.display import screen


class Beat(Role):
    """Counts aloud, to be shown a quarter of a second later."""
    outputs = {"beat": Event, "sky": Image}

    def setup(self):
        self.count = 0

    def tick(self):
        self.count += 1
        due_s = self.now_s() + 0.25
        self.emit("beat", [self.count, due_s], present_at=due_s)
        self.emit("sky", numpy.full((90, 160, 3), 40 + self.count % 200, "u1"), present_at=due_s)
        return 0.1


class Notes:
    """Of each present call: its due time in the room, the wall clock, and the room's clock."""

    def open(self, folder):
        self.file = (folder / "shown").open("a", buffering=1)

    def note(self, due_s, wall_ns, now_s):
        self.file.write(f"{due_s:.6f} {wall_ns} {now_s:.7f}\\n")


class Shows(Role):
    """Waits for the time of what it is to show, and writes down when it showed it."""
    display = keeps_time = True

    def setup(self):
        self.notes = Notes()
        self.notes.open(self.state_folder)

    def on_beat(self, frame: Event):
        with self.presenting(frame.present_at_s):
            now_s, wall_ns = self.now_s(), time.time_ns()
        self.notes.note(frame.present_at_s, wall_ns, now_s)


class Screen(screen.Screen):
    """The screen of every room, which writes down when it showed what had its time."""

    def setup(self):
        os.environ["SDL_VIDEODRIVER"] = "dummy"  # all of it but the glass
        self.settings = {**self.settings, "rehearsal": True}
        super().setup()
        self.notes = Notes()
        self.notes.open(self.state_folder)
        shown, self.due_s, self.called = self._window.show, None, (0, 0.0)

        def show():
            self.called = time.time_ns(), self.now_s()
            shown()

        self._window.show = show

    def _draw(self, now_s, due_s=None):
        super()._draw(now_s, due_s)
        if due_s is not None:
            self.notes.note(due_s, *self.called)
'''


class Call(NamedTuple):
    """One present call: when, by the computer's wall clock (s); by how much the room's clock was ahead of that; how late it was."""

    at_s: float
    ahead_s: float
    late_s: float


def measure(network: Network, label: str, given: argparse.Namespace) -> list[dict[str, Any]]:
    """Plays the room on this network; its rows."""
    with tempfile.TemporaryDirectory() as where, network, ExitStack() as stack:
        folder = Path(where) / "piece"
        folder.mkdir()
        (folder / "deployment.yaml").write_text(PIECE + (PAGES if given.browser else SHOWS))
        (folder / "roles.py").write_text(ROLES)
        agent = (*APART, *(PLAIN if given.plain else ()), *AGENT)
        with Room(folder, MACHINES, Path(where), network=network, agent=agent) as room:
            room.play(within_s=90.0)
            stack.enter_context(busy(given.busy))
            windows = {each: stack.enter_context(_window(network, each, Path(where))) for each in SCREENS} if given.browser else {}
            time.sleep(SETTLE_S + given.seconds)
            if given.browser:
                shown = {"page": {name: _on_page(window) for name, window in windows.items()}}
            else:
                shown = {kind: {name: _noted(room.machines[name].home, kind) for name in SCREENS} for kind in ("role", "screen")}
            doubts = [room.ask(name, "report")["clock"]["doubt_ms"] for name in MACHINES]
    rows = []
    for kind, calls in shown.items():
        rows += _rows(f"{label} {kind}:", *(_last(calls[name], given.seconds) for name in SCREENS))
    stated = Figures("ms", {})
    for doubt in doubts:
        stated.add("doubt stated", doubt)
    return rows + stated.rows(label)


def _last(calls: dict[str, Call], seconds: float) -> dict[str, Call]:
    since_s = max(each.at_s for each in calls.values()) - seconds
    return {due: call for due, call in calls.items() if call.at_s > since_s}


def _rows(label: str, first: dict[str, Call], second: dict[str, Call]) -> list[dict[str, Any]]:
    figures = Figures("ms", {"present calls apart": PROMISED_MS})
    for due in first.keys() & second.keys():
        one, two = first[due], second[due]
        figures.add("present calls apart", abs(one.at_s - two.at_s) * 1000)
        figures.add("of it, clocks", abs(one.ahead_s - two.ahead_s) * 1000)
    for call in (*first.values(), *second.values()):
        figures.add("of it, lateness", call.late_s * 1000)
    return figures.rows(label)


def _noted(home: Path, kind: str) -> dict[str, Call]:
    """Due time -> the call, of one machine's role."""
    rows = [line.split() for path in home.glob(f"roles/{kind}*/shown") for line in lines_of(path)]
    return {due: _call(float(due), int(wall_ns) / 1e9, float(now_s)) for due, wall_ns, now_s in rows}


def _on_page(window: Browser) -> dict[str, Call]:
    calls = [each for each in window.ask("shown") if each[2] is not None]  # from when the page knows the room's time
    return {f"{due_s:.6f}": _call(due_s, wall_ms / 1000, now_s) for (_, due_s), wall_ms, now_s in calls}


def _call(due_s: float, wall_s: float, now_s: float) -> Call:
    return Call(wall_s, now_s - wall_s, now_s - due_s)


@contextmanager
def _window(network: Network, name: str, where: Path) -> Iterator[Browser]:
    """A Chromium on that machine, which shows its page."""
    with network.within(name), chromium(where / f"browser-{name}") as window:
        window.open("http://127.0.0.1:8080/")
        window.ask(LISTENS)
        yield window


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures, in words and as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.in_step", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="of beats that are looked at, on each network [default: 60]")
    parser.add_argument("--busy", type=int, default=0, help="so many processes compute beside [default: 0]")
    parser.add_argument("--plain", action="store_true", help="nothing may run in real time")
    parser.add_argument("--browser", action="store_true", help="pages in Chromium instead of roles that show")
    parser.add_argument("--json", type=Path, help="add the figures to this file, by how they were measured")
    given = parser.parse_args(arguments)
    if refused := why_not():
        raise SystemExit(f"in_step: no room of hosts can be made here: {refused}")
    rows = measure(Network(MACHINES), "wired,", given)
    rows += measure(Air(MACHINES, 0.0, 0.005), "5 ms jitter,", given)
    show("Screens in step", rows)
    if given.json:
        kept = json.loads(given.json.read_text()) if given.json.exists() else {}
        how = ", ".join(filter(None, ["browser" if given.browser else "roles", f"{given.busy} busy" if given.busy else "idle",
                                      "without real time" if given.plain else ""]))  # fmt: skip
        kept[how] = {"machine": machine(), "rows": rows}
        given.json.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
