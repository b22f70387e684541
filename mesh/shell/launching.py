"""What a role's process is told at its start: everything it needs, as one JSON value, and nothing of the agent's own."""

from __future__ import annotations

import base64
import contextlib
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mesh.core.effects import Launch
from mesh.core.kind import Kind
from mesh.core.names import role_name
from mesh.core.spec import Deployment, RoleSpec
from mesh.errors import RoomfulError
from mesh.shell.credentials import Credentials
from mesh.shell.fallbacks import lines_of
from mesh.shell.host_config import FIRST_PORT, PORTS
from mesh.shell.replaying import as_played
from mesh.shell.vouching import Pair

NICENESS, DISPLAY_NICENESS = 5, 2  # above the agent's own: its heartbeats come first, then what visitors see, then the models


@dataclass(slots=True)
class Ports:
    """Hands out pairs of data ports: fixed and documented in a real room, free ones (0) in a rehearsal."""

    rehearsal: bool
    taken: dict[str, int] = field(default_factory=dict)
    tried: int = 0

    def pair(self, instance: str) -> tuple[int, int]:
        """The ports of a new process: never those of one that runs, and not the same twice in a row, in case they are taken."""
        if self.rehearsal:
            return (0, 0)
        self.taken.pop(instance, None)
        while self.tried % (PORTS // 2) in self.taken.values() and len(self.taken) < PORTS // 2:
            self.tried += 1
        number = self.taken[instance] = self.tried % (PORTS // 2)
        self.tried += 1
        return (FIRST_PORT + 2 * number, FIRST_PORT + 2 * number + 1)


@dataclass(frozen=True, slots=True)
class Stead:
    """What is the same for every process of a node."""

    node: str
    machine: str
    folder: Path
    home: Path
    link: str
    key: Credentials
    rehearsal: bool
    secrets: tuple[Path, ...] = ()  # beside `home`, where the installation's key lies
    replay: Mapping[str, Any] = field(default_factory=dict)  # {"file", "speed", "begin", "roles"}: see `mesh.shell.replaying`


def config_for(
    order: Launch, role: RoleSpec, deployment: Deployment, stead: Stead, ports: tuple[int, int], pair: Pair, state: bytes | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The configuration of one process, as `mesh.shell.host` reads it. `pair`: its keys; `state`: what the one before it remembered."""
    state_folder = stead.home / "roles" / order.instance.replace("/", ".")
    state_folder.mkdir(parents=True, exist_ok=True)
    kind, options = as_played(role, deployment, stead.replay)
    described = deployment.kinds.get(kind, Kind(kind))
    return {
        "instance": order.instance, "role": role.name, "kind": kind, "folder": str(stead.folder), "options": options,
        "model": _model(role, deployment, stead.folder), "fallback": fallback_lines(role, stead.folder),
        "fallback_files": {sort: path for sort, path in role.fallback.items() if sort != "text"},
        "generation": order.generation, "epoch": order.epoch, "node": stead.node, "machine": stead.machine,
        "installation": deployment.installation, "about": deployment.about, "link": stead.link,
        "link_key": stead.key.public.decode(),
        "curve_public": pair.public, "curve_secret": pair.secret, "doors": stead.key.door_key,
        "state_folder": str(state_folder), "rehearsal": stead.rehearsal, "orphan_s": 0.0 if stead.rehearsal else 10.0,
        "bind": ["127.0.0.1"] if stead.rehearsal else ["*"], "ports": list(ports),
        "settings": {
            "cores": os.cpu_count() or 1, "opening": _opening(deployment), "models": _files(deployment, stead.folder),
            "begin": stead.replay.get("begin"),
        },
        "playing": False, "standby": order.standby,
        "state": None if state is None else base64.b64encode(state).decode(),
        "network": described.networks(options),
        "writes": [options[name] for name in described.writes if isinstance(options.get(name), str)],
        "hidden": [str(stead.home), *map(str, stead.secrets)], "memory_bytes": role.limits.get("memory_bytes", 0),
    }


def sizes(role: RoleSpec, deployment: Deployment, folder: Path) -> dict[str, int]:
    """The models of a role's ladder that lie on this disk, with their bytes."""
    found = {}
    for name in role.ladder:
        with contextlib.suppress(OSError, KeyError):
            found[name] = (folder / deployment.models[name].file).stat().st_size
    return found


def _files(deployment: Deployment, folder: Path) -> dict[str, str]:
    """Where each model lies here, for a role that lays others over its own (adapters)."""
    return {name: str(folder / model.file) for name, model in deployment.models.items()}


def _model(role: RoleSpec, deployment: Deployment, folder: Path) -> dict[str, Any] | None:
    if role.model is None:
        return None
    model = deployment.models[role.model]
    return {"name": model.name, "file": str(folder / model.file), "sha256": model.sha256, "licence": dict(model.licence)}


def _opening(deployment: Deployment) -> dict[str, Any] | None:
    """When the room is open, for roles that switch things on and off; None for a room that never closes."""
    return asdict(deployment.opening) if deployment.opening else None


def niceness_of(role: RoleSpec, deployment: Deployment) -> int:
    """By how much a role's process gives way, so that a model that takes every core delays no picture."""
    kind = deployment.kinds.get(role.kind)
    return DISPLAY_NICENESS if kind is not None and kind.display else NICENESS


def fallback_lines(role: RoleSpec, folder: Path) -> list[str]:
    """The lines of the role's fallback text. A file that cannot be read means none: a fallback must never stop a role."""
    return lines_of(folder / role.fallback["text"]) if "text" in role.fallback else []


def role_of(instance: str, deployment: Deployment) -> RoleSpec:
    """The role that an instance's name belongs to."""
    try:
        return deployment.role(role_name(instance))
    except KeyError:
        raise RoomfulError(f"the deployment has no role for {instance}") from None
