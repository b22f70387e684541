"""All that a screen shows at one moment, in its order: ground, pictures, what stands in for them, a veil, texts.

Knows the time only as an argument and the window only as a surface, so that a whole evening can be drawn in a test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mesh.errors import RoleError
from mesh.role import Frame
from roles.display.backdrop import Backdrop
from roles.display.lettering import Colour, Lettering
from roles.display.pictures import Pictures, is_black
from roles.display.prose import Box, Prose
from roles.display.showing import Saying, Showing
from roles.display.standin import StandIn

VEIL = 150  # of 255: how much the ground covers pictures where text stands on them
FALLBACK = "fallback"


@dataclass(frozen=True, slots=True)
class Look:
    """What the artist chose."""

    ink: Colour = (233, 228, 218)
    ember: Colour = (176, 140, 100)
    ground: Colour = (0, 0, 0)
    keep: int = 3
    pace: float = 9.0
    centred: bool = False
    low: bool = True
    cover: bool = True
    fade_s: float = 1.5


def colour(text: str) -> Colour:
    """ "#e9e4da" as red, green, blue."""
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


class Scene:
    """`version` counts what is worth keeping; `seen` holds the last picture of each stream as it came."""

    def __init__(
        self, pygame: Any, size: tuple[int, int], look: Look, lettering: Lettering, lines: Sequence[str], files: Mapping[str, Path],
        quiet_s: float, now_s: float, say: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.size, self.version = size, 0
        self.seen: dict[str, np.ndarray[Any, Any]] = {}
        self.showing = Showing(lines, quiet_s, life=f"{now_s:.3f}")
        self._pygame, self._look, self._lettering, self._say = pygame, look, lettering, say
        self._pictures = Pictures(pygame, size, look.cover, look.fade_s)
        self._standing = Pictures(pygame, size, look.cover, look.fade_s)
        self._standin = StandIn((), files, quiet_s, now_s, at_once=True)
        self._fallback = self._fallback_of(files)
        self._level, self._level_s = 0.0, now_s  # how far the fallback has come up
        self._films: dict[str, Backdrop] = {}
        self._prose: dict[str, Prose] = {}
        self._title: Prose | None = None
        self._black: set[str] = set()
        self._veil = self._make_veil()
        self._changed = True

    # ---- what comes

    def hear(self, stream: str, frame: Frame, now_s: float) -> None:
        """A piece of text."""
        if frame.request is None or not frame.request.startswith("recording@"):
            self._standin.heard(stream, frame, now_s)
        self._join(stream)
        if self.showing.hear(stream, frame, now_s):
            self.version += not frame.more
            self._set(stream, now_s)

    def see(self, stream: str, picture: np.ndarray[Any, Any], now_s: float, *, at_once: bool = False) -> None:
        """A picture. One that is black is no sign that the inputs are well."""
        if is_black(picture):
            if stream not in self._black:
                self._black.add(stream)
                self._say(f"the pictures of {stream} are black")
        else:
            self._black.discard(stream)
            self._standin.heard(stream, Frame(None), now_s)
        if stream in self._films:
            self._films.pop(stream).close()
        self.seen[stream] = picture
        self.version += 1
        self._put(stream, picture, now_s, at_once)

    def show(self, stream: str, film: Backdrop, now_s: float) -> None:
        """A picture or film of the folder takes the stream's place. RoleError when it cannot be shown."""
        picture = film.frame(now_s)
        if picture is None:
            return
        self.see(stream, picture, now_s)
        if film.moves:
            self._films[stream] = film

    def clear(self, stream: str) -> None:
        """The stream's picture goes."""
        if stream in self._films:
            self._films.pop(stream).close()
        self._pictures.forget(stream)
        self.seen.pop(stream, None)
        self._changed = True

    def title(self, words: str, now_s: float) -> None:
        """The work's name, until there is anything else."""
        if words and not self._prose:
            self._title = self._new_prose(0, 1)
            self._title.take([Saying("title", "title", words, 0, more=False)], now_s)

    def recalled(self, now_s: float) -> None:
        """What is there now was there before: texts stand at once, and the inputs have their time to come."""
        for stream in list(self.showing.texts):
            self._set(stream, now_s, at_once=True)
        if self._pictures.frames or any(self.showing.texts.values()):
            self._standin.heard("", Frame(None), now_s)

    @property
    def empty(self) -> bool:
        """Whether nothing was ever shown."""
        return not self._pictures.frames and not any(self.showing.texts.values()) and self._fallback is None

    # ---- what the time brings

    def pass_time(self, now_s: float) -> None:
        """Fallback and films. Call it before `draw`."""
        for message in self.showing.pass_time(now_s):
            self._join(message["stream"])
            self._set(message["stream"], now_s)
        for stream, frame in self._standin.frames(now_s):
            if isinstance(frame.value, str):
                self.hear(stream, frame, now_s)
        for stream, film in self._films.items():
            picture = film.frame(now_s)
            if picture is not None:
                self._put(stream, picture, now_s)
        self._raise_fallback(now_s)

    def busy(self, now_s: float) -> bool:
        """Whether the next picture differs from the last."""
        ends_s = [prose.busy_until_s for prose in [*self._prose.values(), *([self._title] if self._title else [])]]
        fading = self._pictures.fading or (self._level > 0 and self._standing.fading)
        return self._changed or fading or 0 < self._level < 1 or now_s < max(ends_s, default=0.0)

    def draw(self, surface: Any, now_s: float) -> None:
        """All of it."""
        self._changed = False
        surface.fill(self._look.ground)
        if self._level < 1:
            self._pictures.draw(surface, now_s)
        if self._level >= 1:
            self._standing.draw(surface, now_s)
        elif self._level > 0:
            layer = self._pygame.Surface(self.size)
            layer.fill(self._look.ground)
            self._standing.draw(layer, now_s)
            layer.set_alpha(round(255 * self._level))
            surface.blit(layer, (0, 0))
        if (self._pictures.frames or self._level > 0) and any(prose.blocks for prose in self._prose.values()):
            surface.blit(self._veil, (0, 0))
        for prose in [*self._prose.values(), *([self._title] if self._title else [])]:
            prose.draw(surface, now_s)

    def dark(self, surface: Any, now_s: float) -> bool:
        """Whether the surface is black although words or a picture should be seen on it."""
        if self._standing.frames and self._level >= 1:
            expected = not self._standing.black
        else:
            words = any(block.words and block.due_s < now_s - 2 for prose in self._prose.values() for block in prose.blocks.values())
            expected = words or (bool(self._pictures.frames) and not self._pictures.black)
        if not expected:
            return False
        pixels = self._pygame.surfarray.pixels3d(surface)
        return int(pixels[::3, ::3].max()) <= 3

    # ---- how

    def _put(self, stream: str, picture: np.ndarray[Any, Any], now_s: float, at_once: bool = False) -> None:
        self._pictures.take(stream, picture, now_s, at_once=at_once)
        self._changed = True
        self._end_title(now_s)

    def _raise_fallback(self, now_s: float) -> None:
        step = (now_s - self._level_s) / max(0.01, self._look.fade_s)
        self._level_s, before = now_s, self._level
        wanted = self._fallback is not None and self._standin.lost(now_s)
        self._level = min(1.0, self._level + step) if wanted else max(0.0, self._level - step)
        self._changed = self._changed or self._level != before
        if self._fallback is not None and (wanted or self._level > 0):
            try:
                picture = self._fallback.frame(now_s)
            except RoleError as fault:
                self._say(str(fault))
                self._fallback, self._level = None, 0.0
                return
            if picture is not None:
                first = not self._standing.frames
                if first and not self._pictures.frames:
                    self._level = 1.0  # there is nothing to fade from
                self._standing.take(FALLBACK, picture, now_s, at_once=first)
                self._changed = True

    def _fallback_of(self, files: Mapping[str, Path]) -> Backdrop | None:
        path = files.get("loop") or files.get("image")
        try:
            return Backdrop(path, self._pygame) if path is not None else None
        except RoleError as fault:
            self._say(str(fault))
            return None

    def _set(self, stream: str, now_s: float, *, at_once: bool = False) -> None:
        """Give the stream's texts to its column; a new stream makes the columns narrower."""
        if stream not in self._prose:
            for place, name in enumerate([*self._prose, stream]):
                prose = self._new_prose(place, len(self._prose) + 1)
                self._prose = {**self._prose, name: prose}
                prose.take(self.showing.texts.get(name, []), now_s, at_once=at_once or name != stream)
        else:
            self._prose[stream].take(self.showing.texts.get(stream, []), now_s, at_once=at_once)
        self._changed = True
        self._end_title(now_s)

    def _join(self, stream: str) -> None:
        """Lines of the fallback that came before any stream are the first stream's."""
        if stream and "" in self._prose and stream not in self._prose:
            self._prose[stream] = self._prose.pop("")
            self.showing.texts.setdefault(stream, []).extend(self.showing.texts.pop("", []))

    def _new_prose(self, place: int, columns: int) -> Prose:
        width, height = self.size
        margin = round(0.085 * width)
        column = (width - margin) // columns
        measure = min(column - margin, 19 * self._lettering.size)
        left = margin + place * column + ((column - margin - measure) // 2 if self._look.centred else 0)
        box: Box = (left, round(0.04 * height), measure, round(0.85 * height))
        look = self._look
        return Prose(self._lettering, box, look.keep, look.pace, look.ink, look.ember, look.centred, look.low)

    def _end_title(self, now_s: float) -> None:
        if self._title is not None:
            self._title.take([], now_s)
            if not self._title.blocks:
                self._title = None

    def _make_veil(self) -> Any:
        """The ground's colour, thicker towards where the newest text stands."""
        height = self.size[1]
        column = self._pygame.Surface((1, height), self._pygame.SRCALPHA)
        for row in range(height):
            part = min(1.0, max(0.0, (row / height - 0.25) / 0.45)) if self._look.low else 0.7
            column.set_at((0, row), (*self._look.ground, round(VEIL * part)))
        return self._pygame.transform.scale(column, self.size)
