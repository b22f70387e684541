"""How pictures become smaller, larger and a part of themselves, by independent arithmetic: sums written out one pixel at a time."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from roles.inference.intake import Fit, place, standardised
from roles.inference.sampling import scaled, scaled_plainly
from tests.roles.public_models import play
from tests.roles.small_models import FLOAT, node, write_onnx


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(4).integers(0, 256, (height, width, 3), np.uint8)


def triangle(x: float) -> float:
    return max(0.0, 1 - abs(x))


def keys(bend: float) -> Callable[[float], float]:
    """Keys 1981, equation 4 and what follows it."""

    def kernel(x: float) -> float:
        x = abs(x)
        if x <= 1:
            return (bend + 2) * x**3 - (bend + 3) * x**2 + 1
        return bend * x**3 - 5 * bend * x**2 + 8 * bend * x - 4 * bend if x < 2 else 0.0

    return kernel


def lanczos(x: float) -> float:
    if x == 0:
        return 1.0
    return 3 * math.sin(math.pi * x) * math.sin(math.pi * x / 3) / (math.pi * x) ** 2 if abs(x) < 3 else 0.0


def one_line(line: np.ndarray, after: int, kernel: Callable[[float], float], reach: float, widen: bool) -> np.ndarray:
    """Each new sample as the weighted mean of the old ones under a kernel about its middle; Pillow widens it to shrink, OpenCV does not and
    repeats the edge."""
    step = len(line) / after
    wide = max(step, 1.0) if widen else 1.0
    out = np.zeros((after, *line.shape[1:]))
    for at in range(after):
        middle, whole = (at + 0.5) * step - 0.5, 0.0
        for place_ in range(math.floor(middle - reach * wide) - 1, math.ceil(middle + reach * wide) + 2):
            weight = kernel((place_ - middle) / wide)
            if widen and not 0 <= place_ < len(line):
                continue
            out[at] += weight * line[min(max(place_, 0), len(line) - 1)]
            whole += weight
        out[at] /= whole
    return out


KERNELS = {
    "smooth": (triangle, 1, True), "smooth_cubic": (keys(-0.5), 2, True), "smooth_lanczos": (lanczos, 3, True),
    "linear": (triangle, 1, False), "cubic": (keys(-0.75), 2, False),
}  # fmt: skip


@pytest.mark.parametrize("size", [(9, 7), (13, 30), (40, 11), (29, 41)])
@pytest.mark.parametrize("sampling", KERNELS)
def test_each_way_of_resizing_is_its_kernel(sampling: str, size: tuple[int, int]) -> None:
    before = noise(23, 29)
    kernel, reach, widen = KERNELS[sampling]
    across = one_line(before.swapaxes(0, 1).astype(float), size[0], kernel, reach, widen).swapaxes(0, 1)
    across = np.clip(np.rint(across), 0, 255) if widen else across  # Pillow keeps bytes between its two passes
    expected = np.clip(one_line(across, size[1], kernel, reach, widen), 0, 255)
    for how in (scaled, scaled_plainly):
        assert np.abs(how(before, size, sampling).astype(float) - expected).max() < 1.8, how  # halves may round apart, twice


def test_nearest_takes_pixels_and_makes_none_up() -> None:
    before = noise(20, 30)
    for how in (scaled, scaled_plainly):
        assert np.array_equal(how(before, (10, 5), "nearest"), before[::4, ::3])


@pytest.mark.parametrize(("shape", "size", "share", "inner", "corner"), [
    ((240, 320), (224, 224), 0.875, (341, 256), (58, 16)),  # 256 of the shorter side, 341.3 of the longer; (341 - 224) / 2 = 58.5
    ((240, 320), (224, 224), 0.9655, (309, 232), (42, 4)),  # 224 of 232
    ((333, 500), (224, 224), 1.0, (336, 224), (56, 0)),
    ((500, 333), (96, 48), 0.8, (120, 180), (12, 66)),
])  # fmt: skip
def test_a_crop_is_the_middle_of_a_picture_made_smaller_to_the_pixel(
    shape: tuple[int, int], size: tuple[int, int], share: float, inner: tuple[int, int], corner: tuple[int, int]
) -> None:
    before = noise(*shape)
    part, fit = place(before, size, "crop", 0, share=share, sampling="smooth")
    small, (left, top) = scaled_plainly(before, inner, "smooth"), corner
    assert np.array_equal(part, small[top : top + size[1], left : left + size[0]])
    assert fit == Fit(-left, -top, *inner)
    # Then a place in the part is where it was in the whole
    assert fit.points_back(np.array([[size[0] / 2, size[1] / 2]]))[0] == pytest.approx([0.5, 0.5], abs=1 / min(inner))


def test_a_standardised_picture_has_no_mean_and_a_deviation_of_one() -> None:
    values = noise(6, 5).astype(float)
    count, mean = values.size, sum(values.reshape(-1).tolist()) / values.size
    deviation = math.sqrt(sum((each - mean) ** 2 for each in values.reshape(-1).tolist()) / count)
    assert np.allclose(standardised(values), (values - mean) / deviation, atol=1e-4)
    assert not standardised(np.full((4, 4), 7.0)).any()  # a grey wall is no division by nothing



def test_all_of_it_reaches_the_model(tmp_path: Path) -> None:
    before = noise(40, 60)
    shape: list[Any] = [1, 3, 8, 8]
    model = write_onnx(tmp_path / "m.onnx", {"x": (FLOAT, shape)}, {"y": (FLOAT, shape)}, [node("Identity", ["x"], ["y"])])
    _, stage = play(model, before, decode="raw", resize="crop", crop_share=0.8, sampling="smooth_cubic", standardise=True, scale=1.0)
    part = scaled_plainly(before, (15, 10), "smooth_cubic")[1:9, 3:11].astype(float)
    expected = (part - part.mean()) / part.std()
    assert np.allclose(stage.values("values")[0][0].transpose(1, 2, 0), expected, atol=1e-3)
