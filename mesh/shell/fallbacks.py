"""What is said in a role's place when nobody plays it: the lines of a text beside the deployment file, in turn.

A file that cannot be read means no lines: a fallback must never stop a role.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

FALLBACK_BYTES_MAX = 256 * 1024


def lines_of(path: Path) -> list[str]:
    """The lines of a text that are not empty."""
    with contextlib.suppress(OSError):
        text = path.read_bytes()[:FALLBACK_BYTES_MAX].decode("utf-8", "replace")
        return [line.strip() for line in text.splitlines() if line.strip()]
    return []


class Fallbacks:
    """The fallbacks of the roles that a process asks; `route` takes each role's stream and file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._named: Mapping[str, tuple[str, str]] = {}
        self._lines: dict[str, list[str]] = {}
        self._said: dict[str, int] = {}

    def route(self, named: Mapping[str, tuple[str, str]]) -> None:
        """A full replacement. The files are read anew when they are next needed."""
        if named != self._named:
            self._named = named
            self._lines.clear()

    def has(self, role: str) -> bool:
        """Whether something is laid by for the role."""
        return role in self._named

    def next(self, role: str) -> tuple[str, str] | None:
        """(stream, line) to be said instead of the role, each line in turn. None where there is nothing."""
        if role not in self._named:
            return None
        stream, path = self._named[role]
        if role not in self._lines:
            self._lines[role] = lines_of(self._folder / path)
        lines, said = self._lines[role], self._said.get(role, 0)
        if not lines:
            return None
        self._said[role] = said + 1
        return stream, lines[said % len(lines)]
