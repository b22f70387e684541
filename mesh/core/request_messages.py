"""The wire between one who asks and one who answers, and between one who answers and who follows it: every message, its
fields, its limits.

A request may be sent again at any time (the connection broke, the answer has a hole): it carries how many pieces
its asker holds, and whoever knows it already repeats only what is missing. So neither side needs to know what the
network lost. Each try at another copy has a name of its own, `id`, so that a late voice of an earlier try cannot be
mistaken for this one.

Append only: a number in `KINDS` is never used for something else, and a field is only ever added at the end with a
default.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgpack

from mesh.core.frames import DIMENSIONS_MAX, ITEM_BYTES, Block, cannot_travel, plain, too_large
from mesh.core.kind import STREAM_TYPES
from mesh.errors import WireError

VERSION = 1
MESSAGE_BYTES_MAX = 64 * 1024 * 1024
NAME_CHARACTERS_MAX = 256
MARK_BYTES_MAX = 64 * 1024
LINE_DIGITS, LINE_SECRET_BYTES = 32, 32
RUN_MAX = 1024  # pieces told at once
STATE_BYTES_MAX = 64 * 1024
FOLLOWED_BYTES_MAX = 64 * 1024  # a larger question (a picture) is stale before another copy could go on with it


class Ask(NamedTuple):
    """A request. `generation` is the process it is meant for; `have` counts the pieces of this try held by its asker.

    `utterance` and `so_far` are of an answer that an earlier copy began and could not end: its name on the stream and
    its pieces as (value, mark), for a role that can go on from there. `supersedes`: older ones of its input are stale.
    `node` is the asker's, for whoever has to find out whether it still waits.
    """

    id: str
    instance: str
    generation: int
    input: str
    value: Any
    type: str
    captured_ns: int
    deadline_ms: int
    have: int = 0
    utterance: str | None = None
    so_far: tuple[tuple[Any, bytes], ...] = ()
    supersedes: bool = False
    node: str = ""


class Cancel(NamedTuple):
    """No longer wanted here. `moved`: another copy goes on with it, so its listeners are not told that it ends."""

    id: str
    moved: bool = False


class Accepted(NamedTuple):
    """It stands in the queue, which is now `depth` long; `start` is the number of the first piece to come. `utterance` is
    its name on the stream, where that is not `id`: it goes on with what another copy began."""

    id: str
    depth: int
    start: int
    utterance: str | None = None


class Said(NamedTuple):
    """A piece of the answer, numbered from 0. `mark` is the role's own: where it stood, for whoever goes on."""

    id: str
    piece: int
    value: Any
    mark: bytes = b""


class Run(NamedTuple):
    """Pieces that came in quick succession, as (value, mark); the first is the `piece`th."""

    id: str
    piece: int
    items: tuple[tuple[Any, bytes], ...]

    @property
    def run(self) -> tuple[int, tuple[tuple[Any, bytes], ...]]:
        """(the number of the first, they)."""
        return self.piece, self.items

    def each(self) -> Iterator[Said]:
        """They, one by one."""
        return _each(self.id, *self.run)


def _each(id: str, first: int, items: tuple[tuple[Any, bytes], ...]) -> Iterator[Said]:
    return (Said(id, first + index, value, mark) for index, (value, mark) in enumerate(items))


class Done(NamedTuple):
    """Nothing more comes after so many `pieces`; `ended` is None, "cancelled" or "failed". `last` are the last of them, as
    (value, mark), where they were not told before: a message of their own would wake their asker twice."""

    id: str
    pieces: int
    depth: int
    ended: str | None = None
    last: tuple[tuple[Any, bytes], ...] = ()

    @property
    def run(self) -> tuple[int, tuple[tuple[Any, bytes], ...]]:
        """(the number of the first of the last, they)."""
        return self.pieces - len(self.last), self.last

    def each(self) -> Iterator[Said]:
        """The last, one by one."""
        return _each(self.id, *self.run)


class Refused(NamedTuple):
    """Not here: `why` is "busy", "stopping", "standby", "another process" or "unknown input"."""

    id: str
    why: str
    depth: int


class Kept(NamedTuple):
    """The small state of the instance `id`, for its standby: MessagePack, the `number`th of this `epoch`."""

    id: str
    epoch: int
    number: int
    data: bytes


class Offer(NamedTuple):
    """Let me hear this stream (`topic`, with its end) on a line of my own: the line's name, and this end's secret for it. `aes`: its
    processor has AES, so large parts may be sealed by that."""

    id: str
    topic: bytes
    secret: bytes
    aes: bool = False


class Taken(NamedTuple):
    """Call for the line `id` at this port (0: there is none to be had); with the other end's secret. `aes`: both processors have it."""

    id: str
    port: int
    secret: bytes
    aes: bool = False


Message = Ask | Cancel | Accepted | Said | Run | Done | Refused | Kept | Offer | Taken
KINDS: dict[int, type[Any]] = {1: Ask, 2: Cancel, 3: Accepted, 4: Said, 5: Done, 6: Refused, 7: Kept, 8: Run, 9: Offer, 10: Taken}
_NUMBERS = {kind: number for number, kind in KINDS.items()}
_BLOCK, _PLAIN = 1, 0


def encode(message: Message) -> bytes:
    """One message part. Raises WireError, in words for the author of the value, when the value cannot travel."""
    fields: Any = message
    if type(message) is Ask:
        so_far = [(_wrap(value), mark) for value, mark in message.so_far]
        fields = message._replace(value=_wrap(message.value), so_far=so_far)  # type: ignore[arg-type]
    elif type(message) is Said:
        fields = message._replace(value=_wrap(message.value))
    elif type(message) is Done and message.last:
        fields = message._replace(last=[(_wrap(value), mark) for value, mark in message.last])  # type: ignore[arg-type]
    elif type(message) is Run:
        fields = message._replace(items=[(_wrap(value), mark) for value, mark in message.items])  # type: ignore[arg-type]
    try:
        data = bytes(msgpack.packb((VERSION, _NUMBERS[type(message)], *fields), default=plain))
    except (ValueError, TypeError, OverflowError) as error:
        raise cannot_travel(error) from None
    if len(data) > MESSAGE_BYTES_MAX:
        raise too_large(len(data), MESSAGE_BYTES_MAX)
    return data


def decode(data: bytes) -> Message:
    """The message. Raises WireError, and nothing else, whatever the bytes."""
    try:
        version, number, *fields = msgpack.unpackb(data, strict_map_key=False, ext_hook=_no_extension)
        if version != VERSION or type(number) is not int or number not in KINDS:
            raise WireError(f"a message of version {version}, kind {number}")
        kind = KINDS[number]
        message: Message = kind(*fields[: len(kind._fields)])
        return _checked(message)
    except (ValueError, TypeError, OverflowError) as error:
        raise WireError(f"not a message between roles: {error}") from None


def _checked(message: Message) -> Message:
    """The message with its values unwrapped, every field of the type and range that it is declared to have."""
    _require(_is_name(message.id))
    if isinstance(message, Ask):
        _require(_is_name(message.instance) and _is_name(message.input) and message.type in STREAM_TYPES)
        _require(_is_count(message.generation) and _is_count(message.have) and type(message.captured_ns) is int)
        _require(_is_count(message.deadline_ms) and (message.utterance is None or _is_name(message.utterance)))
        _require(type(message.supersedes) is bool and type(message.node) is str and len(message.node) <= NAME_CHARACTERS_MAX)
        value, so_far = _unwrap(message.value), tuple((_unwrap(value), _mark(mark)) for value, mark in message.so_far)
        _require(message.type != "text" or type(value) is str)
        return message._replace(value=value, so_far=so_far)
    if isinstance(message, Said):
        _require(_is_count(message.piece))
        return message._replace(value=_unwrap(message.value), mark=_mark(message.mark))
    if isinstance(message, Run):
        _require(_is_count(message.piece) and 0 < len(message.items) <= RUN_MAX)
        return message._replace(items=tuple((_unwrap(value), _mark(mark)) for value, mark in message.items))
    if isinstance(message, Cancel):
        _require(type(message.moved) is bool)
    elif isinstance(message, Accepted):
        _require(_is_count(message.depth) and _is_count(message.start))
        _require(message.utterance is None or _is_name(message.utterance))
    elif isinstance(message, Kept):
        _require(_is_count(message.epoch) and _is_count(message.number))
        _require(type(message.data) is bytes and len(message.data) <= STATE_BYTES_MAX)
    elif isinstance(message, Done):
        _require(_is_count(message.pieces) and _is_count(message.depth))
        _require(message.ended in (None, "cancelled", "failed") and len(message.last) <= min(RUN_MAX, message.pieces))
        return message._replace(last=tuple((_unwrap(value), _mark(mark)) for value, mark in message.last))
    elif isinstance(message, Offer):
        _require(_is_line(message.id, message.secret) and type(message.topic) is bytes and len(message.topic) <= NAME_CHARACTERS_MAX * 4)
        _require(type(message.aes) is bool)
    elif isinstance(message, Taken):
        _require(_is_line(message.id, message.secret) and _is_count(message.port) and message.port < 65536)
        _require(type(message.aes) is bool)
    elif isinstance(message, Refused):
        _require(type(message.why) is str and _is_count(message.depth))
    return message


def can_be_followed(ask: Ask) -> bool:
    """Whether others keep it in mind: it names its asker, and is no picture."""
    value = ask.value
    size_bytes = len(value.data) if type(value) is Block else len(value) if isinstance(value, str | bytes) else 0
    return bool(ask.node) and size_bytes <= FOLLOWED_BYTES_MAX


def _require(holds: bool) -> None:
    if not holds:
        raise WireError("a message between roles with a field out of range")


def _is_name(text: object) -> bool:
    return type(text) is str and 0 < len(text) <= NAME_CHARACTERS_MAX


def _is_line(id: str, secret: object) -> bool:
    return len(id) == LINE_DIGITS and set(id) <= set("0123456789abcdef") and type(secret) is bytes and len(secret) == LINE_SECRET_BYTES


def _is_count(number: object) -> bool:
    return type(number) is int and 0 <= number < 2**63


def _mark(mark: Any) -> bytes:
    _require(type(mark) is bytes and len(mark) <= MARK_BYTES_MAX)
    return bytes(mark)


def _wrap(value: Any) -> tuple[Any, ...]:
    if type(value) is Block:
        return (_BLOCK, value.dtype, value.shape, value.data)
    return (_PLAIN, value)


def _unwrap(wrapped: Any) -> Any:
    kind, *rest = wrapped
    if kind == _PLAIN:
        (value,) = rest
        return value
    dtype, shape, data = rest
    item_bytes = ITEM_BYTES.get(dtype, 0) if type(dtype) is str else 0
    _require(kind == _BLOCK and type(data) is bytes and item_bytes > 0)
    _require(type(shape) is list and len(shape) <= DIMENSIONS_MAX and all(_is_count(size) for size in shape))
    size_bytes = item_bytes
    for size in shape:
        size_bytes *= size
    _require(size_bytes == len(data))
    return Block(dtype, tuple(shape), data)


def _no_extension(code: int, data: bytes) -> Any:
    raise ValueError(f"extension type {code}")
