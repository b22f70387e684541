"""Where lines break: pure rules, told the width of each word.

A text that comes whole is set so that its lines are evenly full (least squares of the space left over, all but the last
line: the idea of Knuth and Plass, "Breaking paragraphs into lines", 1981, without hyphenation and stretch). A text that
grows while it is read is set line by line instead, because a word that was read must never jump to another line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

BREAK = "\n"  # a word that is none: a new line here
# Scripts without spaces: a line may break between any two of their letters, but not before closing punctuation.
_BROAD = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uff00-\uffef\u3000-\u303f"
_CLOSING = "、。，．！？；：）」』】〉》〕ー々ぁぃぅぇぉっゃゅょァィゥェォッャュョ"
_WORD = re.compile(rf"\n|[{_BROAD}][{_CLOSING}]*|[^\s{_BROAD}]+|\u00a0")
_APOSTROPHE = re.compile(r"(?<=[^\W\d_])'(?=[^\W\d_]|$|\s)")


def words_of(text: str, whole: bool) -> list[tuple[str, bool]]:
    """(word, whether a space stands before it). While the text is not `whole`, a last word that may go on is held back."""
    found: list[tuple[str, bool]] = []
    for match in _WORD.finditer(text.replace("\r", "")):
        start = match.start()
        goes_on = not whole and match.end() == len(text) and match[0] != BREAK
        if not goes_on:
            found.append((match[0], start > 0 and text[start - 1].isspace()))
    return found


def typeset(text: str) -> str:
    """It's becomes it’s, -- becomes –, ... becomes …: what a typewriter had no keys for."""
    return _APOSTROPHE.sub("’", text).replace(" -- ", " – ").replace("...", "…")


def fitting(word: str, room: float, width: Callable[[str], float]) -> list[str]:
    """A word, in as many parts as are needed for each to fit into `room`; mostly itself."""
    if len(word) < 2 or width(word) <= room:
        return [word]
    parts, rest = [], word
    while rest:
        count = max(1, next((n for n in range(len(rest), 0, -1) if width(rest[:n]) <= room), 1))
        parts.append(rest[:count])
        rest = rest[count:]
    return parts


def greedy(widths: Sequence[float | None], gaps: Sequence[float], room: float) -> list[int]:
    """The line of each word, each line as full as it can be. `None` for a width is a forced break; `gaps` stand before words."""
    lines: list[int] = []
    line, used = 0, 0.0
    for width, gap in zip(widths, gaps, strict=True):
        if width is None:
            lines.append(line)
            line, used = line + 1, 0.0
            continue
        if used > 0 and used + gap + width > room:
            line, used = line + 1, 0.0
        lines.append(line)
        used += width if used == 0 else gap + width
    return lines


def even(widths: Sequence[float | None], gaps: Sequence[float], room: float) -> list[int]:
    """The line of each word, no more lines than needed, the space left over shared out among them."""
    if any(width is None for width in widths) or len(widths) > 400:
        return greedy(widths, gaps, room)
    sizes = [width or 0.0 for width in widths]
    least = greedy(widths, gaps, room)[-1] + 1 if widths else 0
    # best[n][i]: the least cost of setting the first i words in n lines, and where the last of these begins
    best: list[dict[int, tuple[float, int]]] = [{0: (0.0, 0)}]
    for number in range(1, least + 1):
        row: dict[int, tuple[float, int]] = {}
        for end in range(1, len(sizes) + 1):
            used = 0.0
            for start in range(end - 1, -1, -1):
                used += sizes[start] + (gaps[start + 1] if start + 1 < end else 0.0)
                if used > room and start < end - 1:
                    break
                if start not in best[number - 1]:
                    continue
                slack = max(0.0, room - used)
                last = number == least and end == len(sizes)
                cost = best[number - 1][start][0] + (0.25 if last else 1.0) * slack * slack
                if end not in row or cost < row[end][0]:
                    row[end] = (cost, start)
        best.append(row)
    lines, end = [0] * len(sizes), len(sizes)
    for number in range(least, 0, -1):
        start = best[number][end][1]
        lines[start:end] = [number - 1] * (end - start)
        end = start
    return lines
