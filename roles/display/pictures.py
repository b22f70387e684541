"""Pictures on a screen: one stream beside the other, stills that cross-fade, moving pictures that do not.

A stream that sends several pictures a second is a film and each picture takes the place of the one before; one that
sends a picture now and then is a series of stills, and a cut would startle. Which of them a stream is shows in its own pace.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from roles.display.prose import Box

STILL_S = 0.7  # a picture that stood for so long is a still
DARK = 3  # of 255: a picture whose brightest part is below this is black


@dataclass(slots=True)
class _Frame:
    now: Any = None
    before: Any = None
    came_s: float = -1e9
    fade_s: float = 0.0
    black: bool = False


def as_rgb(picture: Any) -> np.ndarray[Any, Any] | None:
    """An image frame as (height, width, 3) uint8, None for what is none."""
    if getattr(picture, "dtype", None) != np.uint8 or picture.ndim not in (2, 3) or 0 in picture.shape:
        return None
    if picture.ndim == 2:
        return np.repeat(picture[:, :, None], 3, 2)
    if picture.shape[2] not in (3, 4):
        return None
    return np.ascontiguousarray(picture[:, :, :3])


def is_black(picture: np.ndarray[Any, Any]) -> bool:
    """Whether there is nothing to be seen on it; looked at on a grid of at most about a thousand points and its brightest."""
    step = max(1, int((picture.shape[0] * picture.shape[1] / 4096) ** 0.5))
    return int(picture[::step, ::step].max()) <= DARK


def box_in(inner: tuple[int, int], outer: Box, cover: bool) -> Box:
    """Where a picture of size `inner` goes in the box: to fill it (what is over is cut) or to be seen whole."""
    left, top, width, height = outer
    scale = (max if cover else min)(width / inner[0], height / inner[1])
    across, down = max(1, round(inner[0] * scale)), max(1, round(inner[1] * scale))
    return left + (width - across) // 2, top + (height - down) // 2, across, down


@dataclass
class Pictures:
    """The newest picture of each stream, in columns over the whole of `size`."""

    pygame: Any
    size: tuple[int, int]
    cover: bool = True
    fade_s: float = 1.5
    frames: dict[str, _Frame] = field(default_factory=dict)

    def take(self, stream: str, picture: np.ndarray[Any, Any], now_s: float, *, at_once: bool = False) -> None:
        """A picture of the stream has come; RGB. `at_once`: nothing fades."""
        columns = len(self.frames)
        frame = self.frames.setdefault(stream, _Frame())
        if len(self.frames) != columns:
            self._reset()
        still = now_s - frame.came_s >= STILL_S and not at_once
        frame.before = frame.now if still else None
        frame.fade_s = self.fade_s if still and (frame.before is not None or len(self.frames) == 1) else 0.0
        frame.now, frame.came_s, frame.black = self._fitted(stream, picture), now_s, is_black(picture)

    def forget(self, stream: str) -> None:
        """Make room again."""
        if self.frames.pop(stream, None) is not None:
            self._reset()

    @property
    def fading(self) -> bool:
        """Whether the next drawing differs from the last."""
        return any(frame.fade_s > 0 for frame in self.frames.values())

    @property
    def black(self) -> bool:
        """Whether there are pictures and nothing can be seen on any."""
        return bool(self.frames) and all(frame.black for frame in self.frames.values())

    def draw(self, surface: Any, now_s: float) -> None:
        """Onto `surface`, which is already the ground's colour."""
        for frame in self.frames.values():
            if frame.now is None:
                continue
            part = 1.0 if not frame.fade_s else min(1.0, max(0.0, (now_s - frame.came_s) / frame.fade_s))
            if part < 1.0 and frame.before is not None:
                self._blit(surface, frame.before, 255)
            self._blit(surface, frame.now, round(255 * part))
            if part >= 1.0:
                frame.before, frame.fade_s = None, 0.0

    def _blit(self, surface: Any, fitted: tuple[Any, Box, Box], alpha: int) -> None:
        picture, at, box = fitted
        picture.set_alpha(alpha if alpha < 255 else None)
        surface.set_clip(box)
        surface.blit(picture, at[:2])
        surface.set_clip(None)

    def _fitted(self, stream: str, picture: np.ndarray[Any, Any]) -> tuple[Any, Box, Box]:
        height, width = picture.shape[:2]
        raw = self.pygame.image.frombuffer(picture.tobytes(), (width, height), "RGB")
        box = self._box(stream)
        at = box_in((width, height), box, self.cover)
        scaled = raw if (width, height) == at[2:] else self.pygame.transform.smoothscale(raw, at[2:])
        return scaled, at, box

    def _box(self, stream: str) -> Box:
        place, count = list(self.frames).index(stream), len(self.frames)
        left, right = self.size[0] * place // count, self.size[0] * (place + 1) // count
        return left, 0, right - left, self.size[1]

    def _reset(self) -> None:
        """Other columns: what is shown is fitted anew when its next picture comes, and meanwhile moved."""
        for stream, frame in self.frames.items():
            frame.before = None
            if frame.now is not None:
                box = self._box(stream)
                picture = frame.now[0]
                at = box_in(picture.get_size(), box, self.cover)
                frame.now = (self.pygame.transform.smoothscale(picture, at[2:]), at, box)
