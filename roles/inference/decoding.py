"""From a model's raw outputs to an event that an artist can use: classes, boxes, plain arrays, or a function of their own.

Exported models agree on little: some end in a softmax and some do not, some call their classes `names` in
their metadata and some say nothing. What can be seen from the numbers is seen; the rest is an option.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mesh.errors import RoleError
from mesh.role import Frame
from roles.inference.boxes import find_boxes
from roles.inference.intake import Array, Fit, Size

SMALL_MAX = 64  # other outputs of up to so many numbers travel with the classes
EVENT_NUMBERS_MAX = 4096  # larger outputs of a raw model are left out of the event

Outputs = Mapping[str, Array]
Decoder = Callable[[Outputs, Fit, Size, Frame], Any]


def make_decoder(options: Any, labels: list[str], folder: Path) -> Decoder:
    """What option `decode` names: takes (outputs by name, fit, the model's picture size, frame), gives an event's value."""
    if options.decode == "classes":
        return lambda outputs, fit, size, frame: classes(outputs, labels, options.scores)
    if options.decode == "boxes":
        return lambda outputs, fit, size, frame: {"boxes": find_boxes(outputs, fit, size, labels, options)}
    if options.decode == "raw":
        return lambda outputs, fit, size, frame: raw(outputs)
    own = own_function(options.decode, folder)
    return lambda outputs, fit, size, frame: own(dict(outputs), frame)


def classes(outputs: Outputs, labels: list[str], wanted: str | None) -> dict[str, Any]:
    """{"label", "score", "scores": {label: probability}} and, by their names, the model's other small outputs.

    Scores that are no probabilities yet (0..1, summing to 1) go through a softmax. `wanted` names the output that
    holds them; without it, it is the one as long as `labels`, else the first row of more than one number.
    """
    name = wanted or _score_output(outputs, labels)
    if name not in outputs:
        raise _no_scores(outputs, f"the model has no output {name!r}")
    row = np.squeeze(outputs[name]).astype(np.float64)
    if row.ndim != 1:
        raise _no_scores(outputs, f"output {name!r} is not one row of scores")
    if labels and len(labels) != len(row):
        raise RoleError(
            f"{len(labels)} labels for {len(row)} classes", where=f"output {name}", instead="give option labels one word for each class"
        )
    likely = probabilities(row)
    words = labels or [str(number) for number in range(len(likely))]
    best = int(likely.argmax())
    found: dict[str, Any] = {
        "label": words[best],
        "score": round(float(likely[best]), 4),
        "scores": {word: round(float(p), 4) for word, p in zip(words, likely, strict=True)},
    }
    for other, value in outputs.items():
        if other != name and value.size <= SMALL_MAX:
            found[other if other not in found else f"{other}_output"] = plain(np.squeeze(value))
    return found


def probabilities(row: Array) -> Array:
    """A softmax, unless the numbers already are probabilities."""
    if (row >= 0).all() and abs(float(row.sum()) - 1.0) < 1e-2:
        return row
    powers = np.exp(row - row.max())
    softened: Array = powers / powers.sum()
    return softened


def _score_output(outputs: Outputs, labels: list[str]) -> str:
    rows = {name: max(value.shape, default=1) for name, value in outputs.items() if value.size == max(value.shape, default=1)}
    for name, length in rows.items():
        if labels and length == len(labels):
            return name
    for name, length in rows.items():
        if length > 1:
            return name
    raise _no_scores(outputs, "none of the model's outputs is one row of scores")


def _no_scores(outputs: Outputs, what: str) -> RoleError:
    return RoleError(
        f"{what}; it gives {shapes(outputs)}",
        where="option decode: classes",
        instead="name the output in option scores, or set decode to boxes, raw or a function of your own",
    )


def raw(outputs: Outputs) -> dict[str, Any]:
    """Every output of up to 4096 numbers as (nested) lists."""
    return {name: plain(value) for name, value in outputs.items() if value.size <= EVENT_NUMBERS_MAX}


def plain(value: Array) -> Any:
    """An array as what an event carries: numbers and lists."""
    return value.astype(np.float32).tolist() if value.dtype == np.float16 else value.tolist()


def shapes(outputs: Outputs) -> str:
    """The outputs in words, for messages."""
    return ", ".join(f"{name} {value.dtype}{list(value.shape)}" for name, value in outputs.items())


def own_function(reference: str, folder: Path) -> Callable[[dict[str, Array], Frame], Any]:
    """The function that "./roles.py:name" means: called with (outputs by name, frame), it gives the event's value."""
    file, _, name = reference.partition(":")
    path = folder / file
    hint = f"write a function in {file or 'roles.py'} and give it as ./roles.py:its_name"
    if not name or not path.is_file():
        raise RoleError(f"there is no decoder {reference!r}", where="option decode", instead=f"use classes, boxes, raw, or {hint}")
    if not path.resolve().is_relative_to(folder.resolve()):
        raise RoleError(f"{file} is outside the deployment's folder", where="option decode", instead=hint)
    spec = importlib.util.spec_from_file_location(f"deployment_{path.stem}_decoder", path)
    if spec is None or spec.loader is None:
        raise RoleError(f"{file} is not Python", where="option decode", instead=hint)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function = getattr(module, name, None)
    if not inspect.isfunction(function):
        raise RoleError(f"{file} has no function {name}", where="option decode", instead=hint)
    return function


def read_labels(asked: list[str] | str | None, metadata: Mapping[str, str], folder: Path) -> list[str]:
    """The classes' names: from option `labels` (a list, or a text file of the folder with one on each line), else from the
    model's metadata (`labels`, or `names` as Ultralytics writes them), else none."""
    if isinstance(asked, list):
        return asked
    if isinstance(asked, str):
        path = folder / asked
        if not path.is_file():
            raise RoleError(
                f"there is no file of labels {asked!r}",
                where="option labels",
                instead="give a list, or a text file in the deployment's folder",
            )
        return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    for key in ("labels", "names", "classes"):
        if key in metadata:
            return _listed(metadata[key])
    return []


def _listed(text: str) -> list[str]:
    """A JSON or Python list or dict of names, or names between commas."""
    for parse in (json.loads, ast.literal_eval):
        try:
            value = parse(text)
        except (ValueError, SyntaxError):
            continue
        if isinstance(value, dict):
            return [str(value[key]) for key in sorted(value, key=lambda key: int(key))]
        if isinstance(value, list | tuple):
            return [str(item) for item in value]
    return [word.strip() for word in text.replace("\n", ",").split(",") if word.strip()]
