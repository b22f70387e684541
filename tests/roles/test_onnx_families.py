"""Unlike families of models, described by options alone: each encoded here by its own paper's rule, and read back by the role."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from mesh.errors import RoleError
from mesh.role import Frame
from roles.inference.onnx import Onnx
from roles.inference.session import provider_order, ran_on
from tests.roles.public_models import play
from tests.roles.small_models import FLOAT, INT64, node, write_onnx
from tests.roles.stage import put_on

PICTURE = np.full((240, 320, 3), 120, np.uint8)
BOX = (0.25, 0.25, 0.75, 0.5)  # of the picture: x0, y0, x1, y1
HALF, INT8 = TensorProto.FLOAT16, TensorProto.INT8


def saying(path: Path, size: tuple[int, int], outputs: dict[str, np.ndarray], layout: str = "nchw") -> Path:
    """A model that takes a picture and gives these arrays, whatever it sees: the end of a detector without its beginning."""
    shape = [1, 3, size[1], size[0]] if layout == "nchw" else [1, size[1], size[0], 3]
    nodes = [node("ReduceMean", ["picture"], ["mean"], keepdims=0), node("Mul", ["mean", "zero"], ["nothing"])]
    constants: dict[str, Any] = {"zero": np.float32(0)}
    for name, value in outputs.items():
        constants[f"{name}_said"] = value.astype(np.float32)
        nodes.append(node("Add", [f"{name}_said", "nothing"], [name]))
    given = {name: (FLOAT, list(value.shape)) for name, value in outputs.items()}
    return write_onnx(path, {"picture": (FLOAT, shape)}, given, nodes, constants)


def pixels(size: tuple[int, int]) -> tuple[float, float, float, float]:
    """The box's middle and sides in the model's pixels."""
    x0, y0, x1, y1 = BOX
    return (x0 + x1) / 2 * size[0], (y0 + y1) / 2 * size[1], (x1 - x0) * size[0], (y1 - y0) * size[1]


def logit(score: float) -> float:
    return float(np.log(score / (1 - score)))


def yunet(size: tuple[int, int]) -> dict[str, np.ndarray]:
    cx, cy, w, h = pixels(size)
    out = {}
    for step in (8, 16, 32):
        columns, rows = size[0] // step, size[1] // step
        for name, wide in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
            out[f"{name}_{step}"] = np.zeros((1, rows * columns, wide))
    column, row = int(cx // 16), int(cy // 16)
    at = row * (size[0] // 16) + column
    out["cls_16"][0, at], out["obj_16"][0, at] = 0.9, 0.9
    out["bbox_16"][0, at] = cx / 16 - column, cy / 16 - row, np.log(w / 16), np.log(h / 16)
    out["kps_16"][0, at] = np.tile([cx / 16 - column, cy / 16 - row], 5)
    return out


def scrfd(size: tuple[int, int]) -> dict[str, np.ndarray]:
    cx, cy, w, h = pixels(size)
    out = {}
    for group, wide in (("score", 1), ("bbox", 4), ("kps", 10)):
        for step in (8, 16, 32):
            out[f"{group}_{step}"] = np.zeros((size[0] // step * (size[1] // step) * 2, wide))
    column, row = int(cx // 16), int(cy // 16)
    at = 2 * (row * (size[0] // 16) + column)
    left, top = column * 16, row * 16
    out["score_16"][at] = 0.9
    out["bbox_16"][at] = np.array([left - (cx - w / 2), top - (cy - h / 2), cx + w / 2 - left, cy + h / 2 - top]) / 16
    out["kps_16"][at] = np.tile([(cx - left) / 16, (cy - top) / 16], 5)
    return out


def retinaface(size: tuple[int, int]) -> dict[str, np.ndarray]:
    cx, cy, w, h = pixels(size)
    before = sum(size[0] // step * (size[1] // step) * 2 for step in (8,))
    count = sum(size[0] // step * (size[1] // step) * 2 for step in (8, 16, 32))
    column, row = int(cx // 16), int(cy // 16)
    at = before + 2 * (row * (size[0] // 16) + column) + 1
    side, middle = 128.0, (np.array([column, row]) + 0.5) * 16
    loc, conf, marks = np.zeros((1, count, 4)), np.tile([0.95, 0.05], (1, count, 1)), np.zeros((1, count, 10))
    loc[0, at] = [*((np.array([cx, cy]) - middle) / side / 0.1), *(np.log(np.array([w, h]) / side) / 0.2)]
    conf[0, at] = 0.1, 0.9
    marks[0, at] = np.tile((np.array([cx, cy]) - middle) / side / 0.1, 5)
    return {"loc": loc, "conf": conf, "landms": marks}


def blazeface(size: tuple[int, int]) -> dict[str, np.ndarray]:
    cx, cy, w, h = pixels(size)
    column, row = int(cx // 8), int(cy // 8)
    at = 2 * (row * 16 + column) + 1
    numbers, scores = np.zeros((1, 896, 16)), np.full((1, 896, 1), -80.0)
    numbers[0, at] = [cx - (column + 0.5) * 8, cy - (row + 0.5) * 8, w, h, *np.tile([cx - (column + 0.5) * 8, cy - (row + 0.5) * 8], 6)]
    scores[0, at] = logit(0.9)
    return {"regressors": numbers, "classificators": scores}


def blazeface_in_parts(size: tuple[int, int]) -> dict[str, np.ndarray]:
    whole = blazeface(size)
    return {f"{name}{part}": value[:, at] for name, value in whole.items() for part, at in ((8, slice(0, 512)), (16, slice(512, None)))}


def detr(size: tuple[int, int]) -> dict[str, np.ndarray]:
    x0, y0, x1, y1 = BOX
    logits, boxes = np.full((1, 100, 4), -4.0), np.full((1, 100, 4), 0.5)
    logits[..., 3] = 6.0
    logits[0, 7] = [9.0, 0.0, 0.0, np.log(np.exp(9.0) / 9)]  # 0.9 of the first class, the rest of nothing
    boxes[0, 7] = (x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0
    return {"logits": logits, "pred_boxes": boxes}


def yolox(size: tuple[int, int]) -> dict[str, np.ndarray]:
    cx, cy, w, h = pixels(size)
    before, count = size[0] // 8 * (size[1] // 8), sum(size[0] // step * (size[1] // step) for step in (8, 16, 32))
    column, row = int(cx // 16), int(cy // 16)
    rows = np.zeros((1, count, 8))
    rows[0, before + row * (size[0] // 16) + column] = [cx / 16 - column, cy / 16 - row, np.log(w / 16), np.log(h / 16), 1.0, 0.9, 0, 0]
    return {"output": rows}


def yolov5_heads(size: tuple[int, int]) -> dict[str, np.ndarray]:
    cx, cy, w, h = pixels(size)
    out = {f"head{step}": np.full((1, 3, size[1] // step, size[0] // step, 8), -9.0) for step in (8, 16, 32)}
    column, row, anchor = int(cx // 32), int(cy // 32), (156, 198)
    share = [(cx / 32 - column + 0.5) / 2, (cy / 32 - row + 0.5) / 2, (w / anchor[0]) ** 0.5 / 2, (h / anchor[1]) ** 0.5 / 2]
    out["head32"][0, 1, row, column] = [*(logit(each) for each in share), 12.0, logit(0.9), -9, -9]
    return out


def yolo10(size: tuple[int, int]) -> dict[str, np.ndarray]:
    x0, y0, x1, y1 = BOX
    rows = np.zeros((1, 300, 6))
    rows[0, 0] = [x0 * size[0], y0 * size[1], x1 * size[0], y1 * size[1], 0.9, 0]
    return {"output0": rows}


def ultraface(size: tuple[int, int]) -> dict[str, np.ndarray]:
    scores, boxes = np.tile([0.99, 0.01], (1, 4420, 1)), np.zeros((1, 4420, 4))
    scores[0, 11], boxes[0, 11] = [0.1, 0.9], BOX
    return {"scores": scores, "boxes": boxes}


FAMILIES: dict[str, tuple[Any, tuple[int, int], dict[str, Any]]] = {
    "YuNet": (yunet, (320, 320), {"colour": "bgr", "scale": 1.0}),
    "SCRFD": (scrfd, (320, 320), {"scale": 1 / 128, "mean": 0.996}),
    "RetinaFace": (retinaface, (320, 320), {"colour": "bgr", "scale": 1.0, "mean": [104, 117, 123]}),
    "BlazeFace": (blazeface, (128, 128), {"scale": 1 / 127.5, "mean": 1.0}),
    "BlazeFace, in parts": (blazeface_in_parts, (128, 128), {"scale": 1 / 127.5, "mean": 1.0}),
    "DETR": (detr, (320, 320), {"labels": ["face", "hand", "lamp"], "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}),
    "YOLOX": (yolox, (320, 320), {"detector": "yolox", "colour": "bgr", "scale": 1.0, "resize": "letterbox", "place": "corner"}),
    "YOLOv5, raw": (yolov5_heads, (320, 320), {}),
    "YOLOv10": (yolo10, (320, 320), {}),
    "UltraFace": (ultraface, (320, 240), {"scale": 1 / 128, "mean": 0.992}),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_detector_is_read_by_its_options_alone(tmp_path: Path, name: str) -> None:
    encode, size, options = FAMILIES[name]
    model = saying(tmp_path / "m.onnx", size, encode(size))
    _, stage = play(model, PICTURE, decode="boxes", **options)
    (box,) = stage.values("found")[0]["boxes"]
    expected = list(BOX)
    if options.get("place") == "corner":  # a picture of 320x240 lies in the upper three quarters
        expected[1], expected[3] = BOX[1] / 0.75, BOX[3] / 0.75
    assert box["box"] == pytest.approx(expected, abs=0.002) and box["score"] == pytest.approx(0.9, abs=0.02)
    if name in ("YuNet", "SCRFD", "RetinaFace", "BlazeFace", "BlazeFace, in parts"):
        assert box["points"][0] == pytest.approx([0.5, 0.375], abs=0.002) and len(box["points"]) in (5, 6)


@pytest.mark.parametrize("name", ["SCRFD", "RetinaFace", "BlazeFace", "YOLOX"])
def test_a_grid_that_does_not_fit_the_picture_names_the_option(tmp_path: Path, name: str) -> None:
    encode, size, options = FAMILIES[name]
    model = saying(tmp_path / "m.onnx", (96, 96), encode(size))
    with pytest.raises(RoleError) as fault:
        play(model, PICTURE, decode="boxes", **{**options, "resize": "stretch"})
    assert "size" in fault.value.instead and "96x96" in fault.value.what


def heat(points: int = 5) -> dict[str, np.ndarray]:
    maps = np.zeros((1, points, 24, 32))
    maps[:, :, 8, 16] = 0.9
    return {"heatmaps": maps}


def simcc() -> dict[str, np.ndarray]:
    across, down = np.zeros((1, 5, 640)), np.zeros((1, 5, 480))
    across[:, :, 320], down[:, :, 160] = 0.9, 0.95
    return {"simcc_x": across, "simcc_y": down}


def pose(size: tuple[int, int] = (320, 240)) -> dict[str, np.ndarray]:
    rows = np.zeros((1, 5 + 15, 400))
    rows[0, :, 3] = [*pixels(size), 0.9, *np.tile([size[0] / 2, size[1] / 3, 0.8], 5)]
    return {"output0": rows}


POINTS: dict[str, tuple[dict[str, np.ndarray], dict[str, Any]]] = {
    "heat maps": (heat(), {}),
    "two rows of bins": (simcc(), {}),
    "MoveNet": ({"output_0": np.tile([1 / 3, 0.5, 0.9], (1, 1, 5, 1))}, {}),
    "YOLO pose": (pose(), {}),
    "a face mesh": ({"mesh": np.tile([160.0, 80.0, 7.0], 5)[None, None, None]}, {"points": "xyz"}),
    "BlazePose": ({"Identity": np.tile([160.0, 80.0, 0.1, 3.0, 2.0], 5)[None]}, {"points": "xyz", "labels": list("abcde")}),
    "plain numbers": ({"landmarks": np.tile([0.5, 1 / 3], 5)[None]}, {}),
}


@pytest.mark.parametrize("name", POINTS)
def test_points_are_read_from_maps_bins_and_numbers(tmp_path: Path, name: str) -> None:
    outputs, options = POINTS[name]
    _, stage = play(saying(tmp_path / "m.onnx", (320, 240), outputs), PICTURE, decode="keypoints", **options)
    (figure,) = stage.values("found")[0]["figures"]
    assert len(figure["points"]) == 5 and figure["score"] > 0.6
    assert figure["points"][0][:2] == pytest.approx([0.5, 1 / 3], abs=0.03)


def voice(path: Path) -> Path:
    """A model like the usual voice detectors: 64 + 512 samples, a state of [2, batch, 8] that it hands on, a rate as an int64."""
    nodes = [
        node("Abs", ["input"], ["loud"]),
        node("ReduceMean", ["loud"], ["mean"], axes=[1], keepdims=1),
        node("ReduceMax", ["state"], ["before"], axes=[0, 1, 2], keepdims=0),
        node("Mul", ["before", "fade"], ["faded"]),
        node("Cast", ["sr"], ["rate"], to=FLOAT),
        node("Sub", ["rate", "rate"], ["nothing"]),
        node("Add", ["mean", "faded"], ["with"]),
        node("Add", ["with", "nothing"], ["sum"]),
        node("Clip", ["sum", "low", "high"], ["output"]),
        node("Expand", ["output", "shape"], ["stateN"]),
    ]
    constants = {
        "fade": np.float32(0.5), "low": np.float32(0), "high": np.float32(1),
        "shape": np.array([2, 1, 8], np.int64),
    }  # fmt: skip
    inputs = {"input": (FLOAT, [None, None]), "state": (FLOAT, [2, None, 8]), "sr": (INT64, [])}
    return write_onnx(path, inputs, {"output": (FLOAT, [None, 1]), "stateN": (FLOAT, [2, None, 8])}, nodes, constants)


def test_a_voice_detector_remembers_from_window_to_window_and_its_answer_does_not_flutter(tmp_path: Path) -> None:
    # Given a model with a state, a rate and windows that overlap, described by options alone
    options = {
        "decode": "probability", "input": "input", "state": {"state": "stateN"}, "feed": {"sr": 16000}, "window": 512, "context": 64,
        "scores": "output", "threshold": 0.6, "release": 0.3,
    }  # fmt: skip
    loud, quiet = np.full((512, 1), 0.5, np.float32), np.zeros((512, 1), np.float32)
    # When it is quiet, loud for long, and quiet again; in frames that are no whole windows
    sound = np.concatenate([quiet, loud, loud, loud, quiet, quiet, quiet])
    _, stage = play(voice(tmp_path / "m.onnx"), *np.array_split(sound, 5), to="audio", **options)
    found = stage.values("found")
    # Then there is one answer for each window, made of what it hears and what it remembers, and it begins and ends once
    assert len(found) == 7
    assert [each["active"] for each in found] == [False, False, True, True, True, False, False]
    assert [each["changed"] for each in found] == [False, False, True, False, False, True, False]
    assert found[2]["probability"] > found[1]["probability"]


def test_inputs_that_nobody_feeds_are_named_with_what_to_write(tmp_path: Path) -> None:
    model = voice(tmp_path / "m.onnx")
    with pytest.raises(RoleError) as fault:
        play(model, decode="probability")
    assert "sr int64[]" in fault.value.what and "{state: stateN}" in fault.value.instead
    with pytest.raises(RoleError) as fault:
        play(model, feed={"sr": 16000}, state={"h": "stateN"})
    assert "'h'" in fault.value.what and "state float[2, None, 8]" in fault.value.what
    with pytest.raises(RoleError) as fault:
        play(model, np.zeros((512, 1), np.float32), to="audio", feed={"sr": 1}, state={"state": "stateN"})
    assert "window" in fault.value.where


def test_sound_of_another_rate_is_heard_at_the_model_s(tmp_path: Path) -> None:
    model = write_onnx(tmp_path / "m.onnx", {"x": (FLOAT, [1, 400])}, {"y": (FLOAT, [1, 400])}, [node("Identity", ["x"], ["y"])])
    for heard, rate in ((48000, 16000), (8000, 16000), (44100, 16000)):
        wave = np.sin(np.arange(heard) * 2 * np.pi * 200 / heard).astype(np.float32)
        _, stage = play(model, *np.array_split(wave, 7), to="audio", decode="raw", rate=rate, heard_rate=heard)
        said = np.concatenate([value[0] for value in stage.values("values")])
        assert abs(len(said) - rate) <= 400
        spectrum = np.abs(np.fft.rfft(said))
        assert spectrum.argmax() * rate / len(said) == pytest.approx(200, abs=2) and np.abs(said).max() == pytest.approx(1, abs=0.05)


def test_half_and_whole_numbers_go_in_as_the_model_wants_them(tmp_path: Path) -> None:
    for kind, options, expected in ((HALF, {}, 120 / 255), (INT8, {"scale": 1.0, "mean": 128.0}, -8.0), (INT64, {}, 120.0)):
        nodes = [node("Cast", ["picture"], ["number"], to=FLOAT), node("ReduceMean", ["number"], ["mean"], axes=[1, 2, 3], keepdims=0)]
        model = write_onnx(tmp_path / "m.onnx", {"picture": (kind, [1, 3, 8, 8])}, {"mean": (FLOAT, [1])}, nodes)
        _, stage = play(model, PICTURE, decode="raw", **options)
        assert stage.values("values")[0][0] == pytest.approx(expected, abs=1e-3)
    with pytest.raises(RoleError) as fault:
        play(model, decode="raw", dtype="float32")
    assert "int64" in fault.value.what


def test_a_model_of_any_size_takes_the_picture_s_own(tmp_path: Path) -> None:
    nodes = [node("Shape", ["picture"], ["shape"])]
    model = write_onnx(tmp_path / "m.onnx", {"picture": (FLOAT, ["n", 3, "h", "w"])}, {"shape": (INT64, [4])}, nodes)
    _, stage = play(model, PICTURE, PICTURE[:100], decode="raw", size="frame")
    assert [value.tolist() for value in stage.values("values")] == [[1, 3, 256, 320], [1, 3, 96, 320]] or [
        value.tolist() for value in stage.values("values")
    ] == [[1, 3, 224, 320], [1, 3, 96, 320]]


def test_a_second_stream_goes_in_with_the_first(tmp_path: Path) -> None:
    nodes = [node("Add", ["a", "b"], ["sum"])]
    model = write_onnx(tmp_path / "m.onnx", {"a": (FLOAT, [1, 2]), "b": (FLOAT, [1, 2])}, {"sum": (FLOAT, [1, 2])}, nodes)
    role, stage = play(model, to="vector", decode="raw", wired={"mood": "b"})
    role.on_vector(Frame(np.array([1.0, 2.0])))
    assert stage.values("values") == []
    role.on_frame("mood", Frame(np.array([10.0, 20.0])))
    role.on_vector(Frame(np.array([1.0, 2.0])))
    assert stage.values("values")[0].tolist() == [[11, 22]]
    with pytest.raises(RoleError) as fault:
        role.on_frame("weather", Frame(np.zeros(2)))
    assert "wired" in fault.value.where


def test_a_vector_of_length_one_leaves_a_model_for_likeness(tmp_path: Path) -> None:
    nodes = [node("GlobalAveragePool", ["picture"], ["mean"]), node("Flatten", ["mean"], ["vector"])]
    model = write_onnx(tmp_path / "m.onnx", {"picture": (FLOAT, [1, 3, 8, 8])}, {"vector": (FLOAT, [1, 3])}, nodes)
    _, stage = play(model, PICTURE, decode="embedding")
    assert stage.values("values")[0].tolist() == pytest.approx([3**-0.5] * 3)


def test_a_classifier_that_names_its_scores_in_a_map_is_read(tmp_path: Path) -> None:
    """As scikit-learn's exports are: a label and a list of maps."""
    import onnx

    maps = helper.make_sequence_type_proto(helper.make_map_type_proto(8, helper.make_tensor_type_proto(1, [])))
    named = helper.make_node("ZipMap", ["p"], ["chance"], domain="ai.onnx.ml", classlabels_strings=["calm", "wild"])
    given, taken = helper.make_tensor_value_info("x", FLOAT, [None, 2]), helper.make_value_info("chance", maps)
    graph = helper.make_graph([node("Softmax", ["x"], ["p"]), named], "g", [given], [taken])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), tmp_path / "m.onnx")
    _, stage = play(tmp_path / "m.onnx", np.array([0.0, 3.0]), to="vector")
    assert stage.values("found")[0]["label"] == "wild"


def test_a_sound_judged_in_stretches_is_one_answer(tmp_path: Path) -> None:
    model = saying(tmp_path / "m.onnx", (8, 8), {"scores": np.array([[0.1, 0.9], [0.3, 0.7]]), "log": np.zeros((2, 64))})
    _, stage = play(model, PICTURE, labels=["music", "speech"])
    assert stage.values("found")[0]["scores"] == pytest.approx({"music": 0.2, "speech": 0.8}, abs=1e-3)


def test_where_a_model_really_ran_is_read_from_its_profile() -> None:
    profile = json.dumps([
        {"cat": "Session", "name": "load"}, *({"cat": "Node", "args": {"provider": "CUDAExecutionProvider"}} for _ in range(3)),
        {"cat": "Node", "args": {"provider": "CPUExecutionProvider"}}, {"cat": "Node", "args": {}},
    ])  # fmt: skip
    assert ran_on(profile) == ["cuda", "cpu"] and ran_on("[") == []
    available = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    assert provider_order(available, ["cuda", "tensorrt"]) == ["CUDAExecutionProvider", "TensorrtExecutionProvider", "CPUExecutionProvider"]
    assert provider_order(available, None)[0] == "CUDAExecutionProvider"


def test_a_model_that_answers_otherwise_than_at_first_or_left_its_graphics_card_is_faulty(tmp_path: Path, monkeypatch: Any) -> None:
    model = saying(tmp_path / "m.onnx", (32, 32), {"scores": np.array([[0.2, 0.8]])})
    role, stage = play(model)
    role.tick()
    role.tick()
    assert not stage.fault() and stage.fault(later_s=70)
    monkeypatch.setattr(role._proof, "_ask", lambda: {"scores": np.array([[0.8, 0.2]], np.float32)})
    role.tick()
    assert "known question" in stage.fault()
    (tmp_path / "ran-on.json").write_text(json.dumps({"model": "", "where": "cuda"}))
    role, stage = put_on(Onnx, tmp_path, model=model, state_folder=tmp_path)
    role.setup()
    role.tick()
    assert "cuda" in stage.fault()
