"""What stands in for inputs that are lost: lines of a text one at a time, a recording at its own pace.

Pure but for reading the recording once: frames of the stand-in come out when they are due, and go to the display by the
same door as real ones, so that a fallback looks like the work. An input counts as lost when nothing has come for `quiet_s`:
a display cannot know why, and a visitor does not care. Pictures and loops are for displays that draw: they ask `lost`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from mesh.role import Frame
from roles.display.recording import Recording


class StandIn:
    """Call `heard` for each frame of an input and `frames` about ten times a second.

    `at_once`: nothing was ever heard, so the fallback may begin with the display; else the inputs have `quiet_s` first.
    """

    def __init__(self, lines: Sequence[str], files: Mapping[str, Path], quiet_s: float, now_s: float, *, at_once: bool = False) -> None:
        self._lines, self._quiet_s = lines, quiet_s
        self._heard_s = -math.inf if at_once else now_s
        self._text_stream = ""
        self._next_line_s = -math.inf
        self._said = 0
        file = files.get("recording")
        self._recording = Recording(file) if file is not None and file.suffix == ".jsonl" else None

    def heard(self, stream: str, frame: Frame, now_s: float) -> None:
        """A frame of an input has come."""
        self._heard_s, self._next_line_s = now_s, -math.inf
        if isinstance(frame.value, str):
            self._text_stream = stream
        if self._recording is not None:
            self._recording.stop()

    def lost(self, now_s: float) -> bool:
        """Whether the inputs are lost, by now."""
        return now_s - self._heard_s >= self._quiet_s

    def frames(self, now_s: float) -> list[tuple[str, Frame]]:
        """(stream, frame) of what is due now; [] while the inputs are there."""
        if not self.lost(now_s):
            return []
        if self._recording is not None:
            return self._recording.due(now_s)
        if not self._lines or now_s < self._next_line_s:
            return []
        self._next_line_s = now_s + self._quiet_s
        line = self._lines[self._said % len(self._lines)]
        self._said += 1
        return [(self._text_stream, Frame(line, stream=self._text_stream, request=f"fallback#{self._said}"))]
