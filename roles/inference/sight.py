"""What one input of a model sees: the picture of this moment, of one before, or a clip of the last ones.

    picture   [1, 3, h, w] and its like
    clip      [1, 3, t, h, w], [1, t, 3, h, w] or [1, t, h, w, 3] (video classifiers); how many moments is read from the model, or said in
              option `frames`
    stacked   [1, 3 * t, h, w]: moments as more colour channels, with option `frames` (trackers of balls, games)
    before    two inputs of one kind, of which one gets the picture of so many frames ago (option `earlier`): optical flow

Pictures are made ready once and kept ready. Decided against: repeating the first picture until there are enough, since a model that is
shown a still picture answers, and wrongly; it says nothing until it has seen what it wants.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import ValidationError

from mesh.errors import RoleError
from roles.inference.intake import CHANNELS, Array, Fit, Intake, Size, read_intake

CLIPS = {"ncthw": (2, "nchw"), "ntchw": (1, "nchw"), "nthwc": (1, "nhwc")}  # where the moments are, and each one's own layout
OF_ONE_INPUT = (
    "layout", "size", "multiple", "colour", "scale", "mean", "std", "dtype", "resize", "crop_share", "sampling", "standardise", "pad",
    "place", "frames", "every",
)  # fmt: skip
MOMENTS_MAX = 1000


@dataclass(frozen=True, slots=True)
class Seen:
    """A model's picture input, ready; `ready` is None while there are too few moments."""

    ready: Array | None
    fit: Fit
    size: Size


class Sight:
    """One input. `entry` is onnxruntime's; `options` the role's, `ago` how many frames before this one it sees."""

    def __init__(self, entry: Any, options: Any, ago: int = 0) -> None:
        """RoleError that names the option where the model leaves open what it wants."""
        options = _for_input(options, entry.name)
        shape, layout, self._axis, self._joined = list(entry.shape), options.layout, 0, False
        count = options.frames or 1
        if is_clip(shape):
            layout, self._axis = _clip(shape, options.layout, entry.name)
            count = _moments(shape.pop(self._axis), options.frames, entry.name)
        elif count > 1:
            layout, self._axis = _stacked(shape, options.layout, count, entry.name)
            self._joined = True
        self._clip, self._count, self._every = is_clip(entry.shape), count, options.every
        self.intake: Intake = read_intake(entry.name, shape, entry.type, options.model_copy(update={"layout": layout}))
        self._held: deque[Array] = deque(maxlen=(count - 1) * self._every + 1 + ago)
        self._ago, self._sides = ago, (0, 0)

    def look(self, picture: Array) -> Seen:
        """What it sees with the newest picture, RGB or grey."""
        intake = self.intake.fitted(picture)
        if intake.size != self._sides:
            self._held.clear()  # a picture of another shape: moments of one clip have one size
            self._sides = intake.size
        ready, fit = intake.prepare(picture)
        if self._held.maxlen == 1:
            return Seen(ready, fit, intake.size)
        self._held.append(ready)
        enough = len(self._held) == self._held.maxlen
        return Seen(self._together() if enough else None, fit, intake.size)

    def _together(self) -> Array:
        moments = [self._held[-1 - self._ago - at * self._every] for at in reversed(range(self._count))]
        if self._joined:
            return np.concatenate(moments, axis=self._axis)
        return np.stack(moments, axis=self._axis) if self._clip else moments[0]


class Eyes:
    """All inputs of a model that see the frames of the role's input `image`: the one they go to, and those in option `earlier`."""

    def __init__(self, entry: Any, entries: Mapping[str, Any], options: Any) -> None:
        self.first = Sight(entry, options)
        self._name, self._hop, self._waits = entry.name, options.hop or 1, 0
        self._beside = {name: Sight(entries[name], options, ago) for name, ago in options.earlier.items()}

    def look(self, picture: Array) -> tuple[dict[str, Array] | None, Seen]:
        """What goes into each input, None while there are too few moments, or too few new ones (option `hop`); and how the picture lies."""
        seen = self.first.look(picture)
        ready = {self._name: seen.ready, **{name: sight.look(picture).ready for name, sight in self._beside.items()}}
        found = {name: value for name, value in ready.items() if value is not None}
        if len(found) < len(ready):
            return None, seen
        self._waits = self._waits - 1 if self._waits else self._hop - 1
        return (found if self._waits == self._hop - 1 else None), seen

    def filled(self, picture: Array) -> tuple[dict[str, Array], Seen]:
        """As if all moments had been this picture: for a question of which only the answer's sameness counts."""
        ready, seen = self.look(picture)
        while ready is None:
            ready, seen = self.look(picture)
        return ready, seen


def is_clip(shape: Sequence[Any]) -> bool:
    """Whether an input of this shape wants several moments."""
    return len(shape) == 5


def _clip(shape: list[Any], asked: str, name: str) -> tuple[str, int]:
    """(layout of one moment, the side along which moments lie)."""
    if shape[0] not in (1, None) and isinstance(shape[0], int):
        raise RoleError(f"the model wants {shape[0]} clips at once ({name} {shape})", instead="export it with a batch of 1, or an open one")
    if asked in CLIPS:
        axis, layout = CLIPS[asked]
        return layout, axis
    fits = [word for word, at in (("ncthw", 1), ("ntchw", 2), ("nthwc", 4)) if shape[at] in CHANNELS]
    if len(fits) != 1:
        raise RoleError(
            f"the model does not say which side of its clip is what: {name} {shape}", where="option layout",
            instead="set layout: ncthw (colours first), ntchw (moments first) or nthwc (colours last)",
        )  # fmt: skip
    axis, layout = CLIPS[fits[0]]
    return layout, axis


def _moments(side: Any, asked: int | None, name: str) -> int:
    count = side if isinstance(side, int) and side > 0 else asked
    if count is None:
        raise RoleError(
            f"the model takes clips of any length on {name}", where="option frames", instead="say how many moments, such as frames: 16"
        )
    if asked not in (None, count):
        raise RoleError(f"the model wants {count} moments on {name}, option frames says {asked}", instead="leave `frames` out")
    return count


def _stacked(shape: list[Any], asked: str, count: int, name: str) -> tuple[str, int]:
    """(layout, the side of the channels); `shape` becomes that of one moment."""
    sides = [at for at in (1, 3) if len(shape) == 4 and isinstance(shape[at], int) and shape[at] in [count * each for each in CHANNELS]]
    sides = [at for at in sides if asked == "auto" or at == (1 if asked == "nchw" else 3)]
    if len(sides) != 1:
        raise RoleError(
            f"{count} moments do not fit the model's input {name} {shape}", where="option frames",
            instead="set frames to its channels by the colours of one picture (1 or 3), and layout: nchw or nhwc",
        )  # fmt: skip
    shape[sides[0]] //= count
    return "nchw" if sides[0] == 1 else "nhwc", sides[0]


def _for_input(options: Any, name: str) -> Any:
    """The role's options as they are for one input."""
    given: Mapping[str, Any] = options.for_input.get(name, {})
    strange = [option for option in given if option not in OF_ONE_INPUT]
    if strange:
        raise RoleError(
            f"option for_input of {name} says {', '.join(strange)}", where="option for_input",
            instead=f"it may say {', '.join(OF_ONE_INPUT)}",
        )
    try:
        return type(options)(**{**options.model_dump(exclude_unset=True), **given}) if given else options
    except ValidationError as refusal:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in refusal.errors())
        raise RoleError(f"option for_input of {name}: {wrong}", where="option for_input", instead="correct it") from refusal
