"""`roomful bench`: what the mesh reaches on this machine, or in the room that plays, beside the bare library."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click

from mesh.cli.status import door_options
from mesh.errors import RoomfulError

EPILOG = """\b
Examples:
  roomful bench                                     this machine, some minutes
  roomful bench --quick --only round_trip,pool      two of the measurements, a moment each
  roomful bench deployments/whispering-room         and tokens a second of each of its language models
  roomful bench --room                              the room that plays now, undisturbed: answers, clocks, ages, cost
"""


# Names of rows that one measurement gives beside its own.
MEASURED_WITH = {
    "first_token": "tokens", "round_trip_network": "round_trip", "idle_memory": "idle", "idle_role": "idle", "idle_role_memory": "idle",
}  # fmt: skip


@click.command(epilog=EPILOG)
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option("--quick", is_flag=True, help="One short round of each.")
@click.option("--only", metavar="NAME,…", help="Only these measurements.")
@click.option("--room", is_flag=True, help="Measure the room that plays now instead, without touching it.")
@door_options
@click.option("--json", "as_json", is_flag=True, help="One JSON value.")
def command(
    folder: Path | None, quick: bool, only: str | None, room: bool, host: str | None, key_path: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Measure streams, requests, clocks and idle cost in small rooms made for it, with real roles in processes of their own; with FOLDER,
    the language models of that deployment too. The bare library (pyzmq) does the same beside, in turn."""
    from mesh.shell.bench.rows import machine

    if room:
        from mesh.shell.bench.live import measure_room
        from mesh.shell.finding import find

        rows = measure_room(find(host, key_path))
        faults: list[RoomfulError] = []
    else:
        rows, faults = _measure(_chosen(folder, quick, only))
    if as_json:
        click.echo(json.dumps([each.as_json() for each in rows]))
    elif rows:
        _print(rows, machine())
    if faults:
        raise RoomfulError("\n".join(map(str, faults)))


def _chosen(folder: Path | None, quick: bool, only: str | None) -> dict[str, Callable[[], Any]]:
    """What is to be measured, by name. Raises UsageError for names that are none."""
    from mesh.shell.bench.measures import MEASURES, QUICK, THOROUGH
    from mesh.shell.bench.models import speakers, tokens
    from mesh.shell.folder import load

    plan = QUICK if quick else THOROUGH
    known: dict[str, Callable[[], Any]] = {name: partial(measure, plan) for name, measure in MEASURES.items()}
    if folder is not None:
        if not speakers(load(folder)):
            raise RoomfulError("this deployment has no language model to measure", where=str(folder), instead="leave the folder out")
        known["tokens"] = partial(tokens, folder, plan)
    wanted = only.split(",") if only else list(known)
    wanted = list(dict.fromkeys(MEASURED_WITH.get(name, name) for name in wanted))
    for name in wanted:
        if name == "tokens" and folder is None:
            raise click.UsageError("tokens are measured with the models of a deployment: name its folder, too")
        if name not in known:
            raise click.UsageError(f"nothing is called {name!r}; there are {', '.join([*known, 'tokens', 'first_token'])}")
    return {name: known[name] for name in wanted}


def _measure(chosen: dict[str, Callable[[], Any]]) -> tuple[list[Any], list[RoomfulError]]:
    """The rows, and what could not be measured: one that fails takes nothing from the others."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    rows: list[Any] = []
    faults: list[RoomfulError] = []
    columns = (TextColumn("{task.description:<24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=len(chosen))
        for name, measure in chosen.items():
            bar.update(task, description=name)
            try:
                rows += measure()
            except RoomfulError as fault:
                faults.append(RoomfulError(f"{name} was not measured: {fault.what}", where=fault.where, instead=fault.instead))
            bar.advance(task)
    return rows, faults


def _print(rows: list[Any], machine: str) -> None:
    """The table. Figures are never cut: on a narrow screen the notes are left out, and a file gets lines as long as they are."""
    from rich.console import Console

    console = Console()
    figures, whole = _table(rows, machine, notes=False), _table(rows, machine, notes=True)
    wide = Console(width=1000)
    needed, most = (wide.measure(table).maximum for table in (figures, whole))
    noted = not console.is_terminal or console.width >= most
    Console(width=max(console.width, most if noted else needed)).print(whole if noted else figures)


def _table(rows: list[Any], machine: str, *, notes: bool) -> Any:
    from rich.table import Table

    from mesh.shell.bench.promises import promised

    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim", caption=machine, caption_justify="left")
    for heading in ("measured", "median", "p99", "unit", "bare", "ours / bare", "promised", *([""] if notes else [])):
        table.add_column(heading, justify="right" if heading in ("median", "p99", "bare", "ours / bare") else "left", no_wrap=True)
    for each in rows:
        bare = ("–", "–") if each.raw is None else (f"{each.raw:g}", "–" if each.ratio is None else f"{each.ratio:.2f}")
        cells = (each.name, f"{each.value:g}", f"{each.p99:g}", each.unit, *bare, promised(each))
        table.add_row(*cells, *([f"[dim]{each.note}[/dim]"] if notes else []))
    return table
