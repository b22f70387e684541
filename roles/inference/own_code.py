"""A function of the deployment's own, named as ./functions.py:its_name: found, checked, and called as it can be called."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mesh.errors import RoleError


def own_function(reference: str, folder: Path, where: str, choices: str = "") -> Callable[..., Any]:
    """The function that "./functions.py:name" means. RoleError that says what is there instead. Runs the file."""
    file, _, name = reference.partition(":")
    path = folder / file
    hint = f"write a function in {file or 'roles.py'} and give it as ./roles.py:its_name"
    if not name or not path.is_file():
        raise RoleError(f"there is no function {reference!r}", where=where, instead=f"{choices}{hint}")
    if not path.resolve().is_relative_to(folder.resolve()):
        raise RoleError(f"{file} is outside the deployment's folder", where=where, instead=hint)
    spec = importlib.util.spec_from_file_location(f"deployment_{path.stem}_functions", path)
    if spec is None or spec.loader is None:
        raise RoleError(f"{file} is not Python", where=where, instead=hint)
    if str(folder.resolve()) not in sys.path:
        sys.path.append(str(folder.resolve()))  # its neighbours can be imported, after everything installed
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function = getattr(module, name, None)
    if not callable(function):
        known = [each for each, value in vars(module).items() if inspect.isfunction(value) and not each.startswith("_")]
        raise RoleError(
            f"{file} has no function {name}", where=where, instead=f"it has {', '.join(known)}; {hint}" if known else hint
        )
    return function  # type: ignore[no-any-return]


def arguments(function: Callable[..., Any]) -> int:
    """How many of (value, frame, role) a function takes, at least 1, at most 3."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 1
    if any(each.kind is each.VAR_POSITIONAL for each in parameters):
        return 3
    return max(1, min(3, sum(each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD) for each in parameters)))
