"""The ONNX role with real graphs in the real engine, described by options alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mesh.errors import EngineMissingError, RoleError
from mesh.role import Frame, describe
from roles.inference.decoding import make_decoder
from roles.inference.intake import Fit
from roles.inference.onnx import Onnx
from tests.roles.small_models import FLOAT, UINT8, node, write_onnx
from tests.roles.stage import Recorder, put_on

ROOM = Path(__file__).resolve().parents[2] / "deployments" / "whispering-room"
LIGHT = np.full((36, 48, 3), 230, np.uint8)
DARK = np.full((36, 48, 3), 10, np.uint8)


def brightness(
    path: Path,
    *,
    layout: str = "nchw",
    kind: int = FLOAT,
    shape: list[Any] | None = None,
    softmax: bool = False,
    metadata: dict[str, str] | None = None,
) -> Path:
    """A model of two classes, dark and light, by the mean of all pixels; `spot` is a small second output."""
    shape = shape or ([1, 3, 12, 16] if layout == "nchw" else [1, 12, 16, 3])
    nodes = [
        node("Cast", ["image"], ["pixels"], to=FLOAT),
        node("ReduceMean", ["pixels"], ["mean"], axes=[1, 2, 3], keepdims=0),
        node("Unsqueeze", ["mean", "one"], ["column"]),
        node("Mul", ["column", "slopes"], ["steep"]),
        node("Add", ["steep", "shifts"], ["raw"]),
        node("Softmax" if softmax else "Identity", ["raw"], ["count"]),
        node("Concat", ["column", "column"], ["spot"], axis=1),
    ]
    top = 255.0 if kind == UINT8 else 1.0
    constants = {
        "one": np.array([1], np.int64),
        "slopes": np.array([[-8 / top, 8 / top]], np.float32),
        "shifts": np.array([[4, -4]], np.float32),
    }
    return write_onnx(path, {"image": (kind, shape)}, {"count": (FLOAT, [1, 2]), "spot": (FLOAT, [1, 2])}, nodes, constants, metadata)


def play(model: Path, *frames: Any, folder: Path | None = None, input: str = "image", **options: Any) -> tuple[Any, Recorder]:
    role, stage = put_on(Onnx, folder or model.parent, model=model, **options)
    role.setup()
    for value in frames:
        getattr(role, f"on_{input}")(Frame(value, captured_s=12.5))
    role.teardown()
    return role, stage


@pytest.mark.parametrize("kwargs", [{}, {"layout": "nhwc"}, {"kind": UINT8, "layout": "nhwc"}, {"softmax": True}])
def test_a_model_is_fed_as_its_shapes_say_and_names_its_class(tmp_path: Path, kwargs: dict[str, Any]) -> None:
    model = brightness(tmp_path / "m.onnx", metadata={"labels": "dark,light"}, **kwargs)
    _, stage = play(model, DARK, LIGHT, output="mood")
    first, second = stage.values("mood")
    assert (first["label"], second["label"]) == ("dark", "light")
    assert sum(first["scores"].values()) == pytest.approx(1, abs=1e-3)
    assert first["score"] == first["scores"]["dark"] > 0.9
    assert len(first["spot"]) == 2
    assert {captured_s for _, _, _, captured_s in stage.emitted} == {12.5}


@pytest.mark.parametrize(
    ("metadata", "labels", "expected"),
    [
        ({"labels": '["dark", "light"]'}, None, "light"),
        ({"names": "{0: 'dark', 1: 'light'}"}, None, "light"),
        ({"labels": "dark,light"}, ["night", "day"], "day"),
        ({}, "words.txt", "day"),
        ({}, None, "1"),
    ],
)
def test_labels_come_from_the_options_a_file_or_the_model(tmp_path: Path, metadata: dict[str, str], labels: Any, expected: str) -> None:
    (tmp_path / "words.txt").write_text("night\nday\n")
    _, stage = play(brightness(tmp_path / "m.onnx", metadata=metadata), LIGHT, labels=labels)
    assert stage.values("found")[0]["label"] == expected


def test_a_model_of_any_size_asks_for_one_and_then_plays(tmp_path: Path) -> None:
    model = brightness(tmp_path / "m.onnx", shape=["batch", 3, "height", "width"])
    with pytest.raises(RoleError) as fault:
        play(model)
    assert "size" in fault.value.instead and "height" in fault.value.what
    _, stage = play(model, LIGHT, size="20x10", resize="letterbox", pad=255)
    assert stage.values("found")[0]["label"] == "1"


def test_raw_outputs_travel_as_a_vector_and_as_named_lists(tmp_path: Path) -> None:
    _, stage = play(brightness(tmp_path / "m.onnx"), LIGHT, decode="raw")
    assert stage.values("values")[0].shape == (1, 2)
    assert set(stage.values("found")[0]) == {"count", "spot"}


def test_a_function_of_the_deployment_decodes(tmp_path: Path) -> None:
    (tmp_path / "roles.py").write_text(
        "def bright(outputs, frame):\n    return {'bright': bool(outputs['spot'][0, 0] > 0.5), 'at': frame.captured_s}\n"
    )
    _, stage = play(brightness(tmp_path / "m.onnx"), LIGHT, DARK, decode="./roles.py:bright")
    assert stage.values("found") == [{"bright": True, "at": 12.5}, {"bright": False, "at": 12.5}]


@pytest.mark.parametrize("decode", ["./roles.py:missing", "./nowhere.py:f", "clases", "../roles.py:f", "./roles.py"])
def test_a_decoder_that_is_not_there_is_refused_at_once(tmp_path: Path, decode: str) -> None:
    (tmp_path / "roles.py").write_text("")
    with pytest.raises(RoleError) as fault:
        play(brightness(tmp_path / "m.onnx"), decode=decode)
    assert "./roles.py:its_name" in fault.value.instead


def test_vectors_are_fed_and_other_inputs_take_constants(tmp_path: Path) -> None:
    model = write_onnx(
        tmp_path / "m.onnx",
        {"x": (FLOAT, ["batch", 3]), "gain": (FLOAT, [1])},
        {"y": (FLOAT, ["batch", 3])},
        [node("Mul", ["x", "gain"], ["y"])],
    )
    with pytest.raises(RoleError) as fault:
        play(model)
    assert "feed" in fault.value.instead
    _, stage = play(model, np.array([1.0, 2.0, 3.0]), input="vector", feed={"gain": [2]}, decode="raw")
    assert stage.values("values")[0].tolist() == [[2, 4, 6]]
    role, _ = play(model, feed={"gain": [2]})
    with pytest.raises(RoleError):
        role.on_vector(Frame(np.zeros(5)))
    with pytest.raises(RoleError) as fault:
        role.on_image(Frame(LIGHT))
    assert "vector" in fault.value.instead


def test_scores_that_cannot_be_found_are_asked_for(tmp_path: Path) -> None:
    model = brightness(tmp_path / "m.onnx")
    _, stage = play(model, LIGHT, scores="spot")
    assert set(stage.values("found")[0]) >= {"label", "count"}
    with pytest.raises(RoleError) as fault:
        play(model, scores="nothing")
    assert "count float32[1, 2]" in fault.value.what
    with pytest.raises(RoleError) as fault:
        play(model, labels=["a", "b", "c"])
    assert "3 labels for 2 classes" in fault.value.what


def test_a_broken_or_missing_model_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"\x08\x07 not a model")
    for name in ("broken.onnx", "missing.onnx"):
        with pytest.raises(RoleError) as fault:
            play(tmp_path / name)
        assert name in fault.value.what and fault.value.instead
    role, _ = put_on(Onnx, tmp_path)
    with pytest.raises(RoleError):
        role.setup()


def test_a_size_that_the_graph_refuses_names_the_option(tmp_path: Path) -> None:
    weights = {"w": np.ones((12, 2), np.float32)}
    nodes = [node("ReduceMean", ["image"], ["row"], axes=[0, 1, 2], keepdims=0), node("MatMul", ["row", "w"], ["count"])]
    model = write_onnx(tmp_path / "m.onnx", {"image": (FLOAT, [1, 3, "h", "w"])}, {"count": (FLOAT, [2])}, nodes, weights)
    _, stage = play(model, LIGHT, size="12x10")
    assert stage.values("found")
    with pytest.raises(RoleError) as fault:
        play(model, size="13x10")
    assert "size" in fault.value.instead


def test_where_it_really_runs_is_said(tmp_path: Path) -> None:
    _, stage = play(brightness(tmp_path / "m.onnx"), providers=["cuda", "cpu"])
    assert "runs on cpu with 1 thread" in stage.said
    assert any("cuda" in line and "cannot" in line for line in stage.said)


def test_without_onnxruntime_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(EngineMissingError) as fault:
        play(brightness(tmp_path / "m.onnx"))
    assert "roomful[onnx]" in fault.value.instead


def test_the_whispering_room_s_model_counts_in_a_picture_of_any_size() -> None:
    _, stage = play(ROOM / "models" / "presence.onnx", DARK, np.full((360, 640, 3), 90, np.uint8), output="people")
    for people in stage.values("people"):
        assert people["label"] in {"nobody", "one", "few", "many"}
        assert set(people["scores"]) == {"nobody", "one", "few", "many"}
        assert len(people["place"]) == 2


def test_the_stream_bears_the_name_that_the_artist_gives_it() -> None:
    kind = describe("inference.onnx", Onnx)
    assert kind.output_option == "output"
    others = {"values": "vector", "picture": "image", "text": "text"}
    assert kind.outputs_for({"output": "people"}) == {"people": "event", **others}
    assert kind.outputs_for({}) == kind.outputs_for({"output": 3}) == {"found": "event", **others}
    assert Onnx.outputs_for(Onnx.Options(output="people")) == kind.outputs_for({"output": "people"})


DECODES = ["boxes", "keypoints", "mask", "depth", "flow", "image", "classes", "embedding", "letters", "probability"]


@pytest.mark.parametrize("decode", DECODES)
def test_whatever_a_model_gives_is_read_or_refused_in_words(decode: str) -> None:
    """Outputs of drawn names, shapes and types: none ends in anything but an event or a RoleError that names the outputs."""
    chance = np.random.default_rng(len(decode))
    sides, names = [0, 1, 2, 3, 4, 5, 6, 7, 17, 28, 38, 57, 80, 85], ["boxes", "scores", "dets", "keypoints", "masks", "logits", "a", "b"]
    read = 0
    for _ in range(150):
        outputs = {}
        for name in chance.choice(names, chance.integers(1, 4), replace=False):
            shape = [int(side) for side in chance.choice(sides, chance.integers(0, 5))]
            value = chance.normal(0, 2, shape) if np.prod(shape, initial=1) < 50_000 else np.zeros((1, 80, 57))
            outputs[str(name)] = np.asarray(value, chance.choice([np.float32, np.int64]))
        decoder = make_decoder(Onnx.Options(decode=decode), ["x", "y"], Path(), {})
        try:
            decoder(outputs, Fit(0, 0, 64, 64), (64, 64), Frame(np.zeros((48, 64, 3), np.uint8)))
            read += 1
        except RoleError as refusal:
            assert refusal.instead and refusal.where
    assert read > 0
