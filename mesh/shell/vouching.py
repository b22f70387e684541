"""An agent's dealings with keys: whom it knows, who is shown what, who is shut out, and which keys its roles' processes let in.

A process has a key pair of its own for as long as it runs. Its node makes the pair, signs the public half, and tells it with the
claim (`Claim.key`); every agent checks that signature before anything believes the claim, and tells its own processes all
keys that are good. A consumer's key is thus known to a producer before the consumer has loaded, and a standby's long before
it plays. What one node says of another (digests are answered for others, too) is worth what the other signed.

A list of who is shut out that is newer than the one here is obeyed, kept on disk, and told to every node that is in, each time
a line to it stands: so it reaches also who was off. Whoever is on it is told so, and then hung up on.
"""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace

import zmq

from mesh.core.events import PeerFound
from mesh.core.messages import PROTOCOL, Hello, Message, ShutOut, State, Verdict
from mesh.core.node import Node
from mesh.core.peers import Peers
from mesh.shell.certificates import Certificate
from mesh.shell.credentials import Credentials
from mesh.shell.introductions import Introductions, Send
from mesh.shell.keys import KeyFileError, read_secret, save_secret
from mesh.shell.record import NodeRecord, as_met
from mesh.shell.register import Register
from mesh.shell.revocations import UNDERSTANDS_S, GroupKeys, speaker
from mesh.shell.revocations import read as read_revocations
from mesh.shell.storage import Store

SHUT_OUT_BYTES_MAX = 250_000
CERTIFICATES = "certificates"  # of everyone who was met, in the store


@dataclass(frozen=True, slots=True)
class Pair:
    """One process's keys (Z85), and its node's word for the public one."""

    public: str
    secret: str
    vouch: str


def new_pair(mine: Credentials, instance: str, generation: int) -> Pair:
    """For a process that is about to start."""
    public, secret = (each.decode() for each in zmq.curve_keypair())
    return Pair(public, secret, mine.vouch(instance, generation, public))


def as_text(packed: bytes) -> str:
    """A certificate as records hold it."""
    return base64.b85encode(packed).decode()


def from_text(text: str) -> bytes:
    """The certificate in a record; empty for what is none."""
    with contextlib.suppress(ValueError):
        return base64.b85decode(text)
    return b""


class Vouching:
    """One agent's. `keep` takes what is to be in the store, by its key; from any thread."""

    def __init__(self, mine: Credentials, store: Store, send: Send, keep: Callable[[str, list[str]], None]) -> None:
        self.register = Register(mine)
        self.group = GroupKeys(mine.room_key)
        self._file = store.folder / "shut-out"
        self._group_key = b""
        self._read_file()
        self.introductions = Introductions(self.register, send)
        saved = store.read(CERTIFICATES, [])
        for text in saved if isinstance(saved, list) else ():
            self.learn(str(text))
        self.register.changed = lambda: keep(CERTIFICATES, [as_text(packed) for packed in self.register.packed()])
        self._told: tuple[object, int] = (None, -1)
        self.admitted: list[str] = []

    def learn(self, text: str) -> None:
        """A certificate out of a record."""
        if text:
            self.register.learn(from_text(text))

    def found(self, record: NodeRecord, peers: Peers) -> PeerFound | None:
        """What mDNS says, if it is to be looked into: anybody can have said it. A machine of this room shows its own certificate in its
        record; one that shows none, or another's, is called by nobody, so that no forged record leads a whole room to a stranger's door."""
        met, whose = as_met(record), self.introductions.read(record.introduction)
        if whose != record.node and (whose or (met.protocol == PROTOCOL and peers.welcomes(met))):
            return None
        return PeerFound(met, whose == record.node)

    def show(self, address: str, port: int) -> None:
        """This node's certificate, to whom it is about to call."""
        self.introductions.tell(address, port, ask=True)

    # ---- who is shut out

    def _read_file(self) -> None:
        with contextlib.suppress(KeyFileError, ValueError, KeyError, TypeError):
            kept = json.loads(read_secret(self._file, SHUT_OUT_BYTES_MAX))
            self.obey(bytes.fromhex(kept["signed"]), bytes.fromhex(kept["group_key"]), -UNDERSTANDS_S)

    def obey(self, signed: bytes, group_key: bytes, now: float) -> list[Certificate] | None:
        """Takes in a list, if it is the owner's and newer; whom it shuts out that was in. None: nothing new. Without the key of those
        who are in, it is for one who is on it."""
        told = read_revocations(signed, self.register.mine.verify_key)
        if told is None or not told.above(self.register.revocations):
            return None
        mine = self.register.mine.certificate
        if not told.opens(group_key) and not (mine.issue <= told.shut_out.get(mine.node, 0) and not group_key):
            return None
        gone = self.register.shut_out(told)
        if group_key:
            self._group_key = group_key
            self.group.adopt(group_key, now)
        return gone

    def keep_shut_out(self) -> None:
        """Writes the list to the disk. From any thread. Raises KeyFileError."""
        kept = {"signed": self.register.revocations.signed.hex(), "group_key": self._group_key.hex()}
        save_secret(self._file, json.dumps(kept) + "\n", replace=True)

    def notice(self, *, inside: bool = True) -> ShutOut | None:
        """The list, for another node; `inside`: with what those share who are in. None while nobody was ever shut out."""
        signed = self.register.revocations.signed
        return ShutOut(self.register.mine.node, signed, self._group_key if inside else b"") if signed else None

    def processes_of(self, certificate: Certificate, node: Node) -> list[str]:
        """The keys of what a node plays (Z85), and its own."""
        member = node.membership.members.get(certificate.node)
        claims = member.state.claims if member is not None and member.state is not None else ()
        return [certificate.public.decode(), *(claim.key for claim in claims if claim.key)]

    # ---- what is believed

    def bars(self, message: Message) -> bool:
        """Whether it is the word of a node that is shut out, or vouches for one. Until all have the new key of those who are in, such
        a node can still be understood, and whoever has not heard of the list may still speak for it."""
        shut_out = self.register.revocations.shut_out
        if not shut_out:
            return False
        speaks = message.record.node if isinstance(message, Hello) else speaker(message)
        about = message.subject if isinstance(message, Verdict) else speaks
        return any(node in shut_out and self.is_barred(node) for node in (speaks, about))

    def is_barred(self, node: str) -> bool:
        """Whether another node is shut out, and has not been let in anew."""
        return node != self.register.mine.node and node in self.register.revocations.shut_out and self.register.public(node) is None

    def take_in(self, message: Message) -> Message | None:
        """A control message with only such keys in it as are vouched for. None: it speaks of a node that nobody vouched for yet."""
        if isinstance(message, Hello):
            for record in (message.record, *message.known):
                self.learn(record.certificate)
            if self.register.public(message.record.node) is None:
                return None
        elif isinstance(message, State):
            return self._checked(message)
        return message

    def _checked(self, message: State) -> State | None:
        claims = message.state.claims
        keyed = [claim for claim in claims if claim.key]
        if keyed and self.register.public(message.node) is None:
            return None
        wrong = [claim for claim in keyed if not self.register.is_vouched(message.node, claim)]
        if not wrong:
            return message
        kept = tuple(replace(claim, key="", vouch="") if claim in wrong else claim for claim in claims)
        return replace(message, state=replace(message.state, claims=kept))

    def guests(self, node: Node) -> list[str] | None:
        """The keys that this node's processes let in, when they are others than they were told last."""
        now = (node.ledger.holdings, self.register.version)
        if now[0] is self._told[0] and now[1] == self._told[1]:
            return None
        self._told = now
        members = [each for each in node.membership.members.values() if self.register.public(each.record.node) is not None]
        states = [node.published, node.state, *(each.state for each in members if each.state is not None)]
        guests = sorted({claim.key for state in states for claim in state.claims if claim.key} | self.register.publics())
        before, self.admitted = self.admitted, guests
        return None if guests == before else guests
