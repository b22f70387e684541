"""Models whose answer is a picture: masks, depths, pictures made of pictures.

What the model gives lies on its own picture, with bars or cut; here it is laid back onto the frame, so that a display can put one over the
other. Masks and depths are grey pictures, 255 where it is surely so or near.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mesh.errors import RoleError
from roles.inference.boxes import Things
from roles.inference.candidates import sigmoid, softmax
from roles.inference.intake import Array, Fit, Size
from roles.inference.queries import by_class, queries_of
from roles.inference.sampling import scaled, smoothly

CHANNELS_MAX = 512  # more than any model for scenes has classes
FINE = 640  # pixels
MASK_WORDS = ("mask", "alpha", "pha", "matte", "seg")
PICTURE_WORDS = ("fgr", "image", "picture", "styl", "rgb")


def maps_of(outputs: Mapping[str, Array], wanted: str | None, words: tuple[str, ...], where: str) -> Array:
    """(channels, h, w): the output named, or the likeliest by its name, or the first that is a picture."""
    if wanted is not None and wanted not in outputs:
        raise _no_map(outputs, f"the model has no output {wanted!r}", where)
    names = [wanted] if wanted is not None else [name for name, value in outputs.items() if _is_map(value)]
    if not names:
        raise _no_map(outputs, "none of the model's outputs is a picture", where)
    name = next((name for name in names if any(word in name.lower() for word in words)), names[0])
    value = outputs[name]
    while value.ndim > 3 and value.shape[0] == 1:
        value = value[0]
    if value.ndim == 2:
        return value[None]
    if value.ndim != 3:
        raise _no_map(outputs, f"output {name!r} is no picture", where)
    if value.shape[0] != 1 and value.shape[2] < min(value.shape[:2]) and value.shape[2] <= CHANNELS_MAX:
        value = value.transpose(2, 0, 1)
    return value


def _is_map(value: Array) -> bool:
    sides = sorted(value.shape)[-2:] if value.ndim >= 2 else []
    return len(sides) == 2 and sides[0] >= 8


def _no_map(outputs: Mapping[str, Array], what: str, where: str) -> RoleError:
    given = ", ".join(f"{name} {list(value.shape)}" for name, value in outputs.items())
    return RoleError(f"{what}; it gives {given}", where=where, instead="name the output in option scores, or set another decode")


def laid_back(plane: Array, fit: Fit, size: Size, frame: tuple[int, int], smooth: bool = True) -> Array:
    """A plane over the model's picture as uint8 over the frame (height, width): bars cut off, what a crop left out as 0."""
    across, down = plane.shape[1] / size[0], plane.shape[0] / size[1]
    left, top = round(fit.left * across), round(fit.top * down)
    canvas = np.zeros((max(1, round(fit.height * down)), max(1, round(fit.width * across))), np.uint8)
    part = plane[max(0, top) : max(0, top + canvas.shape[0]), max(0, left) : max(0, left + canvas.shape[1])]
    canvas[max(0, -top) : max(0, -top) + part.shape[0], max(0, -left) : max(0, -left) + part.shape[1]] = part
    if smooth:
        return scaled(canvas, (frame[1], frame[0]))
    rows, columns = (np.arange(frame[at]) * canvas.shape[at] // frame[at] for at in (0, 1))
    nearest: Array = canvas[rows[:, None], columns]
    return nearest


def masked(
    outputs: Mapping[str, Array], fit: Fit, size: Size, frame: tuple[int, int], labels: list[str], options: Any
) -> tuple[dict[str, Any], Array, Array]:
    """(event, picture, values) of a model that says for each place what it is.

    The event: {"cover": the mask's share of the picture, "middle": [x, y] or None, "box": … or None, "shares": {label: share}}.
    The picture: the mask, 0..255, of the classes in option `only`, else of all but the first (the ground). The values: the number of
    the class of each place, or of a model with one channel how sure it is there, 0..255; in the frame's shape as well.
    """
    queries = queries_of(outputs) if options.scores is None else None
    planes = maps_of(outputs, options.scores, MASK_WORDS, "option decode: mask") if queries is None else by_class(*queries)
    whole = np.issubdtype(planes.dtype, np.integer) or planes.dtype == np.bool_
    if len(planes) == 1 and not whole:
        sure = planes[0].astype(np.float64)
        off = options.activation == "sigmoid" or (options.activation == "auto" and (sure.min() < -0.1 or sure.max() > 1.1))
        alpha = np.clip(sigmoid(sure) if off else sure, 0, 1)
        picture = laid_back(_grey(alpha), fit, size, frame)
        return _where(picture, {}), picture, picture
    if len(planes) == 1:
        kinds, count = planes[0].astype(int), max(int(planes.max(initial=0)) + 1, len(labels), 2)
        wanted = np.isin(kinds, _wanted(count, labels, options))
        picture = laid_back(_grey(wanted), fit, size, frame)
    else:
        said = np.moveaxis(planes, 0, -1).astype(np.float64)
        sums = np.abs(said.sum(axis=-1) - 1)
        given = options.activation == "none" or (options.activation == "auto" and said.min() >= 0 and float(sums.max(initial=0)) < 1e-2)
        given = given or queries is not None
        said = sigmoid(said) if options.activation == "sigmoid" else said if given else softmax(said)
        kinds, count = _leading(planes, frame), len(planes)
        picture = laid_back(_grey(np.clip(said[..., _wanted(count, labels, options)].sum(axis=-1), 0, 1)), fit, size, frame)
    numbers = laid_back(kinds.astype(np.uint8), fit, size, frame, smooth=False)
    shares = np.bincount(numbers.reshape(-1), minlength=count)[:count] / numbers.size
    named = {labels[at] if at < len(labels) else str(at): round(float(share), 4) for at, share in enumerate(shares) if share > 0}
    return _where(picture, named), picture, numbers


def _leading(planes: Array, frame: tuple[int, int]) -> Array:
    """Which class leads at each place. Between the places of a map that is coarser than the frame the scores are smoothed, so that edges
    are no stairs; of the classes that lead somewhere, up to a longer side of FINE pixels."""
    kinds: Array = planes.argmax(axis=0)
    finer = min(max(frame), FINE) / max(kinds.shape)
    leaders = np.unique(kinds)
    if finer <= 1 or len(leaders) < 2:
        return kinds
    across, down = (round(side * finer) for side in kinds.shape[::-1])
    return np.asarray(leaders[smoothly(planes[leaders].astype(np.float32), (across, down)).argmax(axis=0)])


def _wanted(count: int, labels: list[str], options: Any) -> list[int]:
    """The numbers of the classes in option `only`; all but the first where it is left out."""
    if not options.only:
        return list(range(1, count))
    words = [*labels, *(str(at) for at in range(count))]
    strange = [word for word in options.only if word not in words]
    if strange:
        raise RoleError(
            f"option only names {', '.join(strange)}; the classes are {', '.join(labels) or f'0 to {count - 1}'}", where="option only",
            instead="use these names",
        )  # fmt: skip
    return [labels.index(word) if word in labels else int(word) for word in options.only]


def _where(picture: Array, shares: dict[str, float]) -> dict[str, Any]:
    rows, columns = np.nonzero(picture >= 128)
    event: dict[str, Any] = {"cover": round(len(rows) / picture.size, 4), "middle": None, "box": None, "shares": shares}
    if len(rows):
        height, width = picture.shape
        event["middle"] = [round(float(columns.mean() + 0.5) / width, 4), round(float(rows.mean() + 0.5) / height, 4)]
        box = (columns.min() / width, rows.min() / height, (columns.max() + 1) / width, (rows.max() + 1) / height)
        event["box"] = [round(float(side), 4) for side in box]
    return event


def things_masked(things: Things, fit: Fit, size: Size, frame: tuple[int, int]) -> tuple[Array, Array]:
    """(picture, numbers): the masks of all things together, 0..255, and for each place the number of its thing, counted from 1 in the
    order of the event's boxes, 0 for none. Each thing's own share of the picture goes into its event as "cover"."""
    numbers, whole = np.zeros(frame, np.uint8), np.zeros(frame, np.uint8)
    for at in reversed(range(min(len(things.boxes), 255))):  # the surest lies on top
        mask = _mask_of(things, at, fit, size, frame)
        if mask is None:
            continue
        things.boxes[at]["cover"] = round(float((mask >= 128).mean()), 4)
        numbers[mask >= 128] = at + 1
        whole = np.maximum(whole, mask)
    return whole, numbers


def _mask_of(things: Things, at: int, fit: Fit, size: Size, frame: tuple[int, int]) -> Array | None:
    kept = things.kept
    if kept.shapes is not None and things.prototypes is not None:  # a mixture of prototypes, within its box (YOLACT, YOLOv8-seg)
        plane = sigmoid(np.tensordot(kept.shapes[at], things.prototypes.astype(np.float64), 1))
        scale = np.array([plane.shape[1] / size[0], plane.shape[0] / size[1]] * 2)
        x0, y0, x1, y1 = np.clip(kept.boxes[at] * scale, 0, [plane.shape[1], plane.shape[0]] * 2)
        columns, rows = np.arange(plane.shape[1]) + 0.5, np.arange(plane.shape[0]) + 0.5
        inside = ((rows >= y0) & (rows <= y1))[:, None] & ((columns >= x0) & (columns <= x1))
        return laid_back(_grey(np.where(inside, plane, 0)), fit, size, frame)
    if kept.masks is None:
        return None
    mask = sigmoid(kept.masks[at]) if kept.raw else kept.masks[at].astype(np.float64)
    if kept.whole:
        return laid_back(_grey(mask), fit, size, frame)
    box = fit.back(kept.boxes[at : at + 1])[0] * (frame[1], frame[0], frame[1], frame[0])
    x0, y0, x1, y1 = (round(float(side)) for side in box)
    placed = np.zeros(frame, np.uint8)
    if x1 > x0 and y1 > y0:
        placed[y0:y1, x0:x1] = scaled(_grey(mask), (x1 - x0, y1 - y0))
    return placed


class Depth:
    """How near everything is, as a grey picture: 255 is nearest. {"nearest": [x, y], "low", "high"}, the last two in the model's numbers.

    Most models give no metres but an order, anew in each picture: its range is followed slowly, so that the picture does not flicker.
    """

    def __init__(self, options: Any) -> None:
        self._options = options
        self._range: Array | None = None

    def __call__(self, outputs: Mapping[str, Array], fit: Fit, size: Size, frame: tuple[int, int]) -> tuple[dict[str, Any], Array, Array]:
        plane = maps_of(outputs, self._options.scores, ("depth", "disp"), "option decode: depth")[0].astype(np.float64)
        plane = np.nan_to_num(plane, posinf=0.0, neginf=0.0)
        if self._options.value_range is not None:
            low, high = self._options.value_range
        else:
            now = np.percentile(plane, [1, 99])
            self._range = now if self._range is None else self._range + 0.2 * (now - self._range)
            low, high = (float(side) for side in self._range)
        share = np.clip((plane - low) / max(high - low, 1e-9), 0, 1)
        picture = laid_back(_grey(1 - share if self._options.near == "low" else share), fit, size, frame)
        row, column = divmod(int(picture.argmax()), picture.shape[1])
        place = [round((column + 0.5) / picture.shape[1], 4), round((row + 0.5) / picture.shape[0], 4)]
        return {"nearest": place, "low": round(float(low), 4), "high": round(float(high), 4)}, picture, plane.astype(np.float32)


class Painted:
    """A picture made of a picture, such as in another style. Its numbers are 0..1, -1..1 or 0..255: option `value_range`, or seen from
    the numbers, and then kept, so that a dark picture is not taken for another range."""

    def __init__(self, options: Any, colour: str) -> None:
        self._options, self._colour = options, colour
        self._range: tuple[float, float] = (0.0, 1.0)

    def __call__(self, outputs: Mapping[str, Array], fit: Fit, size: Size, frame: tuple[int, int]) -> tuple[dict[str, Any], Array]:
        planes = maps_of(outputs, self._options.scores, PICTURE_WORDS, "option decode: image")
        if len(planes) not in (1, 3, 4):
            raise _no_map(outputs, f"a picture of {len(planes)} channels is none", "option decode: image")
        if planes.dtype == np.uint8:
            pixels = planes
        else:
            low, high = self._limits(planes)
            pixels = np.rint(np.clip((planes.astype(np.float32) - low) * (255 / (high - low)), 0, 255)).astype(np.uint8)
        picture = pixels[0] if len(pixels) == 1 else pixels[:3].transpose(1, 2, 0)
        picture = picture[:, :, ::-1] if picture.ndim == 3 and self._colour == "bgr" else picture
        picture = without_bars(picture, fit, size)
        if self._options.picture_size == "frame" and size != (1, 1) and fit.left >= 0 and fit.top >= 0:
            picture = scaled(np.ascontiguousarray(picture), (frame[1], frame[0]))
        height, width = picture.shape[:2]
        return {"width": width, "height": height, "mean": round(float(picture.mean()) / 255, 4)}, np.ascontiguousarray(picture)

    def _limits(self, planes: Array) -> tuple[float, float]:
        if self._options.value_range is not None:
            return self._options.value_range[0], self._options.value_range[1]
        low, high = float(planes.min(initial=0.0)), float(planes.max(initial=0.0))
        if high > 4 or self._range[1] > 1:
            self._range = (0.0, 255.0)
        elif low < -0.2 or self._range[0] < 0:
            self._range = (-1.0, 1.0)
        return self._range


def without_bars(picture: Array, fit: Fit, size: Size) -> Array:
    """(h, w, …) over the model's picture without the bars of a letterbox."""
    across, down = picture.shape[1] / size[0], picture.shape[0] / size[1]
    left, top = max(0, round(fit.left * across)), max(0, round(fit.top * down))
    return picture[top : max(top + 1, round((fit.top + fit.height) * down)), left : max(left + 1, round((fit.left + fit.width) * across))]


def _grey(share: Array) -> Array:
    """0..1 -> 0..255."""
    shade: Array = np.rint(share * 255.0).astype(np.uint8)
    return shade
