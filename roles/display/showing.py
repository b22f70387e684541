"""What a display shows now: sayings that grow piece by piece, the latest value of each stream, and when to fall back.

Pure: frames and the time go in, messages for the browsers come out. A browser that arrives late, or was slow, is given
the `snapshot` and needs nothing else. Texts are kept by request, because two poets may speak at once; a saying is
over when its last piece says so, or when nothing more comes of it for long.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mesh.role import Frame

SAYINGS_MAX = 8  # of one stream, kept for a browser that arrives
TEXT_CHARS_MAX = 20_000  # of one saying; more is not shown
STALLED_S = 12.0  # a saying without a new piece for so long is given up
VALUE_NUMBERS_MAX = 4096

Message = dict[str, Any]


@dataclass(slots=True)
class Saying:
    """One text, whole or growing. `ended` is None, "cancelled" or "failed"."""

    key: str  # unlike a request's number never used again, so that a browser can tell old from new
    request: str
    text: str = ""
    index: int = -1
    more: bool = True
    ended: str | None = None
    heard_s: float = 0.0

    def shown(self) -> Message:
        """As a browser is told of it."""
        return {"key": self.key, "request": self.request, "text": self.text, "index": self.index, "more": self.more}

    def piece(self, stream: str, piece: str) -> Message:
        """The news of one piece, which the saying already holds."""
        return {
            "kind": "text",
            "stream": stream,
            "key": self.key,
            "request": self.request,
            "index": self.index,
            "piece": piece,
            "more": self.more,
            "ended": self.ended,
        }


@dataclass
class Showing:
    """The state of one page. `quiet_s` without a text brings a line of `fallback`, and another after as long again."""

    fallback: Sequence[str] = ()
    quiet_s: float = 30.0
    about: Mapping[str, str] = field(default_factory=dict)
    life: str = "1"  # of this server; makes the keys of its sayings its own
    texts: dict[str, list[Saying]] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    text_stream: str | None = None  # where a fallback line appears: the stream of the last text
    heard_s: float = -math.inf  # when the last piece or fallback line came
    fallbacks: int = 0
    begun: int = 0

    def hear(self, stream: str, frame: Frame, now_s: float) -> list[Message]:
        """A piece of text has come."""
        request = frame.request or f"{frame.source}#{frame.number}"
        sayings = self.texts.setdefault(stream, [])
        saying = next((known for known in reversed(sayings) if known.request == request), None)
        if saying is None and frame.index > 0:
            return []  # begun before this display was: the end of a sentence alone is a riddle
        if saying is None and not frame.more and not str(frame.value or "").strip():
            return []  # a text that says nothing takes nothing's place: a wall is never left dark by one
        if saying is None or (not saying.more and frame.index == 0):  # a restarted role counts its requests from the start
            self.begun += 1
            saying = Saying(f"{self.life}.{self.begun}", request)
            sayings.append(saying)
        elif not saying.more or frame.index <= saying.index:
            return []  # a repeat
        piece = str(frame.value or "")[: max(0, TEXT_CHARS_MAX - len(saying.text))]
        saying.text += piece
        saying.index, saying.more, saying.ended, saying.heard_s = frame.index, frame.more, frame.ended, now_s
        self.text_stream, self.heard_s = stream, now_s
        self._forget(stream)
        return [saying.piece(stream, piece)]

    def note(self, stream: str, value: Any) -> Message | None:
        """An event or vector has come; None when it is too large for a page."""
        if isinstance(value, np.ndarray) and value.size > VALUE_NUMBERS_MAX:
            return None
        self.values[stream] = as_json(value)
        return {"kind": "value", "stream": stream, "value": self.values[stream]}

    def pass_time(self, now_s: float) -> list[Message]:
        """What the passing of time brings: sayings given up, a fallback line. Call it about once a second."""
        told: list[Message] = []
        if self.texts and self.heard_s == -math.inf:
            self.heard_s = now_s  # what was recalled has its time first
        for stream, sayings in self.texts.items():
            for saying in [old for old in sayings if old.more and now_s - old.heard_s > STALLED_S]:
                saying.index, saying.more, saying.ended = saying.index + 1, False, "failed"
                told.append(saying.piece(stream, ""))
            self._forget(stream)
        if self.fallback and now_s - self.heard_s >= self.quiet_s:
            told += self._fall_back(now_s)
        return told

    def snapshot(self) -> Message:
        """Everything a browser needs that knows nothing yet."""
        texts = {stream: [saying.shown() for saying in sayings] for stream, sayings in self.texts.items()}
        return {
            "kind": "state",
            "about": dict(self.about),
            "texts": texts,
            "values": dict(self.values),
            "fallback_stream": self.text_stream,
        }

    def as_kept(self) -> Message:
        """What is worth keeping on disk: the sayings that are whole."""
        whole = {stream: [[saying.key, saying.text] for saying in sayings if not saying.more] for stream, sayings in self.texts.items()}
        return {"texts": {stream: lines for stream, lines in whole.items() if lines}}

    def recall(self, kept: Any) -> None:
        """Show again what was kept; anything that is not of that shape is passed over."""
        texts = kept.get("texts") if isinstance(kept, dict) else None
        for stream, lines in texts.items() if isinstance(texts, dict) else ():
            pairs = [pair for pair in lines if _is_kept(pair)] if isinstance(lines, list) else []
            self.texts[str(stream)] = [Saying(key, key, text, 0, more=False) for key, text in pairs[-SAYINGS_MAX:]]
            self.text_stream = str(stream)

    def _fall_back(self, now_s: float) -> list[Message]:
        line = self.fallback[self.fallbacks % len(self.fallback)]
        newest = self.texts.get(self.text_stream or "", [])[-1:]
        if newest and newest[0].text == line and newest[0].ended is None:
            return []  # it stands there: once more beneath itself it would look like a mistake
        self.fallbacks += 1
        spoken = Frame(line, request=f"fallback#{self.fallbacks}", index=0)
        return self.hear(self.text_stream or "", spoken, now_s)

    def _forget(self, stream: str) -> None:
        """Drop what was cancelled, and the oldest beyond what a page shows."""
        living = [saying for saying in self.texts[stream] if saying.ended is None]
        self.texts[stream] = living[-SAYINGS_MAX:]


def _is_kept(pair: Any) -> bool:
    return isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, str) for part in pair)


def as_json(value: Any) -> Any:
    """An event's value as JSON can carry it: arrays as lists, bytes as base64, numbers that are none as null."""
    if isinstance(value, np.ndarray | np.generic):
        return as_json(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    return value if value is None or isinstance(value, str | bool | int) else str(value)
