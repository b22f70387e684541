"""What can happen to a node: the values that `Node.handle` takes. Each late voice carries its number.

A role's process speaks with its generation, a peer with boot and incarnation, so that a word from a
past life can be told from one of this.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mesh.core.messages import Claim, Message, NodeRecord, Signed
from mesh.core.spec import Deployment


class Tick(NamedTuple):
    """Time has passed; `lag_s` is how much later than asked this tick comes."""

    lag_s: float = 0.0


@dataclass(frozen=True, slots=True)
class PeerFound:
    """Discovery says that a node may exist. Never that it is alive. `same_key`: whoever said so knew this installation's key once."""

    record: NodeRecord
    same_key: bool = False


class Heard(NamedTuple):
    """A message came, as a datagram from `address` or over a control link (`address` empty). It arrived `age_s` ago and has waited
    since then: heartbeats are read when their reader is awake anyhow."""

    message: Message
    address: str = ""
    age_s: float = 0.0


@dataclass(frozen=True, slots=True)
class LinkUp:
    """The control link to `node` answers at `address`."""

    node: str
    address: str


@dataclass(frozen=True, slots=True)
class LinkHint:
    """A disconnect or a refused connection: a reason to probe at once, no verdict."""

    node: str


@dataclass(frozen=True, slots=True)
class Carrier:
    """This machine's own network link came up or went down."""

    up: bool


@dataclass(frozen=True, slots=True)
class RoleReady:
    """A role's process has finished its set-up and listens."""

    instance: str
    generation: int
    frames_port: int
    requests_port: int
    pid: int


@dataclass(frozen=True, slots=True)
class RoleEnded:
    """A role's process is gone. `why` is in plain words; `clean` says that it was asked to."""

    instance: str
    generation: int
    why: str
    clean: bool = False
    faulty: bool = False  # it was ended because it ran without working
    worked_s: float | None = None  # for how long it had said that it works
    edited: bool = False  # it was ended to show what was edited, which is no failure however often it happens


@dataclass(frozen=True, slots=True)
class RoleWorks:
    """A role that was started again because it did not work says now that it does."""

    instance: str
    generation: int


@dataclass(frozen=True, slots=True)
class RoleRenewed:
    """A second process of an instance, made from edited code, is set up and takes the first one's place: as `RoleReady`."""

    instance: str
    generation: int
    frames_port: int
    requests_port: int
    pid: int
    key: str = ""
    vouch: str = ""


@dataclass(frozen=True, slots=True)
class RoleTooLarge:
    """A role's process uses more memory than the file allows it. `why` is in plain words."""

    instance: str
    generation: int
    why: str


@dataclass(frozen=True, slots=True)
class RoleStarted:
    """The process of a launched instance exists; of a ladder, it plays `model`. `key` and `vouch` as in its claim."""

    instance: str
    generation: int
    pid: int
    model: str = ""
    key: str = ""
    vouch: str = ""


@dataclass(frozen=True, slots=True)
class RoleFound:
    """A process that outlived this node's last agent: its claim as it was, and how it was launched. It is adopted, not
    restarted. If it was starting then and is set up by now, a `RoleReady` follows."""

    claim: Claim
    standby: str = "none"


@dataclass(frozen=True, slots=True)
class DeploymentRead:
    """This machine plays this deployment from now on, as revision (number, hash). `touched` are the roles that are not what they were
    in the revision before: their processes are started anew, all others go on. `installation` is whose it is, for a node that waited
    for its first one."""

    deployment: Deployment
    revision: tuple[int, str]
    touched: frozenset[str] = frozenset()
    installation: str = ""


@dataclass(frozen=True, slots=True)
class Offered:
    """At this node somebody says that a revision is to be fetched ("fetch") or played ("play"), and shows the owner's signature."""

    purpose: str
    statement: Signed


@dataclass(frozen=True, slots=True)
class RevisionReady:
    """This revision lies on this machine's disk, whole and found good."""

    hash: str


@dataclass(frozen=True, slots=True)
class RevisionFailed:
    """This revision cannot be had, or played, here. `why` is in plain words."""

    hash: str
    why: str


@dataclass(frozen=True, slots=True)
class Measured:
    """What this machine has; see `mesh.core.instances.Capabilities`."""

    capabilities: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The operator's word, given at this node: "up", "down", "drain", "undrain", "leave", or "restore" of an `instance` it holds."""

    verb: str
    instance: str = ""


Event = (
    Tick | PeerFound | Heard | LinkUp | LinkHint | Carrier | RoleReady | RoleRenewed | RoleWorks | RoleEnded | RoleStarted
    | RoleTooLarge | RoleFound | DeploymentRead | Offered | RevisionReady | RevisionFailed
    | Measured | Wanted
)
