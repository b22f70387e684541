"""Letters as pictures: fonts at one size, each letter from the first font that has it.

EB Garamond comes with Roomful (page/type, under the SIL Open Font License); an artist's own font goes before it, fonts of
the system behind it. A letter that none of them has would be drawn as an empty box, in front of visitors: it is left out, and
the technician hears of it: of the first few in lines, of all in `missing`. SDL_ttf shapes with HarfBuzz, so that kerning, ligatures and
accents are right.
"""

from __future__ import annotations

import unicodedata
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from roles.display.bidi import parted, script

OWN_FONTS = tuple(Path(__file__).parent / "page" / "type" / name for name in ("eb-garamond.woff2", "eb-garamond-ext.woff2"))
# Asked only for letters that the fonts above lack.
SYSTEM_FONTS = ("notosans", "dejavusans", "notosanscjkjp", "notosanscjksc", "notosansarabic", "notosanshebrew", "notoemoji", "symbola",
                "unifont")  # fmt: skip
NOWHERE = "\uffff"  # no font has it: Unicode promises that it is no letter
JOINERS = "\u200c\u200d"  # part or join the letters of Persian
PICTURES_MAX = 2000
SAID_MAX, MISSING_MAX = 8, 60  # letters

Colour = tuple[int, int, int]


def unseen(letter: str) -> bool:
    """Whether a sign has no picture of its own: marks of direction, joiners, choices between a letter's variants."""
    return unicodedata.category(letter) == "Cf" or "\ufe00" <= letter <= "\ufe0f"


class Lettering:
    """Fonts at `size` pixels an em. `say` is told once of each letter that no font has."""

    def __init__(self, pygame: Any, fonts: Sequence[Path], size: int, say: Callable[[str], None]) -> None:
        self._pygame, self._say, self.size = pygame, say, size
        self._fonts = [pygame.font.Font(str(path), size) for path in (*fonts, *OWN_FONTS)]
        self._asked_system = False
        self.missing: list[str] = []  # letters that were asked for and that no font has, the first of them
        self._home: dict[str, Any] = {}  # letter -> its font, None where there is none
        self._pictures: OrderedDict[tuple[str, Colour], Any] = OrderedDict()
        self.line_height = round(size * 1.24)
        self.space = float(self.width_of_space())

    def width_of_space(self) -> int:
        return int(self._fonts[0].size(" ")[0])

    def width(self, word: str) -> float:
        """Pixels that a word takes on its line."""
        return float(sum(self._shaped(font, part, code, None) for font, part, code in self._pieces(word)))

    def picture(self, word: str, colour: Colour) -> Any:
        """The word as a surface with alpha; the baseline lies at the same height in all of one Lettering."""
        kept = self._pictures.get((word, colour))
        if kept is not None:
            self._pictures.move_to_end((word, colour))
            return kept
        parts = [(font, self._shaped(font, part, code, colour)) for font, part, code in self._pieces(word)]
        ascent = self._fonts[0].get_ascent()
        height = max([self._fonts[0].get_height(), *(ascent - font.get_ascent() + part.get_height() for font, part in parts)])
        whole = self._pygame.Surface((max(1, sum(part.get_width() for _, part in parts)), height), self._pygame.SRCALPHA)
        at = 0
        for font, part in parts:
            whole.blit(part, (at, ascent - font.get_ascent()))
            at += part.get_width()
        self._pictures[word, colour] = whole
        if len(self._pictures) > PICTURES_MAX:
            self._pictures.popitem(last=False)
        return whole

    def _pieces(self, word: str) -> list[tuple[Any, str, str | None]]:
        """The word from left to right as (font, letters, script): the signs around it, and its core, which may run from right to left."""
        before, core, after = parted(word)
        code = script(core)
        letters = [(font, part, code) for font, part in self._parts(core)]
        if code is not None:
            letters.reverse()
        else:
            return [(font, part, None) for font, part in self._parts(word)]  # kerned as a whole
        return [*((font, part, None) for font, part in self._parts(before)), *letters,
                *((font, part, None) for font, part in self._parts(after))]  # fmt: skip

    def _shaped(self, font: Any, part: str, code: str | None, colour: Colour | None) -> Any:
        """A part of a word, drawn, or without a colour how wide it is; letters that run from right to left are joined and ordered so."""
        if code is None:
            return font.size(part)[0] if colour is None else font.render(part, True, colour)
        font.set_script(code)
        font.set_direction(self._pygame.DIRECTION_RTL)
        try:
            return font.size(part)[0] if colour is None else font.render(part, True, colour)
        finally:
            font.set_direction(self._pygame.DIRECTION_LTR)
            font.set_script("Latn")

    def _parts(self, word: str) -> list[tuple[Any, str]]:
        """The word cut where its letters come from different fonts."""
        parts: list[tuple[Any, str]] = []
        for letter in word:
            if unseen(letter):
                if parts and letter in JOINERS and script(word):
                    parts[-1] = (parts[-1][0], parts[-1][1] + letter)
                continue
            font = self._font_of(letter)
            if font is None:
                continue
            if parts and parts[-1][0] is font:
                parts[-1] = (font, parts[-1][1] + letter)
            else:
                parts.append((font, letter))
        return parts

    def _font_of(self, letter: str) -> Any:
        if letter not in self._home:
            if len(self._home) > 20_000:
                self._home.clear()
            home = self._first_with(letter)
            if home is None and not self._asked_system:
                self._asked_system = True
                found = filter(None, map(self._pygame.font.match_font, SYSTEM_FONTS))
                self._fonts += [self._pygame.font.Font(path, self.size) for path in found]
                home = self._first_with(letter)
            if home is None:
                self._miss(letter)
            self._home[letter] = home
        return self._home[letter]

    def _miss(self, letter: str) -> None:
        if letter in self.missing or len(self.missing) >= MISSING_MAX:
            return
        self.missing.append(letter)
        if len(self.missing) <= SAID_MAX:
            self._say(f"no font has the letter “{letter}” (U+{ord(letter):04X}): put one that has it in the folder, as option font")
        elif len(self.missing) == SAID_MAX + 1:
            self._say("no font has others of these letters either: `roomful status` lists them")

    def _first_with(self, letter: str) -> Any:
        if not letter.isprintable() or ord(letter) > 0x10FFFF:
            return None
        return next((font for font in self._fonts if self._has(font, letter)), None)

    def _has(self, font: Any, letter: str) -> bool:
        """Whether a font has a letter: newer versions of pygame give the empty box's measures for one that it has not, so it is drawn."""
        measures = (font.metrics(letter) or [None])[0]
        if measures is None:
            return False
        box = (font.metrics(NOWHERE) or [None])[0]
        return measures != box or self._drawn(font, letter) != self._drawn(font, NOWHERE)

    def _drawn(self, font: Any, letter: str) -> bytes:
        return bytes(self._pygame.image.tobytes(font.render(letter, True, (255, 255, 255)), "RGBA"))
