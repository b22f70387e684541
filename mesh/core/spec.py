"""The deployment as values: what every part of the mesh reads once the file has been found good.

Parsed and judged in `deployment.py`; these classes know nothing of YAML, positions or pydantic, so that the
simulator and the placement tests can build one in a line. Decided against: handing pydantic models around (a
validated copy on each change, and a parser in the import of every module that only wants a name).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mesh.core.kind import Kind

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True, slots=True)
class Machine:
    """A computer that the file names, and what it is labelled with.

    `has` is what the file says of it and overrides what it measures: names of fields of `Capabilities`, each only where written.
    """

    name: str
    labels: tuple[str, ...] = ()
    has: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model file of the folder. `file` is relative to the folder, `sha256` 64 lower-case hex digits,
    `licence` has the SPDX identifiers of its `weights`, `code` and `data`."""

    name: str
    file: str
    sha256: str
    licence: Mapping[str, str]
    source: str = ""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a machine must have to play a role."""

    memory_bytes: int = 0
    gpu: bool = False
    camera: bool = False
    screen: bool = False
    sound: bool = False
    microphone: bool = False


@dataclass(frozen=True, slots=True)
class Wire:
    """`input: role.stream`. `delivery` is "latest", "queue" or "", which leaves it to the stream's type
    (image, audio and vector: latest; text and event: queue). `pictures` is how they come from another machine: "raw",
    "lossless", "quality N" or "", which leaves it to the mesh."""

    input: str
    role: str
    stream: str
    delivery: str = ""
    pictures: str = ""


@dataclass(frozen=True, slots=True)
class RoleSpec:
    """One role as the file asks for it. Every default is what the file means when it leaves the key out."""

    name: str
    kind: str
    rank: int = 0  # place in the file: lower matters more when machines are short
    on: tuple[str, ...] = ("any",)  # "door", "label:camera", "any"; the first is liked best
    each: tuple[str, ...] = ()  # "left-wall", "label:screen"; () when it is not an `each` role
    copies: int = 1
    standby: str = "cold"  # "none" | "cold" | "warm" | "hot"; "none" for `each` roles and for copies above 1
    needs: Needs = field(default_factory=Needs)
    model: str | None = None  # with a `ladder` its first, the best
    inputs: tuple[Wire, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    fallback: Mapping[str, str] = field(default_factory=dict)  # {"text" | "image" | "loop" | "recording": path in the folder}
    with_: str | None = None  # the role whose machine it shares
    spread: bool = False  # True: no two copies on one machine, ever; False: apart where that can be had
    failback: str = "manual"  # "manual" | "auto"
    limits: Mapping[str, int] = field(default_factory=dict)  # {"memory_bytes": n, "cores": n}, each only where written
    exclusive: bool | None = None  # None: as the kind says
    ladder: tuple[str, ...] = ()  # models from best to smallest


@dataclass(frozen=True, slots=True)
class Opening:
    """When the room is open. `days` are from DAYS; times are minutes after midnight in `timezone`;
    `closes_min` at or below `opens_min` means the next morning."""

    days: tuple[str, ...]
    opens_min: int
    closes_min: int
    timezone: str


@dataclass(frozen=True, slots=True)
class Deployment:
    """What the artist wants: a file that was read and found good."""

    installation: str
    about: str = ""
    machines: tuple[Machine, ...] = ()
    models: Mapping[str, ModelSpec] = field(default_factory=dict)
    roles: tuple[RoleSpec, ...] = ()
    opening: Opening | None = None
    seeds: tuple[str, ...] = ()  # "host" or "host:port"
    boot_grace_s: float = 20.0
    timing: str = "wired"  # "wired" | "wireless"
    significant: tuple[str, ...] = ()  # what must stay for the work to be the work, in sentences, for the conservator
    kinds: Mapping[str, Kind] = field(default_factory=dict)  # the kinds of its roles

    def role(self, name: str) -> RoleSpec:
        """The role of that name; KeyError when there is none."""
        for role in self.roles:
            if role.name == name:
                return role
        raise KeyError(name)

    def kind_of(self, role: str) -> Kind:
        """The kind that plays the role; KeyError when there is no such role or its kind was not described."""
        return self.kinds[self.role(role).kind]

    def labels_of(self, machine: str) -> tuple[str, ...]:
        """The labels of a machine; () for one that the file does not name."""
        return next((known.labels for known in self.machines if known.name == machine), ())

    def has_of(self, machine: str) -> Mapping[str, int]:
        """What the file says that a machine has; {} for one of which it says nothing."""
        return next((known.has for known in self.machines if known.name == machine), {})
