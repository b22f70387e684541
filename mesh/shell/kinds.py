"""Kinds of roles by name: find their code, and learn what they are without running it in this process.

`describe_kinds` starts one short-lived process that imports the modules and prints what it found, so that an
artist's file that prints, exits, hangs or crashes costs a sentence and not the agent. `load_role` is for the
role's own process. `mesh` imports nothing of `roles`: names become modules here.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import os
import re
import signal
import subprocess
import sys
import traceback
from dataclasses import asdict, fields
from pathlib import Path
from types import ModuleType
from typing import Any

from mesh.core.facts import KindFault
from mesh.core.kind import STREAM_TYPES, Kind
from mesh.core.names import did_you_mean
from mesh.errors import RoleError
from mesh.role import Options, Role, describe

PATIENCE_S = 20.0
_EXTRA_OF = {
    "cv2": "camera",
    "llama_cpp": "llm",
    "onnxruntime": "onnx",
    "starlette": "web",
    "uvicorn": "web",
    "websockets": "web",
}


class KindUnreadable(RoleError):
    """A kind whose code cannot be used; `fault` says why and where."""

    def __init__(self, fault: KindFault) -> None:
        super().__init__(fault.what, where=f"{fault.file}:{fault.line}" if fault.file else "", instead=fault.instead)
        self.fault = fault


def all_kinds() -> list[str]:
    """The kinds that come with Roomful, by looking at the files and importing none."""
    spec = importlib.util.find_spec("roles")
    found = []
    for root in (spec.submodule_search_locations or ()) if spec else ():
        for path in sorted(Path(root).glob("*/*.py")):
            if not path.name.startswith("_") and re.search(
                r"^class \w+\(.*\bRole\b.*\)", path.read_text("utf-8"), re.MULTILINE
            ):
                found.append(f"{path.parent.name}.{path.stem}")
    return found


def describe_kinds(names: list[str], folder: Path | None = None) -> tuple[dict[str, Kind], dict[str, KindFault]]:
    """What each named kind is, or why it cannot be used. One process for all; another only where an artist's file
    ended or stopped the first. Takes at most `PATIENCE_S` for each file that hangs."""
    kinds: dict[str, Kind] = {}
    faults: dict[str, KindFault] = {}
    pending = sorted(dict.fromkeys(names), key=lambda name: name.startswith("./"))
    while pending:
        answers, ended = _ask_process(pending, folder)
        for answer in answers:
            name = answer["name"]
            if answer.get("kind"):
                kinds[name] = _kind(answer["kind"])
            else:
                faults[name] = KindFault(**{**answer["fault"], "known": tuple(answer["fault"]["known"])})
        pending = [name for name in pending if name not in kinds and name not in faults]
        if pending:
            stuck = pending[0].partition(":")[0]
            for name in [name for name in pending if name.partition(":")[0] == stuck]:
                faults[name] = _stuck_fault(stuck, folder, ended)
            pending = [name for name in pending if name not in faults]
    return kinds, faults


def load_role(kind: str, folder: Path | None) -> type[Role]:
    """The class that plays `kind`. Runs the module's code. Raises KindUnreadable with the place in an artist's file."""
    if kind.startswith("./"):
        return _load_own(kind, folder or Path.cwd())
    known = tuple(all_kinds())
    if kind not in known:
        raise KindUnreadable(_unknown(kind, known, folder))
    try:
        module = importlib.import_module(f"roles.{kind}")
    except ImportError as error:
        extra = _EXTRA_OF.get(error.name or "")
        instead = (
            f"pip install 'roomful[{extra}]'"
            if extra
            else "install Roomful again: pip install --force-reinstall roomful"
        )
        raise KindUnreadable(KindFault(f"`{kind}` cannot be loaded: {error}", instead)) from error
    classes = [member for member in _roles_in(module) if not member.__name__.startswith("_")]
    if len(classes) != 1:
        raise KindUnreadable(
            KindFault(
                f"roles/{kind.replace('.', '/')}.py must define one public Role, it has {len(classes)}",
                "install Roomful again",
            )
        )
    return classes[0]


def describe_role(kind: str, folder: Path | None) -> Kind:
    """What `kind` is. Runs the module's code, so it is called in a process apart. Raises KindUnreadable."""
    role = load_role(kind, folder)
    place = _class_place(role, kind, folder)
    for streams, word in ((role.outputs, "output"), (role.inputs, "input")):
        if not isinstance(streams, dict):
            raise KindUnreadable(
                KindFault(f"`{role.__name__}.{word}s` is not a dict", f'write {word}s = {{"name": Text}}', *place)
            )
        for name, type_ in streams.items():
            if str(type_) not in (*STREAM_TYPES, "any"):
                instead = (
                    did_you_mean(str(type_), STREAM_TYPES, of="types")
                    + " (from mesh.role import Image, Audio, Text, Vector, Event)"
                )
                raise KindUnreadable(
                    KindFault(
                        f"`{role.__name__}` has the {word} `{name}` of type {str(type_)[:40]}, which is none",
                        instead,
                        *place,
                    )
                )
    if not (isinstance(role.Options, type) and issubclass(role.Options, Options)):
        raise KindUnreadable(
            KindFault(
                f"`{role.__name__}.Options` is not a class of options",
                "write `class Options(mesh.role.Options):`",
                *place,
            )
        )
    try:
        described = describe(kind, role)
        json.dumps(asdict(described))
        return described
    except Exception as error:
        what = f"the options of `{role.__name__}` cannot be described: {_first_line(error)}"
        raise KindUnreadable(
            KindFault(
                what, "give each option a plain type: bool, int, float, str, a list or a Literal of these", *place
            )
        ) from error


def _load_own(kind: str, folder: Path) -> type[Role]:
    file_name, _, class_name = kind.partition(":")
    path = folder / file_name.removeprefix("./")
    if not path.is_file() or not path.resolve().is_relative_to(folder.resolve()):
        others = [f"./{other.relative_to(folder).as_posix()}" for other in sorted(folder.glob("*.py"))]
        raise KindUnreadable(
            KindFault(
                f"there is no file {file_name.removeprefix('./')} in the folder",
                did_you_mean(file_name, others, of="files of Python there"),
            )
        )
    module = _run_own(path, folder)
    found = getattr(module, class_name, None)
    if isinstance(found, type) and issubclass(found, Role) and found is not Role:
        return found
    shown = path.name
    if isinstance(found, type):
        line, column = _line_of_class(path, class_name)
        raise KindUnreadable(
            KindFault(
                f"`{class_name}` is not a Role",
                f"write `class {class_name}(Role):`, with `from mesh.role import Role`",
                str(path),
                line,
                column,
            )
        )
    classes = [member.__name__ for member in _roles_in(module)]
    raise KindUnreadable(
        KindFault(f"{shown} has no class `{class_name}`", did_you_mean(class_name, classes, of="its roles"))
    )


def _run_own(path: Path, folder: Path) -> ModuleType:
    """Run an artist's file as a module. Its neighbours in the folder can be imported, after everything installed."""
    name = f"own_{path.stem}"
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise KindUnreadable(KindFault(f"{path.name} is not a file of Python", "write it with the ending .py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # the border to artists' code: anything may come out of it
        raise KindUnreadable(_fault_of(error, path, folder)) from error
    return module


def _fault_of(error: BaseException, path: Path, folder: Path) -> KindFault:
    """What went wrong in an artist's file, at the last line of theirs that was running."""
    if isinstance(error, SyntaxError) and error.filename:
        what = f"Python cannot read this line: {error.msg}"
        return KindFault(
            what, "correct the line, or the one above it", error.filename, error.lineno or 1, max(1, error.offset or 1)
        )
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_relative_to(folder.absolute()) or frame.filename == str(path)
    ]
    last = frames[-1] if frames else None
    place = (last.filename, last.lineno or 1, (last.colno or 0) + 1) if last else (str(path), 1, 1)
    if isinstance(error, ModuleNotFoundError) and error.name:
        library = error.name.partition(".")[0]
        extra = _EXTRA_OF.get(library)
        install = f"pip install 'roomful[{extra}]'" if extra else f"pip install {library}"
        return KindFault(
            f"the library `{library}` is not installed here",
            f"install it on every machine of the room ({install}), or take the import out",
            *place,
        )
    if isinstance(error, SystemExit):
        return KindFault(
            "the file ends the program while it is being read",
            "take the exit out; what a role does goes into its methods",
            *place,
        )
    return KindFault(
        f"{type(error).__name__} while the file is being read: {_first_line(error)}",
        "correct this line; what a role does goes into its methods",
        *place,
    )


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:160] if lines else type(error).__name__


def _roles_in(module: ModuleType) -> list[type[Role]]:
    members = [member for member in vars(module).values() if isinstance(member, type) and issubclass(member, Role)]
    return [member for member in members if member.__module__ == module.__name__]


def _unknown(kind: str, known: tuple[str, ...], folder: Path | None) -> KindFault:
    what = f"there is no kind `{kind[:60]}`"
    short = [name for name in known if name.partition(".")[2] == kind]
    if short:
        return KindFault(what, f"did you mean `{short[0]}`?", known=known)
    for path in sorted(folder.glob("*.py")) if folder and kind.isidentifier() else ():
        if re.search(rf"^class {kind}\b", path.read_text("utf-8", "replace"), re.MULTILINE):
            return KindFault(what, f"did you mean `./{path.name}:{kind}`?", known=known)
    return KindFault(
        what, did_you_mean(kind, known, of="kinds") + " An own role is written ./roles.py:ClassName.", known=known
    )


def _class_place(role: type[Role], kind: str, folder: Path | None) -> tuple[str, int, int] | tuple[()]:
    if not kind.startswith("./") or folder is None:
        return ()
    path = Path(inspect.getsourcefile(role) or folder / kind.removeprefix("./").partition(":")[0])
    return (str(path), *_line_of_class(path, role.__name__))


def _line_of_class(path: Path, name: str) -> tuple[int, int]:
    found = re.search(rf"^\s*class ({re.escape(name)})\b", text := path.read_text("utf-8", "replace"), re.MULTILINE)
    return (
        (text.count("\n", 0, found.start(1)) + 1, found.start(1) - text.rfind("\n", 0, found.start(1)))
        if found
        else (1, 1)
    )


def _ask_process(names: list[str], folder: Path | None) -> tuple[list[dict[str, Any]], str]:
    """What the describing process answered before it ended, and how it ended: "done", "hung" or its exit code."""
    root = str(Path(__file__).resolve().parent.parent.parent)
    paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "mesh.shell.describe"],  # -P: a `roles.py` in the current folder is not our `roles`
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True,
        env={**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    order = json.dumps({"kinds": names, "folder": str(folder) if folder else None})
    try:
        out, _ = process.communicate(order, timeout=PATIENCE_S)
        ended = "done" if process.returncode == 0 else str(process.returncode)
    except subprocess.TimeoutExpired:
        _end(process)
        out, ended = process.communicate()[0], "hung"
    finally:
        _end(process)
    return [json.loads(line) for line in out.splitlines() if line.endswith("}")], ended


def _end(process: subprocess.Popen[str]) -> None:
    """The process and whatever an artist's file started in it."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def _stuck_fault(file_name: str, folder: Path | None, ended: str) -> KindFault:
    place = (str(folder / file_name.removeprefix("./")), 1, 1) if folder and file_name.startswith("./") else ()
    if ended == "hung":
        return KindFault(
            f"the file was still busy after {PATIENCE_S:.0f} s of being read",
            "move what takes long into setup()",
            *place,
        )
    return KindFault(
        f"the file ended the program that read it (exit {ended})", "move what does this into setup()", *place
    )


def _kind(answer: dict[str, Any]) -> Kind:
    known = {field.name for field in fields(Kind)}
    return Kind(
        **{key: value for key, value in answer.items() if key in known and key != "answers"},
        answers=tuple(answer["answers"]),
    )
