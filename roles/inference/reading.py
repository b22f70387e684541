"""Texts for an ONNX model: as the tokens that it was trained on, or as the strings that models of tables take.

What a letter becomes is no part of the model but of its tokenizer, a file that comes beside it (`tokenizer.json`, or BERT's
`vocab.txt`), and read by the library that wrote it. The inputs beside the tokens (which of them count, of which sentence they are, where
they stand) are filled by their names. Decided against: tokenizers of our own, which would be right for most letters and wrong in silence
for the others.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mesh.errors import EngineMissingError, RoleError
from roles.inference.intake import Array, as_numbers, number_type_of

TOKENS = ("input_ids", "token_ids", "tokens", "ids", "input_tokens", "text", "text_ids")
COUNTS = ("attention_mask", "input_mask", "text_mask", "token_mask", "mask")
SENTENCES = ("token_type_ids", "segment_ids", "input_type_ids")
PLACES = ("position_ids",)
NOTHING = ("[PAD]", "<pad>", "<|endoftext|>", "</s>")  # what stands behind a text that is too short
TOKENS_MAX = 512
SANE_MAX = 100_000  # what a tokenizer says of its longest text, where it says anything
STRING = "tensor(string)"


class Reader:
    """Makes what a model reads of texts. `takes` are the inputs that it fills, `entry` the one that the texts themselves go to."""

    def __init__(self, inputs: Mapping[str, Any], entry: str, tokenizer: Any, pad: int, most: int) -> None:
        self._inputs, self.entry, self._tokenizer, self._pad, self._most = inputs, entry, tokenizer, pad, most
        beside = [name for name in inputs if _plain(name) in (*COUNTS, *SENTENCES, *PLACES) and len(inputs[name].shape) == 2]
        self.takes = (entry, *(beside if tokenizer is not None else ()))
        side = inputs[entry].shape[-1] if len(inputs[entry].shape) > 1 else None
        self._fixed = side if isinstance(side, int) and side > 0 and tokenizer is not None else None

    def feeds(self, texts: Sequence[str], seconds: Sequence[str] | None = None) -> tuple[dict[str, Array], int]:
        """The inputs for these texts, a row each, and how many tokens the longest has (1 for strings). With `seconds`, each is a pair."""
        if self._tokenizer is None:
            return {self.entry: self._strings(texts)}, 1
        others: Sequence[str | None] = seconds or [None] * len(texts)
        read = [self._tokenizer.encode(text, other) for text, other in zip(texts, others, strict=True)]
        most = self._fixed or self._most
        rows = [(each.ids[:most], each.type_ids[:most]) for each in read]
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
        return Reader(inputs, strings[0], None, 0, 0)
    entry = _tokens_of(inputs, options, taken)
    file = tokenizer_file(options.tokenizer, folder, model)
    if entry is None or file is None:
        return None
    tokenizer, told = _opened(file), _told(file.parent / "tokenizer_config.json")
    own = tokenizer.truncation
    tokenizer.no_padding()
    most = options.tokens_max or (own or {}).get("max_length") or told.get("model_max_length") or TOKENS_MAX
    most = int(most) if most <= SANE_MAX else TOKENS_MAX
    fixed = inputs[entry].shape[-1]
    tokenizer.enable_truncation(fixed if isinstance(fixed, int) and fixed > 0 else most)
    return Reader(inputs, entry, tokenizer, _padding(tokenizer, told), most)


def is_tokens(name: str, entry: Any) -> bool:
    """Whether an input is for the numbers of tokens."""
    return _plain(name) in TOKENS and entry.type in ("tensor(int64)", "tensor(int32)") and len(entry.shape) == 2


def _tokens_of(inputs: Mapping[str, Any], options: Any, taken: Sequence[str]) -> str | None:
    found = [name for name, entry in inputs.items() if is_tokens(name, entry) and name not in taken]
    whole = [name for name, entry in inputs.items() if "int" in entry.type and len(entry.shape) == 2 and name not in taken]
    if options.tokenizer is not None and not found:
        found = [name for name in whole if options.input in (None, name)]
    return found[0] if len(found) == 1 else None


def tokenizer_file(asked: str | None, folder: Path, model: Path) -> Path | None:
    """The tokenizer that is named, or that lies beside the model (or a folder above, as exports keep it). None where there is none."""
    if asked is not None:
        path = folder / asked
        if not path.is_file() or not path.resolve().is_relative_to(folder.resolve()):
            raise RoleError(
                f"there is no tokenizer {asked!r} in the folder", where="option tokenizer",
                instead="put the model's tokenizer.json (or vocab.txt) into the deployment's folder and write its path",
            )  # fmt: skip
        return path
    for place in places_beside(model):
        for name in (f"{model.stem}.tokenizer.json", "tokenizer.json", "vocab.txt"):
            if (place / name).is_file():
                return place / name
    return None


def places_beside(model: Path) -> list[Path]:
    """Where what belongs to a model is looked for: its own folder, and the one above a folder that is called onnx."""
    return [model.parent, model.parent.parent] if model.parent.name == "onnx" else [model.parent]


def _opened(file: Path) -> Any:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # a role is one thread
    try:
        import tokenizers
    except ImportError as missing:
        raise EngineMissingError(
            "a model of texts needs the library tokenizers, which is not installed on this machine", where=file.name,
            instead="pip install 'roomful[text]'",
        ) from missing  # fmt: skip
    try:
        return _of_words(tokenizers, file) if file.suffix == ".txt" else tokenizers.Tokenizer.from_file(str(file))
    except Exception as refusal:  # the library raises Exception itself
        raise RoleError(
            f"{file.name} is no tokenizer: {str(refusal)[:200]}", where=str(file), instead="use the tokenizer.json that came with the model"
        ) from refusal


def _of_words(tokenizers: Any, file: Path) -> Any:
    """BERT's list of words, one a line."""
    lower = bool(_told(file.parent / "tokenizer_config.json").get("do_lower_case", True))
    words = {word: at for at, word in enumerate(file.read_text(encoding="utf-8").splitlines())}
    if "[CLS]" not in words or "[SEP]" not in words:
        raise ValueError("the words [CLS] and [SEP] are not in it")
    found = tokenizers.Tokenizer(tokenizers.models.WordPiece(words, unk_token="[UNK]"))
    found.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=lower)
    found.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    found.add_special_tokens([word for word in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]") if word in words])
    found.post_processor = tokenizers.processors.BertProcessing(("[SEP]", words["[SEP]"]), ("[CLS]", words["[CLS]"]))
    return found


def _told(file: Path) -> dict[str, Any]:
    """A JSON object beside the model; empty where there is none."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _padding(tokenizer: Any, told: Mapping[str, Any]) -> int:
    own = told.get("pad_token")
    word = own.get("content") if isinstance(own, Mapping) else own
    for each in (word, *NOTHING):
        if isinstance(each, str) and (number := tokenizer.token_to_id(each)) is not None:
            return int(number)
    return 0


def _plain(name: str) -> str:
    """A name without what exports put around it: `input_ids:0`, `serving_default_input_ids`."""
    return name.lower().removesuffix(":0").removeprefix("serving_default_").rsplit("/", 1)[-1]
