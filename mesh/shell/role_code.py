"""From the name of a kind to the class that plays it: the border where code that is not ours begins to run.

Whatever an artist's file does while it is imported comes out as a KindUnreadable with the place in that file. A
name under `roles/` becomes a module here, so that nothing of `mesh` imports `roles`.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import json
import re
import sys
import traceback
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

from mesh.core.facts import KindFault
from mesh.core.kind import STREAM_TYPES, Kind
from mesh.core.names import did_you_mean
from mesh.errors import RoleError
from mesh.role import Options, Role, describe

_EXTRA_OF = {
    "cv2": "camera",
    "llama_cpp": "llm",
    "onnxruntime": "onnx",
    "starlette": "web",
    "tokenizers": "text",
    "uvicorn": "web",
    "websockets": "web",
}


class KindUnreadable(RoleError):
    """A kind whose code cannot be used; `fault` says why and where."""

    def __init__(self, what: str, instead: str, file: str = "", line: int = 1, column: int = 1) -> None:
        super().__init__(what, where=f"{file}:{line}" if file else "", instead=instead)
        self.fault = KindFault(what, instead, file, line, column)


def all_kinds() -> list[str]:
    """The kinds that come with Roomful, by looking at the files and importing none."""
    return list(_shipped())


@functools.cache
def _shipped() -> tuple[str, ...]:
    spec = importlib.util.find_spec("roles")
    found = []
    for root in (spec.submodule_search_locations or ()) if spec else ():
        for path in sorted(Path(root).glob("*/*.py")):
            defines_role = re.search(r"^class \w+\(.*\bRole\b.*\)", path.read_text("utf-8"), re.MULTILINE)
            if not path.name.startswith("_") and defines_role:
                found.append(f"{path.parent.name}.{path.stem}")
    return tuple(found)


def load_role(kind: str, folder: Path | None) -> type[Role]:
    """The class that plays `kind`. Runs the module's code. Raises KindUnreadable, with the place in an artist's file."""
    if kind.startswith("./"):
        return _load_own(kind, (folder or Path.cwd()).absolute())
    known = all_kinds()
    if kind not in known:
        raise _unknown(kind, known, folder)
    try:
        module = importlib.import_module(f"roles.{kind}")
    except ImportError as error:
        extra = _EXTRA_OF.get(error.name or "")
        instead = f"pip install 'roomful[{extra}]'" if extra else "pip install --force-reinstall roomful"
        raise KindUnreadable(f"`{kind}` cannot be loaded: {error}", instead) from error
    classes = [member for member in _roles_in(module) if not member.__name__.startswith("_")]
    if len(classes) != 1:
        what = f"the module of `{kind}` must define one public Role, it has {len(classes)}"
        raise KindUnreadable(what, "pip install --force-reinstall roomful")
    return classes[0]


def describe_role(kind: str, folder: Path | None) -> Kind:
    """What `kind` is. Runs the module's code, so it is called in a process apart. Raises KindUnreadable."""
    role = load_role(kind, folder)
    place = _place_of_class(role) if kind.startswith("./") else ("", 1, 1)
    _check_streams(role, "output", role.outputs, place)
    _check_streams(role, "input", role.inputs, place)
    if not (isinstance(role.Options, type) and issubclass(role.Options, Options)):
        instead = "write `class Options(Options):` in it, with `from mesh.role import Options`"
        raise KindUnreadable(f"`{role.__name__}.Options` is not a class of options", instead, *place)
    try:
        described = describe(kind, role)
        json.dumps(asdict(described))
    except Exception as error:  # the border to artists' code: a field may be of any type at all
        what = f"the options of `{role.__name__}` cannot be described: {_first_line(error)}"
        instead = "give each option a plain type: bool, int, float, str, a list or a Literal of these"
        raise KindUnreadable(what, instead, *place) from error
    return described


def _check_streams(role: type[Role], word: str, streams: object, place: tuple[str, int, int]) -> None:
    if not isinstance(streams, Mapping):
        instead = f'write {word}s = {{"name": Text}}'
        raise KindUnreadable(f"`{word}s` of `{role.__name__}` is not a dict", instead, *place)
    for name, type_ in streams.items():
        if str(type_) not in (*STREAM_TYPES, "any"):
            what = f"the {word} `{name}` of `{role.__name__}` has the type {_type_name(type_)}, which is none of a stream"
            near = did_you_mean(_type_name(type_), STREAM_TYPES, of="types")
            raise KindUnreadable(what, f"{near} (from mesh.role import Image, Audio, Text, Vector, Event)", *place)


def _type_name(type_: object) -> str:
    return type_.__name__ if isinstance(type_, type) else str(type_)[:40]


def _load_own(kind: str, folder: Path) -> type[Role]:
    file_name, _, class_name = kind.partition(":")
    path = folder / file_name.removeprefix("./")
    if not path.is_file() or not path.resolve().is_relative_to(folder.resolve()):
        others = [f"./{other.relative_to(folder).as_posix()}" for other in sorted(folder.glob("*.py"))]
        instead = did_you_mean(file_name, others, of="files of Python there")
        raise KindUnreadable(f"there is no file {file_name.removeprefix('./')} in the folder", instead)
    module = _run_own(path, folder)
    found = getattr(module, class_name, None)
    if isinstance(found, type) and issubclass(found, Role) and found is not Role:
        return found
    if isinstance(found, type):
        instead = f"write `class {class_name}(Role):`, with `from mesh.role import Role`"
        raise KindUnreadable(f"`{class_name}` is not a Role", instead, str(path), *_line_of_class(path, class_name))
    classes = [member.__name__ for member in _roles_in(module)]
    raise KindUnreadable(f"{path.name} has no class `{class_name}`", did_you_mean(class_name, classes, of="its roles"))


def _run_own(path: Path, folder: Path) -> ModuleType:
    """Run an artist's file as a module. Its neighbours in the folder can be imported, after everything installed."""
    name = f"own_{path.stem}"
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise KindUnreadable(f"{path.name} is not a file of Python", "write it with the ending .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # the border to artists' code: anything may come out of it
        raise _fault_of(error, path, folder) from error
    return module


def _fault_of(error: BaseException, path: Path, folder: Path) -> KindUnreadable:
    """What went wrong in an artist's file, at the last line of theirs that was running."""
    if isinstance(error, SyntaxError) and error.filename:
        where = (error.filename, error.lineno or 1, max(1, error.offset or 1))
        return KindUnreadable(f"Python cannot read this: {error.msg}", "correct this line, or the one above it", *where)
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).is_relative_to(folder)
    ]
    last = frames[-1] if frames else None
    place = (last.filename, last.lineno or 1, (last.colno or 0) + 1) if last else (str(path), 1, 1)
    if isinstance(error, ModuleNotFoundError) and error.name:
        library = error.name.partition(".")[0]
        extra = _EXTRA_OF.get(library)
        install = f"pip install 'roomful[{extra}]'" if extra else f"pip install {library}"
        instead = f"install it on every machine of the room ({install}), or take the import out"
        return KindUnreadable(f"the library `{library}` is not installed here", instead, *place)
    instead = "what a role does goes into its methods: outside them only what they need"
    if isinstance(error, SystemExit):
        return KindUnreadable("the file ends the program while it is being read", instead, *place)
    what = f"{type(error).__name__} while the file is being read: {_first_line(error)}"
    return KindUnreadable(what, f"correct this line; {instead}", *place)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:160] if lines else type(error).__name__


def _roles_in(module: ModuleType) -> list[type[Role]]:
    members = [member for member in vars(module).values() if isinstance(member, type) and issubclass(member, Role)]
    return [member for member in members if member.__module__ == module.__name__]


def _unknown(kind: str, known: list[str], folder: Path | None) -> KindUnreadable:
    what = f"there is no kind `{kind[:60]}`"
    short = [name for name in known if name.partition(".")[2] == kind]
    if short:
        return KindUnreadable(what, f"did you mean `{short[0]}`?")
    for path in sorted(folder.glob("*.py")) if folder and kind.isidentifier() else ():
        if _line_of_class(path, kind) != (1, 1):
            return KindUnreadable(what, f"did you mean `./{path.name}:{kind}`?")
    near = did_you_mean(kind, known, of="kinds")
    return KindUnreadable(what, f"{near} A role of your own is written ./roles.py:ClassName")


def _place_of_class(role: type[Role]) -> tuple[str, int, int]:
    path = inspect.getsourcefile(role) or ""
    return (path, *_line_of_class(Path(path), role.__name__)) if path else ("", 1, 1)


def _line_of_class(path: Path, name: str) -> tuple[int, int]:
    """Line and column of the class's name in the file; (1, 1) when it is not written there."""
    text = path.read_text("utf-8", "replace")
    found = re.search(rf"^[ \t]*class ({re.escape(name)})\b", text, re.MULTILINE)
    if found is None:
        return 1, 1
    return text.count("\n", 0, found.start(1)) + 1, found.start(1) - text.rfind("\n", 0, found.start(1))
