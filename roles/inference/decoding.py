"""From a model's raw outputs to an event that an artist can use: classes, boxes, plain arrays, or a function of their own.

Exported models agree on little: some end in a softmax and some do not, some call their classes `names` in
their metadata and some say nothing. What can be seen from the numbers is seen; the rest is an option.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mesh.errors import RoleError
from mesh.role import Frame
from roles.inference.boxes import find_boxes
from roles.inference.intake import Array, Fit, Size
from roles.inference.keypoints import figures
from roles.inference.own_code import own_function

SMALL_MAX = 64  # other outputs of up to so many numbers travel with the classes
EVENT_NUMBERS_MAX = 4096  # larger outputs of a raw model are left out of the event

Outputs = Mapping[str, Array]
Decoder = Callable[[Outputs, Fit, Size, Frame], Any]


def make_decoder(options: Any, labels: list[str], folder: Path) -> Decoder:
    """What option `decode` names: takes (outputs by name, fit, the model's picture size, frame), gives an event's value."""
    if options.decode == "classes":
        return lambda outputs, fit, size, frame: classes(outputs, labels, options.scores, options.activation)
    if options.decode == "boxes":
        return lambda outputs, fit, size, frame: {"boxes": find_boxes(outputs, fit, size, labels, options)}
    if options.decode == "raw":
        return lambda outputs, fit, size, frame: raw(outputs)
    if options.decode == "keypoints":
        return lambda outputs, fit, size, frame: {"figures": figures(outputs, fit, size, labels, options)}
    if options.decode == "embedding":
        return lambda outputs, fit, size, frame: {"values": embedding(outputs, options.scores).tolist()}
    if options.decode == "probability":
        return Probability(options, labels)
    own = own_function(options.decode, folder, "option decode", "use classes, boxes, keypoints, embedding, probability, raw, or ")
    return lambda outputs, fit, size, frame: own(dict(outputs), frame)


class Probability:
    """One number between 0 and 1 with a memory: what began at `threshold` ends below `release`, when it has been there for `hold_s`.

    {"probability", "active", "changed"}; of a model with several scores, the one of the first label, or the last.
    """

    def __init__(self, options: Any, labels: list[str]) -> None:
        self._options, self._labels = options, labels
        self._release = options.release if options.release is not None else max(0.0, options.threshold - 0.15)
        self._active, self._above_s = False, float("-inf")

    def __call__(self, outputs: Outputs, fit: Fit, size: Size, frame: Frame) -> dict[str, Any]:
        likely = self._of(outputs)
        now_s = frame.captured_s
        before = self._active
        if likely >= (self._release if self._active else self._options.threshold):
            self._active, self._above_s = True, now_s
        elif now_s - self._above_s >= self._options.hold_s:
            self._active = False
        return {"probability": round(likely, 4), "active": self._active, "changed": self._active != before}

    def _of(self, outputs: Outputs) -> float:
        name = self._options.scores or _score_output(outputs, self._labels, least=1)
        if name not in outputs:
            raise _no_scores(outputs, f"the model has no output {name!r}")
        row = outputs[name].reshape(-1).astype(np.float64)
        if not row.size:
            raise _no_scores(outputs, f"output {name!r} is empty")
        if row.size > 1:
            row = activated(row, self._options.activation)
            return float(row[0] if self._labels else row[-1])
        bare = self._options.activation in ("auto", "none") and 0 <= row[0] <= 1
        return float(row[0]) if bare else float(1 / (1 + np.exp(-np.clip(row[0], -60, 60))))


def embedding(outputs: Outputs, wanted: str | None) -> Array:
    """The model's vector, float32 of length 1."""
    name = wanted or next((name for name, value in outputs.items() if value.size > 1), next(iter(outputs), ""))
    if name not in outputs:
        raise _no_scores(outputs, f"the model has no output {name!r}")
    vector = outputs[name].astype(np.float32).reshape(-1)
    length = float(np.linalg.norm(vector))
    return vector / length if length > 0 else vector


def classes(outputs: Outputs, labels: list[str], wanted: str | None, activation: str = "auto") -> dict[str, Any]:
    """{"label", "score", "scores": {label: probability}} and, by their names, the model's other small outputs.

    Scores that are no probabilities yet (0..1, summing to 1) go through a softmax. `wanted` names the output that
    holds them; without it, it is the one as long as `labels`, else the first row of more than one number.
    """
    name = wanted or _score_output(outputs, labels)
    if name not in outputs:
        raise _no_scores(outputs, f"the model has no output {name!r}")
    row = np.squeeze(outputs[name]).astype(np.float64)
    if row.ndim == 2 and min(row.shape) > 0:  # a sound in several stretches, each with its scores
        row = row.mean(axis=0)
    if row.ndim != 1:
        raise _no_scores(outputs, f"output {name!r} is not one row of scores")
    if labels and len(labels) != len(row):
        raise RoleError(
            f"{len(labels)} labels for {len(row)} classes", where=f"output {name}", instead="give option labels one word for each class"
        )
    likely = activated(row, activation)
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


def activated(row: Array, activation: str) -> Array:
    """A row of scores as probabilities, by the activation asked for."""
    if activation == "sigmoid":
        squashed: Array = 1 / (1 + np.exp(-np.clip(row, -60, 60)))
        return squashed
    return row if activation == "none" else probabilities(row)


def probabilities(row: Array) -> Array:
    """A softmax, unless the numbers already are probabilities."""
    if (row >= 0).all() and abs(float(row.sum()) - 1.0) < 1e-2:
        return row
    powers = np.exp(row - row.max())
    softened: Array = powers / powers.sum()
    return softened


def _score_output(outputs: Outputs, labels: list[str], least: int = 2) -> str:
    rows = {name: max(value.shape, default=1) for name, value in outputs.items() if value.size == max(value.shape, default=1)}
    for name, value in outputs.items():
        if labels and (rows.get(name) == len(labels) or (len(labels) > 1 and value.ndim and value.shape[-1] == len(labels))):
            return name
    for name, length in rows.items():
        if length >= least and np.issubdtype(outputs[name].dtype, np.floating):
            return name
    for name, length in rows.items():
        if length >= least and np.issubdtype(outputs[name].dtype, np.number):
            return name
    raise _no_scores(outputs, "none of the model's outputs is one row of scores")


def _no_scores(outputs: Outputs, what: str) -> RoleError:
    return RoleError(
        f"{what}; it gives {shapes(outputs)}",
        where="option decode: classes",
        instead="name the output in option scores, or set decode to boxes, keypoints, raw or a function of your own",
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
