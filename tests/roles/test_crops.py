"""One model looks where another pointed: the right part of the right picture, and places that are those of the whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mesh.errors import RoleError
from mesh.role import Frame
from roles.inference.crops import KEPT, Crops, cut
from tests.roles.public_models import play, public
from tests.roles.small_models import FLOAT, node, write_onnx
from tests.roles.stage import Recorder


def brightness(path: Path) -> Path:
    """Says how bright its picture is and how dark: two scores."""
    nodes = [
        node("ReduceMean", ["image"], ["bright"], axes=[1, 2, 3], keepdims=0), node("Unsqueeze", ["bright", "one"], ["first"]),
        node("Sub", ["whole", "first"], ["second"]), node("Concat", ["first", "second"], ["scores"], axis=1),
    ]  # fmt: skip
    constants = {"one": np.array([1], np.int64), "whole": np.float32(1)}
    return write_onnx(path, {"image": (FLOAT, [1, 3, 8, 8])}, {"scores": (FLOAT, [1, 2])}, nodes, constants)


def look(model: Path, picture: np.ndarray, things: Any, **options: Any) -> tuple[Any, Recorder]:
    role, stage = play(model, picture, crops=options.pop("crops", 10), **options)
    role.on_boxes(Frame(things, captured_s=1.0))
    return role, stage


def halves() -> np.ndarray:
    """Black on the left, white on the right."""
    picture = np.zeros((100, 200, 3), np.uint8)
    picture[:, 100:] = 255
    return picture


def test_each_thing_is_looked_into_and_keeps_what_was_known_of_it(tmp_path: Path) -> None:
    things = {"boxes": [{"label": "left", "score": 0.9, "box": [0, 0, 0.5, 1]}, {"label": "right", "score": 0.8, "box": [0.5, 0, 1, 1]}]}
    _, stage = look(brightness(tmp_path / "m.onnx"), halves(), things, decode="classes", labels=["bright", "dark"])
    (found,) = stage.values("found")
    assert [(each["label"], each["score"], each["found"]["label"]) for each in found["things"]] == [
        ("left", 0.9, "dark"), ("right", 0.8, "bright"),
    ]  # fmt: skip


@pytest.mark.parametrize("things", [{"boxes": []}, {"figures": []}, []])
def test_where_nothing_was_found_that_is_said(tmp_path: Path, things: Any) -> None:
    _, stage = look(brightness(tmp_path / "m.onnx"), halves(), things, decode="classes")
    assert stage.values("found") == [{"things": []}]


def test_only_so_many_and_only_those_of_the_labels_are_looked_into(tmp_path: Path) -> None:
    things = [{"label": "face" if at % 2 else "hand", "box": [0, 0, 0.5, 0.5]} for at in range(10)]
    _, stage = look(brightness(tmp_path / "m.onnx"), halves(), things, decode="classes", crops=3, crop_labels=["face"])
    assert [each["label"] for each in stage.values("found")[0]["things"]] == ["face"] * 3


def test_places_found_in_a_crop_are_those_of_the_whole_picture(tmp_path: Path) -> None:
    # Given a detector that sees one thing in the middle half of whatever it is shown
    rows = np.array([[[0.25, 0.25, 0.75, 0.75, 0.9, 0]]]) * [[[64, 64, 64, 64, 1, 1]]]
    model = public(tmp_path / "m.onnx", ("images", FLOAT, [1, 3, 64, 64]), {"output0": rows})
    _, stage = look(model, halves(), [{"box": [0.5, 0.5, 1.0, 1.0]}], decode="boxes", detector="ended", resize="stretch")
    (inner,) = stage.values("found")[0]["things"][0]["found"]["boxes"]
    assert inner["box"] == pytest.approx([0.625, 0.625, 0.875, 0.875], abs=1e-3)


def test_boxes_are_cut_out_of_the_picture_in_which_they_were_found() -> None:
    crops = Crops(5, 0.0, [])
    for number in range(KEPT + 4):
        crops.remember(np.full((10, 10, 3), number, np.uint8), 1.0 + number)
    (crop,) = crops.of([{"box": [0, 0, 1, 1]}], 8.0) or []
    assert crop.picture.max() == 7
    # And not out of another when theirs is gone, or never came
    assert crops.of([{"box": [0, 0, 1, 1]}], 1.0) is None and Crops(5, 0.0, []).of([], 1.0) is None


def test_what_is_kept_is_no_view_of_memory_that_is_used_again() -> None:
    crops, shared = Crops(5, 0.0, []), np.full((10, 10, 3), 7, np.uint8)
    crops.remember(shared, 1.0)
    shared[:] = 0
    (crop,) = crops.of([{"box": [0, 0, 1, 1]}], 1.0) or []
    assert crop.picture.min() == 7


def test_a_turned_box_is_cut_out_upright() -> None:
    # Given a bright stripe that rises to the right at an eighth of a turn
    picture = np.zeros((200, 200, 3), np.uint8)
    rows, columns = np.mgrid[0:200, 0:200]
    along, athwart = (columns - 100 - (rows - 100)) / 2**0.5, (columns - 100 + rows - 100) / 2**0.5
    picture[(abs(along) <= 60) & (abs(athwart) <= 10)] = 255
    corners = [[(100 + (a + b) / 2**0.5) / 200, (100 + (b - a) / 2**0.5) / 200] for a, b in ((-50, -6), (50, -6), (50, 6), (-50, 6))]
    crop = cut(picture, {"box": [0.2, 0.2, 0.8, 0.8], "corners": corners, "angle": -0.785}, 0.0)
    # Then all of the crop is bright, and as long as the stripe
    assert crop is not None and crop.picture.shape[:2] == (12, 100) and crop.picture.mean() > 250


@pytest.mark.parametrize("box", [[0.4, 0.4, 0.4, 0.4], [1.2, 0, 1.5, 1], [0.9, 0.9, 0.1, 0.1], [float("nan")] * 4])
def test_a_box_that_is_none_costs_nobody_anything(tmp_path: Path, box: list[float]) -> None:
    _, stage = look(brightness(tmp_path / "m.onnx"), halves(), [{"box": box}, {"box": [0.5, 0, 1, 1]}], decode="classes")
    assert [each["box"] for each in stage.values("found")[0]["things"]] == [[0.5, 0, 1, 1]]


def test_lines_of_text_are_read_from_top_to_bottom(tmp_path: Path) -> None:
    # Given a reader that says "no" of whatever it sees
    rows = np.full((1, 3, 12), 0.01)
    rows[0, 0, 1], rows[0, 1, 0], rows[0, 2, 2] = 0.9, 0.9, 0.9
    letters = "no" + "abcdefghi"
    model = public(tmp_path / "m.onnx", ("x", FLOAT, [1, 3, 48, "wide"]), {"y": rows}, {"character": "\n".join(letters)})
    things = [{"label": "b", "box": [0, 0.6, 1, 0.9]}, {"label": "a", "box": [0, 0.1, 1, 0.4]}]
    _, stage = look(model, halves(), things, decode="letters")
    assert stage.values("text") == ["no\nno"] and [each["found"]["text"] for each in stage.values("found")[0]["things"]] == ["no", "no"]


def test_what_does_not_go_together_is_refused_in_words(tmp_path: Path) -> None:
    model = brightness(tmp_path / "m.onnx")
    with pytest.raises(RoleError) as fault:
        play(model, crops=3, decode="probability")
    assert "classes, boxes" in fault.value.instead and "mask" in fault.value.instead
    with pytest.raises(RoleError) as fault:
        play(model, decode="classes", align={"square": True})
    assert "crops: 10" in fault.value.instead
    role, _ = play(model, decode="classes")
    with pytest.raises(RoleError) as fault:
        role.on_boxes(Frame([], captured_s=1.0))
    assert "crops" in fault.value.instead
    with pytest.raises(RoleError) as fault:
        look(model, halves(), {"people": 3}, decode="classes")
    assert "boxes" in fault.value.instead
