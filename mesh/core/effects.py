"""What a node wants done: the values that `Node.handle` returns, for the agent or the simulator to perform.

A report is a value too: the deciding half never logs. The two that come twenty times a second are tuples, which are made three
times as fast as a frozen dataclass.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mesh.core.clock import Course
from mesh.core.messages import ClockWord, Datagram, Message, NodeRecord


class SendDatagram(NamedTuple):
    """A small message, at once, perhaps lost."""

    address: str
    port: int
    message: Datagram | ClockWord
    node: str = ""


class SendControl(NamedTuple):
    """A message in order over the control link to `node`."""

    node: str
    message: Message


@dataclass(frozen=True, slots=True)
class Dial:
    """Open a control link to this peer, by any of its addresses."""

    record: NodeRecord


@dataclass(frozen=True, slots=True)
class HangUp:
    """Close the control link and forget what is queued on it."""

    node: str


@dataclass(frozen=True, slots=True)
class Launch:
    """Start the process of an instance. `standby` is "none" for a holder, else "hot" or "warm"."""

    instance: str
    generation: int
    epoch: int
    standby: str
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Halt:
    """End the process of an instance: politely, and after `grace_s` not. `rests`: the whole work rests, and no other machine goes on."""

    instance: str
    generation: int
    grace_s: float = 2.0
    rests: bool = False


@dataclass(frozen=True, slots=True)
class End:
    """End the process of an instance at once, as if it had ended by itself: a `RoleEnded` with this `why` follows."""

    instance: str
    generation: int
    why: str


@dataclass(frozen=True, slots=True)
class Tell:
    """Orders for a role's process: {"type": "play" | "mute" | "routes", …}."""

    instance: str
    generation: int
    order: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ClockSet:
    """From now on the room's time runs so on this machine: all its roles, and those that are started later, are to know."""

    course: Course


@dataclass(frozen=True, slots=True)
class Fetch:
    """Get this revision of the deployment from whoever has it: a `RevisionReady` or a `RevisionFailed` follows. Whatever was being
    fetched is not wanted any more."""

    number: int
    hash: str


@dataclass(frozen=True, slots=True)
class Play:
    """Play this revision, which lies here: a `DeploymentRead` follows, or a `RevisionFailed`."""

    number: int
    hash: str


@dataclass(frozen=True, slots=True)
class Prune:
    """Of all revisions on the disk keep these, and what a process still plays from."""

    keep: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Save:
    """Keep `value` on disk under `key` before anything that comes after it."""

    key: str
    value: Any


@dataclass(frozen=True, slots=True)
class Report:
    """Something a person may want to know. `event` is a name of DESIGN.md section 7; `fields` go with it."""

    event: str
    fields: dict[str, Any] = field(default_factory=dict)


Effect = SendDatagram | SendControl | Dial | HangUp | Launch | Halt | End | Tell | ClockSet | Fetch | Play | Prune | Save | Report
