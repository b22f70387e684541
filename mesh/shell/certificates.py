"""What the installation's key says of a machine: that these two public keys are its own, and that it is in the room.

    certificate = issue(key, node, curve, signing, number)    by whoever holds the whole key, once for each machine
    certificate.pack() -> bytes                                149 bytes, which prove themselves
    read(packed, verify_key) -> Certificate | None             None for all that the key's owner did not sign
    vouch(seed, instance…), is_vouched(…)                      a node's word for the key pair of one process of its own

A fixed form of bytes rather than X.509: there is one issuer, one kind of holder, and nothing to expire (a gallery's
clocks cannot be trusted, so a machine is shut out by a list and not by a date). A certificate holds no name: names
change, and mDNS shows nothing that says more of the work than its hash.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from nacl.signing import SigningKey
from zmq.utils import z85

from mesh.shell.keys import InstallationKey, verify

NODE, OPERATOR, OWNER = 0, 1, 2  # a machine's node; a command, for as long as it runs; a node whose machine keeps the whole key
_FORM = struct.Struct(">B16s32s32sI")
_SIGNATURE_BYTES = 64
PACKED_BYTES = _FORM.size + _SIGNATURE_BYTES
_PURPOSE, _VOUCH = b"roomful-certificate-1", b"roomful-instance-1"


@dataclass(frozen=True, slots=True)
class Certificate:
    """`node` 32 hex digits; `curve` and `signing` 32 bytes each; `issue` counts the certificates of one node from 1."""

    kind: int
    node: str
    curve: bytes
    signing: bytes
    issue: int
    signature: bytes = b""

    def body(self) -> bytes:
        """What is signed."""
        return _FORM.pack(self.kind, bytes.fromhex(self.node), self.curve, self.signing, self.issue)

    def pack(self) -> bytes:
        """As it travels."""
        return self.body() + self.signature

    @property
    def public(self) -> bytes:
        """The CURVE key as ZeroMQ takes it (Z85)."""
        return z85.encode(self.curve)


def issue(key: InstallationKey, node: str, curve: bytes, signing: bytes, number: int, kind: int = NODE) -> Certificate:
    """Vouches for a node's public keys. `curve` is raw, not Z85."""
    body = Certificate(kind, node, curve, signing, number).body()
    return Certificate(kind, node, curve, signing, number, key.sign(_PURPOSE + body))


def read(packed: bytes, verify_key: bytes) -> Certificate | None:
    """The certificate, if the owner of `verify_key` signed it."""
    if len(packed) != PACKED_BYTES:
        return None
    body, signature = packed[: _FORM.size], packed[_FORM.size :]
    kind, node, curve, signing, number = _FORM.unpack(body)
    if kind not in (NODE, OPERATOR, OWNER) or not verify(verify_key, _PURPOSE + body, signature):
        return None
    return Certificate(kind, node.hex(), curve, signing, number, signature)


def vouch(seed: bytes, node: str, instance: str, generation: int, public: str) -> str:
    """A node's signature under the key of one of its processes (Z85)."""
    return z85.encode(bytes(SigningKey(seed).sign(_said(node, instance, generation, public)).signature)).decode()


def is_vouched(signing: bytes, node: str, instance: str, generation: int, public: str, signature: str) -> bool:
    """Whether the node with this signing key vouched for just that."""
    try:
        raw = z85.decode(signature.encode())
        return len(z85.decode(public.encode())) == 32 and verify(signing, _said(node, instance, generation, public), raw)
    except (ValueError, KeyError, struct.error):
        return False


def _said(node: str, instance: str, generation: int, public: str) -> bytes:
    return b"\0".join((_VOUCH, node.encode(), instance.encode(), str(generation).encode(), public.encode()))
