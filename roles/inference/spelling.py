"""Models that write: a row of scores of letters for each moment of a sound or column of a picture, read as text.

Connectionist temporal classification (Graves et al. 2006): the likeliest letter of each moment, repetitions as one, blanks left out. So
speech models (wav2vec 2.0 and its like) and readers of lettering (CRNN) end. Decided against: a search with a language model, which
a role after this one can be.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mesh.errors import RoleError
from roles.inference.candidates import softmax
from roles.inference.intake import Array

BLANKS = ("<pad>", "<blank>", "<blk>", "[PAD]", "[blank]", "blank", "<ctc_blank>")
SILENT = ("[UNK]", "[CLS]", "[SEP]")  # beside all in pointed brackets, such as <unk>, or SenseVoice's <|en|>


def spelled(outputs: Mapping[str, Array], labels: list[str], options: Any) -> dict[str, Any]:
    """{"text", "score"}: what is written, and the mean likelihood of its letters (1.0 where there are none)."""
    if not labels:
        raise RoleError(
            "the model's letters are not known", where="option labels",
            instead="give its letters in order, or a file of the folder with them: a vocab.json, or a text with one on each line",
        )  # fmt: skip
    rows = _rows(outputs, labels, options.scores)
    blank, words = _blank(rows.shape[1], labels, options.blank)
    sure = rows if rows.min() >= 0 and float(np.abs(rows.sum(axis=1) - 1).max(initial=0)) < 1e-2 else softmax(rows)
    best = sure.argmax(axis=1)
    letters, likely = [], []
    for at, letter in enumerate(best):
        if letter != blank and (at == 0 or letter != best[at - 1]):
            letters.append(words[letter])
            likely.append(float(sure[at, letter]))
    text = "".join(" " if letter in ("|", "<space>") else letter.replace("▁", " ") for letter in letters if not _is_mark(letter))
    return {"text": " ".join(text.split()), "score": round(float(np.mean(likely)) if likely else 1.0, 4)}


def _is_mark(letter: str) -> bool:
    """Something said about the text, and no part of it."""
    return letter in SILENT or (len(letter) > 2 and letter[0] == "<" and letter[-1] == ">" and letter != "<space>")


def _rows(outputs: Mapping[str, Array], labels: list[str], wanted: str | None) -> Array:
    """(moments, letters): [1, t, letters], [t, 1, letters] or [t, letters]."""
    fits = (len(labels), len(labels) + 1, len(labels) + 2)
    names = [name for name, value in outputs.items() if value.ndim in (2, 3) and value.shape[-1] in fits]
    names = names if wanted is None else [wanted]
    if not names or names[0] not in outputs or outputs[names[0]].shape[-1] not in fits:
        given = ", ".join(f"{name} {list(value.shape)}" for name, value in outputs.items())
        raise RoleError(
            f"{len(labels)} letters fit none of the model's outputs: {given}", where="option labels",
            instead="give all letters that the model knows, in its order, and name its output in option scores",
        )  # fmt: skip
    value = outputs[names[0]].astype(np.float64)
    return value.reshape(-1, value.shape[-1])


def _blank(width: int, labels: list[str], asked: str | None) -> tuple[int, list[str]]:
    """The number of the blank, and the letters of all numbers."""
    if width == len(labels) + 2:  # the blank before them and a space after them, as PaddleOCR has it
        labels = [*labels, " "]
    if asked in ("first", "last"):
        words = labels if width == len(labels) else ["", *labels] if asked == "first" else [*labels, ""]
        return (0 if asked == "first" else width - 1), words
    if asked is not None:
        if asked not in labels:
            raise RoleError(f"option blank is {asked!r}, no label", where="option blank", instead="write first, last or a label")
        return labels.index(asked), [*labels, ""][:width]
    if width == len(labels) + 1:  # the blank is not among the letters: it is the first, as CRNN has it
        return 0, ["", *labels]
    return next((labels.index(word) for word in BLANKS if word in labels), 0), labels
