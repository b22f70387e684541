"""Detectors that say how far the four sides lie from a cell, each distance as a distribution over bins (distribution focal loss).

    nanodet    [1, n, classes + 4 * bins], steps 8 to 64, measured from the cell's corner (NanoDet-Plus: nanodet_plus_head.py)
    gfl        scores [1, n, classes] and distances [1, n, 4 * bins] apart, a pair for each step, from the cell's middle (NanoDet,
               PicoDet, OpenCV's zoo)
    yolo8_heads  [1, 4 * bins + classes, rows, columns], one for each step, from the middle (YOLOv8 and its like as they are exported
               for small processors: without their last layer)
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mesh.errors import RoleError
from roles.inference.anchors import cells
from roles.inference.candidates import Candidates, best, likely, softmax
from roles.inference.heads import channels_first
from roles.inference.intake import Array, Size

STEPS = (8, 16, 32, 64, 128)
BINS = (8, 16, 17)  # the numbers of bins in use; the first is what is meant where the classes are not known


def nanodet(rows: Array, size: Size, labels: list[str], activation: str) -> Candidates:
    """(n, classes + 4 * bins), the grids one after the other."""
    steps = grids_of(len(rows), size)
    if steps is None:
        raise _no_grid(len(rows), size, "nanodet")
    classes = len(labels) or rows.shape[1] - 4 * BINS[0]
    middles = np.concatenate([cells(size, step) * step for step in steps])
    step = np.concatenate([np.full(len(cells(size, step)), step) for step in steps])
    return best(_placed(middles, rows[:, classes:], step, "nanodet"), likely(rows[:, :classes], activation))


def gfl(outputs: Mapping[str, Array], size: Size, labels: list[str], activation: str) -> Candidates:
    """Scores and distances apart, in any order."""
    by_rows: dict[int, list[Array]] = {}
    for value in outputs.values():
        by_rows.setdefault(value.shape[-2], []).append(value.reshape(-1, value.shape[-1]))
    boxes, scores = [], []
    for count, pair in sorted(by_rows.items(), reverse=True):
        step = next((step for step in STEPS if len(cells(size, step)) == count), None)
        wide = [each for each in pair if is_distances(each.shape[1]) and each.shape[1] != len(labels)] or pair
        if step is None or len(pair) != 2:
            raise _no_grid(count, size, "gfl")
        said = next(each for each in pair if each is not wide[-1])
        boxes.append(_placed((cells(size, step) + 0.5) * step, wide[-1], np.full(count, step), "gfl"))
        scores.append(likely(said, activation))
    return best(np.concatenate(boxes), np.concatenate(scores))


def yolo8_heads(outputs: Mapping[str, Array], size: Size, labels: list[str], activation: str) -> Candidates:
    """[1, 4 * bins + classes, rows, columns] for each step."""
    boxes, scores = [], []
    for value in channels_first(outputs):
        head = value[0]
        channels, rows, columns = head.shape
        step = size[0] // columns
        flat = head.reshape(channels, rows * columns).T
        wide = channels - len(labels) if labels else 4 * 16
        grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2)
        boxes.append(_placed((grid + 0.5) * step, flat[:, :wide], np.full(len(grid), step), "yolo8_heads"))
        scores.append(likely(flat[:, wide:], activation))
    if not boxes:
        raise RoleError("the model has no heads of a YOLO", where="option detector: yolo8_heads", instead="set another detector")
    return best(np.concatenate(boxes), np.concatenate(scores))


def is_distances(width: int) -> bool:
    """Whether a row of so many numbers is four distributions."""
    return width in {4 * bins for bins in BINS}


def grids_of(count: int, size: Size) -> tuple[int, ...] | None:
    """The steps, from 8 on, whose grids over the picture have so many cells in all; None when none do."""
    for most in range(2, len(STEPS) + 1):
        if sum(len(cells(size, step)) for step in STEPS[:most]) == count:
            return STEPS[:most]
    return None


def _placed(middles: Array, said: Array, step: Array, family: str) -> Array:
    if said.shape[1] < 8 or said.shape[1] % 4:
        raise RoleError(
            f"{said.shape[1]} numbers are no four distributions", where=f"option detector: {family}",
            instead="set option labels to all classes of the model, or another detector",
        )  # fmt: skip
    bins = said.shape[1] // 4
    reach = softmax(said.reshape(-1, 4, bins)) @ np.arange(bins) * step[:, None]
    return np.concatenate([middles - reach[:, :2], middles + reach[:, 2:]], axis=1)


def _no_grid(count: int, size: Size, family: str) -> RoleError:
    return RoleError(
        f"the model's {count} boxes are no grids over a picture of {size[0]}x{size[1]}", where=f"option detector: {family}",
        instead="set option size to what the model was made for, or another detector",
    )  # fmt: skip
