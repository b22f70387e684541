"""What the files of models are, learnt in a process apart: an engine that meets a broken file may end the process that it is in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mesh.errors import RoleError
from mesh.shell.apart import answer_apart, ask_apart
from mesh.shell.confinement import confine_reader
from mesh.shell.role_code import KindUnreadable, load_role

KIND_OF = {".onnx": "inference.onnx", ".ort": "inference.onnx", ".gguf": "inference.llm"}
PATIENCE_S = 120.0  # large models are run once


def look_at(files: Sequence[Path]) -> dict[Path, dict[str, Any]]:
    """For each file what its kind says of it (`Role.inspect_model`) and "kind"; with "fault" in words where it cannot be read. One process
    for each, so that a broken one costs no other its answer."""
    return {file: _look(file) for file in files}


def _look(file: Path) -> dict[str, Any]:
    kind = KIND_OF.get(file.suffix.lower())
    if kind is None:
        return {"fault": f"no kind that comes with Roomful plays {file.suffix or 'such'} files; {', '.join(KIND_OF)} are played"}
    answers, ended = ask_apart("mesh.shell.looking", {"kind": kind, "file": str(file.absolute())}, PATIENCE_S)
    if answers:
        return {"kind": kind, **answers[0]}
    how = f"was still busy after {PATIENCE_S:g} s" if ended == "hung" else f"ended with {ended}"
    return {"kind": kind, "fault": f"the program that opened it {how}; the file is broken, or too large for this machine"}


def _elsewhere(file: Path) -> Iterator[Path]:
    """Where else what belongs to a model lies: above a folder `onnx`, as exports keep it, and where links of a download lead."""
    above = [file.parent.parent] if file.parent.name == "onnx" else []
    for folder in (file.parent, *above):
        yield from (each.resolve() for each in folder.glob("*") if each.is_file() and (folder in above or each.is_symlink()))


def _answers(order: dict[str, Any]) -> Iterator[dict[str, Any]]:
    file = Path(order["file"])
    confine_reader(file.parent, *_elsewhere(file))
    try:
        yield load_role(order["kind"], None).inspect_model(file)
    except (RoleError, KindUnreadable) as fault:
        yield {"fault": f"{fault.what}. {fault.instead}".strip()}


if __name__ == "__main__":
    answer_apart(_answers)
