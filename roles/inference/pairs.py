"""Detectors that give boxes in one output and what they are in another: SSD, TensorFlow's zoo, torchvision, DETR, MMDetection.

    pair    boxes [1, n, 4] beside scores of each class [1, n, c], or beside scores [1, n] and kinds [1, n]
    detr    queries: boxes as centres and sides in 0..1 beside logits; nothing overlaps, so nothing is suppressed
    dets    [1, n, 5], boxes with their scores, beside kinds [1, n] (MMDeploy) or points (RTMO)

Outputs without telling names are told apart by their numbers: kinds are whole, scores are not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from roles.inference.candidates import Candidates, best, corners, foreground, likely
from roles.inference.intake import Array
from roles.inference.parts import points_beside

QUERIES_MAX = 1000
ENDED_MAX, ENDED_OVERLAP = 300, 0.7  # rows of one kind each: so few have been chosen by the model, which allowed up to so much overlap
TF_NAMES = ("detection_boxes", "statefulpartitionedcall", "tflite_detection")


def is_detr(outputs: Mapping[str, Array]) -> bool:
    """Logits of each query beside boxes in 0..1: at most some hundred queries, numbers below 0 among the scores."""
    names = {name.lower() for name in outputs}
    rf = names >= {"dets", "labels"} and outputs_of(outputs, "labels").ndim == 3  # RF-DETR's `labels` are logits
    if not rf and not any("logit" in name for name in names):
        return False
    return any(value.ndim == 3 and value.shape[-1] == 4 and value.shape[-2] <= QUERIES_MAX for value in outputs.values())


def outputs_of(outputs: Mapping[str, Array], name: str) -> Array:
    """The output of this name, whatever its case."""
    return next(value for each, value in outputs.items() if each.lower() == name)


def is_dets(outputs: Mapping[str, Array]) -> bool:
    """[1, n, 5] beside as many kinds, or as many figures' points."""
    wide = [value for value in outputs.values() if value.ndim in (2, 3) and value.shape[-1] == 5]
    if len(wide) != 1:
        return False
    count = wide[0].size // 5
    return _whole_numbers(outputs, count) is not None or points_beside(outputs, count)[0] is not None


def _whole_numbers(outputs: Mapping[str, Array], count: int) -> Array | None:
    return next((value for value in outputs.values() if np.issubdtype(value.dtype, np.integer) and value.size == count), None)


def read_dets(outputs: Mapping[str, Array]) -> Candidates:
    """MMDeploy's: suppressed already."""
    wide = next(value for value in outputs.values() if value.ndim in (2, 3) and value.shape[-1] == 5).reshape(-1, 5).astype(np.float64)
    kinds = _whole_numbers(outputs, len(wide))
    numbers = kinds.reshape(-1).astype(int) if kinds is not None else np.zeros(len(wide), int)
    return Candidates(wide[:, :4], wide[:, 4], numbers, chosen=True)


def has_figures(outputs: Mapping[str, Array]) -> bool:
    """Whether there are boxes, and points of as many things beside them."""
    if is_dets(outputs):
        return points_beside(outputs, next(value for value in outputs.values() if value.shape[-1:] == (5,)).size // 5)[0] is not None
    pair = pair_of(outputs)
    return pair is not None and points_beside(outputs, outputs[pair[0]].size // 4)[0] is not None


def pair_of(outputs: Mapping[str, Array]) -> tuple[str, str, str | None] | None:
    """The names of the outputs for boxes, scores and (where apart) kinds; None when this is no such model."""
    boxes = [name for name, value in outputs.items() if value.ndim >= 2 and value.shape[-1] == 4]
    if len(boxes) > 1:  # scores of three classes and a column for nothing are four wide as well
        boxes = [name for name in boxes if any(word in name.lower() for word in ("box", "loc", "dets"))]
    if len(boxes) > 1:  # TensorFlow's zoo gives them before suppression as well
        boxes = [name for name in boxes if not name.lower().startswith("raw_")]
    if len(boxes) != 1:
        return None
    count = outputs[boxes[0]].size // 4
    raw = any(name.lower().startswith("raw_") for name in outputs)
    rest = {name: value for name, value in outputs.items() if name != boxes[0] and value.size % max(count, 1) == 0 and value.size >= count}
    if raw:
        rest = {name: value for name, value in rest.items() if name in ("detection_scores", "detection_classes")}
    flat = {name: value for name, value in rest.items() if value.size == count}
    kinds = _kinds_of(flat)
    scores = next((name for name in flat if name != kinds), None)
    wide = [name for name, value in rest.items() if value.size > count and value.ndim in (2, 3)]
    if wide and (kinds is None or scores is None):
        telling = [name for name in wide if any(word in name.lower() for word in ("score", "conf", "prob", "logit"))]
        return boxes[0], [*telling, *wide][0], None
    return (boxes[0], scores, kinds) if scores is not None else None


def _kinds_of(flat: Mapping[str, Array]) -> str | None:
    """Which of the outputs of one number a box holds the kinds: by type, by name, or by being whole where another is not."""
    for name, values in flat.items():
        if np.issubdtype(values.dtype, np.integer) or any(word in name.lower() for word in ("class", "label")):
            return name
    if len(flat) < 2:
        return None
    whole = [name for name, values in flat.items() if (values == np.rint(values)).all()]
    if len(whole) == 1:
        return whole[0]
    above = [name for name, values in flat.items() if values.size and values.max() > 1]
    return above[0] if len(above) == 1 else None


def read_pair(outputs: Mapping[str, Array], names: tuple[str, str, str | None], labels: list[str], options: Any, family: str) -> Candidates:
    """Boxes and scores by the names that `pair_of` gave."""
    boxes_name, scores_name, kinds_name = names
    boxes = outputs[boxes_name].reshape(-1, 4).astype(np.float64)
    if not len(boxes):
        return Candidates(boxes, np.zeros(0), np.zeros(0, int), chosen=family == "detr")
    order = options.box_order
    if order == "auto":
        tensorflow = any(boxes_name.lower().startswith(word) for word in TF_NAMES)
        order = "cxcywh" if family == "detr" else "yxyx" if tensorflow else "xyxy"
    boxes = ordered(boxes, order)
    if kinds_name is not None:
        kinds = outputs[kinds_name].reshape(-1).astype(int)
        first = 1 if "detection_classes" in kinds_name else 0  # TensorFlow's zoo counts from 1
        overlap = ENDED_OVERLAP if len(boxes) <= ENDED_MAX else 0.5
        return Candidates(boxes, outputs[scores_name].reshape(-1).astype(np.float64), kinds - first, overlap=overlap)
    value = outputs[scores_name]
    if value.ndim >= 2 and value.shape[-1] == len(boxes) and value.shape[-2] != len(boxes):
        value = np.swapaxes(value, -1, -2)  # classes before boxes
    scores = value.reshape(len(boxes), -1).astype(np.float64)
    if family == "detr":  # DETR has a class for nothing, the last; its followers (RT-DETR, Deformable) have none and use sigmoids
        nothing = options.background == "last" or (options.background == "auto" and len(labels) == scores.shape[1] - 1)
        nothing = nothing or (options.background == "auto" and options.activation in ("auto", "softmax") and scores.shape[1] in (92, 251))
        scores = likely(scores, "softmax" if nothing and options.activation == "auto" else options.activation)
        return best(boxes, scores[:, :-1] if nothing else scores, chosen=True)
    return best(boxes, foreground(likely(scores, options.activation, exclusive=True), labels, options.background))


def ordered(boxes: Array, order: str) -> Array:
    """Boxes in another order of numbers as x0, y0, x1, y1."""
    if order == "yxyx":
        return boxes[:, [1, 0, 3, 2]]
    if order == "cxcywh":
        return corners(boxes)
    if order == "xywh":
        return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    return boxes
