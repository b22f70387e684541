"""Detectors' outputs of every family, as exporters lay them out, give the same boxes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mesh.errors import RoleError
from roles.inference.boxes import blended, find_boxes, suppress
from roles.inference.candidates import Candidates
from roles.inference.intake import Fit
from roles.inference.onnx import OnnxOptions

SIZE = (640, 480)
WHOLE = Fit(0, 0, *SIZE)
LABELS = ["person", "dog", "lamp"]
# What is in the picture: a person and a dog, in pixels; and the person once more, a little beside and less sure.
THINGS = [([64, 48, 128, 240], 0, 0.9), ([320, 240, 640, 480], 1, 0.8), ([66, 50, 130, 238], 0, 0.7)]


def found(outputs: dict[str, Any], labels: list[str] = LABELS, **options: Any) -> list[tuple[str, float, list[float]]]:
    arrays = {name: np.asarray(value, np.float32) if not hasattr(value, "dtype") else value for name, value in outputs.items()}
    return [(box["label"], round(box["score"], 2), box["box"]) for box in find_boxes(arrays, WHOLE, SIZE, labels, OnnxOptions(**options))]


def centred(box: list[int]) -> list[float]:
    x0, y0, x1, y1 = box
    return [(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0]


def grid(objectness: bool, count: int = 50) -> np.ndarray:
    """[count, 4 (+ 1) + classes], mostly empty."""
    rows = np.zeros((count, (5 if objectness else 4) + len(LABELS)), np.float32)
    for at, (box, kind, score) in enumerate(THINGS):
        rows[at, :4] = centred(box)
        rows[at, -len(LABELS) + kind] = 1.0 if objectness else score
        if objectness:
            rows[at, 4] = score
    return rows


BOXES = np.array([[box for box, _, _ in THINGS]], np.float32)
SCORES = np.array([[score for _, _, score in THINGS]], np.float32)
WIDE = np.array([[[score if at == kind else 0.0 for at in range(3)] for _, kind, score in THINGS]], np.float32)
SWAPPED = BOXES[:, :, [1, 0, 3, 2]] / [480, 640, 480, 640]
TF_KINDS = np.array([[kind + 1.0 for _, kind, _ in THINGS]], np.float32)
FAMILIES: dict[str, dict[str, Any]] = {
    "yolo8": {"output0": grid(False).T[None]},
    "yolo8, rows last": {"output0": grid(False)[None]},
    "yolo5": {"output0": grid(True)[None]},
    "suppression built in": {"output0": np.array([[[*box, score, kind] for box, kind, score in THINGS] + [[0] * 6] * 20], np.float32)},
    "boxes and scores of each class": {"boxes": BOXES, "scores": WIDE},
    "with a column for nothing": {"boxes": BOXES / [640, 480, 640, 480], "scores": np.pad(WIDE, ((0, 0), (0, 0), (1, 0)))},
    "torchvision": {"boxes": BOXES[0], "labels": np.array([kind for _, kind, _ in THINGS]), "scores": SCORES[0]},
    "tensorflow's zoo": {
        "detection_boxes": SWAPPED,
        "detection_classes": TF_KINDS,
        "detection_scores": SCORES,
        "num_detections": np.array([3.0], np.float32),
    },
    "tensorflow's zoo, with all that came before": {
        "detection_anchor_indices": np.array([[4.0, 8.0, 9.0]], np.float32),
        "detection_boxes": SWAPPED,
        "detection_classes": TF_KINDS,
        "detection_multiclass_scores": np.pad(WIDE, ((0, 0), (0, 0), (1, 0))),
        "detection_scores": SCORES,
        "raw_detection_boxes": np.zeros((1, 99, 4), np.float32),
        "raw_detection_scores": np.zeros((1, 99, 4), np.float32),
    },
}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_gives_the_same_boxes_best_first_and_each_once(family: str) -> None:
    assert found(FAMILIES[family]) == [("person", 0.9, [0.1, 0.1, 0.2, 0.5]), ("dog", 0.8, [0.5, 0.5, 1.0, 1.0])]


def test_without_labels_a_class_is_its_number() -> None:
    assert [label for label, _, _ in found(FAMILIES["yolo8"], labels=[])] == ["0", "1"]


def test_a_stricter_score_and_a_looser_overlap_do_what_they_say() -> None:
    assert len(found(FAMILIES["yolo8"], min_score=0.85)) == 1
    assert len(found(FAMILIES["yolo8"], iou=0.99)) == 3
    assert len(found(FAMILIES["yolo8"], max_boxes=1)) == 1


def test_a_doubtful_shape_is_settled_by_the_option() -> None:
    rows = [[*centred(box), score, 1.0] for box, _, score in THINGS[:2]] + [[0.0] * 6] * 48
    one_class = {"output0": np.array([rows], np.float32)}
    assert len(found(one_class, labels=[], detector="yolo5")) == 2
    assert found(one_class, labels=["thing"]) == found(one_class, labels=["thing"], detector="yolo5")


@pytest.mark.parametrize(
    ("order", "boxes"),
    [
        ("xyxy", [[64, 48, 128, 240]]),
        ("yxyx", [[48, 64, 240, 128]]),
        ("xywh", [[64, 48, 64, 192]]),
        ("cxcywh", [centred([64, 48, 128, 240])]),
    ],
)
def test_boxes_in_any_order_are_read(order: str, boxes: list[list[float]]) -> None:
    assert found({"boxes": [boxes], "scores": [[0.9]]}, box_order=order)[0][2] == [0.1, 0.1, 0.2, 0.5]


def test_nothing_to_see_is_no_boxes() -> None:
    assert found({"output0": np.zeros((1, 7, 50), np.float32)}) == []
    assert found({"boxes": np.zeros((0, 4), np.float32), "labels": np.zeros(0, int), "scores": np.zeros(0, np.float32)}) == []


def test_outputs_of_no_known_family_are_named_in_the_refusal() -> None:
    with pytest.raises(RoleError) as fault:
        found({"mask": np.zeros((1, 2, 3, 3), np.float32)})
    assert "mask [1, 2, 3, 3]" in fault.value.what
    assert "function of your own" in fault.value.instead


def test_boxes_of_different_kinds_do_not_suppress_each_other() -> None:
    boxes, scores = np.array([[0, 0, 9, 9], [0, 0, 9, 9.0]]), np.array([0.6, 0.9])
    assert suppress(boxes, scores, np.array([0, 1]), 0.5) == [1, 0]
    assert suppress(boxes, scores, np.array([1, 1]), 0.5) == [1]


def test_what_overlaps_may_be_one_thing_at_the_mean_of_them_all() -> None:
    """MediaPipe's weighted suppression, by hand: 0.9 and 0.3 of one face, another face apart."""
    boxes = np.array([[0.0, 0, 10, 10], [50, 50, 60, 60], [2, 0, 12, 10]])
    points = boxes.reshape(3, 2, 2)
    seen = blended(Candidates(boxes, np.array([0.9, 0.5, 0.3]), np.zeros(3, int), points), 0.3)
    assert seen.scores.tolist() == [0.9, 0.5]
    assert np.allclose(seen.boxes, [[0.5, 0, 10.5, 10], [50, 50, 60, 60]]) and np.allclose(seen.points, seen.boxes.reshape(2, 2, 2))
    nothing = blended(seen.only(np.zeros(0, int)), 0.3)
    assert nothing.boxes.shape == (0, 4) and nothing.points is not None and nothing.points.shape == (0, 2, 2)


STEPS, SIDES = [16, 32], [[[32.0, 16.0], [16.0, 32.0], [24.0, 24.0]], [[64.0, 64.0], [90.0, 45.0], [45.0, 90.0]]]
BOX = (20.0, 30.0, 60.0, 90.0)  # of a picture of 128 x 96


def told_by_anchors(variance: tuple[float, float], middle: float) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The maps of places and of scores of a RetinaNet of three boxes a cell and four classes, for each grid: (rows, columns, 3, numbers).
    By the paper: (x - anchor's x) / anchor's width, log(width / anchor's width)."""
    cx, cy, wide, high = (BOX[0] + BOX[2]) / 2, (BOX[1] + BOX[3]) / 2, BOX[2] - BOX[0], BOX[3] - BOX[1]
    places = [np.zeros((96 // step, 128 // step, 3, 4)) for step in STEPS]
    scores = [np.full((96 // step, 128 // step, 3, 4), 0.01) for step in STEPS]
    row, column, anchor = 1, 1, 2  # of the coarse grid, 45 x 90
    x, y = (column + middle) * 32, (row + middle) * 32
    moved = [(cx - x) / 45 / variance[0], (cy - y) / 90 / variance[0]]
    places[1][row, column, anchor] = [*moved, np.log(wide / 45) / variance[1], np.log(high / 90) / variance[1]]
    scores[1][row, column, anchor, 2] = 0.9
    return places, scores


@pytest.mark.parametrize("layout", ["maps", "maps, channels last", "rows", "rows, down before across"])
@pytest.mark.parametrize(("variance", "middle"), [((1.0, 1.0), 0.5), ((0.1, 0.2), 0.0)])
def test_any_anchors_are_told_by_their_widths_and_heights(layout: str, variance: tuple[float, float], middle: float) -> None:
    places, scores = told_by_anchors(variance, middle)
    priors = {"steps": STEPS, "sizes": SIDES, "variance": list(variance), "middle": middle}
    options: dict[str, Any] = {"priors": priors, "background": "none"}
    if layout.startswith("maps"):
        named = {f"{kind}_{at}": value for kind, values in (("class", scores), ("box", places)) for at, value in enumerate(values)}
        flat = {name: value.reshape(1, *value.shape[:2], -1) for name, value in named.items()}
        outputs = flat if "last" in layout else {name: value.transpose(0, 3, 1, 2) for name, value in flat.items()}
    else:
        outputs = {"box": np.concatenate([value.reshape(-1, 4) for value in places])[None],
                   "class": np.concatenate([value.reshape(-1, 4) for value in scores])[None]}  # fmt: skip
        outputs["class"] = np.pad(outputs["class"], ((0, 0), (0, 0), (0, 8)))  # twelve classes
    if "down" in layout:
        outputs["box"], options["box_order"] = outputs["box"][..., [1, 0, 3, 2]], "yxyx"
    (found,) = find_boxes(outputs, Fit(0, 0, 128, 96), (128, 96), [], OnnxOptions(decode="boxes", **options))
    assert found["label"] == "2" and found["score"] == 0.9
    assert found["box"] == pytest.approx([BOX[0] / 128, BOX[1] / 96, BOX[2] / 128, BOX[3] / 96], abs=1e-3)


def test_grids_without_sizes_are_refused_in_words() -> None:
    places, _ = told_by_anchors((1.0, 1.0), 0.5)
    with pytest.raises(RoleError) as fault:
        find_boxes({"box": places[0].reshape(1, -1, 4)}, Fit(), (128, 96), [],
                   OnnxOptions(decode="boxes", priors={"steps": [8, 16], "sizes": [[8]]}))  # fmt: skip
    assert "priors" in (fault.value.where or "")
