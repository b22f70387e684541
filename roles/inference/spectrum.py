"""A stretch of sound as its spectrum: moments by bands, by the steps that `spectrum_options` names.

Each window is computed whole, also where it overlaps the one before: ends that are padded, and numbers that are normalised over the window,
belong to it alone, and then what the model hears is what its own program would have given it of the same stretch. It costs little: a
second 0.2 to 0.6 ms, Whisper's half a minute 15 ms on one slow core (`python -m benchmarks.spectrum`).
"""

from __future__ import annotations

import numpy as np

from mesh.errors import RoleError
from roles.inference.bands import cosines, fading, triangles
from roles.inference.intake import Array
from roles.inference.spectrum_options import Spectrum

QUIET = 1e-30  # keeps a logarithm finite where something is added to it in place of a floor
STEP_MS = 10.0
CENTRED = ("zeros", "reflect")
LOGARITHMS = {"ln": np.log, "log2": np.log2, "log10": np.log10, "db": np.log10}


class Ear:
    """One way of hearing, ready: `width` numbers for each moment."""

    def __init__(self, how: Spectrum, rate: int) -> None:
        """`how` with all that `like` sets. RoleError that names the option where the numbers do not go together."""
        self.how, self.rate = how, rate
        moment = how.moment or (int(how.moment_ms * rate / 1000) if how.moment_ms else None)
        self.fft = how.fft or _power_of_two(moment or int(0.025 * rate))
        self.moment = moment or (how.fft or int(0.025 * rate))
        self.step = how.step or int((how.step_ms or STEP_MS) * rate / 1000)
        self.high = how.high if how.high is not None and how.high > 0 else rate / 2 + (how.high or 0.0)
        self.stack_step = how.stack_step or how.stack
        bands = how.bands or self.fft // 2 + 1
        self.width = ((how.cepstrum or bands) - how.skip * bool(how.cepstrum)) * (1 + how.deltas) * how.stack
        self._check(bands)

    def moments(self, samples: int) -> int:
        """How many moments so many samples give."""
        edges = self.how.edges
        if edges == "mirror":
            count = (samples + self.step // 2) // self.step
        elif edges == "end":
            count = 1 - max(0, samples - self.moment) // -self.step
            count = 1 if samples <= self.moment else count
        else:
            whole = samples + 2 * (self.fft // 2) - self.fft if edges in CENTRED else samples - self.moment
            count = 1 + whole // self.step if whole >= 0 else 0
        return self._stacked(max(0, count - self.how.leave_last))

    def samples(self, moments: int) -> int:
        """The samples that give so many moments."""
        if self.how.stack > 1:
            moments = (moments - 1) * self.stack_step + (1 if self.how.stack_centre else self.how.stack)
        if self.how.edges == "mirror":
            return (moments + self.how.leave_last) * self.step
        if self.how.edges in CENTRED:
            return max(self.fft // 2 + 1, (moments - 1 + self.how.leave_last) * self.step + self.fft % 2)
        return (moments - 1 + self.how.leave_last) * self.step + self.moment

    def hear(self, sound: Array) -> Array:
        """(samples,) -> (moments, width), float64, not yet less `mean` and by `std`. RoleError where the sound is too short for one."""
        how = self.how
        wave = sound.astype(np.float64) * how.full
        if self.moments(len(wave)) < 1 or (how.edges == "reflect" and len(wave) <= self.fft // 2):
            raise RoleError(
                f"{len(wave)} samples are too short for a spectrum in moments of {self.moment} (fft: {self.fft})", where="option window",
                instead=f"set window to {self.samples(1)} samples or more",
            )  # fmt: skip
        if how.emphasis and how.emphasis_of == "sound":
            wave = np.concatenate([wave[:1], wave[1:] - how.emphasis * wave[:-1]])
        pieces = self._pieces(wave)
        if how.steady:
            pieces = pieces - pieces.mean(axis=1, keepdims=True)
        if how.emphasis and how.emphasis_of == "moment":
            pieces = pieces - how.emphasis * np.concatenate([pieces[:, :1], pieces[:, :-1]], axis=1)
        lines = np.fft.rfft(pieces * self._fading(), self.fft, axis=1)
        loud = lines.real**2 + lines.imag**2
        loud = (loud if how.power == 2.0 else loud ** (how.power / 2)) * how.gain
        rows = self._logarithm((loud @ self._bands() if how.bands else loud) * how.after)
        if how.cepstrum:
            rows = rows @ cosines(rows.shape[1], how.cepstrum, how.cosines, how.lifter)
            if how.energy:
                rows[:, 0] = self._logarithm(loud.sum(axis=1))
            rows = rows[:, how.skip :]
        changes = [rows]
        for _ in range(how.deltas):
            changes.append(_changing(changes[-1], how.deltas_reach))
        return self._stack(_normalised(np.concatenate(changes, axis=1), how.normalise))

    def numbers(self, rows: Array) -> Array:
        """The rows less `mean`, by `std`, float32."""
        told: Array = ((rows - np.asarray(self.how.mean)) / np.asarray(self.how.std)).astype(np.float32)
        return told

    # ---- the steps

    def _pieces(self, wave: Array) -> Array:
        """(moments, samples of one)."""
        edges, length = self.how.edges, self.moment
        if edges in CENTRED:
            wave, length = np.pad(wave, self.fft // 2, mode="reflect" if edges == "reflect" else "constant"), self.fft
        elif edges == "mirror":
            count, before = (len(wave) + self.step // 2) // self.step, length // 2 - self.step // 2
            after = (count - 1) * self.step + length - before - len(wave)
            wave = np.pad(wave[max(0, -before) :], (max(0, before), max(0, after)), mode="symmetric")
        elif edges == "end":
            count = 1 if len(wave) <= length else 1 - (len(wave) - length) // -self.step
            wave = np.pad(wave, (0, max(0, (count - 1) * self.step + length - len(wave))))
        pieces = np.lib.stride_tricks.sliding_window_view(wave, length)[:: self.step]
        return pieces[: len(pieces) - self.how.leave_last]

    def _fading(self) -> Array:
        """Where moments are about their place they are as long as the transform, and the window stands in their middle."""
        shape = fading(self.how.shape, self.moment, self.how.symmetric)
        if self.how.edges not in CENTRED:
            return shape
        before = (self.fft - self.moment) // 2
        return np.pad(shape, (before, self.fft - self.moment - before))

    def _bands(self) -> Array:
        how = self.how
        shares = triangles(self.rate, self.fft, how.bands, how.low, self.high, how.scale, how.even, how.slopes)
        return np.concatenate([np.zeros((how.lines_from, how.bands)), shares[how.lines_from :]]) if how.lines_from else shares

    def _logarithm(self, rows: Array) -> Array:
        how = self.how
        if how.log == "none":
            return rows
        logs: Array = LOGARITHMS[how.log](np.maximum(rows + how.add, QUIET if how.add else max(how.floor, QUIET)))
        if how.log == "db":
            logs = logs * (20.0 / how.power)
        if how.range is not None:
            logs = np.maximum(logs, logs.max() - how.range)
        return logs - logs.max() if how.loudest else logs

    def _stacked(self, moments: int) -> int:
        if self.how.stack == 1:
            return moments
        if self.how.stack_centre:
            return -(-moments // self.stack_step)
        return max(0, 1 + (moments - self.how.stack) // self.stack_step)

    def _stack(self, rows: Array) -> Array:
        """Moments side by side: (stacks, stack * bands)."""
        stack = self.how.stack
        if stack == 1:
            return rows
        count = self._stacked(len(rows))
        if self.how.stack_centre:
            before = (stack - 1) // 2
            rows = np.pad(rows, ((before, max(0, (count - 1) * self.stack_step + stack - before - len(rows))), (0, 0)), mode="edge")
        return np.stack([rows[at * self.stack_step : at * self.stack_step + stack].reshape(-1) for at in range(count)])

    # ---- what does not go together

    def _check(self, bands: int) -> None:
        how = self.how
        if self.moment > self.fft:
            raise _wrong(f"a moment of {self.moment} samples is longer than the transform of {self.fft}", "set fft to the same, or more")
        if self.step < 1:
            raise _wrong(f"a step of {how.step_ms:g} ms is less than one sample", "set step or step_ms to more")
        if not 0 <= how.low < self.high <= self.rate / 2:
            raise _wrong(
                f"bands from {how.low:g} to {self.high:g} Hz cannot be heard at {self.rate} samples a second, which end at "
                f"{self.rate / 2:g} Hz", "set low and high within that, or rate to what the model was trained with",
            )  # fmt: skip
        if how.cepstrum > bands or how.skip >= max(1, how.cepstrum):
            raise _wrong(f"{how.cepstrum} coefficients from {how.skip} on cannot be had of {bands} bands", "set cepstrum, skip or bands")
        if how.lines_from > self.fft // 2:
            raise _wrong(f"lines_from is {how.lines_from}, the transform has {self.fft // 2 + 1} lines", "set lines_from to less")
        for name, value in (("mean", how.mean), ("std", how.std)):
            if isinstance(value, list) and len(value) not in (1, self.width):
                raise _wrong(f"{name} has {len(value)} numbers, a moment {self.width}", "give one number, or one for each band")
        if (np.asarray(how.std) == 0).any():
            raise _wrong("std is 0, by which nothing can be divided", "set std to the deviation of the model's training data")


def _changing(rows: Array, reach: int) -> Array:
    """How fast each number changes from moment to moment, by regression over its neighbours; the ends are repeated."""
    wide = np.pad(rows, ((reach, reach), (0, 0)), mode="edge")
    count, whole = len(rows), 2 * sum(apart**2 for apart in range(1, reach + 1))
    slopes = sum(apart * (wide[reach + apart : reach + apart + count] - wide[reach - apart : reach - apart + count])
                 for apart in range(1, reach + 1))  # fmt: skip
    return np.asarray(slopes / whole)


def _normalised(rows: Array, how: str) -> Array:
    if how == "none":
        return rows
    if how == "range":
        return np.asarray((rows - rows.min()) / max(float(np.ptp(rows)), QUIET))
    if how == "all":
        return np.asarray((rows - rows.mean()) / (rows.std() + 1e-7))
    even = rows - rows.mean(axis=0)
    if how == "mean":
        return np.asarray(even)
    less = 1 if how == "bands" and len(rows) > 1 else 0
    return np.asarray(even / (rows.std(axis=0, ddof=less) + 1e-7))


def _power_of_two(length: int) -> int:
    return 1 << max(3, (length - 1).bit_length())


def _wrong(what: str, instead: str) -> RoleError:
    return RoleError(what, where="option spectrum", instead=instead)
