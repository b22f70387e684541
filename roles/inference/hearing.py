"""Sound as a model wants it: one channel, its own rate, windows that follow or overlap each other, with what came before.

Frames of sound come in any length; a window is ready whenever enough has come. What goes into the model is the window's samples, or its
spectrum where option `spectrum` says which. Another rate than the model's is changed as the microphone changes it
(`sensing.samples`): what lies too high would be heard as another tone in a spectrum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mesh.errors import RoleError
from roles.inference.intake import Array, as_numbers, number_type_of, standardised
from roles.inference.spectrum import Ear
from roles.inference.spectrum_layout import Layout
from roles.inference.spectrum_options import Spectrum, told
from roles.inference.spectrum_statistics import with_statistics
from roles.sensing.samples import Resampler

LOUDEST = {"int16": 32767.0, "int8": 127.0}  # a sample of 1.0 as a whole number


class Hearing:
    """Sound as one input of a model (onnxruntime's entry) wants it, by the role's options."""

    def __init__(self, entry: Any, options: Any, metadata: Mapping[str, str], places: Sequence[Path], say: Callable[[str], None]) -> None:
        """RoleError where option `spectrum` does not fit the model, or is not complete."""
        self._entry, self._options, self._say = entry, options, say
        self._kind = number_type_of(entry.type, options.dtype) if options.spectrum is not None else ""
        self._windows: Windows | None = None
        self.rate, self._ear, self._layout = options.rate, None, None
        how = told(options.spectrum)
        if how is not None:
            self.rate = options.rate if "rate" in options.model_fields_set or how.rate is None else how.rate
            self._ear = Ear(with_statistics(how, metadata, places), self.rate)
            self._layout = Layout(entry.name, list(entry.shape), self._ear, _asked_order(options.spectrum))
            self._check_length(self._layout, self._ear)

    @property
    def hears(self) -> bool:
        """Whether the options say what sound is to the model."""
        return self._options.spectrum is not None or self._options.window is not None

    def take(self, sound: Array, told_rate: int) -> Iterator[Array]:
        """What goes into the model for each window that becomes ready with `sound`, which says it comes at `told_rate` (0: it does not)."""
        known = self._options.heard_rate is not None
        if self._windows is None or (told_rate and told_rate != self._windows.heard_rate and not known):
            self._windows = self._made_windows(told_rate)
            heard = self._windows.heard_rate
            if heard < self.rate:
                self._say(f"the sound comes at {heard} samples a second, the model was trained on {self.rate}: nothing above "
                          f"{heard // 2} Hz is heard; set rate: {self.rate} where it comes from")  # fmt: skip
        for window in self._windows.take(sound):
            yield self._ready(window)

    def made_up(self, chance: np.random.Generator) -> Array:
        """A window of noise, as it goes into the model."""
        windows = self._made_windows(0)
        return self._ready(chance.uniform(-0.5, 0.5, windows.context + windows.window))

    def companions(self, entries: Iterable[Any]) -> dict[str, Array]:
        """What the model wants to be told beside the sound: how long it is, and that all of it counts."""
        found = {}
        if self.hears:
            windows = self._made_windows(0)
            length = self._length(windows.context + windows.window)
            for entry in entries:
                value = np.ones((1, length)) if "mask" in entry.name.lower() else np.full([1] * len(entry.shape), length)
                found[entry.name] = as_numbers(value, number_type_of(entry.type))
        return found

    def _length(self, samples: int) -> int:
        """Moments, or samples, that the model gets of so many samples."""
        if self._ear is None or self._layout is None:
            return samples
        moments = self._ear.moments(samples)
        return moments if self._layout.count is None else self._layout.count

    def _made_windows(self, told_rate: int) -> Windows:
        options, name, shape = self._options, self._entry.name, list(self._entry.shape)
        if self._ear is None or self._layout is None:
            return read_windows(name, shape, options, told_rate)
        if options.window is not None:
            window = options.window
        else:
            window = self._ear.samples(self._layout.count or 1) - options.context
        return Windows(window=window, hop=options.hop or window, context=options.context, rate=self.rate,
                       heard_rate=options.heard_rate or told_rate or self.rate)  # fmt: skip

    def _ready(self, window: Array) -> Array:
        options = self._options
        window = standardised(window) if options.standardise else window
        if self._ear is None or self._layout is None:
            kind = self._entry.type.removeprefix("tensor(").removesuffix(")")
            scale = options.scale if options.scale is not None else LOUDEST.get(kind, 1.0)
            sides = [1] * max(1, len(self._entry.shape))
            sides[along(list(self._entry.shape))] = -1
            return as_numbers((window * scale).reshape(sides), kind.replace("float", "float32") if kind == "float" else kind)
        window = window * options.scale if options.scale is not None else window
        count, fill = self._layout.count, self._ear.how.fill
        if count is not None and fill == "silence":
            window = np.pad(window, (0, max(0, self._ear.samples(count) - len(window))))
        rows = self._ear.hear(window)
        if count is not None and isinstance(fill, float | int) and len(rows) < count:
            rows = np.concatenate([rows, np.full((count - len(rows), rows.shape[1]), float(fill))])
        return as_numbers(self._layout.place(self._ear.numbers(rows)), self._kind)

    def _check_length(self, layout: Layout, ear: Ear) -> None:
        """Whether the window gives as many moments as the model takes."""
        options, wants = self._options, f"{self._entry.name} {list(self._entry.shape)}"
        if layout.count is None and options.window is None:
            raise RoleError(
                f"the model hears a spectrum of any length: {wants}", where="option window",
                instead=f"say how many samples it hears at once, such as window: {self.rate}",
            )  # fmt: skip
        if layout.count is None or ear.how.fill is not None:
            return
        least = ear.samples(layout.count)
        window = options.window if options.window is not None else least - options.context
        if window < 1 or ear.moments(window + options.context) < layout.count:
            raise RoleError(
                f"the model hears {layout.count} moments at once ({wants}), the window of {window + options.context} samples has "
                f"{ear.moments(max(0, window + options.context))}", where="option window",
                instead=f"leave window out, or set it to {max(1, least - options.context)}; or say in spectrum what stands after it: "
                "fill: silence",
            )  # fmt: skip


def is_companion(entry: Any) -> bool:
    """Whether an input wants to be told how long the sound is, or which of it counts."""
    whole = any(word in entry.type for word in ("int", "bool"))
    length = "len" in entry.name.lower() and len(entry.shape) <= 1 and all(side == 1 or not isinstance(side, int) for side in entry.shape)
    mask = "mask" in entry.name.lower() and len(entry.shape) == 2
    return whole and (length or mask)


def _asked_order(asked: Spectrum | str) -> str | None:
    return asked.order if isinstance(asked, Spectrum) and "order" in asked.model_fields_set else None


class Windows:
    """Takes sound, gives windows of `context` + `window` samples, each `hop` after the one before; silence stands before the first."""

    def __init__(self, *, window: int, hop: int, context: int, rate: int, heard_rate: int) -> None:
        self.window, self.hop, self.context, self.heard_rate = window, hop, context, heard_rate
        self._resampler = Resampler(heard_rate, rate, 1)
        self._held = np.zeros(context, np.float32)

    def take(self, sound: Array) -> Iterator[Array]:
        """The windows that become ready with `sound`, (samples,) or (samples, channels) of -1..1, float32."""
        mono = sound.astype(np.float32) if sound.ndim == 1 else sound.mean(axis=1, dtype=np.float32)
        self._held = np.concatenate([self._held, self._resampler.turn(mono[:, None])[:, 0]])
        whole = self.context + self.window
        while len(self._held) >= whole:
            yield self._held[:whole].copy()
            self._held = self._held[min(self.hop, len(self._held)) :]


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
            instead="say in option spectrum which spectrum it wants, such as spectrum: whisper (`roomful kinds inference.onnx` names them)",
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
