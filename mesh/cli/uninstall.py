"""`roomful uninstall`: this machine no longer plays by itself."""

from __future__ import annotations

import json
import os

import click

EPILOG = """\b
Examples:
  roomful uninstall          as the user who installed it
  sudo roomful uninstall     where it was installed with sudo
"""


@click.command(epilog=EPILOG)
@click.option("--json", "as_json", is_flag=True, help="One JSON value: where the unit was, and whether there was one.")
def command(as_json: bool) -> None:
    """Stop this machine's agent, which hands over to the others first, and remove the unit that `roomful install` wrote.

    The key, the state and the deployment's folder stay.
    """
    from mesh.shell.systemd import Systemd

    systemd = Systemd.here("root" if os.getuid() == 0 else "")
    removed = systemd.uninstall()
    if as_json:
        click.echo(json.dumps({"unit": str(systemd.path), "removed": removed}))
    elif removed:
        click.echo(f"{systemd.path} is removed: nothing starts by itself any more. `roomful agent` still runs it by hand.")
    else:
        click.echo(f"Nothing was installed: there is no {systemd.path}.")
