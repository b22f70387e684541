"""`roomful down`: the room rests until `roomful up`, through every power cut."""

from __future__ import annotations

from pathlib import Path

import click

from mesh.cli.status import door_options

EPILOG = """\b
Examples:
  roomful down
"""


@click.command(epilog=EPILOG)
@door_options
def command(host: str | None, key_path: Path | None) -> None:
    """Let the room rest: every role ends, the agents stay, and it stays so until `roomful up`."""
    from mesh.shell.finding import find

    door = find(host, key_path)
    door.ask("order", {"verb": "down"})
    click.echo(f"{door.ask('status')['installation']} is down. It stays so, also after a power cut, until `roomful up`.")
