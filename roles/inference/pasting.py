"""What a model paints of parts of a picture, laid back onto the whole: masks of faces, faces in another style.

Each part goes where it was cut out, turned as it was. A picture of a picture fades out towards its edges, so that it has no seam; masks
are laid over one another, the brighter one counts. Decided against: painting in place, since the picture in memory is everybody's.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from roles.inference.crops import Crop
from roles.inference.intake import Array
from roles.inference.sampling import opencv
from roles.inference.upright import Region, between

SEAM = 0.06  # of a part's sides


def laid_together(seen: Sequence[tuple[Crop, Array]], onto: Array | None, shape: tuple[int, int]) -> Array:
    """The parts, each painted of its crop, as one picture of `shape` (height, width): on a copy of `onto`, or as grey masks on black."""
    whole = np.zeros(shape, np.uint8) if onto is None else onto.copy()
    if whole.ndim == 2 and onto is not None and any(painted.ndim == 3 for _, painted in seen):
        whole = np.repeat(whole[..., None], 3, axis=2)
    for crop, painted in seen:
        _lay(whole, painted, crop.region, onto is not None)
    return whole


def _lay(whole: Array, part: Array, region: Region, fades: bool) -> None:
    corners = np.array([region.corner, region.corner + region.across, region.corner + region.down,
                        region.corner + region.across + region.down])  # fmt: skip
    low = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, (whole.shape[1], whole.shape[0]))
    high = np.clip(np.ceil(corners.max(axis=0)).astype(int), 0, (whole.shape[1], whole.shape[0]))
    if (high <= low).any():
        return
    columns, rows = np.arange(low[0], high[0]) + 0.5 - region.corner[0], np.arange(low[1], high[1]) + 0.5 - region.corner[1]
    (a, b), (c, d) = np.linalg.inv(np.stack([region.across, region.down], axis=1))
    u, v = a * columns[None] + b * rows[:, None], c * columns[None] + d * rows[:, None]  # 0..1 of the part
    inside = (u >= 0) & (u < 1) & (v >= 0) & (v < 1)
    there = _sampled(part, u * part.shape[1] - 0.5, v * part.shape[0] - 0.5)
    here = whole[low[1] : high[1], low[0] : high[0]]
    if not fades:
        np.maximum(here, np.where(inside, there if there.ndim == 2 else there.max(axis=2), 0), out=here)
        return
    edge = np.minimum(np.minimum(u, 1 - u), np.minimum(v, 1 - v))
    share = np.where(inside, np.clip(edge / SEAM, 0, 1), 0)
    if here.ndim == 3:
        share, there = share[..., None], there.reshape(*there.shape[:2], -1)
    here[...] = np.rint(here * (1 - share) + there * share)


def _sampled(part: Array, x: Array, y: Array) -> Array:
    cv2 = opencv()
    if cv2 is None:
        return between(part, x, y)
    ways = (x.astype(np.float32), y.astype(np.float32))
    taken: Array = cv2.remap(np.ascontiguousarray(part), *ways, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return taken
