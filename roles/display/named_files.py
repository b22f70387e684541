"""The files that a page names and that are not there: a picture that fails to load is only an empty place on the wall, and nobody is told.

Read off the page's text, and off the style sheets beside it: what scripts ask for later is not seen. Decided against: counting what
browsers ask for in vain (they ask for icons of their own, visitors' phones for anything, and a wall that nobody has opened yet asks for
nothing).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote

BYTES_MAX = 2_000_000
NAMED_MAX = 20
NAMES = re.compile(r"""(?:\b(?:src|href|poster)\s*=\s*|\burl\(\s*)(?:"([^"]*)"|'([^']*)'|([^\s"'>)]+))""", re.IGNORECASE)
LEFT_OUT = re.compile(r"<!--.*?-->|/\*.*?\*/", re.DOTALL)
ELSEWHERE = re.compile(r"^(?:[a-z][a-z0-9+.-]*:|//|#|$)|[{}$<]", re.IGNORECASE)


def named_in(text: str) -> list[str]:
    """The addresses on the page's own server that a page's or a style sheet's text names, in its order, each once."""
    found = ("".join(match).strip() for match in NAMES.findall(LEFT_OUT.sub("", text)))
    return list(dict.fromkeys(unquote(re.split(r"[?#]", each)[0]) for each in found if not ELSEWHERE.search(each)))


def absent(page: Path, file_for: Callable[[str], Path | None]) -> list[str]:
    """What `page` and its style sheets name in vain, at most NAMED_MAX; `file_for` gives the file that an address means."""
    return list(_absent(page, "", file_for, style=True))[:NAMED_MAX]


def _absent(file: Path, beside: str, file_for: Callable[[str], Path | None], *, style: bool) -> Iterator[str]:
    for name in named_in(_text(file)):
        address = _joined("" if name.startswith("/") else beside, name)
        found = file_for(address)
        if found is None:
            yield address
        elif style and found.suffix.lower() == ".css":
            yield from _absent(found, address.rpartition("/")[0], file_for, style=False)


def _joined(beside: str, name: str) -> str:
    parts: list[str] = []
    for part in f"{beside}/{name}".split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def _text(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(BYTES_MAX).decode("utf-8", "replace")
    except OSError:
        return ""
