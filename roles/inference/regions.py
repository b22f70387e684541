"""Boxes from a map of how sure a model is, place by place: one around each region that hangs together, turned as it lies.

So detectors of text end (DBNet: Liao et al. 2020), and any mask can be asked where its things are. Regions that touch by an edge or a
corner are one; each box is the smallest turned rectangle around its region (rotating calipers: Toussaint 1983), then grown outward, since
models of text are trained on shrunken regions. Decided against: OpenCV's contours, since a machine without it shall see the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mesh.errors import RoleError
from roles.inference.candidates import Candidates, sigmoid
from roles.inference.intake import Array, Size

SIDE_MIN = 16  # of a map
LEAST = 3.0  # sides of a region in the model's pixels, before it grows
REGIONS_MAX = 1000  # the largest, of a map that is noise


def map_in(outputs: Mapping[str, Array], wanted: str | None = None) -> Array | None:
    """(h, w): the output named, or the only one, where it is one map of one channel."""
    if wanted is None and len(outputs) != 1:
        return None
    value = next(iter(outputs.values())) if wanted is None else outputs.get(wanted)
    if value is None or value.ndim < 2 or value.size != value.shape[-1] * value.shape[-2] or min(value.shape[-2:]) < SIDE_MIN:
        return None
    return value.reshape(value.shape[-2:])


def regions(outputs: Mapping[str, Array], size: Size, options: Any) -> Candidates:
    """What lies above option `threshold`, in the model's pixels; the score is the mean of the map within."""
    plane = map_in(outputs, options.scores)
    if plane is None:
        given = ", ".join(f"{name} {list(value.shape)}" for name, value in outputs.items())
        raise RoleError(
            f"the model gives no single map: {given}", where="option detector: map", instead="name the map in option scores"
        )
    sure = plane.astype(np.float64)
    if options.activation == "sigmoid" or (options.activation == "auto" and (sure.min(initial=0) < -0.1 or sure.max(initial=0) > 1.1)):
        sure = sigmoid(sure)
    scale = np.array([size[0] / plane.shape[1], size[1] / plane.shape[0]])
    boxes, angles, scores = [], [], []
    for rows, starts, ends in _parts(sure > options.threshold):
        edges = np.concatenate([np.stack([x, rows + y], axis=1) for x in (starts, ends) for y in (0.0, 1.0)]) * scale
        middle, half, angle = _rectangle(edges)
        if min(half) * 2 < LEAST:
            continue
        sides = half * 2
        half = half + sides.prod() * options.grow / (2 * sides.sum())
        inside = sum(float(sure[row, start:end].sum()) for row, start, end in zip(rows, starts, ends, strict=True))
        boxes.append([*(middle - half), *(middle + half)])
        angles.append(angle)
        scores.append(inside / float((ends - starts).sum()))
    return Candidates(
        np.array(boxes, np.float64).reshape(-1, 4), np.array(scores), np.zeros(len(boxes), int), angles=np.array(angles), chosen=True
    )


def _parts(on: Array) -> list[tuple[Array, Array, Array]]:
    """The regions, largest first, each as its runs: (rows, starts, ends)."""
    padded = np.zeros((on.shape[0], on.shape[1] + 2), np.int8)
    padded[:, 1:-1] = on
    steps = np.diff(padded, axis=1)
    rows, starts = np.nonzero(steps == 1)
    ends = np.nonzero(steps == -1)[1]
    if not len(rows):
        return []
    parent = np.arange(len(rows))

    def root(at: int) -> int:
        while parent[at] != at:
            parent[at] = parent[parent[at]]
            at = int(parent[at])
        return at

    first = np.searchsorted(rows, np.arange(on.shape[0] + 1))
    for row in range(1, on.shape[0]):
        above, here, above_end, here_end = int(first[row - 1]), int(first[row]), int(first[row]), int(first[row + 1])
        while above < above_end and here < here_end:
            if starts[above] <= ends[here] and starts[here] <= ends[above]:
                parent[root(here)] = root(above)
            if ends[above] < ends[here]:
                above += 1
            else:
                here += 1
    owners = np.array([root(at) for at in range(len(rows))])
    where = np.unique(owners, return_inverse=True)[1]
    sizes = np.bincount(where, ends - starts)
    largest = np.argsort(-sizes, kind="stable")[:REGIONS_MAX]
    return [(rows[where == at], starts[where == at], ends[where == at]) for at in largest]


def _rectangle(points: Array) -> tuple[Array, Array, float]:
    """(middle, half of the sides, angle) of the smallest rectangle around the points; the angle is within an eighth of a turn."""
    hull = _hull(points)
    edges = np.roll(hull, -1, axis=0) - hull
    turns = np.unique(np.round(np.arctan2(edges[:, 1], edges[:, 0]) % (np.pi / 2), 9))
    turns = np.append(turns, 0.0)
    turns = np.where(turns > np.pi / 4, turns - np.pi / 2, turns)
    across = np.stack([np.cos(turns), np.sin(turns)], axis=1)
    down = np.stack([-np.sin(turns), np.cos(turns)], axis=1)
    along, athwart = hull @ across.T, hull @ down.T
    low, high = np.stack([along.min(axis=0), athwart.min(axis=0)], axis=1), np.stack([along.max(axis=0), athwart.max(axis=0)], axis=1)
    best = int((high - low).prod(axis=1).argmin())
    centre = (low[best] + high[best]) / 2
    return centre[0] * across[best] + centre[1] * down[best], (high[best] - low[best]) / 2, float(turns[best])


def _hull(points: Array) -> Array:
    """The corners of the convex hull, in order (monotone chain: Andrew 1979)."""
    ordered = np.unique(points, axis=0)
    if len(ordered) < 3:
        return ordered
    chains = []
    for line in (ordered, ordered[::-1]):
        chain: list[Array] = []
        for point in line:
            while len(chain) > 1 and _turn(chain[-2], chain[-1], point) <= 0:
                chain.pop()
            chain.append(point)
        chains.append(chain[:-1])
    return np.array(chains[0] + chains[1])


def _turn(one: Array, two: Array, three: Array) -> float:
    return float((two[0] - one[0]) * (three[1] - one[1]) - (two[1] - one[1]) * (three[0] - one[0]))
