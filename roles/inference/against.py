"""Option `texts`: what a picture, a sound or a text is held against, in words that the artist chooses.

Two kinds of models do this. Some see and read at once (CLIP, SigLIP, CLAP, OWL-ViT): the texts go in beside each picture, as
constants. Others read pairs (cross-encoders, rerankers, models of entailment that sort without training): each text that comes is
paired with each of these, in one run, and what comes out is one row, a score for each.

Here also what a text that comes is put into (`text_as`), and what it is paired with (`first`, `second`): a question and where its answer is
looked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mesh.errors import RoleError
from roles.inference.intake import Array
from roles.inference.reading import Reader

FOLLOWS = "entail"  # in the name of the class that says: the second text follows from the first


class Against:
    """The texts of one role. `constants` are the inputs that they fill in a model that also sees."""

    def __init__(self, options: Any, reader: Reader | None, inputs: Mapping[str, Any], taken: list[str]) -> None:
        """RoleError where there are texts and nothing reads them."""
        self._texts, self._reader, self._each = [_put(options.texts_as, text) for text in options.texts], reader, options.activation
        self._first, self._second, self._as = options.first, options.second, options.text_as
        self._asks = options.decode == "answer"
        self.constants: dict[str, Array] = {}
        self.text = ""  # the text that was made ready last
        if self._asks and (self._first is None) == (self._second is None):
            raise RoleError(
                "an answer is looked for with a question in a text, and one of the two comes", where="option decode: answer",
                instead="give the question in option first, where texts come, or the text in option second, where questions come",
            )  # fmt: skip
        if not self._texts:
            return
        if reader is None:
            raise RoleError(
                "nothing reads option texts: the model takes no tokens, or its tokenizer is not here", where="option texts",
                instead="put the model's tokenizer.json beside it, or name it in option tokenizer",
            )  # fmt: skip
        if set(inputs) - set(reader.takes) - set(taken):
            self.constants = reader.feeds(self._texts)[0]

    @property
    def filled(self) -> set[str]:
        """The inputs for which no frame is needed."""
        return set(self.constants)

    def ready(self, text: str) -> tuple[dict[str, Array], int]:
        """The inputs for a text that came, and how many tokens it has."""
        if self._reader is None:
            raise RoleError("the model reads no texts")
        self.text = text = _put(self._as, text)
        if self._texts:
            return self._reader.feeds([text] * len(self._texts), self._texts)
        first, second = (self._first, text) if self._first is not None else (text, self._second)
        first = self._reader.shortened(first) if self._asks else first
        return self._reader.feeds([first], [second] if second is not None else None)

    def trimmed(self, outputs: Mapping[str, Array], count: int) -> dict[str, Array]:
        """The outputs for what `ready` gave."""
        return self._reader.trimmed(outputs, count) if self._reader is not None else dict(outputs)

    def in_one_row(self, outputs: Mapping[str, Array], labels: list[str], wanted: str | None) -> dict[str, Array]:
        """Of a model that read pairs: a row with the score of each text. Others as they are. `labels` are the model's own classes."""
        if not self._texts or self.constants:
            return dict(outputs)
        count = len(self._texts)
        name = wanted or next((name for name, value in outputs.items() if value.ndim == 2 and value.shape[0] == count), "")
        if name not in outputs:
            given = ", ".join(f"{each} {list(value.shape)}" for each, value in outputs.items())
            raise RoleError(
                f"the model gives no row of scores for each of {count} pairs: {given}", where="option texts",
                instead="name the output in option scores, or leave texts out",
            )  # fmt: skip
        rows = outputs[name].reshape(count, -1)
        column = _column(rows.shape[1], labels)
        row = rows[:, column]
        if self._each == "sigmoid" and rows.shape[1] > 1:  # each by itself: that it follows, beside that it is contradicted
            row = row - rows[:, -1 if column == 0 else 0]
        return {name: row[None]}


def _put(form: str, text: str) -> str:
    """A text within what option text_as or texts_as puts around it."""
    return form.replace("{}", text)


def _column(wide: int, labels: list[str]) -> int:
    """Which class says that the second text follows from the first."""
    if wide == 1:
        return 0
    found = [at for at, label in enumerate(labels) if label.lower().startswith(FOLLOWS)]
    if len(found) != 1 or found[0] >= wide:
        raise RoleError(
            f"the model says {wide} things of each pair, and not which of them is that the second follows from the first",
            where="option texts", instead="put the model's config.json beside it: its id2label has the class entailment",
        )  # fmt: skip
    return int(found[0])


def pooled(value: Array, how: str, seen: bool) -> Array:
    """The vector of an output: (…, d) with one row as it is; of several rows, or places, the one that option `pooling` means. `seen`:
    they are of a picture, whose first row stands for the whole where the others are a square grid."""
    rows = np.squeeze(value.astype(np.float32))
    if rows.ndim < 2 or how == "none":
        return rows.reshape(-1)
    if rows.ndim == 3:  # a map: (channels, h, w)
        return np.asarray(rows.reshape(len(rows), -1).mean(axis=1))
    if how == "auto":
        how = "first" if seen and _is_grid(len(rows)) else "mean"
    return np.asarray({"first": rows[0], "last": rows[-1], "mean": rows.mean(axis=0)}[how])


def _is_grid(rows: int) -> bool:
    """Whether so many rows are one for the whole (and registers, of which there are four) and a square."""
    return any(round((rows - own) ** 0.5) ** 2 == rows - own for own in (1, 5) if rows > own)
