"""What a detector gives of each thing beside its box: points (joints, corners, landmarks) and a mask.

    points   [n, k, 2] or [n, k, 3], x y (and how sure, or whether it is seen), with a batch or without; where an output of n times k
             numbers stands beside them, that is how sure each point is (Keypoint R-CNN, RTMO, YOLO-NAS pose)
    masks    [n, h, w] or [n, 1, h, w]: over the whole picture (torchvision, DETR, RTMDet), or within the box alone (Mask R-CNN of ONNX's
             zoo)

An output called `points`, `keypoints` or `masks`, by itself or by option `named`, is taken for these; else shapes tell. A mask is within
its box where it is a square of at most 56 that the picture is not; option `masks` settles it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from roles.inference.candidates import Candidates, sigmoid
from roles.inference.intake import Array, Size

POINT_WORDS = ("point", "kps", "joint", "landmark", "pose")
MASK_WORDS = ("mask", "segm")
POINTS_MAX = 1000  # of one thing
IN_BOX_MAX = 56  # sides of a mask that lies within its box: 14, 28 or 56
MASK_LEAST = 8


def with_parts(seen: Candidates, outputs: Mapping[str, Array], size: Size, options: Any) -> Candidates:
    """The same with each thing's points and mask, where outputs of as many rows are such."""
    count = len(seen.boxes)
    points, sure = points_beside(outputs, count)
    masks = _masks(outputs, count)
    found = replace(seen, points=points, sure=sure) if points is not None and seen.points is None else seen
    if masks is None:
        return found
    whole = options.masks == "picture" or (options.masks == "auto" and _over_picture(masks, size))
    return replace(found, masks=masks, whole=whole, raw=not _is_likely(masks))


def points_beside(outputs: Mapping[str, Array], count: int) -> tuple[Array | None, Array | None]:
    """(n, k, 2) in the model's pixels or in 0..1, and (n, k), how sure each is, 0..1; None where `count` boxes have no points."""
    fits = [name for name, value in outputs.items() if _are_points(value, count)]
    name = next((name for name in fits if any(word in name.lower() for word in POINT_WORDS)), fits[0] if fits else None)
    if name is None:
        return None, None
    value = outputs[name].astype(np.float64).reshape(count, *outputs[name].shape[-2:])
    own = value[..., 2] if value.shape[-1] == 3 else None
    beside = next((each for other, each in outputs.items() if other != name and _fits(each, count, value.shape[1])), None)
    said = beside.astype(np.float64).reshape(count, value.shape[1]) if beside is not None else own
    return value[..., :2], said if said is None or _is_likely(said) else sigmoid(said)


def _are_points(value: Array, count: int) -> bool:
    if value.ndim < 3 or value.shape[-1] not in (2, 3) or not 1 < value.shape[-2] <= POINTS_MAX:
        return False
    return int(np.prod(value.shape[:-2])) == count


def _fits(value: Array, count: int, points: int) -> bool:
    """A number for each point of each thing."""
    return value.ndim >= 2 and value.shape[-1] in (points, 1) and value.size == count * points and np.issubdtype(value.dtype, np.floating)


def _masks(outputs: Mapping[str, Array], count: int) -> Array | None:
    fits = [name for name, value in outputs.items() if value.ndim >= 3 and min(value.shape[-2:]) >= MASK_LEAST
            and int(np.prod(value.shape[:-2])) == count]  # fmt: skip
    name = next((name for name in fits if any(word in name.lower() for word in MASK_WORDS)), fits[0] if fits else None)
    return outputs[name].reshape(count, *outputs[name].shape[-2:]) if name is not None else None  # not copied: a hundred of them are large


def _over_picture(masks: Array, size: Size) -> bool:
    high, wide = masks.shape[1:]
    return (wide, high) == size or wide != high or wide > IN_BOX_MAX


def _is_likely(values: Array) -> bool:
    return not values.size or (float(values.min()) >= 0 and float(values.max()) <= 1)
