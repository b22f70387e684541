"""Pictures made smaller and larger.

Averaged over areas when they shrink (as OpenCV's INTER_AREA), since point sampling would hand a small model noise; or as the program did it
with which a model was trained, where the last digit matters. OpenCV does it where it is installed, numpy where not, with the same result to
one grey level; decided against: requiring OpenCV on a machine that has no camera.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Size = tuple[int, int]
CUBIC, PILLOW_CUBIC = -0.75, -0.5  # OpenCV's, Pillow's
SMOOTH = {"smooth": 1.0, "smooth_cubic": 2.0, "smooth_lanczos": 3.0}  # as Pillow: a kernel over all that shrinks, and its reach


def scaled(picture: Array, size: Size, sampling: str = "area") -> Array:
    """uint8 (height, width[, channels]) -> the same at `size` (width, height). `area`: area averages to shrink, bilinear to grow; `linear`,
    `nearest`, `cubic`: as OpenCV, whatever lies between is passed over; `smooth`, `smooth_cubic`, `smooth_lanczos`: as Pillow, and programs
    that were trained with it, with every pixel weighed."""
    if (picture.shape[1], picture.shape[0]) == size:
        return picture
    cv2 = opencv()
    if cv2 is not None and sampling not in SMOOTH:
        shrinks = size[0] <= picture.shape[1] and size[1] <= picture.shape[0]
        ways = {"area": cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR, "linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC}
        how = ways.get(sampling, cv2.INTER_NEAREST)
        smaller: Array = cv2.resize(np.ascontiguousarray(picture), size, interpolation=how)
        return smaller
    return scaled_plainly(picture, size, sampling)


def smoothly(planes: Array, size: Size) -> Array:
    """float32 (n, height, width) -> larger planes of `size` (width, height), bilinear."""
    cv2 = opencv()
    if cv2 is not None:
        return np.stack([cv2.resize(each, size, interpolation=cv2.INTER_LINEAR) for each in np.ascontiguousarray(planes)])
    down = _along(planes.transpose(1, 2, 0), size[1], "linear")
    return _along(down.swapaxes(0, 1), size[0], "linear").transpose(2, 1, 0)


@cache
def opencv() -> Any:
    """OpenCV where it is installed: only faster, see the module's text."""
    try:
        import cv2
    except ImportError:
        return None
    return cv2


def scaled_plainly(picture: Array, size: Size, sampling: str = "area") -> Array:
    """`scaled` in numpy alone."""
    if sampling in SMOOTH:  # across first, and whole numbers in between, as Pillow has it
        across = _whole(_along(picture.swapaxes(0, 1).astype(np.float32), size[0], sampling)).swapaxes(0, 1)
        return _whole(_along(across.astype(np.float32), size[1], sampling))
    values = _along(picture.astype(np.float32), size[1], sampling)
    values = _along(values.swapaxes(0, 1), size[0], sampling).swapaxes(0, 1)
    return _whole(values)


def _whole(values: Array) -> Array:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _along(values: Array, length: int, sampling: str) -> Array:
    """Resize along the first axis by a weighted sum of taps."""
    if values.shape[0] == length:
        return values
    places, weights = _taps(values.shape[0], length, sampling)
    weights = weights.reshape(*weights.shape, *(1,) * (values.ndim - 1))
    return sum((values[at] * weight for at, weight in zip(places[1:], weights[1:], strict=True)), values[places[0]] * weights[0])


@lru_cache(maxsize=16)
def _taps(before: int, after: int, sampling: str) -> tuple[Array, Array]:
    """(taps, after) source places and weights."""
    step = before / after
    centres = (np.arange(after) + 0.5) * step - 0.5
    if sampling == "nearest":
        places, weights = np.floor(np.arange(after) * step).astype(int)[None], np.ones((1, after))
    elif sampling == "area" and after < before:
        starts = np.arange(after) * step
        places = np.floor(starts).astype(int) + np.arange(int(np.ceil(step)) + 1)[:, None]
        weights = np.clip(np.minimum(places + 1, starts + step) - np.maximum(places, starts), 0, None) / step
    elif sampling == "cubic":
        places = np.floor(centres).astype(int) + np.arange(-1, 3)[:, None]
        weights = _cubic(np.abs(centres - places), CUBIC)
    elif sampling in SMOOTH:
        wide = max(step, 1.0)
        reach = SMOOTH[sampling] * wide
        places = np.floor(centres - reach).astype(int) + np.arange(int(np.ceil(2 * reach)) + 2)[:, None]
        weights = _kernel(sampling, np.abs(centres - places) / wide) * ((places >= 0) & (places < before))
        weights = weights / weights.sum(axis=0)
    else:
        centres = np.clip(centres, 0, before - 1)
        places = np.floor(centres).astype(int) + np.arange(2)[:, None]
        weights = np.abs(1 - np.abs(centres - places)) * (np.abs(centres - places) < 1)
    return np.clip(places, 0, before - 1), weights.astype(np.float32)


def _kernel(sampling: str, away: Array) -> Array:
    """How much a place so far away counts: a triangle, Keys' cubic, or three lobes of Lanczos."""
    if sampling == "smooth_cubic":
        return _cubic(away, PILLOW_CUBIC)
    if sampling == "smooth_lanczos":
        return np.where(away < 3, np.sinc(away) * np.sinc(away / 3), 0.0)
    return np.clip(1 - away, 0, None)


def _cubic(away: Array, a: float) -> Array:
    """Keys' kernel."""
    near = ((a + 2) * away - (a + 3)) * away**2 + 1
    far = ((a * away - 5 * a) * away + 8 * a) * away - 4 * a
    kernel: Array = np.where(away <= 1, near, np.where(away < 2, far, 0))
    return kernel
