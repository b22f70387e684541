"""Letters as pictures: fonts at one size, each letter from the first font that has it.

EB Garamond comes with Roomful (page/type, under the SIL Open Font License); an artist's own font goes before it, fonts of
the system behind it. A letter that none of them has would be drawn as an empty box, in front of visitors: it is left out, and
the technician hears of it. SDL_ttf shapes with HarfBuzz, so that kerning, ligatures and accents are right.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

OWN_FONTS = tuple(Path(__file__).parent / "page" / "type" / name for name in ("eb-garamond.woff2", "eb-garamond-ext.woff2"))
# Asked only for letters that the fonts above lack.
SYSTEM_FONTS = ("notosans", "dejavusans", "notosanscjkjp", "notosanscjksc", "notosansarabic", "notosanshebrew", "unifont")
PICTURES_MAX = 2000

Colour = tuple[int, int, int]


class Lettering:
    """Fonts at `size` pixels an em. `say` is told once of each letter that no font has."""

    def __init__(self, pygame: Any, fonts: Sequence[Path], size: int, say: Callable[[str], None]) -> None:
        self._pygame, self._say, self.size = pygame, say, size
        self._fonts = [pygame.font.Font(str(path), size) for path in (*fonts, *OWN_FONTS)]
        self._asked_system = False
        self._home: dict[str, Any] = {}  # letter -> its font, None where there is none
        self._pictures: OrderedDict[tuple[str, Colour], Any] = OrderedDict()
        self.line_height = round(size * 1.24)
        self.space = float(self.width_of_space())

    def width_of_space(self) -> int:
        return int(self._fonts[0].size(" ")[0])

    def width(self, word: str) -> float:
        """Pixels that a word takes on its line."""
        return float(sum(font.size(part)[0] for font, part in self._parts(word)))

    def picture(self, word: str, colour: Colour) -> Any:
        """The word as a surface with alpha; the baseline lies at the same height in all of one Lettering."""
        kept = self._pictures.get((word, colour))
        if kept is not None:
            self._pictures.move_to_end((word, colour))
            return kept
        parts = [(font, font.render(part, True, colour)) for font, part in self._parts(word)]
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

    def _parts(self, word: str) -> list[tuple[Any, str]]:
        """The word cut where its letters come from different fonts."""
        parts: list[tuple[Any, str]] = []
        for letter in word:
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
                self._say(f"no font has the letter “{letter}” (U+{ord(letter):04X}): put one that has it in the folder, as option font")
            self._home[letter] = home
        return self._home[letter]

    def _first_with(self, letter: str) -> Any:
        if not letter.isprintable() or ord(letter) > 0x10FFFF:
            return None
        return next((font for font in self._fonts if (font.metrics(letter) or [None])[0] is not None), None)
