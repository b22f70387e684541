"""Boxes that are turned: their corners, and which of them are the same thing.

Likeness is that of two normal distributions that fill the boxes (probiou: Llerena et al. 2021), which is how such models are trained and
measured. Decided against: the exact overlap of two turned rectangles, which needs clipping of polygons and gives the same choice.
"""

from __future__ import annotations

import numpy as np

from roles.inference.intake import Array


def turned_corners(boxes: Array, angles: Array) -> Array:
    """(n, 4) as x0 y0 x1 y1 before turning and (n,) radians, clockwise on the screen -> (n, 4, 2), in order around the box."""
    middle, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    across = np.stack([np.cos(angles), np.sin(angles)], axis=1) * half[:, :1]
    down = np.stack([-np.sin(angles), np.cos(angles)], axis=1) * half[:, 1:]
    return np.stack([middle - across - down, middle + across - down, middle + across + down, middle - across + down], axis=1)


def suppress_turned(boxes: Array, angles: Array, scores: Array, kinds: Array, iou_max: float) -> list[int]:
    """Greedy suppression within each kind; indices, best first."""
    waiting, kept = np.argsort(-scores, kind="stable"), []
    spread = _spread(boxes, angles)
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    while len(waiting):
        first, waiting = int(waiting[0]), waiting[1:]
        kept.append(first)
        same = _likeness(middles[first], spread[first], middles[waiting], spread[waiting])
        waiting = waiting[(same <= iou_max) | (kinds[waiting] != kinds[first])]
    return kept


def _spread(boxes: Array, angles: Array) -> Array:
    """(n, 3): the variances across and down and what they share, of an even distribution over each box."""
    wide, high = ((boxes[:, 2:] - boxes[:, :2]) ** 2 / 12).T
    cosine, sine = np.cos(angles), np.sin(angles)
    return np.stack([wide * cosine**2 + high * sine**2, wide * sine**2 + high * cosine**2, (wide - high) * cosine * sine], axis=1)


def _likeness(middle: Array, own: Array, middles: Array, others: Array) -> Array:
    """1 less the Hellinger distance of one box from others: 1 where they are the same."""
    tiny = 1e-7
    a, b, c = (own + others).T
    x, y = (middle - middles).T
    shared = np.maximum(a * b - c**2, tiny)
    apart = 0.25 * (a * y**2 + b * x**2) / shared + 0.5 * (-c * x * y) / shared
    areas = np.maximum(own[0] * own[1] - own[2] ** 2, 0) * np.maximum(others[:, 0] * others[:, 1] - others[:, 2] ** 2, 0)
    apart = apart + 0.5 * np.log(shared / (4 * np.sqrt(areas) + tiny) + tiny)
    return 1 - np.sqrt(1 - np.exp(-np.clip(apart, tiny, 100)) + tiny)
