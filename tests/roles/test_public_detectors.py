"""Detectors that people download, told by their options alone: names and layouts as published, numbers by the published formula."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mesh.errors import RoleError
from tests.roles.public_models import BOX, PICTURE, bins, logit, pixels, play, public
from tests.roles.small_models import FLOAT, UINT8

Outputs = dict[str, np.ndarray]
Size = tuple[int, int]
NAMES = {"names": "{0: 'lamp', 1: 'person', 2: 'chair'}"}
LABELS = ["lamp", "person", "chair"]


def yunet_2022(size: Size) -> Outputs:
    """OpenCV's zoo, face_detection_yunet_2022mar: priors by row, column, size; exp(width * 0.1), exp(height * 0.2)."""
    cx, cy, w, h = pixels(size)
    priors = []
    sides = {8: [10, 16, 24], 16: [32, 48], 32: [64, 96], 64: [128, 192, 256]}
    for step, smalls in sides.items():
        for row in range(size[1] // step):
            for column in range(size[0] // step):
                priors.extend(((column + 0.5) * step, (row + 0.5) * step, small) for small in smalls)
    at = next(at for at, (x, y, side) in enumerate(priors) if side == 96 and abs(x - cx) < 17 and abs(y - cy) < 17)
    x, y, side = priors[at]
    loc, conf, iou = np.zeros((len(priors), 14)), np.tile([0.98, 0.02], (len(priors), 1)), np.zeros((len(priors), 1))
    loc[at] = [(cx - x) / side / 0.1, (cy - y) / side / 0.1, np.log(w / side) / 0.1, np.log(h / side) / 0.2,
               *np.tile([(cx - x) / side / 0.1, (cy - y) / side / 0.1], 5)]  # fmt: skip
    conf[at], iou[at] = (0.1, 0.9), 0.9
    return {"loc": loc, "conf": conf, "iou": iou}


def nanodet_plus(size: Size) -> Outputs:
    """RangiLyu/nanodet, nanodet_plus_head: [1, n, 80 + 4 * 8], scores after their sigmoid, places of cells without an offset."""
    cx, cy, w, h = pixels(size)
    counts = [-(-size[0] // step) * -(-size[1] // step) for step in (8, 16, 32, 64)]
    rows = np.zeros((1, sum(counts), 112))
    column, row, step = int(cx // 32), int(cy // 32), 32
    at = counts[0] + counts[1] + row * -(-size[0] // step) + column
    rows[0, at, 1] = 0.9
    reach = np.array([column * step - (cx - w / 2), row * step - (cy - h / 2), cx + w / 2 - column * step, cy + h / 2 - row * step]) / step
    rows[0, at, 80:] = np.concatenate([bins(each, 8) for each in reach])
    return {"output": rows}


def nanodet_apart(size: Size) -> Outputs:
    """OpenCV's zoo, object_detection_nanodet: scores and distances in turn for each step, from the cell's middle."""
    cx, cy, w, h = pixels(size)
    out = {}
    for step in (8, 16, 32, 64):
        across, down = -(-size[0] // step), -(-size[1] // step)
        scores, dists = np.zeros((1, across * down, 80)), np.zeros((1, across * down, 32))
        if step == 32:
            column, row = int(cx // step), int(cy // step)
            x, y = (column + 0.5) * step, (row + 0.5) * step
            scores[0, row * across + column, 1] = 0.9
            reach = np.array([x - (cx - w / 2), y - (cy - h / 2), cx + w / 2 - x, cy + h / 2 - y]) / step
            dists[0, row * across + column] = np.concatenate([bins(each, 8) for each in reach])
        out[f"cls_pred_stride_{step}"], out[f"dis_pred_stride_{step}"] = scores, dists
    return out


def yolov8_heads(size: Size) -> Outputs:
    """YOLOv8 cut before its last layer: [1, 64 + classes, rows, columns], from the middle, logits."""
    cx, cy, w, h = pixels(size)
    out = {f"head_{step}": np.full((1, 64 + 3, size[1] // step, size[0] // step), -9.0) for step in (8, 16, 32)}
    column, row = int(cx // 32), int(cy // 32)
    x, y = (column + 0.5) * 32, (row + 0.5) * 32
    reach = np.array([x - (cx - w / 2), y - (cy - h / 2), cx + w / 2 - x, cy + h / 2 - y]) / 32
    out["head_32"][0, :64, row, column] = np.concatenate([bins(each, 16) for each in reach])
    out["head_32"][0, 65, row, column] = logit(0.9)
    return out


def centernet(size: Size) -> Outputs:
    """Objects as points: a bright place with its neighbours, offsets and sides in cells of four pixels."""
    cx, cy, w, h = (each / 4 for each in pixels(size))
    shape = (1, 3, size[1] // 4, size[0] // 4)
    hm, wh, reg = np.full(shape, -9.0), np.zeros((1, 2, *shape[2:])), np.zeros((1, 2, *shape[2:]))
    column, row = int(cx), int(cy)
    hm[0, 1, row - 1 : row + 2, column - 1 : column + 2] = logit(0.6)
    hm[0, 1, row, column] = logit(0.9)
    wh[0, :, row, column], reg[0, :, row, column] = (w, h), (cx - column, cy - row)
    return {"hm": hm, "wh": wh, "reg": reg}


def centerface(size: Size) -> Outputs:
    """Star-Clouds/CenterFace, centerface.onnx: outputs 537 (heat), 538 (height, width), 539 (down, across), 540 (five points)."""
    cx, cy, w, h = pixels(size)
    shape = (1, 1, size[1] // 4, size[0] // 4)
    heat, scale, offset, marks = (np.zeros((1, channels, *shape[2:])) for channels in (1, 2, 2, 10))
    column, row = int(cx / 4), int(cy / 4)
    heat[0, 0, row, column] = 0.9
    scale[0, :, row, column] = np.log(h / 4), np.log(w / 4)
    offset[0, :, row, column] = cy / 4 - row - 0.5, cx / 4 - column - 0.5
    marks[0, :, row, column] = np.tile([0.5, 0.5], 5)
    return {"537": heat, "538": scale, "539": offset, "540": marks}


def rtdetr(size: Size) -> Outputs:
    """Ultralytics' export: [1, 300, 4 + classes], centre and sides in 0..1, scores after their sigmoid."""
    rows = np.zeros((1, 300, 7))
    rows[0, 5] = [0.5, 0.375, 0.5, 0.25, 0.01, 0.9, 0.02]
    return {"output0": rows}


def rtdetr_own(size: Size) -> Outputs:
    """lyuwenyu/RT-DETR: labels, boxes (in the size that it was told), scores."""
    boxes, scores, labels = np.zeros((1, 300, 4)), np.zeros((1, 300)), np.zeros((1, 300), np.int64)
    boxes[0, 0], scores[0, 0], labels[0, 0] = np.array(BOX) * [*size, *size], 0.9, 1
    return {"labels": labels, "boxes": boxes, "scores": scores}


def rfdetr(size: Size) -> Outputs:
    """roboflow/rf-detr: dets (centres and sides in 0..1) and labels, which are logits."""
    dets, labels = np.full((1, 300, 4), 0.5), np.full((1, 300, 91), -7.0)
    dets[0, 9], labels[0, 9, 1] = (0.5, 0.375, 0.5, 0.25), logit(0.9)
    return {"dets": dets, "labels": labels}


def ssd_of_tensorflow(size: Size) -> Outputs:
    """TFLite_Detection_PostProcess, converted: boxes y x y x in 0..1, kinds, scores, how many; names that tell nothing."""
    x0, y0, x1, y1 = BOX
    boxes, kinds, scores = np.zeros((1, 10, 4)), np.zeros((1, 10)), np.zeros((1, 10))
    boxes[0, 0], kinds[0, :2], scores[0, 0] = (y0, x0, y1, x1), 1, 0.9
    names = [f"TFLite_Detection_PostProcess{end}" for end in ("", ":1", ":2", ":3")]
    return dict(zip(names, (boxes, kinds, scores, np.array([1.0])), strict=True))


def openvino(size: Size) -> Outputs:
    """A detection layer as Caffe and OpenVINO have it: [1, 1, n, 7]."""
    rows = np.zeros((1, 1, 200, 7))
    rows[0, 0, :, 0] = -1
    rows[0, 0, 0] = [0, 1, 0.9, *BOX]
    return {"detection_out": rows}


def mmdeploy(size: Size) -> Outputs:
    """MMDeploy's end to end export: dets [1, n, 5], labels [1, n]."""
    dets, labels = np.zeros((1, 100, 5)), np.full((1, 100), -1, np.int64)
    dets[0, 0], labels[0, 0] = [*(np.array(BOX) * [*size, *size]), 0.9], 1
    return {"dets": dets, "labels": labels}


def yolonas(size: Size) -> Outputs:
    """YOLO-NAS: [n, 7] of picture, box, score, class."""
    return {"graph2_flat_predictions": np.array([[0, *(np.array(BOX) * [*size, *size]), 0.9, 1], [0, 0, 0, 9, 9, 0.11, 2]])}


def yolov4(size: Size) -> Outputs:
    """ONNX's zoo, yolov4: [1, rows, columns, 3, 5 + classes], e^x sides, spread places."""
    cx, cy, w, h = pixels(size)
    names = {8: "Identity:0", 16: "Identity_1:0", 32: "Identity_2:0"}
    out = {names[step]: np.full((1, size[1] // step, size[0] // step, 3, 8), -9.0) for step in (8, 16, 32)}
    column, row = int(cx // 32), int(cy // 32)
    place = [(each - cell + 0.025) / 1.05 for each, cell in ((cx / 32, column), (cy / 32, row))]
    out["Identity_2:0"][0, row, column, 0] = [*map(logit, place), np.log(w / 142), np.log(h / 110), 12, -9, logit(0.9), -9]
    return out


def tiny_yolov2(size: Size) -> Outputs:
    """ONNX's zoo, tinyyolov2: [1, 5 * (5 + 20), 13, 13], softmax over the classes; anchors are the deployment's word."""
    cx, cy, w, h = pixels(size)
    grid = np.full((5, 25, 13, 13), -6.0)
    column, row, anchor = int(cx // 32), int(cy // 32), 3
    grid[anchor, :, row, column] = [
        logit(cx / 32 - column), logit(cy / 32 - row), np.log(w / (9.42 * 32)), np.log(h / (5.11 * 32)), 12, *np.zeros(20)]  # fmt: skip
    grid[anchor, 6, row, column] = np.log(0.9 / 0.1 * 19)
    return {"grid": grid.reshape(1, 125, 13, 13)}


def yolox(size: Size) -> Outputs:
    """Megvii's: offsets and logarithms in steps, not placed; without a word of its family."""
    cx, cy, w, h = pixels(size)
    before, count = size[0] // 8 * (size[1] // 8), sum(size[0] // step * (size[1] // step) for step in (8, 16, 32))
    rows = np.zeros((1, count, 8))
    column, row = int(cx // 16), int(cy // 16)
    at = before + row * (size[0] // 16) + column
    rows[0, at] = [cx / 16 - column, cy / 16 - row, np.log(w / 16), np.log(h / 16), 1.0, 0, 0.9, 0]
    return {"output": rows}


def palm(size: Size) -> Outputs:
    """MediaPipe's palm detection, 192 x 192: 2016 anchors, 18 numbers each."""
    cx, cy, w, h = pixels(size)
    numbers, scores = np.zeros((1, 2016, 18)), np.full((1, 2016, 1), -80.0)
    column, row = int(cx // 16), int(cy // 16)
    at = 24 * 24 * 2 + 6 * (row * 12 + column) + 5
    moved = [cx - (column + 0.5) * 16, cy - (row + 0.5) * 16]
    numbers[0, at], scores[0, at] = [*moved, w, h, *np.tile(moved, 7)], logit(0.9)
    return {"Identity": numbers, "Identity_1": scores}


def blazepose(size: Size) -> Outputs:
    """MediaPipe's pose detection, 224 x 224: 2254 anchors (steps 8, 16 and three times 32), 12 numbers each."""
    cx, cy, w, h = pixels(size)
    numbers, scores = np.zeros((1, 2254, 12)), np.full((1, 2254, 1), -80.0)
    column, row = int(cx // 32), int(cy // 32)
    at = 28 * 28 * 2 + 14 * 14 * 2 + 6 * (row * 7 + column)
    moved = [cx - (column + 0.5) * 32, cy - (row + 0.5) * 32]
    numbers[0, at], scores[0, at] = [*moved, w, h, *np.tile(moved, 4)], logit(0.9)
    return {"Identity": numbers, "Identity_1": scores}


Known = tuple[Callable[[Size], Outputs], Size, dict[str, Any], dict[str, str]]
MODELS: dict[str, Known] = {
    "YuNet of 2022": (yunet_2022, (320, 320), {"colour": "bgr", "scale": 1.0}, {}),
    "YuNet of 2022, small": (yunet_2022, (160, 128), {"colour": "bgr", "scale": 1.0}, {}),
    "NanoDet-Plus": (nanodet_plus, (416, 416), {"labels": "coco"}, {}),
    "NanoDet-Plus, without labels": (nanodet_plus, (320, 320), {}, {}),
    "NanoDet, apart": (nanodet_apart, (416, 416), {"labels": "coco"}, {}),
    "YOLOv8, cut": (yolov8_heads, (320, 320), {}, NAMES),
    "CenterNet": (centernet, (512, 512), {"labels": LABELS}, {}),
    "CenterFace": (centerface, (320, 320), {"scale": 1.0}, {}),
    "RT-DETR of Ultralytics": (rtdetr, (640, 640), {}, NAMES),
    "RT-DETR": (rtdetr_own, (640, 640), {"labels": "coco"}, {}),
    "RF-DETR": (rfdetr, (560, 560), {"labels": "coco91"}, {}),
    "SSD of TensorFlow": (ssd_of_tensorflow, (300, 300), {"labels": LABELS}, {}),
    "SSD of OpenVINO": (openvino, (300, 300), {"labels": LABELS}, {}),
    "MMDeploy": (mmdeploy, (320, 320), {"labels": LABELS}, {}),
    "YOLO-NAS": (yolonas, (320, 320), {"labels": "coco"}, {}),
    "YOLOv4": (yolov4, (416, 416), {"labels": LABELS, "detector": "yolo4_heads"}, {}),
    "Tiny YOLOv2": (tiny_yolov2, (416, 416), {"detector": "yolo3_heads", "activation": "softmax", "labels": list("abcdefghijklmnopqrst"),
                    "anchors": [[34.6, 38.1], [109.4, 141.1], [212.2, 364.2], [301.4, 163.5], [532.5, 336.6]]}, {}),
    "YOLOX": (yolox, (416, 416), {"labels": LABELS}, {}),
    "palms": (palm, (192, 192), {}, {}),
    "bodies": (blazepose, (224, 224), {"scale": 1 / 127.5, "mean": 1.0}, {}),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_a_public_detector_is_read_by_its_options_alone(tmp_path: Path, name: str) -> None:
    encode, size, options, metadata = MODELS[name]
    model = public(tmp_path / "m.onnx", ("images", FLOAT, [1, 3, size[1], size[0]]), encode(size), metadata)
    _, stage = play(model, PICTURE, decode="boxes", **options)
    (box,) = stage.values("found")[0]["boxes"]
    assert box["box"] == pytest.approx(BOX, abs=0.004)
    assert box["score"] == pytest.approx(0.9, abs=0.02)
    if options.get("labels") or metadata:
        assert box["label"] in ("person", "bicycle", "b")
    if name in ("YuNet of 2022", "CenterFace", "palms", "bodies"):
        assert box["points"][0] == pytest.approx([0.5, 0.375], abs=0.004)


def turned_rows(size: Size, angle: float) -> np.ndarray:
    rows = np.zeros((1, 4 + 3 + 1, 1344))
    for at, (score, off) in enumerate(((0.9, 0), (0.8, 2))):  # the same thing once more, a little beside
        rows[0, :, at * 7] = [size[0] / 2 + off, size[1] / 2, 128, 32, 0, score, 0, angle]
    rows[0, :, 99] = [size[0] / 2, size[1] / 2, 32, 128, 0, 0.7, 0, angle]  # another, across the first
    return rows


@pytest.mark.parametrize("metadata", [{**NAMES, "task": "obb"}, NAMES], ids=["it says so", "by its shape"])
def test_boxes_that_are_turned_have_corners_and_an_angle(tmp_path: Path, metadata: dict[str, str]) -> None:
    """YOLOv8-obb: [1, 4 + classes + 1, n], the last an angle in radians."""
    model = public(tmp_path / "m.onnx", ("images", FLOAT, [1, 3, 256, 256]), {"output0": turned_rows((256, 256), np.pi / 6)}, metadata)
    _, stage = play(model, np.zeros((256, 256, 3), np.uint8), decode="boxes", iou=0.4)
    first, second = stage.values("found")[0]["boxes"]
    assert (first["label"], first["score"], second["score"]) == ("person", 0.9, 0.7)
    # Then the corners are those of the rectangle turned clockwise about its middle, by hand
    turn = np.array([[np.cos(np.pi / 6), -np.sin(np.pi / 6)], [np.sin(np.pi / 6), np.cos(np.pi / 6)]])
    by_hand = [(turn @ np.array(corner) + 128) / 256 for corner in ((-64, -16), (64, -16), (64, 16), (-64, 16))]
    assert np.allclose(first["corners"], by_hand, atol=1e-3) and first["angle"] == pytest.approx(np.pi / 6, abs=1e-3)
    assert first["box"] == pytest.approx([*np.min(by_hand, axis=0), *np.max(by_hand, axis=0)], abs=1e-3)


def test_outputs_in_any_order_or_under_names_that_tell_nothing_are_named_by_options(tmp_path: Path) -> None:
    outputs = dict(reversed(centernet((512, 512)).items()))
    anonymous = {f"{700 + at}": value for at, value in enumerate(outputs.values())}  # offsets, sides, heat
    model = public(tmp_path / "m.onnx", ("x", FLOAT, [1, 3, 512, 512]), anonymous)
    _, stage = play(model, PICTURE, decode="boxes", labels=LABELS, named={"hm": "702", "wh": 1, "reg": 0})
    assert stage.values("found")[0]["boxes"][0]["box"] == pytest.approx(BOX, abs=0.004)
    with pytest.raises(RoleError) as fault:
        play(model, decode="boxes", named={"hm": "heat"})
    assert "2: 702" in fault.value.what and "named" in fault.value.where


def test_bytes_that_stand_for_numbers_are_refused_until_their_scale_is_told(tmp_path: Path) -> None:
    # Given a quantised SSD: boxes and scores as bytes, taken in as bytes with the channels last
    boxes, scores = np.zeros((1, 400, 4), np.uint8), np.zeros((1, 400, 3), np.uint8)
    boxes[0, 3], scores[0, 3, 1] = np.array(BOX) * 240 + 10, 230
    model = public(tmp_path / "m.onnx", ("normalized_input", UINT8, [1, 96, 96, 3]), {"boxes": boxes, "scores": scores})
    with pytest.raises(RoleError) as fault:
        play(model, decode="boxes")
    assert "rescale" in fault.value.where and "boxes" in fault.value.instead
    # When their scale and zero are told, then it is read
    told = {"boxes": [1 / 240, 10], "scores": [1 / 255, 0]}
    _, stage = play(model, PICTURE, decode="boxes", rescale=told, background="none", activation="none")
    (box,) = stage.values("found")[0]["boxes"]
    assert box["box"] == pytest.approx(BOX, abs=0.005) and box["score"] == pytest.approx(0.9, abs=0.01)


def test_a_letterbox_and_a_stretch_end_at_the_same_place_of_the_picture(tmp_path: Path) -> None:
    for options, box in (({}, BOX), ({"resize": "letterbox"}, (0.25, (0.25 - 0.125) / 0.75, 0.75, (0.5 - 0.125) / 0.75))):
        model = public(tmp_path / "m.onnx", ("images", FLOAT, [1, 3, 640, 640]), rtdetr((640, 640)), NAMES)
        _, stage = play(model, PICTURE, decode="boxes", **options)
        assert stage.values("found")[0]["boxes"][0]["box"] == pytest.approx(box, abs=0.004)


def test_a_cut_yolo_whose_classes_nobody_tells_says_which_option_is_missing(tmp_path: Path) -> None:
    heads = {f"h{at}": np.zeros((1, 67, side, side)) for at, side in enumerate((40, 20, 10))}
    model = public(tmp_path / "m.onnx", ("images", FLOAT, [1, 3, 320, 320]), heads)
    with pytest.raises(RoleError) as fault:
        play(model, PICTURE, decode="boxes")
    assert "anchors" in fault.value.where or "labels" in fault.value.instead
