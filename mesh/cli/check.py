"""`roomful check`: every mistake of a deployment at once, or a look at what will play."""

from __future__ import annotations

import json
from pathlib import Path

import click

from mesh.core.plain_text import plain
from mesh.core.spec import Deployment, RoleSpec
from mesh.core.yaml_text import FILE_BYTES_MAX
from mesh.errors import Mistake

EPILOG = """\b
Examples:
  roomful check deployments/whispering-room
  roomful check my-piece --json                 for an editor or a script
  roomful check --schema > roomful.schema.json  then: # yaml-language-server: $schema=roomful.schema.json
"""
EXCERPT_COLUMNS = 100  # of a line at fault: more tells nobody more


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
    from mesh.shell.folder import examine, folder_of
    from mesh.shell.revisions import MEND, unsendable

    deployment, mistakes = examine(folder)
    folder = folder_of(folder)
    for path, fault in unsendable(folder).items():
        deployment = None
        what = f"it {fault}, so `roomful up` would not send it" if path else fault
        mistakes.append(Mistake(str(folder / path), 1, 1, what, MEND))
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
    lines: dict[str, list[str]] = {}
    for mistake in mistakes:
        place = plain(f"{mistake.file}:{mistake.line}:{mistake.column}")
        console.print(Text.assemble((place, "bold"), "  ", (plain(mistake.what), "red")))
        line, at = _excerpt(mistake, lines)
        if line:
            margin = f"{mistake.line:>6} │ "
            console.print(Text.assemble((margin, "dim"), line))
            console.print(Text.assemble((" " * 6 + " │ ", "dim"), " " * at, ("^", "red")))
        console.print(Text.assemble("       → ", (plain(mistake.instead), "green")))
        console.print()
    console.print(Text("1 mistake." if len(mistakes) == 1 else f"{len(mistakes)} mistakes.", "bold"))


def _excerpt(mistake: Mistake, known: dict[str, list[str]]) -> tuple[str, int]:
    """The line at fault as far as it can be shown, and how many characters of that stand before the fault; "" where it cannot be."""
    if mistake.file not in known:
        known[mistake.file] = _lines_of(Path(mistake.file))
    lines = known[mistake.file]
    line = lines[mistake.line - 1].rstrip("\n").replace("\t", " ") if mistake.line <= len(lines) else ""
    at = mistake.column - 1
    if at > len(line):
        return "", 0
    first = max(0, at - EXCERPT_COLUMNS // 2) if at >= EXCERPT_COLUMNS else 0
    before, after = "…" if first else "", "…" if len(line) > first + EXCERPT_COLUMNS else ""
    shown = before + line[first : first + EXCERPT_COLUMNS] + after
    return (shown, at - first + len(before)) if shown.isprintable() else ("", 0)


def _lines_of(file: Path) -> list[str]:
    try:
        if not file.is_file() or file.stat().st_size > FILE_BYTES_MAX:
            return []
        with file.open(encoding="utf-8-sig", newline=None) as opened:
            return list(opened)
    except (OSError, UnicodeDecodeError):
        return []


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
