"""The last state of a screen, on disk: what stands there again after a power cut, before anything else has loaded.

Pictures are written by a thread of their own, because compressing one takes longer than a frame; at most every few seconds,
because the disk is an SD card. A full or broken disk is no reason to go dark.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np

from mesh.errors import RoleError
from roles.display.backdrop import load
from roles.display.formats import png
from roles.display.showing import Showing
from roles.display.stagecraft import Scene

EVERY_S = 10.0
STATE_FILE = "shown.json"


class Keeping:
    """`keep` after each change, `recall` once."""

    def __init__(self, pygame: Any, folder: Path | None) -> None:
        self._pygame, self._folder = pygame, folder
        self._kept_s = -EVERY_S
        self._version = 0
        self._thread: threading.Thread | None = None

    def keep(self, scene: Scene, now_s: float, *, now: bool = False) -> None:
        """What the scene shows, if it has changed and the last time is long enough ago; `now`: before this returns."""
        due = now or (scene.version != self._version and now_s - self._kept_s >= EVERY_S)
        if self._folder is None or not due or (self._thread is not None and self._thread.is_alive() and not now):
            return
        self._kept_s, self._version = now_s, scene.version
        if self._thread is not None:
            self._thread.join(5.0)
        writing = (scene.showing.as_kept(), dict(scene.seen))
        self._thread = threading.Thread(target=self._write, args=writing, name="keeping", daemon=True)
        self._thread.start()
        if now:
            self._thread.join(5.0)

    def recall(self, scene: Scene, now_s: float, showing: Showing | None) -> None:
        """Show again what was kept, or what `showing` (of a window of another size) still holds."""
        kept = self._read()
        if showing is not None:
            scene.showing = showing
        elif kept is not None:
            scene.showing.recall(kept)
        pictures = kept.get("pictures") if kept is not None else None
        for stream, name in pictures.items() if isinstance(pictures, dict) else ():
            if isinstance(name, str) and "/" not in name and self._folder is not None:
                with contextlib.suppress(RoleError):
                    scene.see(str(stream), load(self._folder / name, self._pygame), now_s, at_once=True)
        scene.recalled(now_s)

    def _read(self) -> dict[str, Any] | None:
        if self._folder is None:
            return None
        try:
            kept = json.loads((self._folder / STATE_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return kept if isinstance(kept, dict) else None

    def _write(self, kept: dict[str, Any], seen: dict[str, np.ndarray[Any, Any]]) -> None:
        assert self._folder is not None
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            names = {stream: f"picture-{place}.png" for place, stream in enumerate(seen)}
            for stream, picture in seen.items():
                self._replace(names[stream], png(picture))
            self._replace(STATE_FILE, json.dumps({**kept, "pictures": names}).encode())

    def _replace(self, name: str, data: bytes) -> None:
        """Whole or not at all, whenever the power goes."""
        assert self._folder is not None
        fresh = self._folder / f"{name}.new"
        fresh.write_bytes(data)
        os.replace(fresh, self._folder / name)
