"""Roomful's own modules compiled once, by the agent: a role's process may not write there, and would compile them anew at each start.

    compile_in_background(folders)     returns at once; nothing where all is compiled already, or cannot be

Python does so by itself for whoever may write beside the source. What the agent does not import (most of what a role's process consists of)
nobody would ever have compiled: a role then starts half a second later.
"""

from __future__ import annotations

import contextlib
import importlib.util
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path


def compile_in_background(packages: Iterable[str] = ("mesh", "roles")) -> None:
    """In a process of its own, at the lowest priority; it is waited for by a thread that holds nothing up."""
    folders = [Path(place) for name in packages for place in _places(name)]
    stale = [str(folder) for folder in folders if any(_is_stale(source) for source in folder.rglob("*.py"))]
    if stale:
        threading.Thread(target=_compile, args=(stale,), name="compile", daemon=True).start()


def _places(package: str) -> list[str]:
    spec = importlib.util.find_spec(package)
    return list(spec.submodule_search_locations or ()) if spec else []


def _is_stale(source: Path) -> bool:
    """Whether there is no compiled form of the file, or it was compiled before the file was changed (PEP 3147; the header of PEP 552)."""
    try:
        with open(importlib.util.cache_from_source(str(source)), "rb") as compiled:
            header = compiled.read(16)
        changed_s = int(source.stat().st_mtime) & 0xFFFFFFFF
        return header[:4] != importlib.util.MAGIC_NUMBER or int.from_bytes(header[8:12], "little") != changed_s
    except (OSError, NotImplementedError):
        return True


def _compile(folders: list[str]) -> None:
    command = ["nice", "-n", "19", sys.executable, "-P", "-m", "compileall", "-q", *folders]
    nowhere = subprocess.DEVNULL
    with contextlib.suppress(OSError):
        subprocess.run(command, stdin=nowhere, stdout=nowhere, stderr=nowhere, check=False)
