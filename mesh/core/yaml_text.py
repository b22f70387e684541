"""From the bytes of a deployment file to its tree, with everything wrong that can be said before its meaning.

YAML stops at the first slip of syntax; a person who made two wants to hear of both. So a faulty block (one role,
or one section) is blanked and the rest read on: its lines stay, so that every later place is still true, and its
name is remembered, so that nobody is told that a role they wrote does not exist.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from mesh.core.yaml_tree import Node, grow
from mesh.core.yaml_words import Fault, Place, Unreadable

FILE_BYTES_MAX = 1_000_000
LINES_MAX = 20_000
LINE_CHARACTERS_MAX = 50_000
_RECOVER_CHARACTERS_MAX = 60_000  # a longer text is read up to its first slip only
_ATTEMPTS_MAX = 12
_FAULTS_OF_ONE_SORT_MAX = 20
_NOT_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
_TAB_INDENT = re.compile(r"^ *\t[ \t]*(?=[^\s#])", re.MULTILINE)


@dataclass(slots=True)
class Text:
    """What could be read of a file. `lost` names what could not: ("roles",) or ("roles", "poet")."""

    root: Node | None = None
    faults: list[Fault] = field(default_factory=list)
    lost: set[tuple[str, ...]] = field(default_factory=set)


def read_text(raw: str | bytes) -> Text:
    """Never raises, whatever the bytes; reads in bounded time."""
    if len(raw) > FILE_BYTES_MAX:
        return Text(faults=[too_long(len(raw))])
    text = raw if isinstance(raw, str) else _decoded(raw)
    if isinstance(text, Fault):
        return Text(faults=[text])
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if text.count("\n") > LINES_MAX:
        instead = "a deployment is a page or two: keep data in files of its own beside it"
        return Text(faults=[Fault(Place(1, 1), f"the file has more than {LINES_MAX:,} lines", instead)])
    longest = max(map(len, text.split("\n")))
    if longest > LINE_CHARACTERS_MAX:  # a tag or a number of a million letters takes its reader that squared
        at = 1 + next(index for index, line in enumerate(text.split("\n")) if len(line) == longest)
        instead = "a deployment is a page or two: keep data in files of its own beside it"
        return Text(faults=[Fault(Place(at, 1), f"this line has {longest:,} letters, more than {LINE_CHARACTERS_MAX:,}", instead)])
    strange = [_strange(text, found.start()) for found in _NOT_TEXT.finditer(text)]
    if strange:
        return Text(faults=strange[:_FAULTS_OF_ONE_SORT_MAX])
    return _read_around(text)


def too_long(size_bytes: int) -> Fault:
    """Said of a file that is refused unread."""
    what = f"the file is {size_bytes / 1e6:.1f} MB long, more than 1 MB"
    return Fault(Place(1, 1), what, "a deployment is a page or two: keep data in files of its own beside it")


def _decoded(raw: bytes) -> str | Fault:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8", "replace")
        place = _place_of(before.replace("\r\n", "\n"), len(before))
        if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return Fault(Place(1, 1), "the file is UTF-16, not UTF-8 (byte 0)", "save it as UTF-8 in the editor")
        byte = f"byte {error.start} is 0x{raw[error.start]:02x}"
        return Fault(
            place,
            f"the file is not UTF-8: {byte}",
            "save it as UTF-8 in the editor, or type the letter at this place anew",
        )


def _place_of(text: str, index: int) -> Place:
    return Place(text.count("\n", 0, index) + 1, index - (text.rfind("\n", 0, index) + 1) + 1)


def _strange(text: str, index: int) -> Fault:
    return Fault(
        _place_of(text, index),
        f"an invisible control character, U+{ord(text[index]):04X}",
        "delete it; it often comes with copied text",
    )


def _read_around(text: str) -> Text:
    """Read the text; where a block cannot be read, blank it and read the rest."""
    result = Text()
    lines = text.split("\n")
    for attempt in range(_ATTEMPTS_MAX):
        try:
            result.root, faults = grow("\n".join(lines))
        except Unreadable as stop:
            result.faults.append(stop.fault)
            readable = len(text) <= _RECOVER_CHARACTERS_MAX and not stop.hopeless
            lost = _blank(lines, stop.first_line - 1) if readable else None
            if lost is None or attempt == _ATTEMPTS_MAX - 1:
                result.root = None
                break
            result.lost.add(lost)
        else:
            result.faults += faults
            break
    _say_tabs(text, result)
    return result


def _blank(lines: list[str], at: int) -> tuple[str, ...] | None:
    """Empty the block around line `at` (from 0) and return its name, or None when there is none to give up."""
    at = min(at, len(lines) - 1)
    top = next((i for i in range(at, -1, -1) if re.match(r"[A-Za-z\"']", lines[i])), None)
    if top is None:
        return None
    section = _key(lines[top])
    inner = next((_indent(line) for line in lines[top + 1 :] if _says(line)), 0)
    start = (
        next((i for i in range(at, top, -1) if _says(lines[i]) and _indent(lines[i]) == inner), top) if inner else top
    )
    indent = _indent(lines[start])
    end = next((i for i in range(start + 1, len(lines)) if _says(lines[i]) and _indent(lines[i]) <= indent), len(lines))
    name = (section,) if start == top else (section, _key(lines[start]))
    lines[start:end] = [""] * (end - start)
    return name


def _says(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _indent(line: str) -> int:
    return len(line.expandtabs(8)) - len(line.lstrip(" \t").expandtabs(8))


def _key(line: str) -> str:
    return line.strip().split(":", 1)[0].strip("\"' \t")


def _say_tabs(text: str, result: Text) -> None:
    """Name every line that a tab indents once one of them has stopped the parser, not the first alone."""
    if not any(fault.what.startswith("a tab") for fault in result.faults):
        return
    said = {fault.place.line for fault in result.faults}
    for found in list(_TAB_INDENT.finditer(text))[:_FAULTS_OF_ONE_SORT_MAX]:
        place = _place_of(text, found.group().index("\t") + found.start())
        if place.line not in said:
            result.faults.append(
                Fault(place, "a tab is used for indentation", "indent with spaces, two for each level")
            )
