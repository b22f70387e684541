"""What was shown, one JSON object a line: written by `display.file`, shown again by every display as a fallback.

    {"s": 12.42, "at": "2026-05-01T10:00:12+00:00", "stream": "line", "text": "The room is listening."}
    {"s": 13.0, "at": …, "stream": "people", "value": {"label": "few"}}
    {"s": 13.1, "at": …, "stream": "image", "image": "image-000012.png"}        the file lies beside
    {"s": 13.2, "at": …, "stream": "voice", "sound": "voice-000003.wav"}

Plain lines, because a conservator can read them with any tool in thirty years, and a killed writer spoils one at most.
`s` are seconds of the room's clock. Decided against: the whole traffic (that is what `roomful record` is for).
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from mesh.role import Frame

READ_BYTES_MAX = 16 << 20
ITEMS_MAX = 100_000
PAUSE_S = 2.0  # between the end and the next beginning
STEP_S_MAX = 600.0  # nobody waits through a recorded night


class Recording:
    """Texts and values of a recording, in a loop. Lines that are none are passed over; an unreadable file is an empty one."""

    def __init__(self, path: Path) -> None:
        self.items = read_items(path)
        self._length_s = (self.items[-1][0] if self.items else 0.0) + PAUSE_S
        self._began_s = math.inf  # not begun
        self._next = 0

    def stop(self) -> None:
        """The next time begins at the beginning."""
        self._began_s, self._next = math.inf, 0

    def due(self, now_s: float) -> list[tuple[str, Frame]]:
        """(stream, frame) of all whose time has come since the last call."""
        if not self.items:
            return []
        self._began_s = min(self._began_s, now_s)
        if now_s - self._began_s >= self._length_s:
            self._began_s, self._next = now_s, 0
        found: list[tuple[str, Frame]] = []
        while self._next < len(self.items) and self.items[self._next][0] <= now_s - self._began_s:
            _, stream, value = self.items[self._next]
            found.append((stream, Frame(value, stream=stream, number=self._next, request=f"recording@{self._began_s:.3f}#{self._next}")))
            self._next += 1
        return found


def read_items(path: Path) -> list[tuple[float, str, Any]]:
    """(seconds after the first, stream, text or value), in order of time."""
    try:
        with path.open("rb") as file:
            raw = file.read(READ_BYTES_MAX)
    except OSError:
        return []
    found: list[tuple[float, str, Any]] = []
    before_s, at_s = None, 0.0
    for line in raw.splitlines()[:ITEMS_MAX]:
        item = _item(line)
        if item is None:
            continue
        own_s, stream, value = item
        at_s += min(STEP_S_MAX, max(0.0, own_s - before_s)) if before_s is not None else 0.0
        before_s = own_s
        found.append((at_s, stream, value))
    return found


def _item(line: bytes) -> tuple[float, str, Any] | None:
    try:
        given = json.loads(line)
        own_s, stream = float(given["s"]), str(given["stream"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if not math.isfinite(own_s) or not ("text" in given or "value" in given):
        return None
    return own_s, stream, str(given["text"]) if "text" in given else given["value"]
