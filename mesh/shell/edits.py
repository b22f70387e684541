"""An artist who edits while a rehearsal plays: which roles a changed file of the folder concerns.

Several roles share a file: one is concerned by a change of its own class and of what that uses, not of its neighbours'. A file that
Python cannot read concerns the first of them, so that its mistake is told once.

Files are looked at several times a second and count as changed when they have stayed the same for one look, since editors write in
steps. Decided against: the system's own notices of changes (another library for each system, and editors that replace files).
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mesh.core.spec import Deployment, RoleSpec
from mesh.errors import on_a_line
from mesh.shell.folder import FILE_NAME

LOOK_S = 0.15
FILES_MAX = 5000
PASSED_OVER = ("__pycache__", "training", "models")
PAGES = (".html", ".htm", ".jinja")
Stamp = tuple[int, int]


class Edits:
    """The files of one folder as they were last seen. `look` gives the names of the roles that a change concerns."""

    def __init__(self, folder: Path, deployment: Deployment) -> None:
        self._folder, self._deployment = folder, deployment
        self._known = dict(self._files())
        self._unsure: dict[str, Stamp | None] = {}  # changed at the last look
        self.settled: list[str] = []  # the files that the last look found changed
        self.gone: dict[str, str] = {}  # role that is made of a file, or shows it -> that file, which the last look found removed
        self._meant = {role.name: self._meaning(role) for role in deployment.roles}

    def look(self) -> dict[str, str]:
        """The roles that a file which has changed since the last look concerns, each with that file's path in the folder."""
        now = dict(self._files())
        changed = {path: now.get(path) for path in {*now, *self._known} if now.get(path) != self._known.get(path)}
        self.settled = [path for path, stamp in changed.items() if stamp is not None and self._unsure.get(path) == stamp]
        gone = [path for path, stamp in changed.items() if stamp is None and self._unsure.get(path, ()) is None]
        self.gone = {role.name: path for path in gone for role in self._deployment.roles if self._concerns(path, role)}
        if FILE_NAME in gone:
            self.gone["the room"] = FILE_NAME
        for path in gone:
            del self._known[path]
        self._unsure = changed
        found: dict[str, str] = {}
        for path in self.settled:
            self._known[path] = now[path]
            concerned = [role for role in self._deployment.roles if self._concerns(path, role)]
            found.update({role.name: path for role in (self._otherwise(path, concerned) if path.endswith(".py") else concerned)})
        return found

    def know(self, deployment: Deployment) -> None:
        """From now on the roles are these."""
        self._deployment = deployment

    def _otherwise(self, path: str, roles: list[RoleSpec]) -> list[RoleSpec]:
        """Of the roles that a file of Python concerns, those that are not what they were."""
        changed = []
        for role in roles:
            meant = self._meaning(role)
            if meant is None:
                return roles[:1]
            if meant != self._meant.get(role.name) or path not in own_files(role):
                self._meant[role.name] = meant
                changed.append(role)
        return changed

    def _meaning(self, role: RoleSpec) -> str | None:
        return meaning(self._folder, role)

    def _files(self) -> Iterator[tuple[str, Stamp]]:
        todo, count = [self._folder], 0
        while todo and count < FILES_MAX:
            for entry in _entries(todo.pop()):
                if entry.name.startswith(".") or entry.name in PASSED_OVER:
                    continue
                count += 1
                if entry.is_dir():
                    todo.append(Path(entry.path))
                    continue
                try:
                    facts = entry.stat()
                except OSError:
                    continue  # it was removed while we looked
                yield Path(entry.path).relative_to(self._folder).as_posix(), (facts.st_mtime_ns, facts.st_size)

    def _concerns(self, path: str, role: RoleSpec) -> bool:
        return concerns(self._folder, path, role)


def meaning(folder: Path, role: RoleSpec) -> str | None:
    """What a role's own code says, without comments and without what it does not use. None when Python cannot read it."""
    parts = []
    for reference in own_references(role):
        file, _, name = reference.partition(":")
        try:
            parts.append(meaning_of((folder / file).read_text("utf-8", "replace"), name))
        except OSError:
            continue
        except (SyntaxError, ValueError):
            return None
    return "\n".join(parts)


def concerns(folder: Path, path: str, role: RoleSpec) -> bool:
    """Whether a role is made of this file of the folder, or shows it."""
    own = own_files(role)
    if path.endswith(".py"):
        return path in own or any(_imports(folder / file, Path(path).stem) for file in own)
    named = [value for value in (*role.options.values(), *role.fallback.values()) if isinstance(value, str)]
    for value in named:
        place = Path(value.removeprefix("./")).as_posix()
        beside = f"{Path(place).parent.as_posix()}/" if place.endswith(PAGES) else f"{place}/"
        if path == place or path.startswith(beside):
            return True
    return False


def _imports(file: Path, name: str) -> bool:
    """Whether an own file speaks of a neighbour in an import."""
    try:
        text = file.read_text("utf-8", "replace")
    except OSError:
        return False
    return re.search(rf"^\s*(import|from)\b.*\b{re.escape(name)}\b", text, re.MULTILINE) is not None


def own_references(role: RoleSpec) -> list[str]:
    """What a role is made of, as file.py:name: its kind, and functions that its options name."""
    named = [role.kind, *(value for value in role.options.values() if isinstance(value, str))]
    return [value.removeprefix("./") for value in named if re.match(r"\./[^:]+\.py(:|$)", value)]


def own_files(role: RoleSpec) -> set[str]:
    """The files of Python that a role is made of."""
    return {reference.partition(":")[0] for reference in own_references(role)}


def meaning_of(text: str, name: str) -> str:
    """The part of a module that concerns one class or function: itself, what it names, what these name, and all that is neither class
    nor function. Raises SyntaxError."""
    tree = ast.parse(text)
    named = {each.name: each for each in tree.body if isinstance(each, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)}
    rest = [each for each in tree.body if each not in named.values()]
    used, todo = set(), [name, *(word for each in rest for word in _words(each))]
    while todo:
        word = todo.pop()
        if word in named and word not in used:
            used.add(word)
            todo += _words(named[word])
    return "\n".join([*map(ast.dump, rest), *(ast.dump(named[word]) for word in sorted(used))])


def _words(tree: ast.AST) -> list[str]:
    return [each.id for each in ast.walk(tree) if isinstance(each, ast.Name)]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError:
        return []


def told(instance: str, path: str, failed: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the artist is told of an edit: that it plays, or what is wrong with it, their own line first, with the traceback."""
    if failed is None:
        return {"instance": instance, "file": path, "what": "", "traceback": ""}
    what, where, instead, trace = (str(failed.get(key) or "") for key in ("what", "where", "instead", "traceback"))
    words = on_a_line(f"{where}: {what}" if where else what, instead="" if trace else instead)
    return {"instance": instance, "file": path, "what": words, "traceback": trace}
