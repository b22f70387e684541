"""Texts for an ONNX model: as the tokens that it was trained on, or as the strings that models of tables take.

What a letter becomes is no part of the model but of its tokenizer, which lies beside it (`tokens`). The inputs beside the tokens (which of
them count, of which sentence they are, where they stand) are filled by their names. A text that is longer than the model reads is cut;
where places in it are asked for (decode spans, answer), it is read in windows that overlap.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from roles.inference.intake import Array, as_numbers, number_type_of
from roles.inference.tokens import hole_of, longest, opened, padded_to, padding_of, tokenizer_file, unknown_of

TOKENS = ("input_ids", "token_ids", "tokens", "ids", "input_tokens", "text", "text_ids")
COUNTS = ("attention_mask", "input_mask", "text_mask", "token_mask", "mask")
SENTENCES = ("token_type_ids", "segment_ids", "input_type_ids")
PLACES = ("position_ids",)
STRIDE = 128  # tokens that two windows of a long text share
STRING = "tensor(string)"
PLACED = ("spans", "answer")  # what is asked for is where in the text something stands


class Reader:
    """Makes what a model reads of texts. `takes` are the inputs that it fills, `entry` the one that the texts themselves go to, `read` the
    library's own account of the texts that were read last, a row each; `hole` is the number of a word that is left out, `unknown` that of
    one that is not known."""

    def __init__(
        self, inputs: Mapping[str, Any], entry: str, tokenizer: Any, pad: int = 0, most: int = 0, whole: int | None = None,
        hole: int | None = None, unknown: int | None = None,
    ) -> None:  # fmt: skip
        """`whole`: as many tokens has every text, of a model that is not told which of them count."""
        self._inputs, self.entry, self.tokenizer, self._pad, self._most = inputs, entry, tokenizer, pad, most
        self.hole, self.unknown = hole, unknown
        beside = [name for name in inputs if _plain(name) in (*COUNTS, *SENTENCES, *PLACES) and len(inputs[name].shape) == 2]
        self.takes = (entry, *(beside if tokenizer is not None else ()))
        sides = inputs[entry].shape
        side = sides[-1] if len(sides) > 1 else None
        self._fixed = side if isinstance(side, int) and side > 0 and tokenizer is not None else None
        masked = any(_plain(name) in COUNTS for name in beside)
        self._fixed = whole if self._fixed is None and not masked else self._fixed
        self._uneven = self._fixed is None and not masked and tokenizer is not None  # what fills a row would be read as well
        self._one_by_one = len(sides) > 1 and sides[0] == 1
        self.read: list[Any] = []

    def feeds(self, texts: Sequence[str], seconds: Sequence[str] | None = None) -> tuple[dict[str, Array], int]:
        """The inputs for these texts, a row each (or more, of a text that is read in windows), and how many tokens the longest has (1 for
        strings). With `seconds`, each is a pair."""
        if self.tokenizer is None:
            return {self.entry: self._strings(texts)}, 1
        others: Sequence[str | None] = seconds or [None] * len(texts)
        read = [self.tokenizer.encode(text, other) for text, other in zip(texts, others, strict=True)]
        windows = (self.tokenizer.truncation or {}).get("stride", 0) > 0
        self.read = [row for each in read for row in ([each, *each.overflowing] if windows else [each])]
        most = self._fixed or self._most
        rows = [(each.ids[:most], each.type_ids[:most]) for each in self.read]
        count = max(1, max(len(ids) for ids, _ in rows))
        wide = self._fixed or count
        ids = np.array([[*ids, *[self._pad] * (wide - len(ids))] for ids, _ in rows], np.int64)
        kinds = np.array([[*types, *[0] * (wide - len(types))] for _, types in rows], np.int64)
        counts = np.array([[at < len(ids) for at in range(wide)] for ids, _ in rows], np.int64)
        found = {self.entry: ids}
        for name in self.takes[1:]:
            plain = _plain(name)
            found[name] = counts if plain in COUNTS else kinds if plain in SENTENCES else np.broadcast_to(np.arange(wide), ids.shape)
        return {name: as_numbers(value, number_type_of(self._inputs[name].type)) for name, value in found.items()}, count

    def run(self, run: Callable[[Mapping[str, Array]], dict[str, Array]], feeds: Mapping[str, Array]) -> dict[str, Array]:
        """The model's outputs for what `feeds` gave: row by row, where it takes one at a time."""
        lengths = [len(each.ids) for each in self.read]
        rows = len(feeds[self.entry]) if self.entry in feeds else 1
        if rows == 1 or not (self._one_by_one or (self._uneven and len(set(lengths)) > 1)):
            return run(feeds)
        wide = [lengths[at] if self._uneven else None for at in range(rows)]
        each = [run({name: value[at : at + 1, : wide[at]] if name in self.takes else value for name, value in feeds.items()})
                for at in range(rows)]  # fmt: skip
        return {name: _stacked([outputs[name] for outputs in each]) for name in each[0]}

    def shortened(self, text: str) -> str:
        """The beginning of a text that takes no more than half of what the model reads: a question, which must leave room."""
        read = self.uncut(text)
        half = max(1, (self._fixed or self._most) // 2)
        return text if len(read.ids) < half else text[: read.offsets[half - 1][0]]

    def uncut(self, text: str) -> Any:
        """The library's account of a whole text, by itself."""
        limits = self.tokenizer.truncation
        self.tokenizer.no_truncation()
        read = self.tokenizer.encode(text, add_special_tokens=False)
        self.tokenizer.enable_truncation(**limits)
        return read

    def trimmed(self, outputs: Mapping[str, Array], count: int) -> dict[str, Array]:
        """Outputs without the places of a model of fixed length that no token stands on."""
        if self._fixed is None or count == self._fixed:
            return dict(outputs)
        return {name: value[:, :count] if value.ndim == 3 and value.shape[1] == self._fixed else value for name, value in outputs.items()}

    def _strings(self, texts: Sequence[str]) -> Array:
        sides = max(1, len(self._inputs[self.entry].shape))
        return np.array(texts, object).reshape(-1, *(1,) * (sides - 1))


def read_reader(inputs: Mapping[str, Any], options: Any, folder: Path, model: Path, taken: Sequence[str] = ()) -> Reader | None:
    """What reads texts for a model with these inputs; None where it takes none, or no tokenizer is here and none is named. `taken` are
    inputs that the options fill. RoleError where the file that is named is none."""
    strings = [name for name, entry in inputs.items() if entry.type == STRING and name not in taken and options.input in (None, name)]
    if len(strings) == 1:
        return Reader(inputs, strings[0], None)
    entry = _tokens_of(inputs, options, taken)
    file = tokenizer_file(options.tokenizer, folder, model)
    if entry is None or file is None:
        return None
    tokenizer = opened(file)
    most, whole = longest(tokenizer, file, options.tokens_max), padded_to(tokenizer, file)
    tokenizer.no_padding()
    fixed = inputs[entry].shape[-1]
    reads = fixed if isinstance(fixed, int) and fixed > 0 else most
    if options.decode in PLACED:
        stride = min(STRIDE, reads // 4)
        tokenizer.enable_truncation(reads, stride=stride, strategy="only_second" if options.decode == "answer" else "longest_first")
    else:
        tokenizer.enable_truncation(reads)
    return Reader(inputs, entry, tokenizer, padding_of(tokenizer, file), most, whole, hole_of(tokenizer, file), unknown_of(tokenizer, file))


def _stacked(rows: list[Array]) -> Array:
    """Rows of one batch, with zeros behind those that are shorter."""
    if len({row.shape[1:] for row in rows}) == 1 or rows[0].ndim < 2:
        return np.concatenate(rows)
    most = max(row.shape[1] for row in rows)
    return np.concatenate([np.pad(row, [(0, 0), (0, most - row.shape[1]), *[(0, 0)] * (row.ndim - 2)]) for row in rows])


def is_tokens(name: str, entry: Any) -> bool:
    """Whether an input is for the numbers of tokens."""
    return _plain(name) in TOKENS and entry.type in ("tensor(int64)", "tensor(int32)") and len(entry.shape) == 2


def _tokens_of(inputs: Mapping[str, Any], options: Any, taken: Sequence[str]) -> str | None:
    found = [name for name, entry in inputs.items() if is_tokens(name, entry) and name not in taken]
    whole = [name for name, entry in inputs.items() if "int" in entry.type and len(entry.shape) == 2 and name not in taken]
    if options.tokenizer is not None and not found:
        found = [name for name in whole if options.input in (None, name)]
    return found[0] if len(found) == 1 else None


def _plain(name: str) -> str:
    """A name without what exports put around it: `input_ids:0`, `serving_default_input_ids`."""
    return name.lower().removesuffix(":0").removeprefix("serving_default_").rsplit("/", 1)[-1]
