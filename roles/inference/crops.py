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
from roles.inference.upright import SIDE_MIN, Region, TurnedFit, aligned

KEPT = 8  # pictures
LATE_S = 0.5  # between a picture and boxes that carry another moment
LISTS = ("boxes", "figures", "things", "faces")  # where events carry what was found
STRAIGHT = 0.02  # radians: a box that is turned by less is cut straight
PAINTED = ("mask", "image")  # those whose answer is a picture: it is laid back onto the whole
DECODES = ("classes", "boxes", "keypoints", "letters", "embedding", "raw", *PAINTED)  # those that remember nothing


@dataclass(frozen=True, slots=True)
class Crop:
    """A part of the picture `source`: `thing` is what was found there, `region` where it was cut out."""

    thing: dict[str, Any]
    picture: Array
    region: Region
    source: Array

    def fit(self, fit: Fit) -> Fit:
        """Given where the crop lies in the model's picture: so that places found there are those of the whole."""
        whole = (self.source.shape[1], self.source.shape[0])
        return TurnedFit(fit.left, fit.top, fit.width, fit.height, self.region, whole)


class Crops:
    """The last pictures, and what to cut out of them. `most` things of an event, only those of `labels` unless it is empty, each grown by
    `margin` of its sides on every side; turned as option `align` says, for a model whose picture is `aspect` times as wide as high."""

    def __init__(self, most: int, margin: float, labels: list[str], align: Any = None, aspect: float = 1.0) -> None:
        self._most, self._margin, self._labels, self._align, self._aspect = most, margin, labels, align, aspect
        self._pictures: deque[tuple[float, Array]] = deque(maxlen=KEPT)

    def remember(self, picture: Array, captured_s: float) -> None:
        """A picture; it is copied, since the memory in which it came is used again."""
        self._pictures.append((captured_s, picture.copy()))

    def of(self, event: Any, captured_s: float) -> list[Crop] | None:
        """The crops of an event, in its order; None when its picture is not here. RoleError where it carries no boxes."""
        found = things_in(event)
        picture = self.picture(captured_s)
        if picture is None:
            return None
        wanted = [thing for thing in found if not self._labels or thing.get("label") in self._labels][: self._most]
        return [crop for thing in wanted if (crop := self._cut(picture, thing)) is not None]

    def picture(self, captured_s: float) -> Array | None:
        """The picture of that moment; None when it is not here."""
        if not self._pictures:
            return None
        at_s, picture = min(self._pictures, key=lambda kept: abs(kept[0] - captured_s))
        return None if abs(at_s - captured_s) > LATE_S and captured_s else picture

    def _cut(self, picture: Array, thing: dict[str, Any]) -> Crop | None:
        if self._align is None or not np.isfinite([float(side) for side in thing["box"]]).all():
            return cut(picture, thing, self._margin)
        region = aligned(thing, picture, self._align, self._aspect).grown(self._margin)
        return _turned(picture, thing, region, self._align.beyond)


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
        placed = np.array(corners, np.float64) * (width, height)
        return _turned(picture, dict(thing), Region(placed[0], placed[1] - placed[0], placed[3] - placed[0]).grown(margin))
    x0, y0, x1, y1 = (float(side) for side in thing["box"])
    if not all(np.isfinite([x0, y0, x1, y1])):
        return None
    more = ((x1 - x0) * margin, (y1 - y0) * margin)
    left, right = max(0, round((x0 - more[0]) * width)), min(width, round((x1 + more[0]) * width))
    top, bottom = max(0, round((y0 - more[1]) * height)), min(height, round((y1 + more[1]) * height))
    if right - left < SIDE_MIN or bottom - top < SIDE_MIN:
        return None
    region = Region(np.array([left, top]), np.array([right - left, 0]), np.array([0, bottom - top]))
    return Crop(dict(thing), picture[top:bottom, left:right], region, picture)


def _turned(picture: Array, thing: dict[str, Any], region: Region, beyond: int | None = None) -> Crop | None:
    part = region.cut(picture, beyond)
    return None if part is None else Crop(thing, part, region, picture)
