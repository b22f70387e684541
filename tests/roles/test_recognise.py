"""A model that somebody brought is looked at, and told how it could be played; what is told has been tried."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from mesh.errors import RoleError
from roles.inference.llm import Llm
from roles.inference.onnx import Onnx
from tests.roles import strange_models
from tests.roles import test_public_detectors as detectors
from tests.roles import test_public_pictures as pictures
from tests.roles.public_models import play, public
from tests.roles.small_models import FLOAT, node, write_gguf, write_onnx
from tests.roles.test_public_sounds import silero_v4
from tests.shell.test_folder import roomful

# Families whose shapes alone do not tell them from others: told by their labels, or by the artist.
TOLD_BY_LABELS = {"NanoDet, apart", "YOLOv4", "Tiny YOLOv2", "YOLO-NAS", "RF-DETR", "YOLOv8, cut"}


def first_way(model: Path) -> dict[str, Any]:
    ways = Onnx.inspect_model(model)["fits"]
    assert ways[-1]["options"]["decode"] == "raw"
    return dict(ways[0]["options"])


@pytest.mark.parametrize("name", sorted(set(detectors.MODELS) - TOLD_BY_LABELS))
def test_a_detector_is_known_by_its_names_and_shapes(tmp_path: Path, name: str) -> None:
    encode, size, _, metadata = detectors.MODELS[name]
    model = public(tmp_path / "m.onnx", ("images", FLOAT, [1, 3, size[1], size[0]]), encode(size), metadata)
    assert first_way(model)["decode"] == "boxes"


@pytest.mark.parametrize("name", pictures.FIGURES)
def test_a_model_of_points_is_known(tmp_path: Path, name: str) -> None:
    outputs, input, _, _ = pictures.FIGURES[name]
    task = {"task": "pose", "kpt_shape": "[17, 3]"} if "YOLO" in name else {}
    assert first_way(public(tmp_path / "m.onnx", input, outputs, task))["decode"] == "keypoints"


@pytest.mark.parametrize("name", pictures.MASKS)
def test_a_mask_is_known_for_a_map(tmp_path: Path, name: str) -> None:
    outputs, _ = pictures.MASKS[name]
    ways = Onnx.inspect_model(public(tmp_path / "m.onnx", ("input", FLOAT, [1, 3, 64, 64]), outputs))["fits"]
    assert "mask" in [way["options"]["decode"] for way in ways] or name == "Robust Video Matting"


@pytest.mark.parametrize(
    ("shape", "decode"), [((1, 1000), "classes"), ((1, 512), "embedding"), ((1, 3, 64, 64), "image"), ((1, 150, 64, 64), "mask")]
)
def test_rows_and_pictures_are_known_by_their_shapes(tmp_path: Path, shape: tuple[int, ...], decode: str) -> None:
    model = public(tmp_path / "m.onnx", ("input", FLOAT, ["batch", 3, "height", "width"]), {"output": np.ones(shape)})
    options = first_way(model)
    assert options["decode"] == decode and options["size"] in ("640x640", "320x320", "256x256", "224x224")


def test_a_voice_detector_s_states_and_rate_are_seen(tmp_path: Path) -> None:
    options = first_way(silero_v4(tmp_path / "m.onnx"))
    assert options == {"decode": "probability", "state": {"h": "hn", "c": "cn"}, "feed": {"sr": 16000}, "input": "input", "window": 512}


def test_a_sound_of_any_length_is_tried_with_a_second(tmp_path: Path) -> None:
    model = public(tmp_path / "m.onnx", ("waveform", FLOAT, [None]), {"scores": np.full((1, 521), 0.1), "embeddings": np.zeros((1, 1024))})
    assert first_way(model) == {"decode": "classes", "window": 15600}


def test_a_language_model_says_what_it_is_without_an_engine(tmp_path: Path) -> None:
    plain = Llm.inspect_model(write_gguf(tmp_path / "plain.gguf", context=256))
    assert plain["about"]["context"] == "256" and plain["fits"][0]["options"] == {"template": "{prompt}"}
    assert Llm.inspect_model(strange_models.qwen(tmp_path / "chat.gguf"))["fits"][0]["options"] == {"chat": True}
    assert Llm.inspect_model(strange_models.bert(tmp_path / "bert.gguf"))["inputs"][0]["name"] == "embed"
    assert "adapter" in Llm.inspect_model(strange_models.lora(tmp_path / "lora.gguf"))["fits"][0]["why"]
    whole = (tmp_path / "plain.gguf").read_bytes()
    for broken, word in ((whole[:200], "cut short"), (b"GGUF" + b"\xff" * 400, "version"), (b"PK" + whole, "no GGUF")):
        (tmp_path / "broken.gguf").write_bytes(broken)
        with pytest.raises(RoleError) as fault:
            Llm.inspect_model(tmp_path / "broken.gguf")
        assert word in fault.value.what


def test_the_lines_to_write_are_printed_and_play(tmp_path: Path) -> None:
    # Given a model that somebody downloaded
    told = {"task": "detect", "names": "{0: 'lamp', 1: 'person', 2: 'chair'}", "imgsz": "[320, 320]"}
    rows = np.zeros((1, 7, 2100))
    model = public(tmp_path / "My Model.onnx", ("images", TensorProto.FLOAT, ["batch", 3, "height", "width"]), {"output0": rows}, told)
    # When it is looked at
    said = roomful("models", model)
    value = json.loads(roomful("models", model, "--json").stdout)["models"][0]
    # Then there are lines to write, with its hash and the size it was trained for
    assert said.returncode == 0 and value["sha256"] in said.stdout and "inputs: {image: eye.image}" in said.stdout
    assert value["fits"][0]["options"] == {"decode": "boxes", "size": "320x320"} and "classes" in value["about"]


def test_a_broken_model_costs_a_sentence_and_the_exit_code_says_so(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"\x08\x09 no model")
    said = roomful("models", tmp_path / "broken.onnx")
    assert said.returncode == 1 and "does not load" in said.stdout and "Traceback" not in said.stdout + said.stderr
    said = roomful("models", tmp_path / "nowhere")
    assert said.returncode == 2 and "there is no folder" in said.stderr


def test_a_work_s_models_are_listed_with_their_licences_and_who_plays_them() -> None:
    value = json.loads(roomful("models", Path(__file__).resolve().parents[2] / "deployments" / "answering-wall", "--json").stdout)
    voice, poet = value["models"]
    assert voice["licence"]["weights"] == "CC0-1.0" and [role["name"] for role in voice["roles"]] == ["voice"]
    assert voice["inputs"][0] == {"name": "sound", "type": "float", "shape": [1, 512]} and poet["about"]["family"] == "llama"


def test_a_reader_of_lines_with_its_letters_in_its_metadata_is_known_and_reads(tmp_path: Path) -> None:
    # Given a reader as PaddleOCR's are exported: the blank first, then its letters, some of them strange, then a space
    letters = [*"0123456789abc,", "\u2028", "\x1c"]
    rows = np.full((1, 5, len(letters) + 2), 0.001)
    for at, letter in enumerate((11, 0, 15 + 2, 14, 12)):  # a, nothing, a space, a comma, b
        rows[0, at, letter] = 0.99
    model = public(tmp_path / "m.onnx", ("x", FLOAT, ["n", 3, 48, "wide"]), {"y": rows}, {"character": "\n".join(letters)})
    looked = Onnx.inspect_model(model)
    assert looked["fits"][0]["options"] == {"decode": "letters"} and looked["fits"][0]["input"] == "image"
    assert looked["about"] == {"classes": "16: 0, 1, 2, 3, 4, 5, …"}
    _, stage = play(model, np.zeros((40, 300, 3), np.uint8), decode="letters")
    assert stage.values("text") == ["a ,b"]


def test_the_open_side_of_a_picture_follows_its_shape(tmp_path: Path) -> None:
    model = public(tmp_path / "m.onnx", ("x", FLOAT, [1, 1, 32, "wide"]), {"y": np.ones((1, 2))})
    role, _ = play(model, np.zeros((40, 300, 3), np.uint8), decode="classes")
    intake = role._looking().first.intake
    assert intake.fitted(np.zeros((40, 300, 3), np.uint8)).size == (240, 32)
    assert intake.fitted(np.zeros((40, 1, 3), np.uint8)).size == (8, 32)
    assert intake.fitted(np.zeros((2, 4000, 3), np.uint8)).size == (4096, 32)


@pytest.mark.parametrize(
    ("shape", "kind", "input", "options"),
    [
        (["n", 43844, 1], FLOAT, "audio", {"decode": "letters", "window": 43844, "labels": "letters.txt"}),
        (["n", 144160], FLOAT, "audio", {"decode": "classes", "window": 144160}),
        (["n", 900, 120], FLOAT, "vector", {"decode": "classes"}),
        (["n", 2048], TensorProto.INT32, "vector", {"decode": "classes"}),
        ([3, 64, 64], FLOAT, "image", {"decode": "classes"}),
    ],
)
def test_sound_pictures_and_vectors_are_told_apart(
    tmp_path: Path, shape: list[Any], kind: int, input: str, options: dict[str, Any]
) -> None:
    given = np.ones((1, 172, 88)) if options["decode"] == "letters" else np.full((1, 3), 0.1)
    first = Onnx.inspect_model(public(tmp_path / "m.onnx", ("x", kind, shape), {"y": given}))["fits"][0]
    assert first["input"] == input and first["options"] == options


def test_a_model_whose_map_covers_the_picture_is_not_taken_for_a_detector_by_its_layers(tmp_path: Path) -> None:
    layers = {f"layer{at}": np.ones((1, 64 * at, 64 // 2**at, 64 // 2**at)) for at in (1, 2, 3)}
    outputs = {"output": np.ones((1, 1, 64, 64)) * 0.5, **layers}
    assert first_way(public(tmp_path / "m.onnx", ("input", FLOAT, [1, 3, 64, 64]), outputs))["decode"] == "mask"


def test_where_nothing_fits_the_question_that_is_open_is_said(tmp_path: Path) -> None:
    nodes = [node("Add", ["ids", "lengths"], ["sum"])]
    inputs = {"ids": (TensorProto.INT64, ["batch", "phonemes"]), "lengths": (TensorProto.INT64, ["batch", "phonemes"])}
    model = write_onnx(tmp_path / "m.onnx", inputs, {"sum": (TensorProto.INT64, ["batch", "phonemes"])}, nodes, {})
    looked = Onnx.inspect_model(model)
    assert looked["fits"] == [] and "ids" in looked["hint"] and "feed" in looked["hint"]
    said = roomful("models", model)
    assert said.returncode == 0 and "cannot tell by itself" in said.stdout


def test_the_newest_vectors_are_gathered_for_a_model_that_wants_several(tmp_path: Path) -> None:
    nodes = [node("ReduceMean", ["x"], ["flat"], axes=[1, 2], keepdims=0), node("Unsqueeze", ["flat", "one"], ["y"])]
    model = write_onnx(tmp_path / "m.onnx", {"x": (FLOAT, [1, 3, 2])}, {"y": (FLOAT, [1, 1])}, nodes, {"one": np.array([1], np.int64)})
    _, stage = play(model, *([number, number] for number in (0.0, 0.3, 0.6, 0.9)), to="vector", decode="probability")
    assert [found["probability"] for found in stage.values("found")] == pytest.approx([0.3, 0.6])


def test_two_pictures_of_one_kind_are_taken_for_this_one_and_the_one_before(tmp_path: Path) -> None:
    shape = [1, 3, 32, 48]
    nodes = [node("Sub", ["b", "a"], ["more"]), node("Slice", ["more", "zero", "two", "one"], ["moved"])]
    constants = {"zero": np.array([0]), "one": np.array([1]), "two": np.array([2])}
    inputs: dict[str, tuple[int, list[Any]]] = {"a": (FLOAT, shape), "b": (FLOAT, shape)}
    model = write_onnx(tmp_path / "m.onnx", inputs, {"moved": (FLOAT, [1, 2, 32, 48])}, nodes, constants)
    assert Onnx.inspect_model(model)["fits"][0]["options"] == {"decode": "flow", "earlier": {"a": 1}, "input": "b"}


def test_a_clip_is_known_for_one(tmp_path: Path) -> None:
    model = public(tmp_path / "m.onnx", ("x", FLOAT, [1, 3, 8, 32, 32]), {"y": np.zeros((1, 7))})
    assert Onnx.inspect_model(model)["fits"][0] == {"options": {"decode": "classes"}, "why": "scores of 7 classes", "input": "image"}


def test_a_picture_whose_name_is_a_number_is_no_memory_of_an_output(tmp_path: Path) -> None:
    """MediaPipe's face mesh: input_1, and conv2d_21 with as many sides."""
    outputs = {"conv2d_21": np.tile([96.0, 64.0, 1.0], 468)[None, None, None], "conv2d_31": np.array([[[[3.0]]]])}
    model = public(tmp_path / "m.onnx", ("input_1", FLOAT, [1, 192, 192, 3]), outputs)
    assert first_way(model) == {"decode": "keypoints"}


def paddle(path: Path, named: bool) -> Path:
    """PaddleDetection's: a picture, how large it is and how much it was made smaller; class, score and corners by that, and how many."""
    said = np.zeros((3, 6), np.float32)
    said[0], said[1] = [1, 0.9, 160, 80, 480, 160], [0, 0.05, 0, 0, 50, 50]
    said[2, 0] = -1  # nothing
    inputs: dict[str, tuple[int, list[Any]]] = {
        "im_shape": (FLOAT, [None, 2]), "image": (FLOAT, [None, 3, 320, 640]), "scale_factor": (FLOAT, [None, 2])}  # fmt: skip
    rows, count = ("multiclass_nms3_0.tmp_0", "multiclass_nms3_0.tmp_2") if named else ("fetch_name_0", "fetch_name_1")
    nodes = [
        node("ReduceMean", ["image"], ["mean"], keepdims=0), node("Mul", ["mean", "zero"], ["nothing"]),
        node("Add", ["said", "nothing"], ["all"]),
        node("Concat", ["ones", "scale_factor", "scale_factor"], ["by"], axis=1), node("Div", ["all", "by"], [rows]),
        node("Identity", ["three"], [count]),
    ]  # fmt: skip
    constants = {"said": said, "zero": np.float32(0), "ones": np.ones((1, 2), np.float32), "three": np.array([3], np.int32)}
    return write_onnx(path, inputs, {rows: (FLOAT, [None, 6]), count: (TensorProto.INT32, [1])}, nodes, constants)


@pytest.mark.parametrize("named", [True, False])
def test_a_detector_that_is_told_its_picture_s_size_is_known_and_read(tmp_path: Path, named: bool) -> None:
    model = paddle(tmp_path / "m.onnx", named)
    way = first_way(model)
    assert way["decode"] == "boxes" and way["feed"] == {"im_shape": [[320, 640]], "scale_factor": [[1.0, 1.0]]}
    _, stage = play(model, np.zeros((40, 80, 3), np.uint8), **way)
    (thing,) = stage.values("found")[0]["boxes"]
    assert (thing["label"], thing["score"], thing["box"]) == ("1", 0.9, [0.25, 0.25, 0.75, 0.5])


def test_places_before_the_batch_are_a_line_of_writing(tmp_path: Path) -> None:
    """A reader of fixed size, as recurrent networks end: (places, 1, letters)."""
    model = public(tmp_path / "m.onnx", ("image", FLOAT, [1, 3, 60, 160]), {"logits": np.zeros((20, 1, 37))})
    assert first_way(model) == {"decode": "letters", "labels": "letters.txt"}
