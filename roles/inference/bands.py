"""The shapes that a spectrum is weighed with: how a moment fades in and out, which lines make a band, the cosines of a cepstrum.

Each is a table that is made once. The formulas are those of the programs that trained the models (librosa, torchaudio, Kaldi, TensorFlow,
python_speech_features, SpeechBrain), which differ in where a slope is straight and in whether a window's ends are alike.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from roles.inference.intake import Array

BREAK_HZ, BREAK_MEL, LOG_STEP = 1000.0, 15.0, np.log(6.4) / 27  # where Slaney's scale becomes logarithmic


@lru_cache(maxsize=16)
def fading(shape: str, length: int, symmetric: bool) -> Array:
    """(length,): how a moment begins and ends."""
    if shape == "none":
        return np.ones(length)
    turn = 2 * np.pi * np.arange(length) / max(1, length - symmetric)
    if shape == "blackman":
        return np.asarray(0.42 - 0.5 * np.cos(turn) + 0.08 * np.cos(2 * turn))
    high = 0.54 if shape == "hamming" else 0.5
    bell = np.asarray(high - (1 - high) * np.cos(turn))
    return np.asarray(bell**0.85) if shape == "povey" else bell


@lru_cache(maxsize=16)
def triangles(rate: int, fft: int, bands: int, low: float, high: float, scale: str, even: bool, slopes: str) -> Array:
    """(lines, bands): what of each line of the transform belongs to each band, triangles between neighbours of equal steps in mel."""
    lines = np.arange(fft // 2 + 1) * rate / fft
    steps = np.linspace(mel(np.array(low), scale), mel(np.array(high), scale), bands + 2)
    edges, at = hertz(steps, scale), lines
    if slopes == "mel":
        edges, at = steps, mel(lines, scale)
    elif slopes == "lines":
        edges, at = np.floor((fft + 1) * edges / rate), np.arange(len(lines), dtype=np.float64)
    below, above = np.diff(edges)[:-1], np.diff(edges)[1:]
    if slopes == "alike":
        above = below
    with np.errstate(divide="ignore", invalid="ignore"):
        up = (at[:, None] - edges[:-2]) / below
        down = (edges[1:-1] + above - at[:, None]) / above
    shares: Array = np.clip(np.nan_to_num(np.minimum(up, down), posinf=0, neginf=0), 0, None)
    if slopes == "lines":  # a line on a band's middle is all its own, even where a slope has no width
        middle = (at[:, None] == edges[1:-1]) & (above > 0)
        shares = np.where(middle, 1.0, shares)
    return shares * (2.0 / (hertz(steps, scale)[2:] - hertz(steps, scale)[:-2])) if even else shares


def mel(hz: Array, scale: str) -> Array:
    """How high a tone sounds."""
    if scale == "htk":
        return np.asarray(2595.0 * np.log10(1.0 + hz / 700.0))
    above = BREAK_MEL + np.log(np.maximum(hz, BREAK_HZ) / BREAK_HZ) / LOG_STEP
    return np.asarray(np.where(hz < BREAK_HZ, hz * BREAK_MEL / BREAK_HZ, above))


def hertz(height: Array, scale: str) -> Array:
    """The tone that sounds so high."""
    if scale == "htk":
        return np.asarray(700.0 * (10.0 ** (height / 2595.0) - 1.0))
    return np.asarray(np.where(height < BREAK_MEL, height * BREAK_HZ / BREAK_MEL, BREAK_HZ * np.exp(LOG_STEP * (height - BREAK_MEL))))


@lru_cache(maxsize=16)
def cosines(bands: int, count: int, kind: str, lifter: float) -> Array:
    """(bands, count): the cosine transform of the second kind, orthonormal, or with a first as large as the rest; liftered."""
    at, order = np.arange(bands)[:, None] + 0.5, np.arange(count)[None]
    waves = np.cos(np.pi * at * order / bands) * np.sqrt(2.0 / bands)
    if kind == "ortho":
        waves[:, 0] /= np.sqrt(2.0)
    raised: Array = waves * (1 + lifter / 2 * np.sin(np.pi * order / lifter)) if lifter else waves
    return raised
