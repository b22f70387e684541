"""What a model thinks before it answers: told apart from what it says.

Models that reason begin with their thoughts between two marks (`<think>` … `</think>`: Qwen, DeepSeek and kin), or find the first mark
written already at the end of their prompt. On a wall the thoughts are seldom wanted; and a stop word or a grammar is meant for the answer.
Only what stands at the very beginning counts: whoever speaks of `<think>` later, speaks of it.
"""

from __future__ import annotations

MARKS = (
    ("<think>", "</think>"), ("<thinking>", "</thinking>"), ("<thought>", "</thought>"), ("<reasoning>", "</reasoning>"),
    ("[THINK]", "[/THINK]"), ("<|START_THINKING|>", "<|END_THINKING|>"), ("<seed:think>", "</seed:think>"),
    ("<|channel>", "<channel|>"),
)  # fmt: skip
OFF = {"enable_thinking": False, "thinking": False}  # what templates are told where no thoughts are wanted
WORDS = frozenset(mark for pair in MARKS for mark in pair)


def end_of(prompt: str) -> str | None:
    """The mark that ends the thoughts which the end of a prompt has begun; None where it has begun none."""
    return next((end for begin, end in MARKS if prompt.rstrip().endswith(begin)), None)


def ended(prompt: str) -> str:
    """The prompt, with the thoughts that it has begun ended at once."""
    end = end_of(prompt)
    return prompt if end is None else f"{prompt.rstrip()}\n\n{end}\n\n"


class Thoughts:
    """Takes an answer's text as it comes, gives what is no thought. `end` is the mark that ends thoughts begun by the prompt, `shown` lets
    them through. `open` while the model is still thinking."""

    def __init__(self, end: str | None = None, shown: bool = False) -> None:
        self._end, self._shown = end, shown
        self._held, self._over = "", shown

    @property
    def open(self) -> bool:
        """Whether thoughts have begun and not ended."""
        return self._end is not None and not self._over

    def take(self, text: str) -> str:
        """What of the text so far is certainly said; may be empty."""
        if self._over:
            return text
        self._held += text
        if self._end is None:
            start = self._held.lstrip()
            mark = next(((begin, end) for begin, end in MARKS if start.startswith(begin)), None)
            if mark is None:
                return "" if any(begin.startswith(start) for begin, _ in MARKS) else self._finished(self._held)
            self._end, self._held = mark[1], start[len(mark[0]) :]
        _, found, rest = self._held.partition(self._end)
        if not found:
            self._held = self._held[-len(self._end) :]  # no more is needed to see the end
            return ""
        return self._finished(rest.lstrip())

    def rest(self) -> str:
        """What was held back, when the model has finished: it was no thought after all."""
        return self._finished(self._held) if not self._over and self._end is None else ""

    def _finished(self, rest: str) -> str:
        self._over, self._held = True, ""
        return rest
