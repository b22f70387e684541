"""A spectrum is what the program that it is like makes of the same sound.

`spectra.json` holds numbers of those programs, not of ours: librosa 0.11, torchaudio 2.9 (its compliance.kaldi), kaldi-native-fbank 1.23,
torchlibrosa 0.1, SpeechBrain 1.0, transformers 5.24 (Whisper, AST, SeamlessM4T, Parakeet, CLAP), TensorFlow 2.21 (tf.signal, the ops of
speech_commands), python_speech_features 0.6, each of `heard` at its own rate.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from mesh.core.options import faults
from mesh.errors import RoleError
from roles.inference.onnx_options import OnnxOptions
from roles.inference.spectrum import Ear
from roles.inference.spectrum_layout import Layout
from roles.inference.spectrum_options import LIKE, Like, Spectrum, told

SPECTRA: dict[str, Any] = json.loads(Path(__file__).with_name("spectra.json").read_text())
CLOSE = 1e-4  # of the numbers' range: those programs count in single precision


def heard(rate: int, samples: int) -> np.ndarray:
    """A rising tone, a steady one that comes and goes, a hiss, a little off the middle."""
    n = np.arange(samples)
    t, length = n / rate, samples / rate
    sweep = 0.4 * np.sin(2 * np.pi * (60 * t + (0.45 * rate - 60) / (2 * length) * t * t))
    steady = 0.2 * np.sin(2 * np.pi * 440 * t) * np.sin(np.pi * t / length) ** 2
    hiss = 0.05 * np.sin(0.001 * (n % 4001) ** 2 + 0.37 * (n % 613) ** 2)
    return np.asarray((sweep + steady + hiss + 0.01).astype(np.float32))


def ear(asked: Spectrum | str, rate: int | None = None) -> Ear:
    how = told(asked)
    assert how is not None
    return Ear(how, rate or how.rate or 16000)


@pytest.mark.parametrize("name", SPECTRA)
def test_a_spectrum_is_what_the_program_it_is_like_makes_of_the_same_sound(name: str) -> None:
    like, _, bands = name.partition("@")
    hearing = ear(Spectrum(like=like, bands=int(bands)) if bands else like)
    said = SPECTRA[name]
    sound = heard(hearing.rate, hearing.rate)
    rows = hearing.hear(sound)
    # what is told of lengths is so
    assert len(rows) == hearing.moments(len(sound)) and rows.shape[1] == hearing.width == said["bands"]
    assert hearing.moments(hearing.samples(len(rows))) == len(rows)
    # AST's own program goes on with nothing up to its length
    assert len(rows) == said["rows"] or (name, len(rows)) == ("ast", 98)
    numbers = hearing.numbers(rows)
    ours = [float(numbers[(k * 37 + 5) % len(rows), (k * 23 + 3) % said["bands"]]) for k in range(len(said["says"]))]
    assert ours == pytest.approx(said["says"], abs=CLOSE * float(np.ptp(numbers)))


def test_every_name_is_held_against_its_program() -> None:
    assert set(get_args(Like)) == set(LIKE) == {name.partition("@")[0] for name in SPECTRA}


def test_what_is_written_beside_a_name_goes_before_and_milliseconds_are_samples_of_the_rate() -> None:
    assert ear("kaldi", 8000).moment == 200 and ear("kaldi", 8000).step == 80 and ear("kaldi", 8000).fft == 256
    assert ear(Spectrum(like="kaldi", moment=320)).moment == 320 and ear(Spectrum(like="kaldi", moment=320)).step == 160
    assert ear(Spectrum(like="nemo", moment_ms=20, step_ms=8)).moment == 320 and ear(Spectrum(like="nemo", step_ms=8)).step == 128
    assert ear(Spectrum(like="librosa", fft=1024)).moment == 1024
    assert ear(Spectrum(bands=0, fft=64)).width == 33 and ear("funasr").width == 560


def test_how_fast_it_changes_stands_beside_it() -> None:
    plain = ear("kaldi_mfcc")
    sound = heard(16000, 8000)
    rows = plain.hear(sound)

    def slope(values: np.ndarray, at: int, band: int) -> float:
        """As Kaldi's documentation has it, for two moments to each side."""
        near = [values[min(max(at + apart, 0), len(values) - 1), band] for apart in (-2, -1, 1, 2)]
        return float(-2 * near[0] - near[1] + near[2] + 2 * near[3]) / 10

    both = ear(Spectrum(like="kaldi_mfcc", deltas=2))
    found = both.hear(sound)
    assert both.width == 39 == found.shape[1] and np.array_equal(found[:, :13], rows)
    first = np.array([[slope(rows, at, band) for band in range(13)] for at in range(len(rows))])
    second = np.array([[slope(first, at, band) for band in range(13)] for at in range(len(rows))])
    assert found[:, 13:26] == pytest.approx(first) and found[:, 26:] == pytest.approx(second)


def test_silence_is_a_finite_number_for_every_name() -> None:
    for name in LIKE:
        hearing = ear(name)
        assert np.isfinite(hearing.numbers(hearing.hear(np.zeros(hearing.rate, np.float32)))).all(), name


WIDE = Spectrum(like="whisper")  # bands first, where the shape leaves a doubt
LONG = Spectrum(like="kaldi")
SQUARE = Spectrum(like="kaldi", bands=64)


@pytest.mark.parametrize(
    ("how", "shape", "count", "moment_at"),
    [
        (WIDE, ["batch_size", 80, 3000], 3000, 2),
        (WIDE, [1, 3000, 80], 3000, 1),
        (WIDE, ["batch_size", "feature_size", "encoder_sequence_length"], None, 2),
        (LONG, ["N", "T", 80], None, 1),
        (LONG, ["N", 80, "T"], None, 2),
        (LONG, [None, None, None], None, 1),
        (LONG, [1, "time", "mel"], None, 1),
        (LONG, [1, "mel", "time"], None, 2),
        (LONG, [1, 1, 80, 101], 101, 3),
        (LONG, [1, 101, 80, 1], 101, 1),
        (LONG, [1, 3, 101, 80], 101, 2),
        (LONG, ["n", 1, None, 80], None, 2),
        (LONG, [101, 1, 80], 101, 0),
        (LONG, [101, 80], 101, 0),
        (LONG, [80, 101], 101, 1),
        (LONG, [1, 80], 1, 0),
        (SQUARE, [1, 64, 64], 64, 1),
        (Spectrum(like="whisper", bands=64), [1, 64, 64], 64, 2),
        (Spectrum(like="speech_commands", cepstrum=10), [1, 49, 10, 1], 49, 1),
    ],
)
def test_which_side_is_time_is_read_off_the_model_s_shape(how: Spectrum, shape: list[Any], count: int | None, moment_at: int) -> None:
    # Given rows that tell of which moment and of which band they are
    hearing = ear(how)
    rows = np.arange(count or 7)[:, None] * 1000.0 + np.arange(hearing.width)[None]
    # When they are laid into the model's input
    layout = Layout("x", shape, hearing, None)
    placed = layout.place(rows)
    # Then the shape is the model's, and going along the side of time goes from moment to moment
    assert layout.count == count and placed.ndim == len(shape)
    assert all(side == have for side, have in zip(shape, placed.shape, strict=True) if isinstance(side, int))
    along = np.diff(placed, axis=moment_at)
    assert along.size == 0 or (along == 1000.0).all()


def test_all_moments_in_one_row_come_after_each_other() -> None:
    hearing = ear(Spectrum(like="tiny_kws"))
    layout = Layout("x", [1, 490], hearing, None)
    assert layout.count == 49 and layout.place(np.arange(490.0).reshape(49, 10)).tolist() == [list(range(490))]


def test_an_order_that_is_asked_for_is_kept_and_of_too_many_moments_some_stay() -> None:
    rows = np.arange(70)[:, None] * np.ones(64)
    first = Layout("x", [1, 64, 64], ear(SQUARE), "bands").place(rows)
    assert first[0, 0].tolist() == list(range(64))
    last = Layout("x", [1, 64, 64], ear(Spectrum(like="kaldi", bands=64, keep="last")), "moments").place(rows)
    assert last[0, :, 0].tolist() == list(range(6, 70))
    with pytest.raises(RoleError) as fault:
        Layout("x", [1, 80, 100], ear(LONG), "moments")
    assert fault.value.where == "option spectrum: order"


@pytest.mark.parametrize("shape", [[1, 64, 3000], [1, 1000], [16001], [], [1, 9, 80, 100], ["n", 40, 49]])
def test_a_shape_that_has_no_place_for_the_bands_is_refused_with_its_sides(shape: list[Any]) -> None:
    with pytest.raises(RoleError) as fault:
        Layout("x", shape, ear(LONG), None)
    assert "x [" in fault.value.what and fault.value.where == "option spectrum" and fault.value.instead


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        ({"low": 9000}, "8000 Hz"), ({"low": 500, "high": 400}, "low"), ({"high": 12000}, "8000 Hz"), ({"moment": 600, "fft": 512}, "fft"),
        ({"cepstrum": 90, "bands": 80}, "cepstrum"), ({"cepstrum": 3, "skip": 3}, "skip"), ({"mean": [1.0, 2.0]}, "mean"),
        ({"std": 0.0}, "std"), ({"step_ms": 0.01}, "step"), ({"lines_from": 900}, "lines_from"),
    ],
)  # fmt: skip
def test_numbers_that_do_not_go_together_are_refused_in_words(asked: dict[str, Any], word: str) -> None:
    with pytest.raises(RoleError) as fault:
        ear(Spectrum(**asked))
    assert word in f"{fault.value.what}; {fault.value.instead}" and fault.value.where == "option spectrum"


def test_the_file_s_check_knows_the_names_and_the_steps() -> None:
    schema = OnnxOptions.model_json_schema()
    for good in ("whisper", {"like": "kaldi", "bands": 40}, {"moment_ms": 25, "bands": 64, "log": "ln", "fill": "silence"}, {"fill": 0.5}):
        assert not faults(schema, {"spectrum": good})
        OnnxOptions(spectrum=good)
    said = {str(bad): faults(schema, {"spectrum": bad}) for bad in ("wisper", {"like": "kaldo"}, {"band": 40}, {"bands": "many"}, 40)}
    assert all(said.values())
    assert "whisper" in said["wisper"][0][3] and "bands" in said["{'band': 40}"][0][3]


def test_a_sound_too_short_for_one_moment_says_how_long_it_must_be() -> None:
    for how in (Spectrum(like="kaldi"), Spectrum(like="whisper"), Spectrum(like="librosa", edges="none")):
        with pytest.raises(RoleError) as fault:
            ear(how).hear(np.zeros(20, np.float32))
        assert fault.value.where == "option window" and "samples" in fault.value.instead
