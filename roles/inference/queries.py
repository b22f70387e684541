"""Models that ask a picture some hundred questions, each answered by a class and a mask: MaskFormer, Mask2Former, DETR's panoptic kin.

Each query gives logits of the classes, the last of them for nothing, and a mask over the whole picture. Read as `mask`, the queries are
added up to one map of classes (Cheng et al. 2021, semantic inference); read as `boxes`, each is a thing of its own, its box drawn around
its mask. Those that give boxes as well (DETR) are read as boxes by `pairs`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from roles.inference.candidates import Candidates, sigmoid, softmax
from roles.inference.intake import Array

CLASSES = ("class_queries_logits", "pred_logits", "logits")
MASKS = ("masks_queries_logits", "pred_masks")


def queries_of(outputs: Mapping[str, Array]) -> tuple[Array, Array] | None:
    """(logits of n queries and classes, logits of n masks), by the names that exports give them; None where the model has no such."""
    masks = next((outputs[name] for name in MASKS if name in outputs), None)
    said = next((outputs[name] for name in CLASSES if name in outputs), None)
    if masks is None or said is None or masks.ndim < 3 or said.ndim < 2:
        return None
    masks, said = masks.reshape(-1, *masks.shape[-2:]), said.reshape(-1, said.shape[-1])
    return (said, masks) if len(said) == len(masks) and said.shape[1] > 1 else None


def by_class(said: Array, masks: Array) -> Array:
    """(classes, h, w): how much each class is there, place by place."""
    likely: Array = softmax(said)[:, :-1].astype(np.float32)
    summed: Array = np.tensordot(likely.T, sigmoid(masks).astype(np.float32), 1)
    return summed


def by_query(said: Array, masks: Array) -> Candidates:
    """Each query as the thing that it most likely is, in 0..1 of the model's picture. A mask that is empty has a score of 0."""
    likely = softmax(said)[:, :-1]
    inside = masks > 0
    scores = likely.max(axis=1) * inside.any(axis=(1, 2))
    boxes = np.array([_around(each) for each in inside]).reshape(-1, 4)
    return Candidates(boxes, scores, likely.argmax(axis=1), masks=masks, whole=True, raw=True, chosen=True)


def _around(inside: Array) -> list[float]:
    rows, columns = np.nonzero(inside)
    if not len(rows):
        return [0.0, 0.0, 0.0, 0.0]
    height, width = inside.shape
    return [columns.min() / width, rows.min() / height, (columns.max() + 1) / width, (rows.max() + 1) / height]
