"""`roomful logs`: what the roles printed, with the tracebacks of an artist's own role, from whichever machine they ran on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from mesh.cli.status import door_options
from mesh.core.names import role_name
from mesh.errors import NoRoomError, RoomfulError

EPILOG = """\b
Examples:
  roomful logs                 the last lines of every role
  roomful logs mood -n 200     of one role or instance
"""


@click.command(epilog=EPILOG)
@click.argument("role", required=False)
@click.option("-n", "lines", default=30, show_default=True, type=click.IntRange(1, 5000), help="Lines of each instance.")
@door_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line: machine, instance, line.")
def command(role: str | None, lines: int, host: str | None, key_path: Path | None, as_json: bool) -> None:
    """Print what ROLE printed, or every role. An error in a role of your own is here, with its file and line."""
    from mesh.shell.finding import find

    door = find(host, key_path)
    said = door.ask("status")
    _check_name(role, said)
    found = 0
    for machine, about in said["machines"].items():
        if about["health"] not in ("alive", "suspect"):
            continue
        try:
            kept: dict[str, list[str]] = door.at(about).ask("logs", {"role": role, "lines": lines})
        except NoRoomError as fault:
            click.echo(f"{machine}: its logs cannot be reached: {fault.what}", err=True)
            continue
        found += _print(machine, kept, as_json)
    if not found and not as_json:
        click.echo(f"{role or 'No role'} has not run here yet." if role else "No role has run here yet.")


def _print(machine: str, kept: dict[str, list[str]], as_json: bool) -> int:
    for instance, text in kept.items():
        if as_json:
            for line in text:
                click.echo(json.dumps({"machine": machine, "instance": instance, "line": line}))
        elif text:
            click.secho(f"{instance} on {machine}", bold=True)
            for line in text:
                click.echo(f"  {line}")
    return len(kept)


def _check_name(role: str | None, said: dict[str, Any]) -> None:
    import difflib

    known = [*said["roles"], *dict.fromkeys(role_name(name) for name in said["roles"])]
    if role is not None and role not in known:
        near = difflib.get_close_matches(role, known, 1)
        hint = f"Did you mean {near[0]!r}?" if near else f"It has {', '.join(known)}."
        raise RoomfulError(f"the deployment has no role {role!r}", instead=hint)
