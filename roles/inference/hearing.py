"""Sound as a model wants it: one channel, its own rate, windows that follow or overlap each other, with what came before.

Frames of sound come in any length; a window is ready whenever enough has come. Rates are changed by averaging over what a sample
stands for (down) or along a line (up), continuously over frames; decided against: a resampler's library for a step that voice
models do not hear.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from mesh.errors import RoleError
from roles.inference.intake import Array


class Windows:
    """Takes sound, gives windows of `context` + `window` samples, each `hop` after the one before; silence stands before the first."""

    def __init__(self, *, window: int, hop: int, context: int, rate: int, heard_rate: int) -> None:
        self.window, self.hop, self.context, self.heard_rate = window, hop, context, heard_rate
        self._step = heard_rate / rate  # samples that come for each one that the model hears
        self._held = np.zeros(context, np.float32)
        self._raw = np.zeros(0, np.float32)
        self._at = 0.0  # where in `_raw` the next sample of the model's begins

    def take(self, sound: Array) -> Iterator[Array]:
        """The windows that become ready with `sound`, (samples,) or (samples, channels) of -1..1, float32."""
        mono = sound.astype(np.float32) if sound.ndim == 1 else sound.mean(axis=1, dtype=np.float32)
        self._held = np.concatenate([self._held, self._resampled(mono)])
        whole = self.context + self.window
        while len(self._held) >= whole:
            yield self._held[:whole].copy()
            self._held = self._held[min(self.hop, len(self._held)) :]

    def _resampled(self, mono: Array) -> Array:
        if self._step == 1.0:
            return mono
        raw = np.concatenate([self._raw, mono])
        count = max(0, int((len(raw) - 1 - self._at) / self._step))
        edges = self._at + np.arange(count + 1) * self._step
        if self._step > 1:  # the mean over the stretch that each sample stands for, by differences of the running sum
            sums = np.concatenate([[0.0], np.cumsum(raw, dtype=np.float64)])
            out = np.diff(np.interp(edges, np.arange(len(sums)), sums)) / self._step
        else:
            out = np.interp(edges[:-1], np.arange(len(raw)), raw)
        done = int(edges[-1])
        self._raw, self._at = raw[done:], float(edges[-1] - done)
        return out.astype(np.float32)


def along(shape: list[Any]) -> int:
    """Which side of the model's input is time: the one that is no 1, else the last that is open. Some models want (1, samples, 1)."""
    sides = [at for at, side in enumerate(shape) if isinstance(side, int) and side > 1] or [
        at for at, side in enumerate(shape) if not isinstance(side, int) or side < 1
    ]
    return sides[-1] if sides else len(shape) - 1


def read_windows(name: str, shape: list[Any], options: Any, told_rate: int = 0) -> Windows:
    """The windows that a model's input of this shape wants, of sound that says it comes at `told_rate` (0: it does not say). RoleError
    that names the option where the model leaves it open."""
    length = next((side for side in shape if isinstance(side, int) and side > 1), None)
    if len([side for side in shape if isinstance(side, int) and side > 1]) > 1:
        raise RoleError(
            f"the model wants no plain sound on {name} {shape}", where="option input",
            instead="make what it wants (such as a spectrum) in a role of your own, and wire that to the input `vector`",
        )  # fmt: skip
    window = options.window if options.window is not None else length - options.context if length else None
    if window is None or window < 1:
        raise RoleError(
            f"the model hears sound of any length: {name} {shape}", where="option window",
            instead="say how many samples it hears at once, such as window: 512",
        )  # fmt: skip
    if length is not None and window + options.context != length:
        raise RoleError(
            f"the model hears {length} samples at once, options say {window} + {options.context}", where="option window",
            instead=f"set window and context so that they are {length} together",
        )  # fmt: skip
    return Windows(
        window=window, hop=options.hop or window, context=options.context, rate=options.rate,
        heard_rate=options.heard_rate or told_rate or options.rate,
    )
