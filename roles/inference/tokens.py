"""The tokenizer beside a model: opened from whichever files the model came with, and read by the library that wrote them.

    tokenizer.json                 everything, in the library's own form
    vocab.txt                      BERT's list of words, one a line
    vocab.json and merges.txt      pairs of bytes that are joined (GPT-2, RoBERTa, CLIP)
    *.model                        SentencePiece: `sentencepiece`

What its authors wrote beside these (`tokenizer_config.json`: whether letters are made small, how long a text may be, what fills a row)
counts as it does in their own program. Decided against: tokenizers of our own, which would be right for most letters and wrong in silence
for the others.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mesh.errors import EngineMissingError, RoleError
from roles.inference.sentencepiece import read_pieces, tokenizer_of_pieces

NAMES = ("tokenizer.json", "vocab.txt", "vocab.json", "sentencepiece.bpe.model", "spiece.model", "spm.model", "tokenizer.model")
NOTHING = ("[PAD]", "<pad>", "<|endoftext|>", "</s>")  # what stands behind a text that is too short
UNKNOWN = ("[UNK]", "<unk>")
HOLES = ("[MASK]", "<mask>")
TOKENS_MAX = 512
SANE_MAX = 100_000  # what a tokenizer says of its longest text, where it says anything


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
        for name in (f"{model.stem}.tokenizer.json", *NAMES):
            if (place / name).is_file() and (name != "vocab.json" or (place / "merges.txt").is_file()):
                return place / name
    return None


def places_beside(model: Path) -> list[Path]:
    """Where what belongs to a model is looked for: its own folder, and the one above a folder that is called onnx."""
    return [model.parent, model.parent.parent] if model.parent.name == "onnx" else [model.parent]


def opened(file: Path) -> Any:
    """The library's tokenizer. RoleError where the file is none, EngineMissingError without the library."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # a role is one thread
    try:
        import tokenizers
    except ImportError as missing:
        raise EngineMissingError(
            "a model of texts needs the library tokenizers, which is not installed on this machine", where=file.name,
            instead="pip install 'roomful[text]'",
        ) from missing  # fmt: skip
    said = told_of(file)
    try:
        if file.suffix == ".model":
            return tokenizer_of_pieces(tokenizers, read_pieces(file.read_bytes()), said)
        if file.name.endswith("vocab.json"):
            return _of_pairs(tokenizers, file, said)
        return _of_words(tokenizers, file, said) if file.suffix == ".txt" else tokenizers.Tokenizer.from_file(str(file))
    except Exception as refusal:  # the library raises Exception itself
        raise RoleError(
            f"{file.name} is no tokenizer: {str(refusal)[:200]}", where=str(file), instead="use the tokenizer.json that came with the model"
        ) from refusal


def told_of(file: Path) -> dict[str, Any]:
    """What stands beside a tokenizer about it: tokenizer_config.json, over special_tokens_map.json."""
    found = {**json_beside(file, "special_tokens_map.json"), **json_beside(file, "tokenizer_config.json")}
    found.setdefault("model_type", json_beside(file, "config.json").get("model_type"))
    return found


def json_beside(file: Path, name: str) -> dict[str, Any]:
    """A JSON object beside a file; empty where there is none."""
    try:
        value = json.loads((file.parent / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def longest(tokenizer: Any, file: Path, asked: int | None) -> int:
    """How many tokens a text may have: as asked, else as sentence-transformers, the tokenizer's settings and its file say, else 512."""
    own = tokenizer.truncation
    said = [json_beside(file, "sentence_bert_config.json").get("max_seq_length"), told_of(file).get("model_max_length"),
            (own or {}).get("max_length"), json_beside(file, "config.json").get("max_position_embeddings")]  # fmt: skip
    sane = [int(each) for each in said if isinstance(each, int | float) and 0 < each <= SANE_MAX]
    return asked or (min(sane[0], TOKENS_MAX) if sane and sane[0] == said[3] else sane[0] if sane else TOKENS_MAX)


def padded_to(tokenizer: Any, file: Path) -> int | None:
    """So many tokens every text had in training, of models that are not told which of them count; None where they may be fewer."""
    own = (tokenizer.padding or {}).get("length")
    config = json_beside(file, "config.json")
    if own is None and str(config.get("model_type", "")).startswith("siglip"):
        text = config.get("text_config")
        own = (text if isinstance(text, Mapping) else config).get("max_position_embeddings", 64)
    return own if isinstance(own, int) and 0 < own <= SANE_MAX else None


def padding_of(tokenizer: Any, file: Path) -> int:
    """The number of what fills a row."""
    return number_of(tokenizer, word_of(told_of(file).get("pad_token")), *NOTHING) or 0


def hole_of(tokenizer: Any, file: Path) -> int | None:
    """The number of what stands for a word that is left out, of models that fill such in."""
    return number_of(tokenizer, word_of(told_of(file).get("mask_token")), *HOLES)


def unknown_of(tokenizer: Any, file: Path) -> int | None:
    """The number of what stands for a word that is not known."""
    return number_of(tokenizer, word_of(told_of(file).get("unk_token")), *UNKNOWN)


def number_of(tokenizer: Any, *words: Any) -> int | None:
    """Of the first of these words that the tokenizer knows."""
    return next((int(at) for word in words if isinstance(word, str) and (at := tokenizer.token_to_id(word)) is not None), None)


def word_of(said: Any) -> str | None:
    """A special token as its settings write it: itself, or an object that holds it."""
    said = said.get("content") if isinstance(said, Mapping) else said
    return said if isinstance(said, str) else None


def _of_words(tokenizers: Any, file: Path, said: Mapping[str, Any]) -> Any:
    """BERT's list of words, one a line."""
    words = {word.rstrip("\r"): at for at, word in enumerate(file.read_text(encoding="utf-8").rstrip("\n").split("\n"))}
    names = {key: word_of(said.get(f"{key}_token")) or f"[{key.upper()}]" for key in ("unk", "cls", "sep", "pad", "mask")}
    if names["cls"] not in words or names["sep"] not in words:
        raise ValueError(f"the words {names['cls']} and {names['sep']} are not in it")
    found = tokenizers.Tokenizer(tokenizers.models.WordPiece(words, unk_token=names["unk"], max_input_chars_per_word=100))
    found.normalizer = tokenizers.normalizers.BertNormalizer(
        lowercase=bool(said.get("do_lower_case", True)), strip_accents=said.get("strip_accents"),
        handle_chinese_chars=bool(said.get("tokenize_chinese_chars", True)),
    )  # fmt: skip
    found.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    found.add_special_tokens([word for word in names.values() if word in words])
    cls, sep = (names[key] for key in ("cls", "sep"))
    double = f"{sep}:0 " if said.get("model_type") == "mpnet" else ""
    found.post_processor = tokenizers.processors.TemplateProcessing(
        single=f"{cls}:0 $A:0 {sep}:0", pair=f"{cls}:0 $A:0 {sep}:0 {double}$B:1 {sep}:1",
        special_tokens=[(cls, words[cls]), (sep, words[sep])],
    )  # fmt: skip
    return found


def _of_pairs(tokenizers: Any, file: Path, said: Mapping[str, Any]) -> Any:
    """Bytes joined in pairs: RoBERTa's, GPT-2's and CLIP's two files."""
    words = json.loads(file.read_text(encoding="utf-8"))
    lines = (file.parent / "merges.txt").read_text(encoding="utf-8").split("\n")
    merges = [tuple(line.split(" ")) for line in lines if line and not line.startswith("#version") and line.count(" ") == 1]
    name = f"{said.get('tokenizer_class', '')} {said.get('model_type', '')}".lower()
    clip = "clip" in name
    unknown = word_of(said.get("unk_token"))
    model = tokenizers.models.BPE(
        words, merges, unk_token=unknown if clip and unknown in words else None, continuing_subword_prefix="",
        end_of_word_suffix="</w>" if clip else "", fuse_unk=False,
    )  # fmt: skip
    found = tokenizers.Tokenizer(model)
    begin, end = ("<|startoftext|>", "<|endoftext|>") if clip else ("<s>", "</s>")
    space = bool(said.get("add_prefix_space", False))
    if clip:
        split, how = tokenizers.pre_tokenizers, tokenizers.normalizers
        found.normalizer = how.Sequence([how.NFC(), how.Replace(tokenizers.Regex(r"\s+"), " "), how.Lowercase()])
        pattern = tokenizers.Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")
        found.pre_tokenizer = split.Sequence([split.Split(pattern, "removed", invert=True), split.ByteLevel(add_prefix_space=False)])
    else:
        found.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=space)
    found.add_special_tokens([word for word in ("<s>", "<pad>", "</s>", "<unk>", "<|startoftext|>", "<|endoftext|>") if word in words])
    if "<mask>" in words:
        found.add_special_tokens([tokenizers.AddedToken("<mask>", lstrip=True)])
    if begin in words and end in words:
        kinds = [(end, words[end]), (begin, words[begin])]
        found.post_processor = tokenizers.processors.RobertaProcessing(*kinds, trim_offsets=not clip, add_prefix_space=space)
    else:
        found.post_processor = tokenizers.processors.ByteLevel(trim_offsets=False)
    return found
