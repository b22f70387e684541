"""Proves the checkers: every guard of the deciding modules is negated or taken away, one at a time, and somebody must notice.

    python -m tests.sim.guards                     all of them (about an hour on one core)
    python -m tests.sim.guards --only claims cast  those of some modules
    python -m tests.sim.guards --list              what would be tried

A guard is the condition of an `if`, of a conditional expression or of a comprehension, and each half of an `and` or `or`
within one. Each mutant lives in a process of its own and never on disk: an import hook hands out the changed module. First the module's
own tests are run, then seeds, then stories; the first that fails has caught it. Results go to tests/sim/guards.json,
survivors with the reason that is given for them below.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib.abc
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from rich.console import Console
from rich.progress import Progress

ROOT = Path(__file__).resolve().parent.parent.parent
CORE = ROOT / "mesh" / "core"
RESULTS = Path(__file__).with_name("guards.json")
SEEDS = 30
TIMEOUT_S = 180.0
STORIES = ("test_stories.py", "test_stories_network.py", "test_stories_people.py")
PLACEMENT = ("test_placement.py", "test_placement_standby.py", "test_placement_search.py")
# module -> the tests that are most likely to notice, tried first
MODULES: dict[str, tuple[str, ...]] = {
    "claims": ("test_claims.py", "test_cast.py"),
    "cast": ("test_cast.py",),
    "members": ("test_membership.py", "test_judging.py"),
    "membership": ("test_membership.py", "test_contacts.py"),
    "judging": ("test_judging.py",),
    "contacts": ("test_contacts.py",),
    "sides": ("test_sides.py",),
    "boot": ("test_boot.py",),
    "flapping": ("test_flapping.py",),
    "placement": (), "placement_parts": (), "placement_repair": (), "placement_room": (), "placement_search": (),
    "placement_seats": (), "standby": (),
}


@dataclass(frozen=True, slots=True)
class Guard:
    """One change of one condition. `number` is its place in the module; `line` and `words` are for people."""

    module: str
    number: int
    how: str  # "negated" | "taken away" | "halved"
    line: int
    words: str

    @property
    def key(self) -> str:
        """What a reason is filed under; line numbers change too often."""
        return f"{self.module}: {self.words}: {self.how}"


class _Sites(ast.NodeTransformer):
    """Walks all conditions in order; changes the one with the wanted number."""

    def __init__(self, wanted: int = -1) -> None:
        self.wanted = wanted
        self.found: list[tuple[str, int, str]] = []

    def _site(self, how: str, line: int, words: str) -> bool:
        self.found.append((how, line, words))
        return len(self.found) - 1 == self.wanted

    def _condition(self, test: ast.expr, *, may_go: bool) -> ast.expr:
        words = ast.unparse(test)
        whole = test
        if self._site("negated", test.lineno, words):
            whole = ast.UnaryOp(ast.Not(), copy.deepcopy(test))
        if may_go and self._site("taken away", test.lineno, words):
            whole = ast.Constant(False)
        if isinstance(test, ast.BoolOp):
            for index, part in enumerate(test.values):
                if self._site("halved", part.lineno, f"{words} without {ast.unparse(part)}"):
                    rest = [copy.deepcopy(each) for place, each in enumerate(test.values) if place != index]
                    whole = rest[0] if len(rest) == 1 else ast.BoolOp(test.op, rest)
        return whole

    def visit_If(self, node: ast.If) -> ast.AST:
        self.generic_visit(node)
        node.test = self._condition(node.test, may_go=True)
        return node

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        self.generic_visit(node)
        node.test = self._condition(node.test, may_go=False)
        return node

    def visit_Return(self, node: ast.Return) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.value, ast.BoolOp):
            node.value = self._condition(node.value, may_go=False)
        return node

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        self.generic_visit(node)
        for index, test in enumerate(list(node.ifs)):
            words = ast.unparse(test)
            if self._site("taken away", test.lineno, words):
                node.ifs[index] = ast.Constant(True)
        return node


def guards(module: str) -> list[Guard]:
    """Every change that can be made to one module."""
    sites = _Sites()
    sites.visit(ast.parse((CORE / f"{module}.py").read_text(encoding="utf-8")))
    return [Guard(module, number, how, line, words) for number, (how, line, words) in enumerate(sites.found)]


class _Hook(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Hands out one module with one guard changed."""

    def __init__(self, module: str, number: int) -> None:
        self.name, self.path = f"mesh.core.{module}", CORE / f"{module}.py"
        self.number = number

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        return importlib.util.spec_from_file_location(fullname, self.path, loader=self) if fullname == self.name else None

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        tree = _Sites(self.number).visit(ast.parse(self.path.read_text(encoding="utf-8")))
        exec(compile(ast.fix_missing_locations(tree), str(self.path), "exec"), module.__dict__)


def _try_one(module: str, number: int) -> int:
    """In the mutant's own process: 0 when nobody noticed, else what noticed it (see `NOTICED`)."""
    sys.meta_path.insert(0, _Hook(module, number))
    import pytest

    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "--no-header", "--timeout=60"]
    own = MODULES[module] or PLACEMENT
    paths = [str(ROOT / "tests/core" / name) for name in own]
    if pytest.main([*options, *paths]) != 0:
        return 11
    try:
        from tests.sim.trial import try_seed

        for seed in range(SEEDS):
            if try_seed(seed).broken:
                return 12
    except Exception as fault:  # a mutant may fail in any way there is; each means that it was noticed
        print(f"a seed ended with {fault!r}")
        return 12
    return 13 if pytest.main([*options, *(str(ROOT / "tests/sim" / name) for name in STORIES)]) != 0 else 0


NOTICED = {11: "its tests", 12: "a seed", 13: "a story"}


def _judge(guard: Guard) -> str:
    """Who noticed; "" for a survivor."""
    command = [sys.executable, "-m", "tests.sim.guards", "--one", guard.module, str(guard.number)]
    environment = {**os.environ, "CI": "1", "PYTHONPATH": str(ROOT)}
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return "time stood still"
    return "" if done.returncode == 0 else NOTICED.get(done.returncode, "it could not even be imported")


def _wanted(names: Sequence[str]) -> Iterator[Guard]:
    for module in MODULES:
        if not names or module in names:
            yield from guards(module)


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 when nine of ten were caught."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.guards", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", nargs="*", default=[], metavar="MODULE", choices=sorted(MODULES))
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    wanted = parser.parse_args(arguments)
    if wanted.one:
        return _try_one(wanted.one[0], int(wanted.one[1]))
    console = Console()
    chosen = list(_wanted(wanted.only))
    if wanted.list:
        for guard in chosen:
            console.print(f"{guard.module}.py:{guard.line} {guard.how}: {guard.words}", highlight=False, markup=False)
        return 0
    return _campaign(chosen, console)


def _campaign(chosen: list[Guard], console: Console) -> int:
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    began_s, caught = time.monotonic(), 0
    results: dict[str, dict[str, object]] = {}
    with Progress(console=console) as progress:
        task = progress.add_task("guards", total=len(chosen))
        for guard in chosen:
            by = _judge(guard)
            caught += bool(by)
            results[guard.key] = {**asdict(guard), "caught_by": by}
            if not by:
                words = f"survived: {guard.module}.py:{guard.line} {guard.how}: {guard.words}"
                progress.console.print(words, highlight=False, markup=False, soft_wrap=True)
            progress.advance(task)
    for module in {guard.module for guard in chosen}:
        kept[module] = _summary([each for each in results.values() if each["module"] == module])
    RESULTS.write_text(json.dumps(dict(sorted(kept.items())), indent=1) + "\n", encoding="utf-8")
    minutes = (time.monotonic() - began_s) / 60
    share = caught / max(1, len(chosen))
    console.print(f"{len(chosen)} guards changed, {caught} caught ({share:.1%}), {len(chosen) - caught} survived, in {minutes:.0f} minutes")
    return 0 if share >= 0.9 else 1


def _summary(rows: list[dict[str, object]]) -> dict[str, object]:
    survivors = [f"{row['how']}: {row['words']}" for row in rows if not row["caught_by"]]
    by: dict[str, int] = {}
    for row in rows:
        if row["caught_by"]:
            by[str(row["caught_by"])] = by.get(str(row["caught_by"]), 0) + 1
    return {"tried": len(rows), "caught": len(rows) - len(survivors), "by": by, "survived": survivors}


if __name__ == "__main__":
    sys.exit(main())
