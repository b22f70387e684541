"""`roomful check`: every mistake of a deployment at once, or a look at what will play."""

from __future__ import annotations

import json
from pathlib import Path

import click

from mesh.core.spec import Deployment, RoleSpec
from mesh.errors import Mistake

EPILOG = """\b
Examples:
  roomful check deployments/whispering-room
  roomful check my-piece --json                 for an editor or a script
  roomful check --schema > roomful.schema.json  then: # yaml-language-server: $schema=roomful.schema.json
"""
EXCERPT_COLUMNS_MAX = 160


@click.command(epilog=EPILOG)
@click.argument("folder", default=".", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON value: whether it is in order, and all mistakes.")
@click.option("--schema", is_flag=True, help="Print the file's JSON Schema and do nothing else.")
def command(folder: Path, as_json: bool, schema: bool) -> None:
    """Check the deployment in FOLDER. Needs no engine, no network and no room. Exit code 2 when it has mistakes."""
    if schema:
        from mesh.core.schema import json_schema

        click.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))
        return
    from mesh.shell.folder import examine

    deployment, mistakes = examine(folder)
    if as_json:
        value = {"ok": deployment is not None, "mistakes": [mistake.as_json() for mistake in mistakes]}
        click.echo(json.dumps(value, ensure_ascii=False))
    elif deployment is not None:
        _print_order(deployment)
    else:
        _print_mistakes(mistakes)
    if deployment is None:
        raise SystemExit(2)


def _print_mistakes(mistakes: list[Mistake]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    for mistake in mistakes:
        place = f"{mistake.file}:{mistake.line}:{mistake.column}"
        console.print(Text.assemble((place, "bold"), "  ", (mistake.what, "red")))
        line = _line_of(mistake)
        if line:
            margin = f"{mistake.line:>6} │ "
            console.print(Text.assemble((margin, "dim"), line))
            console.print(Text.assemble((" " * 6 + " │ ", "dim"), " " * (mistake.column - 1), ("^", "red")))
        console.print(Text.assemble("       → ", (mistake.instead, "green")))
        console.print()
    console.print(Text("1 mistake." if len(mistakes) == 1 else f"{len(mistakes)} mistakes.", "bold"))


def _line_of(mistake: Mistake) -> str:
    """The line at fault as it can be shown, "" where it cannot."""
    try:
        with open(mistake.file, encoding="utf-8-sig", newline=None) as file:
            line = next((line for number, line in enumerate(file, 1) if number == mistake.line), "")
    except (OSError, UnicodeDecodeError):
        return ""
    line = line.rstrip("\n").replace("\t", " ")
    return line if line.isprintable() and mistake.column <= min(len(line) + 1, EXCERPT_COLUMNS_MAX) else ""


def _print_order(deployment: Deployment) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    parts = [
        _count(len(deployment.roles), "role"),
        _count(len(deployment.machines), "machine"),
        _count(len(deployment.models), "model"),
    ]
    console.print(Text.assemble((deployment.installation, "bold"), f" is in order: {', '.join(parts)}."))
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for heading in ("role", "kind", "where", "if lost", "listens to"):
        table.add_column(heading, overflow="fold")
    for role in deployment.roles:
        listens = ", ".join(f"{wire.role}.{wire.stream}" for wire in role.inputs)
        table.add_row(
            Text(role.name, "bold"), Text(role.kind), Text(_where(role)), Text(_if_lost(role)), Text(listens or "–")
        )
    console.print(table)


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def _where(role: RoleSpec) -> str:
    if role.each:
        return "each of " + ", ".join(role.each)
    place = f"with {role.with_}" if role.with_ else "any machine" if role.on == ("any",) else ", ".join(role.on)
    return f"{role.copies} copies, {place}" if role.copies > 1 else place


def _if_lost(role: RoleSpec) -> str:
    if role.each:
        return "stays away until its machine is back"
    if role.copies > 1:
        return "the other copies go on"
    return {
        "none": "stays away",
        "cold": "starts elsewhere",
        "warm": "goes on elsewhere, loaded",
        "hot": "goes on elsewhere, running",
    }[role.standby]
