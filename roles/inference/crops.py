"""One model looks where another one pointed: faces to a model of faces, lines of text to one that reads.

The boxes come later than the picture in which they were found, so the last pictures are kept for a moment, and each set of boxes is cut
out of its own: both carry when the sensor saw them. A box that is turned is cut out upright. Boxes that come later than the pictures are
kept are left out: a slow model then looks at fewer moments, never at wrong ones.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mesh.errors import RoleError
from roles.inference.intake import Array, Fit

KEPT = 8  # pictures
LATE_S = 0.5  # between a picture and boxes that carry another moment
SIDE_MIN = 2  # pixels of a crop
LISTS = ("boxes", "figures", "things", "faces")  # where events carry what was found
STRAIGHT = 0.02  # radians: a box that is turned by less is cut straight
DECODES = ("classes", "boxes", "keypoints", "letters", "embedding", "raw")  # those that remember nothing and paint nothing


@dataclass(frozen=True, slots=True)
class Crop:
    """A part of a picture: `thing` is what was found there, `region` its x0, y0, x1, y1 in 0..1 of the whole; None when it was turned."""

    thing: dict[str, Any]
    picture: Array
    region: tuple[float, float, float, float] | None

    def fit(self, fit: Fit) -> Fit:
        """Where the whole picture would lie in the model's picture, given where the crop does, so that places found are those of the
        whole. Of a turned crop they stay its own."""
        if self.region is None:
            return fit
        x0, y0, x1, y1 = self.region
        width, height = fit.width / (x1 - x0), fit.height / (y1 - y0)
        return Fit(fit.left - x0 * width, fit.top - y0 * height, width, height)


class Crops:
    """The last pictures, and what to cut out of them. `most` things of an event, only those of `labels` unless it is empty, each grown by
    `margin` of its sides on every side."""

    def __init__(self, most: int, margin: float, labels: list[str]) -> None:
        self._most, self._margin, self._labels = most, margin, labels
        self._pictures: deque[tuple[float, Array]] = deque(maxlen=KEPT)

    def remember(self, picture: Array, captured_s: float) -> None:
        """A picture; it is copied, since the memory in which it came is used again."""
        self._pictures.append((captured_s, picture.copy()))

    def of(self, event: Any, captured_s: float) -> list[Crop] | None:
        """The crops of an event, in its order; None when its picture is not here. RoleError where it carries no boxes."""
        found = things_in(event)
        if not self._pictures:
            return None
        at_s, picture = min(self._pictures, key=lambda kept: abs(kept[0] - captured_s))
        if abs(at_s - captured_s) > LATE_S and captured_s:
            return None
        wanted = [thing for thing in found if not self._labels or thing.get("label") in self._labels][: self._most]
        return [crop for thing in wanted if (crop := cut(picture, thing, self._margin)) is not None]


def things_in(event: Any) -> list[dict[str, Any]]:
    """What an event says was found: a list of {"box": [x0, y0, x1, y1] in 0..1, …}, or such a list under "boxes" or "figures"."""
    found = event
    if isinstance(event, Mapping):
        found = next((event[name] for name in LISTS if name in event), [event] if "box" in event else None)
    if not isinstance(found, list) or not all(isinstance(each, Mapping) for each in found):
        raise RoleError(
            "the event carries no boxes", where="input boxes",
            instead='wire a role that decodes boxes or keypoints, or emit {"boxes": [{"label": …, "box": [x0, y0, x1, y1]}, …]}',
        )  # fmt: skip
    return [dict(each) for each in found if isinstance(each.get("box"), list | tuple) and len(each["box"]) == 4]


def cut(picture: Array, thing: Mapping[str, Any], margin: float) -> Crop | None:
    """The part of the picture in which the thing is; None where that is outside of it, or too small to see."""
    height, width = picture.shape[:2]
    corners = thing.get("corners")
    if isinstance(corners, list) and len(corners) == 4 and abs(float(thing.get("angle", 0.0))) > STRAIGHT:
        return _turned(picture, dict(thing), np.array(corners, np.float64) * (width, height), margin)
    x0, y0, x1, y1 = (float(side) for side in thing["box"])
    if not all(np.isfinite([x0, y0, x1, y1])):
        return None
    more = ((x1 - x0) * margin, (y1 - y0) * margin)
    left, right = max(0, round((x0 - more[0]) * width)), min(width, round((x1 + more[0]) * width))
    top, bottom = max(0, round((y0 - more[1]) * height)), min(height, round((y1 + more[1]) * height))
    if right - left < SIDE_MIN or bottom - top < SIDE_MIN:
        return None
    return Crop(dict(thing), picture[top:bottom, left:right], (left / width, top / height, right / width, bottom / height))


def _turned(picture: Array, thing: dict[str, Any], corners: Array, margin: float) -> Crop | None:
    """The pixels within four corners (in order, in pixels), upright; between pixels along a line, outside the picture its edge."""
    across, down = corners[1] - corners[0], corners[3] - corners[0]
    corner = corners[0] - (across + down) * margin
    across, down = across * (1 + 2 * margin), down * (1 + 2 * margin)
    sides = np.array([np.hypot(*across), np.hypot(*down)])
    if not np.isfinite(sides).all() or sides.min() < SIDE_MIN:
        return None
    wide, high = (int(min(side, 2 * max(picture.shape))) for side in np.rint(sides))
    columns, rows = (np.arange(wide) + 0.5) / wide, (np.arange(high) + 0.5) / high
    places = corner + rows[:, None, None] * down + columns[None, :, None] * across - 0.5
    x = np.clip(places[..., 0], 0, picture.shape[1] - 1)
    y = np.clip(places[..., 1], 0, picture.shape[0] - 1)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    right, bottom = np.minimum(left + 1, picture.shape[1] - 1), np.minimum(top + 1, picture.shape[0] - 1)
    shape = (*x.shape, *(1,) * (picture.ndim - 2))
    u, v = (x - left).reshape(shape), (y - top).reshape(shape)
    upper = picture[top, left] * (1 - u) + picture[top, right] * u
    lower = picture[bottom, left] * (1 - u) + picture[bottom, right] * u
    return Crop(thing, np.rint(upper * (1 - v) + lower * v).astype(np.uint8), None)
