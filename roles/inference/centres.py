"""Detectors that light up the middle of what they see: a map for each class, and what belongs to the middle in maps beside it.

    centernet    heat [1, classes, h, w], sides [1, 2, h, w] and offsets [1, 2, h, w], all in cells (Zhou et al. 2019; `hm`, `wh`, `reg`)
    centerface   heat [1, 1, h, w], sides and offsets as (down, across), sides as logarithms, five points within the box
                 (Xu et al. 2019; their centerface.py)

A place counts where nothing around it is brighter: the maximum of 3 x 3, as in the paper, in place of suppression.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mesh.errors import RoleError
from roles.inference.candidates import Candidates, corners, sigmoid
from roles.inference.intake import Array, Size

PLACES_MAX = 1000
SIDES, OFFSETS = ("wh", "size", "scale", "dim"), ("reg", "off")


def centernet(outputs: Mapping[str, Array], size: Size, face: bool) -> Candidates:
    """Whatever the maps are called: the heat is the one that has another number of channels, the sides come before the offsets."""
    maps = {name: _first(value) for name, value in outputs.items() if value.ndim in (3, 4)}
    pairs = [name for name, value in maps.items() if value.shape[0] == 2]
    sides = next((name for name in pairs if any(word in name.lower() for word in SIDES)), None)
    offsets = next((name for name in pairs if any(word in name.lower() for word in OFFSETS) and name != sides), None)
    sides = sides or next((name for name in pairs if name != offsets), None)
    offsets = offsets or next((name for name in pairs if name != sides), None)
    heats = [name for name in maps if name not in (sides, offsets) and not (face and maps[name].shape[0] == 10)]
    if sides is None or not heats:
        raise RoleError(
            f"the model's outputs are no maps of middles: {', '.join(f'{name} {list(value.shape)}' for name, value in outputs.items())}",
            where="option detector", instead="name them in option named, such as {hm: OUTPUT, wh: OUTPUT, reg: OUTPUT}",
        )  # fmt: skip
    heat = maps[heats[0]]
    heat = heat if heat.min() >= 0 and heat.max() <= 1 else sigmoid(heat)
    kinds, rows, columns, scores = _peaks(heat)
    step = np.array([size[0] / heat.shape[2], size[1] / heat.shape[1]])
    moved = maps[offsets][:, rows, columns].T if offsets else np.zeros((len(rows), 2))
    said = maps[sides][:, rows, columns].T.astype(np.float64)
    if not face:
        middle = (np.stack([columns, rows], axis=1) + moved) * step
        return Candidates(corners(np.concatenate([middle, said * step], axis=1)), scores, kinds)
    middle = (np.stack([columns, rows], axis=1) + moved[:, ::-1] + 0.5) * step
    wide = np.exp(np.clip(said[:, ::-1], -20, 20)) * step
    boxes = corners(np.concatenate([middle, wide], axis=1))
    marks = next((value for value in maps.values() if value.shape[0] == 10), None)
    points = None
    if marks is not None:
        points = marks[:, rows, columns].T.reshape(-1, 5, 2)[..., ::-1] * wide[:, None] + boxes[:, None, :2]
    return Candidates(boxes, scores, kinds, points)


def _first(value: Array) -> Array:
    return value[0] if value.ndim == 4 else value


def _peaks(heat: Array) -> tuple[Array, Array, Array, Array]:
    """(kinds, rows, columns, scores) of the places brighter than the eight around them, the brightest thousand."""
    padded = np.pad(heat, ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    down = np.maximum(np.maximum(padded[:, :-2], padded[:, 1:-1]), padded[:, 2:])
    most = np.maximum(np.maximum(down[:, :, :-2], down[:, :, 1:-1]), down[:, :, 2:])
    kinds, rows, columns = np.nonzero((heat >= most) & (heat > 0.01))
    scores = heat[kinds, rows, columns]
    order = np.argsort(-scores, kind="stable")[:PLACES_MAX]
    return kinds[order], rows[order], columns[order], scores[order].astype(np.float64)
