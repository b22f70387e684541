"""`roomful status`: who is here, who plays what, and what is wrong, in plain words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from mesh.core.names import did_you_mean, role_name
from mesh.errors import NoRoomError, RoomfulError

EPILOG = """\b
Examples:
  roomful status                     of the room this machine is in, or of a rehearsal that runs here
  roomful status --host 192.168.1.20 --json
"""
MARKS = {
    "alive": ("●", "green"), "suspect": ("◐", "yellow"), "shut out": ("○", "red"),
    "playing": ("●", "green"), "ready": ("◐", "yellow"), "starting": ("○", "yellow"),
}


def door_options(function: Any) -> Any:
    """`--host` and `--key`: how a command finds the room when this machine has no agent."""
    function = click.option("--key", "key_path", type=click.Path(path_type=Path), help="The installation's key file.")(function)
    return click.option("--host", metavar="HOST[:PORT]", help="A machine of the room.  [default: found]")(function)


@click.command(epilog=EPILOG)
@door_options
@click.option("--json", "as_json", is_flag=True, help="One JSON value.")
def command(host: str | None, key_path: Path | None, as_json: bool) -> None:
    """Say who is here, who plays what, and what is wrong. Exit code 1 when something is."""
    from mesh.core.glance import facts_of, with_loading
    from mesh.shell.finding import find

    door = find(host, key_path)
    said = door.ask("status")
    reports = door.reports(said)
    said["latency"] = [row for report in reports.values() for row in report.get("latency", [])]
    said["drops"] = [row for report in reports.values() for row in report.get("drops", [])]
    said["facts"] = {**said.get("facts", {}), **facts_of(reports)}
    said = with_loading(said, said["facts"])
    for name, report in reports.items():
        said["machines"][name] |= {"clock": report.get("clock"), "refused": report.get("refused") or {}}
    if as_json:
        click.echo(json.dumps(said))
    else:
        _print(said)
    if is_wrong(said):
        raise click.exceptions.Exit(1)


def machine_of(name: str, said: dict[str, Any]) -> dict[str, Any]:
    """What `status` says of a machine that can be asked. Raises RoomfulError when it is not here."""
    found: dict[str, Any] | None = said["machines"].get(name)
    if found is None:
        raise RoomfulError(f"there is no machine {name!r}", instead=did_you_mean(name, said["machines"], of="machines").capitalize())
    if found["health"] not in ("alive", "suspect"):
        raise NoRoomError(f"{name} is not here: {found['why']}", instead="`roomful status` says who is.")
    return found


def instances_of(role: str, said: dict[str, Any]) -> list[str]:
    """The instances that a role's or an instance's name means. Raises RoomfulError when there is none of that name."""
    found = [name for name in said["roles"] if role in (name, role_name(name))]
    if not found:
        known = [*said["roles"], *(role_name(name) for name in said["roles"])]
        raise RoomfulError(f"the deployment has no role {role!r}", instead=did_you_mean(role, known, of="roles").capitalize())
    return found


def is_wrong(said: dict[str, Any]) -> bool:
    """Whether a technician is needed: a machine of the file is missing, an instance does not play, or an alarm stands."""
    from mesh.core.glance import troubles

    return bool(troubles(said))


def _print(said: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from mesh.core import drops
    from mesh.core.glance import clock_words, turned_away_words
    from mesh.core.latency import in_words
    from mesh.core.refusals import by_port

    console = Console(highlight=False)
    about = f"  ·  {said['order']}  ·  revision {said['revision'][1][:8]}"
    console.print(Text.assemble((said["installation"] or "no deployment", "bold"), (about, "dim")))
    machines = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for heading in ("machine", "health", "plays", "why"):
        machines.add_column(heading)
    for name, machine in said["machines"].items():
        mark, colour = MARKS.get(machine["health"], ("●", "red"))
        health = Text(f"{mark} {machine['health']}", colour)
        machines.add_row(Text(name, "bold"), health, Text(", ".join(machine["roles"]) or "–"), Text(machine["why"]))
    console.print(machines)
    idle = {name: role for name, role in said["roles"].items() if role["state"] != "playing" or role["why"]}
    for name, role in idle.items():
        mark, colour = MARKS.get(role["state"], ("●", "red"))
        console.print(Text.assemble(f"  {name}  ", (f"{mark} {role['state']}", colour), f"  {role['why']}"))
    for name, role in said["roles"].items():
        if role.get("model"):
            console.print(Text.assemble((f"  {name}  ", "dim"), f"plays the model {role['model']}"))
    for name, role in said["roles"].items():
        if role.get("restarts"):
            times = "once" if role["restarts"] == 1 else f"{role['restarts']} times"
            console.print(Text(f"  {name} was started anew {times} on {role['machine']}: `roomful logs {name}`", "yellow"))
    for line in in_words(said["latency"]):
        console.print(Text(f"  {line}", "dim"))
    for line in drops.in_words(said["drops"]):
        console.print(Text(f"  {line}", "yellow"))
    if clocks := clock_words(said["machines"]):
        console.print(Text(f"  {clocks}", "dim"))
    for each in said.get("turned_away", ()):
        console.print(Text(f"  {turned_away_words(each)}", "yellow"))
    if turned_away := by_port(machine.get("refused", {}) for machine in said["machines"].values()):
        console.print(Text(f"  {turned_away}", "dim"))
    for alarm in said["alarms"]:
        console.print(Text(f"ALARM  {alarm}", "bold red"))
    for instance, facts in sorted(said.get("facts", {}).items()):
        if facts.get("letters_missing"):
            console.print(Text(f"  {instance} cannot show letters that no font there has: {' '.join(facts['letters_missing'])}\n"
                               "    to do: put a font that has them into the folder, and name it in option font (a page: in its CSS)",
                               "yellow"))
        if facts.get("files_missing"):
            named = ", ".join(facts["files_missing"])
            console.print(Text(f"  {instance} shows an empty place for what is not in the folder: {named}", "yellow"))
        if facts.get("page"):
            console.print(Text.assemble((f"  {instance}  ", "dim"), (facts["page"], "cyan underline")))
