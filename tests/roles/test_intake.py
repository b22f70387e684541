"""What a model wants of a picture, read from its shapes, and where boxes lie in the picture afterwards."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from mesh.errors import RoleError
from roles.inference.intake import Fit, as_vector, in_colour, place, read_intake
from roles.inference.onnx import OnnxOptions
from roles.inference.sampling import scaled, scaled_plainly

FLOAT, BYTES, HALF = "tensor(float)", "tensor(uint8)", "tensor(float16)"


def picture(height: int = 36, width: int = 64) -> Any:
    rng = np.random.default_rng(7)
    return cv2.GaussianBlur(rng.integers(0, 255, (height, width, 3), dtype=np.uint8), (5, 5), 0)


@pytest.mark.parametrize(
    ("shape", "kind", "options", "ready"),
    [
        ([1, 1, 72, 96], FLOAT, {}, (1, 1, 72, 96)),
        ([1, 3, 72, 96], FLOAT, {}, (1, 3, 72, 96)),
        ([1, 72, 96, 3], BYTES, {}, (1, 72, 96, 3)),
        (["batch", 3, "h", "w"], FLOAT, {"size": "96x72"}, (1, 3, 72, 96)),
        (["batch", "h", "w", 3], HALF, {"size": "96x72"}, (1, 72, 96, 3)),
        ([None, None, None, None], FLOAT, {"size": "96x72", "layout": "nhwc"}, (1, 72, 96, 3)),
        ([3, 72, 96], FLOAT, {}, (3, 72, 96)),
        (["n", 72, 96], FLOAT, {}, (1, 72, 96)),
        ([72, 96], FLOAT, {}, (72, 96)),
        (["batch_size", "num_channels", "height", "width"], FLOAT, {"size": "96x72"}, (1, 3, 72, 96)),
    ],
)
def test_a_picture_gets_the_shape_that_the_model_says(shape: list[Any], kind: str, options: dict[str, Any], ready: tuple[int, ...]) -> None:
    intake = read_intake("image", shape, kind, OnnxOptions(**options))
    values, fit = intake.prepare(picture())
    assert values.shape == ready
    assert values.dtype == {FLOAT: np.float32, BYTES: np.uint8, HALF: np.float16}[kind]
    assert values.flags.c_contiguous
    assert fit == Fit(0, 0, 96, 72)


@pytest.mark.parametrize(
    ("shape", "kind", "options", "word"),
    [
        ([1, 3, "h", "w"], FLOAT, {}, "size"),
        ([1, "c", 72, 96], FLOAT, {}, "layout"),
        ([8, 3, 72, 96], FLOAT, {}, "batch"),
        ([1, 7, 72, 96], FLOAT, {}, "layout"),
        ([1, 7, 72, 96], FLOAT, {"layout": "nchw"}, "1 or 3 channels"),
        ([1, 3, 72, 96], FLOAT, {"size": "64x64"}, "size"),
        ([1, 3, 72, 96], FLOAT, {"colour": "grey"}, "colour"),
        ([1, 3, 72, 96], "tensor(string)", {}, "float or uint8"),
        ([5, 4, 8], FLOAT, {}, "layout"),
        ([1, 2, 3, 4, 5], FLOAT, {"layout": "nchw"}, "vector"),
    ],
)
def test_what_a_model_leaves_open_is_asked_for_by_the_option_s_name(
    shape: list[Any], kind: str, options: dict[str, Any], word: str
) -> None:
    with pytest.raises(RoleError) as fault:
        read_intake("image", shape, kind, OnnxOptions(**options))
    assert word in fault.value.instead


def test_pixels_of_floats_are_scaled_and_pixels_of_bytes_are_not() -> None:
    white = np.full((4, 4, 3), 255, np.uint8)
    assert read_intake("i", [1, 3, 4, 4], FLOAT, OnnxOptions()).prepare(white)[0].max() == 1.0
    assert read_intake("i", [1, 3, 4, 4], BYTES, OnnxOptions()).prepare(white)[0].max() == 255
    options = OnnxOptions(scale=1.0, mean=[255, 128, 0], std=[1, 1, 255])
    normal = read_intake("i", [1, 3, 4, 4], FLOAT, options).prepare(white)[0]
    assert normal[0, :, 0, 0].tolist() == [0.0, 127.0, 1.0]


def test_colours_come_in_the_order_asked_for() -> None:
    red = np.zeros((2, 2, 3), np.uint8)
    red[:, :, 0] = 200
    assert in_colour(red, "rgb")[0, 0].tolist() == [200, 0, 0]
    assert in_colour(red, "bgr")[0, 0].tolist() == [0, 0, 200]
    assert in_colour(red, "grey")[0, 0] == round(200 * 0.299)
    assert in_colour(np.full((2, 2), 9, np.uint8), "rgb")[0, 0].tolist() == [9, 9, 9]


@pytest.mark.parametrize("size", [(96, 72), (30, 20), (64, 18), (200, 90), (64, 36)])
def test_a_machine_without_opencv_sees_the_same_to_one_grey_level(size: tuple[int, int]) -> None:
    before = picture(180, 320)
    shrinks = size[0] <= 320 and size[1] <= 180
    theirs = cv2.resize(before, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    assert np.abs(scaled_plainly(before, size).astype(int) - theirs).max() <= 1


@pytest.mark.parametrize("how", ["stretch", "letterbox", "crop"])
@pytest.mark.parametrize("size", [(100, 100), (300, 40), (40, 300), (64, 36)])
def test_a_box_seen_by_the_model_lies_on_the_same_thing_in_the_picture(how: str, size: tuple[int, int]) -> None:
    # Given a picture with one white patch in its middle half
    before = np.zeros((360, 640, 3), np.uint8)
    before[135:225, 240:400] = 255
    # When the model sees it and names its box
    placed, fit = place(before, size, how, 0)
    seen = placed[:, :, 0] > 127
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    box = np.array([[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]], float)
    # Then it lies on the patch in the picture, as far as the model's pixels go and as far as the model could see
    assert placed.shape[:2] == (size[1], size[0])
    back = fit.back(box)[0]
    view = fit.back(np.array([[0, 0, *size]], float))[0]
    low, high = np.maximum([0.375, 0.375], view[:2]), np.minimum([0.625, 0.625], view[2:])
    assert np.abs(back - [*low, *high]).max() < 1.1 / min(fit.width, fit.height)


def test_a_vector_takes_the_model_s_shape_or_is_refused_in_words() -> None:
    assert as_vector([1, 2, 3], "x", [1, 3], FLOAT).shape == (1, 3)
    assert as_vector(np.zeros((5, 3)), "x", ["n", "t", 3], FLOAT).shape == (1, 5, 3)
    with pytest.raises(RoleError) as fault:
        as_vector([1, 2], "x", [1, 3], FLOAT)
    assert "[1, 3]" in fault.value.what and "[2]" in fault.value.what


# made by Pillow 13 of `stripes`: resize((3, 2), BILINEAR, BICUBIC, LANCZOS), and the first two rows of resize((9, 8), BICUBIC)
PILLOW = {
    "smooth": [[101, 122, 118], [120, 112, 114]],
    "smooth_cubic": [[97, 124, 116], [124, 115, 115]],
    "smooth_lanczos": [[95, 126, 112], [125, 114, 117]],
}
GROWN = [[0, 41, 99, 162, 222, 59, 52, 131, 186], [18, 67, 151, 185, 98, 77, 143, 154, 77]]


def stripes() -> Any:
    rows, columns = np.mgrid[0:6, 0:7]
    return ((rows * 37 + columns * 71 + rows * columns * 13) % 251).astype(np.uint8)


@pytest.mark.parametrize("sampling", PILLOW)
def test_a_picture_shrinks_as_pillow_shrinks_it(sampling: str) -> None:
    assert scaled(stripes(), (3, 2), sampling).tolist() == PILLOW[sampling]
    assert scaled(stripes(), (9, 8), "smooth_cubic")[:2].tolist() == GROWN


@pytest.mark.parametrize(
    ("size", "options", "sides"),
    [
        ((640, 480), {"size": "800..1333"}, (1066, 800)),
        ((480, 640), {"size": "800..1333"}, (800, 1066)),
        ((1920, 640), {"size": "800..1333"}, (1333, 444)),
        ((640, 480), {"size": "518..", "multiple": 14}, (686, 518)),
        ((640, 480), {"size": "~518", "multiple": 14}, (686, 518)),
        ((640, 427), {"size": "~518", "multiple": 14}, (518, 350)),
        ((300, 300), {"size": "256..512", "multiple": 32}, (256, 256)),
    ],
)
def test_a_size_that_keeps_the_picture_s_shape_is_that_of_detectors_and_depths(
    size: tuple[int, int], options: dict[str, Any], sides: tuple[int, int]
) -> None:
    # The sides are those of transformers' image processors of DETR, Depth Anything and MaskFormer
    shown = np.zeros((size[1], size[0], 3), np.uint8)
    intake = read_intake("pixel_values", ["b", "num_channels", "h", "w"], FLOAT, OnnxOptions(**options)).fitted(shown)
    values, fit = intake.prepare(shown)
    assert values.shape == (1, 3, sides[1], sides[0]) and fit == Fit(0, 0, *sides)


def test_the_middle_of_a_picture_is_cut_where_programs_for_training_cut_it() -> None:
    shown = np.zeros((64, 97, 3), np.uint8)
    # Given a shorter side of 8 of 7: the longer is 12 (12.125), and 2 of 5 pixels lie left of what is cut
    _, fit = place(shown, (7, 7), "crop", 0, share=0.875)
    assert fit == Fit(-2, 0, 12, 8)
    _, fit = place(shown, (7, 7), "stretch", 0, share=0.875)
    assert fit == Fit(0, 0, 8, 8)
