"""What travels on the lines over which revisions are fetched: a small head, and for some a body of bytes beside it.

    "have" hash               -> "has" hash bits           which chunks of that revision are there
    "manifest" hash           -> "manifest" hash + body
    "chunk" hash number        -> "chunk" hash number bits + body
    "put" hash number + body   -> "took" hash number bits     into a revision that is expected; -1: the manifest
    anything that cannot be had -> "no" hash number words

Strictly read: any bytes give a parcel or a WireError. Kept apart from `messages.py`, since these never meet the control plane.
"""

from __future__ import annotations

from typing import NamedTuple

import msgpack

from mesh.core.manifest import is_hash
from mesh.errors import WireError

HEAD_BYTES_MAX = 300_000  # the bits of two million chunks
KINDS = ("have", "has", "manifest", "chunk", "put", "took", "no")
WORDS_MAX = 500
MANIFEST_NUMBER = -1


class Parcel(NamedTuple):
    """The head of one message. `bits`: chunks that the sender has, as a number; `words`: why not, for a person."""

    kind: str
    revision: str
    number: int = 0
    bits: int = 0
    words: str = ""


def encode(parcel: Parcel) -> bytes:
    """The bytes of a head."""
    bits = parcel.bits.to_bytes(-(-parcel.bits.bit_length() // 8), "little")
    packed: bytes = msgpack.packb([parcel.kind, parcel.revision, parcel.number, bits, parcel.words[:WORDS_MAX]], use_bin_type=True)
    return packed


def decode(data: bytes) -> Parcel:
    """The head in these bytes. Raises WireError for anything else, and nothing but WireError."""
    if len(data) > HEAD_BYTES_MAX:
        raise WireError(f"a head of {len(data)} bytes exceeds {HEAD_BYTES_MAX}")
    try:
        kind, revision, number, bits, words = msgpack.unpackb(data, raw=False, use_list=True, max_array_len=8, max_map_len=0)
    except (ValueError, TypeError, RecursionError, OverflowError, msgpack.UnpackException) as fault:
        raise WireError(f"not a parcel: {fault}") from None
    whole = isinstance(number, int) and not isinstance(number, bool) and -1 <= number < 1 << 31
    if kind not in KINDS or not is_hash(revision) or not whole or not isinstance(bits, bytes) or not isinstance(words, str):
        raise WireError("not a parcel: a field is not what it should be")
    return Parcel(kind, revision, number, int.from_bytes(bits, "little"), words[:WORDS_MAX])
