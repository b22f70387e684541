"""From a model's raw outputs to an event that an artist can use: classes, boxes, masks, plain arrays, or a function of their own.

Exported models agree on little: some end in a softmax and some do not, some call their classes `names` in
their metadata and some say nothing. What can be seen from the numbers is seen; the rest is an option.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mesh.errors import RoleError
from mesh.role import Frame
from roles.inference.against import pooled
from roles.inference.boxes import find_things
from roles.inference.candidates import sigmoid, softmax
from roles.inference.intake import Array, Fit, Size
from roles.inference.keypoints import figures
from roles.inference.layers import Depth, Painted, masked, things_masked
from roles.inference.movement import Movement
from roles.inference.own_code import own_function
from roles.inference.spelling import spelled

SMALL_MAX = 64  # other outputs of up to so many numbers travel with the classes
MANY = 10  # so many scores that all lie in 0..1 are no logits
VECTOR_WORDS = ("embed", "pooler")
EVENT_NUMBERS_MAX = 4096  # larger outputs of a raw model are left out of the event

Outputs = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Found:
    """What a decoder read: the event's value, and what goes out on other streams (picture, values, text)."""

    event: Any
    more: dict[str, Any] = field(default_factory=dict)


Decoder = Callable[[Outputs, Fit, Size, Frame], Found]


def make_decoder(options: Any, labels: list[str], folder: Path, hints: Mapping[str, str], colour: str = "rgb") -> Decoder:
    """What option `decode` names: takes (outputs by name, fit, the model's picture size, frame). `hints` is the model's metadata,
    `colour` the order of its picture's channels."""
    if options.decode == "probability":
        likely = Probability(options, labels)
        return _in_words(lambda outputs, fit, size, frame: Found(likely(outputs, fit, size, frame)), options.decode)
    if options.decode in ("depth", "image", "flow"):
        return _in_words(_drawn(options, colour), options.decode)
    known: dict[str, Decoder] = {
        "classes": lambda outputs, fit, size, frame: Found(classes(outputs, labels, options.scores, options.activation, options.top)),
        "boxes": lambda outputs, fit, size, frame: _boxes(outputs, fit, size, frame, labels, options, hints),
        "keypoints": lambda outputs, fit, size, frame: _keypoints(figures(outputs, fit, size, labels, options, hints)),
        "mask": lambda outputs, fit, size, frame: _mask(outputs, fit, size, frame, labels, options),
        "letters": lambda outputs, fit, size, frame: _letters(outputs, labels, options),
        "embedding": lambda outputs, fit, size, frame: _embedding(outputs, options, size),
        "raw": lambda outputs, fit, size, frame: Found(raw(outputs), {"values": next(iter(outputs.values()))} if outputs else {}),
    }
    if options.decode in known:
        return _in_words(known[options.decode], options.decode)
    names = ", ".join([*known, "depth", "flow", "image", "probability"])
    own = own_function(options.decode, folder, "option decode", f"use {names}, or ")
    return lambda outputs, fit, size, frame: Found(own(dict(outputs), frame))


def _in_words(decode: Decoder, name: str) -> Decoder:
    """The same; what nobody foresaw that a model could give is said in words as well."""

    def read(outputs: Outputs, fit: Fit, size: Size, frame: Frame) -> Found:
        try:
            return decode(outputs, fit, size, frame)
        except (ValueError, IndexError, TypeError, ZeroDivisionError) as surprise:
            raise RoleError(
                f"what the model gives is no {name}: {shapes(outputs)} ({surprise})", where=f"option decode: {name}",
                instead="say in option named which output is what, set another decode, or a function of your own (./decode.py:name)",
            ) from surprise

    return read


def sides_of(frame: Frame, size: Size) -> tuple[int, int]:
    """(height, width) of the frame's picture; the model's own where there is none."""
    shape, kind = np.shape(frame.value), getattr(frame.value, "dtype", None)
    return (shape[0], shape[1]) if len(shape) in (2, 3) and kind == np.uint8 and size != (1, 1) else (size[1], size[0])


def _boxes(outputs: Outputs, fit: Fit, size: Size, frame: Frame, labels: list[str], options: Any, hints: Mapping[str, str]) -> Found:
    things = find_things(outputs, fit, size, labels, options, hints)
    if things.kept.shapes is None and things.kept.masks is None:
        return Found({"boxes": things.boxes})
    picture, numbers = things_masked(things, fit, size, sides_of(frame, size))
    return Found({"boxes": things.boxes}, {"picture": picture, "values": numbers})


def _keypoints(found: list[dict[str, Any]]) -> Found:
    """The figures, and where there are some their points as [figures, points, 3] for a model that reads those."""
    points = [figure["points"] for figure in found]
    return Found({"figures": found}, {"values": np.array(points, np.float32)} if points else {})


def _mask(outputs: Outputs, fit: Fit, size: Size, frame: Frame, labels: list[str], options: Any) -> Found:
    event, picture, values = masked(outputs, fit, size, sides_of(frame, size), labels, options)
    return Found(event, {"picture": picture, "values": values})


def _letters(outputs: Outputs, labels: list[str], options: Any) -> Found:
    event = spelled(outputs, labels, options)
    return Found(event, {"text": event["text"]} if event["text"] else {})


def _embedding(outputs: Outputs, options: Any, size: Size) -> Found:
    vector = embedding(outputs, options.scores, options.pooling, size != (1, 1))
    return Found({"values": vector.tolist()}, {"values": vector})


def _drawn(options: Any, colour: str) -> Decoder:
    """Decoders that remember the range of what came before."""
    depth, painted, movement = Depth(options), Painted(options, colour), Movement(options)

    def near(outputs: Outputs, fit: Fit, size: Size, frame: Frame) -> Found:
        event, picture, values = depth(outputs, fit, size, sides_of(frame, size))
        return Found(event, {"picture": picture, "values": values})

    def paint(outputs: Outputs, fit: Fit, size: Size, frame: Frame) -> Found:
        event, picture = painted(outputs, fit, size, sides_of(frame, size))
        return Found(event, {"picture": picture})

    def moved(outputs: Outputs, fit: Fit, size: Size, frame: Frame) -> Found:
        event, picture, values = movement(outputs, fit, size, sides_of(frame, size))
        return Found(event, {"picture": picture, "values": values})

    return {"depth": near, "image": paint, "flow": moved}[options.decode]


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
        return float(row[0]) if bare else float(sigmoid(row)[0])


def embedding(outputs: Outputs, wanted: str | None, pooling: str = "auto", seen: bool = True) -> Array:
    """The model's vector, float32 of length 1: of the output named, or whose name tells, or the first that is one row, or pooled of
    many."""
    rows = [name for name, value in outputs.items() if value.size == max(value.shape, default=1) > 1]
    told = [name for name in rows if any(word in name.lower() for word in VECTOR_WORDS)]
    others = [name for name, value in outputs.items() if value.size > 1]
    name = wanted or next(iter([*told, *rows, *others] if pooling == "auto" else [*others, *rows]), next(iter(outputs), ""))
    if name not in outputs:
        raise _no_scores(outputs, f"the model has no output {name!r}")
    if not outputs[name].size:
        raise _no_scores(outputs, f"output {name!r} is empty")
    vector = pooled(outputs[name], pooling, seen)
    length = float(np.linalg.norm(vector))
    return vector / length if length > 0 else vector


def classes(outputs: Outputs, labels: list[str], wanted: str | None, activation: str = "auto", top: int = 100) -> dict[str, Any]:
    """{"label", "score", "scores": {label: probability}} and, by their names, the model's other small outputs; of more than `top`
    classes the likeliest.

    Scores that are no probabilities yet go through a softmax. `wanted` names the output that holds them; without it, it is the
    one as long as `labels`, else the first row of more than one number.
    """
    name = wanted or _score_output(outputs, labels)
    if name not in outputs:
        raise _no_scores(outputs, f"the model has no output {name!r}")
    row = np.squeeze(_unquantised(outputs[name]))
    if row.ndim == 2 and min(row.shape) > 0:  # a sound in several stretches, each with its scores
        row = row.mean(axis=0)
    row = row.reshape(1) if row.ndim == 0 else row
    if row.ndim != 1:
        raise _no_scores(outputs, f"output {name!r} is not one row of scores")
    if labels and len(labels) != len(row):
        raise RoleError(
            f"{len(labels)} labels for {len(row)} classes", where=f"output {name}", instead="give option labels one word for each class"
        )
    likely = activated(row, activation)
    words = labels or [str(number) for number in range(len(likely))]
    best = int(likely.argmax())
    told = range(len(likely)) if len(likely) <= top else [int(at) for at in np.argsort(-likely, kind="stable")[:top]]
    found: dict[str, Any] = {
        "label": words[best],
        "score": round(float(likely[best]), 4),
        "scores": {words[at]: round(float(likely[at]), 4) for at in told},
    }
    for other, value in outputs.items():
        if other != name and value.size <= SMALL_MAX:
            found[other if other not in found else f"{other}_output"] = plain(np.squeeze(value))
    return found


def _unquantised(value: Array) -> Array:
    """Scores of one byte as 0..1, as quantised models give them; others as they are."""
    if value.dtype == np.uint8 or value.dtype == np.int8:
        return (value.astype(np.float64) - np.iinfo(value.dtype).min) / 255
    return value.astype(np.float64)


def activated(row: Array, activation: str) -> Array:
    """A row of scores as probabilities, by the activation asked for."""
    return sigmoid(row) if activation == "sigmoid" else row if activation == "none" else probabilities(row)


def probabilities(row: Array) -> Array:
    """A softmax, unless the numbers already are probabilities: of one thing out of many, or of many things apart."""
    whole = abs(float(row.sum()) - 1.0) < 1e-2
    if (row >= 0).all() and (whole or (len(row) >= MANY and (row <= 1).all())):
        return row
    return softmax(row)


def _score_output(outputs: Outputs, labels: list[str], least: int = 2) -> str:
    rows = {name: max(value.shape, default=1) for name, value in outputs.items() if value.size == max(value.shape, default=1)}
    for name, value in outputs.items():
        if labels and (rows.get(name) == len(labels) or (len(labels) > 1 and value.ndim and value.shape[-1] == len(labels))):
            return name
    for name, length in rows.items():
        if length >= least and np.issubdtype(outputs[name].dtype, np.floating):
            return name
    for name, value in outputs.items():  # a sound in several stretches
        if value.ndim == 2 and min(value.shape) > 1 and "score" in name.lower():
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
