"""Seals what passes on a straight line (`straight`): the same cipher as ZeroMQ's CURVE, with keys that were agreed on under CURVE.

    [4 bytes: how long the box is][box], box after box, in the order in which they were sealed

Each end has a key for each direction, made from a secret of either end's own (BLAKE2b), and counts: the number of a box is its
nonce, so nothing can be left out, repeated or moved without the line being cut. Both secrets were told over a CURVE connection
(`request_messages.Offer`), which proved who is there and is secret for ever after its end (RFC 26); they are used for one line.
XSalsa20 and Poly1305 as in NaCl's secretbox, from the library itself.

Decided against: TLS (certificates of another kind, three times the code on the way of each frame), and a handshake of one's own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mesh.core.frames import HEAD_BYTES_MAX
from mesh.core.request_messages import LINE_SECRET_BYTES as SECRET_BYTES
from mesh.errors import WireError

if TYPE_CHECKING:
    from collections.abc import Callable

LENGTH_BYTES, MAC_BYTES, NONCE_BYTES = 4, 16, 24
BOX_BYTES_MAX = HEAD_BYTES_MAX + 64 * 1024


def keys(readers: bytes, writers: bytes, id: bytes) -> tuple[bytes, bytes]:
    """The key of what the reader says, and of what the writer says. Raises WireError for secrets that are none."""
    if len(readers) != SECRET_BYTES or len(writers) != SECRET_BYTES:
        raise WireError("a secret of another length")
    whole = hashlib.blake2b(id + writers, key=readers, digest_size=2 * SECRET_BYTES, person=b"roomful-line").digest()
    return whole[:SECRET_BYTES], whole[SECRET_BYTES:]


class Seal:
    """One direction's sealing end."""

    __slots__ = ("_box", "_key", "_number")

    def __init__(self, key: bytes) -> None:
        from nacl.bindings import crypto_secretbox  # 10 ms, which roles on one machine need not wait for

        self._box: Callable[[bytes, bytes, bytes], bytes] = crypto_secretbox
        self._key = key
        self._number = 0

    def seal(self, data: bytes) -> bytes:
        """The next box, with its length before it."""
        box = self._box(data, self._number.to_bytes(NONCE_BYTES), self._key)
        self._number += 1
        return len(box).to_bytes(LENGTH_BYTES) + box


class Opening:
    """The other end: takes bytes as they come, gives what was sealed."""

    __slots__ = ("_key", "_most_bytes", "_number", "_open", "_refused", "_rest")

    def __init__(self, key: bytes, most_bytes: int = BOX_BYTES_MAX) -> None:
        """`most_bytes`: the largest box that is taken."""
        from nacl.bindings import crypto_secretbox_open
        from nacl.exceptions import CryptoError

        self._refused = (CryptoError, ValueError)
        self._open: Callable[[bytes, bytes, bytes], bytes] = crypto_secretbox_open
        self._key = key
        self._most_bytes = most_bytes
        self._number = 0
        self._rest = b""

    def take(self, data: bytes) -> Iterator[bytes]:
        """What is whole by now. Raises WireError where something was not sealed by the other end, or is too large."""
        if self._rest:
            data = self._rest + data
            self._rest = b""
        at, end = 0, len(data)
        while end - at >= LENGTH_BYTES:
            after = at + LENGTH_BYTES + int.from_bytes(data[at : at + LENGTH_BYTES])
            if after - at > self._most_bytes + LENGTH_BYTES:
                raise WireError(f"a box of more than {self._most_bytes} bytes")
            if after > end:
                break
            yield self._opened(data[at + LENGTH_BYTES : after])
            at = after
        self._rest = data[at:]

    def _opened(self, box: bytes) -> bytes:
        try:
            data = self._open(box, self._number.to_bytes(NONCE_BYTES), self._key)
        except self._refused as error:
            raise WireError(f"not sealed by the other end: {error}") from None
        self._number += 1
        return data
