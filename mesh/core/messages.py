"""The whole wire of the control plane in one file: every message, its fields, its limits.

Append only: a number in `KINDS` is never used again for something else, and a field is only ever added
at the end with a default. Heartbeats, probes and verdicts travel as datagrams; the rest over ZeroMQ.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field

PROTOCOL = 1
DATAGRAM_BYTES_MAX = 1400  # below every Ethernet and Wi-Fi path's unfragmented size
CONTROL_BYTES_MAX = 4 * 1024 * 1024
MEMBERS_MAX = 1024

NodeId = Annotated[str, Field(min_length=1, max_length=40)]
Name = Annotated[str, Field(max_length=128)]
Words = Annotated[str, Field(max_length=4096)]
Port = Annotated[int, Field(ge=0, le=65535)]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Seconds = Annotated[float, Field(ge=-1e12, le=1e12, allow_inf_nan=False)]
Key = Annotated[str, Field(max_length=128)]  # 32 or 64 bytes as text
Addresses = Annotated[tuple[Annotated[str, Field(max_length=64)], ...], Field(max_length=32)]


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """Who a node says it is and where it listens. `boot` is drawn anew at each start, so that two machines with one
    `node` id can be told from one machine that restarted."""

    node: NodeId
    boot: Name
    incarnation: Count
    name: Name
    addresses: Addresses
    control_port: Port
    beat_port: Port
    installation: Name = ""  # hash of installation name and key
    protocol: Count = PROTOCOL
    revision: Name = ""  # hash of the deployment it holds
    certificate: Annotated[str, Field(max_length=512)] = ""  # what the installation's key says of it: `mesh.shell.certificates`
    work: Name = ""  # the name in its deployment; told over encrypted lines only


@dataclass(frozen=True, slots=True)
class Claim:
    """A node's statement about one instance on it. `part` is "holder" or "standby"; `state` is one of
    "starting", "ready" (a standby that could take over), "playing", "stopping"."""

    instance: Name
    epoch: Count
    part: Name
    state: Name
    generation: Count = 0
    frames_port: Port = 0
    requests_port: Port = 0
    pid: Count = 0
    restarts: Count = 0
    provisional: bool = False
    planned: bool = False  # takes over from a living holder by plan, and stands above it; cleared when that one has stopped
    heard: Count = 0  # the size of this node's side: falls at once, grows only when sides that met have settled
    trouble: Words = ""  # why it does not play, in plain words
    first: Count = 0  # the epoch at which this holder began: claiming anew above another does not make it a later comer
    model: Name = ""  # of a ladder: the model that it plays here
    key: Key = ""  # the public half of its process's own key pair, as long as that runs (Z85)
    vouch: Key = ""  # its node's signature under that (Z85)


@dataclass(frozen=True, slots=True)
class Order:
    """What the operator last wanted of the whole room. The highest (number, stamp) wins."""

    number: Count = 0
    state: Name = "down"  # "up" | "down"
    stamp: Name = ""


@dataclass(frozen=True, slots=True)
class Signed:
    """A revision of the deployment, with the signature of the key's owner over it and what it is to be used for (see `distribution.py`)."""

    number: Count = 0
    hash: Name = ""
    signature: Annotated[bytes, Field(max_length=64)] = b""


@dataclass(frozen=True, slots=True)
class NodeState:
    """All that a node says of itself, versioned; placement reads nothing else but who is alive."""

    version: Count
    capabilities: dict[str, Any]
    revision: tuple[Count, Name]  # (number, hash) of the deployment it holds
    order: Order = Order()
    drained: bool = False
    put_aside: bool = False
    gave_up: Annotated[tuple[tuple[Name, Words], ...], Field(max_length=1024)] = ()  # (instance, why)
    claims: Annotated[tuple[Claim, ...], Field(max_length=4096)] = ()
    epochs: dict[Name, Count] = field(default_factory=dict)  # the highest epoch seen of instances it once played
    settled: bool = False  # past its boot grace
    hears: Count = 0  # machines it hears, itself included: the size of its side
    starting: bool = False  # the room began to start with this node, less than `provisional_s` ago
    steady: bool = False  # has been here without a break for the hold-down, so roles may fail back to it
    aside_s: Count = 0  # for how long it is put aside this time
    keeps_time: bool = False  # others may follow its clock
    offered: Signed = Signed()  # the highest revision known that is to be fetched
    ordered: Signed = Signed()  # the highest revision known that is to be played
    ready: Annotated[tuple[Name, ...], Field(max_length=64)] = ()  # revisions that lie here whole and were found good, by hash
    cannot: Annotated[tuple[tuple[Name, Words], ...], Field(max_length=64)] = ()  # (hash, why it cannot be had or played here)
    transfer_port: Port = 0  # where others fetch revisions from it


@dataclass(frozen=True, slots=True)
class Beat:
    """A heartbeat. `ages` holds (node, milliseconds since last heard) for every peer its sender watches."""

    node: NodeId
    boot: Name
    incarnation: Count
    sequence: Count
    version: Count  # of its NodeState: who has an older one asks for it
    ages: Annotated[tuple[tuple[NodeId, Count], ...], Field(max_length=64)] = ()


@dataclass(frozen=True, slots=True)
class Probe:
    """Are you there? `relay` names who wants to know when a helper asks on another's behalf."""

    node: NodeId
    target: NodeId
    number: Count
    relay: Annotated[str, Field(max_length=40)] = ""


@dataclass(frozen=True, slots=True)
class ProbeFor:
    """Please probe `target` for me."""

    node: NodeId
    target: NodeId
    number: Count


@dataclass(frozen=True, slots=True)
class Ack:
    """`target` answers a probe; a helper hands it on unchanged."""

    target: NodeId
    boot: Name
    incarnation: Count
    sequence: Count
    number: Count
    relay: Annotated[str, Field(max_length=40)] = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`node` tells all what it holds of `subject`: "suspect", "dead", "left", or "alive" after a refuted suspicion.
    `boot` is the subject's, so that two machines of one identity can be told apart."""

    node: NodeId
    subject: NodeId
    incarnation: Count
    sequence: Count
    health: Name
    boot: Name = ""


@dataclass(frozen=True, slots=True)
class ClockAsk:
    """What time is it? `shown_s` is the room's time here when it was asked, 0 where it is not known."""

    node: NodeId
    number: Count
    shown_s: Seconds = 0.0


@dataclass(frozen=True, slots=True)
class ClockTold:
    """The answer, at once. By the answerer's own steady clock the question was heard at `heard_s` and this was sent at `sent_s`; the
    next five are its `Course`. It may be `doubt_s` from the reference, which is `steps` nodes away from it."""

    node: NodeId
    number: Count
    heard_s: Seconds
    sent_s: Seconds
    at_s: Seconds
    room_s: Seconds
    pace: Annotated[float, Field(ge=-1e-2, le=1e-2, allow_inf_nan=False)]
    slew_s: Seconds
    over_s: Annotated[float, Field(ge=1e-3, le=1e6, allow_inf_nan=False)]
    doubt_s: Annotated[float, Field(ge=0.0, le=1e12, allow_inf_nan=False)]
    reference: NodeId
    steps: Count = 0


@dataclass(frozen=True, slots=True)
class Hello:
    """The first message on every control link, and again when something in it changes."""

    record: NodeRecord
    known: Annotated[tuple[NodeRecord, ...], Field(max_length=MEMBERS_MAX)] = ()


@dataclass(frozen=True, slots=True)
class State:
    """A node's state, told when it changes and when asked for."""

    node: NodeId
    incarnation: Count
    state: NodeState
    boot: Name = ""


@dataclass(frozen=True, slots=True)
class StateWanted:
    """Tell me your state, or the one you know `of` another: you named a version I have not got."""

    node: NodeId
    of: Annotated[str, Field(max_length=40)] = ""


@dataclass(frozen=True, slots=True)
class Digest:
    """What `node` has heard of everyone here, itself included: (node, incarnation, version of its state, milliseconds
    since it was last heard by anybody). Told to one other node at a time; who lacks something asks for it."""

    node: NodeId
    entries: Annotated[tuple[tuple[NodeId, Count, Count, Count], ...], Field(max_length=MEMBERS_MAX)] = ()
    boot: Name = ""  # of `node`


@dataclass(frozen=True, slots=True)
class BeatsWanted:
    """Send your heartbeats over the link too: your datagrams do not come through to `node`."""

    node: NodeId


@dataclass(frozen=True, slots=True)
class ShutOut:
    """The owner's list of who is shut out (`mesh.shell.revocations`), and what the others share from then on: only told to one of them,
    and empty to one who is on the list."""

    node: NodeId
    signed: Annotated[bytes, Field(max_length=100_000)]
    group_key: Annotated[bytes, Field(max_length=32)] = b""


@dataclass(frozen=True, slots=True)
class Call:
    """A command-line caller's question to a node. Answered with one or more `Answer`s."""

    id: Name
    verb: Name
    arguments: dict[Name, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a node answers a `Call`. `more` says that others follow."""

    id: Name
    value: Any = None
    fault: Words = ""
    more: bool = False


Datagram = Beat | Probe | ProbeFor | Ack | Verdict
ClockWord = ClockAsk | ClockTold
Message = (
    Beat | Probe | ProbeFor | Ack | Verdict | ClockAsk | ClockTold | Hello | State | StateWanted | Call | Answer | Digest | BeatsWanted
    | ShutOut
)

KINDS: dict[int, type[Any]] = {
    1: Beat, 2: Probe, 3: ProbeFor, 4: Ack, 5: Verdict, 6: ClockAsk, 7: ClockTold,
    16: Hello, 17: State, 18: StateWanted, 19: Call, 20: Answer, 21: Digest, 22: BeatsWanted,
    40: ShutOut,
}
