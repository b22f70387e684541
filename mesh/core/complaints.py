"""The mistakes found so far in one file, and where in it a thing stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mesh.core.yaml_tree import Node
from mesh.core.yaml_words import Place
from mesh.errors import Mistake

PathKey = tuple[str | int, ...]


def find(root: Node, path: Sequence[str | int]) -> tuple[Place, Place]:
    """Where the key at the end of `path` stands, and where its value does. What is not there is looked for in
    what would hold it; the value of a key with nothing after it is looked for at the key."""
    key_place, node = root.place, root
    for step in path:
        if node.items is not None and step in node.items:
            key_place, node = node.items[str(step)]
        elif node.list is not None and isinstance(step, int) and step < len(node.list):
            node = node.list[step]
            key_place = node.place
        else:
            break
    return key_place, key_place if node.empty else node.place


class Complaints:
    """The mistakes found so far in one file. `lost` are the paths whose values could not be used."""

    def __init__(self, file: str, root: Node, lost: set[PathKey]) -> None:
        self.file = file
        self.root = root
        self.lost = lost
        self.mistakes: list[Mistake] = []

    def say(self, place: Place, what: str, instead: str) -> None:
        mistake = Mistake(self.file, place.line, place.column, what, instead)
        if mistake not in self.mistakes:
            self.mistakes.append(mistake)

    def at_key(self, path: Sequence[str | int], what: str, instead: str) -> None:
        self.say(find(self.root, path)[0], what, instead)

    def at_value(self, path: Sequence[str | int], what: str, instead: str) -> None:
        self.say(find(self.root, path)[1], what, instead)

    def written(self, *path: str | int) -> Any:
        """The plain value that the file has at `path`, None where there is none."""
        node = self._at(path)
        return None if node is None else node.value()

    def _at(self, path: Sequence[str | int]) -> Node | None:
        node = self.root
        for step in path:
            if node.items is not None and step in node.items:
                node = node.items[str(step)][1]
            elif node.list is not None and isinstance(step, int) and step < len(node.list):
                node = node.list[step]
            else:
                return None
        return node

    def has(self, *path: str | int) -> bool:
        """Whether the file has something good at `path`."""
        return self.written(*path) is not None and not self.is_lost(*path)

    def keys(self, *path: str | int) -> list[str]:
        """The keys that the file has in the mapping at `path`."""
        node = self._at(path)
        return list(node.items) if node is not None and node.items is not None else []

    def is_lost(self, *path: str | int) -> bool:
        """Whether the value at `path`, or what holds it, could not be read: then nothing more is said of it."""
        return any(path[:length] in self.lost for length in range(1, len(path) + 1))

    def is_any_lost(self, *path: str | int) -> bool:
        """Whether anything at `path` or below it could not be read."""
        return self.is_lost(*path) or any(lost[: len(path)] == path for lost in self.lost)
