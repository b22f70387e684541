"""What detectors give beside their boxes: masks over the picture, points of each thing. Layouts of torchvision, MMPose and DETR."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.roles.public_models import BOX, PICTURE, play, public
from tests.roles.small_models import FLOAT

PIXELS = np.array(BOX) * [320, 240, 320, 240]  # of the frame, which is the model's picture here
INPUT = ("image", FLOAT, [3, 240, 320])  # torchvision's detectors take one picture without a batch


def torchvision(count: int, **beside: Any) -> dict[str, np.ndarray]:
    """Boxes, kinds and scores under names that tell nothing: of two things, the second faint, or of none."""
    boxes = np.array([PIXELS, [0, 0, 40, 40]])[:count]
    return {"2053": boxes, "2023": np.array([1, 2], np.int64)[:count], "2022": np.array([0.9, 0.1])[:count], **beside}


def test_masks_over_the_whole_picture_stay_where_they_are(tmp_path: Path) -> None:
    """Mask R-CNN of torchvision: [n, 1, h, w], pasted into the picture by the model itself."""
    masks = np.zeros((2, 1, 240, 320))
    masks[0, 0, 60:120, 80:160] = 0.9
    _, stage = play(public(tmp_path / "m.onnx", INPUT, torchvision(2, masks=masks)), PICTURE, decode="boxes")
    (thing,) = stage.values("found")[0]["boxes"]
    picture, numbers = stage.values("picture")[0], stage.values("values")[0]
    assert thing["label"] == "1" and thing["box"] == pytest.approx(BOX, abs=1e-4)
    assert thing["cover"] == pytest.approx(60 * 80 / (240 * 320), abs=1e-4)
    assert np.abs(picture - masks[0, 0] * 255).max() <= 1 and np.array_equal(numbers, masks[0, 0] > 0.5)


def test_where_nothing_is_found_the_mask_is_empty_and_not_the_last_one(tmp_path: Path) -> None:
    outputs = torchvision(0, masks=np.zeros((0, 1, 240, 320)))
    _, stage = play(public(tmp_path / "m.onnx", INPUT, outputs), PICTURE, decode="boxes")
    assert stage.values("found")[0] == {"boxes": []}
    assert stage.values("picture")[0].shape == (240, 320) and not stage.values("picture")[0].any()


@pytest.mark.parametrize("asked", ["auto", "picture", "box"])
def test_a_small_square_mask_is_within_its_box_unless_an_option_says_otherwise(tmp_path: Path, asked: str) -> None:
    masks = np.full((2, 28, 28), -9.0)  # before a sigmoid
    masks[0, :, :14] = 9.0
    _, stage = play(public(tmp_path / "m.onnx", INPUT, torchvision(2, masks=masks)), PICTURE, decode="boxes", masks=asked)
    rows, columns = np.nonzero(stage.values("picture")[0] >= 128)
    left, right = (0, 160) if asked == "picture" else (80, 160)  # the left half of the picture, or of the box
    assert (columns.min(), columns.max() + 1) == (pytest.approx(left, abs=4), pytest.approx(right, abs=4))
    assert rows.max() - rows.min() + 1 == (240 if asked == "picture" else 60)


def test_masks_of_queries_are_laid_over_the_picture(tmp_path: Path) -> None:
    """DETR for masks: logits [1, n, classes + 1], boxes as middles and sides, masks [1, n, h / 4, w / 4] before a sigmoid."""
    logits, boxes, masks = np.zeros((1, 100, 92)), np.full((1, 100, 4), 0.1), np.full((1, 100, 60, 80), -6.0)
    logits[..., 91], logits[0, 7, 17] = 9, 14
    boxes[0, 7] = [0.5, 0.375, 0.5, 0.25]
    masks[0, 7, 15:30, 20:60] = 6
    outputs = {"logits": logits, "pred_boxes": boxes, "pred_masks": masks}
    model = public(tmp_path / "m.onnx", ("pixel_values", FLOAT, [1, 3, 240, 320]), outputs)
    _, stage = play(model, PICTURE, decode="boxes", labels="coco91")
    (thing,) = stage.values("found")[0]["boxes"]
    assert thing["label"] == "cat" and thing["box"] == pytest.approx(BOX, abs=1e-3)
    assert thing["cover"] == pytest.approx(0.125, abs=0.01) and stage.values("picture")[0][90, 160] > 250


JOINTS = np.stack([np.linspace(0.3, 0.7, 17), np.linspace(0.26, 0.49, 17)], axis=1)  # x y of the picture


def keypoint_rcnn() -> dict[str, np.ndarray]:
    """torchvision's: [n, 17, 3] of x y 1 in pixels, and scores of the points before a sigmoid apart."""
    points = np.concatenate([np.tile(JOINTS * [320, 240], (2, 1, 1)), np.ones((2, 17, 1))], axis=2)
    return torchvision(2, **{"3016": points, "3021": np.full((2, 17), np.log(4.0))})


def rtmo() -> dict[str, np.ndarray]:
    """MMPose's RTMO: dets [1, n, 5], keypoints [1, n, 17, 3] of x y score."""
    dets, points = np.zeros((1, 9, 5)), np.zeros((1, 9, 17, 3))
    dets[0, 4] = [*PIXELS, 0.9]
    points[0, 4] = np.concatenate([JOINTS * [320, 240], np.full((17, 1), 0.8)], axis=1)
    return {"dets": dets, "keypoints": points}


def yolonas() -> dict[str, np.ndarray]:
    """YOLO-NAS pose: how many, boxes, scores, joints."""
    boxes, scores, points = np.zeros((1, 50, 4)), np.zeros((1, 50)), np.zeros((1, 50, 17, 3))
    boxes[0, 0], scores[0, 0] = PIXELS, 0.9
    points[0, 0] = np.concatenate([JOINTS * [320, 240], np.full((17, 1), 0.8)], axis=1)
    counted = {"num_predictions": np.array([[1]], np.int64)}
    return {**counted, "pred_boxes": boxes, "pred_scores": scores, "pred_joints": points}


@pytest.mark.parametrize("outputs", [keypoint_rcnn(), rtmo(), yolonas()], ids=["Keypoint R-CNN", "RTMO", "YOLO-NAS pose"])
def test_points_beside_boxes_are_figures_and_belong_to_their_boxes(tmp_path: Path, outputs: dict[str, np.ndarray]) -> None:
    model = public(tmp_path / "m.onnx", ("image", FLOAT, [1, 3, 240, 320]), outputs)
    _, stage = play(model, PICTURE, decode="keypoints")
    (figure,) = stage.values("found")[0]["figures"]
    assert figure["score"] == pytest.approx(0.9) and figure["box"] == pytest.approx(BOX, abs=1e-3)
    assert np.allclose(figure["points"], np.concatenate([JOINTS, np.full((17, 1), 0.8)], axis=1), atol=1e-3)
    _, stage = play(model, PICTURE, decode="boxes")
    (thing,) = stage.values("found")[0]["boxes"]
    assert np.allclose(thing["points"], JOINTS, atol=1e-3)


def test_nobody_is_no_figure(tmp_path: Path) -> None:
    nobody = torchvision(0, keypoints=np.zeros((0, 17, 3)), sure=np.zeros((0, 17)))
    _, stage = play(public(tmp_path / "m.onnx", INPUT, nobody), PICTURE, decode="keypoints")
    assert stage.values("found")[0] == {"figures": []}


def test_what_a_model_has_chosen_may_overlap_by_more_and_an_option_has_the_last_word(tmp_path: Path) -> None:
    """FCOS keeps two of a kind that overlap by up to 0.6; these share 0.667 of their area."""
    boxes = np.array([[80.0, 60, 240, 120], [112, 60, 272, 120]])
    outputs = {"boxes": boxes, "scores": np.array([0.9, 0.8]), "labels": np.array([1, 1], np.int64)}
    model = public(tmp_path / "m.onnx", INPUT, outputs)
    for options, count in (({}, 2), ({"iou": 0.5}, 1), ({"iou": 0.9}, 2)):
        _, stage = play(model, PICTURE, decode="boxes", **options)
        assert len(stage.values("found")[0]["boxes"]) == count, options
