"""What is wrong with a text as YAML, in words that say what to do, at the place that most likely is to blame.

The parser complains where it noticed; a person made the slip where a quote or a bracket was opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ruamel.yaml.events import ScalarEvent


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands; lines and columns count from 1, columns in characters."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with the text itself, and what to write instead."""

    place: Place
    what: str
    instead: str


class Unreadable(Exception):
    """The text cannot be read on past `fault`. `first_line` is the earliest line (from 1) that may be to blame;
    `hopeless` means that the rest is not worth reading either."""

    def __init__(
        self, place: Place, what: str, instead: str, first_line: int | None = None, *, hopeless: bool = False
    ) -> None:
        super().__init__(what)
        self.fault = Fault(place, what, instead)
        self.first_line = first_line or place.line
        self.hopeless = hopeless


# (words of the parser, blame the opening?, what, instead), the first that fits.
_WORDS = (
    ("found character '\\t'", False, "a tab is used for indentation", "indent with spaces, two for each level"),
    ("while scanning a quoted scalar", True, "the quote opened here is never closed", "close it, on the same line"),
    (
        "flow mapping", True, "the { opened here is not closed where it should be",
        "close it with }, and put a comma between `key: value` pairs",
    ),
    (
        "flow sequence", True, "the [ opened here is not closed where it should be",
        "close it with ], and put a comma between the values",
    ),
    (
        "mapping values are not allowed", False, "a colon stands where no key can be",
        "check the indentation of this line and the one above; text with a colon in it needs quotes",
    ),
    (
        "expected <block end>", False, "this line does not belong to the block above it",
        "indent it like its neighbours; text with quotes or brackets inside needs quotes around all of it",
    ),
    ("could not find expected ':'", True, "a key has no colon", "write `key: value`, with a space after the colon"),
    (
        "unknown escape character", False, "a backslash in double quotes that means nothing",
        "write the text in single quotes, or the backslash twice",
    ),
    ("that cannot start any token", False, "a value cannot begin with this character", "put the value in quotes"),
    ("while scanning a directive", False, "a line that begins with % is not understood", "take the line out"),
    (
        "block scalar", False, "the text after | or > is not indented as it should be",
        "indent all its lines alike, deeper than the key",
    ),
)  # fmt: skip


def place_of(mark: Any) -> Place:
    """A mark of the parser as a place."""
    return Place(mark.line + 1, mark.column + 1)


def complaint_of(error: Exception, last: Any) -> Unreadable:
    """The parser's `error` in our words; `last` is the last event that it gave before."""
    problem = str(getattr(error, "problem", None) or error)
    context = str(getattr(error, "context", None) or "")
    mark, start = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
    place = place_of(mark or start) if mark or start else (place_of(last.end_mark) if last is not None else Place(1, 1))
    opened = place_of(start) if start else place
    if _swallowed_lines(last, place):
        quote = place_of(last.start_mark)
        return Unreadable(quote, f"the quote opened here is closed only on line {place.line}", "close it on this line")
    for words, at_opening, what, instead in _WORDS:
        if words in problem or words in context:
            blamed = opened if at_opening else place
            return Unreadable(blamed, what, instead, min(opened.line, place.line) if at_opening else place.line)
    instead = "compare with the lines above: indentation by spaces, `key: value`, quotes in pairs"
    return Unreadable(place, f"this is not YAML: {problem.splitlines()[0][:100]}", instead)


def _swallowed_lines(last: Any, place: Place) -> bool:
    """Whether the text just read is a quoted one that began on an earlier line: then its quote is to blame."""
    quoted = isinstance(last, ScalarEvent) and last.style in ("'", '"')
    return quoted and last.start_mark.line < last.end_mark.line == place.line - 1
