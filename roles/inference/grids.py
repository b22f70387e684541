"""Detectors whose one output is rows of boxes with their scores: YOLOv5, YOLOv8 and what grew of them, and exports that end in suppression.

    yolo8    [1, 4 + classes (+ masks' weights, or points), n], or transposed
    yolo5    [1, n, 5 + classes (+ masks' weights)]
    turned   [1, 4 + classes + 1, n]: the last number is an angle (YOLOv8-obb)
    ended    [1, n, 6]: x0 y0 x1 y1 score class (YOLOv10); with a picture's number before (YOLOv7, YOLO-NAS), weights of masks or an
             angle after; PaddleDetection's have the class and the score before the box

An export from Ultralytics says in its metadata what it is (`task`, `names`, `kpt_shape`); that is believed before shapes.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

import numpy as np

from roles.inference.candidates import Candidates, best, corners, likely
from roles.inference.distances import grids_of, is_distances
from roles.inference.intake import Array, Size
from roles.inference.pairs import ordered

ENDED_ROWS_MAX = 1000  # an export with suppression built in gives at most so many rows


def grids(outputs: Mapping[str, Array]) -> list[Array]:
    """Outputs that are rows of boxes with their scores, without the batch."""
    wide = [value for value in outputs.values() if value.ndim in (2, 3) and (min(value.shape[-2:]) >= 5 or value.shape[-1] in (6, 7))]
    return [value[0] if value.ndim == 3 else value for value in wide]


def prototypes(outputs: Mapping[str, Array]) -> Array | None:
    """(m, h, w): what masks are mixed from, where the model gives it beside its rows: [1, 32, 160, 160], or with the channels last."""
    maps = [value[0] for value in outputs.values() if value.ndim == 4 and min(value.shape[1:]) >= 4 and max(value.shape[1:]) > 8]
    if len(maps) != 1:
        return None
    value = maps[0]
    return value.transpose(2, 0, 1) if value.shape[2] < min(value.shape[:2]) else value


def grid_family(grid: Array, size: Size, labels: list[str], hints: Mapping[str, str], masks: int) -> str:
    """Which of the families one output is, by the export's own word, its shape and the number of labels."""
    rows, columns = grid.shape
    task = hints.get("task", "")
    if rows <= ENDED_ROWS_MAX and _has_ended(grid, labels, hints, masks):
        return "ended"
    if task == "obb":
        return "turned"
    channels = min(rows, columns) - masks
    if rows > columns and _is_nanodet(grid, size, labels):
        return "nanodet"
    if channels == columns - masks and rows > columns and _is_yolox(grid, size, labels):
        return "yolox"
    if labels and channels in (4 + len(labels), 5 + len(labels)):
        if channels == 5 + len(labels):  # no YOLOv5 comes with its channels first
            return "turned" if rows < columns and task == "" and not masks else "yolo5" if rows > columns else "yolo8"
        return "yolo8"
    return "yolo8" if rows < columns or task in ("segment", "pose", "detect") else "yolo5"


def _has_ended(grid: Array, labels: list[str], hints: Mapping[str, str], masks: int) -> bool:
    columns = grid.shape[1]
    if masks and columns == 6 + masks and columns != 4 + len(labels) + masks:
        return True
    task = hints.get("task", "")
    if task == "pose" and columns == 6 + int(np.prod(shape_of_points(hints) or (17, 3))):
        return True
    if task == "obb":
        return columns == 7
    numbered = columns == 7 and len(labels) not in (2, 3) and not grid[:, 0].any()  # the number of the picture, 0
    return numbered or (columns == 6 and len(labels) != 1)


def _is_nanodet(grid: Array, size: Size, labels: list[str]) -> bool:
    """One row a cell of steps 8 to 32 or 64, as wide as the classes and four distributions."""
    steps = grids_of(len(grid), size)
    if labels:
        return steps is not None and is_distances(grid.shape[1] - len(labels))
    return steps == (8, 16, 32, 64) and grid.shape[1] > 32 and grid.shape[1] != 85  # 85: YOLOv6 for large pictures


def _is_yolox(grid: Array, size: Size, labels: list[str]) -> bool:
    """One box a cell of steps 8, 16 and 32, whose places are not in the picture's pixels yet."""
    if grids_of(len(grid), size) != (8, 16, 32) or (labels and grid.shape[1] != 5 + len(labels)):
        return False
    return float(np.abs(grid[:, :2]).max(initial=0.0)) < min(size) / 4


def read_grid(
    grid: Array, family: str, labels: list[str], options: Any, hints: Mapping[str, str], masks: int
) -> Candidates:
    """The rows of `yolo8`, `yolo5`, `turned` or `ended`; `masks` weights at each row's end."""
    if family == "ended":
        return _ended(grid, labels, options, hints, masks)
    if family == "yolo5":
        return _yolo5(grid if grid.shape[1] < grid.shape[0] else grid.T, masks)
    first = grid.shape[0] in (4 + len(labels) + masks, 5 + len(labels) + masks) and bool(labels) and grid.shape[1] != grid.shape[0]
    rows = grid.T if first or grid.shape[0] < grid.shape[1] else grid
    boxes, after = corners(rows[:, :4]), rows[:, 4:]
    if family == "turned":
        return best(boxes, likely(after[:, :-1], options.activation), angles=after[:, -1].astype(np.float64))
    shape = shape_of_points(hints) if hints.get("task") == "pose" else None
    if shape is not None:
        marks = after[:, -shape[0] * shape[1] :].reshape(len(rows), *shape)[..., :2].astype(np.float64)
        return best(boxes, likely(after[:, : -shape[0] * shape[1]], options.activation), marks)
    weights = after[:, -masks:].astype(np.float64) if masks else None
    said = after[:, :-masks] if masks else after
    return best(boxes, likely(said[:, : len(labels)] if 0 < len(labels) < said.shape[1] else said, options.activation), shapes=weights)


def _yolo5(rows: Array, masks: int) -> Candidates:
    weights = rows[:, -masks:].astype(np.float64) if masks else None
    kinds = rows[:, 5 : rows.shape[1] - masks]
    sure = kinds.max(axis=1) if kinds.shape[1] else 1.0
    which = kinds.argmax(axis=1) if kinds.shape[1] else np.zeros(len(rows), int)
    return Candidates(corners(rows[:, :4]), (rows[:, 4] * sure).astype(np.float64), which, shapes=weights)


def _ended(grid: Array, labels: list[str], options: Any, hints: Mapping[str, str], masks: int) -> Candidates:
    rows = grid.astype(np.float64)
    if hints.get("task") == "obb":
        return Candidates(corners(rows[:, :4]), rows[:, 4], rows[:, 5].astype(int), angles=rows[:, 6], chosen=True)
    if rows.shape[1] == 7 and not masks:  # a number of the picture comes first
        score, kind = (5, 6) if (rows[:, 6] == np.rint(rows[:, 6])).all() and (rows[:, 5] != np.rint(rows[:, 5])).any() else (6, 5)
        return Candidates(ordered(rows[:, 1:5], options.box_order), rows[:, score], rows[:, kind].astype(int))
    shape = shape_of_points(hints) if hints.get("task") == "pose" else None
    points = rows[:, 6:].reshape(len(rows), *shape)[..., :2] if shape is not None else None
    weights = rows[:, 6:] if masks else None
    boxes = ordered(rows[:, :4], options.box_order)
    return Candidates(boxes, rows[:, 4], rows[:, 5].astype(int), points, shapes=weights)


def in_usual_order(grid: Array, outputs: Mapping[str, Array]) -> Array:
    """Rows that end in suppression as x0 y0 x1 y1 score class: PaddleDetection has class score x0 y0 x1 y1, in an output called
    multiclass_nms3_0.tmp_0 or beside one whole number, how many rows there are."""
    if grid.ndim != 2 or grid.shape[1] != 6:
        return grid
    counted = any(value.size == 1 and np.issubdtype(value.dtype, np.integer) for value in outputs.values())
    named = any(name.lower().startswith(("multiclass_nms", "matrix_nms")) for name in outputs)
    first = bool((grid[:, 0] == np.rint(grid[:, 0])).all() and (grid[:, 1] >= 0).all() and (grid[:, 1] <= 1).all())
    return grid[:, [2, 3, 4, 5, 1, 0]] if named or (counted and first) else grid


def shape_of_points(hints: Mapping[str, str]) -> tuple[int, int] | None:
    """Ultralytics' word on its points: how many, of how many numbers each."""
    try:
        count, each = ast.literal_eval(hints.get("kpt_shape", ""))
    except (ValueError, SyntaxError, TypeError):
        return None
    return int(count), int(each)
