"""`roomful up`: the room plays, from now on and after every power cut, until `roomful down`; with a folder, it plays that."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from mesh.cli.status import door_options
from mesh.errors import RoomfulError

EPILOG = """\b
Examples:
  roomful up deployments/whispering-room       send the folder to every machine; all turn to it together
  roomful up deployments/whispering-room --yes --json        for scripts
  roomful up                                   the room plays what it has
  roomful up --rollback                        back to the revision before
"""
STALLED_S = 600.0  # without a chunk arriving anywhere
TURNED_S = 20.0
SHOWN = 8


@click.command(epilog=EPILOG)
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--rollback", is_flag=True, help="Go back to the revision that was played before this one.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Turn to it although a machine cannot; that one follows when it can.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON value at the end; needs --yes.")
@door_options
def command(
    folder: Path | None, rollback: bool, yes: bool, force: bool, as_json: bool, host: str | None, key_path: Path | None
) -> None:
    """Let the room play. With FOLDER, send that to every machine first: what changes is shown, and asked.

    Only what a machine lacks is sent, from whichever machines have it. When all that are here have it, all turn to it together; a
    role that is not changed by it plays on. Machines that are off follow when they return. A call that was broken off
    changes nothing, and goes on where it was when it is given again.
    """
    from mesh.shell.finding import find
    from mesh.shell.sending import Update

    if folder is not None and rollback:
        raise RoomfulError("--rollback goes back to what the room has; a folder is not needed", instead="Leave out one of the two.")
    door = find(host, key_path)
    if folder is None and not rollback:
        _let_it_play(door, as_json)
        return
    with Update(door) as update:
        plan = update.of_rollback() if rollback else update.of_folder(folder) if folder is not None else None
        assert plan is not None
        unchanged = update.is_played(plan)
        if not unchanged:
            update.owner()
        if not as_json and not unchanged:
            _show(update, plan)
        if plan.short and not force:
            raise RoomfulError("; ".join(f"{name}: {why}" for name, why in plan.short.items()),
                               instead="Free some space there; or `--force`, and those machines follow when they can. Nothing was changed.")
        if not (yes or as_json or unchanged):
            _ask()
        _carry_out(update, plan, unchanged, force, as_json)


def _ask() -> None:
    try:
        agreed = click.confirm("Send it, and let the room play it?", default=True)
    except click.Abort:  # Ctrl-C, or nobody is there to ask
        click.echo(err=True)
        agreed = False
    if not agreed:
        raise RoomfulError("nothing was changed", instead="`--yes` does not ask.")


def _carry_out(update: Any, plan: Any, unchanged: bool, force: bool, as_json: bool) -> None:
    began_s = time.monotonic()
    if unchanged:
        update.let_it_play()
    else:
        update.offer(plan)
        _await_ready(update, plan, force, quiet=as_json)
        update.order(plan)
    ready_s = time.monotonic() - began_s
    _await(lambda: unchanged or not set(update.ready(plan).ready) - set(update.ready(plan).playing), TURNED_S)
    found = update.ready(plan)
    late = [] if unchanged else sorted(set(found.ready) - set(found.playing))
    playing = sorted(update.seen) if unchanged else sorted(found.playing)
    if as_json:
        click.echo(json.dumps({
            "revision": list(plan.before) if unchanged else [plan.number, plan.hash], "machines": playing, "late": late,
            "cannot": found.cannot, "away": plan.away, "sent_bytes": update.sent_bytes, "restarted": list(plan.change.restarted),
            "timing": plan.change.timing,
            "ready_s": round(ready_s, 3),
        }))  # fmt: skip
    else:
        number = plan.before[0] if unchanged else plan.number
        click.echo(f"{update.status['installation']} is up on {len(playing)} machines: {', '.join(playing)} (revision {number}).")
        for name, why in {**plan.away, **found.cannot, **dict.fromkeys(late, "it has not turned to it yet")}.items():
            click.echo(f"  {name}: {why}")
    if late:
        raise RoomfulError(f"not every machine turned to it: {', '.join(late)}", instead="`roomful status` says what they do.")


def _await_ready(update: Any, plan: Any, force: bool, quiet: bool) -> None:
    """Send what is lacking, until all have it or one says that it cannot."""
    sending = update.send(plan)
    with _bars(plan, quiet) as advance:
        deadline_s, far = time.monotonic() + STALLED_S, update.far()
        while time.monotonic() < deadline_s:
            if update.far() != far:
                deadline_s, far = time.monotonic() + STALLED_S, update.far()
            for _ in range(20):
                if next(sending, update) is update:
                    break
            found = update.ready(plan)
            advance(update, found)
            if found.cannot and not force:
                raise RoomfulError(
                    "; ".join(f"{name} cannot: {why}" for name, why in found.cannot.items()),
                    instead="Nothing was changed. Mend it and say `roomful up` again, which goes on where this ended; or `--force`.")
            if not found.waiting and (found.ready or force):
                return
            time.sleep(0.05)
    waiting = ", ".join(update.ready(plan).waiting)
    raise RoomfulError(f"nothing has arrived for {STALLED_S / 60:.0f} minutes, and not everything is there: {waiting}; nothing was changed",
                       instead="Look at `roomful status`, and say `roomful up` again: it goes on where this ended.")


def _await(condition: Any, within_s: float) -> None:
    deadline_s = time.monotonic() + within_s
    while not condition() and time.monotonic() < deadline_s:
        time.sleep(0.1)


def _let_it_play(door: Any, as_json: bool) -> None:
    said = door.ask("status")
    if not said["installation"]:
        raise RoomfulError("the room holds no deployment yet", instead="Send it one: `roomful up DIR`.")
    differing = differences(said, said["revision"][1])
    if differing:
        raise RoomfulError("not every machine holds the same deployment: " + "; ".join(differing),
                           instead="Send all of them the same: `roomful up DIR`.")
    door.ask("order", {"verb": "up"})
    here = [name for name, machine in said["machines"].items() if machine["health"] in ("alive", "suspect")]
    away = {name: machine["why"] for name, machine in said["machines"].items() if name not in here}
    if as_json:
        click.echo(json.dumps({"revision": said["revision"], "machines": here, "away": away}))
        return
    click.echo(f"{said['installation']} is up on {len(here)} machines: {', '.join(here)}.")
    for name, why in away.items():
        click.echo(f"  {name}: {why}")


def differences(said: dict[str, Any], wanted: str) -> list[str]:
    """The machines that are here and hold another folder, by name, with what they hold."""
    found = []
    for name, machine in said["machines"].items():
        revision = machine.get("revision")
        if machine["health"] in ("alive", "suspect") and revision is not None and revision[1] != wanted:
            found.append(f"{name} holds {revision[1][:8] or 'none'}, not {wanted[:8]}")
    return found


# ---- showing


def _show(update: Any, plan: Any) -> None:
    """What would change."""
    click.echo(f"revision {plan.number} ({plan.hash[:8]}), after {plan.before[0]} ({plan.before[1][:8] or 'none'})")
    roles = plan.change
    named = {"added": roles.added, "removed": roles.removed, "started anew": roles.restarted, "placed anew": roles.placed}
    for what, names in named.items():
        if names:
            click.echo(f"  {what + ':':<14}{', '.join(names)}")
    if not any(named.values()):
        click.echo("  no role changes")
    if roles.timing:
        click.echo(f"  {'timing:':<14}{roles.timing}, from when on each machine its agent is started anew: until then as it was")
    changed = list(plan.files.items())
    for path, how in changed[:SHOWN]:
        click.echo(f"  {how + ':':<14}{path}")
    if len(changed) > SHOWN:
        click.echo(f"  and {len(changed) - SHOWN} more files")
    for name, lacks in plan.lacks.items():
        click.echo(f"  {name + ':':<14}{lacks / 1e6:,.1f} MB to send" + (f"; {plan.short[name]}" if name in plan.short else ""))
    for name, why in plan.away.items():
        click.echo(f"  {name + ':':<14}is away, and follows when it returns ({why})")


@contextmanager
def _bars(plan: Any, quiet: bool) -> Iterator[Any]:
    """A bar for each machine."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    name, said = TextColumn("  {task.description:<14}"), TextColumn("{task.fields[said]}")
    columns = (name, BarColumn(), DownloadColumn(), TransferSpeedColumn(), said)
    with Progress(*columns, console=Console(stderr=True), disable=quiet) as bars:
        tasks: dict[str, Any] = {}

        def advance(update: Any, found: Any) -> None:
            for name, said in update.seen.items():
                if name not in tasks:
                    tasks[name] = bars.add_task(name, total=plan.manifest.size or 1, said="")
                progress = said.get("progress") or {}
                if progress.get("revision") == plan.hash and progress.get("count"):
                    done = plan.manifest.size * progress["have"] // progress["count"]
                    bars.update(tasks[name], completed=done, said=progress["stage"] if progress["stage"] != "fetching" else "")
                elif name in found.ready:
                    bars.update(tasks[name], completed=plan.manifest.size or 1, said="ready")
                elif name in found.cannot:
                    bars.update(tasks[name], said=f"cannot: {found.cannot[name]}")

        yield advance
