"""The names of a model's classes: as the artist writes them, from a file of the folder, or from what the model says of itself."""

from __future__ import annotations

import ast
import csv
import json
from collections.abc import Mapping
from pathlib import Path

from mesh.errors import RoleError
from roles.inference.label_sets import SETS

KEYS = ("labels", "names", "classes", "character", "characters", "vocab")  # of metadata; PaddleOCR keeps its letters in `character`
COLUMNS = ("display_name", "name", "label", "class")  # of a table of classes, such as YAMNet's


def read_labels(asked: list[str] | str | None, metadata: Mapping[str, str], folder: Path) -> list[str]:
    """From option `labels` (a list; `coco` and other known sets; a file of the folder: text, CSV or JSON), else from the model's
    metadata (`labels`, `names` as Ultralytics writes them, `character` as PaddleOCR does), else none. In a list with one name on a line a
    space alone is a name: the letter."""
    if isinstance(asked, list):
        return asked
    if isinstance(asked, str):
        if asked.lower() in SETS:
            return list(SETS[asked.lower()])
        path = folder / asked
        if not path.is_file():
            raise RoleError(
                f"there is no file of labels {asked!r}", where="option labels",
                instead=f"give a list, a text, CSV or JSON file in the deployment's folder, or one of {', '.join(SETS)}",
            )  # fmt: skip
        return _of_file(path)
    for key in KEYS:
        if key in metadata:
            return _listed(metadata[key])
    return []


def _of_file(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise RoleError(f"{path.name} is no UTF-8 text", where="option labels", instead="save it as UTF-8") from error
    if path.suffix.lower() == ".json":
        return _listed(text)
    if path.suffix.lower() == ".csv":
        rows = list(csv.reader(text.splitlines()))
        column = next((rows[0].index(name) for name in COLUMNS if rows and name in rows[0]), None)
        return [row[column] for row in rows[1:] if row] if column is not None else [row[-1] for row in rows if row]
    names = _lines(text)
    return _numbered(names) or names


def _numbered(lines: list[str]) -> list[str]:
    """Of lines "name number", as sherpa-onnx lists its letters, the names in their order; empty where they are no such lines."""
    pairs = [line.replace("\t", " ").rpartition(" ") for line in lines]
    whole = sorted(number for _, _, number in pairs) == sorted(map(str, range(len(lines))))
    if len(lines) < 2 or not whole or len({name for name, _, _ in pairs}) < len(lines):
        return []
    return [name or " " for name, _, _ in sorted(pairs, key=lambda each: int(each[2]))]


def _listed(text: str) -> list[str]:
    """A JSON or Python list or dict of names (by number, or numbers by name), or names between commas."""
    for parse in (json.loads, ast.literal_eval):
        try:
            value = parse(text)
        except (ValueError, SyntaxError):
            continue
        if isinstance(value, dict) and value and all(isinstance(number, int) for number in value.values()):  # a vocabulary
            return _in_order({int(number): str(word) for word, number in value.items()})
        if isinstance(value, dict):
            try:
                return _in_order({int(key): str(word) for key, word in value.items()})
            except (ValueError, TypeError):
                continue
        if isinstance(value, list | tuple):
            return [str(item) for item in value]
    return _lines(text) if "\n" in text.strip("\n") else [word.strip() for word in text.split(",") if word.strip()]


def _lines(text: str) -> list[str]:
    """One name on each; only what ends lines in files does so, since a list of letters has stranger ones as its letters."""
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return [line.strip() or line for line in lines if line.strip() or len(line) == 1]


def _in_order(named: dict[int, str]) -> list[str]:
    """Names by their numbers; a number that no class has is its own name."""
    if not named or max(named) > 100_000 or min(named) < 0:
        return list(named.values())
    return [named.get(number, str(number)) for number in range(max(named) + 1)]
