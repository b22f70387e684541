"""What the shell found out about a deployment's folder, as values that the judges can be tested with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class FileFact:
    """One path of the folder. `state`: "file", "folder", "missing", "outside" (a link that leaves the folder),
    "unreadable". `sha256` is None where it was not asked for; `near` are names that lie where it should."""

    state: str
    sha256: str | None = None
    size_bytes: int = 0
    near: tuple[str, ...] = ()
    is_text: bool = True  # whether it is UTF-8; looked at for small files only


@dataclass(frozen=True, slots=True)
class FolderFacts:
    """`zones` are the time zones this machine knows, asked for only when the file's own is not among them."""

    files: Mapping[str, FileFact] = field(default_factory=dict)
    zones: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KindFault:
    """Why a kind could not be described. With `file` the fault is in the artist's own code, at that place;
    else it is said where the deployment names the kind."""

    what: str
    instead: str = ""
    file: str = ""
    line: int = 1
    column: int = 1
