"""Bytes to messages: nothing but a message or a WireError, whatever comes."""

from __future__ import annotations

import contextlib
from dataclasses import fields, replace
from typing import Any, get_args, get_type_hints

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as some

from mesh.core import messages
from mesh.core.codec import SEAL_BYTES, decode, encode, seal, unseal
from mesh.core.messages import (
    CONTROL_BYTES_MAX,
    DATAGRAM_BYTES_MAX,
    KINDS,
    PROTOCOL,
    Ack,
    Answer,
    Beat,
    Call,
    Claim,
    Hello,
    NodeRecord,
    NodeState,
    Order,
    State,
    Verdict,
)
from mesh.errors import WireError
from tests.core.cases import beat, claim, record, said

KEY = b"k" * 32
COUNTS = some.integers(0, 2**63 - 1)
TEXTS = some.text(max_size=40)
NODES = some.text(min_size=1, max_size=40)
RECORDS = some.builds(
    NodeRecord, node=NODES, boot=TEXTS, incarnation=COUNTS, name=TEXTS,
    addresses=some.lists(TEXTS, max_size=4).map(tuple), control_port=some.integers(0, 65535), beat_port=some.integers(0, 65535),
)
CLAIMS = some.builds(Claim, instance=TEXTS, epoch=COUNTS, part=TEXTS, state=TEXTS, pid=COUNTS, provisional=some.booleans())
STATES = some.builds(
    NodeState, version=COUNTS, capabilities=some.dictionaries(TEXTS, some.one_of(COUNTS, TEXTS, some.booleans()), max_size=4),
    revision=some.tuples(COUNTS, TEXTS), order=some.builds(Order, COUNTS, TEXTS, TEXTS), drained=some.booleans(),
    gave_up=some.lists(some.tuples(TEXTS, TEXTS), max_size=3).map(tuple), claims=some.lists(CLAIMS, max_size=4).map(tuple),
    epochs=some.dictionaries(TEXTS, COUNTS, max_size=4),
)
BEATS = some.builds(
    Beat, node=NODES, boot=TEXTS, incarnation=COUNTS, sequence=COUNTS, version=COUNTS,
    ages=some.lists(some.tuples(NODES, COUNTS), max_size=6).map(tuple),
)
HELLOS = some.builds(Hello, record=RECORDS, known=some.lists(RECORDS, max_size=4).map(tuple))
TOLD = some.builds(State, node=NODES, incarnation=COUNTS, state=STATES)


def _simple(kind: type[Any]) -> some.SearchStrategy[Any]:
    """Messages of a kind whose fields are only numbers and names."""
    hints = get_type_hints(kind)
    return some.builds(kind, **{each.name: COUNTS if hints[each.name] is int else NODES for each in fields(kind)})


ANY = some.one_of(BEATS, HELLOS, TOLD, *(_simple(kind) for kind in (messages.Probe, messages.ProbeFor, Ack, Verdict)))


@given(ANY)
def test_every_message_comes_back_as_it_was(message: Any) -> None:
    assert decode(encode(message)) == message


@given(some.binary(max_size=400))
def test_any_bytes_give_a_message_or_a_wire_error(data: bytes) -> None:
    with contextlib.suppress(WireError):
        decode(data)


@given(some.sampled_from(sorted(KINDS)), some.recursive(
    some.one_of(some.none(), some.booleans(), COUNTS, some.floats(), TEXTS, some.binary(max_size=8)),
    lambda inner: some.one_of(some.lists(inner, max_size=8), some.dictionaries(TEXTS, inner, max_size=3)), max_leaves=30,
))
def test_any_well_formed_values_give_a_message_or_a_wire_error(number: int, values: Any) -> None:
    with contextlib.suppress(WireError):
        decode(bytes((PROTOCOL, number)) + msgpack.packb(values))


@given(ANY, some.data())
def test_a_message_with_one_byte_changed_gives_a_message_or_a_wire_error(message: Any, data: some.DataObject) -> None:
    whole = bytearray(encode(message))
    place = data.draw(some.integers(0, len(whole) - 1))
    whole[place] = data.draw(some.integers(0, 255))
    with contextlib.suppress(WireError):
        decode(bytes(whole))


@given(ANY, some.data())
def test_a_message_cut_short_gives_a_message_or_a_wire_error(message: Any, data: some.DataObject) -> None:
    whole = encode(message)
    with contextlib.suppress(WireError):
        decode(whole[: data.draw(some.integers(0, len(whole) - 1))])


def test_every_kind_has_its_own_number_and_every_message_a_number() -> None:
    assert len(set(KINDS.values())) == len(KINDS)
    assert set(KINDS.values()) == set(get_args(messages.Message))


def test_another_version_is_refused_by_its_number() -> None:
    data = encode(beat("door", 1))
    with pytest.raises(WireError, match=f"version {PROTOCOL + 1}"):
        decode(bytes((PROTOCOL + 1,)) + data[1:])


def test_a_later_versions_further_fields_are_left_out() -> None:
    row = msgpack.unpackb(encode(Verdict("a", "b", 1, 2, "dead"))[2:])
    longer = encode(Verdict("a", "b", 1, 2, "dead"))[:2] + msgpack.packb([*row, "news", 9])
    assert decode(longer) == Verdict("a", "b", 1, 2, "dead")


def test_an_earlier_versions_missing_fields_take_their_defaults() -> None:
    data = encode(Answer("7", {"x": 1}))
    shorter = data[:2] + msgpack.packb(["7"])
    assert decode(shorter) == Answer("7")


def test_a_missing_field_without_a_default_is_a_wire_error() -> None:
    with pytest.raises(WireError, match="without its"):
        decode(encode(beat("door", 1))[:2] + msgpack.packb(["n-door"]))


def test_a_number_where_words_belong_is_refused() -> None:
    with pytest.raises(WireError):
        decode(encode(Call("1", "who"))[:2] + msgpack.packb([1, "who", {}]))


def test_an_oversized_message_is_neither_sent_nor_read() -> None:
    with pytest.raises(WireError, match="exceeds"):
        encode(Answer("1", "x" * (CONTROL_BYTES_MAX + 1)))
    with pytest.raises(WireError, match="no message"):
        decode(bytes(CONTROL_BYTES_MAX + 3))


def test_deep_nesting_is_a_wire_error() -> None:
    with pytest.raises(WireError):
        decode(bytes((PROTOCOL, 20)) + b"\x91" * 5000 + b"\x01")


def test_a_beat_of_a_room_of_any_size_fits_a_datagram() -> None:
    # Given the longest ids that are drawn and as many ages as a beat carries
    ages = tuple((f"{index:032x}", 999_999) for index in range(16))
    full = replace(beat("door", 2**40), node="f" * 32, boot="b" * 8, ages=ages)
    assert len(seal(full, KEY)) <= DATAGRAM_BYTES_MAX


def test_a_message_too_large_for_a_datagram_is_not_sent_as_one() -> None:
    with pytest.raises(WireError, match="does not fit"):
        seal(State("n", 1, said(*(claim(f"role-{index}") for index in range(200)))), KEY)  # type: ignore[arg-type]


def test_a_sealed_datagram_opens_with_its_key_only() -> None:
    sealed = seal(beat("door", 1), KEY)
    assert unseal(sealed, KEY) == beat("door", 1)
    with pytest.raises(WireError, match="another key"):
        unseal(sealed, b"j" * 32)


@given(some.integers(0, 200), some.integers(1, 255))
def test_a_sealed_datagram_with_any_bit_changed_does_not_open(place: int, change: int) -> None:
    sealed = bytearray(seal(beat("door", 1), KEY))
    sealed[place % len(sealed)] ^= change
    with pytest.raises(WireError):
        unseal(bytes(sealed), KEY)


@given(some.binary(max_size=60))
def test_a_strangers_datagram_is_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        unseal(data, KEY)


def test_a_datagram_of_a_wrong_size_is_refused_before_it_is_hashed() -> None:
    for size in (0, SEAL_BYTES + 1, DATAGRAM_BYTES_MAX + 1):
        with pytest.raises(WireError, match="no datagram"):
            unseal(bytes(size), KEY)


def test_a_hello_keeps_the_records_inside_it() -> None:
    hello = Hello(record("door"), (record("shelf"), record("left", incarnation=7)))
    assert decode(encode(hello)) == hello
