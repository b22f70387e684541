"""`roomful rehearse`: the whole room on this computer, with a live view of who plays what."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import click

from mesh.cli.words import sentence
from mesh.errors import RoomfulError

EPILOG = """\b
Examples:
  roomful rehearse deployments/whispering-room              until Ctrl-C
  roomful rehearse my-piece --for 30 --headless --json      for a test: one JSON object a line, the last a summary
  roomful rehearse my-piece --fault "kill shelf at 15s"     and see who takes over
  roomful rehearse my-piece --machines 6                    with spare machines beside those of the file
"""


@click.command(epilog=EPILOG)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--machines", type=click.IntRange(1, 64), help="At least this many nodes; those above the file's are spares.")
@click.option("--for", "for_s", type=click.FloatRange(min=0.1), metavar="SECONDS", help="Stop after this long.  [default: until Ctrl-C]")
@click.option("--fault", "faults", multiple=True, metavar='"VERB WHAT at TIME"',
              help='"kill MACHINE at 8s", "crash ROLE at 8s", "hang ROLE at 8s" or "cut MACHINE at 8s for 10s". Repeatable.')
@click.option("--headless", is_flag=True, help="No live view and no windows.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line; the last is a summary.")
def command(folder: Path, machines: int | None, for_s: float | None, faults: tuple[str, ...], headless: bool, as_json: bool) -> None:
    """Play the deployment in FOLDER on this computer: one real node for each of its machines."""
    from mesh.core.faults import read_fault
    from mesh.core.instances import instances
    from mesh.shell.folder import load
    from mesh.shell.rehearsal import Rehearsal, machine_names

    deployment = load(folder)
    view = JsonView() if as_json else LiveView(deployment) if sys.stdout.isatty() and not headless else LineView()
    names = machine_names(deployment, machines)
    wanted = [read_fault(fault, names, [each.name for each in instances(deployment)]) for fault in faults]
    rehearsal = Rehearsal(folder.resolve(), deployment, names, view.event)
    view.rehearsal = rehearsal
    asyncio.run(_play(rehearsal, view, wanted, for_s))
    summary = rehearsal.tally.summary()
    view.end(summary)
    all_played = bool(summary["roles"]) and all(role["state"] == "playing" for role in summary["roles"].values())
    if for_s is not None and not all_played:
        again = "Rehearse it without --for, and read `roomful logs` meanwhile."
        raise RoomfulError(_not_playing(summary), where=str(folder), instead=again)


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
        words = sentence(event)
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
