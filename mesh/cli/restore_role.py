"""`roomful restore-role`: roles stay where they went (`failback: manual`) until somebody says otherwise."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click

from mesh.cli.status import door_options, instances_of, machine_of
from mesh.errors import RoomfulError

EPILOG = """\b
Examples:
  roomful restore-role eye         back to the machine by the door, when that is here again
  roomful restore-role poet/2
"""
PATIENCE_S = 60.0
LOOK_S = 0.2


@click.command(epilog=EPILOG)
@click.argument("role")
@door_options
@click.option("--json", "as_json", is_flag=True, help="One JSON value: from where to where each instance went.")
def command(role: str, host: str | None, key_path: Path | None, as_json: bool) -> None:
    """Let ROLE go back to the machine that the file likes best of those that are here: loaded there first, then handed over."""
    from mesh.shell.finding import find

    door = find(host, key_path)
    said = door.ask("status")
    moves = {}
    for name in instances_of(role, said):
        machine = said["roles"][name]["machine"]
        if machine is None:
            raise RoomfulError(f"{name} does not play: {said['roles'][name]['why']}", instead="`roomful status` says what is wrong.")
        answer = door.at(machine_of(machine, said)).ask("restore", {"instance": name})
        moves[name] = {"from": machine, "to": answer["to"]}
    late = _wait(door, {name: str(move["to"]) for name, move in moves.items()})
    if as_json:
        click.echo(json.dumps(moves))
    else:
        for name, move in moves.items():
            stays = f"{name} is on {move['from']} already: no machine that is here and can play it is liked better"
            done = "is still loading on" if name in late else "plays again on"
            click.echo(stays if move["from"] == move["to"] else f"{name} {done} {move['to']}")
    if late:
        raise click.exceptions.Exit(1)


def _wait(door: Any, wanted: dict[str, str]) -> list[str]:
    """Until each instance plays where it goes; those that do not within the patience."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        roles = door.ask("status")["roles"]
        late = [name for name, to in wanted.items() if (roles[name]["machine"], roles[name]["state"]) != (to, "playing")]
        if not late or time.monotonic() >= deadline:
            return late
        time.sleep(LOOK_S)
