"""Where in a model's input a spectrum lies: which side is moments and which is bands, among sides for batches and channels.

Exports agree on nothing: (1, 80, 3000), (1, 1024, 128), (1, 1, 96, 64), (1, 49, 10, 1), (1, 490). What the sides tell is read; where they
leave a doubt (64 moments of 64 bands) it is option `order`, and that of the program that the spectrum is like.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from mesh.errors import RoleError
from roles.inference.intake import Array
from roles.inference.spectrum import Ear

COPIES_MAX = 4  # channels that get the same: three of a model made for pictures, four of CLAP's
TIME_WORDS = ("time", "frame", "seq", "length", "moment")
BAND_WORDS = ("mel", "feat", "band", "freq", "bin", "coef")


class Layout:
    """`count` is the moments that the model takes at once, None where it takes any number."""

    def __init__(self, name: str, shape: list[Any], ear: Ear, order: str | None) -> None:
        """`order`: what was asked for, "moments" or "bands" first; None: the preset's, where the shape leaves a doubt."""
        self._name, self._ear = name, ear
        self._sides = [side if isinstance(side, int) and side > 0 else None for side in shape]
        self._words = [side.lower() if isinstance(side, str) else "" for side in shape]
        self._flat = self._is_flat()
        if self._flat:
            self.count: int | None = (self._sides[-1] or 0) // ear.width
            return
        found = [pair for pair in self._pairs() if order is None or (pair[0] < pair[1]) == (order == "moments")]
        if not found:
            raise self._does_not_fit(shape, order)
        self._moments, self._bands = max(found, key=self._likely)
        self.count = self._sides[self._moments]

    def place(self, rows: Array) -> Array:
        """(moments, width) as the model's input; of too many moments option `keep` says which stay."""
        if self.count is not None and len(rows) > self.count:
            rows = rows[: self.count] if self._ear.how.keep == "first" else rows[len(rows) - self.count :]
        if self._flat:
            return rows.reshape((1,) * (len(self._sides) - 1) + (-1,))
        sides = [1] * len(self._sides)
        sides[self._moments], sides[self._bands] = rows.shape
        placed = (rows if self._moments < self._bands else rows.T).reshape(sides)
        for axis, side in enumerate(self._sides):
            if axis not in (self._moments, self._bands) and side is not None and side > 1:
                placed = np.repeat(placed, side, axis=axis)
        return placed

    def _is_flat(self) -> bool:
        """All moments after each other in one row."""
        *before, last = self._sides or [None]
        row = len(self._sides) <= 2 and all(side in (None, 1) for side in before)
        return row and last is not None and last > self._ear.width and last % self._ear.width == 0

    def _pairs(self) -> Iterator[tuple[int, int]]:
        """(side of the moments, side of the bands), all that are possible."""
        sides = self._sides
        for moments in range(len(sides)):
            for bands in range(len(sides)):
                rest = [side for axis, side in enumerate(sides) if axis not in (moments, bands)]
                fits = moments != bands and sides[bands] in (self._ear.width, None)
                if fits and all(side is None or side <= COPIES_MAX for side in rest):
                    yield moments, bands

    def _likely(self, pair: tuple[int, int]) -> float:
        """The sides that tell most count most; the batch is the first, channels are the second or the last."""
        moments, bands = pair
        sides, words = self._sides, self._words
        rest = [sides[axis] or 1 for axis in range(len(sides)) if axis not in pair]
        few = (sides[moments] or COPIES_MAX + 1) <= COPIES_MAX
        preferred = (moments < bands) == (self._ear.how.order != "bands")
        return (
            16.0 * (sides[bands] == self._ear.width)
            + 8.0 * (0 not in pair or len(sides) == 2)
            - 4.0 * sum(side > 1 for side in rest)
            - 4.0 * few
            + 2.0 * (any(word in words[moments] for word in TIME_WORDS) + any(word in words[bands] for word in BAND_WORDS))
            + 1.0 * (abs(moments - bands) == 1)
            + 0.5 * preferred
        )

    def _does_not_fit(self, shape: list[Any], order: str | None) -> RoleError:
        wide = [str(side) for side in self._sides if side is not None and side > COPIES_MAX]
        wants = f"the model wants {self._name} {shape}, the spectrum has {self._ear.width} numbers for each moment"
        if order is not None:
            return RoleError(f"{wants}, {order} first", where="option spectrum: order", instead="leave order out, or set the other")
        if (not wide and None not in self._sides) or len(self._sides) < 2:
            return RoleError(f"{wants}: that is no spectrum", where="option spectrum", instead="leave spectrum out")
        return RoleError(
            wants, where="option spectrum",
            instead=f"set its bands (or cepstrum) to what the model was trained with: {' or '.join(wide) or 'a side of its input'}",
        )  # fmt: skip
