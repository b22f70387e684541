"""`roomful kinds`: what can stand after `kind:`, and which options, inputs and outputs each has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from mesh.core.kind import Kind
from mesh.core.options import expected
from mesh.errors import UsageError

EPILOG = """\b
Examples:
  roomful kinds                              all that come with Roomful
  roomful kinds inference.llm                its options, one by one
  roomful kinds ./roles.py:Mood --in my-piece   a role of your own
"""


@click.command(epilog=EPILOG)
@click.argument("name", required=False)
@click.option(
    "--in",
    "folder",
    default=".",
    type=click.Path(path_type=Path),
    help="The deployment's folder, for a kind of your own.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON list.")
def command(name: str | None, folder: Path, as_json: bool) -> None:
    """List the kinds of role, or show everything about the kind NAME."""
    from mesh.shell.kinds import all_kinds, describe_kinds

    kinds, faults = describe_kinds([name] if name else all_kinds(), folder)
    for kind, fault in faults.items():
        if name:
            where = f"{fault.file}:{fault.line}:{fault.column}" if fault.file else ""
            raise UsageError(fault.what, where=where, instead=fault.instead)
        click.echo(f"{kind}: {fault.what}. {fault.instead}", err=True)
    found = [kinds[kind] for kind in sorted(kinds)]
    if as_json:
        click.echo(json.dumps([as_json_value(kind) for kind in found], ensure_ascii=False))
    elif name:
        _print_one(found[0])
    else:
        _print_all(found)


def as_json_value(kind: Kind) -> dict[str, Any]:
    """The shape that `kinds --json` promises, and a little more."""
    return {
        "kind": kind.kind,
        "about": kind.about,
        "options": options_of(kind),
        "inputs": kind.inputs,
        "outputs": kind.outputs,
        "extra": kind.extra,
        "answers": list(kind.answers),
        "any_input": kind.catch_all,
        "needs_model": kind.needs_model,
        "display": kind.display,
        "exclusive": kind.exclusive,
        "output_option": kind.output_option,
    }


def options_of(kind: Kind) -> dict[str, dict[str, Any]]:
    """{option: {"type", "takes", "default", "description"}}, `takes` in words; a required option has no "default". Of one that is made
    of pairs of its own, "keys" tells each of these likewise."""
    return _told(kind.options, kind.options)


def _told(options: dict[str, Any], root: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    required = options.get("required", ())
    for name, schema in options.get("properties", {}).items():
        found[name] = {
            "type": _type(schema),
            "takes": expected(schema, root),
            "description": schema.get("description", ""),
        }
        if name not in required:
            found[name]["default"] = schema.get("default")
        inner = _inner(schema, root)
        if inner:
            found[name]["keys"] = inner
    return found


def _inner(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What an option that is `key: value` pairs of its own holds, as options are told."""
    for choice in schema.get("anyOf", [schema]):
        target = root.get("$defs", {}).get(str(choice.get("$ref", "")).removeprefix("#/$defs/"), choice)
        if target.get("properties"):
            return _told(target, root)
    return {}


def _type(schema: dict[str, Any]) -> str:
    """JSON Schema's word for it: "integer", "string", …; "any" where several fit."""
    if "type" in schema:
        return str(schema["type"])
    types = {choice.get("type") for choice in schema.get("anyOf", ())} - {"null"}
    return str(types.pop()) if len(types) == 1 else "any"


def _print_all(kinds: list[Kind]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for kind in kinds:
        console.print(
            Text.assemble((kind.kind, "bold"), f"\n  {kind.about}\n", (f"  {_streams(kind)}\n", "dim")), soft_wrap=True
        )
    console.print("`roomful kinds NAME` shows the options of one. A role of your own is written ./roles.py:ClassName.")


def _streams(kind: Kind) -> str:
    inputs = ", ".join(f"{name} ({type_})" for name, type_ in kind.inputs.items()) or (
        "any name" if kind.catch_all else "nothing"
    )
    outputs = ", ".join(f"{name} ({type_})" for name, type_ in kind.outputs.items()) or "nothing"
    needs = f"; needs roomful[{kind.extra}]" if kind.extra else ""
    return f"takes {inputs}; emits {outputs}{needs}"


def _add_row(table: Any, name: str, option: dict[str, Any]) -> None:
    from rich.text import Text

    told = option.get("default")
    default = "must be written" if "default" not in option else "–" if told is None else json.dumps(told)
    table.add_row(Text(name, "bold"), Text(option["takes"]), Text(default), Text(option["description"]))


def _print_one(kind: Kind) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    console.print(Text.assemble((kind.kind, "bold"), f"  {kind.about}"))
    console.print(Text(_streams(kind) + ("; needs a model" if kind.needs_model else "")))
    if kind.output_option:
        console.print(f"The option {kind.output_option} renames the stream {next(iter(kind.outputs), '')}.")
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for heading in ("option", "takes", "left out", "what it does"):
        table.add_column(heading, overflow="fold")
    for name, option in options_of(kind).items():
        _add_row(table, name, option)
        for key, inner in option.get("keys", {}).items():
            _add_row(table, f"  {key}", inner)
    if table.row_count:
        console.print(table)
