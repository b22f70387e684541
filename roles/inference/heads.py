"""The raw heads of YOLO, which an export without its last layer ends in: numbers for each anchor of each cell.

    yolo_heads   v5 and v7: (2 sigmoid - 0.5 + cell) * step, (2 sigmoid)^2 * anchor
    yolo4_heads  v4: the place as v3's, spread a little (its scale_x_y), e^x * anchor
    yolo3_heads  v3: (sigmoid + cell) * step, e^x * anchor; v2 as well, with its own anchors and activation: softmax

A head is [1, anchors, rows, columns, 5 + classes], [1, rows, columns, anchors, 5 + classes], [1, anchors * (5 + classes), rows, columns],
or with the channels last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mesh.errors import RoleError
from roles.inference.candidates import Candidates, best, corners, sigmoid, softmax
from roles.inference.intake import Array, Size

ANCHORS = {
    "yolo_heads": [[10, 13], [16, 30], [33, 23], [30, 61], [62, 45], [59, 119], [116, 90], [156, 198], [373, 326]],
    "yolo3_heads": [[10, 13], [16, 30], [33, 23], [30, 61], [62, 45], [59, 119], [116, 90], [156, 198], [373, 326]],
    "yolo4_heads": [[12, 16], [19, 36], [40, 28], [36, 75], [76, 55], [72, 146], [142, 110], [192, 243], [459, 401]],
}
SPREAD = (1.2, 1.1, 1.05)  # v4's, for the fine, the middle and the coarse grid


def channels_first(outputs: Mapping[str, Array]) -> list[Array]:
    """The maps among the outputs, fine to coarse; the channels are the side that all have alike, and come before rows and columns."""
    found = sorted((value for value in outputs.values() if value.ndim in (4, 5)), key=lambda value: value.size, reverse=True)
    flat = [value for value in found if value.ndim == 4]
    last = len(flat) > 1 and len({value.shape[1] for value in flat}) > 1 and len({value.shape[3] for value in flat}) == 1
    return [value.transpose(0, 3, 1, 2) if last and value.ndim == 4 else value for value in found]


def heads(outputs: Mapping[str, Array], size: Size, family: str, asked: Sequence[Sequence[float]], activation: str) -> Candidates:
    """The boxes of all heads, fine to coarse."""
    anchors = asked or ANCHORS[family]
    found = channels_first(outputs)
    each = len(anchors) // max(1, len(found))
    if not found or not each:
        raise RoleError("the model has no raw heads of a YOLO", where=f"option detector: {family}", instead="set another detector")
    boxes, scores = [], []
    for at, value in enumerate(found):
        said = arranged(value, each)
        rows, columns = said.shape[1:3]
        grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1)[None]
        step = np.array([size[0] / columns, size[1] / rows])
        sides = np.array(anchors[at * each : (at + 1) * each], np.float64)[:, None, None]
        place, wide = _placed(said, family, SPREAD[min(at, 2)] if len(found) == 3 else SPREAD[-1])
        boxes.append(corners(np.concatenate([(place + grid) * step, wide * sides], axis=-1).reshape(-1, 4)))
        kinds = softmax(said[..., 5:]) if activation == "softmax" and said.shape[-1] > 5 else sigmoid(said[..., 5:])
        sure = sigmoid(said[..., 4:5])
        scores.append((sure * kinds if said.shape[-1] > 5 else sure).reshape(len(boxes[-1]), -1))
    return best(np.concatenate(boxes), np.concatenate(scores))


def arranged(value: Array, each: int) -> Array:
    """A head as (anchors, rows, columns, 5 + classes), float64."""
    head = value[0].astype(np.float64)
    if head.ndim == 4:
        return head.transpose(2, 0, 1, 3) if head.shape[2] == each and head.shape[0] != each else head
    if head.shape[0] % each or (head.shape[0] == head.shape[1] and head.shape[2] % each == 0):
        head = head.transpose(2, 0, 1)
    if head.shape[0] % each:
        raise RoleError(
            f"a head of {head.shape[0]} channels is not {each} anchors", where="option anchors", instead="give the model's own anchors"
        )
    return head.reshape(each, head.shape[0] // each, *head.shape[1:]).transpose(0, 2, 3, 1)


def _placed(said: Array, family: str, spread: float) -> tuple[Array, Array]:
    """Where in its cell each box's middle lies, and its sides in anchors."""
    place = sigmoid(said[..., :2])
    if family == "yolo_heads":
        return place * 2 - 0.5, (sigmoid(said[..., 2:4]) * 2) ** 2
    if family == "yolo4_heads":
        place = place * spread - (spread - 1) / 2
    return place, np.exp(np.clip(said[..., 2:4], -20, 10))
