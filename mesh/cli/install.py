"""`roomful install`: this machine plays by itself whenever it is switched on."""

from __future__ import annotations

import json
import os
import pwd
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mesh.errors import UsageError

if TYPE_CHECKING:
    from mesh.core.unit import Wanted
    from mesh.shell.systemd import Systemd

EPILOG = """\b
Examples:
  roomful install --name door                  as the user who shall play; starts it now, and at every start
  sudo roomful install --name door --as gallery
  roomful install deployments/whispering-room --name door --print      with a folder of its own, until it is sent another
"""


@click.command(epilog=EPILOG)
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--name", default="", help="Which machine of the deployment file this is.")
@click.option("--seed", "seeds", multiple=True, metavar="HOST[:PORT]", help="A machine to dial where mDNS does not reach. Repeatable.")
@click.option("--as", "user", metavar="USER", help="As root: the user who shall play.  [default: who called sudo, or the folder's owner]")
@click.option("--print", "only_print", is_flag=True, help="Print the unit and do nothing else.")
@click.option("--json", "as_json", is_flag=True, help="One JSON value: where the unit lies, its text, whether it changed.")
def command(folder: Path | None, name: str, seeds: tuple[str, ...], user: str | None, only_print: bool, as_json: bool) -> None:
    """Write the systemd unit that runs this machine's node whenever it is switched on, and start it.

    As an ordinary user it is a unit of that user's own, which runs without anybody logged in; as root one of the system, run as
    USER. Without FOLDER it plays what the room is sent (`roomful up`). Calling it again changes only what is different.
    `roomful uninstall` removes it.
    """
    wanted, systemd = _wanted(folder, name, seeds, user)
    from mesh.core.unit import unit_text

    if only_print:
        text = unit_text(wanted)
        click.echo(json.dumps({"unit": str(systemd.path), "text": text, "changed": False}) if as_json else text, nl=as_json)
        return
    from mesh.shell.keys import read_secret

    systemd.check()
    read_secret(Path(wanted.home) / "key")
    changed = systemd.install(wanted)
    if as_json:
        click.echo(json.dumps({"unit": str(systemd.path), "text": unit_text(wanted), "changed": changed}))
        return
    if systemd.user == "root":
        click.echo("It runs as root. An ordinary user is enough: --as USER.", err=True)
    scope = "" if systemd.user else "--user "
    click.echo(f"{systemd.path} {'is written' if changed else 'is as it should be'}; the agent runs, and will whenever this machine is "
               "switched on.")
    click.echo(f"  roomful status                        who is here, and what is wrong\n"
               f"  systemctl {scope}status roomful          whether the agent runs\n"
               f"  journalctl {scope}-u roomful             what it printed\n"
               f"Once, when all machines are ready: roomful up {folder or 'DIR'}")


def _wanted(folder: Path | None, name: str, seeds: tuple[str, ...], user: str | None) -> tuple[Wanted, Systemd]:
    """The unit that is meant, of a deployment that is in order."""
    from mesh.cli.agent import check_seeds
    from mesh.core.names import did_you_mean
    from mesh.core.unit import Wanted
    from mesh.shell.folder import load
    from mesh.shell.storage import home
    from mesh.shell.systemd import Systemd

    check_seeds(seeds)
    deployment = load(folder, verify_hashes=False) if folder is not None else None
    named = [machine.name for machine in deployment.machines] if deployment is not None else []
    if name and named and name not in named:
        near = did_you_mean(name, named, of="machines").capitalize()
        raise UsageError(f"the file names no machine {name!r}", where=str(folder), instead=near)
    player = _player(user, folder)
    state = home() if not player or os.environ.get("ROOMFUL_HOME") else Path(pwd.getpwnam(player).pw_dir) / ".local/state/roomful"
    played = [str(folder.resolve())] if folder is not None else []
    command = [sys.executable, "-P", "-m", "mesh.cli.entry", "agent", *played]
    command += ["--name", name] if name else []
    for seed in seeds:
        command += ["--seed", seed]
    title = deployment.installation if deployment is not None else "a room"
    return Wanted(title, tuple(command), str(state.absolute()), player), Systemd.here(player)


def _player(user: str | None, folder: Path | None) -> str:
    """As root: the user who shall play. Else "", and it is who calls this."""
    if os.getuid() != 0:
        if user:
            raise UsageError("--as is for root", instead="Call it as that user without --as, or with sudo.")
        return ""
    name = user or os.environ.get("SUDO_USER") or (folder.owner() if folder is not None else "")
    if not name:
        raise UsageError("it is not said which user shall play", instead="Name one with --as USER.")
    try:
        return pwd.getpwnam(name).pw_name
    except KeyError:
        raise UsageError(f"there is no user {name!r} on this machine", instead="Name one with --as USER.") from None
