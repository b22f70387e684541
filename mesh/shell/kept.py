"""What an agent leaves beside its socket for the agent after it: which processes it had, so that they can be adopted.

Not in the state folder: this is true only for as long as those processes run, and after a power cut they do not
(`boot` tells). Written
whenever it changes, without waiting for the disk: a crash of the agent leaves the system's memory as it was.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from mesh.core.claims import STARTING
from mesh.core.clock import Course, course_of
from mesh.core.messages import Claim
from mesh.core.parts import Part


class KeptParts:
    """The file of one agent's parts."""

    def __init__(self, path: Path, boot: str) -> None:
        """`boot` names this run of the computer: after a power cut a process's number belongs to somebody else."""
        self._path, self._boot = path, boot
        self._written: list[tuple[Claim, str]] | None = None

    def write(self, parts: Iterable[Part]) -> None:
        """Keep the parts that are set up. Costs next to nothing while nothing changes: it is called at every event."""
        found = [(part.claim, part.standby) for part in parts if part.claim.state != STARTING]
        if found == self._written:
            return
        self._written = found
        rows = [
            [c.instance, c.epoch, c.part, c.state, c.generation, c.frames_port, c.requests_port, c.pid, c.restarts, standby,
             c.key, c.vouch]
            for c, standby in found
        ]
        text = json.dumps({"boot": self._boot, "parts": rows})
        beside = self._path.with_suffix(".new")
        with contextlib.suppress(OSError):
            beside.write_text(text)
            os.replace(beside, self._path)

    def read(self) -> Iterator[tuple[Claim, str]]:
        """(claim, how it was launched) of each process that the agent before had. Nothing when it left nothing readable."""
        try:
            kept = json.loads(self._path.read_text())
            rows = kept["parts"] if kept["boot"] == self._boot else ()
            for instance, epoch, part, state, generation, frames, requests, pid, restarts, standby, key, vouch in rows:
                yield Claim(
                    str(instance), int(epoch), str(part), str(state), int(generation), int(frames), int(requests), int(pid), int(restarts),
                    key=str(key), vouch=str(vouch),
                ), str(standby)
        except (OSError, ValueError, TypeError, KeyError):
            return

    def forget(self) -> None:
        """A clean end leaves nothing to adopt."""
        self._path.unlink(missing_ok=True)


KEPT_WITHIN_S, KEPT_FOR_S = 0.01, 60.0


class KeptClock:
    """How the room's time ran on this machine. Roles that outlive their agent still show it, so the next agent must begin no earlier.

    After a restart of the machine its steady clock has begun anew, and what is read here lies in the past: it does no harm.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.course = self._read()

    def _read(self) -> Course:
        try:
            return course_of(json.loads(self._path.read_text()))
        except (OSError, ValueError, TypeError, LookupError):
            return Course()

    def write(self, course: Course, now: float) -> None:
        """Keep it, when it makes a difference."""
        later_s = now + KEPT_FOR_S
        if abs(course.read(later_s) - self.course.read(later_s)) < KEPT_WITHIN_S:
            return
        self.course = course
        beside = self._path.with_suffix(".new")
        with contextlib.suppress(OSError):
            beside.write_text(json.dumps(course.as_order()))
            os.replace(beside, self._path)
