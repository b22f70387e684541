"""A model that hears a spectrum is known by what lies beside it, or by its sides; and a speech model writes what it hears."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mesh.cli.kinds import options_of
from mesh.core.kind import Kind
from roles.inference.onnx import Onnx
from roles.inference.onnx_options import OnnxOptions
from tests.roles.public_models import play, public
from tests.roles.small_models import FLOAT, INT64, node, write_onnx
from tests.roles.test_hears_a_spectrum import said

# What transformers' save_pretrained writes of each, what is not read left out; the model's input; what is to be written in the deployment.
BESIDE: dict[str, tuple[dict[str, Any], list[Any], Any]] = {
    "WhisperFeatureExtractor": ({"feature_size": 80, "hop_length": 160, "n_fft": 400}, ["batch_size", 80, 3000], "whisper"),
    "WhisperFeatureExtractor, large-v3": (
        {"feature_size": 128, "hop_length": 160, "n_fft": 400}, ["b", 128, 3000], {"like": "whisper", "bands": 128}
    ),
    "ASTFeatureExtractor": (
        {"do_normalize": True, "mean": -4.2677393, "std": 4.5689974, "num_mel_bins": 128, "max_length": 1024}, ["b", 1024, 128], "ast"
    ),
    "ASTFeatureExtractor, of commands": (
        {"do_normalize": True, "mean": -6.845978, "std": 5.5654526, "num_mel_bins": 128, "max_length": 128}, [1, 128, 128],
        {"like": "ast", "mean": -6.845978, "std": 11.1309052},
    ),
    "SeamlessM4TFeatureExtractor": ({"feature_size": 80, "num_mel_bins": 80, "stride": 2}, ["b", "time", 160], "seamless"),
    "ParakeetFeatureExtractor": (
        {"feature_size": 80, "hop_length": 160, "n_fft": 512, "win_length": 400, "preemphasis": 0.97}, ["b", "time", 80], "nemo"
    ),
    "ClapFeatureExtractor": (
        {"sampling_rate": 48000, "feature_size": 64, "fft_window_size": 1024, "hop_length": 480, "frequency_min": 50,
         "frequency_max": 14000, "truncation": "rand_trunc"}, ["b", 1, 1001, 64], {"like": "clap", "low": 50},
    ),
    "Speech2TextFeatureExtractor": (
        {"feature_size": 80, "num_mel_bins": 80}, ["b", "time", 80], {"like": "kaldi", "full": 32768.0, "normalise": "bands_whole"}
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BESIDE)
def test_what_lies_beside_a_model_says_which_spectrum(tmp_path: Path, name: str) -> None:
    told, shape, spectrum = BESIDE[name]
    told = {"sampling_rate": 16000, "feature_extractor_type": name.partition(",")[0], **told}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(told))
    model = public(tmp_path / "m.onnx", ("input_features", FLOAT, shape), {"logits": np.linspace(0, 1, 7)[None]})
    first = Onnx.inspect_model(model)["fits"][0]
    window = {"window": 32000} if "time" in shape else {}
    assert first == {"options": {"decode": "classes", "spectrum": spectrum, **window}, "why": "scores of 7 classes", "input": "audio"}
    # And with these lines it plays
    rate = 48000 if "clap" in str(spectrum) else 16000
    _, stage = play(model, np.zeros((32 * rate, 1), np.float32), to="audio", **first["options"])
    assert stage.values("found")[0]["label"] == "6"


@pytest.mark.parametrize(
    ("name", "shape", "spectrum"),
    [
        ("mel", [1, 80, 3000], "whisper"), ("input_features", ["n", 80, "t"], "nemo"), ("feats", ["B", "T", 80], "kaldi"),
        ("audio", [1, 1, 96, 64], "yamnet"), ("x", ["n", 49, 40], "speech_commands"), ("x", [1, 49, 10, 1], "tiny_kws"),
        ("mels", ["batch", 160, 40], "resemblyzer"), ("speech", ["batch", "feats_length", 560], "funasr"),
        ("x", [1, 124, 129, 1], "tensorflow"),
    ],
)  # fmt: skip
def test_a_spectrum_is_known_by_its_sides(tmp_path: Path, name: str, shape: list[Any], spectrum: str) -> None:
    model = public(tmp_path / "m.onnx", (name, FLOAT, shape), {"scores": np.linspace(0, 1, 7)[None]})
    assert Onnx.inspect_model(model)["fits"][0]["options"]["spectrum"] == spectrum


@pytest.mark.parametrize("shape", [[1, 3, 96, 64], [1, 1, 96, 96], ["n", 96, 96], [1, 512], [1, 16, 96], ["n", "t", 80]])
def test_what_is_no_spectrum_is_taken_for_none(tmp_path: Path, shape: list[Any]) -> None:
    model = public(tmp_path / "m.onnx", ("x", FLOAT, shape), {"scores": np.linspace(0, 1, 7)[None]})
    assert all("spectrum" not in way["options"] for way in Onnx.inspect_model(model)["fits"])


LETTERS = ["▁room", "▁full", "▁", "s", "<unk>", "<|en|>", "<blk>"]


def writer(path: Path) -> Path:
    """A speech model as NeMo's are exported: spectrum and length in; for every eight moments, scores of pieces of words and a blank, the
    last. It says the same whatever it hears, as many moments as it is told there are."""
    moments = [5, 6, 0, 0, 6, 1, 3, 6, 3, 4, 6, 6, 6]
    scores = np.full((1, len(moments), len(LETTERS)), -4.0, np.float32)
    scores[0, np.arange(len(moments)), moments] = 4.0
    nodes = [
        node("Add", ["length", "seven"], ["more"]), node("Div", ["more", "eight"], ["count"]),
        node("Slice", ["scores", "from", "count", "along"], ["cut"]), node("ReduceMean", ["audio_signal"], ["mean"], keepdims=0),
        node("Mul", ["mean", "none"], ["nothing"]), node("Add", ["cut", "nothing"], ["logprobs"]),
    ]  # fmt: skip
    constants = {"scores": scores, "seven": np.array([7], np.int64), "eight": np.array([8], np.int64), "from": np.array([0], np.int64),
                 "along": np.array([1], np.int64), "none": np.float32(0)}  # fmt: skip
    inputs = {"audio_signal": (FLOAT, ["batch", 80, "time"]), "length": (INT64, ["batch"])}
    return write_onnx(path, inputs, {"logprobs": (FLOAT, ["batch", "moments", len(LETTERS)])}, nodes, constants)


def test_a_speech_model_writes_what_it_hears_with_the_letters_beside_it(tmp_path: Path) -> None:
    # Given a model with its pieces of words beside it, as sherpa-onnx lists them
    model = writer(tmp_path / "model.onnx")
    (tmp_path / "tokens.txt").write_text("".join(f"{piece} {number}\n" for number, piece in reversed(list(enumerate(LETTERS)))))
    # When it is looked at, the lines to write are found, and with these it plays
    first = Onnx.inspect_model(model)["fits"][0]["options"]
    assert first == {"decode": "letters", "input": "audio_signal", "spectrum": "nemo", "window": 32000}
    _, stage = play(model, said("rising"), to="audio", **{**first, "window": 16000})
    # Then repetitions are one, blanks and marks are not written
    assert stage.values("text") == ["room fullss"]
    # And of a shorter window it reads as many moments as there are: (32 + 7) // 8
    _, stage = play(model, said("rising"), to="audio", **{**first, "window": 32 * 160})
    assert stage.values("text")[0] == "room"


def test_a_list_whose_names_end_in_numbers_keeps_them(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("room 0\nroom 1\n")
    model = public(tmp_path / "m.onnx", ("x", FLOAT, [1, 4]), {"y": np.array([[0.2, 0.8]])})
    _, stage = play(model, np.zeros((1, 4), np.float32), to="vector", labels="names.txt")
    assert stage.values("found")[0]["label"] == "room 1"


def test_kinds_tells_what_an_option_of_pairs_holds() -> None:
    told = options_of(Kind("inference.onnx", options=OnnxOptions.model_json_schema()))
    assert "whisper" in told["spectrum"]["takes"] and told["spectrum"]["keys"]["bands"]["default"] == 64
    assert "steps" in told["priors"]["keys"] and "default" not in told["priors"]["keys"]["steps"] and "keys" not in told["rate"]


FUNASR = {"normalize_samples": "0", "lfr_window_size": "7", "lfr_window_shift": "6", "neg_mean": ",".join(["8.5"] * 560),
          "inv_stddev": ",".join(["0.2"] * 560)}  # fmt: skip
ITSELF: dict[str, tuple[dict[str, str], list[Any], Any]] = {  # as sherpa-onnx's exports say of themselves
    "SenseVoice": (FUNASR, ["N", "T", 560], "funasr"),
    "a voice activity model": (
        {**FUNASR, "lfr_window_size": "5", "lfr_window_shift": "1", "neg_mean": ",".join(["8.5"] * 400),
         "inv_stddev": ",".join(["0.2"] * 400)}, [1, "feats_length", 400], {"like": "funasr", "stack": 5, "stack_step": 1},
    ),
    "NeMo's of letters": ({"normalize_type": "per_feature", "subsampling_factor": "8"}, ["B", 80, "T"], "nemo"),
    "NeMo's of voices": ({"framework": "nemo", "feature_normalize_type": "per_feature"}, ["B", 64, "T"], {"like": "nemo", "bands": 64}),
    "WeSpeaker": ({"framework": "wespeaker", "normalize_samples": "0"}, ["B", "T", 80], "wespeaker"),
    "3D-Speaker": ({"framework": "3d-speaker", "normalize_samples": "1"}, ["B", "T", 80], {"like": "kaldi", "normalise": "mean"}),
}  # fmt: skip


@pytest.mark.parametrize("name", ITSELF)
def test_what_a_model_says_of_itself_says_which_spectrum(tmp_path: Path, name: str) -> None:
    metadata, shape, spectrum = ITSELF[name]
    model = public(tmp_path / "m.onnx", ("x", FLOAT, shape), {"y": np.linspace(0, 1, 7)[None]}, metadata)
    assert Onnx.inspect_model(model)["fits"][0]["options"] == {"decode": "classes", "spectrum": spectrum, "window": 32000}
