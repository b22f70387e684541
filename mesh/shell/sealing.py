"""Seals what passes on a straight line (`straight`): the same cipher as ZeroMQ's CURVE, with keys that were agreed on under CURVE.

    [4 bytes: how long the box is][box], box after box, in the order in which they were sealed

Each end has a key for each direction, made from a secret of either end's own (BLAKE2b), and counts: the number of a box is its
nonce, so nothing can be left out, repeated or moved without the line being cut. Both secrets were told over a CURVE connection
(`request_messages.Offer`), which proved who is there and is secret for ever after its end (RFC 26); they are used for one line.
XSalsa20 and Poly1305 as in NaCl's secretbox, from the library itself.

Pictures (`freight`) go in large parts with a key and a count of their own (`Parts`): both ends know how long each is; it is sealed from
where a picture lies and opened to where it shall lie. Where the processors at both ends have AES, by AES-256-GCM, which there takes a
quarter of the time; elsewhere as above. Both are what libsodium offers for this; PyNaCl's wrappings would copy what they are given twice.

Decided against: TLS (certificates of another kind, three times the code on the way of each frame), and a handshake of one's own.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mesh.core.frames import HEAD_BYTES_MAX
from mesh.core.request_messages import LINE_SECRET_BYTES as SECRET_BYTES
from mesh.errors import WireError

if TYPE_CHECKING:
    from collections.abc import Callable

LENGTH_BYTES, MAC_BYTES, NONCE_BYTES = 4, 16, 24
AES_NONCE_BYTES = 12
WITHOUT_AES = "ROOMFUL_WITHOUT_AES"  # set in a process's surroundings: it seals everything with CURVE's own cipher, to be measured so
BOX_BYTES_MAX = HEAD_BYTES_MAX + 64 * 1024


Place = bytearray | memoryview


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


def has_aes() -> bool:
    """Whether this processor seals by AES."""
    return WITHOUT_AES not in os.environ and bool(_sodium()[1].crypto_aead_aes256gcm_is_available())


class Parts:
    """One direction of what is sealed in large parts: either its sealing or its opening end. Other threads go on meanwhile."""

    __slots__ = ("_aes", "_ffi", "_key", "_number", "_sodium")

    def __init__(self, key: bytes, aes: bool) -> None:
        """`key`: of this direction of the line; the parts have another, made of it."""
        self._ffi, self._sodium = _sodium()
        self._key = hashlib.blake2b(key=key, digest_size=SECRET_BYTES, person=b"roomful-parts").digest()
        self._aes = aes
        self._number = 0

    def seal(self, target: Place, data: bytes | Place, size: int) -> None:
        """The next part, of `size` bytes, to where it is told; it takes MAC_BYTES more."""
        to, of, number = self._bytes(target), self._bytes(data), self._next()
        none, sodium = self._ffi.NULL, self._sodium
        if self._aes:
            sodium.crypto_aead_aes256gcm_encrypt(to, none, of, size, none, 0, none, number, self._key)
        else:
            sodium.crypto_secretbox_easy(to, of, size, number, self._key)

    def open(self, target: Place, box: bytes | Place, size: int) -> None:
        """The next part, of `size` bytes when it is open, to where it is told. Raises WireError where the other end did not seal it."""
        to, of, number, whole = self._bytes(target), self._bytes(box), self._next(), size + MAC_BYTES
        none, sodium = self._ffi.NULL, self._sodium
        if self._aes:
            failed = sodium.crypto_aead_aes256gcm_decrypt(to, none, none, of, whole, none, 0, number, self._key)
        else:
            failed = sodium.crypto_secretbox_open_easy(to, of, whole, number, self._key)
        if failed:
            raise WireError("a part that was not sealed by the other end")

    def _bytes(self, data: Any) -> Any:
        return self._ffi.from_buffer("unsigned char[]", data)

    def _next(self) -> bytes:
        self._number += 1
        return self._number.to_bytes(AES_NONCE_BYTES if self._aes else NONCE_BYTES)


def _sodium() -> tuple[Any, Any]:
    import nacl.bindings  # noqa: F401 - which makes the library find out what the processor can
    from nacl._sodium import ffi, lib  # type: ignore[import-not-found]

    return ffi, lib
