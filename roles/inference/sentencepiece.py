"""SentencePiece's own file (`*.model`) as a tokenizer of the library that reads the others.

The file is a protocol buffer (sentencepiece_model.proto of google/sentencepiece): pieces with their scores, and how a text is made plain
before. Only what a tokenizer needs is read. Which numbers the pieces have in the model, and what stands around a text, its authors
decided for each family; known are those of XLM-RoBERTa, CamemBERT, ALBERT, DeBERTa (2 and 3), and T5 and its kin. Decided against: a
dependency on protobuf for six fields, and guessing for other families, whose numbers would be wrong in silence.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

UNIGRAM, PAIRS = 1, 2  # how it was trained
CONTROL, USER, BYTE = 3, 4, 6  # kinds of pieces
SPACE = "▁"


@dataclass(slots=True)
class Pieces:
    """What the file says."""

    pieces: list[tuple[str, float]] = field(default_factory=list)
    kinds: list[int] = field(default_factory=list)
    how: int = UNIGRAM
    unknown: int = 0
    bytes_too: bool = False  # what no piece writes is written in bytes
    plain: bytes = b""  # how letters are made plain, in the library's own form
    begins: bool = True  # a space is put before the text
    trims: bool = True


def read_pieces(data: bytes) -> Pieces:
    """ValueError where it is no such file."""
    found = Pieces()
    for number, value in _fields(data):
        if number == 1 and isinstance(value, bytes):
            piece = dict(_fields(value))
            found.pieces.append((bytes(piece[1]).decode(), _real(piece.get(2, b"\0\0\0\0"))))
            found.kinds.append(int(piece.get(3, 1)))
        elif number == 2 and isinstance(value, bytes):
            said = dict(_fields(value))
            found.how, found.unknown, found.bytes_too = int(said.get(3, UNIGRAM)), int(said.get(40, 0)), bool(said.get(35, 0))
        elif number == 3 and isinstance(value, bytes):
            said = dict(_fields(value))
            found.plain, found.begins, found.trims = bytes(said.get(2, b"")), bool(said.get(3, 1)), bool(said.get(4, 1))
    if not found.pieces or found.how not in (UNIGRAM, PAIRS):
        raise ValueError("it holds no pieces")
    return found


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """(number, value) of a protocol buffer's message: numbers, or bytes."""
    at = 0
    while at < len(data):
        key, at = _number(data, at)
        kind = key & 7
        if kind == 0:
            value, at = _number(data, at)
            yield key >> 3, value
            continue
        length = {1: 8, 5: 4}.get(kind)
        if length is None:
            if kind != 2:
                raise ValueError("it is no protocol buffer")
            length, at = _number(data, at)
        if at + length > len(data):
            raise ValueError("it is cut short")
        yield key >> 3, data[at : at + length]
        at += length


def _number(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at
    raise ValueError("it is cut short")


def _real(data: Any) -> float:
    return float(struct.unpack("<f", data)[0])


def tokenizer_of_pieces(tokenizers: Any, read: Pieces, said: Mapping[str, Any]) -> Any:
    """`said` is what stands beside the file. ValueError where the family is not known."""
    name = f"{said.get('tokenizer_class') or ''} {said.get('model_type') or ''}".lower().replace("-", "").replace("_", "")
    family = next((family for family in FAMILIES if family in name), None)
    if family is None:
        raise ValueError(
            "what stands around its texts is not told: save it as tokenizer.json (transformers: AutoTokenizer.from_pretrained(…)"
            ".save_pretrained(…))"
        )
    return FAMILIES[family](tokenizers, read, said)


def _made(tokenizers: Any, read: Pieces, vocabulary: list[tuple[str, float]], unknown: int) -> Any:
    if read.how == UNIGRAM:
        return tokenizers.Tokenizer(tokenizers.models.Unigram(vocabulary, unknown, read.bytes_too))
    words = {word: at for at, (word, _) in enumerate(vocabulary)}
    ranked = [
        (-score, at, word[:cut], word[cut:]) for at, (word, score) in enumerate(vocabulary) for cut in range(1, len(word))
        if word[:cut] in words and word[cut:] in words
    ]  # fmt: skip
    merges = [(one, two) for _, _, one, two in sorted(ranked)]
    model = tokenizers.models.BPE(words, merges, unk_token=vocabulary[unknown][0], fuse_unk=True, byte_fallback=read.bytes_too)
    return tokenizers.Tokenizer(model)


def _plain(tokenizers: Any, read: Pieces, *before: Any) -> Any:
    how = tokenizers.normalizers
    own = [how.Precompiled(read.plain)] if read.plain else []
    return how.Sequence([*before, *own, how.Replace(tokenizers.Regex(" {2,}"), " ")])


def _around(tokenizers: Any, found: Any, single: str, pair: str, *special: str) -> Any:
    numbers = [(word, found.token_to_id(word)) for word in special]
    if any(number is None for _, number in numbers):
        raise ValueError(f"the pieces {' and '.join(special)} are not in it")
    found.post_processor = tokenizers.processors.TemplateProcessing(single=single, pair=pair, special_tokens=numbers)
    return found


def _of_xlm_roberta(tokenizers: Any, read: Pieces, said: Mapping[str, Any]) -> Any:
    first = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    found = _made(tokenizers, read, [*first, *read.pieces[3:], ("<mask>", 0.0)], 3)
    return _spaced_words(tokenizers, read, found)


def _of_camembert(tokenizers: Any, read: Pieces, said: Mapping[str, Any]) -> Any:
    first = [("<s>NOTUSED", 0.0), ("<pad>", 0.0), ("</s>NOTUSED", 0.0), ("<unk>", 0.0), ("<unk>NOTUSED", -100.0)]
    found = _made(tokenizers, read, [*first, *read.pieces[1:], ("<mask>", 0.0)], 3)
    return _spaced_words(tokenizers, read, found)


def _spaced_words(tokenizers: Any, read: Pieces, found: Any) -> Any:
    found.normalizer = _plain(tokenizers, read)
    split = tokenizers.pre_tokenizers
    found.pre_tokenizer = split.Sequence([split.WhitespaceSplit(), split.Metaspace(SPACE, "always")])
    found.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>", tokenizers.AddedToken("<mask>", lstrip=True)])
    return _around(tokenizers, found, "<s> $A </s>", "<s> $A </s> </s> $B </s>", "<s>", "</s>")


def _of_albert(tokenizers: Any, read: Pieces, said: Mapping[str, Any]) -> Any:
    def kept(piece: str) -> bool:  # a comma after a digit is a piece of its own there
        return len(piece) < 2 or piece[-1] != "," or not piece[-2].isdigit()

    found = _made(tokenizers, read, [(piece, score if kept(piece) else score - 100) for piece, score in read.pieces], read.unknown)
    how = tokenizers.normalizers
    before = [how.Replace("``", '"'), how.Replace("''", '"')]
    before += [] if said.get("keep_accents") else [how.NFKD(), how.StripAccents()]
    before += [how.Lowercase()] if said.get("do_lower_case", True) else []
    found.normalizer = _plain(tokenizers, read, *before)
    split = tokenizers.pre_tokenizers
    found.pre_tokenizer = split.Sequence([split.WhitespaceSplit(), split.Metaspace(SPACE, "always")])
    return _bert_around(tokenizers, found, "<pad>", "<unk>")


def _of_deberta(tokenizers: Any, read: Pieces, said: Mapping[str, Any]) -> Any:
    extra = [] if any(piece == "[MASK]" for piece, _ in read.pieces) else [("[MASK]", 0.0)]
    found = _made(tokenizers, read, [*read.pieces, *extra], read.unknown)
    how, split = tokenizers.normalizers, tokenizers.pre_tokenizers
    found.normalizer = _plain(tokenizers, read, *([how.Lowercase()] if said.get("do_lower_case") else []), how.Strip())
    words = [split.Punctuation("isolated")] if said.get("split_by_punct") else []
    found.pre_tokenizer = split.Sequence([*words, split.Metaspace(SPACE, "always")])
    return _bert_around(tokenizers, found, "[PAD]", "[UNK]")


def _bert_around(tokenizers: Any, found: Any, *others: str) -> Any:
    known = [word for word in ("[CLS]", "[SEP]", *others) if found.token_to_id(word) is not None]
    found.add_special_tokens([*known, tokenizers.AddedToken("[MASK]", lstrip=True)])
    return _around(tokenizers, found, "[CLS]:0 $A:0 [SEP]:0", "[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1", "[CLS]", "[SEP]")


def _of_t5(tokenizers: Any, read: Pieces, said: Mapping[str, Any]) -> Any:
    found = _made(tokenizers, read, read.pieces, read.unknown)
    found.normalizer = _plain(tokenizers, read)
    split = tokenizers.pre_tokenizers
    found.pre_tokenizer = split.Sequence([split.WhitespaceSplit(), split.Metaspace(SPACE, "always")])
    found.add_special_tokens([piece for (piece, _), kind in zip(read.pieces, read.kinds, strict=True) if kind == CONTROL])
    return _around(tokenizers, found, "$A </s>", "$A </s> $B </s>", "</s>")


FAMILIES = {
    "xlmroberta": _of_xlm_roberta, "camembert": _of_camembert, "albert": _of_albert, "deberta": _of_deberta, "t5": _of_t5,
}  # fmt: skip
