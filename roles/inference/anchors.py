"""Detectors that speak in distances from a grid or from anchors: their numbers as boxes, scores and points.

Each function takes a model's outputs and the size of its picture and gives (boxes as x0 y0 x1 y1 in the model's pixels, scores for
each class, points in pixels or None). Sources of the layouts: YuNet (opencv_zoo, face_detection_yunet of 2022 and 2023), BlazeFace,
BlazePalm and BlazePose (MediaPipe's SsdAnchorsCalculator), RetinaFace and SSD (Liu et al. 2016: centre and size with variances),
SCRFD (InsightFace), YOLOX (Megvii). Raw heads of YOLO are in `heads`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mesh.errors import RoleError
from roles.inference.candidates import corners, sigmoid
from roles.inference.intake import Array, Size

Found = tuple[Array, Array, Array | None]
RETINAFACE = ([8, 16, 32], [[16, 32], [64, 128], [256, 512]])
YUNET_2022 = ([8, 16, 32, 64], [[10, 16, 24], [32, 48], [64, 96], [128, 192, 256]])
BLAZE_OVERLAP = 0.3  # MediaPipe's own
RATIO_MAX = 1000.0  # no box is more often as large as its anchor: numbers beyond are of a model that is not what was said


def cells(size: Size, step: int, each: int = 1) -> Array:
    """The (column, row) of every cell of a grid, row by row, each `each` times: (n, 2)."""
    columns, rows = -(-size[0] // step), -(-size[1] // step)
    grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2)
    return np.repeat(grid, each, axis=0).astype(np.float64)


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


def yunet_2022(outputs: Mapping[str, Array], size: Size) -> Found:
    """`loc` (n, 14), `conf` (n, 2) and `iou` (n, 1) over priors; its variances are one for widths and one for heights."""
    said, sure, overlap = _rows(outputs["loc"], 14), _rows(outputs["conf"], 2), _rows(outputs["iou"], 1)
    held = []
    for step, sides in zip(*YUNET_2022, strict=True):
        columns, rows = ((side + 1) // 2 // 2 // (step // 4) for side in size)
        grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2)
        middles = (np.repeat(grid, len(sides), axis=0) + 0.5) * step
        held.append(np.concatenate([middles, np.repeat(np.tile(sides, columns * rows)[:, None], 2, axis=1)], axis=1))
    prior = np.concatenate(held)
    if len(prior) != len(said):
        raise _other_priors(len(said), len(prior), size, "option size", "set option size to what the model was made for")
    middle = prior[:, :2] + said[:, :2] * 0.1 * prior[:, 2:]
    wide = prior[:, 2:] * np.minimum(np.exp(np.clip(said[:, 2:4] * (0.1, 0.2), -20, 20)), RATIO_MAX)
    points = prior[:, None, :2] + said[:, 4:].reshape(-1, 5, 2) * 0.1 * prior[:, None, 2:]
    scores = np.sqrt(np.clip(sure[:, 1:], 0, 1) * np.clip(overlap, 0, 1))
    return corners(np.concatenate([middle, wide], axis=1)), scores, points


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


def joined_levels(outputs: Mapping[str, Array], size: Size, steps: Sequence[int], sizes: Any) -> dict[str, Array]:
    """Of a model that gives maps for each grid: [1, boxes a cell * numbers, h, w], or with the channels last, each kind of number as rows
    in the order of the priors, (n, numbers). Outputs that are no such maps as they are."""
    held: dict[tuple[int, bool], list[Array]] = {}  # of scores of four classes and boxes the names tell which is which
    maps = {name: value for name, value in outputs.items() if value.ndim == 4 and value.shape[0] == 1 and min(value.shape[1:3]) > 0}
    for step, sides in zip(steps, sizes, strict=True):
        grid, each = (-(-size[1] // step), -(-size[0] // step)), len(sides)
        for name, value in list(maps.items()):
            first = value.shape[2:] == grid and value.shape[1] % each == 0
            if not first and (value.shape[1:3] != grid or value.shape[3] % each):
                continue
            plane = value[0].transpose(1, 2, 0) if first else value[0]
            wide, other = plane.shape[2] // each, not any(word in name.lower() for word in ("box", "loc", "reg", "delta"))
            held.setdefault((wide, other and wide == 4), []).append(plane.reshape(-1, wide))
            del maps[name]
    if [wide for wide, _ in held].count(4) == 1:
        held = {(wide, False): parts for (wide, _), parts in held.items()}
    whole = {f"rows of {wide}{' more' * other}": np.concatenate(held[wide, other]) for wide, other in sorted(held)
             if len(held[wide, other]) == len(steps)}  # fmt: skip
    return whole if len(whole) > 1 and not maps else dict(outputs)


def priors(
    locations: Array, scores: Array, marks: Array | None, size: Size, steps: Sequence[int], sizes: Any, variance: Any, middle: float = 0.5
) -> Found:
    """SSD's and RetinaFace's way: centre and size as multiples of a prior's, with variances."""
    held = []
    for step, sides in zip(steps, sizes, strict=True):
        grid = (cells(size, step, len(sides)) + middle) * step
        both = np.array([side if isinstance(side, Sequence) else (side, side) for side in sides], np.float64)
        held.append(np.concatenate([grid, np.tile(both, (len(grid) // len(sides), 1))], axis=1))
    prior = np.concatenate(held)
    if len(prior) != len(locations):
        advice = "set option priors (steps and sizes) and size to what the model was trained with"
        raise _other_priors(len(locations), len(prior), size, "option priors", advice)
    placed = prior[:, :2] + locations[:, :2] * variance[0] * prior[:, 2:]
    sides = prior[:, 2:] * np.minimum(np.exp(np.clip(locations[:, 2:] * variance[1], -20, 20)), RATIO_MAX)
    points = None
    if marks is not None:
        points = prior[:, None, :2] + marks.reshape(len(prior), -1, 2) * variance[0] * prior[:, None, 2:]
    return corners(np.concatenate([placed, sides], axis=1)), scores, points


def _other_priors(given: int, known: int, size: Size, where: str, instead: str) -> RoleError:
    return RoleError(
        f"the model gives {given} boxes, the priors of a picture of {size[0]}x{size[1]} are {known}", where=where, instead=instead
    )


def blaze(numbers: Array, scores: Array, size: Size) -> Found:
    """MediaPipe's: offsets in pixels from the middles of cells, then points. Grids by how many there are: a fine one with two anchors a
    cell and a coarse one with six, one fine one with one (full range), or three for bodies."""
    count = len(numbers)
    plans = [[(8, 2), (16, 6)], [(16, 2), (32, 6)], [(4, 1)], [(8, 2), (16, 2), (32, 6)], [(8, 2), (16, 2), (32, 2)], [(4, 2)]]
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


def _rows(value: Array, width: int) -> Array:
    """[1, n, width], [n, width], or [1, width, h, w] as (n, width), float64."""
    if value.ndim == 4 and value.shape[1] == width and value.shape[3] != width:
        value = value.transpose(0, 2, 3, 1)
    return value.reshape(-1, width).astype(np.float64)
