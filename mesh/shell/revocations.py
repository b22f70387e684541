"""Who is shut out: the owner's signed list, which every node keeps, tells onward, and obeys at once.

    revocations = sign(key, number, {node: issue})     by whoever holds the whole key (`roomful key revoke`)
    read(signed, verify_key) -> Revocations | None
    keys = GroupKeys(room_key);  keys.seal(message, now);  keys.unseal(data, now);  keys.adopt(revocations, group_key, now)

An entry names a node and the last of its certificates that counts no more, so that the machine can be let in again with
another. The list with the higher number stands; of two of one number (two owners at one moment) the same one on every
node, and the other's entry must be made again. It carries the hash of the key that the rest share from then on: without
that, a machine that was shut out could still speak in datagrams, which no handshake precedes. The key itself is told over
the encrypted lines to those who are still in; one that was off hears of it when it is back. For a second a node goes on
speaking under the key before, and for three it understands it, so that nobody seems silent who is only late to hear. But of a
machine that has been heard under the new key nothing is believed under the old one any more: so a machine that was shut out can
pass for another in datagrams for that first second only, for three where the other is silent. Decided against: no time at all
(whoever hears of the list late would seem dead), and a key for each pair of machines (each beat would be sealed once for each listener,
for the sake of a second).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgpack

from mesh.core.codec import seal, unseal
from mesh.core.messages import Ack, Message
from mesh.errors import WireError
from mesh.shell.keys import InstallationKey, first_group_key, verify

SHUT_OUT_MAX = 1024
SIGNED_BYTES_MAX = 100_000
SPEAKS_S, UNDERSTANDS_S = 1.0, 3.0
TURNED_MAX = 1024
_PURPOSE, _SIGNATURE_BYTES = b"roomful-shut-out-1", 64


@dataclass(frozen=True, slots=True)
class Revocations:
    """`shut_out`: node -> its certificates up to this one are worth nothing. `signed` is the whole, as it travels."""

    number: int = 0
    shut_out: Mapping[str, int] = field(default_factory=dict)
    group_hash: bytes = b""
    signed: bytes = b""

    def above(self, other: Revocations) -> bool:
        """Whether this one stands where both are known."""
        return (self.number, self.signed) > (other.number, other.signed)

    def opens(self, group_key: bytes) -> bool:
        """Whether that is the key that the list speaks of."""
        return hmac.compare_digest(self.group_hash, _hash(group_key))


def sign(key: InstallationKey, number: int, shut_out: Mapping[str, int]) -> Revocations:
    """The owner's word. `number` must be above every list that is known."""
    group_hash = _hash(key.group_key(number))
    body: bytes = msgpack.packb([number, sorted(shut_out.items()), group_hash])
    return Revocations(number, dict(shut_out), group_hash, key.sign(_PURPOSE + body) + body)


def read(signed: bytes, verify_key: bytes) -> Revocations | None:
    """The list, if the owner of `verify_key` signed it."""
    signature, body = signed[:_SIGNATURE_BYTES], signed[_SIGNATURE_BYTES:]
    if len(signed) > SIGNED_BYTES_MAX or not verify(verify_key, _PURPOSE + body, signature):
        return None
    number, rows, group_hash = msgpack.unpackb(body)
    return Revocations(number, {node: issue for node, issue in rows}, group_hash, signed)


class GroupKeys:
    """What the datagrams of those who are in are sealed with."""

    def __init__(self, room_key: bytes) -> None:
        self.current = first_group_key(room_key)
        self._before = b""
        self._since_s = float("-inf")
        self._turned: set[str] = set()  # who has spoken under the current key while the one before was understood

    def adopt(self, group_key: bytes, now: float) -> None:
        """The key of a list that has just been heard, or was read from the disk at the start."""
        if group_key != self.current:
            self._before, self.current, self._since_s = self.current, group_key, now
            self._turned = set()

    def seal(self, message: Message, now: float) -> bytes:
        """As `codec.seal`."""
        late = self._before and now < self._since_s + SPEAKS_S
        return seal(message, self._before if late else self.current)

    def unseal(self, data: bytes, now: float) -> Message:
        """As `codec.unseal`."""
        changing = bool(self._before) and now < self._since_s + UNDERSTANDS_S
        try:
            message = unseal(data, self.current)
        except WireError:
            if not changing:
                raise
        else:
            if changing and len(self._turned) < TURNED_MAX:
                self._turned.add(speaker(message))
            return message
        message = unseal(data, self._before)
        if speaker(message) in self._turned:
            raise WireError("a datagram with the key from before somebody was shut out, of one who has the new key")
        return message


def speaker(message: Message) -> str:
    """Of which node this is the word; "" of none. A helper hands an answer on as it is."""
    return message.target if isinstance(message, Ack) else getattr(message, "node", "")


def _hash(group_key: bytes) -> bytes:
    return hashlib.blake2b(group_key, person=b"roomful-group", digest_size=32).digest()
