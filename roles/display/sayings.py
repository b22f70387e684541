"""Texts that come piece by piece, put together for displays that want them whole: a line to write, a sentence to say.

Pure. A sentence is handed on as soon as it is finished, where that is asked for, so that a voice need not wait for
the end of a paragraph; what was cancelled or failed in the middle is not handed on any further.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from mesh.role import Frame

OPEN_MAX = 64  # texts that grow at once; the oldest is given up beyond
TEXT_CHARS_MAX = 20_000
SENTENCE = re.compile(r".*?(?:[.!?…]+[\"'”’»)]*(?=\s)|[。！？]|\n)", re.DOTALL)


@dataclass(slots=True)
class _Open:
    index: int = -1
    text: str = ""


@dataclass
class Sayings:
    """`take` gives what is finished: whole texts, or each sentence of them with `by_sentence`."""

    by_sentence: bool = False
    growing: dict[tuple[str, str], _Open] = field(default_factory=dict)

    def take(self, stream: str, frame: Frame) -> list[str]:
        """The texts that this piece completes, without space around them; mostly none, and never an empty one."""
        request = frame.request or f"{frame.source}#{frame.number}"
        key = (stream, request)
        if frame.index == 0:
            self.growing[key] = _Open()  # a restarted role counts its requests from the start
            if len(self.growing) > OPEN_MAX:
                del self.growing[next(iter(self.growing))]
        saying = self.growing.get(key)
        if saying is None or frame.index <= saying.index:
            return []  # begun before this display was, or a repeat
        saying.index = frame.index
        saying.text = (saying.text + str(frame.value or ""))[:TEXT_CHARS_MAX]
        finished = self._sentences(saying) if self.by_sentence else []
        if not frame.more:
            del self.growing[key]
            if frame.ended is None:
                finished.append(saying.text)
        return [text.strip() for text in finished if text.strip()]

    @staticmethod
    def _sentences(saying: _Open) -> list[str]:
        found: list[str] = []
        while match := SENTENCE.match(saying.text):
            found.append(match[0])
            saying.text = saying.text[match.end() :]
        return found
