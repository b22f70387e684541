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

from mesh.core.yaml_words import Fault, Place, Unreadable, complaint_of, place_of

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
        place = place_of(event.start_mark)
        if depth > DEPTH_MAX:
            instead = "a deployment is never that deep: look for a stray bracket"
            raise Unreadable(place, f"nested more than {DEPTH_MAX} deep", instead, hopeless=True)
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
            node = _scalar(self._whole(event.value, place), event.style, place)
        self._count(1, place)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def _whole(self, text: str, place: Place) -> str:
        """The text with letters whole that JSON writes as two escapes; half a letter is a fault."""
        try:
            return text.encode("utf-16", "surrogatepass").decode("utf-16") if _SURROGATE.search(text) else text
        except UnicodeDecodeError:
            self.faults.append(Fault(place, "an escape that is half a letter", "write the letter itself"))
            return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)

    def _count(self, size: int, place: Place) -> None:
        self.size += size
        if self.size > NODES_MAX:
            instead = "a deployment is a page or two: write out what is meant"
            raise Unreadable(place, f"more than {NODES_MAX:,} values, repeated anchors counted", instead, hopeless=True)

    def _alias(self, event: AliasEvent, place: Place) -> Node:
        node = self.anchors.get(event.anchor)
        if node is None:
            why = "stands inside what it names" if event.anchor in self.anchors else "names no anchor above it"
            instead = f"write the value out, or put &{event.anchor} before the value meant, above this line"
            raise Unreadable(place, f"the alias *{event.anchor} {why}", instead)
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
            key_place = place_of(event.start_mark)
            key = self._whole(event.value, key_place) if isinstance(event, ScalarEvent) else None
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
        raise complaint_of(error, builder.last) from error


def _document(builder: _Builder) -> Node | None:
    root: Node | None = None
    documents = 0
    for event in builder.events:
        builder.last = event
        if isinstance(event, DocumentStartEvent):
            documents += 1
            if documents > 1:
                instead = "one file is one deployment: take out this --- and all below it"
                builder.faults.append(Fault(place_of(event.start_mark), "a second document begins here", instead))
                break
        elif isinstance(event, AliasEvent | ScalarEvent | MappingStartEvent | SequenceStartEvent):
            root = builder.node(event, 0)
    return None if root is not None and root.empty else root


def _written_tag(tag: Any) -> str:
    return str(tag).replace("tag:yaml.org,2002:", "!!")[:60]


_SURROGATE = re.compile("[\ud800-\udfff]")
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}|0o[0-7]{1,18}|0x[0-9a-fA-F]{1,15}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]{1,20}|[0-9]{1,20}(\.[0-9]{0,20})?)([eE][-+]?[0-9]{1,3})?")
_WORDS = {"": None, "~": None, "null": None, "Null": None, "NULL": None, "true": True, "True": True, "TRUE": True,
          "false": False, "False": False, "FALSE": False}  # fmt: skip


def _scalar(text: str, style: str | None, place: Place) -> Node:
    """The core schema of YAML 1.2. Digits too many for a number (a hash) stay text."""
    if style is not None:
        return Node(place, plain=text)
    if text in _WORDS:
        return Node(place, plain=_WORDS[text], empty=text == "")
    if _INTEGER.fullmatch(text):
        return Node(place, plain=int(text, 0 if text.startswith(("0o", "0x")) else 10))
    if _FLOAT.fullmatch(text):
        return Node(place, plain=float(text))
    return Node(place, plain=text)
