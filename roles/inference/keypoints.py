"""Points on bodies, hands and faces: from maps, from two rows of bins, or from plain numbers.

    maps       [1, points, h, w] (or last): the brightest place of each map, moved a quarter towards its brighter neighbour
    simcc      two outputs [1, points, bins]: the brightest bin across and down (RTMPose)
    yolo       [1, 5 + 3 * points, n]: a box, a score, then x y score of each point (YOLOv8-pose)
    limbs      maps of joints beside maps of limbs, for several people (OpenPose): see `skeletons`
    beside     boxes, and points of each in an output beside them (Keypoint R-CNN, RTMO): see `parts`
    rows       [1, people, 3 * points + 5]: y x score of each point, then the box and the person's score (MoveNet for several people)
    numbers    [1, 1, points, 3] and the like (MoveNet: y x score; MediaPipe's faces, hands and bodies: x y z …, with the whole figure's
               score in an output of its own)

Every figure is {"score", "points": [[x, y, score], …]} in 0..1 of the picture, with "box" where the model gives one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mesh.errors import RoleError
from roles.inference.boxes import find_things, suppress
from roles.inference.candidates import corners, sigmoid
from roles.inference.grids import ENDED_ROWS_MAX, shape_of_points
from roles.inference.intake import Array, Fit, Size
from roles.inference.pairs import has_figures
from roles.inference.skeletons import people, skeleton_of

ORDERS = {"xy": (0, 1, None), "yx": (1, 0, None), "xys": (0, 1, 2), "yxs": (1, 0, 2), "xyz": (0, 1, None)}
MEDIAPIPE = {1404: (468, 3), 1434: (478, 3), 63: (21, 3), 195: (33, 5), 165: (33, 5)}  # numbers: points, numbers of each
PEOPLE_MAX = 12
WITHIN = 2.0


def figures(
    outputs: Mapping[str, Array], fit: Fit, size: Size, labels: list[str], options: Any, hints: Mapping[str, str]
) -> list[dict[str, Any]]:
    """The figures that the model sees, best first, those fainter than `min_score` left out. `hints` is the export's metadata."""
    how = "beside" if options.columns else "limbs" if options.limbs else options.points
    if how == "auto":
        how = "yolo" if hints.get("task") == "pose" else _guess(outputs, options.scores)
    if how == "limbs":
        told = people(outputs, options.limbs or skeleton_of(outputs) or "openpose", size)
        return [_seen_only(_figure(points, fit, score)) for score, points in told if score >= options.min_score][: options.max_boxes]
    if how == "beside":
        return _beside(outputs, fit, size, options, hints)
    if how == "yolo":
        return _yolo(_named(outputs, options.scores), fit, size, options, hints)
    sure: float | None = None
    if how == "heatmaps":
        points = _brightest(_named(outputs, options.scores), size)
    elif how == "simcc":
        points = _bins(outputs, size)
    elif how == "rows":
        return _people(_named(outputs, options.scores), fit, size, options.min_score)
    elif options.scores is None and (name := _mediapipe(outputs)) and how in ("auto", "xyz"):
        points, sure = _landmarks(outputs[name], size), _presence(outputs)
    else:
        points = _numbers(_named(outputs, options.scores), how, size, labels, options)
    if labels and len(labels) != points.shape[1]:
        raise RoleError(
            f"{len(labels)} labels for {points.shape[1]} points", where="option labels", instead="give one word for each point, or none"
        )
    found = [_figure(each, fit, sure) for each in points]
    return sorted((each for each in found if each["score"] >= options.min_score), key=lambda each: -each["score"])


def _figure(points: Array, fit: Fit, sure: float | None = None) -> dict[str, Any]:
    """(k, 3) as x, y in the model's pixels and a score; the figure's is the mean of these, or `sure`."""
    placed = np.concatenate([fit.points_back(points[:, :2]), points[:, 2:3]], axis=1)
    return {"score": round(float(points[:, 2].mean()) if sure is None else sure, 4), "points": np.round(placed, 4).tolist()}


def _seen_only(figure: dict[str, Any]) -> dict[str, Any]:
    """Joints that are not seen lie nowhere, whatever was cut from the picture: 0 0 0."""
    return {**figure, "points": [point if point[2] > 0 else [0.0, 0.0, 0.0] for point in figure["points"]]}


def _named(outputs: Mapping[str, Array], name: str | None) -> Array:
    if name is not None and name not in outputs:
        raise RoleError(f"the model has no output {name!r}; it has {', '.join(outputs)}", where="option scores", instead="name one of them")
    return outputs[name] if name is not None else next(iter(outputs.values()))


def _mediapipe(outputs: Mapping[str, Array]) -> str | None:
    """The output that holds a face's, a hand's or a body's points in the picture: the first of the sizes that they have."""
    return next((name for name, value in outputs.items() if value.size in MEDIAPIPE and value.shape[-1] == value.size), None)


def _landmarks(value: Array, size: Size) -> Array:
    """One figure (1, k, 3) from MediaPipe's rows of x y z, and for bodies visibility and presence as well."""
    count, each = MEDIAPIPE[value.size]
    rows = value.astype(np.float64).reshape(-1, each)[:count]
    places = rows[:, :2] * (np.array(size, np.float64) if np.abs(rows[:, :2]).max(initial=0.0) <= WITHIN else 1.0)
    scores = sigmoid(rows[:, 3:4]) if each > 3 else np.ones((len(rows), 1))
    return np.concatenate([places, scores], axis=1)[None]


def _presence(outputs: Mapping[str, Array]) -> float | None:
    """Whether there is anything at all: the first output of one number."""
    single = next((value for value in outputs.values() if value.size == 1), None)
    if single is None:
        return None
    number = float(single.reshape(-1)[0])
    return number if 0 <= number <= 1 else float(sigmoid(np.array([number]))[0])


def _people(value: Array, fit: Fit, size: Size, least: float) -> list[dict[str, Any]]:
    """[1, people, 3 * k + 5]: y x score, then ymin xmin ymax xmax score, all in 0..1."""
    rows = value.reshape(-1, value.shape[-1]).astype(np.float64)
    found = []
    for row in sorted((row for row in rows if row[-1] >= least), key=lambda row: -row[-1]):
        points = row[:-5].reshape(-1, 3)[:, [1, 0, 2]] * (*size, 1.0)
        box = row[[-4, -5, -2, -3]] * (*size, *size)
        found.append({**_figure(points, fit, float(row[-1])), "box": np.round(fit.back(box[None])[0], 4).tolist()})
    return found


def _beside(outputs: Mapping[str, Array], fit: Fit, size: Size, options: Any, hints: Mapping[str, str]) -> list[dict[str, Any]]:
    """Figures whose points stand beside their boxes."""
    things = find_things(outputs, fit, size, [], options, hints)
    kept, found = things.kept, []
    if kept.points is None:
        raise _no_points(outputs)
    for at, thing in enumerate(things.boxes):
        sure = kept.sure[at] if kept.sure is not None else np.ones(len(kept.points[at]))
        placed = np.concatenate([kept.points[at], sure[:, None]], axis=1)
        found.append({**_figure(placed, fit, float(kept.scores[at])), "box": thing["box"]})
    return found


def _guess(outputs: Mapping[str, Array], name: str | None) -> str:
    if name is None and has_figures(outputs):
        return "beside"
    if name is None and skeleton_of(outputs):
        return "limbs"
    values = [_named(outputs, name)] if name is not None else list(outputs.values())
    if len(values) == 2 and all(value.ndim == 3 and value.shape[-1] > 64 for value in values) and values[0].shape[1] == values[1].shape[1]:
        return "simcc"
    value = values[0]
    if value.ndim == 4 and min(value.shape[1], value.shape[3]) >= 1 and value.shape[2] > 4 and max(value.shape[1:3]) > 4:
        if value.shape[-1] != 3:
            return "heatmaps"
    if value.ndim == 3 and min(value.shape[1:]) >= 8 and (min(value.shape[1:]) - 5) % 3 != 2 and max(value.shape[1:]) > 100:
        return "yolo"
    if name is None and _mediapipe(outputs):
        return "auto"
    if value.ndim == 3 and value.shape[1] <= PEOPLE_MAX and value.shape[2] > 20 and (value.shape[2] - 5) % 3 == 0:
        return "rows"
    if value.shape[-1] == 3 and "pose" not in "".join(outputs):
        return "yxs" if value.ndim == 4 else "xyz"
    if value.shape[-1] == 2 or value.size % 2 == 0:
        return "xy"
    raise _no_points(outputs)


def _no_points(outputs: Mapping[str, Array]) -> RoleError:
    given = ", ".join(f"{name} {list(each.shape)}" for name, each in outputs.items())
    return RoleError(
        f"the model's outputs are no points that Roomful knows: {given}", where="option decode: keypoints",
        instead="set option points (heatmaps, simcc, yolo, xy, yx, xys, yxs, xyz), name the output in scores, or use your own function",
    )  # fmt: skip


def _brightest(maps: Array, size: Size) -> Array:
    """[1, k, h, w], or [1, h, w, k] where that is the likelier, as one figure (1, k, 3)."""
    values = maps[0] if maps.ndim == 4 else maps
    if values.shape[2] < values.shape[0] and values.shape[2] < values.shape[1]:
        values = values.transpose(2, 0, 1)
    values = values if values.min() >= 0 and values.max() <= 1.5 else sigmoid(values)
    count, rows, columns = values.shape
    best = values.reshape(count, -1).argmax(axis=1)
    found = []
    for each, at in zip(values, best, strict=True):
        row, column = divmod(int(at), columns)
        x, y = float(column), float(row)
        if 0 < column < columns - 1:
            x += 0.25 * float(np.sign(each[row, column + 1] - each[row, column - 1]))
        if 0 < row < rows - 1:
            y += 0.25 * float(np.sign(each[row + 1, column] - each[row - 1, column]))
        found.append(((x + 0.5) * size[0] / columns, (y + 0.5) * size[1] / rows, min(1.0, float(each[row, column]))))
    return np.array([found])


def _bins(outputs: Mapping[str, Array], size: Size) -> Array:
    across, down = list(outputs.values())[:2]
    x, y = across.argmax(axis=-1) * size[0] / across.shape[-1], down.argmax(axis=-1) * size[1] / down.shape[-1]
    score = np.clip(np.minimum(across.max(axis=-1), down.max(axis=-1)), 0, 1)
    stacked: Array = np.stack([x, y, score], axis=-1)
    return stacked


def _numbers(value: Array, order: str, size: Size, labels: list[str], options: Any) -> Array:
    """Plain numbers, each point's together, as figures (n, k, 3)."""
    across, down, sure = ORDERS[order]
    each = 3 if order in ("xys", "yxs", "xyz") else 2
    count = len(labels)
    if value.shape[-1] not in (each, each * count) and count and value.size % count == 0:
        each = value.size // count  # further numbers of each point: visibility, presence
    flat = value.astype(np.float64).reshape(-1) if value.shape[-1] != each else value.astype(np.float64).reshape(-1, *value.shape[-2:])
    if flat.size % each:
        raise RoleError(
            f"{value.size} numbers are no points of {each}", where="option points",
            instead="set option points, or labels with a word for each",
        )  # fmt: skip
    points = flat.reshape(flat.shape[0] if flat.ndim == 3 else 1, -1, each)
    scores = points[..., sure : sure + 1] if sure is not None else np.ones((*points.shape[:2], 1))
    scores = scores if scores.min(initial=0) >= 0 and scores.max(initial=0) <= 1 else sigmoid(scores)
    places = points[..., [across, down]]
    if options.value_range is not None:  # such as -1..1
        low, high = options.value_range
        places = (places - low) / ((high - low) or 1.0) * np.array(size, np.float64)
    elif places.size and options.unit != "pixels" and (options.unit == "share" or np.abs(places).max() <= WITHIN):
        places = places * np.array(size, np.float64)
    return np.concatenate([places, scores], axis=-1)


def _yolo(value: Array, fit: Fit, size: Size, options: Any, hints: Mapping[str, str]) -> list[dict[str, Any]]:
    grid = value[0] if value.ndim == 3 else value
    rows = (grid.T if grid.shape[0] < grid.shape[1] else grid).astype(np.float64)
    count, each = shape_of_points(hints) or ((rows.shape[1] - 5) // 3, 3)
    ended = len(rows) <= ENDED_ROWS_MAX and rows.shape[1] == 6 + count * each  # with suppression built in: a class after the score
    marks = rows[:, -count * each :].reshape(len(rows), count, each)
    sure = rows[:, 4] if ended else rows[:, 4 : rows.shape[1] - count * each].max(axis=1)
    boxes = rows[:, :4] if ended else corners(rows[:, :4])
    good = np.flatnonzero(sure >= options.min_score)
    found = []
    for at in good[suppress(boxes[good], sure[good], np.zeros(len(good), int), options.iou or 0.5)[: options.max_boxes]]:
        points = marks[at] if each > 2 else np.concatenate([marks[at], np.ones((count, 1))], axis=1)
        box = np.round(fit.back(boxes[at : at + 1])[0], 4).tolist()
        found.append({**_figure(points[:, :3], fit, float(sure[at])), "box": box})
    return found
