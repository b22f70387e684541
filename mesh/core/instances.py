"""The instances a deployment asks for, and what `place` is told of the machines: values only.

    eye                one process
    poet/1, poet/2     `copies: 2`
    wall@left-wall     `each: [left-wall]`, only ever on that machine

Decided against: making instances as machines come and go. The list depends on the file alone, so that every
node speaks of the same names, and an absent machine's display is named as missing, not forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mesh.core.spec import Deployment, RoleSpec

STANDBY_STATE = "standby"


@dataclass(frozen=True, slots=True)
class Instance:
    """One process of a role. `pinned` holds the name of its machine when the role is `each`; `copy` counts from 0."""

    name: str
    role: RoleSpec
    pinned: tuple[str, ...] = ()
    copy: int = 0


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a machine says it has. `memory_bytes` is all that roles may use together, not what happens to be free
    now; `extras` are the optional parts of Roomful that are installed: "llm", "onnx", …"""

    memory_bytes: int = 0
    cores: int = 1
    gpu: bool = False
    camera: bool = False
    screen: bool = False
    sound: bool = False
    microphone: bool = False
    extras: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A machine that is here: the node on it, its name in the file (or a spare's), and what it says of itself.

    `gave_up` are the instances that it will not start again; `why_gave_up` may say why, as (instance, words).
    """

    node: str
    name: str
    labels: tuple[str, ...] = ()
    capabilities: Capabilities = field(default_factory=Capabilities)
    drained: bool = False
    put_aside: bool = False
    gave_up: frozenset[str] = frozenset()
    why_gave_up: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Held:
    """A claim: `node` plays `instance` at `epoch`. With the state "standby" it is no claim but says that the
    instance is loaded there, warm or hot, so that taking over costs nothing."""

    instance: str
    node: str
    epoch: int = 0
    state: str = "playing"


def instances(deployment: Deployment) -> tuple[Instance, ...]:
    """Every instance that the deployment asks for, in the order of the file."""
    every: list[Instance] = []
    for role in deployment.roles:
        if role.each:
            every += [Instance(f"{role.name}@{name}", role, (name,)) for name in machines_of(deployment, role.each)]
        elif role.copies > 1:
            every += [Instance(f"{role.name}/{copy + 1}", role, copy=copy) for copy in range(role.copies)]
        else:
            every.append(Instance(role.name, role))
    return tuple(every)


def machines_of(deployment: Deployment, tokens: tuple[str, ...]) -> tuple[str, ...]:
    """The machines that `each:` tokens name, each once: a name as written, a `label:X` all of the file's that carry it."""
    names: list[str] = []
    for token in tokens:
        if token.startswith("label:"):
            names += [each.name for each in deployment.machines if token.removeprefix("label:") in each.labels]
        elif token == "any":
            names += [each.name for each in deployment.machines]
        else:
            names.append(token)
    return tuple(dict.fromkeys(names))


def by_importance(every: tuple[Instance, ...]) -> list[Instance]:
    """Most important first: the order of the file, but a role's further copies come after the first copy of every role.

    A second copy is a standby that also answers; a room with one poet and a wall is better than one with two poets and none.
    """
    return sorted(every, key=lambda each: (each.copy, each.role.rank))  # stable: within a role as the file has them
