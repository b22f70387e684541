"""Option `columns`: detectors of no known family, described number by number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mesh.errors import RoleError
from roles.inference.columns import parsed
from roles.inference.onnx import Onnx
from tests.roles.public_models import BOX, PICTURE, play, public
from tests.roles.small_models import FLOAT

X0, Y0, X1, Y1 = np.array(BOX) * [64, 64, 64, 64]  # in the model's pixels
JOINTS = np.array([[0.3, 0.3], [0.5, 0.4], [0.7, 0.45]])


def rows(*numbers: float, count: int = 40) -> np.ndarray:
    """One row that says something among many zeros."""
    held = np.zeros((1, count, len(numbers)))
    held[0, 7] = numbers
    return held


MARKS = (JOINTS * 64).reshape(-1).tolist()
NUMBERS: dict[str, tuple[dict[str, np.ndarray], Any]] = {
    "a picture's number, corners, kind, score": ({"a": rows(0, X0, Y0, X1, Y1, 2, 0.9)}, "- x0 y0 x1 y1 label score"),
    "middle and sides, objectness, classes": (
        {"a": rows(X0 / 2 + X1 / 2, Y0 / 2 + Y1 / 2, X1 - X0, Y1 - Y0, 0.95, 0.1, 0, 0.9 / 0.95, 0.1)}, "cx cy w h score classes"),
    "down before across, in 0..1": ({"a": rows(BOX[1], BOX[0], BOX[3] - BOX[1], BOX[2] - BOX[0], 2, 0.9)}, "y0 x0 h w label score"),
    "rows along the other side": ({"a": rows(X0, Y0, X1, Y1, 0, 0, 0.9, 0).transpose(0, 2, 1)}, "x0, y0, x1, y1, classes:4"),
    "before a sigmoid": ({"a": rows(X0, Y0, X1, Y1, 9 + np.log(9), 2) - [0, 0, 0, 0, 9, 0]}, "x0 y0 x1 y1 score label"),
    "a square about a middle": ({"a": rows(0.9, (X0 + X1) / 2, (Y0 + Y1) / 2, 16, 2)}, "score cx cy side label"),
    "of several outputs": ({"where": rows(X0, Y0, X1 - X0, Y1 - Y0), "what": rows(0, 0, 0.9, 0)[0]},
                           {"0": "x0 y0 w h", "what": "classes"}),
    "a score for each row alone": ({"p": rows(0.9)[..., 0], "k": rows(2)[..., 0], "b": rows(X0, Y0, X1, Y1)},
                                   {"b": "x0 y0 x1 y1", "p": "score", "k": "label"}),
}  # fmt: skip


@pytest.mark.parametrize("name", NUMBERS)
def test_a_detector_of_no_family_is_read_by_its_columns(tmp_path: Path, name: str) -> None:
    outputs, columns = NUMBERS[name]
    model = public(tmp_path / "m.onnx", ("x", FLOAT, [1, 3, 64, 64]), outputs)
    _, stage = play(model, PICTURE, decode="boxes", columns=columns)
    (thing,) = stage.values("found")[0]["boxes"]
    box = (0.375, 0.25, 0.625, 0.5) if "square" in name else BOX
    assert thing["box"] == pytest.approx(box, abs=1e-3) and thing["score"] == pytest.approx(0.9, abs=1e-3) and thing["label"] == "2"


@pytest.mark.parametrize(("numbers", "columns"), [
    ([X0, Y0, X1, Y1, 0.9, *np.column_stack([JOINTS * 64, [0.8, 0.7, 0.6]]).reshape(-1)], "x0 y0 x1 y1 score 3*(x y s)"),
    ([0.9, *np.column_stack([JOINTS[:, ::-1] * 64, [0.8, 0.7, 0.6]]).reshape(-1)], "score 3*(y x s)"),
])  # fmt: skip
def test_points_in_a_row_are_a_figure(tmp_path: Path, numbers: list[float], columns: str) -> None:
    model = public(tmp_path / "m.onnx", ("x", FLOAT, [1, 3, 64, 64]), {"a": rows(*numbers)})
    _, stage = play(model, PICTURE, decode="keypoints", columns=columns)
    (figure,) = stage.values("found")[0]["figures"]
    assert figure["score"] == 0.9
    assert np.allclose(figure["points"], np.column_stack([JOINTS, [0.8, 0.7, 0.6]]), atol=1e-3)
    # Then the box is what the model says, or what the points span
    spanned = [JOINTS[:, 0].min(), JOINTS[:, 1].min(), JOINTS[:, 0].max(), JOINTS[:, 1].max()]
    assert figure["box"] == pytest.approx(BOX if "x0" in columns else spanned, abs=1e-3)


def test_what_overlaps_is_suppressed_and_a_turned_box_is_turned(tmp_path: Path) -> None:
    said = np.zeros((1, 30, 6))
    said[0, 3] = [32, 32, 20, 10, 30, 0.9]
    said[0, 4] = [33, 32, 20, 10, 30, 0.8]  # the same thing, a pixel aside
    model = public(tmp_path / "m.onnx", ("x", FLOAT, [1, 3, 64, 64]), {"a": said})
    _, stage = play(model, np.zeros((64, 64, 3), np.uint8), decode="boxes", columns="cx cy w h degrees score", iou=0.4)
    (thing,) = stage.values("found")[0]["boxes"]
    turn = np.deg2rad(30)
    corner = np.array([-10 * np.cos(turn) + 5 * np.sin(turn), -10 * np.sin(turn) - 5 * np.cos(turn)])
    assert thing["angle"] == pytest.approx(turn, abs=1e-3)
    assert thing["corners"][0] == pytest.approx((corner + 32) / 64, abs=1e-3)


def test_small_numbers_are_pixels_where_an_option_says_so(tmp_path: Path) -> None:
    model = public(tmp_path / "m.onnx", ("x", FLOAT, [1, 3, 64, 64]), {"a": rows(0, 0, 1.6, 1.6, 0.9, 1)})
    for unit, side in (("auto", 1.0), ("pixels", 1.6 / 64), ("share", 1.0)):
        _, stage = play(model, PICTURE, decode="boxes", columns="x0 y0 x1 y1 score label", unit=unit)
        assert stage.values("found")[0]["boxes"][0]["box"][2] == pytest.approx(side, abs=1e-3), unit


@pytest.mark.parametrize(("columns", "word"), [
    ("x0 y0 x1 y1 scor label", "score"), ("x0 y0 x1 score label -", "y1"), ("x0 y0 x1 y1 - -", "score"), ("x0 y0 x1 y1 score", "each"),
    ("x0 y0 x1 y1 classes weights", "wide"), ("x0 y0 x1 y1 score x", "y for each"), ({"z": "x0 y0 x1 y1 score -"}, "one of a"), ("", "cx"),
    ("x0 y0 x1 y1 classes:3", "each"), ("x0:2 y0 x1 y1 score", "x0"),
])  # fmt: skip
def test_a_mistake_in_the_columns_says_what_to_write(tmp_path: Path, columns: Any, word: str) -> None:
    model = public(tmp_path / "m.onnx", ("x", FLOAT, [1, 3, 64, 64]), {"a": np.zeros((1, 40, 6))})
    with pytest.raises(RoleError) as fault:
        play(model, decode="boxes", columns=columns or " ")
    assert "columns" in (fault.value.where or "") and word in fault.value.instead


def test_repetitions_are_written_once() -> None:
    assert parsed("score 2*(x y s) -:3") == [("score", 1), ("x", 1), ("y", 1), ("s", 1), ("x", 1), ("y", 1), ("s", 1), ("-", 3)]


@pytest.mark.parametrize(("name", "numbers"), [
    ("batchno_classid_score_x1y1x2y2", [0, 2, 0.9, X0, Y0, X1, Y1]), ("classid_y1x1y2x2_score", [2, Y0, X0, Y1, X1, 0.9]),
    ("cxcywh_score_class", [(X0 + X1) / 2, (Y0 + Y1) / 2, X1 - X0, Y1 - Y0, 0.9, 2]),
])  # fmt: skip
def test_an_export_that_names_its_output_after_its_columns_is_believed(tmp_path: Path, name: str, numbers: list[float]) -> None:
    model = public(tmp_path / "m.onnx", ("x", FLOAT, [1, 3, 64, 64]), {name: rows(*numbers)[0]})
    assert Onnx.inspect_model(model)["fits"][0]["options"] == {"decode": "boxes"}
    _, stage = play(model, PICTURE, decode="boxes")
    (thing,) = stage.values("found")[0]["boxes"]
    assert thing["box"] == pytest.approx(BOX, abs=1e-3) and (thing["label"], thing["score"]) == ("2", 0.9)
