"""`roomful drain` and `roomful undrain`: take a machine out of the room for a while, and let it play again."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click

from mesh.cli.status import door_options, machine_of

EPILOG = """\b
Examples:
  roomful drain shelf        before it is opened, moved or updated; then switch it off
  roomful undrain shelf      when it is back
"""
PATIENCE_S = 30.0
LOOK_S = 0.2


@click.command(epilog=EPILOG)
@click.argument("machine")
@door_options
@click.option("--json", "as_json", is_flag=True, help="One JSON value: what it still plays.")
def command(machine: str, host: str | None, key_path: Path | None, as_json: bool) -> None:
    """Let the roles of MACHINE go to the others, loaded there before they end here. What only it can play ends.

    It stays in the room and plays nothing until `roomful undrain`, or until its agent is started anew: switching
    everything off and on repairs the piece.
    """
    from mesh.shell.finding import find

    door = find(host, key_path)
    said = door.ask("status")
    about = machine_of(machine, said)
    before = _held(about)
    door.at(about).ask("order", {"verb": "drain"})
    deadline = time.monotonic() + PATIENCE_S
    while _held(machine_of(machine, said := door.ask("status"))) and time.monotonic() < deadline:
        time.sleep(LOOK_S)
    left = _held(machine_of(machine, said))
    moved = {name: said["roles"].get(name, {}).get("machine") for name in before if name not in left}
    if as_json:
        click.echo(json.dumps({"machine": machine, "moved": moved, "left": left}))
    else:
        _print(machine, moved, left, said)
    if left:
        raise click.exceptions.Exit(1)


def _held(about: dict[str, Any]) -> list[str]:
    return [name for name in about["roles"] if not name.endswith("(standby)")]


def _print(machine: str, moved: dict[str, Any], left: list[str], said: dict[str, Any]) -> None:
    for name, where in moved.items():
        why = said["roles"].get(name, {}).get("why", "")
        click.echo(f"  {name} plays on {where} now" if where else f"  {name} has ended: {why}")
    if left:
        click.echo(f"{machine} is drained, and {', '.join(left)} still plays there after {PATIENCE_S:.0f} s: "
                   "what takes its place is still loading. `roomful status` says when it is done.", err=True)
        return
    click.echo(f"{machine} is drained and may be switched off. `roomful undrain {machine}` lets it play again.")
