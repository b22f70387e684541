"""Detectors: from the outputs of the usual exports to boxes in the picture.

Four families cover nearly every detector that can be downloaded: YOLOv8's grid [1, 4 + classes, n], YOLOv5's
[1, n, 5 + classes], exports with suppression built in [1, n, 6], and separate outputs for boxes and scores
(SSD, RetinaNet, TensorFlow's zoo). Which one it is shows in the shapes; option `detector` settles a doubt.
Layouts as in Ultralytics' export documentation and TensorFlow's object detection API.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mesh.errors import RoleError
from roles.inference.intake import Array, Fit, Size

ENDED_ROWS_MAX = 1000  # an export with suppression built in gives at most so many rows


def find_boxes(outputs: Mapping[str, Array], fit: Fit, size: Size, labels: list[str], options: Any) -> list[dict[str, Any]]:
    """[{"label", "score", "box": [x0, y0, x1, y1] in 0..1 of the picture}], best first, overlaps of one label suppressed."""
    boxes, scores, kinds = _read(outputs, size, labels, options)
    good = scores >= options.min_score
    boxes, scores, kinds = boxes[good], scores[good], kinds[good]
    if len(boxes) and float(boxes.max()) <= 2.0:  # already 0..1 of the model's picture
        boxes = boxes * np.array([*size, *size], np.float64)
    kept = suppress(boxes, scores, kinds, options.iou)[: options.max_boxes]
    places = np.round(fit.back(boxes[kept]), 4)
    return [
        {"label": _label(labels, int(kinds[at])), "score": round(float(scores[at]), 4), "box": place.tolist()}
        for at, place in zip(kept, places, strict=True)
    ]


def suppress(boxes: Array, scores: Array, kinds: Array, iou_max: float) -> list[int]:
    """Greedy non-maximum suppression within each kind; indices, best first. Boxes (n, 4) as x0, y0, x1, y1."""
    areas = np.prod(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None), axis=1)
    waiting, kept = np.argsort(-scores, kind="stable"), []
    while len(waiting):
        best, waiting = int(waiting[0]), waiting[1:]
        kept.append(best)
        low, high = np.maximum(boxes[best, :2], boxes[waiting, :2]), np.minimum(boxes[best, 2:], boxes[waiting, 2:])
        shared = np.prod(np.clip(high - low, 0, None), axis=1)
        overlap = shared / np.maximum(areas[best] + areas[waiting] - shared, 1e-9)
        waiting = waiting[(overlap <= iou_max) | (kinds[waiting] != kinds[best])]
    return kept


def _label(labels: list[str], kind: int) -> str:
    return labels[kind] if 0 <= kind < len(labels) else str(kind)


def _read(outputs: Mapping[str, Array], size: Size, labels: list[str], options: Any) -> tuple[Array, Array, Array]:
    """(boxes (n, 4) as x0 y0 x1 y1, scores (n,), kinds (n,)) of whichever family this is."""
    grids = [value for value in outputs.values() if value.ndim in (2, 3) and (min(value.shape[-2:]) >= 5 or value.shape[-1] == 6)]
    pair = _pair(outputs)
    if options.detector == "pair" or (options.detector == "auto" and pair is not None):
        if pair is None:
            raise _unknown(outputs)
        return _from_pair(outputs, *pair, labels, options.box_order)
    if not grids:
        raise _unknown(outputs)
    grid = grids[0][0] if grids[0].ndim == 3 else grids[0]
    family = options.detector if options.detector != "auto" else _family(grid, labels)
    if family == "yolo8":
        rows = grid.T if grid.shape[0] < grid.shape[1] else grid
        return _corners(rows[:, :4]), rows[:, 4:].max(axis=1), rows[:, 4:].argmax(axis=1)
    if family == "yolo5":
        rows = grid if grid.shape[1] < grid.shape[0] else grid.T
        sure = rows[:, 5:].max(axis=1) if rows.shape[1] > 5 else 1.0
        kinds = rows[:, 5:].argmax(axis=1) if rows.shape[1] > 5 else np.zeros(len(rows), int)
        return _corners(rows[:, :4]), rows[:, 4] * sure, kinds
    return grid[:, :4].astype(np.float64), grid[:, 4], grid[:, 5].astype(int)


def _family(grid: Array, labels: list[str]) -> str:
    """yolo8, yolo5 or ended, by the shape (rows, columns) and the number of labels."""
    rows, columns = grid.shape
    if columns == 6 and rows <= ENDED_ROWS_MAX and len(labels) != 1:
        return "ended"
    channels = min(rows, columns)
    if labels and channels in (4 + len(labels), 5 + len(labels)):
        return "yolo8" if channels == 4 + len(labels) else "yolo5"
    return "yolo8" if rows < columns else "yolo5"


def _corners(centred: Array) -> Array:
    """centre x, centre y, width, height -> x0, y0, x1, y1."""
    middle, half = centred[:, :2].astype(np.float64), centred[:, 2:].astype(np.float64) / 2
    return np.concatenate([middle - half, middle + half], axis=1)


def _pair(outputs: Mapping[str, Array]) -> tuple[str, str, str | None] | None:
    """The names of the outputs for boxes, scores and (where apart) kinds; None when this is no such model."""
    boxes = [name for name, value in outputs.items() if value.ndim >= 2 and value.shape[-1] == 4]
    if len(boxes) > 1:  # scores of three classes and a column for nothing are four wide as well
        boxes = [name for name in boxes if any(word in name.lower() for word in ("box", "loc"))]
    if len(boxes) != 1:
        return None
    count = outputs[boxes[0]].size // 4
    rest = {name: value for name, value in outputs.items() if name != boxes[0] and value.size % max(count, 1) == 0}
    flat = [name for name, value in rest.items() if value.size == count]
    wide = [name for name, value in rest.items() if value.size > count and value.ndim >= 2]
    if wide:
        return boxes[0], wide[0], None
    kinds = next((name for name in flat if _holds_kinds(name, outputs[name])), None)
    scores = next((name for name in flat if name != kinds), None)
    return (boxes[0], scores, kinds) if scores is not None else None


def _holds_kinds(name: str, values: Array) -> bool:
    return np.issubdtype(values.dtype, np.integer) or any(word in name.lower() for word in ("class", "label"))


def _from_pair(
    outputs: Mapping[str, Array], boxes_name: str, scores_name: str, kinds_name: str | None, labels: list[str], order: str
) -> tuple[Array, Array, Array]:
    boxes = outputs[boxes_name].reshape(-1, 4).astype(np.float64)
    if not len(boxes):
        return boxes, np.zeros(0), np.zeros(0, int)
    if order == "auto":
        order = "yxyx" if "detection_boxes" in boxes_name else "xyxy"
    if order == "yxyx":
        boxes = boxes[:, [1, 0, 3, 2]]
    elif order == "cxcywh":
        boxes = _corners(boxes)
    elif order == "xywh":
        boxes = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    scores = outputs[scores_name].reshape(len(boxes), -1).astype(np.float64)
    if kinds_name is not None:
        kinds = outputs[kinds_name].reshape(-1).astype(int)
        first = 1 if "detection_classes" in kinds_name else 0  # TensorFlow's zoo counts from 1
        return boxes, scores[:, 0], kinds - first
    if scores.shape[1] == 1:
        return boxes, scores[:, 0], np.zeros(len(boxes), int)
    background = scores.shape[1] == 2 or len(labels) == scores.shape[1] - 1  # column 0 says "nothing here"
    scores = scores[:, 1:] if background else scores
    return boxes, scores.max(axis=1), scores.argmax(axis=1)


def _unknown(outputs: Mapping[str, Array]) -> RoleError:
    given = ", ".join(f"{name} {list(value.shape)}" for name, value in outputs.items())
    return RoleError(
        f"the model's outputs are no boxes that Roomful knows: {given}",
        where="option decode: boxes",
        instead="set option detector, or decode with a function of your own (./roles.py:its_name)",
    )
