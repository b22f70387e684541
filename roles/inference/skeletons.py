"""Figures of several people from maps of joints and maps of limbs: which elbow belongs to which wrist (Cao et al. 2017).

    heat    [1, joints (+ 1 for none), h, w], bright where a joint is
    limbs   [1, 2 * limbs, h, w], a direction across and down wherever a limb lies, two maps for each limb in the order of option `limbs`

Apart, joined in one output, heat first (OpenPose), or several times over, the last being the best (lightweight OpenPose, OpenVINO).
Two joints belong together where the limb's direction, ten times between them, is theirs; the surest pairs are joined first. Decided
against: enlarging the maps eightfold as the first programs did: a parabola through three places finds a peak as well, in a hundredth of
the time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mesh.errors import RoleError
from roles.inference.intake import Array, Size

Limbs = Sequence[tuple[int, int]]
Pair = tuple[float, tuple[int, int], tuple[int, int]]  # how sure; two joints, each with which of its peaks
SETS: dict[str, Limbs] = {
    "openpose": ((1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13), (1, 2), (2, 3), (3, 4), (2, 16), (1, 5), (5, 6), (6, 7), (5, 17),
                 (1, 0), (0, 14), (0, 15), (14, 16), (15, 17)),
    "body25": ((1, 8), (9, 10), (10, 11), (8, 9), (8, 12), (12, 13), (13, 14), (1, 2), (2, 3), (3, 4), (2, 17), (1, 5), (5, 6), (6, 7),
               (5, 18), (1, 0), (0, 15), (0, 16), (15, 17), (16, 18), (14, 19), (19, 20), (14, 21), (11, 22), (22, 23), (11, 24)),
}  # fmt: skip
PEAK = 0.1  # fainter is no joint
ALONG, ALIKE, SHARE = 10, 0.05, 0.8  # places on a limb, how much its direction must be there, on which share of them
PEAKS_MAX = 50  # of one joint: people in a picture
PARTS_MIN = 3  # joints: fewer are nobody


@dataclass(eq=False)
class _Figure:
    peaks: dict[int, int] = field(default_factory=dict)  # joint -> its peak


def skeleton_of(outputs: Mapping[str, Array]) -> str | None:
    """The known set of limbs that the outputs' channels tell."""
    for name, limbs in SETS.items():
        if _maps(outputs, limbs) is not None:
            return name
    return None


def people(outputs: Mapping[str, Array], limbs: str | Limbs, size: Size) -> list[tuple[float, Array]]:
    """(score, (joints, 3) as x y in the model's pixels and how sure) of each figure; a joint that is not seen is 0 0 0."""
    limbs = SETS[limbs] if isinstance(limbs, str) else limbs
    found = _maps(outputs, limbs)
    if found is None:
        given = ", ".join(f"{name} {list(value.shape)}" for name, value in outputs.items())
        raise RoleError(
            f"no outputs are maps of {_joints(limbs)} joints and {2 * len(limbs)} maps of limbs: {given}", where="option limbs",
            instead="write each limb as [joint, joint], in the order of the model's maps, or openpose, or body25",
        )  # fmt: skip
    heat, fields = found
    peaks = [_peaks(plane) for plane in heat[: _joints(limbs)]]
    figures = _joined(_pairs(peaks, fields, limbs))
    scale = np.array([size[0] / heat.shape[2], size[1] / heat.shape[1]])
    told = []
    for figure in figures:
        points = np.zeros((len(peaks), 3))
        for joint, at in figure.peaks.items():
            points[joint] = [*((peaks[joint][at, :2] + 0.5) * scale), min(1.0, peaks[joint][at, 2])]
        told.append((float(points[list(figure.peaks), 2].mean()), points))
    return sorted(told, key=lambda each: -each[0])


def _joints(limbs: Limbs) -> int:
    return max(max(limb) for limb in limbs) + 1


def _maps(outputs: Mapping[str, Array], limbs: Limbs) -> tuple[Array, Array] | None:
    """(heat, limbs), channels first, or None."""
    joints, twice = _joints(limbs), 2 * len(limbs)
    heat, fields = None, None
    for value in outputs.values():
        if value.ndim != 4 or value.shape[0] != 1:
            continue
        for plane in (value[0], value[0].transpose(2, 0, 1)):
            if min(plane.shape[1:]) < 4:
                continue
            if plane.shape[0] in (joints + twice, joints + 1 + twice):
                return plane[:-twice].astype(np.float64), plane[-twice:].astype(np.float64)
            if plane.shape[0] in (joints, joints + 1):
                heat = plane
            elif plane.shape[0] == twice:
                fields = plane
    if heat is None or fields is None or heat.shape[1:] != fields.shape[1:]:
        return None
    return heat.astype(np.float64), fields.astype(np.float64)


def _peaks(plane: Array) -> Array:
    """(n, 3): column, row, and how bright, of each place brighter than what is around it; the brightest first."""
    held = np.pad(plane, 1, constant_values=-np.inf)
    around = [held[1 + y : held.shape[0] - 1 + y, 1 + x : held.shape[1] - 1 + x] for y in (-1, 0, 1) for x in (-1, 0, 1)]
    top = plane > PEAK
    for at, other in enumerate(around):
        if at != 4:
            top &= (plane > other) if at < 4 else (plane >= other)
    rows, columns = np.nonzero(top)
    first = np.argsort(-plane[rows, columns], kind="stable")[:PEAKS_MAX]
    rows, columns = rows[first], columns[first]
    x = columns + _summit(held[rows + 1, columns], plane[rows, columns], held[rows + 1, columns + 2])
    y = rows + _summit(held[rows, columns + 1], plane[rows, columns], held[rows + 2, columns + 1])
    return np.stack([x, y, plane[rows, columns]], axis=1)


def _summit(before: Array, here: Array, after: Array) -> Array:
    """How far from the middle one the top of a parabola through three places lies, at most half a place."""
    bend = 2 * here - before - after
    inside = np.isfinite(bend) & (bend > 0)
    with np.errstate(invalid="ignore"):
        return np.where(inside, np.clip((after - before) / np.where(inside, 2 * bend, 1.0), -0.5, 0.5), 0.0)


def _pairs(peaks: list[Array], fields: Array, limbs: Limbs) -> list[Pair]:
    """Limbs that are there, the surest first, each joint once in each limb."""
    found = []
    for limb, (one, other) in enumerate(limbs):
        starts, ends = peaks[one][:, None, :2], peaks[other][None, :, :2]
        if not starts.size or not ends.size:
            continue
        way = ends - starts
        length = np.maximum(np.hypot(way[..., 0], way[..., 1]), 1e-9)
        places = starts[:, :, None] + way[:, :, None] * np.linspace(0, 1, ALONG)[:, None]
        columns = np.clip(np.rint(places[..., 0]).astype(int), 0, fields.shape[2] - 1)
        rows = np.clip(np.rint(places[..., 1]).astype(int), 0, fields.shape[1] - 1)
        said = fields[2 * limb : 2 * limb + 2, rows, columns]
        alike = (said[0] * way[..., 0:1] + said[1] * way[..., 1:2]) / length[..., None]
        sure = alike.mean(axis=2) + np.minimum(0.5 * fields.shape[1] / length - 1, 0)  # longer than half the picture is less likely
        sure[(alike > ALIKE).mean(axis=2) < SHARE] = 0
        taken: tuple[set[int], set[int]] = (set(), set())
        for flat in np.argsort(-sure, axis=None, kind="stable"):
            start, end = (int(each) for each in divmod(int(flat), sure.shape[1]))
            if sure[start, end] <= 0:
                break
            if start not in taken[0] and end not in taken[1]:
                taken[0].add(start)
                taken[1].add(end)
                found.append((float(sure[start, end]), (one, start), (other, end)))
    return sorted(found, key=lambda each: -each[0])


def _joined(pairs: list[Pair]) -> list[_Figure]:
    """The figures of the pairs: two that share a joint are one, unless one joint would then be in two places."""
    figures: list[_Figure] = []
    for _, *ends in pairs:
        met = [figure for figure in figures if any(figure.peaks.get(joint) == at for joint, at in ends)]
        whole: dict[int, int] = {}
        for peaks in (*(figure.peaks for figure in met), dict(ends)):
            if any(whole.get(joint, at) != at for joint, at in peaks.items()):
                break
            whole.update(peaks)
        else:
            figures = [figure for figure in figures if figure not in met] + [_Figure(whole)]
    return [figure for figure in figures if len(figure.peaks) >= PARTS_MIN]
