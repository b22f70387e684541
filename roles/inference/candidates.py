"""What a detector proposes, before anybody chooses: one class for all families, and the little arithmetic that they share."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from mesh.errors import RoleError
from roles.inference.intake import Array


@dataclass(frozen=True, slots=True)
class Candidates:
    """n proposals in the model's pixels. `boxes` (n, 4) as x0 y0 x1 y1, `scores` (n,), `kinds` (n,) the number of the class;
    where the model gives them: `points` (n, k, 2) and how `sure` they are (n, k), `angles` (n,) in radians, clockwise (the box then is the
    one before it is turned about its middle), `shapes` (n, m) weights of its prototypes of masks, `masks` (n, h, w) within the box, or
    of the `whole` picture, as probabilities or `raw`, before a sigmoid."""

    boxes: Array
    scores: Array
    kinds: Array
    points: Array | None = None
    sure: Array | None = None
    angles: Array | None = None
    shapes: Array | None = None
    masks: Array | None = None
    whole: bool = False
    raw: bool = False
    chosen: bool = False  # the model has left out what overlaps itself
    blended: bool = False  # what overlaps is one thing at the mean of their places, by their scores
    overlap: float = 0.5  # more of it, and two of a kind are one, where option iou says nothing

    def only(self, at: Any) -> Candidates:
        """Those at these places (indices or a mask), in this order."""
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        return Candidates(**{name: part[at] if isinstance(part, np.ndarray) else part for name, part in parts.items()})


def sigmoid(values: Array) -> Array:
    """1 / (1 + e^-x), without overflow."""
    squashed: Array = 1.0 / (1.0 + np.exp(-np.clip(values.astype(np.float64), -60, 60)))
    return squashed


def softmax(values: Array) -> Array:
    """Along the last axis."""
    powers = np.exp(values.astype(np.float64) - values.max(axis=-1, keepdims=True))
    softened: Array = powers / powers.sum(axis=-1, keepdims=True)
    return softened


def corners(centred: Array) -> Array:
    """centre x, centre y, width, height -> x0, y0, x1, y1."""
    middle, half = centred[:, :2].astype(np.float64), centred[:, 2:4].astype(np.float64) / 2
    return np.concatenate([middle - half, middle + half], axis=1)


def likely(rows: Array, activation: str, exclusive: bool = False) -> Array:
    """Scores as probabilities: as they are where they already are, else by the activation asked for, or by what they look like."""
    if activation == "none" or (activation == "auto" and (not rows.size or (rows.min() >= 0 and rows.max() <= 1))):
        return rows.astype(np.float64)
    if activation == "softmax" or (activation == "auto" and exclusive and rows.shape[1] > 1):
        return softmax(rows)
    return sigmoid(rows)


def foreground(scores: Array, labels: list[str], background: str) -> Array:
    """The scores without the column that says "nothing here"."""
    if background == "auto":
        background = "first" if scores.shape[1] == 2 or 0 < len(labels) == scores.shape[1] - 1 else "none"
    return scores[:, 1:] if background == "first" else scores[:, :-1] if background == "last" else scores


def best(boxes: Array, scores: Array, points: Array | None = None, **more: Any) -> Candidates:
    """Each proposal as what it most likely is; `scores` (n, classes)."""
    if scores.ndim != 2 or not scores.shape[1]:
        raise RoleError(
            f"the model gives boxes without scores ({list(scores.shape)})", where="option decode: boxes",
            instead="set option labels to the model's classes, and background: none where there is no class for nothing",
        )  # fmt: skip
    return Candidates(boxes, scores.max(axis=1), scores.argmax(axis=1), points, **more)
