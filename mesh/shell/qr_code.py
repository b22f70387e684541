"""The installation's key as a picture, for a camera instead of a voice: what it holds is the line that the key's file holds."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path

import segno

from mesh.shell.keys import InstallationKey, KeyFileError

BORDER, SCALE = 4, 8  # modules around it, as the standard asks; pixels a module


def _code(key: InstallationKey) -> segno.QRCode:
    return segno.make_qr(key.text.upper(), error="m")


def for_terminal(key: InstallationKey) -> str:
    """In block characters, light on dark and dark on light alike."""
    drawn = io.StringIO()
    _code(key).terminal(drawn, border=BORDER, compact=True)
    return drawn.getvalue()


def address_for_terminal(address: str) -> str:
    """A page's address, likewise."""
    drawn = io.StringIO()
    segno.make_qr(address, error="m").terminal(drawn, border=BORDER, compact=True)
    return drawn.getvalue()


def write(key: InstallationKey, path: Path, kind: str) -> None:
    """A file that only its owner can read; `kind` is "svg" or "png". An existing one is replaced. Raises KeyFileError."""
    drawn = io.BytesIO()
    _code(key).save(drawn, kind=kind, scale=SCALE, border=BORDER)
    try:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(drawn.getvalue())
    except OSError as error:
        raise KeyFileError(f"the picture could not be written: {error.strerror}", where=str(path), instead="Name another file.") from None
