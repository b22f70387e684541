"""Detectors that speak in distances from a grid or from anchors: their numbers as boxes, scores and points.

Each function takes a model's outputs and the size of its picture and gives (boxes as x0 y0 x1 y1 in the model's pixels, scores for
each class, points in pixels or None). Sources of the layouts: YuNet (opencv_zoo, face_detection_yunet), BlazeFace and BlazePalm
(MediaPipe's SsdAnchorsCalculator), RetinaFace and SSD (Liu et al. 2016: centre and size with variances), SCRFD (InsightFace),
YOLOX (Megvii), YOLOv3 to v7 (raw heads of shape [batch, anchors, rows, columns, 5 + classes] or with these in the channels).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mesh.errors import RoleError
from roles.inference.intake import Array, Size

Found = tuple[Array, Array, Array | None]
YOLO_ANCHORS = [[10, 13], [16, 30], [33, 23], [30, 61], [62, 45], [59, 119], [116, 90], [156, 198], [373, 326]]
RETINAFACE = ([8, 16, 32], [[16, 32], [64, 128], [256, 512]])
RATIO_MAX = 1000.0  # no box is more often as large as its anchor: numbers beyond are of a model that is not what was said


def sigmoid(values: Array) -> Array:
    """1 / (1 + e^-x), without overflow."""
    squashed: Array = 1.0 / (1.0 + np.exp(-np.clip(values.astype(np.float64), -60, 60)))
    return squashed


def cells(size: Size, step: int, each: int = 1) -> Array:
    """The (column, row) of every cell of a grid, row by row, each `each` times: (n, 2)."""
    columns, rows = -(-size[0] // step), -(-size[1] // step)
    grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2)
    return np.repeat(grid, each, axis=0).astype(np.float64)


def corners(centred: Array) -> Array:
    """centre x, centre y, width, height -> x0, y0, x1, y1."""
    middle, half = centred[:, :2].astype(np.float64), centred[:, 2:4].astype(np.float64) / 2
    return np.concatenate([middle - half, middle + half], axis=1)


def yunet(outputs: Mapping[str, Array], size: Size) -> Found:
    """cls_8, obj_8, bbox_8, kps_8 and so on for 16 and 32."""
    boxes, scores, points = [], [], []
    for step in sorted({int(name.rsplit("_", 1)[1]) for name in outputs if name.startswith("cls_")}):
        grid = cells(size, step)
        sure = np.clip(_rows(outputs[f"cls_{step}"], 1), 0, 1) * np.clip(_rows(outputs[f"obj_{step}"], 1), 0, 1)
        said = _rows(outputs[f"bbox_{step}"], 4)
        middle, sides = (grid + said[:, :2]) * step, np.minimum(np.exp(np.clip(said[:, 2:], -20, 20)), RATIO_MAX) * step
        boxes.append(corners(np.concatenate([middle, sides], axis=1)))
        scores.append(np.sqrt(sure))
        if f"kps_{step}" in outputs:
            points.append((_rows(outputs[f"kps_{step}"], 10).reshape(-1, 5, 2) + grid[:, None]) * step)
    return np.concatenate(boxes), np.concatenate(scores), np.concatenate(points) if points else None


def scrfd(outputs: Mapping[str, Array], size: Size) -> Found:
    """Scores (n, 1), distances to the four sides (n, 4) and points (n, 10) for steps 8, 16 and 32, in steps; two anchors a cell."""
    by_width: dict[int, list[Array]] = {}
    for value in outputs.values():
        by_width.setdefault(value.shape[-1], []).append(_rows(value, value.shape[-1]))
    boxes, scores, points = [], [], []
    for rows in sorted(by_width.get(4, []), key=len, reverse=True):
        step = next((step for step in (8, 16, 32, 64, 128) for each in (1, 2) if len(cells(size, step)) * each == len(rows)), 0)
        sure = next((each for each in by_width.get(1, []) if len(each) == len(rows)), None)
        if not step or sure is None:
            raise RoleError(
                f"the model's {len(rows)} boxes are no grid over a picture of {size[0]}x{size[1]}", where="option detector: scrfd",
                instead="set option size to what the model was made for, or another detector",
            )  # fmt: skip
        middle = cells(size, step, len(rows) // len(cells(size, step))) * step
        reach = rows * step
        boxes.append(np.concatenate([middle - reach[:, :2], middle + reach[:, 2:]], axis=1))
        scores.append(sure)
        marks = next((each for each in by_width.get(10, []) if len(each) == len(rows)), None)
        if marks is not None:
            points.append(middle[:, None] + marks.reshape(-1, 5, 2) * step)
    return np.concatenate(boxes), np.concatenate(scores), np.concatenate(points) if len(points) == len(boxes) else None


def priors(locations: Array, scores: Array, marks: Array | None, size: Size, steps: Sequence[int], sizes: Any, variance: Any) -> Found:
    """SSD's and RetinaFace's way: centre and size as multiples of a prior's, with variances."""
    held = []
    for step, sides in zip(steps, sizes, strict=True):
        grid = (cells(size, step, len(sides)) + 0.5) * step
        held.append(np.concatenate([grid, np.repeat(np.tile(sides, len(grid) // len(sides))[:, None], 2, axis=1)], axis=1))
    prior = np.concatenate(held)
    if len(prior) != len(locations):
        raise RoleError(
            f"the model gives {len(locations)} boxes, the priors of a picture of {size[0]}x{size[1]} are {len(prior)}",
            where="option priors",
            instead="set option priors (steps and sizes) and size to what the model was trained with",
        )  # fmt: skip
    middle = prior[:, :2] + locations[:, :2] * variance[0] * prior[:, 2:]
    sides = prior[:, 2:] * np.minimum(np.exp(np.clip(locations[:, 2:] * variance[1], -20, 20)), RATIO_MAX)
    points = None
    if marks is not None:
        points = prior[:, None, :2] + marks.reshape(len(prior), -1, 2) * variance[0] * prior[:, None, 2:]
    return corners(np.concatenate([middle, sides], axis=1)), scores, points


def blaze(numbers: Array, scores: Array, size: Size) -> Found:
    """MediaPipe's: offsets in pixels from the middles of cells, then points. Grids by how many there are: a fine one with two anchors a
    cell and a coarse one with six, or one fine one with one (full range)."""
    count = len(numbers)
    plans = [[(8, 2), (16, 6)], [(16, 2), (32, 6)], [(4, 1)], [(8, 2), (16, 2), (32, 2)], [(4, 2)]]
    for plan in plans:
        middles = [(cells(size, step, each) + 0.5) * step for step, each in plan]
        if sum(map(len, middles)) == count:
            break
    else:
        raise RoleError(
            f"the model's {count} anchors are none that MediaPipe uses for a picture of {size[0]}x{size[1]}",
            where="option detector: blaze",
            instead="set option size to what the model was made for, or decode with a function of your own",
        )  # fmt: skip
    middle = np.concatenate(middles)
    boxes = corners(np.concatenate([numbers[:, :2] + middle, numbers[:, 2:4]], axis=1))
    points = numbers[:, 4:].reshape(count, -1, 2) + middle[:, None] if numbers.shape[1] > 4 else None
    return boxes, sigmoid(scores), points


def yolox(rows: Array, size: Size) -> Found:
    """YOLOX before its boxes are placed: offsets and logarithms of sides, in steps of 8, 16 and 32."""
    grids = [(cells(size, step), step) for step in (8, 16, 32)]
    if sum(len(grid) for grid, _ in grids) != len(rows):
        raise RoleError(
            f"the model gives {len(rows)} boxes, the grids of a picture of {size[0]}x{size[1]} are {sum(len(grid) for grid, _ in grids)}",
            where="option detector: yolox", instead="set option size to what the model was made for, or detector: yolo5",
        )  # fmt: skip
    grid = np.concatenate([grid for grid, _ in grids])
    step = np.concatenate([np.full((len(grid), 1), step) for grid, step in grids])
    sides = np.minimum(np.exp(np.clip(rows[:, 2:4].astype(np.float64), -20, 20)), RATIO_MAX) * step
    boxes = corners(np.concatenate([(rows[:, :2] + grid) * step, sides], axis=1))
    return boxes, rows[:, 4:5] * rows[:, 5:] if rows.shape[1] > 5 else rows[:, 4:5], None


def yolo_heads(outputs: Mapping[str, Array], size: Size, anchors: Sequence[Sequence[float]]) -> Found:
    """YOLOv5's and v7's raw heads: sigmoid of everything, anchors small to large. [1, a, h, w, 5 + c] or [1, a * (5 + c), h, w]."""
    heads = sorted((value for value in outputs.values() if value.ndim in (4, 5)), key=lambda value: value.size, reverse=True)
    each = len(anchors) // max(1, len(heads))
    if not heads or not each:
        raise RoleError("the model has no raw heads of a YOLO", where="option detector: yolo_heads", instead="set another detector")
    boxes, scores = [], []
    for at, head in enumerate(heads):
        if head.ndim == 4:
            if head.shape[1] % each:
                head = head.transpose(0, 3, 1, 2)
            head = head.reshape(1, each, head.shape[1] // each, *head.shape[2:]).transpose(0, 1, 3, 4, 2)
        said = sigmoid(head[0])
        rows, columns = said.shape[1:3]
        grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1)[None]
        step = np.array([size[0] / columns, size[1] / rows])
        sides = np.array(anchors[at * each : (at + 1) * each], np.float64)[:, None, None]
        centred = np.concatenate([(said[..., :2] * 2 - 0.5 + grid) * step, (said[..., 2:4] * 2) ** 2 * sides], axis=-1)
        boxes.append(corners(centred.reshape(-1, 4)))
        scores.append((said[..., 4:5] * said[..., 5:] if said.shape[-1] > 5 else said[..., 4:5]).reshape(len(boxes[-1]), -1))
    return np.concatenate(boxes), np.concatenate(scores), None


def _rows(value: Array, width: int) -> Array:
    """[1, n, width], [n, width], or [1, width, h, w] as (n, width), float64."""
    if value.ndim == 4 and value.shape[1] == width and value.shape[3] != width:
        value = value.transpose(0, 2, 3, 1)
    return value.reshape(-1, width).astype(np.float64)
