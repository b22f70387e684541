"""Messages to bytes and back: a version byte, a kind byte, MessagePack of the fields in their order.

Any bytes give a message or a `WireError`, never another exception, and nothing is built before the size
is known to be in bounds. Datagrams carry a keyed hash (BLAKE2b, RFC 7693, 16 bytes) in front, since UDP
has no CURVE; a datagram of another installation is told apart from a broken one only by failing it.
Decided against: a schema language. The dataclasses are the schema, pydantic checks them strictly. What can be found out about
a kind once is: an agent codes a hundred messages a second while nothing happens.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import MISSING, fields
from operator import attrgetter
from typing import Any, NamedTuple, get_type_hints

import msgpack
from pydantic import TypeAdapter, ValidationError

from mesh.core.messages import (
    CONTROL_BYTES_MAX,
    DATAGRAM_BYTES_MAX,
    KINDS,
    MEMBERS_MAX,
    PROTOCOL,
    Answer,
    Beat,
    Call,
    Claim,
    Hello,
    Message,
    NodeRecord,
    NodeState,
    Order,
    Signed,
    State,
)
from mesh.errors import WireError

SEAL_BYTES = 16
DEPTH_MAX = 32
_FREE = (State, Call, Answer)  # the kinds with a field of any form
_NUMBERS = {kind: number for number, kind in KINDS.items()}
BEAT_MARK = (SEAL_BYTES, bytes((PROTOCOL, _NUMBERS[Beat])))  # (where, what): a sealed heartbeat is told by these bytes in clear


def encode(message: Message) -> bytes:
    """The bytes of one message. Raises WireError when it would exceed CONTROL_BYTES_MAX."""
    body: bytes = msgpack.packb(_row(message), use_bin_type=True, default=_plain)
    if len(body) > CONTROL_BYTES_MAX:
        raise WireError(f"a {type(message).__name__} of {len(body)} bytes exceeds {CONTROL_BYTES_MAX}")
    return bytes((PROTOCOL, _NUMBERS[type(message)])) + body


def decode(data: bytes) -> Message:
    """One message from its bytes. Raises WireError for anything else, and nothing but WireError."""
    if len(data) < 2 or len(data) > CONTROL_BYTES_MAX + 2:
        raise WireError(f"{len(data)} bytes are no message: from 2 to {CONTROL_BYTES_MAX + 2} are")
    if data[0] != PROTOCOL:  # said to a technician, as the next fault of a datagram is
        raise WireError(f"it speaks protocol version {data[0]}, this room {PROTOCOL}: install the same version of Roomful on both")
    kind = KINDS.get(data[1])
    if kind is None:
        raise WireError(f"no message has the number {data[1]}")
    try:
        values = msgpack.unpackb(data[2:], raw=False, use_list=False, strict_map_key=False)
    except (ValueError, TypeError, RecursionError, OverflowError, msgpack.UnpackException) as fault:
        raise WireError(f"a {kind.__name__} is not MessagePack: {fault}") from None
    if kind in _FREE and not _is_shallow(values):
        raise WireError(f"a {kind.__name__} is nested more than {DEPTH_MAX} deep")
    message: Message = _build(kind, values)
    return message


def _is_shallow(values: Any) -> bool:
    """Whether it can be taken apart by functions that call themselves, here and wherever it is told on."""
    level = [values]
    for _ in range(DEPTH_MAX):
        holders = [each.values() if isinstance(each, dict) else each for each in level if isinstance(each, (tuple, dict))]
        level = [inner for each in holders for inner in each]
        if not level:
            return True
    return False


def seal(message: Message, key: bytes) -> bytes:
    """A datagram: keyed hash, then the message. Raises WireError above DATAGRAM_BYTES_MAX."""
    body = encode(message)
    if len(body) + SEAL_BYTES > DATAGRAM_BYTES_MAX:
        raise WireError(f"a {type(message).__name__} of {len(body)} bytes does not fit a datagram")
    return _mac(body, key) + body


def unseal(data: bytes, key: bytes) -> Message:
    """The message of a datagram. Raises WireError when the key does not match or the bytes are no message."""
    if len(data) > DATAGRAM_BYTES_MAX or len(data) < SEAL_BYTES + 2:
        raise WireError(f"{len(data)} bytes are no datagram of ours")
    body = data[SEAL_BYTES:]
    if not hmac.compare_digest(data[:SEAL_BYTES], _mac(body, key)):
        raise WireError("a datagram with another key: another installation, or a stranger")
    return decode(body)


def _mac(body: bytes, key: bytes) -> bytes:
    return hashlib.blake2b(body, key=key, digest_size=SEAL_BYTES, person=b"roomful-beat").digest()


def _row(message: Any) -> tuple[Any, ...]:
    """The fields of a message in their order, as they are."""
    shape = _SHAPES[type(message)]
    found = shape.read(message)
    return found if len(shape.names) > 1 else (found,)


def _plain(value: Any) -> Any:
    """What MessagePack does not know: a message inside a message, or a set."""
    return _row(value) if type(value) in _SHAPES else list(value)


# Fields that hold messages themselves: {kind: {field: (kind inside, whether many)}}.
_NESTED: dict[type[Any], dict[str, tuple[type[Any], bool]]] = {
    Hello: {"record": (NodeRecord, False), "known": (NodeRecord, True)},
    State: {"state": (NodeState, False)},
    NodeState: {"order": (Order, False), "claims": (Claim, True), "offered": (Signed, False), "ordered": (Signed, False)},
}


class _Shape(NamedTuple):
    """The names of a kind's fields and what reads them, what checks them as one tuple, and which of them hold messages."""

    names: tuple[str, ...]
    read: Callable[[Any], Any]
    check: Callable[..., tuple[Any, ...]]
    nested: dict[str, tuple[type[Any], bool]]


def _shape(kind: type[Any]) -> _Shape:
    hints = get_type_hints(kind, include_extras=True)
    names = tuple(each.name for each in fields(kind))
    row: Any = tuple.__class_getitem__(tuple(hints[name] for name in names))
    adapter: TypeAdapter[Any] = TypeAdapter(row)
    return _Shape(names, attrgetter(*names), adapter.validator.validate_python, _NESTED.get(kind, {}))


_SHAPES = {kind: _shape(kind) for kind in (*KINDS.values(), *(inner for each in _NESTED.values() for inner, _ in each.values()))}


def _build(kind: type[Any], values: Any) -> Any:
    """Fields travel by position. A later version's further fields are left out, an earlier one's missing ones take defaults."""
    if not isinstance(values, tuple):
        raise WireError(f"a {kind.__name__} is not a list of fields")
    shape = _SHAPES[kind]
    if shape.nested or len(values) != len(shape.names):
        values = _completed(kind, shape, values)
    try:
        return kind(*shape.check(values, strict=True))
    except (ValidationError, ValueError, TypeError, RecursionError) as fault:
        reason = fault.errors(include_url=False)[0]["msg"] if isinstance(fault, ValidationError) else fault
        raise WireError(f"a broken {kind.__name__}: {reason}") from None


def _completed(kind: type[Any], shape: _Shape, values: tuple[Any, ...]) -> tuple[Any, ...]:
    row = list(values[: len(shape.names)])
    for index, name in enumerate(shape.names[: len(row)]):
        if name in shape.nested:
            row[index] = _build_inner(shape.nested[name], row[index])
    return (*row, *(_default(kind, each) for each in fields(kind)[len(row) :]))


def _build_inner(inner: tuple[type[Any], bool], value: Any) -> Any:
    kind, many = inner
    if not many:
        return _build(kind, value)
    if not isinstance(value, tuple) or len(value) > MEMBERS_MAX * 4:
        raise WireError(f"not a bounded list of {kind.__name__}")
    return tuple(_build(kind, each) for each in value)


def _default(kind: type[Any], field: Any) -> Any:
    if field.default is not MISSING:
        return field.default
    if field.default_factory is not MISSING:
        return field.default_factory()
    raise WireError(f"a {kind.__name__} without its {field.name}")
