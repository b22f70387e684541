"""Models that hear, and models that write, told by their options alone: names and layouts as published."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from mesh.errors import RoleError
from tests.roles.public_models import PICTURE, play, public
from tests.roles.small_models import FLOAT, INT64, node, write_onnx

SECOND = np.zeros((16000, 1), np.float32)


def test_yamnet_hears_a_second_and_takes_its_names_from_its_own_table(tmp_path: Path) -> None:
    # Given 521 scores apart from each other for each stretch, an embedding and a spectrogram, and the table that comes with it
    scores = np.full((2, 521), 0.01)
    scores[0, 494], scores[1, 494], scores[:, 0] = 0.7, 0.9, 0.3
    lines = ["index,mid,display_name", '0,/m/09x0r,"Speech, near"', *(f"{at},/m/{at},sound {at}" for at in range(1, 521))]
    (tmp_path / "yamnet_class_map.csv").write_text("\n".join(lines))
    outputs = {"output_0": scores, "output_1": np.zeros((2, 1024)), "output_2": np.zeros((144, 64))}
    model = public(tmp_path / "m.onnx", ("waveform", FLOAT, [None]), outputs)
    # When it hears a second
    _, stage = play(model, SECOND, to="audio", window=15600, labels="yamnet_class_map.csv", top=3)
    # Then the answer is the mean of the stretches, as independent probabilities, and only the likeliest are told
    found = stage.values("found")[0]
    assert found["label"] == "sound 494" and found["score"] == pytest.approx(0.8)
    assert list(found["scores"].items())[:2] == [("sound 494", 0.8), ("Speech, near", 0.3)] and len(found["scores"]) == 3


def silero_v4(path: Path) -> Path:
    """Silero VAD v4: input [batch, samples], sr, h and c [2, batch, 64]; output, hn, cn. Here: the loudest so far, fading."""
    nodes = [
        node("Abs", ["input"], ["loud"]), node("ReduceMax", ["loud"], ["most"], axes=[1], keepdims=1),
        node("ReduceMax", ["h"], ["before"], axes=[0, 2], keepdims=0), node("Unsqueeze", ["before", "one"], ["column"]),
        node("Mul", ["column", "fade"], ["faded"]), node("Max", ["most", "faded"], ["output"]),
        node("Cast", ["sr"], ["rate"], to=FLOAT), node("Sub", ["rate", "rate"], ["nothing"]), node("Add", ["c", "nothing"], ["cn"]),
        node("Expand", ["output", "shape"], ["hn"]),
    ]  # fmt: skip
    constants = {"fade": np.float32(0.5), "one": np.array([1], np.int64), "shape": np.array([2, 1, 64], np.int64)}
    state = (FLOAT, [2, "batch", 64])
    inputs = {"input": (FLOAT, ["batch", "sequence"]), "sr": (INT64, []), "h": state, "c": state}
    return write_onnx(path, inputs, {"output": (FLOAT, ["batch", 1]), "hn": state, "cn": state}, nodes, constants)


def test_silero_of_the_fourth_version_keeps_both_of_its_states(tmp_path: Path) -> None:
    model = silero_v4(tmp_path / "m.onnx")
    options = {"input": "input", "feed": {"sr": 16000}, "state": {"h": "hn", "c": "cn"}, "window": 512, "scores": "output"}
    quiet, loud = np.zeros((512, 1), np.float32), np.full((512, 1), 0.9, np.float32)
    _, stage = play(model, quiet, loud, quiet, quiet, to="audio", decode="probability", **options)
    assert [found["probability"] for found in stage.values("found")] == pytest.approx([0, 0.9, 0.45, 0.225], abs=1e-3)
    # And without a word, the refusal says which inputs look like states, and how to say so
    with pytest.raises(RoleError) as fault:
        play(model, decode="probability")
    assert "h: hn" in fault.value.instead and "c: cn" in fault.value.instead


WORD = "ROOM FULL"


def wav2vec(letters: dict[str, int]) -> np.ndarray:
    """wav2vec 2.0: logits [1, moments, letters], each letter twice, a blank (<pad>) where two are alike."""
    moments: list[int] = []
    for before, letter in zip(" " + WORD, WORD, strict=False):
        if letter == before:
            moments.append(letters["<pad>"])
        moments += [letters["|" if letter == " " else letter]] * 2
    logits = np.full((1, len(moments), len(letters)), -3.0)
    logits[0, np.arange(len(moments)), moments] = 6.0
    return logits


def test_a_model_that_writes_what_it_hears_gives_text(tmp_path: Path) -> None:
    letters = {word: at for at, word in enumerate(["<pad>", "<s>", "</s>", "<unk>", "|", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ", "'"])}
    (tmp_path / "vocab.json").write_text(json.dumps(dict(sorted(letters.items()))))  # as it comes: by word, in any order
    model = public(tmp_path / "m.onnx", ("input_values", FLOAT, [1, None]), {"logits": wav2vec(letters)})
    _, stage = play(model, SECOND, to="audio", decode="letters", labels="vocab.json", window=16000)
    assert stage.values("found")[0]["text"] == WORD and stage.values("text") == [WORD]
    # And where the list has the name that exports give it, it need not be said
    assert play(model, SECOND, to="audio", decode="letters", window=16000)[1].values("text") == [WORD]
    (tmp_path / "vocab.json").rename(tmp_path / "other.json")
    with pytest.raises(RoleError) as fault:
        play(model, SECOND, to="audio", decode="letters", window=16000)
    assert fault.value.where == "option labels"


def test_a_reader_of_lettering_gives_text(tmp_path: Path) -> None:
    """CRNN of OpenCV's zoo: [columns, 1, 37], the blank first and no letter of its own; a grey picture of 100 x 32."""
    letters = "0123456789abcdefghijklmnopqrstuvwxyz"
    columns = np.full((24, 1, 37), -4.0)
    for at, letter in enumerate("-he-l-ll-o---"):
        columns[at, 0, 0 if letter == "-" else 1 + letters.index(letter)] = 5.0
    columns[13:, 0, 0] = 5.0
    model = public(tmp_path / "m.onnx", ("input", FLOAT, [1, 1, 32, 100]), {"output": columns})
    _, stage = play(model, PICTURE, decode="letters", labels=list(letters), scale=1 / 127.5, mean=1.0)
    assert stage.values("found")[0]["text"] == "hello"


@pytest.mark.parametrize(("kind", "high"), [(np.uint8, 230), (np.int8, 102)])
def test_a_quantised_classifier_is_read_as_probabilities(tmp_path: Path, kind: type, high: int) -> None:
    """MobileNet as TensorFlow quantises it: bytes in, channels last, bytes out."""
    info = np.iinfo(kind)
    scores = np.full((1, 12), info.min, kind)
    scores[0, 4] = high
    given = TensorProto.UINT8 if kind is np.uint8 else TensorProto.INT8
    model = public(tmp_path / "m.onnx", ("input", given, [1, 224, 224, 3]), {"MobilenetV1/Predictions/Reshape_1": scores})
    role, stage = play(model, PICTURE)
    assert stage.values("found")[0]["label"] == "4" and stage.values("found")[0]["score"] == pytest.approx(0.9, abs=0.01)
    taken, _ = role._looking().first.intake.prepare(np.full((4, 4, 3), 255, np.uint8))
    assert taken.dtype == kind and taken.max() == info.max  # white is the largest byte, of both kinds


def test_half_numbers_in_and_out_are_read(tmp_path: Path) -> None:
    model = public(tmp_path / "m.onnx", ("x", TensorProto.FLOAT16, [1, 3, 32, 32]), {"y": np.array([[0.1, 0.9]], np.float16)})
    _, stage = play(model, PICTURE, labels=["no", "yes"])
    assert stage.values("found")[0]["scores"] == pytest.approx({"no": 0.1, "yes": 0.9}, abs=1e-3)
