"""Files that a model's role reads: the model itself, and texts of the deployment's folder that its options name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mesh.errors import RoleError
from mesh.role import Role

TEXT_BYTES_MAX = 4 * 1024 * 1024


def model_file(role: Role) -> Path:
    """The file of the role's model on this machine. RoleError when none is named or it is not there."""
    if role.model is None:
        raise RoleError("no model is named", where=role.name, instead="add `model: NAME` to the role and the model to `models`")
    if not role.model.file.is_file():
        raise RoleError(
            f"the model's file is not on this machine: {role.model.file.name}",
            where=str(role.model.file),
            instead="copy the deployment's folder to this machine once more",
        )
    return role.model.file


def text_file(folder: Path, name: str, option: str) -> str:
    """A UTF-8 text of the folder. RoleError when it is not there, lies outside, or is no text."""
    path = folder / name
    if not path.is_file() or not path.resolve().is_relative_to(folder.resolve()):
        near = ", ".join(sorted(each.name for each in folder.glob(f"*{path.suffix or '.txt'}"))[:8])
        raise RoleError(
            f"there is no file {name[:80]!r} in the folder", where=f"option {option}",
            instead=f"there is {near}" if near else "put the file into the deployment's folder",
        )  # fmt: skip
    try:
        return path.read_bytes()[:TEXT_BYTES_MAX].decode()
    except (OSError, UnicodeDecodeError) as error:
        raise RoleError(f"{name} cannot be read: {error}", where=f"option {option}", instead="save it as UTF-8 text") from error


def schema_of(given: Any, folder: Path) -> dict[str, Any]:
    """A JSON Schema, as written in the options or in a file of the folder."""
    if isinstance(given, dict):
        return given
    try:
        schema = json.loads(text_file(folder, str(given), "json_schema"))
    except ValueError as error:
        raise RoleError(f"{given} is no JSON: {error}", where="option json_schema", instead="correct the file") from error
    if not isinstance(schema, dict):
        raise RoleError(f"{given} is no JSON Schema", where="option json_schema", instead="write an object")
    return schema
