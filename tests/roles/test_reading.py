"""Models that read: tokens by the tokenizer beside the model, what they are held against, and strings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
from onnx import TensorProto

from mesh.errors import RoleError
from mesh.role import Frame
from roles.inference.onnx import Onnx
from tests.roles.public_models import PICTURE, play
from tests.roles.small_models import FLOAT, INT64, node, write_onnx
from tests.roles.stage import put_on

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "lamp", "is", "a", "moth", "##s", "joy", "grief"]
ROWS = np.random.default_rng(3).normal(size=(len(WORDS), 3)).astype(np.float32)


def beside(folder: Path) -> Path:
    """BERT's way: a list of words, one a line."""
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    return folder


def reader(path: Path, length: int | str = "length") -> Path:
    """input_ids, attention_mask and token_type_ids as BERT has them -> last_hidden_state [1, length, 3]: a row of the table for each token,
    plus ten times its sentence, times its mask plus one hundred where it does not count."""
    nodes = [
        node("Gather", ["table", "input_ids"], ["rows"]),
        node("Unsqueeze", ["token_type_ids", "last"], ["kinds"]),
        node("Cast", ["kinds"], ["sentence"], to=FLOAT),
        node("Mul", ["sentence", "ten"], ["tens"]),
        node("Add", ["rows", "tens"], ["said"]),
        node("Unsqueeze", ["attention_mask", "last"], ["mask"]),
        node("Cast", ["mask"], ["counts"], to=FLOAT),
        node("Sub", ["one", "counts"], ["not"]),
        node("Mul", ["not", "hundred"], ["far"]),
        node("Add", ["said", "far"], ["last_hidden_state"]),
    ]
    constants = {"table": ROWS, "last": np.array([-1], np.int64), "ten": np.float32(10), "one": np.float32(1), "hundred": np.float32(100)}
    entry = (INT64, ["batch", length])
    inputs = {"input_ids": entry, "attention_mask": entry, "token_type_ids": entry}
    return write_onnx(path, inputs, {"last_hidden_state": (FLOAT, ["batch", length, 3])}, nodes, constants)


def said(*numbers: int) -> np.ndarray:
    return ROWS[[WORDS.index("[CLS]"), *numbers, WORDS.index("[SEP]")]]


@pytest.mark.parametrize("length", ["length", 12])
@pytest.mark.parametrize("pooling", ["auto", "first", "last"])
def test_a_text_becomes_a_vector_of_the_tokens_that_count(tmp_path: Path, length: int | str, pooling: str) -> None:
    # Given a model of any length, or of one at which most places are empty
    model = reader(beside(tmp_path) / "m.onnx", length)
    # When it reads a text of which one word is in two parts and one unknown
    _, stage = play(model, "The Moths glow", to="text", decode="embedding", pooling=pooling)
    rows = said(4, 8, 9, 1)
    right = {"auto": rows.mean(axis=0), "first": rows[0], "last": rows[-1]}[pooling]
    assert np.allclose(stage.values("values")[0], right / np.linalg.norm(right), atol=1e-5)


def test_a_sentence_in_pieces_is_read_when_it_is_whole(tmp_path: Path) -> None:
    role, stage = put_on(Onnx, tmp_path, model=reader(beside(tmp_path) / "m.onnx"), decode="raw")
    role.setup()
    for piece, more in (("the la", True), ("mp", False), ("joy", False)):
        role.on_text(Frame(piece, more=more))
    assert np.allclose(stage.values("values")[0][0], said(4, 5), atol=1e-5) and np.allclose(
        stage.values("values")[1][0], said(10), atol=1e-5
    )


def test_the_second_of_a_pair_is_told_apart_and_what_is_too_long_is_cut(tmp_path: Path) -> None:
    _, stage = play(reader(beside(tmp_path) / "m.onnx"), "moth", to="text", decode="raw", second="lamp", tokens_max=8)
    values = stage.values("values")[0][0]
    assert np.allclose(values[:3], said(8), atol=1e-5) and np.allclose(values[3:], ROWS[[5, 3]] + 10, atol=1e-5)
    _, stage = play(reader(tmp_path / "m.onnx"), "moth " * 50, to="text", decode="raw", tokens_max=8)
    assert stage.values("values")[0].shape == (1, 8, 3) and np.allclose(stage.values("values")[0][0], said(*[8] * 6), atol=1e-5)


def clip(path: Path) -> Path:
    """A picture and any number of texts -> logits_per_image [1, texts]: the sum of each text's tokens that count, times the mean pixel."""
    nodes = [
        node("Mul", ["input_ids", "attention_mask"], ["held"]),
        node("ReduceSum", ["held", "along"], ["sums"], keepdims=0),
        node("Cast", ["sums"], ["texts"], to=FLOAT),
        node("ReduceMean", ["pixel_values"], ["bright"], keepdims=0),
        node("Mul", ["texts", "bright"], ["row"]),
        node("Unsqueeze", ["row", "first"], ["logits_per_image"]),
    ]
    inputs = {
        "input_ids": (INT64, ["texts", "length"]),
        "pixel_values": (FLOAT, [1, 3, 32, 32]),
        "attention_mask": (INT64, ["texts", "length"]),
    }
    constants = {"along": np.array([1], np.int64), "first": np.array([0], np.int64)}
    return write_onnx(path, inputs, {"logits_per_image": (FLOAT, [1, "texts"])}, nodes, constants)


def test_a_picture_is_held_against_texts_of_ones_own(tmp_path: Path) -> None:
    model = clip(beside(tmp_path) / "m.onnx")
    _, stage = play(model, PICTURE, texts=["a moth", "a lamp is a moth", "joy"], input="pixel_values")
    # Then the sums of [CLS] + words + [SEP] times the grey of the picture are the logits, in the order of the texts
    logits = np.array([2 + 7 + 8 + 3, 2 + 7 + 5 + 6 + 7 + 8 + 3, 2 + 10 + 3]) * (120 / 255)
    right = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    assert stage.values("found")[0]["label"] == "a lamp is a moth"
    assert list(stage.values("found")[0]["scores"].values()) == pytest.approx(right, abs=2e-4)
    # And what it is like is said without the input's name too: it is the only one left
    assert play(model, PICTURE, texts=["joy"], activation="none")[1].values("found")[0]["scores"] == {
        "joy": pytest.approx(15 * 120 / 255, abs=1e-3)
    }


def test_a_model_of_entailment_sorts_texts_without_training(tmp_path: Path) -> None:
    # Given logits of contradiction, neutral, entailment for each pair: the last is a tenth of the second sentence's tokens
    nodes = [
        node("Mul", ["input_ids", "token_type_ids"], ["second"]),
        node("ReduceSum", ["second", "along"], ["sum"], keepdims=1),
        node("Cast", ["sum"], ["said"], to=FLOAT),
        node("Mul", ["said", "tenth"], ["share"]),
        node("Mul", ["share", "nothing"], ["none"]),
        node("Concat", ["none", "none", "share"], ["logits"], axis=1),
    ]
    constants = {"along": np.array([1], np.int64), "tenth": np.float32(0.1), "nothing": np.float32(0)}
    entry = (INT64, ["batch", "length"])
    model = write_onnx(
        beside(tmp_path) / "m.onnx", {"input_ids": entry, "token_type_ids": entry}, {"logits": (FLOAT, ["batch", 3])}, nodes, constants
    )
    with pytest.raises(RoleError, match="which of them"):
        play(model, "the lamp", to="text", texts=["joy", "grief"])
    (tmp_path / "config.json").write_text(json.dumps({"id2label": {"0": "contradiction", "1": "neutral", "2": "entailment"}}))
    _, stage = play(model, "the lamp", to="text", texts=["joy", "grief"])
    logits = np.array([10 + 3, 11 + 3]) * 0.1
    assert stage.values("found")[0]["scores"] == pytest.approx(
        dict(zip(["joy", "grief"], np.exp(logits) / np.exp(logits).sum(), strict=True)), abs=1e-4
    )


def mood(path: Path) -> Path:
    """Two classes of a text: logits are the number of its tokens, and 4."""
    nodes = [
        node("ReduceSum", ["attention_mask", "along"], ["sum"], keepdims=1),
        node("Cast", ["sum"], ["count"], to=FLOAT),
        node("Mul", ["input_ids", "attention_mask"], ["unused"]),
        node("Mul", ["count", "nothing"], ["none"]),
        node("Add", ["none", "four"], ["other"]),
        node("Concat", ["count", "other"], ["logits"], axis=1),
    ]
    constants = {"along": np.array([1], np.int64), "nothing": np.float32(0), "four": np.float32(4)}
    entry = (INT64, ["batch", "length"])
    return write_onnx(path, {"input_ids": entry, "attention_mask": entry}, {"logits": (FLOAT, ["batch", 2])}, nodes, constants)


def test_a_folder_as_exports_leave_it_is_played_without_an_option(tmp_path: Path) -> None:
    # Given onnx/model.onnx with what belongs to it a folder above, and a tokenizer in the library's own form
    (tmp_path / "onnx").mkdir()
    own = tokenizers.Tokenizer(tokenizers.models.WordLevel({word: at for at, word in enumerate(WORDS)}, unk_token="[UNK]"))
    own.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    own.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "config.json").write_text(json.dumps({"id2label": {"0": "grief", "1": "joy"}}))
    model = mood(tmp_path / "onnx" / "model.onnx")
    ways = Onnx.inspect_model(model)["fits"]
    assert ways[0]["options"] == {"decode": "classes"} and ways[0]["input"] == "text"
    _, stage = play(model, "the lamp", to="text")
    assert stage.values("found")[0]["label"] == "joy" and stage.values("found")[0]["score"] == pytest.approx(1 / (1 + np.exp(-2)), abs=1e-4)


def test_without_its_tokenizer_the_refusal_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(RoleError) as fault:
        play(mood(tmp_path / "m.onnx"))
    assert "tokenizer.json" in fault.value.instead
    (tmp_path / "broken.json").write_text("{}")
    for named in ("none.json", "broken.json", "../m.json"):
        with pytest.raises(RoleError) as fault:
            play(mood(tmp_path / "m.onnx"), tokenizer=named)
        assert "tokenizer" in str(fault.value)
    with pytest.raises(RoleError, match="nothing reads option texts"):
        play(mood(tmp_path / "m.onnx"), texts=["joy"], feed={"input_ids": [[1]], "attention_mask": [[1]]})


def test_a_model_of_strings_takes_them_as_they_are(tmp_path: Path) -> None:
    # Given a pipeline of texts as skl2onnx exports it: a column of strings, labels that are strings, and scores
    known = {"keys_strings": ["joy", "grief"], "values_floats": [3.0, -3.0], "default_float": 0.0}
    encoder: Any = node("LabelEncoder", ["text"], ["score"], domain="ai.onnx.ml", **known)
    nodes = [encoder, node("Neg", ["score"], ["other"]), node("Concat", ["score", "other"], ["scores"], axis=1)]
    model = write_onnx(
        tmp_path / "m.onnx", {"text": (TensorProto.STRING, [None, 1])}, {"scores": (FLOAT, [None, 2])}, nodes, {}, domains={"ai.onnx.ml": 3}
    )
    assert Onnx.inspect_model(model)["fits"][0]["input"] == "text"
    _, stage = play(model, "joy", "grief", "the lamp", to="text", labels=["glad", "sad"])
    assert [found["label"] for found in stage.values("found")[:2]] == ["glad", "sad"]
    assert [found["scores"]["glad"] for found in stage.values("found")] == pytest.approx([0.9975, 0.0025, 0.5], abs=1e-4)
