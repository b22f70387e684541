"""Texts that run from right to left: which words do, and in what order the words of a line stand.

The core of Unicode's bidirectional algorithm (UAX 9) for words that were parted at their spaces: a text has the direction of its first
letter that has one; within it, words of the other direction that follow each other keep their own order. Decided against: the whole
algorithm with embeddings and isolates, which texts on a wall do not have, and a library for it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

RIGHT, LEFT, NUMBER = ("R", "AL"), ("L",), ("EN", "AN")
PAIRS = dict(zip("()[]{}<>«»‹›", ")(][}{><»«›‹", strict=True))
# ISO 15924 codes of the scripts, by which HarfBuzz shapes, and the first and last letter of each.
SCRIPTS = (
    ("Hebr", 0x0590, 0x05FF), ("Arab", 0x0600, 0x06FF), ("Syrc", 0x0700, 0x074F), ("Arab", 0x0750, 0x077F), ("Thaa", 0x0780, 0x07BF),
    ("Nkoo", 0x07C0, 0x07FF), ("Arab", 0x08A0, 0x08FF), ("Hebr", 0xFB1D, 0xFB4F), ("Arab", 0xFB50, 0xFDFF), ("Arab", 0xFE70, 0xFEFF),
)  # fmt: skip


def direction(text: str) -> str:
    """"rtl" or "ltr" by its first letter that has a direction; "" where none has, as in a number."""
    for letter in text:
        kind = unicodedata.bidirectional(letter)
        if kind in RIGHT:
            return "rtl"
        if kind in LEFT:
            return "ltr"
    return ""


def script(text: str) -> str | None:
    """The ISO 15924 code of a word that runs from right to left; None for others."""
    for letter in text:
        found = next((code for code, first, last in SCRIPTS if first <= ord(letter) <= last), None)
        if found and unicodedata.bidirectional(letter) in RIGHT:
            return found
    return None


def visual_order(words: Sequence[str], base: str) -> list[int]:
    """The words of one line as they stand from left to right, by their numbers in the order in which they are read."""
    runs: list[tuple[bool, list[int]]] = []
    for at, backwards in enumerate(_sides(words, base == "rtl")):
        if runs and runs[-1][0] == backwards:
            runs[-1][1].append(at)
        else:
            runs.append((backwards, [at]))
    if base == "rtl":
        runs.reverse()
    return [at for backwards, run in runs for at in (reversed(run) if backwards else run)]


def drawn(words: Sequence[str], base: str) -> list[str]:
    """The words of one line as they are drawn: signs around a word stand on the side, and are turned, as the direction that they belong to
    has it. A core of letters stays as it is read; whoever draws it shapes it."""
    rtl, sides = base == "rtl", _sides(words, base == "rtl")
    found = []
    for at, word in enumerate(words):
        before, core, after = parted(word)
        if not core:
            found.append(mirrored(word) if sides[at] else word)
            continue
        side = direction(core) == "rtl"
        first, last = at == 0 or sides[at - 1] != sides[at], at == len(words) - 1 or sides[at + 1] != sides[at]
        outer = rtl if not direction(core) else side
        lead, trail = (rtl if first else outer), (rtl if last else outer)
        left = ("" if lead else before) + (mirrored(after) if trail else "")
        right = (mirrored(before) if lead else "") + ("" if trail else after)
        found.append(left + core + right)
    return found


def parted(word: str) -> tuple[str, str, str]:
    """The signs before a word, the word, and the signs after it; "" for the word where it is all signs."""
    letters = [at for at, letter in enumerate(word) if unicodedata.category(letter)[0] in "LNM"]
    if not letters:
        return word, "", ""
    return word[: letters[0]], word[letters[0] : letters[-1] + 1], word[letters[-1] + 1 :]


def mirrored(signs: str) -> str:
    """Signs in the other direction: the last first, and brackets turned."""
    return "".join(PAIRS.get(sign, sign) for sign in reversed(signs))


def _sides(words: Sequence[str], base: bool) -> list[bool]:
    """Whether each word runs from right to left: by its letters; a number as what stood before it (rule W7), signs alone as what stands
    on both sides of them, or as the text (rules N1 and N2)."""
    told = [direction(word) for word in words]
    before, sides = base, []
    for at, (word, way) in enumerate(zip(words, told, strict=True)):
        number = not way and any(unicodedata.bidirectional(letter) in NUMBER for letter in word)
        if way or number:
            before = way == "rtl" if way else before
            sides.append(before)
            continue
        after = next((way == "rtl" for way in told[at + 1 :] if way), base)
        sides.append(before if before == after else base)
    return sides
