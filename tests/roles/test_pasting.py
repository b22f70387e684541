"""What is painted of parts of a picture goes back to where they were cut out."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mesh.role import Frame
from roles.inference import pasting
from tests.roles.public_models import play, public
from tests.roles.small_models import FLOAT, node, write_onnx

WIDE, HIGH = 200, 120
LEFT, RIGHT = [0.1, 0.25, 0.3, 0.75], [0.6, 0.25, 0.8, 0.75]  # 20..60 and 120..160 across, 30..90 down


def painted(tmp_path: Path, model: Path, picture: np.ndarray, things: list[dict[str, Any]], **options: Any) -> tuple[np.ndarray, Any]:
    role, stage = play(model, picture, crops=4, **options)
    role.on_boxes(Frame(things, captured_s=1.0))
    return stage.values("picture")[0], stage.values("found")[0]


def half(path: Path) -> Path:
    """A mask of the left half of whatever it is shown."""
    said = np.zeros((1, 1, 16, 16))
    said[..., :8] = 1
    return public(path, ("x", FLOAT, [1, 3, 16, 16]), {"mask": said})


def negative(path: Path) -> Path:
    """The picture in its opposite colours."""
    shape: list[Any] = [1, 3, 32, 32]
    nodes = [node("Sub", ["one", "x"], ["image"])]
    return write_onnx(path, {"x": (FLOAT, shape)}, {"image": (FLOAT, shape)}, nodes, {"one": np.float32(1)})


@pytest.fixture(params=["with OpenCV", "without"])
def tools(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "without":
        monkeypatch.setattr(pasting, "opencv", lambda: None)


@pytest.mark.usefixtures("tools")
def test_masks_of_parts_are_one_mask_of_the_whole(tmp_path: Path) -> None:
    things = [{"box": LEFT}, {"box": RIGHT}]
    mask, found = painted(tmp_path, half(tmp_path / "m.onnx"), np.zeros((HIGH, WIDE, 3), np.uint8), things, decode="mask")
    by_hand = np.zeros((HIGH, WIDE), bool)
    by_hand[30:90, 20:40] = by_hand[30:90, 120:140] = True
    assert mask.shape == (HIGH, WIDE) and ((mask >= 128) != by_hand).mean() < 0.01
    assert [each["found"]["cover"] for each in found["things"]] == [pytest.approx(0.5, abs=0.05)] * 2  # of each part


@pytest.mark.usefixtures("tools")
def test_a_turned_part_is_laid_back_as_it_was_turned(tmp_path: Path) -> None:
    # Given a square of 40 about (100, 60), a third of a right angle clockwise
    turn = math.pi / 6
    points = [[100 / WIDE, 60 / HIGH], [(100 + 10 * math.cos(turn)) / WIDE, (60 + 10 * math.sin(turn)) / HIGH]]
    thing = {"box": [80 / WIDE, 40 / HIGH, 120 / WIDE, 80 / HIGH], "points": points}
    mask, _ = painted(tmp_path, half(tmp_path / "m.onnx"), np.zeros((HIGH, WIDE, 3), np.uint8), [thing], decode="mask",
                      align={"level": [0, 1]})  # fmt: skip
    rows, columns = np.mgrid[0:HIGH, 0:WIDE] + 0.5
    along = (columns - 100) * math.cos(turn) + (rows - 60) * math.sin(turn)
    athwart = (rows - 60) * math.cos(turn) - (columns - 100) * math.sin(turn)
    by_hand = (along >= -20) & (along < 0) & (abs(athwart) < 20)
    assert ((mask >= 128) != by_hand).mean() < 0.01 and by_hand.sum() == pytest.approx(800, abs=30)


@pytest.mark.usefixtures("tools")
@pytest.mark.parametrize("colours", [3, 1])
def test_a_part_in_other_colours_fades_into_the_picture(tmp_path: Path, colours: int) -> None:
    picture = np.full((HIGH, WIDE, 3) if colours == 3 else (HIGH, WIDE), 60, np.uint8)
    whole, _ = painted(tmp_path, negative(tmp_path / "m.onnx"), picture, [{"box": LEFT}], decode="image")
    assert whole.shape == (HIGH, WIDE, 3) and (picture == 60).all()  # what others see as well is as it was
    assert (whole[35:85, 25:55] == 195).all() and (whole[:, 100:] == 60).all() and (whole[:29] == 60).all()
    edge = whole[60, 20:24, 0].astype(int)
    assert 60 <= edge[0] < edge[1] <= edge[2] <= 195


def test_where_nothing_was_found_there_is_no_mask_and_the_picture_is_itself(tmp_path: Path) -> None:
    picture = np.full((HIGH, WIDE, 3), 60, np.uint8)
    assert not painted(tmp_path, half(tmp_path / "m.onnx"), picture, [], decode="mask")[0].any()
    assert np.array_equal(painted(tmp_path, negative(tmp_path / "n.onnx"), picture, [], decode="image")[0], picture)


def test_a_part_that_reaches_beyond_the_picture_costs_nothing(tmp_path: Path) -> None:
    thing = {"box": [0.9, 0.9, 1.0, 1.0], "points": [[1.0, 1.0], [1.0, 0.5]]}
    mask, _ = painted(tmp_path, half(tmp_path / "m.onnx"), np.zeros((HIGH, WIDE, 3), np.uint8), [thing], decode="mask",
                      align={"around": [0, 1], "up": [0, 1]})  # fmt: skip
    assert mask.shape == (HIGH, WIDE) and mask[HIGH - 1, WIDE - 1] >= 128 and mask[0, 0] == 0
