"""What an agent tells a role's process to be: one JSON value on its standard input."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from mesh.errors import RoleError

FIRST_PORT, PORTS = 47610, 190  # of the roles' data, on every machine; documented for firewalls


@dataclass(frozen=True, slots=True)
class HostConfig:
    """One instance's process. `standby` says what it is while it does not play: "none" and "warm" wait, "hot" runs muted.

    `link_key` is the public key of the agent at the other end of `link`, `link_name` what it calls itself there; `orphan_s` is how
    long it plays on without one; `ports` are for frames and requests, 0 for free ones; `curve_public` and `curve_secret` are this
    process's own pair, `vouched` the keys that it lets in (others are told later), `doors` is by what the
    processes of one machine find each other. `clock` is the course of the room's time as an order of the agent's gives it, None:
    the wall clock's. `state`: base64 of MessagePack, what the process before this one remembered. `network`,
    `writes` (paths) and `memory_bytes` (0: no limit) are what it may use, `hidden` what it may not see even in a folder that it may
    read: see `mesh.shell.confinement`.
    """

    instance: str
    role: str
    kind: str
    folder: str
    link: str
    link_key: str
    curve_public: str
    curve_secret: str
    doors: str
    node: str
    options: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] | None = None
    fallback: tuple[str, ...] = ()
    fallback_files: dict[str, str] = field(default_factory=dict)
    generation: int = 0
    epoch: int = 0
    machine: str = ""
    installation: str = ""
    about: str = ""
    state_folder: str | None = None
    rehearsal: bool = False
    orphan_s: float = 10.0
    bind: tuple[str, ...] = ("*",)
    ports: tuple[int, int] = (0, 0)
    settings: dict[str, Any] = field(default_factory=dict)
    playing: bool = False
    standby: str = "none"
    state: str | None = None
    clock: dict[str, Any] | None = None
    network: bool = False
    writes: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    memory_bytes: int = 0
    link_name: str = ""
    vouched: tuple[str, ...] = ()


def read(text: str | bytes) -> HostConfig:
    """The configuration. Keys of a newer agent are passed over. Raises RoleError for what is not one."""
    try:
        given = json.loads(text)
        if not isinstance(given, Mapping):
            raise TypeError("not an object")
        known = {each.name for each in fields(HostConfig)}
        kept: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items() if key in known}
        return HostConfig(**kept)
    except (ValueError, TypeError, RecursionError) as error:
        raise RoleError(
            f"this is not a role's configuration: {error}",
            where="standard input",
            instead="Roles are started by `roomful agent` or `roomful rehearse`, not by hand.",
        ) from None
