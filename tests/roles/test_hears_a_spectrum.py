"""Models that hear a spectrum, told by their options alone: what comes to them is worked out here once more, plainly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from mesh.errors import RoleError
from tests.roles.public_models import play
from tests.roles.small_models import FLOAT, INT64, node, write_onnx

RATE = 16000
WORDS = ["rising", "falling", "humming", "nothing"]


def said(word: str, rate: int = RATE) -> np.ndarray:
    """A second of one of four words that a whistling creature might say, with a little noise."""
    t = np.arange(rate) / rate
    noise = 0.01 * np.sin(np.arange(rate) ** 2 * 0.7)
    tones = {"rising": 300 * t + 600 * t * t, "falling": 1500 * t - 600 * t * t, "humming": 220 * t, "nothing": 0 * t}
    return np.asarray((0.5 * np.sin(2 * np.pi * tones[word]) * np.sin(np.pi * t) + noise).astype(np.float32))


def bands_of_lines() -> np.ndarray:
    """(257, 40): how much of each line of a transform of 512 is in each of 40 bands, straight in mel from 20 to 4000 Hz."""
    heights = np.linspace(1127 * np.log(1 + 20 / 700), 1127 * np.log(1 + 4000 / 700), 42)
    shares = np.zeros((257, 40))
    for line in range(1, 257):
        height = 1127 * np.log(1 + line * 31.25 / 700)
        for band in range(40):
            low, middle, high = heights[band : band + 3]
            shares[line, band] = max(0.0, min((height - low) / (middle - low), (high - height) / (high - middle)))
    return shares


def plain_mfcc(sound: np.ndarray) -> np.ndarray:
    """The front end of MLPerf Tiny's keyword spotter, written as its formulas are: 49 moments of 30 ms, 10 coefficients of 40 bands."""
    shares, found = bands_of_lines(), []
    for moment in range(49):
        piece = sound[moment * 320 : moment * 320 + 480] * (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(480) / 480))
        logs = np.log(np.abs(np.fft.fft(np.concatenate([piece, np.zeros(32)])))[:257] @ shares + 1e-6)
        found.append([(2 / 40) ** 0.5 * sum(logs[b] * np.cos(np.pi * (b + 0.5) * c / 40) for b in range(40)) for c in range(10)])
    return np.array(found)


def spotter(path: Path, shape: list[Any]) -> Path:
    """A keyword spotter: the word whose spectrum, as another program worked it out, is the nearest."""
    known = np.stack([plain_mfcc(said(word)).reshape(-1) for word in WORDS])
    constants = {"known": (2 * known.T).astype(np.float32), "square": -(known**2).sum(axis=1).astype(np.float32),
                 "row": np.array([1, 490], np.int64), "cool": np.float32(0.01)}  # fmt: skip
    nodes = [
        node("Reshape", ["mfcc", "row"], ["flat"]), node("MatMul", ["flat", "known"], ["alike"]),
        node("Add", ["alike", "square"], ["near"]), node("Mul", ["near", "cool"], ["calm"]), node("Softmax", ["calm"], ["scores"], axis=-1),
    ]  # fmt: skip
    return write_onnx(path, {"mfcc": (FLOAT, shape)}, {"scores": (FLOAT, [1, 4])}, nodes, constants)


@pytest.mark.parametrize("shape", [[1, 49, 10, 1], [1, 490], [1, 1, 49, 10], ["n", 49, 10]])
def test_a_keyword_spotter_plays_from_options_alone(tmp_path: Path, shape: list[Any]) -> None:
    # Given a room in which four words are said after each other, in frames of any length
    model = spotter(tmp_path / "m.onnx", shape)
    room = np.concatenate([said(word)[:15840] for word in WORDS])
    frames = [room[at : at + 1700] for at in range(0, len(room), 1700)]
    # When it hears them, with nothing told but whose spectrum it is
    _, stage = play(model, *frames, to="audio", spectrum="tiny_kws", labels=WORDS)
    # Then it knows each
    found = stage.values("found")
    assert [each["label"] for each in found] == WORDS and all(each["score"] > 0.9 for each in found)


def echo(path: Path, shape: list[Any], kind: int = FLOAT, **others: tuple[int, list[Any]]) -> Path:
    """A model that gives what it gets."""
    nodes = [node("Identity", ["x"], ["y"]), *(node("Identity", [name], [f"{name}_out"]) for name in others)]
    outputs = {"y": (kind, shape), **{f"{name}_out": other for name, other in others.items()}}
    return write_onnx(path, {"x": (kind, shape), **others}, outputs, nodes)


def got(model: Path, *frames: np.ndarray, **options: Any) -> list[np.ndarray]:
    return list(play(model, *frames, to="audio", decode="raw", **options)[1].values("values"))


def loud(pieces: np.ndarray) -> np.ndarray:
    """Magnitudes of the transform of 64, of moments that do not fade."""
    return np.asarray(np.abs(np.fft.fft(pieces, axis=-1))[..., :33])


PLAIN = {"bands": 0, "moment": 64, "step": 32, "power": 1, "shape": "none"}


def test_windows_follow_each_other_by_hop_and_hear_what_came_before(tmp_path: Path) -> None:
    # Given a model of 9 moments of 33 lines, which 320 samples have, and a hop of 100
    model = echo(tmp_path / "m.onnx", [1, 9, 33])
    sound = said("rising")[4000:4620]
    heard = got(model, *np.split(sound, 4), spectrum=PLAIN, window=256, context=64, hop=100)
    # Then each window is the spectrum of the samples that it covers, silence before the first
    lasting = np.concatenate([np.zeros(64), sound])
    assert len(heard) == 4
    for number, window in enumerate(heard):
        stretch = lasting[number * 100 : number * 100 + 320]
        pieces = np.stack([stretch[at * 32 : at * 32 + 64] for at in range(9)])
        assert window[0] == pytest.approx(loud(pieces), abs=1e-4)


def test_a_window_is_as_long_as_the_model_s_moments_say(tmp_path: Path) -> None:
    model = echo(tmp_path / "m.onnx", [1, 1, 96, 64])  # YAMNet's patches
    # 96 moments of 10 ms, the last 25 ms long: half of the samples are not enough, 15600 are
    assert not got(model, np.zeros(15599, np.float32), spectrum="yamnet")
    silent = got(model, np.zeros(15600, np.float32), spectrum="yamnet")[0]
    assert silent.shape == (1, 1, 96, 64) and silent == pytest.approx(np.log(0.001), abs=1e-5)


def test_the_rate_is_the_program_s_unless_it_is_written(tmp_path: Path) -> None:
    model = echo(tmp_path / "m.onnx", [1, 1, 101, 64])
    role, _ = play(model, decode="raw", spectrum="panns")
    assert role._hearing.rate == 32000
    role, _ = play(model, decode="raw", spectrum={"like": "panns", "high": 7000.0}, rate=16000)
    assert role._hearing.rate == 16000


def test_what_is_too_high_for_the_model_s_rate_is_not_heard_as_another_tone(tmp_path: Path) -> None:
    # Given a whistle of 10 kHz at 48,000 samples a second, and a model of 16,000
    model = echo(tmp_path / "m.onnx", [1, 96, 64])
    t = np.arange(48000) / 48000
    whistle, hum = (0.5 * np.sin(2 * np.pi * hertz * t).astype(np.float32) for hertz in (10000, 1000))
    # Then it hears nearly nothing of it, where taking every third sample would be a tone of 6 kHz
    heard = [got(model, sound, spectrum="yamnet", heard_rate=48000)[0] for sound in (whistle, hum)]
    assert heard[0][0, 5:-5].max() < -1 < 3 < heard[1].max()


def test_a_sound_that_lacks_what_the_model_hears_is_told_once(tmp_path: Path) -> None:
    role, stage = play(echo(tmp_path / "m.onnx", [1, 1, 101, 64]), decode="raw", spectrum="panns")
    for _ in range(3):
        list(role._hearing.take(np.zeros(1600, np.float32), 16000))
    told = [line for line in stage.said if "8000 Hz" in line]
    assert len(told) == 1 and "rate: 32000" in told[0]


def test_of_a_short_window_the_rest_is_silence_or_a_number(tmp_path: Path) -> None:
    # Given Whisper's half a minute, of which a room hears a second at a time
    model = echo(tmp_path / "w.onnx", ["batch_size", 80, 3000])
    heard = got(model, said("humming"), spectrum="whisper", window=16000)[0][0]
    assert heard.shape == (80, 3000) and float(np.ptp(heard[:, 200:])) == 0 and heard[:, :100].max() == pytest.approx(heard.max())
    # And AST's ten seconds, whose own program goes on with zeros before it takes off the mean
    model = echo(tmp_path / "a.onnx", [1, 1024, 128])
    heard = got(model, said("humming"), spectrum="ast", window=16000)[0][0]
    assert heard[98:] == pytest.approx(4.2677393 / 9.1379948) and float(np.ptp(heard[:98])) > 1
    # And a model of which nobody said what stands there is refused, with the length that would do
    with pytest.raises(RoleError) as fault:
        play(echo(tmp_path / "y.onnx", [1, 96, 64]), spectrum="yamnet", window=8000, decode="raw")
    assert "96 moments" in fault.value.what and "15600" in fault.value.instead and fault.value.where == "option window"


def test_how_long_the_sound_is_is_told_to_models_that_ask(tmp_path: Path) -> None:
    # NeMo's exports want the length beside the sound, W2v-BERT's want to know which moments count
    model = echo(tmp_path / "m.onnx", [1, 80, "time"], length=(INT64, [1]), attention_mask=(INT64, [1, "time"]))
    _, stage = play(model, said("rising"), to="audio", decode="raw", spectrum="nemo", window=16000)
    found = stage.values("found")[0]
    assert found["length_out"] == [100] and found["attention_mask_out"] == [[1] * 100]
    # So do some that hear samples
    model = echo(tmp_path / "s.onnx", [1, "samples"], lens=(TensorProto.INT32, ["n"]))
    _, stage = play(model, said("rising"), to="audio", decode="raw", window=800)
    assert stage.values("found")[0]["lens_out"] == [800]


def test_whole_numbers_are_made_by_mean_and_std(tmp_path: Path) -> None:
    """A quantised spotter: number = value / scale + zero, held within a byte."""
    scale, zero = 0.5, 83
    model = echo(tmp_path / "m.onnx", [1, 49, 10, 1], TensorProto.INT8)
    heard = got(model, said("rising"), spectrum={"like": "tiny_kws", "mean": -zero * scale, "std": scale})[0]
    wanted = np.clip(np.rint(plain_mfcc(said("rising")) / scale + zero), -128, 127)
    assert heard.dtype == np.int8 and heard[0, :, :, 0].tolist() == wanted.tolist()


def test_without_a_word_the_refusal_names_the_option(tmp_path: Path) -> None:
    role, _ = play(echo(tmp_path / "m.onnx", [1, 96, 64]), decode="raw")
    with pytest.raises(RoleError) as fault:
        list(role._hearing.take(said("rising"), RATE))
    assert "spectrum: whisper" in fault.value.instead
    # And a spectrum of the wrong bands, or of no told length, is refused when it starts
    for options, word in (({"spectrum": "whisper"}, "64"), ({"spectrum": "yamnet", "window": 400}, "15600")):
        with pytest.raises(RoleError) as fault:
            play(echo(tmp_path / "m.onnx", [1, 96, 64]), decode="raw", **options)
        assert word in fault.value.instead
    with pytest.raises(RoleError) as fault:
        play(echo(tmp_path / "o.onnx", ["n", "t", 80]), decode="raw", spectrum="kaldi")
    assert fault.value.where == "option window" and "any length" in fault.value.what


MVN = """<Nnet>
<Splice> 33 33
[ 0 ]
<AddShift> 33 33
<LearnRateCoef> 0 [ {shift} ]
<Rescale> 33 33
<LearnRateCoef> 0 [ {scale} ]
</Nnet>
"""


def listed(values: Any) -> str:
    return " ".join(f"{value:.6f}" for value in values)


def test_the_statistics_of_many_bands_lie_in_a_file_or_in_the_model_itself(tmp_path: Path) -> None:
    # Given means and deviations of 33 lines, in each of the ways in which they are handed on
    mean, std = np.linspace(-3, 5, 33), np.linspace(1, 2, 33)
    (tmp_path / "am.mvn").write_text(MVN.format(shift=listed(-mean), scale=listed(1 / std)))
    (tmp_path / "stats.json").write_text(json.dumps({"mean": mean.tolist(), "std": std.tolist()}))
    wenet = {"mean_stat": (mean * 50).tolist(), "var_stat": ((std**2 + mean**2) * 50).tolist(), "frame_num": 50}
    (tmp_path / "global_cmvn").write_text(json.dumps(wenet))
    model = echo(tmp_path / "m.onnx", [1, 9, 33])
    plain = got(model, said("rising")[:320], spectrum=PLAIN)[0]
    # Then the model gets the numbers less the one, by the other
    for file in ("am.mvn", "stats.json", "global_cmvn"):
        heard = got(model, said("rising")[:320], spectrum={**PLAIN, "statistics": file})[0]
        assert heard == pytest.approx((plain - mean) / std, abs=1e-4), file
    itself = write_onnx(tmp_path / "s.onnx", {"x": (FLOAT, [1, 9, 33])}, {"y": (FLOAT, [1, 9, 33])}, [node("Identity", ["x"], ["y"])],
                        metadata={"neg_mean": ",".join(map(str, -mean)), "inv_stddev": ",".join(map(str, 1 / std))})  # fmt: skip
    assert got(itself, said("rising")[:320], spectrum=PLAIN)[0] == pytest.approx((plain - mean) / std, abs=1e-4)
    assert got(itself, said("rising")[:320], spectrum={**PLAIN, "mean": 0.0})[0] == pytest.approx(plain)  # what is written goes before
    # And a file that is none, or not as long as a moment, is refused by name
    for wrong in ("no mvn", "{}", '{"mean": [1, 2], "std": [1, 0]}', '{"mean": [1, 2], "std": [1, 1]}'):
        (tmp_path / "wrong").write_text(wrong)
        with pytest.raises(RoleError) as fault:
            got(model, spectrum={**PLAIN, "statistics": "wrong"})
        assert "spectrum" in str(fault.value.where)
    with pytest.raises(RoleError) as fault:
        got(model, spectrum={**PLAIN, "statistics": "nowhere.mvn"})
    assert "nowhere.mvn" in fault.value.what
