"""The inputs that once did harm, or nearly: one file a target, a line of hexadecimal digits each, after `#` what it was. All are
replayed by the tests. A campaign adds what it finds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).parent / "corpus"


def kept(target: str) -> Iterator[tuple[bytes, str]]:
    """(input, what it was) of a target."""
    path = FOLDER / f"{target}.txt"
    for line in path.read_text().splitlines() if path.exists() else ():
        digits, _, words = line.partition("#")
        if digits.strip() or words.strip():
            yield bytes.fromhex(digits.strip()), words.strip()


def keep(target: str, data: bytes, words: str) -> None:
    """One more, unless it is there."""
    if any(data == known for known, _ in kept(target)):
        return
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / f"{target}.txt").open("a") as file:
        file.write(f"{data.hex()}  # {words}\n")
