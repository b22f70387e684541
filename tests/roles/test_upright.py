"""Things are cut out upright, by points that their detector gives; and what is found in them lies on the whole picture."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mesh.errors import RoleError
from mesh.role import Frame
from roles.inference import upright
from roles.inference.upright import Region
from tests.roles.public_models import play, public
from tests.roles.small_models import FLOAT, node, write_onnx

WIDE, HIGH = 320, 240


def slopes() -> np.ndarray:
    """A picture whose red grows to the right and whose green grows downward, evenly: a colour says where it is from."""
    rows, columns = np.mgrid[0:HIGH, 0:WIDE]
    return np.stack([columns * 255 / WIDE, rows * 255 / HIGH, np.zeros((HIGH, WIDE))], axis=2).round().astype(np.uint8)


def seen_from(tmp_path: Path, thing: dict[str, Any], **options: Any) -> np.ndarray:
    """(32, 32, 2): where in the picture, in pixels, each pixel of the model's picture is from."""
    shape: list[Any] = [1, 3, 32, 32]
    model = write_onnx(tmp_path / "m.onnx", {"x": (FLOAT, shape)}, {"y": (FLOAT, shape)}, [node("Identity", ["x"], ["y"])])
    role, stage = play(model, slopes(), decode="raw", crops=1, **options)
    role.on_boxes(Frame([thing], captured_s=1.0))
    ((crop,),) = [each["things"] for each in stage.values("found")]
    plane = np.array(crop["found"]["y"])[0]
    return np.moveaxis(plane[:2], 0, -1) * [WIDE, HIGH]


def share(*places: tuple[float, float]) -> list[list[float]]:
    return [[x / WIDE, y / HIGH] for x, y in places]


def turned(angle: float, x: float, y: float) -> tuple[float, float]:
    """A way across and down in a thing turned clockwise, as one in the picture."""
    return x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle)


BOX = [100 / WIDE, 80 / HIGH, 180 / WIDE, 120 / HIGH]  # 80 x 40 pixels about (140, 100)


@pytest.mark.parametrize("angle", [0.0, 0.4, -0.7, 2.5])
@pytest.mark.parametrize("by", ["level", "up"])
def test_a_thing_is_turned_by_the_line_between_two_of_its_points(tmp_path: Path, angle: float, by: str) -> None:
    way = (10.0, 0.0) if by == "level" else (0.0, -10.0)
    x, y = turned(angle, *way)
    thing = {"box": BOX, "points": share((9, 9), (130, 90), (130 + x, 90 + y))}
    seen = seen_from(tmp_path, thing, align={by: [1, 2], "square": True, "shift": [0.0, -0.25]}, crop_margin=0.25)
    # Then the middle is the box's, moved up by a quarter of its height as it stands, and the sides are half as long again as 80
    middle = np.array([140.0, 100.0]) + turned(angle, 0, -10)
    for row, column in ((0, 0), (0, 31), (31, 0), (16, 20)):
        place = ((column + 0.5) / 32 - 0.5) * 120, ((row + 0.5) / 32 - 0.5) * 120
        expected = middle + turned(angle, *place)
        if (expected > 2).all() and (expected < [WIDE - 2, HIGH - 2]).all():  # beyond it there is only its edge
            assert seen[row, column] == pytest.approx(expected, abs=1.6), (row, column)


def test_a_body_is_a_square_about_a_point_that_reaches_to_another(tmp_path: Path) -> None:
    thing = {"box": [0, 0, 0.1, 0.1], "points": share((160, 120), (160, 60))}  # hips, and above them as far as the body goes
    seen = seen_from(tmp_path, thing, align={"around": [0, 1], "up": [0, 1]})
    assert seen[0, 0] == pytest.approx([100 + 60 / 32, 60 + 60 / 32], abs=1.6) and seen[31, 31] == pytest.approx([218, 178], abs=1.6)


ARCFACE = [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)]  # of insightface, 112 x 112


@pytest.mark.parametrize("points", ["arcface", [[x / 112, y / 112] for x, y in ARCFACE]])
def test_a_face_is_laid_on_the_pattern_of_its_model(tmp_path: Path, points: Any) -> None:
    # Given a face that is the pattern itself, half as large again and turned
    face = [np.array([150.0, 30.0]) + turned(0.3, 1.5 * x, 1.5 * y) for x, y in ARCFACE]
    thing = {"box": [0.3, 0.2, 0.6, 0.8], "points": share(*((float(x), float(y)) for x, y in face))}
    seen = seen_from(tmp_path, thing, align={"points": points})
    # Then each pixel about a point of the pattern shows what was there about the face's point
    for (x, y), place in zip(ARCFACE, face, strict=True):
        column, row = int(x * 32 / 112), int(y * 32 / 112)
        beside = turned(0.3, 1.5 * ((column + 0.5) * 3.5 - x), 1.5 * ((row + 0.5) * 3.5 - y))
        assert seen[row, column] == pytest.approx(place + beside, abs=1.6)


def test_a_face_that_is_no_copy_of_the_pattern_is_laid_as_well_as_can_be(tmp_path: Path) -> None:
    """By the normal equations of turning and sizing, solved apart."""
    face = np.array([(120.0, 70.0), (170, 78), (140, 100), (118, 125), (160, 130)])
    pattern = np.array(ARCFACE) / 112
    rows = [row for x, y in face for row in ([x, -y, 1, 0], [y, x, 0, 1])]
    a, b, right, down = np.linalg.lstsq(np.array(rows), pattern.reshape(-1), rcond=None)[0]
    back = np.linalg.inv(np.array([[a, -b], [b, a]]))
    thing = {"box": [0.3, 0.2, 0.6, 0.8], "points": share(*((float(x), float(y)) for x, y in face))}
    seen = seen_from(tmp_path, thing, align={"points": "arcface"})
    for row, column in ((3, 5), (20, 9), (30, 30)):
        expected = back @ (np.array([(column + 0.5) / 32, (row + 0.5) / 32]) - [right, down])
        assert seen[row, column] == pytest.approx(expected, abs=1.6)


def test_what_is_found_in_a_turned_crop_lies_on_the_whole_picture(tmp_path: Path) -> None:
    # Given a model that sees points in the middle and at the right of whatever it is shown
    points = np.array([[[0.5, 0.5], [1.0, 0.5]]]) * 64
    model = public(tmp_path / "m.onnx", ("x", FLOAT, [1, 3, 64, 64]), {"points": points})
    role, stage = play(model, slopes(), decode="keypoints", points="xy", crops=1, align={"level": [0, 1], "square": True})
    x, y = turned(0.5, 20, 0)
    role.on_boxes(Frame({"boxes": [{"box": BOX, "points": share((130, 90), (130 + x, 90 + y))}]}, captured_s=1.0))
    (figure,) = stage.values("found")[0]["things"][0]["found"]["figures"]
    found = np.array(figure["points"])[:, :2] * [WIDE, HIGH]
    assert np.allclose(found, [[140, 100], np.array([140, 100]) + turned(0.5, 40, 0)], atol=0.05)


def test_points_that_nobody_gives_are_asked_for(tmp_path: Path) -> None:
    for thing in ({"box": BOX}, {"box": BOX, "points": share((1, 1))}):
        with pytest.raises(RoleError) as fault:
            seen_from(tmp_path, thing, align={"level": [0, 1]})
        assert "align" in (fault.value.where or "") and "points" in fault.value.instead
    # And of points that all lie in one place nothing can be cut
    same = {"box": BOX, "points": share(*[(50.0, 50.0)] * 5)}
    role, stage = play(public(tmp_path / "n.onnx", ("x", FLOAT, [1, 3, 8, 8]), {"y": np.ones((1, 3))}), slopes(), crops=1,
                       align={"points": "arcface"})  # fmt: skip
    role.on_boxes(Frame([same], captured_s=1.0))
    assert stage.values("found") == [{"things": []}]


@pytest.mark.parametrize(("beyond", "outside"), [(None, 0.0), (51, 51.0)])
def test_beyond_the_picture_lies_its_edge_or_a_grey(tmp_path: Path, beyond: int | None, outside: float) -> None:
    # Given a thing half of which is left of the picture, where its red is 0
    thing = {"box": [0.0, 0.4, 0.1, 0.6], "points": share((0, 120), (0, 90))}
    align = {"around": [0, 1], "up": [0, 1], **({} if beyond is None else {"beyond": beyond})}
    red = seen_from(tmp_path, thing, align=align)[..., 0] / WIDE * 255
    assert red[:, :15] == pytest.approx(outside, abs=0.6)
    assert (red[:, 20:] < 30).all() and red[16, 31] == pytest.approx(29 * 255 / WIDE, abs=1)


@pytest.mark.parametrize("beyond", [None, 40])
@pytest.mark.parametrize("colours", [3, 1])
def test_a_machine_without_opencv_cuts_out_the_same(monkeypatch: pytest.MonkeyPatch, beyond: int | None, colours: int) -> None:
    picture = slopes() if colours == 3 else slopes()[:, :, 0]
    region = Region(np.array([-20.0, 40]), np.array([100.0, 60]), np.array([-48.0, 80]))
    quick = region.cut(picture, beyond)
    monkeypatch.setattr(upright, "opencv", lambda: None)
    plain = region.cut(picture, beyond)
    assert quick is not None and plain is not None and quick.shape == plain.shape == (93, 117, 3)[: picture.ndim]
    apart = np.abs(quick.astype(int) - plain)
    assert (apart > 1).mean() < 0.01  # but for the picture's very edge, where OpenCV blends and numpy does not
