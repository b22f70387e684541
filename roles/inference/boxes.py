"""Detectors: from what a model proposes to things in the picture, each once, best first; and their masks, where it gives those.

`families` reads the proposals; here what is faint or the same thing twice is left out, and places become those of the picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from roles.inference.candidates import Candidates
from roles.inference.families import read_boxes
from roles.inference.grids import prototypes
from roles.inference.intake import Array, Fit, Size
from roles.inference.turned import suppress_turned, turned_corners

WITHIN = 2.0  # boxes whose largest number is no larger than this are in 0..1 of the picture


@dataclass(frozen=True, slots=True)
class Things:
    """What is in the picture: `boxes` as events carry them, and `kept`, the same in the model's pixels, in the same order."""

    boxes: list[dict[str, Any]]
    kept: Candidates
    prototypes: Array | None = None


def find_boxes(outputs: Mapping[str, Array], fit: Fit, size: Size, labels: list[str], options: Any) -> list[dict[str, Any]]:
    """[{"label", "score", "box": [x0, y0, x1, y1] in 0..1 of the picture}], best first, overlaps of one label suppressed; with
    "points" [[x, y], …] where the model gives them, "corners" (four of these) and "angle" (radians, clockwise) of boxes that are turned."""
    return find_things(outputs, fit, size, labels, options, {}).boxes


def find_things(
    outputs: Mapping[str, Array], fit: Fit, size: Size, labels: list[str], options: Any, hints: Mapping[str, str]
) -> Things:
    """The same, with what masks are made of. `hints` is the export's metadata."""
    _, seen = read_boxes(outputs, size, labels, options, hints)
    seen = _in_pixels(seen.only(seen.scores >= options.min_score), size, options.unit)
    if seen.blended and seen.angles is None:
        seen = blended(seen, options.iou or seen.overlap)
        kept = list(range(len(seen.boxes)))
    elif seen.chosen and options.iou is None:
        kept = [int(at) for at in np.argsort(-seen.scores, kind="stable")]
    elif seen.angles is not None:
        kept = suppress_turned(seen.boxes, seen.angles, seen.scores, seen.kinds, options.iou or seen.overlap)
    else:
        kept = suppress(seen.boxes, seen.scores, seen.kinds, options.iou or seen.overlap)
    seen = seen.only(np.array(kept[: options.max_boxes], int))
    return Things([_event(seen, at, fit, labels) for at in range(len(seen.boxes))], seen, prototypes(outputs))


def _in_pixels(seen: Candidates, size: Size, unit: str) -> Candidates:
    """Boxes that are in 0..1 of the model's picture as its pixels."""
    if not len(seen.boxes) or unit == "pixels" or (unit == "auto" and float(np.abs(seen.boxes).max()) > WITHIN):
        return seen
    points = seen.points * np.array(size, np.float64) if seen.points is not None else None
    return replace(seen, boxes=seen.boxes * np.array([*size, *size], np.float64), points=points)


def _event(seen: Candidates, at: int, fit: Fit, labels: list[str]) -> dict[str, Any]:
    box, kind = seen.boxes[at : at + 1], int(seen.kinds[at])
    found: dict[str, Any] = {"label": labels[kind] if 0 <= kind < len(labels) else str(kind), "score": round(float(seen.scores[at]), 4)}
    if seen.angles is not None:
        around = fit.points_back(turned_corners(box, seen.angles[at : at + 1])[0])
        upright = np.clip(np.concatenate([around.min(axis=0), around.max(axis=0)]), 0.0, 1.0)
        angle = round(float(seen.angles[at]), 4)
        return {**found, "box": np.round(upright, 4).tolist(), "corners": np.round(around, 4).tolist(), "angle": angle}
    found["box"] = np.round(fit.back(box)[0], 4).tolist()
    if seen.points is not None:
        found["points"] = np.round(fit.points_back(seen.points[at]), 4).tolist()
    return found


def suppress(boxes: Array, scores: Array, kinds: Array, iou_max: float) -> list[int]:
    """Greedy non-maximum suppression within each kind; indices, best first. Boxes (n, 4) as x0, y0, x1, y1."""
    areas = np.prod(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None), axis=1)
    waiting, kept = np.argsort(-scores, kind="stable"), []
    while len(waiting):
        best, waiting = int(waiting[0]), waiting[1:]
        kept.append(best)
        waiting = waiting[(_overlaps(boxes, areas, best, waiting) <= iou_max) | (kinds[waiting] != kinds[best])]
    return kept


def _overlaps(boxes: Array, areas: Array, one: int, others: Array) -> Array:
    """Intersection by union of one box with others."""
    low, high = np.maximum(boxes[one, :2], boxes[others, :2]), np.minimum(boxes[one, 2:], boxes[others, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=1)
    return np.asarray(shared / np.maximum(areas[one] + areas[others] - shared, 1e-9))


def blended(seen: Candidates, iou_max: float) -> Candidates:
    """As MediaPipe chooses: what overlaps the surest is one thing with it, and lies at the mean of them all, weighed by their scores; it
    trembles less than the surest alone. Best first."""
    areas = np.prod(np.clip(seen.boxes[:, 2:] - seen.boxes[:, :2], 0, None), axis=1)
    waiting, kept, boxes, points = np.argsort(-seen.scores, kind="stable"), [], [], []
    while len(waiting):
        best = int(waiting[0])
        one = (_overlaps(seen.boxes, areas, best, waiting) > iou_max) & (seen.kinds[waiting] == seen.kinds[best])
        one[0] = True
        same, waiting = waiting[one], waiting[~one]
        weights = seen.scores[same] / max(float(seen.scores[same].sum()), 1e-9)
        kept.append(best)
        boxes.append(np.tensordot(weights, seen.boxes[same], 1))
        if seen.points is not None:
            points.append(np.tensordot(weights, seen.points[same], 1))
    chosen = seen.only(np.array(kept, int))
    marks = np.stack(points) if points else chosen.points
    return replace(chosen, boxes=np.reshape(boxes, (-1, 4)), points=marks)
