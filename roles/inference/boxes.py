"""Detectors: from the outputs of the usual exports to boxes in the picture.

A dozen families cover nearly every detector that can be downloaded. Those that give boxes: YOLOv8's grid [1, 4 + classes, n],
YOLOv5's [1, n, 5 + classes], exports with suppression built in [1, n, 6] (YOLOv10 too), separate outputs for boxes and scores (SSD,
UltraFace, RetinaNet, TensorFlow's zoo), DETR's pair without suppression. Those that give distances from a grid are in `anchors`.
Which one it is shows in names and shapes; option `detector` settles a doubt. Layouts as in Ultralytics' export documentation,
TensorFlow's object detection API and Hugging Face's DETR.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mesh.errors import RoleError
from roles.inference import anchors
from roles.inference.anchors import Found, corners, sigmoid
from roles.inference.intake import Array, Fit, Size

ENDED_ROWS_MAX = 1000  # an export with suppression built in gives at most so many rows
WITHIN = 2.0  # boxes whose largest number is no larger than this are in 0..1 of the picture


def find_boxes(outputs: Mapping[str, Array], fit: Fit, size: Size, labels: list[str], options: Any) -> list[dict[str, Any]]:
    """[{"label", "score", "box": [x0, y0, x1, y1] in 0..1 of the picture}], best first, overlaps of one label suppressed; with
    "points" [[x, y], …] where the model gives them."""
    boxes, scores, kinds, points = read_boxes(outputs, size, labels, options)
    good = scores >= options.min_score
    boxes, scores, kinds = boxes[good], scores[good], kinds[good]
    points = points[good] if points is not None else None
    if len(boxes) and float(np.abs(boxes).max()) <= WITHIN:  # already 0..1 of the model's picture
        boxes = boxes * np.array([*size, *size], np.float64)
        points = points * np.array(size, np.float64) if points is not None else None
    order = np.argsort(-scores, kind="stable")
    kept = suppress(boxes, scores, kinds, options.iou) if family_of(outputs, labels, options) != "detr" else [int(at) for at in order]
    found = []
    for at in kept[: options.max_boxes]:
        place = np.round(fit.back(boxes[at : at + 1])[0], 4).tolist()
        found.append({"label": _label(labels, int(kinds[at])), "score": round(float(scores[at]), 4), "box": place})
        if points is not None:
            found[-1]["points"] = np.round(fit.points_back(points[at]), 4).tolist()
    return found


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


def family_of(outputs: Mapping[str, Array], labels: list[str], options: Any) -> str:
    """The family by option, names and shapes; RoleError that describes the outputs when it is none."""
    if options.detector != "auto":
        return str(options.detector)
    names, last = [name.lower() for name in outputs], [value.shape[-1] if value.ndim else 0 for value in outputs.values()]
    if all(any(name.startswith(part) for name in names) for part in ("cls_", "obj_", "bbox_")):
        return "yunet"
    if options.priors is not None or (last.count(4) == 1 and last.count(10) == 1 and last.count(2) == 1):
        return "priors"
    if len(outputs) in (6, 9) and last.count(4) == 3 and last.count(1) == 3:
        return "scrfd"
    fewest = min(value.size // max(1, value.shape[-1]) if value.ndim else 1 for value in outputs.values())
    if len(outputs) in (2, 4) and set(last) in ({1, 16}, {1, 18}) and fewest > 300:
        return "blaze"
    if len(outputs) == 2 and _is_detr(outputs):
        return "detr"
    if _pair(outputs) is not None:
        return "pair"
    heads = [value for value in outputs.values() if value.ndim == 5 or (value.ndim == 4 and min(value.shape[1:]) > 1)]
    if len(heads) >= 2 and not _grids(outputs):
        return "yolo_heads"
    grids = _grids(outputs)
    if not grids:
        raise _unknown(outputs)
    return _grid_family(_flat(grids[0]), labels)


def read_boxes(outputs: Mapping[str, Array], size: Size, labels: list[str], options: Any) -> tuple[Array, Array, Array, Array | None]:
    """(boxes (n, 4) as x0 y0 x1 y1, scores (n,), kinds (n,), points (n, k, 2) or None) of whichever family this is."""
    family = family_of(outputs, labels, options)
    if family in ("yunet", "blaze", "scrfd", "priors", "yolox", "yolo_heads"):
        return _best(_from_grid(family, outputs, size, labels, options), labels)
    if family in ("pair", "detr"):
        pair = _pair(outputs)
        if pair is None:
            raise _unknown(outputs)
        return (*_from_pair(outputs, *pair, labels, options, family), None)
    grids = _grids(outputs)
    if not grids:
        raise _unknown(outputs)
    grid = _flat(grids[0])
    if family == "yolo8":
        rows = grid.T if grid.shape[0] < grid.shape[1] else grid
        said = _classes(rows[:, 4 : 4 + len(labels)] if 0 < len(labels) < rows.shape[1] - 4 else rows[:, 4:], options.activation)
        return corners(rows[:, :4]), said.max(axis=1), said.argmax(axis=1), None
    if family == "yolo5":
        rows = grid if grid.shape[1] < grid.shape[0] else grid.T
        sure = rows[:, 5:].max(axis=1) if rows.shape[1] > 5 else 1.0
        kinds = rows[:, 5:].argmax(axis=1) if rows.shape[1] > 5 else np.zeros(len(rows), int)
        return corners(rows[:, :4]), rows[:, 4] * sure, kinds, None
    if grid.shape[1] == 7:  # a number of the picture comes first: ends of YOLOv7
        return grid[:, 1:5].astype(np.float64), grid[:, 6], grid[:, 5].astype(int), None
    return _ordered(grid[:, :4].astype(np.float64), options.box_order), grid[:, 4], grid[:, 5].astype(int), None


def _from_grid(family: str, outputs: Mapping[str, Array], size: Size, labels: list[str], options: Any) -> Found:
    """Boxes of a family that gives distances from a grid."""
    if family == "yunet":
        return anchors.yunet(outputs, size)
    if family == "scrfd":
        return anchors.scrfd(outputs, size)
    if family == "yolo_heads":
        return anchors.yolo_heads(outputs, size, options.anchors or anchors.YOLO_ANCHORS)
    if family == "yolox":
        grids = _grids(outputs)
        if not grids:
            raise _unknown(outputs)
        grid = _flat(grids[0])
        return anchors.yolox(grid if grid.shape[1] < grid.shape[0] else grid.T, size)
    flat = sorted((value.reshape(-1, value.shape[-1]) for value in outputs.values()), key=lambda value: value.shape[1])
    if family == "blaze":
        wide, narrow = ([each for each in flat if (each.shape[1] > 1) == many] for many in (True, False))
        if not wide or not narrow:
            raise _unknown(outputs)
        joined = [np.concatenate(sorted(part, key=len, reverse=True)) for part in (wide, narrow)]  # the fine grid first
        return anchors.blaze(joined[0].astype(np.float64), joined[1], size)
    locations = next((value for value in flat if value.shape[1] == 4), None)
    marks = next((value for value in flat if value.shape[1] >= 10 and value.shape[1] != len(labels) + 1), None)
    sure = next((value for value in flat if value is not locations and value is not marks), None)
    if locations is None or sure is None:
        raise _unknown(outputs)
    steps, sizes, variance = (*anchors.RETINAFACE, [0.1, 0.2])
    if options.priors is not None:
        steps, sizes, variance = options.priors.steps, options.priors.sizes, options.priors.variance
    likely = _foreground(_classes(sure.astype(np.float64), options.activation, options.background != "none"), labels, options.background)
    return anchors.priors(locations.astype(np.float64), likely, marks, size, steps, sizes, variance)


def _best(found: Found, labels: list[str]) -> tuple[Array, Array, Array, Array | None]:
    boxes, scores, points = found
    return boxes, scores.max(axis=1), scores.argmax(axis=1), points


def _grids(outputs: Mapping[str, Array]) -> list[Array]:
    """Outputs that are rows of boxes with their scores."""
    return [value for value in outputs.values() if value.ndim in (2, 3) and (min(value.shape[-2:]) >= 5 or value.shape[-1] in (6, 7))]


def _flat(grid: Array) -> Array:
    return grid[0] if grid.ndim == 3 else grid


def _grid_family(grid: Array, labels: list[str]) -> str:
    """yolo8, yolo5 or ended, by the shape (rows, columns) and the number of labels."""
    rows, columns = grid.shape
    numbered = columns == 7 and len(labels) not in (2, 3) and not grid[:, 0].any()  # the number of the picture, 0
    if rows <= ENDED_ROWS_MAX and (numbered or (columns == 6 and len(labels) != 1)):
        return "ended"
    channels = min(rows, columns)
    if labels and channels in (4 + len(labels), 5 + len(labels)):
        return "yolo8" if channels == 4 + len(labels) else "yolo5"
    return "yolo8" if rows < columns else "yolo5"


def _classes(rows: Array, activation: str, exclusive: bool = False) -> Array:
    """Scores as probabilities: as they are where they already are, else by the activation asked for, or by what they look like."""
    if activation == "none" or (activation == "auto" and (not rows.size or (rows.min() >= 0 and rows.max() <= 1))):
        return rows.astype(np.float64)
    if activation == "softmax" or (activation == "auto" and exclusive and rows.shape[1] > 1):
        powers = np.exp(rows - rows.max(axis=1, keepdims=True))
        softened: Array = powers / powers.sum(axis=1, keepdims=True)
        return softened
    return sigmoid(rows)


def _foreground(scores: Array, labels: list[str], background: str) -> Array:
    """The scores without the column that says "nothing here"."""
    if background == "auto":
        background = "first" if scores.shape[1] == 2 or len(labels) == scores.shape[1] - 1 else "none"
    return scores[:, 1:] if background == "first" else scores[:, :-1] if background == "last" else scores


def _is_detr(outputs: Mapping[str, Array]) -> bool:
    """Logits of each query beside boxes in 0..1: at most some hundred queries, numbers below 0 among the scores."""
    if not any("logit" in name.lower() for name in outputs):
        return False
    return any(value.ndim == 3 and value.shape[-1] == 4 and value.shape[-2] <= ENDED_ROWS_MAX for value in outputs.values())


def _ordered(boxes: Array, order: str) -> Array:
    """Boxes in another order of numbers as x0, y0, x1, y1."""
    if order == "yxyx":
        return boxes[:, [1, 0, 3, 2]]
    if order == "cxcywh":
        return corners(boxes)
    if order == "xywh":
        return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    return boxes


def _pair(outputs: Mapping[str, Array]) -> tuple[str, str, str | None] | None:
    """The names of the outputs for boxes, scores and (where apart) kinds; None when this is no such model."""
    boxes = [name for name, value in outputs.items() if value.ndim >= 2 and value.shape[-1] == 4]
    if len(boxes) > 1:  # scores of three classes and a column for nothing are four wide as well
        boxes = [name for name in boxes if any(word in name.lower() for word in ("box", "loc"))]
    if len(boxes) > 1:  # TensorFlow's zoo gives them before suppression as well
        boxes = [name for name in boxes if not name.lower().startswith("raw_")]
    if len(boxes) != 1:
        return None
    count = outputs[boxes[0]].size // 4
    raw = any(name.lower().startswith("raw_") for name in outputs)
    rest = {name: value for name, value in outputs.items() if name != boxes[0] and value.size % max(count, 1) == 0}
    if raw:
        rest = {name: value for name, value in rest.items() if name in ("detection_scores", "detection_classes")}
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
    outputs: Mapping[str, Array], boxes_name: str, scores_name: str, kinds_name: str | None, labels: list[str], options: Any, family: str
) -> tuple[Array, Array, Array]:
    boxes = outputs[boxes_name].reshape(-1, 4).astype(np.float64)
    if not len(boxes):
        return boxes, np.zeros(0), np.zeros(0, int)
    order = options.box_order
    if order == "auto":
        order = "cxcywh" if family == "detr" else "yxyx" if "detection_boxes" in boxes_name else "xyxy"
    boxes = _ordered(boxes, order)
    if kinds_name is not None:
        kinds = outputs[kinds_name].reshape(-1).astype(int)
        first = 1 if "detection_classes" in kinds_name else 0  # TensorFlow's zoo counts from 1
        return boxes, outputs[scores_name].reshape(-1).astype(np.float64), kinds - first
    value = outputs[scores_name]
    if value.ndim >= 2 and value.shape[-1] == len(boxes) and value.shape[-2] != len(boxes):
        value = np.swapaxes(value, -1, -2)  # classes before boxes
    scores = value.reshape(len(boxes), -1).astype(np.float64)
    if family == "detr":  # DETR has a class for nothing, the last; its followers (RT-DETR, Deformable) have none and use sigmoids
        nothing = options.background == "last" or (options.background == "auto" and len(labels) == scores.shape[1] - 1)
        nothing = nothing or (options.background == "auto" and options.activation in ("auto", "softmax") and scores.shape[1] in (92, 251))
        scores = _classes(scores, "softmax" if nothing and options.activation == "auto" else options.activation)
        scores = scores[:, :-1] if nothing else scores
    else:
        scores = _classes(scores, options.activation, exclusive=True)
        scores = _foreground(scores, labels, options.background)
    return boxes, scores.max(axis=1), scores.argmax(axis=1)


def _unknown(outputs: Mapping[str, Array]) -> RoleError:
    given = ", ".join(f"{name} {list(value.shape)}" for name, value in outputs.items())
    return RoleError(
        f"the model's outputs are no boxes that Roomful knows: {given}",
        where="option decode: boxes",
        instead="set option detector, or decode with a function of your own (./roles.py:its_name)",
    )
