"""`roomful undrain`: whoever takes a machine back vouches for it."""

from __future__ import annotations

import json
from pathlib import Path

import click

from mesh.cli.drain import EPILOG
from mesh.cli.status import door_options, machine_of


@click.command(epilog=EPILOG)
@click.argument("machine")
@door_options
@click.option("--json", "as_json", is_flag=True, help="One JSON value.")
def command(machine: str, host: str | None, key_path: Path | None, as_json: bool) -> None:
    """Let MACHINE play again after `roomful drain`, or at once after it was put aside or gave up on a role.

    Roles that went elsewhere stay there; `roomful restore-role` brings one back.
    """
    from mesh.shell.finding import find

    door = find(host, key_path)
    about = machine_of(machine, door.ask("status"))
    door.at(about).ask("order", {"verb": "undrain"})
    click.echo(json.dumps({"machine": machine}) if as_json else f"{machine} takes part again. What it played before stays where it is "
               "now; `roomful restore-role ROLE` brings a role back.")
