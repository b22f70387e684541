"""How an agent was started: what the command line, or a rehearsal, tells it once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mesh.shell.credentials import Credentials


@dataclass(frozen=True, slots=True)
class Settings:
    """How an agent was started. `run` is a short folder for the link's socket; without a `folder` it waits to be sent one."""

    home: Path
    folder: Path | None
    key: Credentials
    run: Path
    name: str = ""
    seeds: tuple[str, ...] = ()
    rehearsal: bool = False
    kinds: Path | None = None  # where a rehearsal keeps the kinds' descriptions
    replay: dict[str, Any] = field(default_factory=dict)  # what plays in place of the sensors of a rehearsal
    on_event: Callable[[dict[str, Any]], None] = lambda event: None
    capabilities: dict[str, Any] = field(default_factory=dict)
    secrets: tuple[Path, ...] = ()  # files that no role may read, beside all that is in `home`
