"""Which family a detector is of, and its proposals.

Two dozen families cover nearly every detector that can be downloaded. Which one it is shows in names, shapes and, where the export says it,
metadata; option `detector` settles a doubt. Each family's layout and source is told where it is read: `grids`, `pairs`, `anchors`,
`heads`, `distances`, `centres`, `regions`, `queries`. Decided against: a guess in silence where two families fit. The order below is from
the surest sign to the weakest, and what no sign fits is refused in words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mesh.errors import RoleError
from roles.inference import anchors
from roles.inference.candidates import Candidates, best, foreground, likely
from roles.inference.centres import centernet
from roles.inference.columns import read_columns, told_by_names
from roles.inference.distances import gfl, is_distances, nanodet, yolo8_heads
from roles.inference.grids import grid_family, grids, in_usual_order, prototypes, read_grid
from roles.inference.heads import channels_first, heads
from roles.inference.intake import Array, Size
from roles.inference.pairs import is_detr, is_dets, pair_of, read_dets, read_pair
from roles.inference.parts import with_parts
from roles.inference.queries import by_query, queries_of
from roles.inference.regions import map_in, regions

Hints = Mapping[str, str]  # what the export says of itself in its metadata


def family_of(outputs: Mapping[str, Array], size: Size, labels: list[str], options: Any, hints: Hints) -> str:
    """The family by option, names, shapes and metadata; RoleError that describes the outputs when it is none."""
    if options.columns:
        return "columns"
    if options.detector != "auto":
        return str(options.detector)
    if told_by_names(outputs):
        return "columns"
    named = _by_names(outputs, options)
    if named:
        return named
    if queries_of(outputs) is not None and not any(name.endswith("boxes") for name in outputs):
        return "queries"
    for family, fits in (("ssd", _is_ssd), ("blaze", _is_blaze), ("gfl", _is_gfl)):
        if fits(outputs):
            return family
    if is_detr(outputs):
        return "detr"
    if is_dets(outputs):
        return "dets"
    if map_in(outputs) is not None and next(iter(outputs.values())).ndim == 4:
        return "map"
    maps = _maps(outputs, labels)
    if maps:
        return maps
    if pair_of(outputs) is not None:
        return "pair"
    found = grids(outputs)
    if not found:
        raise unknown(outputs)
    masks = prototypes(outputs)
    return grid_family(found[0], size, labels, hints, len(masks) if masks is not None else 0)


def _by_names(outputs: Mapping[str, Array], options: Any) -> str:
    names, last = [name.lower() for name in outputs], [value.shape[-1] if value.ndim else 0 for value in outputs.values()]
    if all(any(name.startswith(part) for name in names) for part in ("cls_", "obj_", "bbox_")):
        return "yunet"
    if {"loc", "conf", "iou"} <= set(names):
        return "yunet_2022"
    if options.priors is not None or (last.count(4) == 1 and last.count(10) == 1 and last.count(2) == 1):
        return "priors"
    return "scrfd" if len(outputs) in (6, 9) and last.count(4) == 3 and last.count(1) == 3 else ""


def _is_ssd(outputs: Mapping[str, Array]) -> bool:
    return any(value.ndim == 4 and value.shape[:2] == (1, 1) and value.shape[-1] == 7 for value in outputs.values())


def _is_blaze(outputs: Mapping[str, Array]) -> bool:
    last = {value.shape[-1] if value.ndim else 0 for value in outputs.values()}
    fewest = min(value.size // max(1, value.shape[-1]) if value.ndim else 1 for value in outputs.values())
    return len(outputs) in (2, 4) and last in ({1, 12}, {1, 16}, {1, 18}) and fewest > 300


def _is_gfl(outputs: Mapping[str, Array]) -> bool:
    """Pairs of as many rows, half of them as wide as four distributions."""
    flat = [value.shape for value in outputs.values() if value.ndim in (2, 3)]
    rows = {shape[-2] for shape in flat}
    widths = [shape[-1] for shape in flat]
    return len(flat) == len(outputs) >= 6 and len(rows) * 2 == len(flat) and any(
        is_distances(width) and widths.count(width) * 2 == len(flat) for width in widths
    )


def _maps(outputs: Mapping[str, Array], labels: list[str]) -> str:
    """Families whose outputs are all maps."""
    shapes = [value.shape for value in outputs.values()]
    held = [shape for shape in shapes if len(shape) == 5 or (len(shape) == 4 and min(shape[1:]) > 1)]
    if len(shapes) in (2, 3, 4) and all(len(shape) == 4 for shape in shapes) and len({shape[2:] for shape in shapes}) == 1:
        channels = [shape[1] for shape in shapes]
        if channels.count(2) >= 1 and shapes[0][2] > 4:
            return "centerface" if 10 in channels and 1 in channels else "centernet"
    if len(held) < 2 or grids(outputs) or len(set(shapes)) == 1:
        return ""
    heights = {value.shape[1] for value in channels_first(outputs)}
    if len(held) == 3 and len(held[0]) == 4 and heights == {64 + len(labels) if labels else 144}:
        return "yolo8_heads"
    return "yolo_heads"


def read_boxes(outputs: Mapping[str, Array], size: Size, labels: list[str], options: Any, hints: Hints) -> tuple[str, Candidates]:
    """The family and its proposals, in the model's pixels or in 0..1 of its picture."""
    family = family_of(outputs, size, labels, options, hints)
    if family == "columns":
        return family, with_parts(read_columns(outputs, size, options), outputs, size, options)
    if family == "detr" or family == "pair":
        pair = pair_of(outputs)
        if pair is None:
            raise unknown(outputs)
        return family, with_parts(read_pair(outputs, pair, labels, options, family), outputs, size, options)
    queries = queries_of(outputs) if family == "queries" else None
    if queries is not None:
        return family, by_query(*queries)
    if family == "dets":
        return family, with_parts(read_dets(outputs), outputs, size, options)
    if family == "map":
        return family, regions(outputs, size, options)
    if family in ("centernet", "centerface"):
        return family, centernet(outputs, size, family == "centerface")
    if family in ("yolo_heads", "yolo3_heads", "yolo4_heads"):
        return family, heads(outputs, size, family, options.anchors, options.activation)
    if family == "gfl":
        return family, gfl(outputs, size, labels, options.activation)
    if family == "yolo8_heads":
        return family, yolo8_heads(outputs, size, labels, options.activation)
    if family in ("yunet", "yunet_2022", "scrfd", "blaze", "priors", "ssd"):
        return family, _by_anchors(family, outputs, size, labels, options)
    found = grids(outputs)
    if not found:
        raise unknown(outputs)
    if family == "yolox":
        return family, best(*anchors.yolox(found[0] if found[0].shape[1] < found[0].shape[0] else found[0].T, size))
    if family == "nanodet":
        return family, nanodet(found[0], size, labels, options.activation)
    masks = prototypes(outputs)
    if family == "ended":
        found[0] = in_usual_order(found[0], outputs)
    return family, read_grid(found[0], family, labels, options, hints, len(masks) if masks is not None else 0)


def _by_anchors(family: str, outputs: Mapping[str, Array], size: Size, labels: list[str], options: Any) -> Candidates:
    if family == "ssd":  # Caffe's and OpenVINO's: picture, class, score, x0 y0 x1 y1
        rows = next(value for value in outputs.values() if value.shape[-1] == 7).reshape(-1, 7).astype(np.float64)
        rows = rows[rows[:, 0] >= 0]
        return Candidates(rows[:, 3:7], rows[:, 2], rows[:, 1].astype(int))
    if family in ("yunet", "yunet_2022", "scrfd"):
        return best(*{"yunet": anchors.yunet, "yunet_2022": anchors.yunet_2022, "scrfd": anchors.scrfd}[family](outputs, size))
    if options.priors is not None:
        if len(options.priors.steps) != len(options.priors.sizes):
            raise RoleError(
                f"option priors has {len(options.priors.steps)} steps and sizes for {len(options.priors.sizes)} grids",
                where="option priors", instead="give a list of sizes for each step",
            )  # fmt: skip
        outputs = anchors.joined_levels(outputs, size, options.priors.steps, options.priors.sizes)
    flat = sorted((value.reshape(-1, value.shape[-1]) for value in outputs.values()), key=lambda value: value.shape[1])
    if family == "blaze":
        wide, narrow = ([each for each in flat if (each.shape[1] > 1) == many] for many in (True, False))
        if not wide or not narrow:
            raise unknown(outputs)
        joined = [np.concatenate(sorted(part, key=len, reverse=True)) for part in (wide, narrow)]  # the fine grid first
        return best(*anchors.blaze(joined[0].astype(np.float64), joined[1], size), blended=True, overlap=anchors.BLAZE_OVERLAP)
    locations = next((value for value in flat if value.shape[1] == 4), None)
    rest = [value for value in flat if value is not locations]
    marks = next((value for value in rest if value.shape[1] >= 10 and value.shape[1] != len(labels) + 1 and len(rest) > 1), None)
    sure = next((value for value in rest if value is not marks), None)
    if locations is None or sure is None:
        raise unknown(outputs)
    steps, sizes, variance, middle = (*anchors.RETINAFACE, [0.1, 0.2], 0.5)
    if options.priors is not None:
        steps, sizes, variance, middle = options.priors.steps, options.priors.sizes, options.priors.variance, options.priors.middle
    if options.box_order == "yxyx":  # down before across, as TensorFlow has it
        locations = locations[:, [1, 0, 3, 2]]
    said = foreground(likely(sure.astype(np.float64), options.activation, options.background != "none"), labels, options.background)
    return best(*anchors.priors(locations.astype(np.float64), said, marks, size, steps, sizes, variance, middle))


def unknown(outputs: Mapping[str, Array]) -> RoleError:
    """The refusal of outputs that are of no family."""
    given = ", ".join(f"{name} {list(value.shape)}" for name, value in outputs.items())
    return RoleError(
        f"the model's outputs are no boxes that Roomful knows: {given}", where="option decode: boxes",
        instead="set option detector, say in option columns what each number is, or decode with a function of your own (./roles.py:name)",
    )  # fmt: skip
