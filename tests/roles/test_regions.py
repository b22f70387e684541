"""A map of how sure a model is, read as boxes: one around each region, turned as it lies, wherever it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mesh.errors import RoleError
from tests.roles.public_models import play, public
from tests.roles.small_models import FLOAT

PICTURE = np.zeros((160, 320, 3), np.uint8)


def seen(folder: Path, plane: np.ndarray, **options: object) -> list[dict[str, object]]:
    model = public(folder / "m.onnx", ("x", FLOAT, [1, 3, "high", "wide"]), {"map": plane[None, None]})
    _, stage = play(model, PICTURE, decode="boxes", size="320x160", **options)
    return list(stage.values("found")[0]["boxes"])


def test_each_region_has_a_box_with_the_mean_of_its_map(tmp_path: Path) -> None:
    plane = np.zeros((160, 320))
    plane[20:40, 40:120], plane[100:110, 200:300] = 0.9, 0.7
    boxes = seen(tmp_path, plane)
    assert [each["score"] for each in boxes] == pytest.approx([0.9, 0.7])
    assert boxes[0]["box"] == pytest.approx([40 / 320, 20 / 160, 120 / 320, 40 / 160], abs=1e-3)
    assert boxes[1]["box"] == pytest.approx([200 / 320, 100 / 160, 300 / 320, 110 / 160], abs=1e-3)


def test_a_region_that_is_shaped_like_a_u_is_one_and_two_that_do_not_touch_are_two(tmp_path: Path) -> None:
    plane = np.zeros((160, 320))
    plane[20:100, 40:50], plane[20:100, 90:100], plane[90:100, 40:100] = 1, 1, 1  # a U
    plane[20:60, 60:80] = 1  # within it, apart
    plane[120:140, 200:220], plane[140:150, 220:240] = 1, 1  # that touch at a corner
    assert len(seen(tmp_path, plane)) == 3


@pytest.mark.parametrize("degrees", [-40, -15, 0, 8, 30])
def test_a_turned_region_has_a_box_turned_alike(tmp_path: Path, degrees: float) -> None:
    rows, columns = np.mgrid[0:160, 0:320]
    turn = np.radians(degrees)
    along = (columns + 0.5 - 160) * np.cos(turn) + (rows + 0.5 - 80) * np.sin(turn)
    athwart = (rows + 0.5 - 80) * np.cos(turn) - (columns + 0.5 - 160) * np.sin(turn)
    (box,) = seen(tmp_path, ((abs(along) <= 60) & (abs(athwart) <= 12)).astype(float))
    corners = np.array(box["corners"]) * (320, 160)
    assert box["angle"] == pytest.approx(turn, abs=0.03)
    sides = [np.hypot(*(corners[at + 1] - corners[at])) for at in (0, 1)]
    assert sides == pytest.approx([120, 24], abs=4)


def test_boxes_grow_by_area_over_perimeter_as_text_detectors_want(tmp_path: Path) -> None:
    plane = np.zeros((160, 320))
    plane[60:80, 100:200] = 1
    (box,) = seen(tmp_path, plane, grow=1.5)
    more = 100 * 20 / (2 * (100 + 20)) * 1.5
    assert np.array(box["box"]) * (320, 160, 320, 160) == pytest.approx([100 - more, 60 - more, 200 + more, 80 + more], abs=0.2)


def test_the_threshold_says_where_a_region_ends_and_specks_are_none(tmp_path: Path) -> None:
    plane = np.zeros((160, 320))
    plane[20:60, 40:120], plane[30:50, 60:100], plane[100, 200] = 0.45, 0.8, 1
    assert seen(tmp_path, plane)[0]["box"] == pytest.approx([60 / 320, 30 / 160, 100 / 320, 50 / 160], abs=1e-3)
    assert seen(tmp_path, plane, threshold=0.3)[0]["box"] == pytest.approx([40 / 320, 20 / 160, 120 / 320, 60 / 160], abs=1e-3)
    assert len(seen(tmp_path, plane)) == 1 and seen(tmp_path, np.zeros((160, 320))) == []


def test_a_map_that_is_noise_is_read_within_bounds(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).random((160, 320))
    assert len(seen(tmp_path, noise, min_score=0.0, max_boxes=50)) <= 50


def test_several_outputs_need_a_name(tmp_path: Path) -> None:
    plane = np.zeros((1, 1, 160, 320))
    plane[..., 20:40, 40:120] = 1
    outputs = {"map": plane, "edge": plane * 0}
    model = public(tmp_path / "m.onnx", ("x", FLOAT, [1, 3, 160, 320]), outputs)
    with pytest.raises(RoleError):
        play(model, PICTURE, decode="boxes", detector="map")
    _, stage = play(model, PICTURE, decode="boxes", detector="map", scores="map")
    assert len(stage.values("found")[0]["boxes"]) == 1
