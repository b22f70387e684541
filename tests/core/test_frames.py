"""Frames on the wire: what is sent arrives, and no bytes whatever do harm."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as some

from mesh.core import frames
from mesh.core.frames import ARRAY, ITEM_BYTES, MORE, MUTED, Block, Sender
from mesh.errors import WireError

TOPIC = b"poet.line\0"
SENDER = Sender("poet/1", "node-a", 3, 2, "event")
plain_values = some.recursive(
    some.none() | some.booleans() | some.integers(-(2**63), 2**64 - 1) | some.floats(allow_nan=False) | some.text() | some.binary(),
    lambda inner: some.lists(inner) | some.dictionaries(some.text() | some.integers(0, 9), inner),
    max_leaves=20,
)


def sent(value: object, type_: str = "event", flags: int = 0, **more: object) -> bytes:
    sender = frames.encode_sender(SENDER._replace(type=type_))
    return frames.encode(TOPIC, sender, 7, 1_000_000_007, flags, value, **more)


def received(message: bytes) -> frames.Header:
    return frames.decode(message, len(TOPIC), {})


@given(plain_values)
def test_every_plain_value_arrives_equal(value: object) -> None:
    header = received(sent(value))
    assert header.value == value
    assert (header.number, header.captured_ns, header.sender) == (7, 1_000_000_007, SENDER)
    assert (header.muted, header.more, header.request, header.ended) == (False, False, None, None)


@given(some.integers(0, frames.RATE_MAX))
def test_a_sound_says_its_rate_and_one_that_does_not_is_as_it_was_before_there_were_rates(rate: int) -> None:
    told = frames.encode_sender(SENDER._replace(type="audio", rate=rate))
    header = received(frames.encode(TOPIC, told, 7, 0, ARRAY, Block("<f4", (2, 1), bytes(8))))
    assert header.sender.rate == rate
    if not rate:
        assert told == msgpack.packb(("poet/1", "node-a", 3, 2, "audio"))


@pytest.mark.parametrize("told", [[-1], [2**40], ["fast"], [1.5], [16000, 1]])
def test_a_rate_that_is_none_is_refused(told: list[object]) -> None:
    sender = msgpack.packb(["poet/1", "node-a", 3, 2, "audio", *told])
    with pytest.raises(WireError):
        received(frames.encode(TOPIC, sender, 7, 0, ARRAY, Block("<f4", (2, 1), bytes(8))))


@given(some.text(), some.integers(0, 2**31), some.booleans(), some.booleans(), some.sampled_from([None, "cancelled", "failed"]))
def test_a_piece_of_a_text_arrives_with_its_place(text: str, piece: int, muted: bool, more: bool, ended: str | None) -> None:
    flags = MUTED * muted | MORE * more
    header = received(sent(text, "text", flags, request="mood:1:1.4", piece=piece, ended=ended))
    assert (header.value, header.muted, header.more) == (text, muted, more)
    assert (header.request, header.piece, header.ended) == ("mood:1:1.4", piece, ended)


@given(some.sampled_from(sorted(ITEM_BYTES)), some.lists(some.integers(0, 5), max_size=4).map(tuple))
def test_an_array_arrives_with_its_form_and_aligned(dtype: str, shape: tuple[int, ...]) -> None:
    size = ITEM_BYTES[dtype]
    for length in shape:
        size *= length
    data = bytes(index % 251 for index in range(size))
    message = sent(Block(dtype, shape, data), "vector", ARRAY)
    header = received(message)
    assert (header.dtype, header.shape, message[header.data_at :]) == (dtype, shape, data)
    assert header.data_at % frames.ALIGN == 0
    assert header.value is None


@given(some.integers(0, 2**62), some.sampled_from([None, "mood:1:1.4"]))
def test_a_frame_arrives_with_the_time_at_which_it_is_to_be_shown(present_ns: int, request: str | None) -> None:
    assert received(sent({"a": 1}, request=request, present_ns=present_ns)).present_ns == present_ns
    assert received(sent(Block("<f4", (2,), bytes(8)), "vector", ARRAY, present_ns=present_ns)).present_ns == present_ns
    assert received(sent({"a": 1}, request=request)).present_ns is None


def test_a_sender_is_understood_once() -> None:
    known: dict[bytes, Sender] = {}
    first = frames.decode(sent(1), len(TOPIC), known)
    second = frames.decode(sent(2), len(TOPIC), known)
    assert first.sender is second.sender


def test_a_thousand_senders_do_not_grow_the_memory_of_a_reader() -> None:
    known: dict[bytes, Sender] = {}
    for number in range(1000):
        sender = frames.encode_sender(SENDER._replace(instance=f"stranger/{number}"))
        frames.decode(frames.encode(TOPIC, sender, 0, 0, 0, 1), len(TOPIC), known)
    assert len(known) <= 256


@given(some.binary(max_size=300), some.integers(0, 20))
def test_any_bytes_give_a_header_or_a_wire_error(data: bytes, start: int) -> None:
    try:
        frames.decode(data, start, {})
    except WireError:
        return


@given(some.data())
def test_a_frame_with_any_bytes_changed_gives_a_header_or_a_wire_error(data: some.DataObject) -> None:
    whole = data.draw(
        some.sampled_from([
            sent({"a": [1, 2]}), sent("text", "text", MORE, request="r", piece=3),
            sent(Block("<f4", (2, 3), bytes(24)), "vector", ARRAY),
        ])
    )  # fmt: skip
    changed = bytearray(whole)
    for _ in range(data.draw(some.integers(1, 4))):
        changed[data.draw(some.integers(0, len(whole) - 1))] = data.draw(some.integers(0, 255))
    cut = data.draw(some.integers(0, len(whole)))
    for message in (bytes(changed), whole[:cut], whole + b"more", memoryview(changed)):
        try:
            frames.decode(message, len(TOPIC), {})
        except WireError:
            continue


def forged(head: object, type_: str = "event", tail: bytes = b"", version: int = frames.VERSION) -> bytes:
    sender, packed = frames.encode_sender(SENDER._replace(type=type_)), msgpack.packb(head)
    return TOPIC + frames._PREFIX.pack(version, len(sender), len(packed)) + sender + packed + tail


@pytest.mark.parametrize(
    "message",
    [
        forged([0, 0, 0]),
        forged([-1, 0, 0, 1]),
        forged([0, "now", 0, 1]),
        forged([True, 0, 0, 1]),
        forged([0, 0, 0, 1], version=9),
        forged([0, 0, 0, 1], "text"),
        forged([0, 0, 0, "words"], "image"),
        forged([0, 0, 0, "words"], tail=b"behind"),
        forged([0, 0, 0, 1, "", 0, None]),
        forged([0, 0, 0, 1, "r" * 300, 0, None]),
        forged([0, 0, 0, 1, "r", -1, None]),
        forged([0, 0, 0, 1, "r", 0, 5]),
        forged([0, 0, 0, 1, None, 0, None, "soon"]),
        forged([0, 0, 0, 1, None, 0, None, 1.5]),
        forged([0, 0, ARRAY, ["<f4", [2]]], tail=bytes(8)),
        forged([0, 0, ARRAY, ["|O8", [1]]], "vector", bytes(8)),
        forged([0, 0, ARRAY, ["<f4", [2]]], "vector", bytes(800)),
        forged([0, 0, ARRAY, ["<f4", [-2]]], "vector"),
        forged([0, 0, ARRAY, ["<f4", [2**40, 2**40]]], "vector"),
        forged([0, 0, ARRAY, ["<f4", [1] * 9]], "vector", bytes(16)),
        forged([0, 0, ARRAY, ["<f4", 3]], "vector"),
        forged(msgpack.ExtType(5, b"code")),
        forged([0, 0, 0, msgpack.ExtType(5, b"code")]),
    ],
)
def test_a_frame_that_says_what_it_is_not_is_refused(message: bytes) -> None:
    with pytest.raises(WireError):
        frames.decode(message, len(TOPIC), {})


@pytest.mark.parametrize("value", [{1, 2}, object(), 2**70, "\udc80", {"a": {3}}])
def test_a_value_that_cannot_travel_is_refused_in_words(value: object) -> None:
    with pytest.raises(WireError, match="cannot travel"):
        sent(value)
    assert received(sent("after it")).value == "after it"


def test_too_much_at_once_is_refused_before_it_is_sent() -> None:
    with pytest.raises(WireError, match="bytes at once"):
        sent("x" * (frames.HEAD_BYTES_MAX + 1), "text")
    with pytest.raises(WireError, match="bytes at once"):
        sent(Block("|u1", (frames.FRAME_BYTES_MAX + 1,), bytes(frames.FRAME_BYTES_MAX + 1)), "vector", ARRAY)
