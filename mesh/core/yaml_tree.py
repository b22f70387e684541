"""YAML text as a tree that knows where everything stands.

Built from the parser's events and not from its composed nodes: so depth, size and the expansion of aliases are
bounded while reading (a "YAML bomb" of 400 bytes is refused before it grows), every repeated key is seen, and
plain words are resolved by the YAML 1.2 core schema alone (`on`, `yes` and `10:00` are text). Decided against: the
round-trip loader, which keeps comments we do not need and stops at the first repeated key; tags, since a
deployment holds only text, numbers, lists and mappings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

DEPTH_MAX = 32
NODES_MAX = 20_000

# What ruamel.yaml's pure parser raises on text that is not YAML, beside its own YAMLError: it converts escapes and
# indexes its buffer without checking. Found by fuzzing; anything else it raises is a fault of ours and is let through.
_PARSER_ERRORS = (
    YAMLError,
    ValueError,
    OverflowError,
    IndexError,
    AttributeError,
    TypeError,
    AssertionError,
    NotImplementedError,
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands; lines and columns count from 1, columns in characters."""

    line: int
    column: int


@dataclass(slots=True)
class Node:
    """A value: `items` for a mapping, `list` for a list, else `plain`. `empty` is a key with nothing after it."""

    place: Place
    plain: Any = None
    items: dict[str, tuple[Place, Node]] | None = None
    list: list[Node] | None = None
    empty: bool = False
    size: int = 1  # nodes in it, aliases expanded

    def value(self) -> Any:
        """The value as plain Python."""
        if self.items is not None:
            return {key: node.value() for key, (_, node) in self.items.items()}
        if self.list is not None:
            return [node.value() for node in self.list]
        return self.plain


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with the text itself. `key` is the repeated or unreadable key, if it is one."""

    place: Place
    what: str
    instead: str


class Unreadable(Exception):
    """The text cannot be read on past `fault`. `first_line` is the earliest line (from 1) that may be to blame."""

    def __init__(self, fault: Fault, first_line: int | None = None) -> None:
        super().__init__(fault.what)
        self.fault = fault
        self.first_line = first_line or fault.place.line


@dataclass(slots=True)
class _Builder:
    events: Iterator[Any]
    faults: list[Fault] = field(default_factory=list)
    anchors: dict[str, Node | None] = field(default_factory=dict)  # None while the anchored value is still open
    size: int = 0
    last: Any = None

    def next(self) -> Any:
        self.last = next(self.events)
        return self.last

    def node(self, event: Any, depth: int) -> Node:
        place = _place(event.start_mark)
        if depth > DEPTH_MAX:
            raise Unreadable(
                Fault(
                    place,
                    f"nested more than {DEPTH_MAX} deep",
                    "a deployment is never that deep: look for a stray bracket",
                )
            )
        if isinstance(event, AliasEvent):
            return self._alias(event, place)
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        if event.tag is not None:
            self.faults.append(
                Fault(
                    place,
                    f"the tag {_written_tag(event.tag)} is not understood here",
                    "take the tag away and write the plain value",
                )
            )
        if isinstance(event, MappingStartEvent):
            node = self._mapping(place, depth)
        elif isinstance(event, SequenceStartEvent):
            node = self._sequence(place, depth)
        else:
            node = _scalar(event, place)
        self._count(1, place)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def _count(self, size: int, place: Place) -> None:
        self.size += size
        if self.size > NODES_MAX:
            raise Unreadable(
                Fault(
                    place,
                    f"more than {NODES_MAX:,} values, repeated anchors counted",
                    "a deployment is a page or two: write out what is meant",
                )
            )

    def _alias(self, event: AliasEvent, place: Place) -> Node:
        node = self.anchors.get(event.anchor)
        if node is None:
            why = "stands inside what it names" if event.anchor in self.anchors else "names no anchor above it"
            raise Unreadable(
                Fault(
                    place,
                    f"the alias *{event.anchor} {why}",
                    f"write the value out, or put &{event.anchor} before the value meant, above this line",
                )
            )
        self._count(node.size, place)
        return node

    def _sequence(self, place: Place, depth: int) -> Node:
        values: list[Node] = []
        while not isinstance(event := self.next(), SequenceEndEvent):
            values.append(self.node(event, depth + 1))
        return Node(place, list=values, size=1 + sum(value.size for value in values))

    def _mapping(self, place: Place, depth: int) -> Node:
        items: dict[str, tuple[Place, Node]] = {}
        size = 1
        while not isinstance(event := self.next(), MappingEndEvent):
            key_place = _place(event.start_mark)
            key = event.value if isinstance(event, ScalarEvent) else None
            if key is None:
                self.node(event, depth + 1)  # read past it
            value = self.node(self.next(), depth + 1)
            size += value.size
            if key is None:
                self.faults.append(
                    Fault(
                        key_place,
                        "a key must be a word",
                        "write one word before the colon; a text in {…} or […] as a value needs quotes",
                    )
                )
            elif key in items:
                first = items[key][0]
                self.faults.append(
                    Fault(
                        key_place,
                        f"`{key}` stands here a second time, the first is on line {first.line}",
                        f"keep one `{key}`, or give one of the two another name",
                    )
                )
            else:
                items[key] = (key_place, value)
        return Node(place, items=items, size=size)


def grow(text: str) -> tuple[Node | None, list[Fault]]:
    """The tree of the one document in `text` (None when it holds nothing) and what is wrong but can be read past.
    Raises Unreadable where it cannot be read on."""
    parser = YAML(typ="safe", pure=True)
    builder = _Builder(iter(parser.parse(text)))
    try:
        return _document(builder), builder.faults
    except _PARSER_ERRORS as error:
        raise _syntax(error, builder.last) from error


def _document(builder: _Builder) -> Node | None:
    root: Node | None = None
    documents = 0
    for event in builder.events:
        builder.last = event
        if isinstance(event, DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise Unreadable(
                    Fault(
                        _place(event.start_mark),
                        "a second document begins here",
                        "one file is one deployment: take out this --- and all below it",
                    )
                )
        elif isinstance(event, AliasEvent | ScalarEvent | MappingStartEvent | SequenceStartEvent):
            root = builder.node(event, 0)
    return None if root is not None and root.empty else root


def _place(mark: Any) -> Place:
    return Place(mark.line + 1, mark.column + 1)


def _written_tag(tag: Any) -> str:
    return str(tag).replace("tag:yaml.org,2002:", "!!")[:60]


_INTEGER = re.compile(r"[-+]?[0-9]{1,18}|0o[0-7]{1,18}|0x[0-9a-fA-F]{1,15}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]{1,20}|[0-9]{1,20}(\.[0-9]{0,20})?)([eE][-+]?[0-9]{1,3})?")
_WORDS = {"": None, "~": None, "null": None, "Null": None, "NULL": None, "true": True, "True": True, "TRUE": True,
          "false": False, "False": False, "FALSE": False}  # fmt: skip


def _scalar(event: Any, place: Place) -> Node:
    """The core schema of YAML 1.2. Digits too many for a number (a hash) stay text."""
    text: str = event.value
    if event.style is not None or event.tag is not None:
        return Node(place, plain=text)
    if text in _WORDS:
        return Node(place, plain=_WORDS[text], empty=text == "")
    if _INTEGER.fullmatch(text):
        return Node(place, plain=int(text, 0 if text.startswith(("0o", "0x")) else 10))
    if _FLOAT.fullmatch(text):
        return Node(place, plain=float(text))
    return Node(place, plain=text)


def _syntax(error: Exception, last: Any) -> Unreadable:
    """The parser's complaint in words that say what to do, at the place that most likely is to blame."""
    problem = str(getattr(error, "problem", None) or error)
    context = str(getattr(error, "context", None) or "")
    mark, start = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
    place = _place(mark or start) if mark or start else (_place(last.end_mark) if last is not None else Place(1, 1))
    opened = _place(start) if start else place
    if isinstance(last, ScalarEvent) and last.style in ("'", '"') and last.end_mark.line > last.start_mark.line:
        if last.end_mark.line + 1 == place.line:
            quote = _place(last.start_mark)
            fault = Fault(
                quote, f"the quote opened here is closed only on line {place.line}", "close the quote on this line"
            )
            return Unreadable(fault, quote.line)
    for words, at_opening, what, instead in _SYNTAX:
        if words in problem or words in context:
            return Unreadable(
                Fault(opened if at_opening else place, what, instead),
                min(opened.line, place.line) if at_opening else place.line,
            )
    return Unreadable(
        Fault(
            place,
            f"this is not YAML: {problem.splitlines()[0][:100]}",
            "compare with the lines above: indentation by spaces, `key: value`, quotes in pairs",
        )
    )


# (words of the parser, blame the opening?, what, instead), the first that fits.
_SYNTAX = (
    ("found character '\\t'", False, "a tab is used for indentation", "indent with spaces, two for each level"),
    ("while scanning a quoted scalar", True, "the quote opened here is never closed", "close the quote, on the same line"),
    ("flow mapping", True, "the { opened here is not closed where it should be", "close it with }, and put a comma between `key: value` pairs"),
    ("flow sequence", True, "the [ opened here is not closed where it should be", "close it with ], and put a comma between the values"),
    ("mapping values are not allowed", False, "a colon stands where no key can be", "check the indentation of this line and the one above; text with a colon in it needs quotes"),
    ("expected <block end>", False, "this line does not belong to the block above it", "indent it like its neighbours; text with quotes or brackets inside needs quotes around all of it"),
    ("could not find expected ':'", True, "a key has no colon", "write `key: value`, with a space after the colon"),
    ("unknown escape character", False, "a backslash in double quotes that means nothing", "write the text in single quotes, or the backslash twice"),
    ("that cannot start any token", False, "a value cannot begin with this character", "put the value in quotes"),
    ("while scanning a directive", False, "a line that begins with % is not understood", "take the line out"),
    ("block scalar", False, "the text after | or > is not indented as it should be", "indent all its lines alike, deeper than the key"),
)  # fmt: skip
