"""Whom this node knows to be in the room: certificates that proved themselves, by node and by key.

    register = Register(mine)
    register.learn(packed) -> bool         whether it told something new
    register.public(node) -> bytes | None  the key by which that node's control socket is known (Z85)
    register.admits(curve) -> bool | None  True: let in; False: shut out; None: never heard of
    register.shut_out(revocations)         the owner's list of who is let in no more

Certificates come with mDNS records, with introductions (`introductions`), with what nodes say of each other, and from
the disk; it does not matter whose word it was, since each carries the owner's signature. Written by any thread under a
lock. The guard's thread reads without: what it reads is replaced whole, so it sees the old table or the new one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from mesh.core.messages import Claim
from mesh.shell.certificates import OPERATOR, PACKED_BYTES, Certificate, is_vouched, read
from mesh.shell.credentials import Credentials
from mesh.shell.revocations import Revocations

NODES_MAX = 1024
OPERATORS_MAX = 64  # commands that were ever introduced: the latest
VOUCHED_MAX = 4096


class Register:
    """One node's. `version` grows with each change; `changed` is called after it."""

    def __init__(self, mine: Credentials) -> None:
        self.mine = mine
        self.version = 0
        self.changed: Callable[[], None] = lambda: None
        self._nodes: dict[str, Certificate] = {}
        self._operators: dict[str, Certificate] = {}
        self._keys: Mapping[bytes, Certificate] = {}
        self._vouched: dict[tuple[bytes, str, str, int, str, str], bool] = {}
        self.revocations = Revocations()
        self._places: dict[tuple[str, int], str] = {}
        self._lock = threading.Lock()
        self._keep(mine.certificate)

    def learn(self, packed: bytes) -> bool:
        """Takes in a certificate, if it is one, and newer than what is known."""
        if len(packed) != PACKED_BYTES or any(each.pack() == packed for each in self._same(packed)):
            return False
        certificate = read(packed, self.mine.verify_key)
        if certificate is None or certificate.node == self.mine.node:
            return False
        with self._lock:
            kept = self._keep(certificate)
        if kept:
            self.changed()
        return kept

    def _same(self, packed: bytes) -> list[Certificate]:
        """The one that is known of whom these bytes name."""
        node = packed[1:17].hex()
        return [each for table in (self._nodes, self._operators) if (each := table.get(node)) is not None]

    def _keep(self, certificate: Certificate) -> bool:
        table, most = (self._operators, OPERATORS_MAX) if certificate.kind == OPERATOR else (self._nodes, NODES_MAX)
        known = table.pop(certificate.node, None)
        if known is not None and known.issue > certificate.issue:
            table[certificate.node] = known
            return False
        if len(table) >= most:
            oldest = next(each for each in table if each != self.mine.node)
            del table[oldest]
        table[certificate.node] = certificate
        self._keys = {each.curve: each for each in (*self._nodes.values(), *self._operators.values())}
        self.version += 1
        return True

    def public(self, node: str) -> bytes | None:
        """The CURVE key of a node's control socket."""
        known = self._nodes.get(node)
        return known.public if known is not None and not self.is_shut_out(known) else None

    def admits(self, curve: bytes) -> bool | None:
        """Whether the holder of this key (raw) may connect."""
        known = self._keys.get(curve)
        return None if known is None else not self.is_shut_out(known)

    def shut_out(self, revocations: Revocations) -> list[Certificate]:
        """From now on this list counts; whom it shuts out that the one before did not."""
        known = [*self._nodes.values(), *self._operators.values()]
        before = {each.curve for each in known if self.is_shut_out(each)}
        with self._lock:
            self.revocations = revocations
            self.version += 1
        return [each for each in known if self.is_shut_out(each) and each.curve not in before]

    def is_shut_out(self, certificate: Certificate) -> bool:
        """Whether a certificate is worth nothing any more. Never this node's own, to itself."""
        last = self.revocations.shut_out.get(certificate.node, 0)
        return certificate.issue <= last and certificate != self.mine.certificate

    @property
    def am_shut_out(self) -> bool:
        """Whether the others are told to let this node in no more."""
        mine = self.mine.certificate
        return mine.issue <= self.revocations.shut_out.get(mine.node, 0)

    def certificates(self) -> list[Certificate]:
        """Of all nodes, this one's first."""
        return [self.mine.certificate, *(each for each in self._nodes.values() if each.node != self.mine.node)]

    def commands(self) -> list[Certificate]:
        """Of commands that the whole key vouched for, the latest last."""
        return list(self._operators.values())

    def showed(self, address: str, port: int, node: str) -> None:
        """A node has shown its certificate from there."""
        if len(self._places) >= NODES_MAX:
            self._places.pop(next(iter(self._places)))
        self._places[address, port] = node

    def who_showed(self, address: str, port: int) -> str | None:
        """Which node has shown its certificate from there last."""
        return self._places.get((address, port))

    def publics(self) -> frozenset[str]:
        """The keys of all nodes and commands, for the guards of role processes (Z85)."""
        return frozenset(each.public.decode() for each in self._keys.values() if not self.is_shut_out(each))

    def packed(self) -> list[bytes]:
        """The certificates of all nodes, to keep on disk."""
        return [each.pack() for each in self._nodes.values()]

    def is_vouched(self, node: str, claim: Claim) -> bool:
        """Whether the node itself vouched for the key in a claim of its own. Asked again and again of the same, it is found out once."""
        known = self._nodes.get(node)
        if known is None or self.is_shut_out(known):
            return False
        words = (node, claim.instance, claim.generation, claim.key, claim.vouch)
        asked = (known.signing, *words)  # a node that was let in anew has another: what the one before signed is worth nothing
        found = self._vouched.get(asked)
        if found is None:
            if len(self._vouched) >= VOUCHED_MAX:
                self._vouched.clear()
            found = self._vouched[asked] = is_vouched(*asked)
        return found
