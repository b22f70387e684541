"""Text on a screen: words that appear one by one, lines before them that step back and leave.

All movement is a function of the time, so that a slow computer shows fewer pictures and not a slower sentence. The newest
text stands low and grows downwards in a place kept free for it; what was said before rises, dims, and goes. This is how the
page of `display.web` behaves, too: a piece may change from one to the other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from roles.display.bidi import direction, drawn, visual_order
from roles.display.lettering import Colour, Lettering
from roles.display.showing import Saying
from roles.display.typesetting import BREAK, even, fitting, greedy, typeset, words_of

APPEAR_S = 1.3  # a word
RECEDE_S = 2.4  # how long a text takes to step back by one
GLIDE_S = 0.45  # the time constant of a text that moves
ROOM_LINES = 3  # kept free for the text that is being spoken

Box = tuple[int, int, int, int]  # left, top, width, height


@dataclass(slots=True)
class _Word:
    text: str
    spaced: bool
    due_s: float
    width: float | None  # None: a forced break
    at: float = 0.0
    line: int = 0
    drawn: str = ""  # as it stands on its line: signs around it on the side where its text's direction has them


@dataclass(slots=True)
class _Block:
    words: list[_Word] = field(default_factory=list)
    taken: int = 0  # words of the saying that are set; a long one may be in several parts
    lines: int = 1
    top: float = math.nan
    past_s: float = math.inf  # when a newer one began
    age: int = 0
    leaving_s: float = math.inf
    due_s: float = -math.inf


@dataclass
class Prose:
    """The texts of one stream in one box. `pace` words a second appear at most; `keep` texts stay after the newest."""

    lettering: Lettering
    box: Box
    keep: int = 3
    pace: float = 9.0
    ink: Colour = (233, 228, 218)
    ember: Colour = (176, 140, 100)
    centred: bool = False
    low: bool = True  # the newest at the foot of the box, else in its middle
    blocks: dict[str, _Block] = field(default_factory=dict)
    drawn_s: float = math.nan
    busy_until_s: float = 0.0

    def take(self, sayings: Sequence[Saying], now_s: float, *, at_once: bool = False) -> None:
        """What the stream's texts are now. `at_once`: they were known before this display began, and just stand there."""
        keys = [saying.key for saying in sayings]
        for key, block in self.blocks.items():
            if key not in keys and block.leaving_s == math.inf:
                block.leaving_s = now_s  # cancelled, or older than what is kept
        for saying in sayings:
            fresh = saying.key not in self.blocks
            block = self.blocks.setdefault(saying.key, _Block())
            if fresh and saying is sayings[-1]:
                self._retire(-math.inf if at_once else now_s, saying.key)
            self._set(block, saying, -math.inf if at_once else now_s, whole_at_once=fresh and not saying.more)
        for age, saying in enumerate(reversed(sayings)):
            block = self.blocks[saying.key]
            if age and block.past_s == math.inf:
                block.past_s = -math.inf if at_once else now_s
            block.age = age
            if age > self.keep and block.leaving_s == math.inf:
                block.leaving_s = -math.inf if at_once else now_s
        self.busy_until_s = max([now_s + RECEDE_S + 3 * GLIDE_S, *(block.due_s + APPEAR_S for block in self.blocks.values())])

    def draw(self, surface: Any, now_s: float) -> None:
        """Onto `surface`; call it again until `busy_until_s`."""
        step_s = 0.0 if math.isnan(self.drawn_s) else max(0.0, now_s - self.drawn_s)
        self.drawn_s = now_s
        for key in [key for key, block in self.blocks.items() if self._strength(block, now_s) <= 0 and block.leaving_s < now_s]:
            del self.blocks[key]
        left, top, width, height = self.box
        foot = top + height if self.low else top + (height + ROOM_LINES * self.lettering.line_height) // 2
        for block in reversed(self.blocks.values()):
            newest = block.past_s == math.inf
            lines = self._lines_so_far(block, now_s) if block.lines * self.lettering.line_height > height else block.lines
            tall = max(lines, ROOM_LINES if newest else 1) * self.lettering.line_height
            target = foot - tall
            block.top = target if math.isnan(block.top) else target + (block.top - target) * math.exp(-step_s / GLIDE_S)
            foot = target - round(0.55 * self.lettering.line_height)
            if block.top + tall >= top:
                self._draw_block(surface, block, left, now_s)

    def _lines_so_far(self, block: _Block, now_s: float) -> int:
        """Of a text taller than its box: it rises line by line while it is said, so that what is said now can be read."""
        return 1 + max((word.line for word in block.words if word.due_s <= now_s), default=0)

    def _draw_block(self, surface: Any, block: _Block, left: int, now_s: float) -> None:
        strength = self._strength(block, now_s)
        top, _, height = self.box[1], self.box[2], self.box[3]
        rim = top + 0.3 * height  # what rises above it thins out
        colour = self.ink if block.past_s == math.inf else _between(self.ink, self.ember, _ease((now_s - block.past_s) / RECEDE_S))
        for word in block.words:
            if word.width is None:
                continue
            alpha = strength * _ease((now_s - word.due_s) / APPEAR_S)
            at = block.top + word.line * self.lettering.line_height
            alpha *= min(1.0, max(0.0, (at - top) / max(1.0, rim - top))) if at < rim else 1.0
            if alpha <= 0.004:
                continue
            picture = self.lettering.picture(word.drawn, colour)
            picture.set_alpha(round(255 * alpha))
            surface.blit(picture, (left + word.at, at))

    def _strength(self, block: _Block, now_s: float) -> float:
        """How clearly a text stands there, 0 to 1, by its age and whether it leaves."""
        strength = 1.0
        if block.past_s < math.inf:
            gone = _ease((now_s - block.past_s) / RECEDE_S)
            strength = 1.0 - gone * (1.0 - 0.4 / (0.6 * block.age * block.age + 0.4))
        if block.leaving_s < math.inf:
            strength *= 1.0 - _ease((now_s - block.leaving_s) / RECEDE_S)
        return strength

    def _retire(self, now_s: float, but: str) -> None:
        for key, block in self.blocks.items():
            if key != but and block.past_s == math.inf:
                block.past_s = now_s

    def _set(self, block: _Block, saying: Saying, now_s: float, *, whole_at_once: bool) -> None:
        """Give the words that are new their time and all of them their places."""
        words = words_of(typeset(saying.text), not saying.more)
        room, lettering = float(self.box[2]), self.lettering
        for text, spaced in words[block.taken :]:
            block.due_s = max(block.due_s + 1 / self.pace, now_s)
            for place, part in enumerate([text] if text == BREAK else fitting(text, room, lettering.width)):
                width = None if text == BREAK else lettering.width(part)
                block.words.append(_Word(part, spaced and place == 0, block.due_s, width))
        if len(words) == block.taken:
            return
        block.taken = len(words)
        gaps = [lettering.space if word.spaced else 0.0 for word in block.words]
        lines = (even if whole_at_once else greedy)([word.width for word in block.words], gaps, room)
        self._place(block, lines, gaps, room)

    def _place(self, block: _Block, lines: Sequence[int], gaps: Sequence[float], room: float) -> None:
        base = direction(" ".join(word.text for word in block.words)) or "ltr"
        block.lines = (max(lines) + 1) if lines else 1
        for word, line in zip(block.words, lines, strict=True):
            word.line = line
        for number in range(block.lines):
            held = [(word, gap) for word, gap in zip(block.words, gaps, strict=True) if word.line == number and word.width is not None]
            used = _in_a_row(held, base)
            over = room - used
            for word, _ in held:
                word.at += over / 2 if self.centred else over if base == "rtl" else 0.0


def _in_a_row(held: Sequence[tuple[_Word, float]], base: str) -> float:
    """Gives the words of one line, each with the gap before it, their places from 0 on; returns how wide the line is."""
    texts = [word.text for word, _ in held]
    order = visual_order(texts, base)
    for (word, _), as_drawn in zip(held, drawn(texts, base), strict=True):
        word.drawn = as_drawn
    used = 0.0
    for place, at in enumerate(order):
        word, _ = held[at]
        if place:
            used += held[max(at, order[place - 1])][1]  # the gap belongs to the later of two neighbours
        word.at = used
        used += word.width or 0.0
    return used


def _ease(part: float) -> float:
    """0 to 1 for 0 to 1, slow at both ends."""
    if part != part:
        return 1.0
    part = min(1.0, max(0.0, part))
    return part * part * (3 - 2 * part)


def _between(one: Colour, other: Colour, part: float) -> Colour:
    """In eighths, so that words are drawn in few colours and kept."""
    part = round(part * 8) / 8
    return (
        round(one[0] + (other[0] - one[0]) * part),
        round(one[1] + (other[1] - one[1]) * part),
        round(one[2] + (other[2] - one[2]) * part),
    )
