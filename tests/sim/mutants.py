"""Changed guards: which there are in a module, and how a running process gets one of them.

A mutant is made by giving the module's functions the code of a changed copy of it, in place: whoever imported them before
runs the changed code, so a fork of a process in which everything is loaded is a mutant at once. Decided against: an import hook in
a fresh process, whose two seconds of imports were most of the cost of a thousand mutants.

In the same way a module is watched (`watch`): it does what it always does, and tells each time that a changed guard would have
decided otherwise. A test during which that never happened cannot notice the change, and need not be run (`reached.py`).
"""

from __future__ import annotations

import ast
import copy
import importlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

WATCH = "_would_decide_otherwise"
CORE = Path(__file__).resolve().parent.parent.parent / "mesh" / "core"


@dataclass(frozen=True, slots=True)
class Guard:
    """One change of one condition. `number` is its place in the module; `words` tell it from all others, whatever line it stands in;
    `mark` stands for the text of its function: a verdict counts for no other text."""

    module: str
    number: int
    line: int
    words: str
    mark: str


class _Sites(ast.NodeTransformer):
    """Walks all conditions in order; changes the one with the wanted number, or has all of them watched."""

    def __init__(self, wanted: int = -1, *, watched: bool = False) -> None:
        self.wanted, self.watched = wanted, watched
        self.found: list[tuple[int, str, str]] = []
        self._function, self._mark = "", ""

    def _site(self, how: str, line: int, words: str) -> bool:
        self.found.append((line, f"{self._function}: {how}: {words}", self._mark))
        return len(self.found) - 1 == self.wanted

    def _seen(self, test: ast.expr, when: bool | None) -> ast.expr:
        """The same, telling of the latest site each time that it is `when`."""
        if not self.watched:
            return test
        return ast.Call(ast.Name(WATCH, ast.Load()), [ast.Constant(len(self.found) - 1), ast.Constant(when), test], [])

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        before = self._function, self._mark
        self._function, self._mark = node.name, sha256(ast.unparse(node).encode()).hexdigest()[:8]
        self.generic_visit(node)
        self._function, self._mark = before
        return node

    def _condition(self, test: ast.expr, *, may_go: bool) -> ast.expr:
        words = ast.unparse(test)
        parts = copy.deepcopy(test.values) if isinstance(test, ast.BoolOp) else []
        whole = test
        if self._site("negated", test.lineno, words):
            whole = ast.UnaryOp(ast.Not(), copy.deepcopy(test))
        whole = self._seen(whole, None)
        if may_go and self._site("taken away", test.lineno, words):
            whole = ast.Constant(False)
        if may_go:
            whole = self._seen(whole, True)
        for index, part in enumerate(parts):
            if self._site("halved", part.lineno, f"{words} without {ast.unparse(part)}"):
                rest = [copy.deepcopy(each) for place, each in enumerate(parts) if place != index]
                whole = rest[0] if len(rest) == 1 else ast.BoolOp(test.op, rest)
            test.values[index] = self._seen(part, isinstance(test.op, ast.Or))
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
            taken = self._site("taken away", test.lineno, words)
            node.ifs[index] = ast.Constant(True) if taken else self._seen(test, False)
        return node


@cache
def _source(module: str) -> str:
    return (CORE / f"{module}.py").read_text(encoding="utf-8")


def guards(module: str) -> list[Guard]:
    """Every change that can be made to one module."""
    sites = _Sites()
    sites.visit(ast.parse(_source(module)))
    seen: dict[str, int] = {}
    found = []
    for number, (line, words, mark) in enumerate(sites.found):
        seen[words] = seen.get(words, 0) + 1
        again = f" (the {seen[words]}. time)" if seen[words] > 1 else ""
        found.append(Guard(module, number, line, f"{module}.{words}{again}", mark))
    return found


def change(guard: Guard) -> None:
    """From now on this process runs with that guard changed. Raises ValueError when the guard is in no function."""
    swapped = _give(guard.module, _Sites(guard.number))
    if swapped != 1:
        raise ValueError(f"{swapped} functions of mesh.core.{guard.module} were changed by: {guard.words}")


def watch(module: str, tell: Callable[[int], object]) -> None:
    """From now on this process tells the number of each guard of the module that would have decided otherwise, had it been changed.

    A half is told whenever it may have been what decided: whether the other halves agreed is not asked, for asking might do something.
    """

    def seen(number: int, when: bool | None, value: Any) -> Any:
        if when is None or bool(value) is when:
            tell(number)
        return value

    setattr(importlib.import_module(f"mesh.core.{module}"), WATCH, seen)
    _give(module, _Sites(watched=True))


def _give(core_module: str, sites: _Sites) -> int:
    """Give a module's functions the code that they have in a changed copy of it. Returns how many it changed."""
    name = f"mesh.core.{core_module}"
    module = importlib.import_module(name)
    tree = ast.fix_missing_locations(sites.visit(ast.parse(_source(core_module))))
    fresh = ModuleType(name)
    fresh.__dict__.update({"__file__": module.__file__, "__package__": "mesh.core", WATCH: getattr(module, WATCH, None)})
    sys.modules[name] = fresh  # dataclasses look their module up while they are made
    try:
        exec(compile(tree, str(module.__file__), "exec"), fresh.__dict__)
    finally:
        sys.modules[name] = module
    changed = dict(_functions(vars(fresh), name))
    swapped = 0
    for key, function in _functions(vars(module), name):
        if not _same(function.__code__, changed[key].__code__):
            function.__code__ = changed[key].__code__
            swapped += 1
    return swapped


def _functions(space: dict[str, Any] | Any, module: str, path: str = "") -> Iterator[tuple[str, FunctionType]]:
    """The functions that a module defines, by path, those of its classes included."""
    for name, value in list(space.items()):
        where = f"{path}.{name}"
        if isinstance(value, property):
            value = value.fget
        elif isinstance(value, (staticmethod, classmethod)):
            value = value.__func__
        value = getattr(value, "__wrapped__", value)
        if isinstance(value, FunctionType) and value.__module__ == module and value.__code__.co_filename.endswith(".py"):
            yield where, value
        elif isinstance(value, type) and value.__module__ == module:
            yield from _functions(vars(value), module, where)


def _same(one: Any, other: Any) -> bool:
    """Whether two code objects do the same. Nested ones are compared too; lines are not."""
    if one.co_code != other.co_code or one.co_names != other.co_names or len(one.co_consts) != len(other.co_consts):
        return False
    pairs = zip(one.co_consts, other.co_consts, strict=True)
    return all(_same(a, b) if hasattr(a, "co_code") and hasattr(b, "co_code") else a == b for a, b in pairs)
