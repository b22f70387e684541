"""The wire form of one frame, and nothing else: bytes in, header out, or a WireError.

A frame is one message part:

    topic \\0 | version, sender length, head length | sender | head | padding | the array's own bytes

`sender` (who speaks, at which epoch) is the same bytes for as long as a process holds its role, so both ends keep
it ready-made; `head` holds what differs from frame to frame. One part and not several, because every part of a
message is encrypted, queued and copied for itself: a 100-byte frame in three parts took 1.7 times as long from role
to role as in one. It also lets a reader keep the newest frame only (ZeroMQ keeps one *part*, not one message).

Decided against: pickle (code from the network), a map with names for keys (longer, slower), and naming the array's
bytes inside MessagePack (a copy of six megabytes).
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from struct import Struct
from struct import error as StructError
from typing import Any, NamedTuple

import msgpack

from mesh.core.kind import STREAM_TYPES
from mesh.errors import WireError

VERSION = 1
TOPIC_END = b"\0"  # so that a subscription to "poet.line" does not also take "poet.lines"
FRAME_BYTES_MAX = 64 * 1024 * 1024
HEAD_BYTES_MAX = 1024 * 1024  # texts and events travel in the head
SENDER_BYTES_MAX = 1024
REQUEST_CHARACTERS_MAX = 256
RATE_MAX = 10_000_000
DIMENSIONS_MAX = 8
ALIGN = 8

MUTED, MORE, ARRAY, RUN, CODED = 1, 2, 4, 8, 16  # bits of `flags`; RUN: a list of texts, pieces that came in quick succession
CODINGS = frozenset(("jpeg", "delta"))  # of a picture's bytes, where they are not the array's own

ITEM_BYTES = {
    "|b1": 1, "|u1": 1, "|i1": 1, "<u2": 2, "<i2": 2, "<f2": 2, "<u4": 4, "<i4": 4, "<f4": 4,
    "<u8": 8, "<i8": 8, "<f8": 8, "<c8": 8, "<c16": 16,
}  # fmt: skip
ARRAY_TYPES = frozenset(("image", "audio", "vector"))
_PREFIX = Struct(">BHI")
_PREFIX_BYTES, _unpack_prefix = _PREFIX.size, _PREFIX.unpack_from
_unpack, _new = msgpack.unpackb, tuple.__new__  # what is called for every frame, without a search for it each time
_REFUSED = (ValueError, TypeError, StructError, OverflowError, IndexError)


class Sender(NamedTuple):
    """Who speaks: the part of a frame that stays the same while a process holds its role."""

    instance: str
    node: str
    epoch: int
    generation: int
    type: str
    rate: int = 0  # samples a second of a sound; 0 where nobody said


class Block(NamedTuple):
    """A plain array: its dtype in numpy's words, its shape, and its bytes in C order."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes | bytearray | memoryview


class Header(NamedTuple):
    """All of a frame but its array. `value` is None and `data_at` the place of the array's bytes when it has one; a list
    of texts for a run of pieces, see `each_piece`."""

    sender: Sender
    number: int
    captured_ns: int
    muted: bool
    value: Any
    request: str | None
    piece: int  # its number within the request
    more: bool
    ended: str | None
    dtype: str
    shape: tuple[int, ...]
    data_at: int
    present_ns: int | None = None  # the room's time at which it is to be shown
    coding: str = ""  # how the array's bytes are packed; "" where they are its own


def encode_sender(sender: Sender) -> bytes:
    """The sender's bytes, made once for each epoch. A rate is left out where there is none, as before there were any."""
    return bytes(msgpack.packb(tuple(sender) if sender.rate else tuple(sender)[:-1]))


def encode(
    topic: bytes, sender: bytes, number: int, captured_ns: int, flags: int, value: Any,
    request: str | None = None, piece: int = 0, ended: str | None = None, present_ns: int | None = None,
) -> bytes:  # fmt: skip
    """A whole frame; `topic` ends with TOPIC_END. For an array, `value` is a Block and its bytes are copied once.

    Raises WireError, in words for the author of the value, when it cannot travel or is too large.
    """
    if flags & ARRAY:
        data = memoryview(value.data)
        if data.nbytes > FRAME_BYTES_MAX:
            raise too_large(data.nbytes, FRAME_BYTES_MAX)
        place = (request, piece, ended, present_ns)
        return b"".join((encode_head(topic, sender, number, captured_ns, flags, value.dtype, value.shape, place), data))
    try:
        if present_ns is not None:
            head = _pack((number, captured_ns, flags, value, request, piece, ended, present_ns))
        elif request is None:
            head = _pack((number, captured_ns, flags, value))
        else:
            head = _pack((number, captured_ns, flags, value, request, piece, ended))
    except _REFUSED as error:
        raise cannot_travel(error) from None
    if len(head) > HEAD_BYTES_MAX:
        raise too_large(len(head), HEAD_BYTES_MAX)
    return b"".join((topic, _PREFIX.pack(VERSION, len(sender), len(head)), sender, head))


def encode_head(
    topic: bytes, sender: bytes, number: int, captured_ns: int, flags: int, dtype: str, shape: tuple[int, ...],
    place: tuple[str | None, int, str | None, int | None] = (None, 0, None, None), coding: str = "",
) -> bytes:  # fmt: skip
    """All of an array's frame but its bytes, which come next: `place` is (request, piece, ended, present_ns), `coding` says
    how the bytes are packed."""
    form = (coding, dtype, shape) if coding else (dtype, shape)
    head = _pack((number, captured_ns, flags | CODED if coding else flags, form, *(place if place[3] is not None else place[:3])))
    before = len(topic) + _PREFIX.size + len(sender) + len(head)
    return b"".join((topic, _PREFIX.pack(VERSION, len(sender), len(head)), sender, head, bytes(-before % ALIGN)))


def plain(value: Any) -> Any:
    """What MessagePack does not know but a person would expect to travel: numpy's numbers and arrays."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"what is of the type {type(value).__name__} is not a plain value")


# Making a packer anew for each frame takes longer than packing.
_pack = msgpack.Packer(default=plain).pack


def cannot_travel(error: Exception) -> WireError:
    """For the author of a value that MessagePack refuses."""
    return WireError(f"this value cannot travel: {error}", instead="send plain numbers, texts, lists and dicts")


def too_large(size_bytes: int, most_bytes: int) -> WireError:
    """For the author of a value that is too large."""
    return WireError(f"{size_bytes} bytes at once, where {most_bytes} is the most", instead="send less at once")


def decode(message: bytes | memoryview, start: int, senders: dict[bytes, Sender]) -> Header:
    """The header of a frame whose topic (with its end) takes `start` bytes.

    `senders` is the reader's memory of senders already understood; it is kept small here.
    Raises WireError, and nothing else, whatever the bytes.
    """
    try:
        version, sender_bytes, head_bytes = _unpack_prefix(message, start)
        if version != VERSION or head_bytes > HEAD_BYTES_MAX:
            raise WireError(f"a frame of version {version} with a head of {head_bytes} bytes")
        at = start + _PREFIX_BYTES
        head_at = at + sender_bytes
        raw = bytes(message[at:head_at])
        sender = senders.get(raw) or _learn_sender(raw, senders)
        data_at = head_at + head_bytes
        head = _unpack(message[head_at:data_at], strict_map_key=False, ext_hook=_no_extension)
        number, captured_ns, flags, value = head[:4]
        if not (type(number) is type(captured_ns) is type(flags) is int) or number < 0:
            raise WireError("a frame whose numbers are not numbers")
        request, piece, ended = head[4:7] if len(head) >= 7 else (None, 0, None)
        if request is not None and not _is_request(request, piece, ended):
            raise WireError("a piece without a proper request and number")
        present_ns = head[7] if len(head) >= 8 else None
        if present_ns is not None and type(present_ns) is not int:
            raise WireError("a frame to be shown at no time that is one")
        dtype = coding = ""
        shape: tuple[int, ...] = ()
        if flags & ARRAY:
            if flags & CODED:
                coding, value = _coding(sender, value), value[1:]
            dtype, shape, data_at = _layout(sender, value, len(message), data_at, coding != "")
            value = None
        else:
            whole = len(message) == data_at
            if flags & RUN:
                _require_run(value, sender.type, whole and request is not None)
            else:
                _require_type(value, sender.type, whole)
            data_at = -1
        more, muted = flags & MORE != 0, flags & MUTED != 0
        return _new(Header, (
            sender, number, captured_ns, muted, value, request, piece, more, ended, dtype, shape, data_at, present_ns, coding,
        ))  # fmt: skip
    except _REFUSED as error:
        raise WireError(f"not a frame: {error}") from None


def _require_type(value: Any, type_: str, whole: bool) -> None:
    if type_ == "text":
        whole = whole and type(value) is str
    elif type_ != "event":
        whole = False
    if not whole:
        raise WireError(f"a frame whose value is not of its type, {type_}")


def _require_run(value: Any, type_: str, whole: bool) -> None:
    if not (whole and type_ == "text" and type(value) is list and value and all(type(each) is str for each in value)):
        raise WireError("a run of pieces that are not texts")


def each_piece(header: Header) -> Iterator[Header]:
    """The frames that a run stands for: one a piece, numbered on from the first; others follow all but, perhaps, the last."""
    last = len(header.value) - 1
    for index, text in enumerate(header.value):
        yield header._replace(
            number=header.number + index, piece=header.piece + index, value=text, more=header.more or index < last,
        )  # fmt: skip


def _coding(sender: Sender, value: Any) -> str:
    if type(value) is not list or len(value) != 3 or value[0] not in CODINGS or value[1] != "|u1" or sender.type != "image":
        raise WireError("a picture packed in no known way")
    return str(value[0])


def _layout(sender: Sender, value: Any, total: int, data_at: int, packed: bool) -> tuple[str, tuple[int, ...], int]:
    """Where the array lies and how to read it; its bytes must be exactly there, or some bytes where they are packed."""
    dtype, shape = value
    item_bytes = ITEM_BYTES.get(dtype) if type(dtype) is str else None
    if item_bytes is None or type(shape) is not list or len(shape) > DIMENSIONS_MAX or sender.type not in ARRAY_TYPES:
        raise WireError("an array of no known form")
    if not all(type(size) is int and 0 <= size <= FRAME_BYTES_MAX for size in shape):
        raise WireError("an array of impossible shape")
    start = data_at + -data_at % ALIGN
    size_bytes = prod(shape) * item_bytes
    if size_bytes > FRAME_BYTES_MAX or (start >= total if packed else start + size_bytes != total):
        raise WireError("an array of another size than its shape says")
    return dtype, tuple(shape), start


def _is_request(request: Any, piece: Any, ended: Any) -> bool:
    return (
        type(request) is str and 0 < len(request) <= REQUEST_CHARACTERS_MAX and type(piece) is int and piece >= 0
        and (ended is None or (type(ended) is str and len(ended) <= 32))
    )  # fmt: skip


def _learn_sender(raw: bytes, senders: dict[bytes, Sender]) -> Sender:
    if len(raw) > SENDER_BYTES_MAX:
        raise WireError("a sender of impossible length")
    instance, node, epoch, generation, type_, *told = msgpack.unpackb(raw, ext_hook=_no_extension)
    rate = told[0] if told else 0
    if not (type(instance) is str and type(node) is str and type(epoch) is int and type(generation) is int):
        raise WireError("a sender that is not one")
    if epoch < 0 or generation < 0 or type_ not in STREAM_TYPES:
        raise WireError("a sender of impossible numbers or type")
    if len(told) > 1 or type(rate) is not int or not 0 <= rate <= RATE_MAX:
        raise WireError("a sender of impossible rate")
    if len(senders) >= 256:
        senders.clear()
    senders[raw] = sender = Sender(instance, node, epoch, generation, type_, rate)
    return sender


def _no_extension(code: int, data: bytes) -> Any:
    raise ValueError(f"extension type {code}")
