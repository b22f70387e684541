"""`roomful up`: the room plays, from now on and after every power cut, until `roomful down`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mesh.cli.status import door_options
from mesh.errors import RoomfulError

EPILOG = """\b
Examples:
  roomful up deployments/whispering-room     after checking that every machine holds this very folder
  roomful up                                 with whatever folder the room holds
"""


@click.command(epilog=EPILOG)
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@door_options
def command(folder: Path | None, host: str | None, key_path: Path | None) -> None:
    """Let the room play. With FOLDER, refuse if any machine holds something else, and name it."""
    from mesh.shell.finding import find
    from mesh.shell.folder import folder_hash, load

    wanted = None
    if folder is not None:
        load(folder)
        wanted = folder_hash(folder)
    door = find(host, key_path)
    said = door.ask("status")
    differing = differences(said, wanted or said["revision"][1])
    if differing:
        raise RoomfulError("not every machine holds the same deployment: " + "; ".join(differing),
                           instead="Copy the folder to those machines, restart their agents, and say `roomful up` again.")
    door.ask("order", {"verb": "up"})
    here = [name for name, machine in said["machines"].items() if machine["health"] in ("alive", "suspect")]
    click.echo(f"{said['installation']} is up on {len(here)} machines: {', '.join(here)}.")
    for name, machine in said["machines"].items():
        if name not in here:
            click.echo(f"  {name}: {machine['why']}")


def differences(said: dict[str, Any], wanted: str) -> list[str]:
    """The machines that are here and hold another folder, by name, with what they hold."""
    found = []
    for name, machine in said["machines"].items():
        revision = machine.get("revision")
        if machine["health"] in ("alive", "suspect") and revision is not None and revision[1] != wanted:
            found.append(f"{name} holds {revision[1][:8] or 'none'}, not {wanted[:8]}")
    return found
