"""Models whose answer is a picture or points, told by their options alone: names and layouts as published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from mesh.errors import RoleError
from roles.inference.onnx import Onnx
from tests.roles.public_models import BOX, PICTURE, pixels, play, public
from tests.roles.small_models import FLOAT, UINT8, node, write_onnx

RECTANGLE = (0.25, 0.25, 0.75, 0.5)


def plane(height: int, width: int, inside: float, outside: float) -> np.ndarray:
    """A plane with BOX on it."""
    x0, y0, x1, y1 = RECTANGLE
    held = np.full((height, width), outside)
    held[round(y0 * height) : round(y1 * height), round(x0 * width) : round(x1 * width)] = inside
    return held


def scene(classes: int, height: int, width: int) -> np.ndarray:
    """Logits: class 0 everywhere, class 1 (or 15 of 21) in BOX."""
    held = np.zeros((classes, height, width))
    held[0] = 5
    held[15 if classes == 21 else 1] = plane(height, width, 10, -5)
    return held


MASKS: dict[str, tuple[dict[str, np.ndarray], dict[str, Any]]] = {
    "MODNet": ({"output": plane(64, 64, 1, 0)[None, None]}, {}),
    "U2-Net": ({f"d{at}": plane(64, 64, 0.98 if at == 0 else 0.2, 0.02)[None, None] for at in range(7)}, {}),
    "MediaPipe's selfies": ({"activation_10": plane(64, 64, 1, 0)[None, ..., None]}, {}),
    "MediaPipe's selfies, many": ({"Identity": np.moveaxis(scene(6, 64, 64), 0, -1)[None]}, {"labels": "selfie", "only": ["hair"]}),
    "SINet": ({"output": scene(2, 64, 64)[None]}, {}),
    "PP-HumanSeg": ({"save_infer_model/scale_0.tmp_1": np.stack([plane(64, 64, 0.05, 0.95), plane(64, 64, 0.95, 0.05)])[None]}, {}),
    "DeepLab": ({"out": scene(21, 64, 64)[None], "aux": np.zeros((1, 21, 64, 64))}, {"labels": "voc", "only": ["person"]}),
    "DeepLab of TensorFlow": ({"SemanticPredictions:0": plane(64, 64, 15, 0)[None].astype(np.int64)},
                              {"labels": "voc", "only": ["person"]}),
    "logits of one channel": ({"mask": plane(64, 64, 6, -6)[None, None]}, {}),
    "Robust Video Matting": ({"fgr": np.zeros((1, 3, 64, 64)), "pha": plane(64, 64, 1, 0)[None, None]}, {}),
}  # fmt: skip


@pytest.mark.parametrize("name", MASKS)
def test_a_mask_lies_on_the_picture_whatever_the_model_calls_it(tmp_path: Path, name: str) -> None:
    outputs, options = MASKS[name]
    model = public(tmp_path / "m.onnx", ("input", FLOAT, [1, 3, 64, 64]), outputs)
    _, stage = play(model, PICTURE, decode="mask", **options)
    picture, event = stage.values("picture")[0], stage.values("found")[0]
    assert picture.shape == PICTURE.shape[:2] and picture.dtype == np.uint8
    assert picture[90, 160] > 240 and picture[10, 10] < 20 and picture[230, 300] < 20
    assert event["box"] == pytest.approx(RECTANGLE, abs=0.02) and event["cover"] == pytest.approx(0.125, abs=0.01)
    assert event["middle"] == pytest.approx([0.5, 0.375], abs=0.01)
    if len(options) == 2:
        assert event["shares"][options["only"][0]] == pytest.approx(0.125, abs=0.01)


def test_a_mask_s_bars_are_cut_off_and_what_a_crop_left_out_is_empty(tmp_path: Path) -> None:
    # Given a model of squares that finds its whole picture, and its middle
    everything = public(tmp_path / "all.onnx", ("input", FLOAT, [1, 3, 64, 64]), {"mask": np.ones((1, 1, 64, 64))})
    # When a wide picture is fitted in with bars, or cut
    _, barred = play(everything, PICTURE, decode="mask", resize="letterbox")
    _, cropped = play(everything, PICTURE, decode="mask", resize="crop")
    # Then the mask covers the picture, or the part that the model saw
    assert barred.values("picture")[0].min() == 255
    assert cropped.values("picture")[0][:, 60:260].min() == 255 and cropped.values("picture")[0][:, :30].max() == 0
    with pytest.raises(RoleError) as fault:
        play(everything, decode="mask", scores="alpha")
    assert "mask [1, 1, 64, 64]" in fault.value.what
    with pytest.raises(RoleError) as fault:
        play(public(tmp_path / "voc.onnx", ("x", FLOAT, [1, 3, 64, 64]), {"y": scene(2, 64, 64)[None]}), decode="mask", only=["dog"])
    assert "dog" in fault.value.what


DEPTHS: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
    "MiDaS": (plane(64, 64, 900, 100)[None], {}),
    "Depth Anything": (plane(70, 70, 9, 0.5)[None], {}),
    "DPT": (plane(64, 64, 20, 3)[None, None], {"value_range": [3, 20]}),
    "in metres": (plane(64, 64, 1.2, 8.0)[None, None], {"near": "low"}),
}


@pytest.mark.parametrize("name", DEPTHS)
def test_what_is_near_is_light(tmp_path: Path, name: str) -> None:
    said, options = DEPTHS[name]
    model = public(tmp_path / "m.onnx", ("pixel_values", FLOAT, [1, 3, said.shape[-2], said.shape[-1]]), {"predicted_depth": said})
    _, stage = play(model, PICTURE, decode="depth", **options)
    picture = stage.values("picture")[0]
    assert picture.shape == PICTURE.shape[:2] and picture[90, 160] == 255 and picture[10, 10] == 0
    x, y = stage.values("found")[0]["nearest"]
    assert RECTANGLE[0] <= x <= RECTANGLE[2] and RECTANGLE[1] <= y <= RECTANGLE[3]
    assert stage.values("values")[0].dtype == np.float32


def painter(path: Path, *, top: float, low: float = 0.0, layout: str = "nchw", kind: int = FLOAT) -> Path:
    """A model that gives the picture back, in its own range of numbers: low + (pixel / 255) * (top - low)."""
    shape = [1, 3, 60, 80] if layout == "nchw" else [1, 60, 80, 3]
    nodes = [
        node("Cast", ["input1"], ["pixels"], to=FLOAT),
        node("Mul", ["pixels", "slope"], ["steep"]), node("Add", ["steep", "low"], ["moved"]),
        node("Cast", ["moved"], ["output1"], to=kind),
    ]  # fmt: skip
    constants = {"slope": np.float32((top - low) / 255), "low": np.float32(low)}
    return write_onnx(path, {"input1": (FLOAT, shape)}, {"output1": (kind, shape)}, nodes, constants)


@pytest.mark.parametrize(
    ("made", "options"),
    [
        ({"top": 255.0}, {}),  # fast neural style: 0..255
        ({"top": 1.0, "low": -1.0}, {}),  # AnimeGAN, pix2pix: a tanh
        ({"top": 1.0}, {}),
        ({"top": 1.0, "layout": "nhwc"}, {"layout": "nhwc"}),
        ({"top": 255.0, "kind": UINT8}, {}),
        ({"top": 3.0, "low": 1.0}, {"value_range": [1, 3]}),
        ({"top": 255.0}, {"colour": "bgr"}),
    ],
)
def test_a_picture_made_of_a_picture_has_its_colours_and_its_size(tmp_path: Path, made: dict[str, Any], options: dict[str, Any]) -> None:
    model = painter(tmp_path / "m.onnx", **made)
    red = np.zeros((240, 320, 3), np.uint8)
    red[:, :, 0], red[:, 160:, 1] = 200, 90
    dark = np.full((240, 320, 3), 1, np.uint8)  # of a model of 0..255, numbers that might be 0..1
    _, stage = play(model, red, dark, decode="image", scale=1.0, **options)
    picture, night = stage.values("picture")
    assert picture.shape == red.shape
    assert np.abs(picture[120, 20].astype(int) - (200, 0, 0)).max() <= 2 and np.abs(picture[120, 300].astype(int) - (200, 90, 0)).max() <= 2
    assert night.max() <= 2


def test_a_larger_picture_may_stay_as_the_model_makes_it(tmp_path: Path) -> None:
    """Sub-pixel super resolution of ONNX's zoo: one channel, three times as large."""
    model = public(tmp_path / "m.onnx", ("input", FLOAT, ["batch", 1, 24, 32]), {"output": plane(72, 96, 1, 0)[None, None]})
    _, stage = play(model, PICTURE, decode="image", picture_size="model")
    assert stage.values("picture")[0].shape == (72, 96)


def segments(metadata: bool, ended: bool = False) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """YOLOv8-seg: rows with 32 weights, and 32 prototypes at a quarter of the size; two things beside each other."""
    protos = np.zeros((1, 32, 64, 64))
    protos[0, 3], protos[0, 4] = plane(64, 64, 8, -8), -8
    protos[0, 4, 40:60, 40:60] = 8
    things = [(pixels((256, 256)), 1, 0.9, 3), ((200.0, 200.0, 100.0, 100.0), 2, 0.8, 4)]
    names = {"task": "segment", "names": "['lamp', 'person', 'chair']"} if metadata else {}
    if ended:  # YOLO26 and others that end in suppression
        rows = np.zeros((1, 300, 38))
        for at, (box, kind, score, weight) in enumerate(things):
            rows[0, at, :6] = [box[0] - box[2] / 2, box[1] - box[3] / 2, box[0] + box[2] / 2, box[1] + box[3] / 2, score, kind]
            rows[0, at, 6 + weight] = 1
    else:
        rows = np.zeros((1, 4 + 3 + 32, 1344))
        for at, (box, kind, score, weight) in enumerate(things):
            rows[0, :4, at], rows[0, 4 + kind, at], rows[0, 7 + weight, at] = box, score, 1
    return {"output0": rows, "output1": protos}, names


@pytest.mark.parametrize(("metadata", "ended"), [(True, False), (False, False), (True, True)])
def test_the_things_of_a_segmenting_yolo_have_boxes_and_a_mask_together(tmp_path: Path, metadata: bool, ended: bool) -> None:
    outputs, names = segments(metadata, ended)
    model = public(tmp_path / "m.onnx", ("images", FLOAT, [1, 3, 256, 256]), outputs, names)
    _, stage = play(model, PICTURE, decode="boxes")
    first, second = stage.values("found")[0]["boxes"]
    assert (first["label"], second["label"]) == (("person", "chair") if metadata else ("1", "2"))
    assert first["box"] == pytest.approx(BOX, abs=0.004) and first["cover"] == pytest.approx(0.125, abs=0.01)
    picture, numbers = stage.values("picture")[0], stage.values("values")[0]
    assert picture.shape == numbers.shape == PICTURE.shape[:2]
    assert picture[90, 160] > 240 and picture[5, 5] < 10 and numbers[90, 160] == 1 and numbers[190, 250] == 2 and numbers[5, 5] == 0


def test_masks_within_their_boxes_are_laid_onto_the_picture(tmp_path: Path) -> None:
    """Mask R-CNN of ONNX's zoo: boxes, kinds, scores and masks of 28 x 28, a picture without a batch."""
    masks = np.zeros((2, 1, 28, 28))
    masks[0, 0, :, :14] = 1
    boxes = np.array([np.array(BOX) * [320, 240, 320, 240], [0, 0, 9, 9]])
    outputs = {"6568": boxes, "6570": np.array([1, 2], np.int64), "6572": np.array([0.9, 0.1]), "6887": masks}
    _, stage = play(public(tmp_path / "m.onnx", ("image", FLOAT, [3, 240, 320]), outputs), PICTURE, decode="boxes")
    (thing,) = stage.values("found")[0]["boxes"]
    assert thing["box"] == pytest.approx(BOX, abs=0.004) and thing["cover"] == pytest.approx(0.0625, abs=0.005)
    assert stage.values("picture")[0][90, 100] > 240 and stage.values("picture")[0][90, 220] == 0


def hand(presence: float) -> dict[str, np.ndarray]:
    """MediaPipe's hand landmarks: points in pixels of 224, presence, which hand, points in metres."""
    marks = np.tile([112.0, 74.667, -3.0], 21)[None]
    return {"Identity": marks, "Identity_1": np.array([[presence]]), "Identity_2": np.array([[0.2]]), "Identity_3": marks / 900}


def body() -> dict[str, np.ndarray]:
    """BlazePose, full: 39 points of x y z visibility presence, whether there is one, a mask, maps, points in metres."""
    marks = np.tile([128.0, 85.333, 0.0, 4.0, 4.0], 39)[None]
    return {"Identity": marks, "Identity_1": np.array([[0.95]]), "Identity_2": np.zeros((1, 64, 64, 1)),
            "Identity_3": np.zeros((1, 64, 64, 39)), "Identity_4": np.zeros((1, 117))}  # fmt: skip


def people() -> dict[str, np.ndarray]:
    """MoveNet for several people: [1, 6, 56], y x score of 17 points, ymin xmin ymax xmax score."""
    rows = np.zeros((1, 6, 56))
    rows[0, 0] = [*np.tile([1 / 3, 0.5, 0.9], 17), BOX[1], BOX[0], BOX[3], BOX[2], 0.9]
    return {"output_0": rows}


FIGURES: dict[str, tuple[dict[str, np.ndarray], tuple[str, int, list[Any]], dict[str, Any], int]] = {
    "a hand": (hand(0.97), ("input_1", FLOAT, [1, 224, 224, 3]), {}, 21),
    "a face": ({"preds": np.tile([96.0, 64.0, 1.0], 468)[None, None, None], "confs": np.array([[[[3.0]]]])},
               ("input", FLOAT, [1, 3, 192, 192]), {"scale": 1 / 127.5, "mean": 1.0}, 468),
    "a body": (body(), ("input_1", FLOAT, [1, 256, 256, 3]), {}, 33),
    "MoveNet": ({"output_0": np.tile([1 / 3, 0.5, 0.9], (1, 1, 17, 1))}, ("input", TensorProto.INT32, [1, 192, 192, 3]), {}, 17),
    "MoveNet, several": (people(), ("input", TensorProto.INT32, [1, None, None, 3]), {"size": "256x256"}, 17),
    "YOLO pose, ended": ({"output0": np.pad([[[80, 60, 240, 120, 0.9, 0, *np.tile([160, 80, 0.9], 17)]]], ((0, 0), (0, 299), (0, 0)))},
                         ("images", FLOAT, [1, 3, 240, 320]), {}, 17),
}  # fmt: skip


@pytest.mark.parametrize("name", FIGURES)
def test_points_of_public_models_are_read_without_a_word(tmp_path: Path, name: str) -> None:
    outputs, input, options, count = FIGURES[name]
    _, stage = play(public(tmp_path / "m.onnx", input, outputs), PICTURE, decode="keypoints", **options)
    (figure,) = stage.values("found")[0]["figures"]
    assert len(figure["points"]) == count and figure["score"] > 0.8
    assert figure["points"][0][:2] == pytest.approx([0.5, 1 / 3], abs=0.005)


def test_where_there_is_no_hand_no_points_are_told(tmp_path: Path) -> None:
    _, stage = play(public(tmp_path / "m.onnx", ("input_1", FLOAT, [1, 224, 224, 3]), hand(0.03)), PICTURE, decode="keypoints")
    assert stage.values("found")[0]["figures"] == []


def test_ultralytics_says_in_its_metadata_what_its_points_are(tmp_path: Path) -> None:
    """A pose model of one class and four corners of x y."""
    rows = np.zeros((1, 5 + 8, 1344))
    rows[0, :, 7] = [*pixels((256, 256)), 0.9, *np.tile([128.0, 256 / 3], 4)]
    told = {"task": "pose", "names": "{0: 'card'}", "kpt_shape": "[4, 2]"}
    model = public(tmp_path / "m.onnx", ("images", FLOAT, [1, 3, 256, 256]), {"output0": rows}, told)
    _, stage = play(model, PICTURE, decode="boxes")
    (card,) = stage.values("found")[0]["boxes"]
    assert card["label"] == "card" and card["points"] == [pytest.approx([0.5, 1 / 3], abs=0.004)] * 4
    _, stage = play(model, PICTURE, decode="keypoints")
    (figure,) = stage.values("found")[0]["figures"]
    assert [point[:2] for point in figure["points"]] == [pytest.approx([0.5, 1 / 3], abs=0.004)] * 4


def queried() -> dict[str, np.ndarray]:
    """Three queries over a picture in four quarters: the first is class 1 at the top left, the second class 0 everywhere else, the third
    nothing."""
    masks = np.full((1, 3, 32, 32), -8.0)
    masks[0, 0, :16, :16], masks[0, 1], masks[0, 1, :16, :16] = 8.0, 8.0, -8.0
    said = np.array([[[0.0, 9.0, 0.0], [9.0, 0.0, 0.0], [0.0, 0.0, 9.0]]])
    return {"class_queries_logits": said, "masks_queries_logits": masks}


def test_queries_with_masks_are_one_map_or_things_apart(tmp_path: Path) -> None:
    model = public(tmp_path / "m.onnx", ("pixel_values", FLOAT, [1, 3, 128, 128]), queried())
    _, stage = play(model, PICTURE, decode="mask", labels=["ground", "moth"])
    found, classes = stage.values("found")[0], stage.values("values")[0]
    assert found["box"] == pytest.approx([0, 0, 0.5, 0.5], abs=0.02)
    assert found["shares"] == pytest.approx({"ground": 0.75, "moth": 0.25}, abs=0.005)
    assert classes.shape == PICTURE.shape[:2] and classes[10, 10] == 1 and classes[200, 10] == classes[10, 300] == 0
    _, stage = play(model, PICTURE, decode="boxes", labels=["ground", "moth"])
    things = stage.values("found")[0]["boxes"]
    assert [thing["label"] for thing in things] == ["moth", "ground"]
    assert [thing["cover"] for thing in things] == pytest.approx([0.25, 0.75], abs=0.005)
    assert things[0]["box"] == [0, 0, 0.5, 0.5] and things[0]["score"] == pytest.approx(1 / (1 + 2 * np.exp(-9)), abs=1e-4)
    assert [way["options"]["decode"] for way in Onnx.inspect_model(model)["fits"]][:2] == ["boxes", "mask"]


def test_queries_that_give_their_boxes_keep_them(tmp_path: Path) -> None:
    given = queried()
    said = {"logits": given["class_queries_logits"], "pred_boxes": np.array([[[0.25, 0.25, 0.4, 0.4], [0.5, 0.5, 1, 1], [0, 0, 0, 0.0]]]),
            "pred_masks": given["masks_queries_logits"]}  # fmt: skip
    _, stage = play(public(tmp_path / "m.onnx", ("pixel_values", FLOAT, [1, 3, 128, 128]), said), PICTURE, decode="boxes",
                    background="last")  # fmt: skip
    assert stage.values("found")[0]["boxes"][0]["box"] == pytest.approx([0.05, 0.05, 0.45, 0.45])


def test_edges_between_classes_are_no_stairs(tmp_path: Path) -> None:
    # Given a coarse map whose two classes part along a slope
    rows, columns = np.mgrid[0:16, 0:16]
    planes = np.stack([rows - columns + 0.2, columns - rows - 0.2])[None].astype(np.float64)
    model = public(tmp_path / "m.onnx", ("pixel_values", FLOAT, [1, 3, 64, 64]), {"logits": planes})
    _, stage = play(model, np.zeros((160, 160, 3), np.uint8), decode="mask")
    # Then each row of the picture has its own edge, not one for ten
    assert len({int(row.argmax()) for row in stage.values("values")[0][20:140]}) > 80


@pytest.mark.parametrize("layout", ["channels first", "channels last"])
def test_a_picture_is_made_of_a_vector(tmp_path: Path, layout: str) -> None:
    """A generator (DCGAN, StyleGAN): z [1, 3] in, a picture of -1..1 out; here each of its channels is one of the three numbers."""
    shape = [1, 3, 16, 24] if layout == "channels first" else [1, 16, 24, 3]
    nodes = [
        node("Reshape", ["z", "one_each"], ["spread"]), node("Expand", ["spread", "sides"], ["wide"]), node("Tanh", ["wide"], ["image"])
    ]  # fmt: skip
    constants = {"one_each": np.array([1, 3, 1, 1] if layout == "channels first" else [1, 1, 1, 3]), "sides": np.array(shape)}
    model = write_onnx(tmp_path / "m.onnx", {"z": (FLOAT, [1, 3])}, {"image": (FLOAT, shape)}, nodes, constants)
    _, stage = play(model, [0.0, 0.5, -2.0], np.array([0.1, -0.5, 2.0], np.float32), to="vector", decode="image", value_range=[-1, 1])
    first, second = stage.values("picture")
    assert first.shape == second.shape == (16, 24, 3) and first.dtype == np.uint8
    for picture, vector in ((first, [0.0, 0.5, -2.0]), (second, [0.1, -0.5, 2.0])):
        assert np.abs(picture[8, 12] - (np.tanh(vector) + 1) * 127.5).max() <= 0.51
    assert stage.values("found")[0]["width"] == 24 and stage.values("found")[0]["height"] == 16


@pytest.mark.parametrize(("said", "options"), [
    (lambda places: places * 2 - 1, {"value_range": [-1, 1]}),  # insightface's 106 points
    (lambda places: places, {}), (lambda places: places * 64, {}), (lambda places: places, {"unit": "share"}),
    (lambda places: places * 1.5, {"unit": "pixels"}),
])  # fmt: skip
def test_points_lie_where_their_numbers_mean(tmp_path: Path, said: Any, options: dict[str, Any]) -> None:
    places = np.random.default_rng(3).uniform(0, 1, (106, 2))
    model = public(tmp_path / "m.onnx", ("data", FLOAT, [1, 3, 64, 64]), {"fc1": said(places).reshape(1, 212)})
    _, stage = play(model, PICTURE, decode="keypoints", points="xy", **options)
    points = np.array(stage.values("found")[0]["figures"][0]["points"])[:, :2]
    assert np.allclose(points, places * 1.5 / 64 if options.get("unit") == "pixels" else places, atol=1e-3)


def test_an_efficientdet_of_tensorflow_has_its_rows_down_before_across(tmp_path: Path) -> None:
    """[1, n, 7]: picture, ymin, xmin, ymax, xmax, score, class."""
    rows = np.zeros((1, 100, 7))
    rows[0, 0] = [0, BOX[1] * 64, BOX[0] * 64, BOX[3] * 64, BOX[2] * 64, 0.9, 3]
    model = public(tmp_path / "m.onnx", ("image_arrays:0", UINT8, [1, 64, 64, 3]), {"detections:0": rows})
    _, stage = play(model, PICTURE, decode="boxes", box_order="yxyx")
    (thing,) = stage.values("found")[0]["boxes"]
    assert thing["label"] == "3" and thing["box"] == pytest.approx(BOX, abs=1e-3)
