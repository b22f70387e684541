"""A model's outputs as its decoder wants them: under the names that tell what they are, and as plain numbers.

Converted models call their outputs `StatefulPartitionedCall:3` or `448`, and quantised ones give bytes that stand for something. Both are
said by options, by name or by number, and what cannot be known is asked for rather than guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mesh.errors import RoleError
from roles.inference.intake import Array

PLAIN = ("boxes", "keypoints", "depth", "embedding")  # decoders that make nothing of bytes


class Outcome:
    """Options `named` and `rescale`, checked against the names of the model's outputs. RoleError that names what it has."""

    def __init__(self, options: Any, names: list[str]) -> None:
        self._options = options
        self._named = {wanted: _own_name(name, names, "named") for wanted, name in options.named.items()}
        self._steps = {}
        for name, pair in options.rescale.items():
            if len(pair) != 2:
                raise RoleError(f"option rescale of {name} is {pair}", where="option rescale", instead="give [step, zero]")
            own = options.named.get(name, int(name) if name.isdigit() and name not in names else name)
            self._steps[_own_name(own, names, "rescale")] = (pair[0], pair[1])

    def of(self, outputs: Mapping[str, Array]) -> dict[str, Array]:
        """What the decoder gets. RoleError where bytes stand for numbers that nobody has told."""
        plain = {name: self._plain(name, value) for name, value in outputs.items()}
        found = {wanted: plain[name] for wanted, name in self._named.items() if name in plain} if self._named else plain
        bytes_ = [name for name, value in found.items() if value.dtype in (np.uint8, np.int8)]
        if bytes_ and len(bytes_) == len(found) and self._options.decode in PLAIN:
            raise RoleError(
                f"the model's outputs are whole numbers of one byte ({', '.join(bytes_)}), which stand for others", where="option rescale",
                instead=f"set rescale: {{{bytes_[0]}: [step, zero]}} as the model's author says (scale and zero point)",
            )  # fmt: skip
        return found

    def _plain(self, name: str, value: Array) -> Array:
        if name not in self._steps:
            return value
        step, zero = self._steps[name]
        scaled: Array = ((value.astype(np.float64) - zero) * step).astype(np.float32)
        return scaled


def _own_name(name: str | int, names: list[str], option: str) -> str:
    if isinstance(name, int) and 0 <= name < len(names):
        return names[name]
    if name in names:
        return str(name)
    raise RoleError(
        f"option {option} names {name!r}; the model's outputs are {', '.join(f'{at}: {each}' for at, each in enumerate(names))}",
        where=f"option {option}", instead="use these names, or their numbers",
    )  # fmt: skip
