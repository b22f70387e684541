"""A picture, a film or a folder of pictures of the deployment's folder, as what a screen shows by itself.

A film is read by the same reader as a camera's stand-in (`roles/sensing/sources.py`), at its own speed and in a loop. OpenCV
is asked for only here: a screen that shows text and streams needs none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mesh.errors import EngineMissingError, RoleError
from roles.sensing.sources import Clip, Pictures, Source

HOLD_S = 6.0  # of one picture of a folder
STILLS = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}


class Backdrop:
    """`frame` gives what is new. RoleError when the file is neither a picture nor a film."""

    def __init__(self, path: Path, pygame: Any) -> None:
        self.path = path
        self.moves = path.is_dir() or path.suffix.lower() not in STILLS
        self._pygame = pygame
        self._shown_s: float | None = None
        self._film = self._open() if self.moves else None
        rate = self._film.rate if self._film is not None else None
        self._interval_s = HOLD_S if path.is_dir() else 1 / (rate or 25.0)

    def frame(self, now_s: float) -> np.ndarray[Any, Any] | None:
        """The picture for now, None while the last one stands."""
        if self._shown_s is not None and (self._film is None or now_s - self._shown_s < self._interval_s):
            return None
        elapsed_s = self._interval_s if self._shown_s is None else now_s - self._shown_s
        self._shown_s = now_s
        if self._film is None:
            return load(self.path, self._pygame)
        return self._film.read(elapsed_s)

    def rewind(self) -> None:
        """The next picture is wanted at once."""
        self._shown_s = None

    def close(self) -> None:
        if self._film is not None:
            self._film.close()

    def _open(self) -> Source:
        try:
            import cv2
        except ImportError as missing:
            raise EngineMissingError(
                f"{self.path.name} is a film, and OpenCV is not installed on this machine", where=str(self.path),
                instead="pip install roomful[screen]",
            ) from missing  # fmt: skip
        cv2.setNumThreads(1)
        if self.path.is_dir():
            return Pictures(cv2, self.path, None, True, self.path.name)
        return Clip(cv2, self.path, None, True, self.path.name)


def load(path: Path, pygame: Any) -> np.ndarray[Any, Any]:
    """A picture file as RGB (height, width, 3). RoleError when it is none."""
    try:
        surface = pygame.image.load(str(path))
    except (pygame.error, OSError) as broken:
        raise RoleError(f"{path.name} is not a picture: {broken}", where=str(path), instead="save it as PNG or JPEG") from broken
    if surface.get_bitsize() != 24 or surface.get_masks()[:3] != (255, 65280, 16711680):
        plain = pygame.Surface(surface.get_size(), 0, 24, (255, 65280, 16711680, 0))
        plain.blit(surface, (0, 0))
        surface = plain
    return np.ascontiguousarray(pygame.surfarray.array3d(surface).swapaxes(0, 1))
