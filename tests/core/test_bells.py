"""What passes beside frames on one machine: what is said is understood, and no bytes whatever lead out of the memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mesh.core import bells
from mesh.core.bells import Bell, Layout
from mesh.core.frames import FRAME_BYTES_MAX
from mesh.errors import WireError

LAYOUT = Layout(8, bells.DATA_AT + 16 * bells.PAGE)
numbers = some.integers(0, 2**64 - 1)


@given(some.integers(0, 2**16 - 1), numbers)
def test_a_bell_arrives_as_it_was_rung(slot: int, turn: int) -> None:
    assert bells.read(bells.bell(slot, turn)) == Bell(slot, turn)


@given(some.booleans())
def test_a_greeting_arrives_as_it_was_said(latest: bool) -> None:
    assert bells.read_hello(bells.hello(b"eye.image\0", latest)) == (b"eye.image\0", latest)


@given(some.integers(0, FRAME_BYTES_MAX))
def test_every_frame_that_may_travel_fits_the_ring_made_for_it(size: int) -> None:
    layout = bells.layout_for(size)
    assert layout is not None and bells.fits(layout, bells.HEAD_ROOM_BYTES, size)
    assert bells.read(bells.ring(layout)) == layout
    assert layout.size_bytes <= bells.RING_BYTES_MAX


@given(some.integers(1, FRAME_BYTES_MAX))
def test_a_ring_that_is_full_grows_until_it_may_not(size: int) -> None:
    layout, grown = bells.layout_for(size), 0
    while layout is not None:
        after = bells.layout_for(size, layout)
        assert after is None or (after.slots > layout.slots and after.size_bytes <= bells.RING_BYTES_MAX)
        layout, grown = after, grown + 1
    assert grown <= 6


@given(some.integers(0, FRAME_BYTES_MAX), some.integers(0, FRAME_BYTES_MAX))
def test_a_ring_is_made_anew_for_larger_frames(before: int, now: int) -> None:
    small = bells.layout_for(before)
    assert small is not None
    if not bells.fits(small, 0, now):
        large = bells.layout_for(now, small)
        assert large is not None and bells.fits(large, 0, now)


@given(some.binary(max_size=40))
def test_any_packet_is_a_frame_or_a_bell_or_a_ring_that_can_be_or_refused(packet: bytes) -> None:
    try:
        told = bells.read(packet)
    except WireError:
        return
    assert told is None or isinstance(told, Bell) or bells.require_layout(told) == told


@given(some.binary(max_size=40) | some.binary(max_size=30).map(lambda rest: bells.MAGIC + rest))
def test_any_greeting_is_one_or_refused(packet: bytes) -> None:
    try:
        topic, _ = bells.read_hello(packet)
    except WireError:
        return
    assert topic.endswith(b"\0")


heads = some.tuples(numbers, numbers, numbers).map(lambda three: bells._HEAD.pack(*three)) | some.binary(max_size=30)


@given(heads, some.integers(-2, 300))
def test_no_head_of_a_slot_leads_out_of_it(raw: bytes, slot: int) -> None:
    try:
        place = bells.read_head(raw, LAYOUT, slot)
    except WireError:
        return
    base = bells.slot_at(LAYOUT, slot)
    assert base + bells.HEAD_BYTES <= place.start < place.end <= base + LAYOUT.slot_bytes <= LAYOUT.size_bytes


@given(some.binary(min_size=8, max_size=8))
def test_whatever_the_first_page_says_is_nothing_or_a_bell(raw: bytes) -> None:
    newest = bells.read_newest(raw)
    assert newest is None or 0 <= newest.slot < 256


def test_the_newest_frame_is_named() -> None:
    assert bells.read_newest(bells.newest(7, 123456789)) == Bell(7, 123456789)
    assert bells.read_newest(bytes(8)) is None
    with pytest.raises(WireError):
        bells.read_newest(b"short")


@pytest.mark.parametrize("layout", [(1, 8192), (33, 8192), (8, 4096), (8, 8193), (8, 2**40)])
def test_a_ring_of_impossible_form_is_refused(layout: tuple[int, int]) -> None:
    with pytest.raises(WireError):
        bells.read(bells.ring(Layout(*layout)))
