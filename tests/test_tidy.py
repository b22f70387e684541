"""The rules of the house, kept by a test instead of by memory.

Each rule is a function from one Python file to the offences in it, so that the last test can show each of them a
sinner: a rule that no longer bites is worse than none. Read together with the picture of the rooms: `cli` may import
`shell`, `shell` may import `core`, `core` may import `errors`, never the other way; `roles` know `mesh.role` only.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import mesh

ROOT = Path(__file__).resolve().parent.parent
NOT_OURS = {"build", "dist", "node_modules", "__pycache__"}
HIDDEN_BUT_OURS = {".ci", ".gitignore"}

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
EMPTY_NAMES = {"util", "utils", "helper", "helpers", "common", "manager", "misc", "base", "worker", "runner", "service"}
UNWANTED_WORDS = {"master", "slave", "worker", "runner"}

# fmt: off
CORE_MAY_IMPORT = {
    "__future__", "bisect", "collections", "dataclasses", "difflib", "enum", "functools", "hashlib", "heapq", "hmac",
    "itertools", "json", "math", "operator", "re", "statistics.median", "string", "struct", "types", "typing",
    "msgpack", "pydantic", "pydantic_core", "ruamel.yaml", "mesh.core", "mesh.errors",
}
# fmt: on
CORE_MAY_NOT_CALL = {"open", "print", "input", "exec", "eval", "compile", "__import__", "breakpoint"}
ENGINES = {
    "anyio", "cv2", "llama_cpp", "mcap", "mido", "onnxruntime", "paho", "pygame", "pythonosc", "rtmidi", "sacn", "serial", "sounddevice",
    "soundfile", "starlette", "tokenizers", "uvicorn", "websockets",
}  # fmt: skip
ROLES_MAY_IMPORT = {"mesh.role", "mesh.errors", "roles", "numpy", "pydantic"} | ENGINES
# Where the name that is imported is not the name that is installed.
INSTALLED_AS = {
    "cv2": "opencv-python-headless",
    "llama_cpp": "llama-cpp-python",
    "mcap_ros2": "mcap-ros2-support",
    "nacl": "pynacl",
    "paho": "paho-mqtt",
    "pydantic_core": "pydantic",
    "pygame": "pygame-ce",
    "pythonosc": "python-osc",
    "rtmidi": "python-rtmidi",
    "ruamel": "ruamel.yaml",
    "serial": "pyserial",
    "zmq": "pyzmq",
}
HEIGHT = {
    "mesh.errors": 0, "mesh.door": 0, "mesh.core": 1, "mesh.role": 2, "mesh.shell": 3, "mesh.cli": 4, "mesh.templates": 4,
    "mesh.__main__": 5,
}  # fmt: skip

Rule = Callable[[str, ast.Module], Iterator[str]]


def _files() -> list[Path]:
    """Every file of the tree, without what tools leave behind."""

    def walk(folder: Path) -> Iterator[Path]:
        for path in sorted(folder.iterdir()):
            if path.name in NOT_OURS or path.name.endswith(".egg-info"):
                continue
            if path.name.startswith(".") and path.name not in HIDDEN_BUT_OURS:
                continue
            yield from walk(path) if path.is_dir() and not path.is_symlink() else [path]

    return [path.relative_to(ROOT) for path in walk(ROOT)]


@cache
def _modules(*tops: str) -> dict[str, ast.Module]:
    """Path -> syntax tree of every Python file under the given top folders."""
    wanted = [path for path in _files() if path.suffix == ".py" and path.parts[0] in tops]
    return {str(path): ast.parse((ROOT / path).read_text(encoding="utf-8"), str(path)) for path in wanted}


def _imports(path: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, full name) of each import; for `from a import b` that is "a.b", which lies within "a"."""
    package = list(Path(path).with_suffix("").parts[:-1])
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            start = ".".join([*above, *filter(None, [node.module])])
            yield from ((node.lineno, f"{start}.{alias.name}") for alias in node.names)


def _within(name: str, allowed: set[str]) -> bool:
    """Whether `name` is one of the allowed modules or inside one ("json" allows "json.loads", not "jsonschema")."""
    parts = name.split(".")
    return any(".".join(parts[:count]) in allowed for count in range(1, len(parts) + 1))


def _at_module_level(tree: ast.Module) -> Iterator[ast.AST]:
    """Every node that runs when the module is imported: not what is in functions, nor under `if TYPE_CHECKING`."""
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            waiting.extend(node.orelse)
            continue
        yield node
        waiting.extend(ast.iter_child_nodes(node))


def core_is_pure(path: str, tree: ast.Module) -> Iterator[str]:
    """No clock, socket, file, thread, randomness or logging: none can be imported, and no builtin reaches outside."""
    for line, name in _imports(path, tree):
        if not _within(name, CORE_MAY_IMPORT):
            yield f"{line}: imports {name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CORE_MAY_NOT_CALL:
            yield f"{node.lineno}: calls {node.func.id}"


def imports_point_down(path: str, tree: ast.Module) -> Iterator[str]:
    """cli -> shell -> role -> core -> errors, and mesh never knows roles."""

    def height(name: str) -> int:
        return next((high for part, high in HEIGHT.items() if _within(name, {part})), -1)

    own = height(".".join(Path(path).with_suffix("").parts))
    for line, name in _imports(path, tree):
        if _within(name, {"roles"}) or height(name) > own:
            yield f"{line}: imports {name}"


def roles_know_only_their_door(path: str, tree: ast.Module) -> Iterator[str]:
    """A role imports mesh.role, mesh.errors, numpy, pydantic (options), the standard library and its engine."""
    for line, name in _imports(path, tree):
        if not _within(name, ROLES_MAY_IMPORT) and name.split(".")[0] not in sys.stdlib_module_names:
            yield f"{line}: imports {name}"


def engines_are_imported_late(path: str, tree: ast.Module) -> Iterator[str]:
    """`check` describes every kind on a laptop with no engine, so an engine is imported where it is first used."""
    for top in _at_module_level(tree):
        if isinstance(top, ast.Import | ast.ImportFrom):
            for line, name in _imports(path, top):
                if _within(name, ENGINES):
                    yield f"{line}: imports {name} at module level"


def functions_are_short(path: str, tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                yield f"{node.lineno}: {node.name} has {lines} lines"


def has_a_docstring(path: str, tree: ast.Module) -> Iterator[str]:
    if tree.body and not ast.get_docstring(tree):
        yield "1: no docstring"


def _names_given(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Names that this file gives, not those it uses: another library's words are not ours to choose."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr


def names_are_of_the_field(path: str, tree: ast.Module) -> Iterator[str]:
    for line, name in _names_given(tree):
        words = {word.lower().removesuffix("s") for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}
        if words & UNWANTED_WORDS:
            yield f"{line}: {name}"


def no_test_sleeps(path: str, tree: ast.Module) -> Iterator[str]:
    for line, name in _imports(path, tree):
        if name == "time.sleep":
            yield f"{line}: imports {name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "time.sleep":
            yield f"{node.lineno}: time.sleep"


def no_test_is_passed_over(path: str, tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and re.fullmatch(r"pytest\.(mark\.)?(skip\w*|xfail)", ast.unparse(node)):
            yield f"{node.lineno}: {ast.unparse(node)}"


def nothing_is_left_to_do(path: str, tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and node.exc and "NotImplemented" in ast.unparse(node.exc):
            yield f"{node.lineno}: {ast.unparse(node)}"


EVERYWHERE = ("mesh", "roles", "deployments", "tests", "benchmarks", ".ci")
RULES: dict[Rule, tuple[str, ...]] = {
    core_is_pure: ("mesh/core/",),
    imports_point_down: ("mesh/",),
    roles_know_only_their_door: ("roles/",),
    engines_are_imported_late: ("roles/", "mesh/"),
    functions_are_short: ("mesh/", "roles/"),
    has_a_docstring: EVERYWHERE,
    names_are_of_the_field: EVERYWHERE,
    no_test_sleeps: ("tests/",),
    no_test_is_passed_over: ("tests/",),
    nothing_is_left_to_do: ("mesh/", "roles/"),
}
SINNERS: list[tuple[Rule, str, str]] = [
    (core_is_pure, "mesh/core/x.py", "import time"),
    (core_is_pure, "mesh/core/x.py", "from pathlib import Path"),
    (core_is_pure, "mesh/core/x.py", "def f():\n    from mesh.shell import agent"),
    (core_is_pure, "mesh/core/x.py", "from ..shell import agent"),
    (core_is_pure, "mesh/core/x.py", "import jsonschema"),
    (core_is_pure, "mesh/core/x.py", "def f(p):\n    return open(p)"),
    (imports_point_down, "mesh/core/x.py", "from mesh.shell.agent import Agent"),
    (imports_point_down, "mesh/shell/x.py", "import mesh.cli.check"),
    (imports_point_down, "mesh/errors.py", "from mesh.core import plan"),
    (imports_point_down, "mesh/role.py", "from mesh import shell"),
    (imports_point_down, "mesh/shell/x.py", "from roles.sensing import camera"),
    (roles_know_only_their_door, "roles/x.py", "from mesh.core import plan"),
    (roles_know_only_their_door, "roles/x.py", "import zmq"),
    (engines_are_imported_late, "roles/x.py", "import cv2"),
    (engines_are_imported_late, "roles/x.py", "try:\n    from llama_cpp import Llama\nexcept ImportError:\n    pass"),
    (functions_are_short, "mesh/x.py", "def f():\n" + "    pass\n" * FUNCTION_LINES_MAX),
    (has_a_docstring, "mesh/x.py", "x = 1"),
    (names_are_of_the_field, "mesh/x.py", "class RoleRunner: ..."),
    (names_are_of_the_field, "mesh/x.py", "def f(n_workers): ..."),
    (names_are_of_the_field, "mesh/x.py", "def f(self):\n    self.is_master = 1"),
    (no_test_sleeps, "tests/test_x.py", "import time\ntime.sleep(1)"),
    (no_test_sleeps, "tests/test_x.py", "from time import sleep"),
    (no_test_is_passed_over, "tests/test_x.py", "@pytest.mark.skipif(True)\ndef test_x(): ..."),
    (nothing_is_left_to_do, "mesh/x.py", "raise NotImplementedError"),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_keeps(rule: Rule) -> None:
    modules = _modules(*{scope.split("/")[0] for scope in RULES[rule]})
    offences = [
        f"{path}:{offence}"
        for path, tree in modules.items()
        if path.startswith(RULES[rule])
        for offence in rule(path, tree)
    ]
    if offences:
        pytest.fail("\n".join([f"{rule.__name__}: {rule.__doc__ or ''}", *offences]), pytrace=False)


@pytest.mark.parametrize(("rule", "path", "source"), SINNERS)
def test_each_rule_finds_a_sinner(rule: Rule, path: str, source: str) -> None:
    assert list(rule(path, ast.parse(source)))


def test_a_file_can_be_read_in_one_sitting() -> None:
    modules = _modules("mesh", "roles")
    lines = {path: len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in modules}
    assert not {path: count for path, count in lines.items() if count > FILE_LINES_MAX}


def test_a_file_name_says_what_is_inside() -> None:
    assert not [str(path) for path in _files() if EMPTY_NAMES & {Path(part).stem for part in path.parts}]


def test_no_file_names_a_registry_or_somebodys_computer() -> None:
    # The patterns are put together from pieces so that this file does not contain what it looks for.
    hosts = ["py" + "pi.org", "python" + "hosted.org", "npm" + "js.org", "yarn" + "pkg.com", "py" + "torch.org/whl"]
    homes = [r"(?:ro" + "ot|wo" + "rk)/", r"(?:ho" + "me|Us" + r"ers)/\w+"]
    forbidden = re.compile("|".join([*map(re.escape, hosts), *(rf"(?<![\w./~])/{home}" for home in homes)]).encode())
    offences = []
    for path in _files():
        found = forbidden.search((ROOT / path).read_bytes())
        if found:
            offences.append(f"{path}: {found[0].decode()}")
    assert not offences


def _pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_every_package_is_listed_for_installation() -> None:
    listed = set(_pyproject()["tool"]["setuptools"]["packages"])
    there = {".".join(Path(path).parent.parts) for path in _modules("mesh", "roles") if "templates" not in path}
    assert there <= listed


def test_the_version_is_said_once_and_the_same() -> None:
    assert _pyproject()["project"]["version"] == mesh.__version__
    assert f"## [{mesh.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def _needed(*leave_out: str) -> set[str]:
    """Names of the packages that an installation asks for, with every extra but those left out."""
    project = _pyproject()["project"]
    extras = [needs for name, needs in project["optional-dependencies"].items() if name not in {"all", *leave_out}]
    return {re.split(r"[\[<>=!~; ]", need)[0] for need in sum(extras, project["dependencies"])}


def test_every_dependency_is_pinned_by_name_and_version_only() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert not [pin for pin in pins if not re.fullmatch(r"[a-z0-9.-]+==[a-z0-9.]+", pin)]
    assert _needed("training") <= {pin.split("==")[0] for pin in pins}


def test_whatever_is_imported_is_asked_for() -> None:
    here = {"mesh", "roles", "tests", "benchmarks", *(Path(path).stem for path in _modules("tests", ".ci"))}
    tops = {
        name.split(".")[0]
        for path, tree in _modules("mesh", "roles", "tests").items()
        for _, name in _imports(path, tree)
    }
    foreign = {INSTALLED_AS.get(top, top) for top in tops - here - sys.stdlib_module_names}
    assert foreign <= _needed("training")
