"""From a model's bytes to text that may be shown: whole letters only, and never a part of a stop word.

A token is not a letter: an umlaut or an emoji may lie across two of them, and a stop word across five. What might
still become something else is held back until it cannot.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Sequence

from roles.inference.thoughts import Thoughts


class Letters:
    """Takes tokens' bytes one by one, gives the text that is safe to show. `stopped` once a stop word was spoken."""

    def __init__(self, stops: Sequence[str] = ()) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="ignore")  # a broken letter is left out, not shown as �
        self._held = ""
        self.stopped = False

    def take(self, spoken: bytes) -> str:
        """The text that `spoken` makes certain; may be empty. Nothing comes any more once `stopped`."""
        if self.stopped:
            return ""
        self._held += self._decoder.decode(spoken)
        found = [at for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if found:
            self.stopped = True
            certain, self._held = self._held[: min(found)], ""
            return certain
        keep = self._doubtful()
        certain, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return certain

    def rest(self) -> str:
        """What was held back, when the model has finished: it became no stop word after all."""
        certain, self._held = self._held, ""
        return "" if self.stopped else certain

    def _doubtful(self) -> int:
        """The length of the longest end of the held text with which a stop word begins."""
        longest = max((len(stop) for stop in self._stops), default=0) - 1
        for length in range(min(longest, len(self._held)), 0, -1):
            if any(stop.startswith(self._held[-length:]) for stop in self._stops):
                return length
        return 0


class Answer:
    """Tokens in, the text that may be shown out: whole letters, without thoughts, up to the first stop word, which is looked for in what is
    said alone. `written` gives a token's bytes."""

    def __init__(self, written: Callable[[int], bytes], stops: Sequence[str], thoughts: Thoughts) -> None:
        self._written, self._letters, self._said, self._thoughts = written, Letters(), Letters(stops), thoughts

    @property
    def stopped(self) -> bool:
        """Whether a stop word was spoken."""
        return self._said.stopped

    @property
    def thinks(self) -> bool:
        """Whether the model is still thinking."""
        return self._thoughts.open

    def take(self, token: int) -> str:
        """The text that a token makes certain; may be empty."""
        return self._said.take(self._thoughts.take(self._letters.take(self._written(token))).encode())

    def rest(self) -> str:
        """What was held back, when the model has finished."""
        return self._said.take(self._thoughts.rest().encode()) + self._said.rest()
