"""What kinds of roles are, learnt without running them in this process.

`describe_kinds` starts one short-lived process (`shell/describe.py`) that imports the modules and prints what it
found, so that an artist's file that prints, exits, hangs or crashes costs a sentence and not the agent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from mesh.core.facts import KindFault
from mesh.core.kind import Kind
from mesh.shell.apart import ask_apart
from mesh.shell.role_code import KindUnreadable, all_kinds, load_role

__all__ = ["PATIENCE_S", "KindUnreadable", "all_kinds", "describe_kinds", "load_role", "read_kinds", "write_kinds"]

PATIENCE_S = 20.0


def describe_kinds(
    names: Sequence[str], folder: Path | None = None, *, patience_s: float = PATIENCE_S
) -> tuple[dict[str, Kind], dict[str, KindFault]]:
    """What each named kind is, or why it cannot be used. One process for all; another only where an artist's file
    ended or stopped the first. Takes at most `patience_s` for each file that hangs."""
    given, folder = folder, folder.absolute() if folder else None
    kinds: dict[str, Kind] = {}
    faults: dict[str, KindFault] = {}
    pending = sorted(dict.fromkeys(names), key=lambda name: name.startswith("./"))
    while pending:
        order = {"kinds": pending, "folder": str(folder) if folder else None}
        answers, ended = ask_apart("mesh.shell.describe", order, patience_s)
        for answer in answers:
            if "kind" in answer:
                kinds[answer["name"]] = _kind(answer["kind"])
            else:
                fault = KindFault(**answer["fault"])
                faults[answer["name"]] = replace(fault, file=_as_given(fault.file, folder, given))
        pending = [name for name in pending if name not in kinds and name not in faults]
        if pending:
            stuck = pending[0].partition(":")[0]
            fault = _stuck_fault(stuck, given, ended, patience_s)
            faults.update({name: fault for name in pending if name.partition(":")[0] == stuck})
            pending = [name for name in pending if name not in faults]
    return kinds, faults


def _as_given(file: str, folder: Path | None, given: Path | None) -> str:
    """A path in the folder as somebody who wrote the folder's path that way would write it."""
    if folder and given and file and Path(file).is_relative_to(folder):
        return str(given / Path(file).relative_to(folder))
    return file


def _stuck_fault(file_name: str, folder: Path | None, ended: str, patience_s: float) -> KindFault:
    path = str(folder / file_name.removeprefix("./")) if folder and file_name.startswith("./") else ""
    if ended == "hung":
        what = f"the file was still busy after {patience_s:g} s of being read"
        return KindFault(what, "move what takes long into setup()", path)
    what = f"the file ended the program that read it (exit code {ended})"
    return KindFault(what, "move what does this into setup(), or take it out", path)


def write_kinds(path: Path, kinds: Mapping[str, Kind]) -> None:
    """Keep descriptions for the agents of a rehearsal: reading four kinds anew in each of them would cost seconds."""
    path.write_text(json.dumps({name: asdict(kind) for name, kind in kinds.items()}), encoding="utf-8")


def read_kinds(path: Path) -> dict[str, Kind]:
    """What `write_kinds` kept."""
    return {name: _kind(values) for name, values in json.loads(path.read_text(encoding="utf-8")).items()}


def _kind(answer: dict[str, Any]) -> Kind:
    known = {field.name for field in fields(Kind)}
    values = {key: value for key, value in answer.items() if key in known}
    return Kind(**{**values, "answers": tuple(values["answers"]), "writes": tuple(values.get("writes", ()))})
