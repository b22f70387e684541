"""The process that reads kinds of roles for `shell/kinds.py`: an order on stdin, a line of JSON for each kind.

Each answer is written at once, so that a file that ends or hangs this process is known by the answer that is missing.
"""

from __future__ import annotations

import compileall
import importlib.util
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mesh.shell.apart import answer_apart
from mesh.shell.confinement import confine_reader
from mesh.shell.role_code import KindUnreadable, describe_role


def _answers(order: dict[str, Any]) -> Iterator[dict[str, Any]]:
    folder = Path(order["folder"]) if order["folder"] else None
    _compile_own()
    confine_reader(folder)
    for name in order["kinds"]:
        yield {"name": name, **_answer(name, folder)}


def _compile_own() -> None:
    """Roomful's own modules, where they are new or were changed. A role's process may not write beside them, so it would compile what it
    is made of at every start; and the agent imports little of that. Where this may not be written either, nothing is lost but time."""
    for package in ("mesh", "roles"):
        spec = importlib.util.find_spec(package)
        for place in (spec.submodule_search_locations or ()) if spec else ():
            compileall.compile_dir(place, quiet=2)


def _answer(name: str, folder: Path | None) -> dict[str, Any]:
    try:
        return {"kind": asdict(describe_role(name, folder))}
    except KindUnreadable as unreadable:
        return {"fault": asdict(unreadable.fault)}


if __name__ == "__main__":
    answer_apart(_answers)
