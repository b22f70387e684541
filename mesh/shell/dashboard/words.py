"""The two words that open the dashboard: the operator's, and the one that only lets look, which follows from it.

160 random bits, in letters and digits that can be read aloud; kept in the user's folder, readable by nobody else. The word that lets
look is derived, so that there is one secret to keep and to change, and the operator's does not follow from it.
"""

from __future__ import annotations

import base64
import contextlib
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from mesh.errors import RoomfulError
from mesh.shell.keys import derive

FILE = "dashboard-word"
BYTES = 20
GROUP = 4


@dataclass(frozen=True, slots=True)
class Words:
    """`operator` lets order, `look` lets look; each 32 letters and digits."""

    operator: str
    look: str


def words_from(secret: bytes) -> Words:
    """Both words of one secret."""
    return Words(_text(secret), _text(derive(secret, b"dashboard-look")[:BYTES]))


def load_or_make(folder: Path, *, anew: bool = False) -> tuple[Words, bool]:
    """The words kept in that folder, and whether they were made just now. Raises RoomfulError when they can be neither read nor kept."""
    path = folder / FILE
    try:
        if not anew and path.exists():
            return words_from(_secret(path)), False
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        secret = secrets.token_bytes(BYTES)
        _keep(path, secret)
        return words_from(secret), True
    except OSError as error:
        raise RoomfulError(f"the dashboard's word cannot be kept: {error.strerror}", where=str(path),
                           instead="Make the folder writable; ROOMFUL_HOME chooses another.") from None


def spelled(word: str) -> str:
    """In groups, to read aloud."""
    return "-".join(word[at : at + GROUP] for at in range(0, len(word), GROUP))


def _text(raw: bytes) -> str:
    return base64.b32encode(raw).decode().lower()


def _secret(path: Path) -> bytes:
    text = path.read_bytes()[:200].decode("ascii", "replace").strip()
    if not re.fullmatch(r"[0-9a-f]{40}", text):
        raise RoomfulError("this file does not hold the dashboard's word", where=str(path),
                           instead="Make another with: roomful dashboard --new-word")
    with contextlib.suppress(OSError):
        path.chmod(0o600)
    return bytes.fromhex(text)


def _keep(path: Path, secret: bytes) -> None:
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")
    with contextlib.suppress(FileNotFoundError):
        beside.unlink()
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(secret.hex() + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
