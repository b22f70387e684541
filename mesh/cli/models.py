"""`roomful models`: what the models of a work are, or how a model that somebody brought could be played."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from mesh.core.names import as_name
from mesh.core.plain_text import plain_all
from mesh.errors import UsageError

EPILOG = """\b
Examples:
  roomful models my-piece              each model: its file, licence, what goes in and out, who plays it
  roomful models ~/Downloads/yolo.onnx what it seems to be, and the lines to write into deployment.yaml
  roomful models my-piece --json
"""
WIDE = 14  # of the column of words
INPUT_OF = {"image": "eye.image", "audio": "ear.sound", "vector": "ROLE.STREAM", "text": "ROLE.STREAM"}


@click.command(epilog=EPILOG)
@click.argument("where", default=".", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON value.")
def command(where: Path, as_json: bool) -> None:
    """Show the models of the deployment in WHERE, or look at one model file. Each is opened and run once on a made-up frame.

    Exit code 1 when a model is not the one that the file names, or cannot be opened."""
    if where.suffix.lower() in (".onnx", ".ort", ".gguf") and not where.exists():
        raise UsageError(f"there is no file {where}", where="roomful models", instead="check the path")
    models = [_of_file(where)] if where.is_file() and where.name != "deployment.yaml" else _of_deployment(where)
    if as_json:
        click.echo(json.dumps({"models": models}, ensure_ascii=False))
    else:
        for model in models:
            _print(model)
        if not models:
            click.echo("No models: this work computes everything in its own roles.")
    if any(model["fault"] for model in models):
        raise SystemExit(1)


def _of_file(file: Path) -> dict[str, Any]:
    from mesh.shell.folder import file_hash
    from mesh.shell.looking import look_at

    try:
        about = {"name": as_name(_called(file)), "file": str(file), "bytes": file.stat().st_size, "sha256": file_hash(file)}
    except OSError as refusal:
        raise UsageError(f"{file} cannot be read: {refusal.strerror}", where="roomful models", instead="check who may read it") from refusal
    return {**about, "licence": {}, "source": "", "roles": [], **_looked(look_at([file])[file])}


def _called(file: Path) -> str:
    """What to call a model: its file's name, or its folder's where all exports have the same."""
    if file.stem.partition("_")[0] != "model":
        return file.stem
    folder = file.absolute().parent
    return (folder.parent if folder.name == "onnx" else folder).name or file.stem


def _of_deployment(folder: Path) -> list[dict[str, Any]]:
    from mesh.shell.folder import file_hash, folder_of, load
    from mesh.shell.looking import look_at

    deployment = load(folder, verify_hashes=False)
    root = folder_of(folder)
    looked = look_at([root / model.file for model in deployment.models.values()])
    found = []
    for model in deployment.models.values():
        file = root / model.file
        seen = _looked(looked[file])
        if file_hash(file) != model.sha256:
            seen["fault"] = f"the file is not the one that deployment.yaml names: its sha256 is {file_hash(file)}. {seen['fault']}".strip()
        roles = [{"name": role.name, "kind": role.kind, "options": dict(role.options)} for role in deployment.roles
                 if model.name in (role.model, *role.ladder)]  # fmt: skip
        found.append({
            "name": model.name, "file": model.file, "bytes": file.stat().st_size, "sha256": file_hash(file), "licence": dict(model.licence),
            "source": model.source, "roles": roles, **seen,
        })  # fmt: skip
    return found


def _looked(seen: dict[str, Any]) -> dict[str, Any]:
    return {key: seen.get(key, empty) for key, empty in
            (("kind", ""), ("inputs", []), ("outputs", []), ("about", {}), ("fits", []), ("hint", ""), ("fault", ""),
             ("beside", []))}  # fmt: skip


def _print(model: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.text import Text

    console, model = Console(highlight=False, soft_wrap=True), plain_all(model)
    about = f"  {model['file']}  {_size(model['bytes'])}  "
    console.print(Text.assemble((model["name"], "bold"), about, (model["sha256"][:12] + "…", "dim")))
    if model["fault"]:
        console.print(Text.assemble("  ", (model["fault"], "red")))
    if model["licence"]:
        licences = ", ".join(f"{part} {name}" for part, name in model["licence"].items())
        console.print(Text(f"  {'licence':<{WIDE}} {licences}{'; ' + model['source'] if model['source'] else ''}"))
    for word, entries in (("takes", model["inputs"]), ("gives", model["outputs"])):
        for at, entry in enumerate(entries):
            console.print(Text(f"  {word if at == 0 else '':<{WIDE}} {entry['name']}  {entry['type']} {_shape(entry['shape'])}".rstrip()))
    for name, value in model["about"].items():
        console.print(Text.assemble((f"  {name:<{WIDE}} ", "dim"), value))
    for role in model["roles"]:
        console.print(Text(f"  {'played by':<{WIDE}} {role['name']} ({role['kind']}, {_options(role['options'])})"))
    if model["fits"] and not model["roles"]:
        _print_ways(console, model)
    elif model["hint"] and not model["roles"]:
        console.print(Text(f"  What it cannot tell by itself: {model['hint']}"))
    console.print()


def _print_ways(console: Any, model: dict[str, Any]) -> None:
    """The lines to write: the likeliest way in full, the others by their options."""
    from rich.text import Text

    first, *others = model["fits"]
    others = [way for way in others if way["options"] != first["options"]]
    input = first.get("input", "vector")
    wire = f"{input}: {INPUT_OF[input]}"
    if model["kind"] == "inference.llm":
        wire = f"{model['inputs'][0]['name']}: ROLE.STREAM" if model["inputs"] else "prompt: ROLE.STREAM"
    own = f"{model['name']}/" if model["beside"] else ""  # a folder of its own: others' files have the same names
    console.print(Text(f"  It could be played as ({first['why']}):\n"))
    click.echo(f"""models:
  {model['name']}:
    file: models/{own}{Path(model['file']).name}
    sha256: {model['sha256']}
    licence: {{weights: …, code: …, data: …}}     # SPDX identifiers, as its author says
    source: where it is from
roles:
  {model['name']}:
    kind: {model['kind']}
    model: {model['name']}
    inputs: {{{wire}}}
    options: {_options(first['options'])}""")
    if own:
        console.print(Text(f"\n  Copy with it into models/{model['name']}, since it is read with it: {', '.join(model['beside'])}"))
    if others:
        console.print(Text("\n  Or with these options:"))
    for way in others:
        console.print(Text(f"    {_options(way['options'])}     # {way['why']}"))
    if "spectrum" in first["options"]:
        console.print(Text("\n  Which spectrum it was trained on its author says, or what lies beside it; without that it is a guess."))
    if model["kind"] == "inference.onnx" and input == "image":
        console.print(Text("\n  Its author says which colours, scale, mean and std it was trained with: options colour, scale, mean, std."))


def _options(options: dict[str, Any]) -> str:
    """As one writes them in YAML's flow style."""
    return "{" + ", ".join(f"{name}: {_yaml(value)}" for name, value in options.items()) + "}"


def _yaml(value: Any) -> str:
    if isinstance(value, dict):
        return _options(value)
    if isinstance(value, str) and not (value and value.replace("_", "").replace("-", "").isalnum() and not value[0].isdigit()):
        return json.dumps(value, ensure_ascii=False)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _shape(shape: list[Any]) -> str:
    return "[" + ", ".join(str(side) for side in shape) + "]" if shape else ""


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{-(-count // 1000)} KB"
