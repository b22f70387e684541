"""Makes a role's object from what the agent said, and binds its sockets: what happens once, before anything plays."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import zmq

from mesh.errors import RoleError
from mesh.role import Model, Role, Stage
from mesh.shell.host_config import HostConfig
from mesh.shell.kinds import load_role


def make_role(config: HostConfig, stage: Stage) -> Role:
    """The role's object, not set up yet. Raises whatever the kind's module, options or `__init__` raise."""
    folder = Path(config.folder)
    kind = load_role(config.kind, folder)
    state_folder = None if config.state_folder is None else Path(config.state_folder)
    if state_folder is not None:
        state_folder.mkdir(parents=True, exist_ok=True)
    return kind(
        stage=stage, name=config.instance, options=kind.Options(**config.options), folder=folder,
        model=_model(config, folder), state_folder=state_folder, fallback=tuple(config.fallback),
        settings={
            "installation": config.installation, "machine": config.machine, "about": config.about,
            "rehearsal": config.rehearsal, "cores": os.cpu_count() or 1, **config.settings,
        },
    )  # fmt: skip


def _model(config: HostConfig, folder: Path) -> Model | None:
    given = config.model
    if given is None:
        return None
    return Model(given["name"], folder / given["file"], given.get("sha256", ""), given.get("licence") or {})


def bind(socket: zmq.Socket[Any], addresses: tuple[str, ...], port: int, instance: str) -> int:
    """Listens at all the addresses, at the same port, a free one for 0; returns it. Raises RoleError when it is taken."""
    for address in addresses:
        try:
            socket.bind(f"tcp://{address}:{port or '*'}")
        except zmq.ZMQError as error:
            raise RoleError(
                f"port {port} of {address} cannot be used: {error.strerror}", where=instance,
                instead="End the program that uses it, or switch the machine off and on.",
            ) from None  # fmt: skip
        port = int(socket.getsockopt_string(zmq.LAST_ENDPOINT).rsplit(":", 1)[1].rstrip("\0"))
    return port
