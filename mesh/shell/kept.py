"""What an agent leaves beside its socket for the agent after it: which processes it had, so that they can be adopted.

Not in the state folder: this is true only for as long as those processes run, and after a power cut they do not. Written
whenever it changes, without waiting for the disk: a crash of the agent leaves the system's memory as it was.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from mesh.core.cast import Part
from mesh.core.claims import STARTING
from mesh.core.messages import Claim


class KeptParts:
    """The file of one agent's parts."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written = ""

    def write(self, parts: Iterable[Part]) -> None:
        """Keep the parts that are set up. Costs nothing while nothing changes."""
        rows = [
            [c.instance, c.epoch, c.part, c.state, c.generation, c.frames_port, c.requests_port, c.pid, c.restarts, part.standby]
            for part in parts
            if (c := part.claim).state != STARTING
        ]
        text = json.dumps(rows)
        if text == self._written:
            return
        self._written = text
        beside = self._path.with_suffix(".new")
        with contextlib.suppress(OSError):
            beside.write_text(text)
            os.replace(beside, self._path)

    def read(self) -> Iterator[tuple[Claim, str]]:
        """(claim, how it was launched) of each process that the agent before had. Nothing when it left nothing readable."""
        try:
            rows = json.loads(self._path.read_text())
            for instance, epoch, part, state, generation, frames, requests, pid, restarts, standby in rows:
                yield Claim(
                    str(instance), int(epoch), str(part), str(state), int(generation), int(frames), int(requests), int(pid), int(restarts),
                ), str(standby)
        except (OSError, ValueError, TypeError):
            return

    def forget(self) -> None:
        """A clean end leaves nothing to adopt."""
        self._path.unlink(missing_ok=True)
