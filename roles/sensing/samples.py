"""Sound that is not a device's: WAV files, a made-up room; and changing the number of samples a second.

Written here because the standard library's `wave` reads no floating-point files, which is what most audio programs
write, and because a model hears the difference between samples left out and samples resampled: a windowed sinc is twenty
lines. Decided against: libsndfile for one format, and SciPy for one function.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from mesh.errors import RoleError

FILE_BYTES_MAX = 512 << 20
PARTS_MAX = 1024  # of a sample, whose weights are kept
TAPS = 32  # samples to each side of a point, at the lower of the two rates
Samples = np.ndarray[Any, np.dtype[np.float32]]  # (samples, channels), -1 to 1


def read_wav(path: Path, shown: str) -> tuple[Samples, int]:
    """The whole file and its samples a second: PCM of 8, 16, 24 or 32 bits, or floating point. Raises RoleError for what is none."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise RoleError(f"{shown} is larger than {FILE_BYTES_MAX >> 20} MB", instead="shorten it: it is played in a loop")
        data = path.read_bytes()
        if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
            raise ValueError("it does not begin as one")
        form, sound = _chunks(data)
        kind, channels, rate, bits = (int.from_bytes(form[a:b], "little") for a, b in ((0, 2), (2, 4), (4, 8), (14, 16)))
        if kind == 0xFFFE:  # "extensible": the kind stands further on
            kind = int.from_bytes(form[24:26], "little")
        if not 1 <= channels <= 64 or not 1000 <= rate <= 768_000:
            raise ValueError(f"{channels} channels at {rate} samples a second")
        frames = _decoded(sound, kind, bits)
        frames = frames[: len(frames) - len(frames) % channels].reshape(-1, channels)
        if not len(frames):
            raise ValueError("there is no sound in it")
    except OSError as error:
        raise RoleError(f"{shown} cannot be read: {error.strerror}", where="option source") from None
    except (ValueError, IndexError) as error:
        raise RoleError(f"{shown} is no WAV file that can be played: {error}", where="option source",
                        instead="write it as WAV, 16-bit PCM") from None
    return frames, rate


def _chunks(data: bytes) -> tuple[bytes, bytes]:
    form, at = b"", 12
    while at + 8 <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if name == b"fmt ":
            form = data[at + 8 : at + 8 + size]
        elif name == b"data":
            return form, data[at + 8 : at + 8 + size]  # a recorder that was killed wrote a length that is too large, or none
        at += 8 + size + size % 2
    raise ValueError("there is no sound in it")


def _decoded(sound: bytes, kind: int, bits: int) -> Samples:
    width = bits // 8
    sound = sound[: len(sound) - len(sound) % max(1, width)]
    if kind == 3 and bits in (32, 64):
        found = np.frombuffer(sound, f"<f{width}").astype(np.float32)
        return np.nan_to_num(np.clip(found, -1, 1))
    if kind == 1 and bits == 8:
        return ((np.frombuffer(sound, np.uint8).astype(np.float32) - 128) / 128).astype(np.float32)
    if kind == 1 and bits == 24:
        thirds = np.frombuffer(sound, np.uint8).reshape(-1, 3)
        wide = np.zeros((len(thirds), 4), np.uint8)
        wide[:, 1:] = thirds
        return (wide.reshape(-1).view("<i4") / 2.0**31).astype(np.float32)
    if kind == 1 and bits in (16, 32):
        return (np.frombuffer(sound, f"<i{width}") / 2.0 ** (bits - 1)).astype(np.float32)
    raise ValueError(f"it is in a form (kind {kind}, {bits} bits) that is not read here")


class Resampler:
    """Turns blocks at one rate into blocks at another, with no seam between them. Equal rates pass through.

    Places are counted in whole fractions of a sample, so that nothing drifts; where there are few, as between 44,100 and 16,000, the
    weights of each are made once: a second then costs some hundredths of a second.
    """

    def __init__(self, of: float, to: float, channels: int) -> None:
        rates = (max(1, round(of)), max(1, round(to)))
        self._same = rates[0] == rates[1]
        self._step, self._parts = (rate // math.gcd(*rates) for rate in rates)  # of each sample, so many parts; from one to the next
        self._cut = min(1.0, rates[1] / rates[0]) * 0.95  # what is too high for the lower rate must go
        self._reach = math.ceil(TAPS / self._cut)
        self._offsets = np.arange(-self._reach + 1, self._reach + 1)
        self._kept: Samples = np.zeros((self._reach, channels), np.float32)
        self._next = self._reach * self._parts  # where the next sample lies, in parts, counted from the beginning of what is kept
        few = not self._same and self._parts <= PARTS_MAX
        self._table = self._weights(np.arange(self._parts)) if few else None

    def turn(self, block: Samples) -> Samples:
        """As many samples as can be known by now."""
        if self._same:
            return block
        self._kept = np.concatenate([self._kept, block])
        last = (len(self._kept) - self._reach) * self._parts
        count = max(0, -(-(last - self._next) // self._step))
        found = self._at(self._next + self._step * np.arange(count))
        self._next += count * self._step
        done = self._next // self._parts - self._reach
        self._kept, self._next = self._kept[done:], self._next - done * self._parts
        return found

    def _at(self, places: Any) -> Samples:
        if not len(places):
            return np.zeros((0, self._kept.shape[1]), np.float32)
        whole, parts = np.divmod(places, self._parts)
        weights = self._weights(parts) if self._table is None else self._table[parts]
        return np.einsum("nk,nkc->nc", weights, self._kept[whole[:, None] + self._offsets[None, :]])

    def _weights(self, parts: Any) -> Samples:
        """(places, neighbours) for places so many parts after a sample: a sinc within a cosine's bell."""
        apart = parts[:, None] / self._parts - self._offsets[None, :]
        weights = np.sinc(apart * self._cut) * self._cut * (0.5 + 0.5 * np.cos(np.pi * np.clip(apart / self._reach, -1, 1)))
        return np.asarray((weights / weights.sum(axis=1, keepdims=True)).astype(np.float32))


def made_up_room(rate: int, channels: int, seconds: float = 60.0, seed: int = 1) -> Samples:
    """A room with people in it, to be played in a loop: a hum, air, steps, and now and then somebody who speaks.

    The voices are bursts of harmonics at the pace of syllables: enough for a level and a voice detector, no words.
    """
    chance = np.random.default_rng(seed)
    count = int(rate * seconds)
    time_s = np.arange(count) / rate
    air = np.convolve(chance.standard_normal(count + 15), np.ones(16) / 16, "valid") * 0.004
    sound = air + 0.002 * np.sin(2 * np.pi * 50 * time_s)
    at_s = 1.0
    while at_s < seconds - 4:
        if chance.random() < 0.4:
            _add(sound, rate, at_s, _speech(chance, rate, chance.uniform(1.0, 3.0)))
            at_s += 3.0
        for step in range(int(chance.integers(2, 7))):
            if at_s + step * 0.55 < seconds - 1:
                thud = chance.standard_normal(rate // 12) * np.exp(-np.arange(rate // 12) / (rate / 90))
                _add(sound, rate, at_s + step * 0.55, np.convolve(thud, np.ones(8) / 8, "same") * 0.05)
        at_s += chance.uniform(2.0, 6.0)
    return np.repeat(np.clip(sound, -1, 1).astype(np.float32)[:, None], channels, axis=1)


def _speech(chance: Any, rate: int, seconds: float) -> Any:
    time_s = np.arange(int(rate * seconds)) / rate
    pitch = chance.uniform(100, 220) * (1 + 0.1 * np.sin(2 * np.pi * 0.7 * time_s + chance.uniform(0, 6)))
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    voice = sum(np.sin(number * phase) / number for number in range(1, 12))
    syllables = np.clip(np.sin(2 * np.pi * chance.uniform(3.0, 4.5) * time_s), 0, None) ** 0.6
    return voice * syllables * 0.14


def _add(sound: Any, rate: int, at_s: float, what: Any) -> None:
    start = int(at_s * rate)
    end = min(len(sound), start + len(what))
    sound[start:end] += what[: end - start]
