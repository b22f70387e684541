"""A recording in place of a room's sensors: which roles it stands in for, and how their processes are told.

A replayed role keeps its name, its streams and its place in the room; only the kind that plays it is another,
`sensing.recorded`. So nothing else in the room knows, and a piece is rehearsed with the very wires that it will have.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mesh.core.spec import Deployment, RoleSpec
from mesh.errors import EngineMissingError, RoomfulError

KIND = "sensing.recorded"
AHEAD_S = 1.0  # from when everything plays to the first frame: what listens has its lines by then


@dataclass(frozen=True, slots=True)
class Replay:
    """A recording, how fast it plays, and the roles that it stands in for."""

    file: Path
    speed: float
    roles: tuple[str, ...]


def open_replay(path: Path, speed: float, deployment: Deployment) -> Replay:
    """The roles without inputs of which the recording has a stream. Raises RoomfulError when there is none."""
    topics = _topics(path)
    sensors = {role.name: deployment.kind_of(role.name).outputs_for(role.options) for role in deployment.roles if not role.inputs}
    roles = tuple(role for role, outputs in sensors.items() if any(f"{role}.{name}" in topics for name in outputs))
    if not roles:
        raise RoomfulError(
            f"the recording holds no stream of a sensor of this deployment: it has {', '.join(sorted(topics)) or 'none'}", where=str(path),
            instead=f"its sensors are {', '.join(sensors) or 'none'}; record the room that they play in",
        )
    return Replay(path.resolve(), speed, roles)


def _topics(path: Path) -> set[str]:
    try:
        from mcap.exceptions import McapError
        from mcap.reader import make_reader
    except ImportError as missing:
        raise EngineMissingError("recordings need the mcap library, which is not installed on this machine",
                                 instead="pip install roomful[record]") from missing
    try:
        with path.open("rb") as file:
            summary = make_reader(file).get_summary()
    except (OSError, McapError, ValueError) as error:
        raise RoomfulError(f"the recording cannot be read: {error}", where=str(path)) from None
    return {channel.topic for channel in summary.channels.values()} if summary is not None else set()


def as_played(role: RoleSpec, deployment: Deployment, replay: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The kind and the options that a role is played with: its own, or those of the recording that stands in for it."""
    if role.name not in replay.get("roles", ()):
        return role.kind, dict(role.options)
    outputs = deployment.kind_of(role.name).outputs_for(role.options)
    options = {"file": replay["file"], "role": role.name, "outputs": outputs, "speed": replay["speed"], "loop": False}
    return KIND, options


def write_replay(path: Path, replay: Replay, begin: Path) -> None:
    """For the agents of a rehearsal; `begin` is the file that will say when all recordings begin."""
    path.write_text(json.dumps({**asdict(replay), "file": str(replay.file), "begin": str(begin)}))


def begin_replay(begin: Path, now_s: float) -> None:
    """Let all begin, a moment after `now_s` of this computer's steady clock. Whole or not at all: roles look for it all the time."""
    part = begin.with_suffix(".part")
    part.write_text(json.dumps({"monotonic_s": now_s + AHEAD_S}))
    os.replace(part, begin)
