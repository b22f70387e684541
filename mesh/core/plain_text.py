"""What others said, as a terminal or a page may show it: letters, and no orders to whoever shows them.

    plain("door\\x1b[2J") -> "door␛[2J"      plain_all(value) -> the same for every text in plain lists and maps

A role prints what a visitor sent it, a model's file names its layers, a machine of another room says its name: any of it may hold the
sequences by which a terminal is told to clear, to take a title, or to fill the clipboard, and the letters that turn a line around so that
it reads as another. Nobody is hurt by a picture of such a letter, which also shows that it was there. Colours, which logs of ordinary
programs are full of, are left out. Every command hears the room through one door (`mesh.shell.finding`), so it is done there, and once more
where an agent prints what happens. Decided against: doing it where each line is printed (there are a hundred), and where it is first heard
(what is kept as JSON is for machines, and loses nothing).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_COLOURS = re.compile(r"\x1b\[[0-9;:]{0,40}m")
_TURNING = (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C)  # Unicode's bidirectional controls
_SHOWN: dict[int, str] = {
    **{code: chr(0x2400 + code) for code in range(32) if chr(code) not in "\n\t"}, 127: "\u2421",
    **{code: "\ufffd" for code in (*range(0x80, 0xA0), 0x2028, 0x2029, *range(0xD800, 0xE000))}, **dict.fromkeys(_TURNING, "")}  # fmt: skip


def plain(text: str) -> str:
    """The text without colours and without what commands a terminal; newlines and tabs stay. What it gives can always be printed."""
    return text if text.isascii() and text.isprintable() else _COLOURS.sub("", text).translate(_SHOWN)


def plain_all(value: Any) -> Any:
    """The same for each text in maps and lists, keys included; all else as it is."""
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, Mapping):
        return {plain_all(key): plain_all(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_all(each) for each in value]
    return value
