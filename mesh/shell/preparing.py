"""Makes a role's object from what the agent said, and binds its sockets: what happens once, before anything plays."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import zmq

from mesh.errors import RoleError
from mesh.role import Model, Role, Stage
from mesh.shell.host_config import FIRST_PORT, PORTS, HostConfig
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
        fallback_files={sort: folder / path for sort, path in config.fallback_files.items()},
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
    """Listens at all the addresses, at the same port, a free one for 0; returns it. Where a data port is taken, at another
    of them: the system lends these numbers to outgoing connections, too. Raises RoleError when none is free."""
    error: zmq.ZMQError | None = None
    for choice in (port, *_others(port)):
        try:
            return _bind_all(socket, addresses, choice)
        except zmq.ZMQError as failed:
            error = failed
            if failed.errno != errno.EADDRINUSE:
                break
    raise RoleError(
        f"port {port} of {', '.join(addresses)} cannot be used: {error.strerror if error else 'no address is given'}", where=instance,
        instead="End the program that uses it, or switch the machine off and on.",
    )  # fmt: skip


def _others(port: int) -> Iterable[int]:
    """The other data ports, from the far end, which the agent hands out last; none for a port outside of them."""
    documented = range(FIRST_PORT + PORTS - 1, FIRST_PORT - 1, -1)
    return [each for each in documented if each != port] if port in documented else []


def _bind_all(socket: zmq.Socket[Any], addresses: tuple[str, ...], port: int) -> int:
    bound: list[str] = []
    try:
        for address in addresses:
            socket.bind(f"tcp://{address}:{port or '*'}")
            bound.append(socket.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\0"))
            port = int(bound[-1].rsplit(":", 1)[1])
    except zmq.ZMQError:
        for endpoint in bound:
            socket.unbind(endpoint)
        raise
    return port
