"""The wire between one who asks and one who answers: what is sent arrives, and no bytes whatever do harm."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mesh.core import request_messages
from mesh.core.frames import Block
from mesh.core.request_messages import Accepted, Ask, Cancel, Done, Kept, Message, Offer, Refused, Run, Said, Taken
from mesh.errors import WireError

values = some.text() | some.binary() | some.integers(0, 9) | some.lists(some.text(), max_size=2)
blocks = some.integers(0, 5).map(lambda count: Block("<f4", (count,), bytes(4 * count)))
names = some.text(min_size=1, max_size=9)
counts = some.integers(0, 2**40)
lines = some.binary(min_size=16, max_size=16).map(bytes.hex)
secrets = some.binary(min_size=32, max_size=32)
messages = some.one_of(
    some.builds(
        Ask, names, names, counts, names, values | blocks, some.just("event"), counts, counts, counts,
        some.none() | names, some.lists(some.tuples(values, some.binary(max_size=9)), max_size=3).map(tuple),
        some.booleans(), some.text(max_size=9),
    ),
    some.builds(Cancel, names, some.booleans()),
    some.builds(Run, names, counts, some.lists(some.tuples(values, some.binary(max_size=9)), min_size=1, max_size=3).map(tuple)),
    some.builds(Accepted, names, counts, counts, some.none() | names),
    some.builds(Kept, names, counts, counts, some.binary(max_size=9)),
    some.builds(Said, names, counts, values | blocks, some.binary(max_size=9)),
    some.builds(
        Done, names, some.integers(3, 2**40), counts, some.sampled_from([None, "cancelled", "failed"]),
        some.lists(some.tuples(values | blocks, some.binary(max_size=9)), max_size=3).map(tuple),
    ),
    some.builds(Offer, lines, some.binary(max_size=99), secrets),
    some.builds(Taken, lines, some.integers(0, 65535), secrets),
    some.builds(Refused, names, names, counts),
)  # fmt: skip


@given(messages)
def test_every_message_arrives_equal(message: Message) -> None:
    assert request_messages.decode(request_messages.encode(message)) == message


@given(messages, some.data())
def test_a_message_with_any_bytes_changed_gives_a_message_or_a_wire_error(message: Message, data: some.DataObject) -> None:
    changed = bytearray(request_messages.encode(message))
    for _ in range(data.draw(some.integers(1, 4))):
        changed[data.draw(some.integers(0, len(changed) - 1))] = data.draw(some.integers(0, 255))
    for raw in (bytes(changed), bytes(changed[: data.draw(some.integers(0, len(changed)))])):
        try:
            request_messages.decode(raw)
        except WireError:
            continue


@given(some.binary(max_size=200))
def test_any_bytes_give_a_message_or_a_wire_error(raw: bytes) -> None:
    try:
        request_messages.decode(raw)
    except WireError:
        return


def test_a_value_that_cannot_travel_is_refused_in_words() -> None:
    with pytest.raises(WireError, match="cannot travel"):
        request_messages.encode(Said("x", 0, {1, 2}))
