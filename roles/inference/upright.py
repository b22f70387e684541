"""Where a thing is cut out of a picture so that it stands as its model was shown it: turned, made square, moved, or laid on a pattern.

A model of faces, hands or bodies was trained on pictures in which these are upright, and answers badly where they are not. Option `align`
says by which points of the thing (those that its detector gives, counted from 0) it is turned:

    {level: [0, 1]}     the line from the first to the second lies level and points to the right (MediaPipe's faces: the eyes)
    {up: [0, 2]}        it points up (MediaPipe's hands: wrist and middle finger)
    {around: [0, 1]}    not the box but a square about the first point that reaches to the second (MediaPipe's bodies)
    {points: arcface}   turned and sized so that its points lie, as well as can be, on a pattern (ArcFace and models of likeness after it;
                        ffhq: GFPGAN and others that repaint faces)

Turning is by the shortest way of least squares (Umeyama 1991); what lies outside the picture is as its edge, or has the grey `beyond`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mesh.errors import RoleError
from roles.inference.intake import Array, Fit
from roles.inference.sampling import opencv

SIDE_MIN = 2  # pixels
ARCFACE = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]])  # of 112 pixels
FFHQ = np.array([[192.98138, 239.94708], [318.90277, 240.1936], [256.63416, 314.01935], [201.26117, 371.41043], [313.08905, 371.15118]])
PATTERNS = {"arcface": ARCFACE / 112, "ffhq": FFHQ / 512}


@dataclass(frozen=True, slots=True)
class Region:
    """A turned rectangle in the picture's pixels: its corner, the way across its top, and the way down its left side."""

    corner: Array
    across: Array
    down: Array

    def grown(self, margin: float) -> Region:
        """By this share of its sides on every side."""
        more = 1 + 2 * margin
        return Region(self.corner - (self.across + self.down) * margin, self.across * more, self.down * more)

    def cut(self, picture: Array, beyond: int | None = None) -> Array | None:
        """What lies in it, upright, (height, width[, 3]) uint8; between pixels along a line, outside the picture as its edge, or of grey
        `beyond`. None where it is too small to see."""
        sides = np.array([np.hypot(*self.across), np.hypot(*self.down)])
        if not np.isfinite([*self.corner, *sides]).all() or sides.min() < SIDE_MIN:
            return None
        wide, high = (int(min(side, 2 * max(picture.shape))) for side in np.rint(sides))
        return self._turned(picture, (wide, high), beyond) if opencv() is None else self._warped(picture, (wide, high), beyond)

    def _warped(self, picture: Array, size: tuple[int, int], beyond: int | None) -> Array:
        """By OpenCV, ten times as fast; places between pixels are rounded to thirty-seconds."""
        cv2 = opencv()
        ways = np.stack([self.across / size[0], self.down / size[1]], axis=1)
        moves = np.column_stack([ways, self.corner + ways.sum(axis=1) / 2 - 0.5])
        border = cv2.BORDER_REPLICATE if beyond is None else cv2.BORDER_CONSTANT
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        grey = [beyond or 0] * 3
        part: Array = cv2.warpAffine(np.ascontiguousarray(picture), moves, size, flags=flags, borderMode=border, borderValue=grey)
        return part

    def _turned(self, picture: Array, size: tuple[int, int], beyond: int | None) -> Array:
        columns, rows = (np.arange(size[0]) + 0.5) / size[0], (np.arange(size[1]) + 0.5) / size[1]
        places = self.corner + rows[:, None, None] * self.down + columns[None, :, None] * self.across - 0.5
        part = between(picture, places[..., 0], places[..., 1])
        if beyond is not None:
            sides = np.array(picture.shape[1::-1])
            part[(np.abs(places - (sides - 1) / 2) > sides / 2).any(axis=2)] = beyond
        return part


def between(picture: Array, x: Array, y: Array) -> Array:
    """The picture at places between its pixels, along a line; outside it its edge. uint8, in the places' shape."""
    x, y = np.clip(x, 0, picture.shape[1] - 1), np.clip(y, 0, picture.shape[0] - 1)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    right, bottom = np.minimum(left + 1, picture.shape[1] - 1), np.minimum(top + 1, picture.shape[0] - 1)
    shape = (*x.shape, *(1,) * (picture.ndim - 2))
    u, v = (x - left).reshape(shape), (y - top).reshape(shape)
    upper = picture[top, left] * (1 - u) + picture[top, right] * u
    lower = picture[bottom, left] * (1 - u) + picture[bottom, right] * u
    whole: Array = np.rint(upper * (1 - v) + lower * v).astype(np.uint8)
    return whole


@dataclass(frozen=True, slots=True)
class TurnedFit(Fit):
    """A fit whose picture is a region of a larger one of `whole` (width, height): places go back to that."""

    region: Region | None = None
    whole: tuple[int, int] = (1, 1)

    def points_back(self, points: Array) -> Array:
        """Points (n, 2) in the model's pixels -> 0..1 of the whole picture."""
        own = Fit(self.left, self.top, self.width, self.height).points_back(points)
        if self.region is None:
            return own
        return np.asarray((self.region.corner + own[:, :1] * self.region.across + own[:, 1:] * self.region.down) / self.whole)

    def back(self, boxes: Array) -> Array:
        """Boxes (n, 4) -> the upright boxes around them in 0..1 of the whole picture, clipped to it."""
        corners = [self.points_back(boxes[:, [x, y]]) for x in (0, 2) for y in (1, 3)]
        return np.clip(np.concatenate([np.min(corners, axis=0), np.max(corners, axis=0)], axis=1), 0.0, 1.0)


def aligned(thing: Mapping[str, Any], picture: Array, align: Any, aspect: float) -> Region:
    """Where a thing with `box` and `points`, in 0..1 of the picture, is cut out. `align` is the option; `aspect` the width of the model's
    picture by its height. RoleError where the thing has no such points."""
    whole = np.array([picture.shape[1], picture.shape[0]], np.float64)
    if align.points is not None:
        pattern = PATTERNS[align.points] if isinstance(align.points, str) else np.array(align.points, np.float64)
        return _on_pattern(_points(thing, range(len(pattern)), align) * whole, pattern, aspect)
    box = np.array([float(side) for side in thing["box"]])
    middle, sides = (box[:2] + box[2:]) / 2 * whole, (box[2:] - box[:2]) * whole
    if align.around is not None:
        ends = _points(thing, align.around, align) * whole
        middle, sides = ends[0], np.full(2, 2 * float(np.hypot(*(ends[1] - ends[0]))))
    way = np.array([1.0, 0.0])  # across
    for asked, up in ((align.level, False), (align.up, True)):
        if asked is not None:
            ends = _points(thing, asked, align) * whole
            moved = ends[1] - ends[0]
            length = float(np.hypot(*moved))
            if length > 0:
                way = np.array([-moved[1], moved[0]]) / length if up else moved / length
    down = np.array([-way[1], way[0]])
    middle = middle + way * sides[0] * align.shift[0] + down * sides[1] * align.shift[1]
    sides = np.full(2, sides.max()) if align.square else sides
    return Region(middle - way * sides[0] / 2 - down * sides[1] / 2, way * sides[0], down * sides[1])


def _points(thing: Mapping[str, Any], wanted: Any, align: Any) -> Array:
    """(k, 2): those of the thing's points that are asked for."""
    given = thing.get("points")
    if not isinstance(given, list) or len(given) <= max(wanted):
        have = f"{len(given)} points" if isinstance(given, list) else "no points"
        raise RoleError(
            f"what was found has {have}, option align wants number {max(wanted)}", where="option align",
            instead="wire a role whose model gives points with its boxes, or name other points, or leave align out",
        )  # fmt: skip
    return np.array([[float(given[at][0]), float(given[at][1])] for at in wanted])


def _on_pattern(points: Array, pattern: Array, aspect: float) -> Region:
    """The region in which the points lie on the pattern as well as can be, without stretching or mirroring."""
    there = pattern[:, 0] * aspect + 1j * pattern[:, 1]
    here = points[:, 0] + 1j * points[:, 1]
    moved, own = there - there.mean(), here - here.mean()
    spread = float((abs(own) ** 2).sum())
    turn = complex((own.conj() * moved).sum()) / spread if spread > 0 else 0j
    if not abs(turn) > 0:
        return Region(np.zeros(2), np.zeros(2), np.zeros(2))
    start = here.mean() + (0 - there.mean()) / turn
    across, down = aspect / turn, 1j / turn
    return Region(*(np.array([each.real, each.imag]) for each in (start, across, down)))
