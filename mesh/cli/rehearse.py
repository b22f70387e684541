"""`roomful rehearse`: the whole room on this computer, with a live view of who plays what."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import click

from mesh.core.event_words import Telling
from mesh.errors import RoomfulError

EPILOG = """\b
Examples:
  roomful rehearse deployments/whispering-room              until Ctrl-C
  roomful rehearse my-piece --for 30 --headless --json      for a test: one JSON object a line, the last a summary
  roomful rehearse my-piece --fault "kill shelf at 15s"     and see who takes over
  roomful rehearse my-piece --machines 6                    with spare machines beside those of the file
  roomful rehearse my-piece --replay day.mcap --speed 4     with what `roomful record` recorded, in place of the sensors
"""
CAUSES = {"lost": "its machine was lost", "failed": "it ended there", "planned": "handed over"}
PATIENCE_S = 60.0  # for everything to play, beyond --for, where a fault waits for that


@click.command(epilog=EPILOG)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--machines", type=click.IntRange(1, 64), help="At least this many nodes; those above the file's are spares.")
@click.option("--for", "for_s", type=click.FloatRange(min=0.1), metavar="SECONDS",
              help="Stop after this long, but not before the faults have shown their effect.  [default: until Ctrl-C]")
@click.option("--fault", "faults", multiple=True, metavar='"VERB WHAT at TIME"',
              help='"kill MACHINE at 8s", "crash ROLE at 8s", "hang ROLE at 8s" or "cut MACHINE at 8s for 10s", counted from '
                   "when everything plays. Repeatable.")
@click.option("--replay", type=click.Path(path_type=Path), metavar="FILE",
              help="Play what `roomful record` wrote in place of the sensors, from when everything plays.")
@click.option("--speed", type=click.FloatRange(min=0.0, min_open=True, max=1000.0), default=1.0,
              help="How many times faster --replay plays.")
@click.option("--headless", is_flag=True, help="No live view and no windows.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line; the last is a summary.")
def command(
    folder: Path, machines: int | None, for_s: float | None, faults: tuple[str, ...], replay: Path | None, speed: float, headless: bool,
    as_json: bool,
) -> None:
    """Play the deployment in FOLDER on this computer: one real node for each of its machines."""
    from mesh.core.faults import read_fault
    from mesh.core.instances import instances
    from mesh.shell.folder import load
    from mesh.shell.rehearsal import Rehearsal, machine_names

    deployment = load(folder)
    if headless:
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # of the roles' processes: they draw, and nobody sees it
    view = JsonView() if as_json else LiveView(deployment) if sys.stdout.isatty() and not headless else LineView()
    names = machine_names(deployment, machines)
    wanted = [read_fault(fault, names, [each.name for each in instances(deployment)]) for fault in faults]
    rehearsal = Rehearsal(folder.resolve(), deployment, names, view.event, _replay(replay, speed, deployment))
    view.rehearsal = rehearsal
    asyncio.run(_play(rehearsal, view, wanted, for_s))
    summary = rehearsal.tally.summary()
    view.end(summary)
    missed = [f"“{row['fault']}”: {row['why']}" for row in summary["faults"] if row["t"] is None]
    if missed:
        again = "Give it longer with --for, or another time." if for_s is not None else "Let it play longer, or give an earlier time."
        raise RoomfulError(f"not every fault was brought about: {'; '.join(missed)}", where=str(folder), instead=again)
    dark = tuple(f"@{fault.target}" for fault in wanted if fault.verb == "kill")  # what was to stay with a machine that was killed
    states = [role["state"] for name, role in summary["roles"].items() if not dark or not name.endswith(dark)]
    if for_s is not None and (not states or any(state != "playing" for state in states)):
        again = "Rehearse it without --for, and read `roomful logs` meanwhile."
        raise RoomfulError(_not_playing(summary), where=str(folder), instead=again)


def _replay(path: Path | None, speed: float, deployment: Any) -> Any:
    """The recording that plays, mended if its recorder was killed; says which sensors it stands in for."""
    if path is None:
        return None
    from mesh.shell.film import is_whole, mend
    from mesh.shell.replaying import open_replay

    if not is_whole(path):
        click.echo(f"{path} was cut when its recorder was killed: {mend(path)} frames are kept; the cut file is {path.name}.cut", err=True)
    replay = open_replay(path, speed, deployment)
    click.echo(f"{path} plays in place of {', '.join(replay.roles)}", err=True)
    return replay


def _not_playing(summary: dict[str, Any]) -> str:
    idle = [f"{name} ({role['state']})" for name, role in summary["roles"].items() if role["state"] != "playing"]
    return f"not everything played: {', '.join(idle)}" if idle else "nothing played"


async def _play(rehearsal: Any, view: Any, faults: list[Any], for_s: float | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    async with rehearsal, _drawn(view):
        await rehearsal.bring_about(faults)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), for_s)
        if for_s is not None and faults and not stop.is_set():
            await _first(stop.wait(), rehearsal.have_happened(), PATIENCE_S + max(fault.at_s + fault.lasts_s for fault in faults))


async def _first(one: Coroutine[Any, Any, Any], other: Coroutine[Any, Any, Any], within_s: float) -> None:
    """Until one of them has ended, or the time is over; then neither goes on."""
    tasks = [asyncio.ensure_future(one), asyncio.ensure_future(other)]
    await asyncio.wait(tasks, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def _drawn(view: Any) -> AsyncIterator[None]:
    """The view looks again four times a second, until the room has ended."""

    async def draw() -> None:
        while True:
            view.draw()
            await asyncio.sleep(0.25)

    task = asyncio.create_task(draw())
    try:
        with view:
            yield
    finally:
        task.cancel()


class LineView:
    """What happens, a line each; for logs and pipes."""

    rehearsal: Any = None

    def __init__(self) -> None:
        self._pages: dict[str, str] = {}
        self._seen: set[str] = set()
        self._telling = Telling()

    def __enter__(self) -> LineView:
        return self

    def __exit__(self, *unused: object) -> None:
        return None

    def event(self, event: dict[str, Any]) -> None:
        """Print one event, if it says something new to a person."""
        words = self.words(event)
        if words:
            click.echo(f"{event['t']:7.1f} s  {words}")

    def words(self, event: dict[str, Any]) -> str:
        """The event in words; each machine's arrival and loss is said once, not by everyone who saw it."""
        if event["event"] == "agent_ended":
            return f"the agent of {event['machine']} ended with code {event['code']}{': ' if event['what'] else ''}{event['what']}"
        words = self._telling.words(event)
        if event["event"] in ("node_up", "node_suspect", "node_dead", "node_left", "order"):
            if words in self._seen:
                return ""
            self._seen.add(words)
        return words

    def draw(self) -> None:
        """Say where a page is, as soon as it is known."""
        for name, address in self.rehearsal.tally.page_addresses().items():
            if self._pages.get(name) != address:
                self._pages[name] = address
                click.echo(f"         the page of {name}: {address}")

    def end(self, summary: dict[str, Any]) -> None:
        """The last words."""
        requests = summary["requests"]
        click.echo(f"Ended. {requests['asked']} requests asked, {requests['answered']} answered, {requests['lost']} lost; "
                   f"{sum(summary['frames'].values())} frames.")
        for row in summary["takeovers"]:
            gap = "nobody heard a gap" if row["gap_ms"] is None else f"its listeners missed it for {row['gap_ms']:.0f} ms"
            click.echo(f"  {row['instance']} went from {row['from']} to {row['to']} ({CAUSES.get(row['cause'], row['cause'])}): {gap}")


class JsonView(LineView):
    """One JSON object a line."""

    def event(self, event: dict[str, Any]) -> None:
        click.echo(json.dumps(event))

    def draw(self) -> None:
        return None

    def end(self, summary: dict[str, Any]) -> None:
        click.echo(json.dumps(summary))


class LiveView(LineView):
    """A table of machines and what they play, the pages' addresses, and the last events."""

    def __init__(self, deployment: Any) -> None:
        super().__init__()
        from rich.console import Console
        from rich.live import Live

        self._deployment = deployment
        self._lines: list[str] = []
        self._live = Live(console=Console(), auto_refresh=False, transient=False)

    def __enter__(self) -> LiveView:
        self._live.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self.draw()
        self._live.stop()

    def event(self, event: dict[str, Any]) -> None:
        words = self.words(event)
        if words and event["event"] != "role_state":
            self._lines = [*self._lines, f"{event['t']:6.1f} s  {words}"][-6:]

    def draw(self) -> None:
        from mesh.cli.room import room_view

        self._live.update(room_view(self._deployment, self.rehearsal, self._lines), refresh=True)
