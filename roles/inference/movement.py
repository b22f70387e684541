"""Models that see movement: for each place, how far what is there has gone from one picture to the next (optical flow).

[1, 2, h, w] or [1, h, w, 2], dx dy in the model's pixels (FlowNet, PWC-Net, RAFT, GMFlow). Where a model gives several that have been
bettered one after another, the last counts (RAFT); option `scores` names another. The picture has the colours of Baker et al. 2007: the hue
is the direction, the deeper the faster; white stands still.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mesh.errors import RoleError
from roles.inference.intake import Array, Fit, Size
from roles.inference.layers import without_bars
from roles.inference.sampling import scaled

# steps from colour to colour, the channel that is full, the one that changes, and whether it grows
WHEEL = ((15, 0, 1, True), (6, 1, 0, False), (4, 1, 2, True), (11, 2, 1, False), (13, 2, 0, True), (6, 0, 2, False))
STILL = 0.005  # of the picture's longer side: slower is not said to move
LEAST = 8  # sides of a map
FOLLOW = 0.2


class Movement:
    """{"mean": [dx, dy], "speed", "moving", "middle": [x, y] or None}: lengths are shares of the picture's sides from frame to frame, speed
    of its longer side; `moving` is the share of the picture that moves, `middle` where that is."""

    def __init__(self, options: Any) -> None:
        self._options = options
        self._fastest: float | None = None

    def __call__(self, outputs: Mapping[str, Array], fit: Fit, size: Size, frame: tuple[int, int]) -> tuple[dict[str, Any], Array, Array]:
        """(event, picture over the frame, [h, w, 2] in the model's pixels)."""
        flow = without_bars(_flow_of(outputs, self._options.scores).astype(np.float32), fit, size)
        sides = np.array([fit.width, fit.height], np.float32)
        speed = np.hypot(flow[..., 0], flow[..., 1])
        moving = speed > STILL * float(sides.max())
        event: dict[str, Any] = {
            "mean": [round(float(each), 5) for each in flow.mean(axis=(0, 1)) / sides],
            "speed": round(float(speed.mean()) / float(sides.max()), 5), "moving": round(float(moving.mean()), 4), "middle": None,
        }  # fmt: skip
        rows, columns = np.nonzero(moving)
        if len(rows):
            event["middle"] = [round(float(columns.mean() + 0.5) / flow.shape[1], 4), round(float(rows.mean() + 0.5) / flow.shape[0], 4)]
        picture = coloured(flow, self._top(float(speed.max(initial=0.0)), float(sides.max())))
        if self._options.picture_size == "frame":
            picture = scaled(picture, (frame[1], frame[0]))
        return event, picture, flow

    def _top(self, fastest: float, side: float) -> float:
        """The speed of the deepest colour: followed slowly, so that the picture does not flicker; never so low that noise is seen."""
        if self._options.value_range is not None:
            return max(float(self._options.value_range[1]), 1e-6)
        self._fastest = fastest if self._fastest is None else self._fastest + FOLLOW * (fastest - self._fastest)
        return max(self._fastest, STILL * side)


def _flow_of(outputs: Mapping[str, Array], wanted: str | None) -> Array:
    """(h, w, 2)."""
    if wanted is not None and wanted not in outputs:
        raise RoleError(
            f"the model has no output {wanted!r}; it has {', '.join(outputs)}", where="option scores", instead="name one of them"
        )
    fits = [value for name, value in outputs.items() if wanted in (None, name) and _is_flow(value)]
    if not fits:
        given = ", ".join(f"{name} {list(value.shape)}" for name, value in outputs.items())
        raise RoleError(
            f"none of the model's outputs is a map of two numbers: {given}", where="option decode: flow",
            instead="name it in option scores, or set another decode",
        )  # fmt: skip
    largest = max(value.size for value in fits)
    value = [each for each in fits if each.size == largest][-1]
    value = value.reshape(value.shape[-3:])
    return value if value.shape[2] == 2 else value.transpose(1, 2, 0)


def _is_flow(value: Array) -> bool:
    if value.ndim < 3 or value.size != int(np.prod(value.shape[-3:])):
        return False
    first, middle, last = value.shape[-3:]
    return (first == 2 and min(middle, last) >= LEAST) or (last == 2 and min(first, middle) >= LEAST)


def coloured(flow: Array, top: float) -> Array:
    """(h, w, 2) -> (h, w, 3) uint8; `top` is the length that has the deepest colour."""
    wheel = _wheel()
    share = np.clip(flow / np.float32(top), -1, 1)
    length = np.minimum(np.hypot(share[..., 0], share[..., 1]), 1.0)[..., None]
    turn = (np.arctan2(-share[..., 1], -share[..., 0]) / np.pi + 1) / 2 * (len(wheel) - 1)
    low = np.floor(turn).astype(int)
    rest = (turn - low)[..., None]
    hue = (wheel[low] * (1 - rest) + wheel[(low + 1) % len(wheel)] * rest) / 255
    picture: Array = np.floor(255 * (1 - length * (1 - hue))).astype(np.uint8)
    return picture


def _wheel() -> Array:
    """(55, 3): red over yellow, green, cyan, blue and magenta to red."""
    colours = []
    for steps, high, moved, up in WHEEL:
        part = np.zeros((steps, 3))
        ramp = np.floor(255 * np.arange(steps) / steps)
        part[:, high], part[:, moved] = 255, ramp if up else 255 - ramp
        colours.append(part)
    return np.concatenate(colours)
