"""Shared memory for frames: what is read never changes, what is let go is free, and what is no ring is refused."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as some

from mesh.core import bells
from mesh.core.bells import DATA_AT, HEAD_BYTES, Layout
from mesh.errors import WireError
from mesh.shell import ring as ring_module
from mesh.shell.ring import Lease, Ring, RingView

LAYOUT = Layout(4, DATA_AT + bells.PAGE)


@pytest.fixture
def ring() -> Iterator[Ring]:
    made = Ring(LAYOUT)
    yield made
    made.close()


def lay(ring: Ring, value: int, size: int = 1000) -> tuple[int, int]:
    """One frame of equal bytes; its slot and turn."""
    slot = ring.claim()
    assert slot is not None
    ring.array(slot, "u1", (size,))[:] = value
    return slot, ring.publish(slot, DATA_AT, size)


def read(view: RingView, slot: int, turn: int) -> numpy.ndarray:
    lease = view.lease(slot, turn)
    assert isinstance(lease, Lease)
    return lease.array("|u1", (1000,), 0)


def test_a_frame_is_read_where_it_was_written_and_cannot_be_changed(ring: Ring) -> None:
    view = RingView(ring.fd, LAYOUT)
    array = read(view, *lay(ring, 7))
    assert (array == 7).all()
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        array.flags.writeable = True


def test_what_is_being_read_is_never_written_however_long_it_takes(ring: Ring) -> None:
    view = RingView(ring.fd, LAYOUT)
    kept = read(view, *lay(ring, 1))
    part = kept[10:20]
    del kept  # a part of it is enough to keep it
    for value in range(2, 100):
        lay(ring, value)
    assert (part == 1).all()


def test_a_slot_is_free_again_when_its_last_array_is_gone(ring: Ring) -> None:
    view = RingView(ring.fd, LAYOUT)
    kept = [read(view, *lay(ring, value)) for value in range(4)]
    assert ring.claim() is None  # three are read, the fourth is the newest and read as well
    del kept[1]
    gc.collect()
    slot = ring.claim()
    assert slot is not None and [int(each[0]) for each in kept] == [0, 2, 3]


def test_arrays_may_be_let_go_on_another_thread(ring: Ring) -> None:
    view = RingView(ring.fd, LAYOUT)
    kept = [read(view, *lay(ring, value)) for value in range(3)]
    thread = threading.Thread(target=kept.clear)
    thread.start()
    thread.join()
    assert view.held == set() and lay(ring, 9)[1] == 4


def test_a_frame_that_was_overwritten_is_not_read_for_another(ring: Ring) -> None:
    view = RingView(ring.fd, LAYOUT)
    first = lay(ring, 1)
    for value in range(2, 8):
        lay(ring, value)
    assert view.lease(*first) is None
    newest = view.newest()
    assert newest is not None and (read(view, *newest) == 7).all()


def test_a_slot_in_writing_is_not_read(ring: Ring) -> None:
    view = RingView(ring.fd, LAYOUT)
    slot, turn = lay(ring, 1)
    for value in range(3):
        lay(ring, value)
    assert ring.claim() == slot
    assert view.lease(slot, turn) is None


def test_a_drawn_slot_that_was_never_emitted_is_free_again(ring: Ring) -> None:
    for _ in range(20):
        slot = ring.claim()
        assert slot is not None
        array = numpy.asarray(ring.pin(slot, DATA_AT, (8,), "|u1", 8))
        array[:] = 1
        assert ring.drawn == 1
        del array
    assert ring.drawn == 0 and ring.pinned == 0


def test_memory_that_is_read_outlives_its_ring() -> None:
    ring = Ring(LAYOUT)
    view = RingView(ring.fd, LAYOUT)
    array = read(view, *lay(ring, 5))
    ring.close()
    del ring, view
    gc.collect()
    assert (array == 5).all()


def test_nothing_of_it_has_a_name(ring: Ring) -> None:
    assert "memfd:roomful" in os.readlink(f"/proc/self/fd/{ring.fd}")


def test_a_reader_cannot_shrink_grow_or_write_it(ring: Ring) -> None:
    with pytest.raises(PermissionError):
        os.ftruncate(ring.fd, 100)
    with pytest.raises(PermissionError):
        os.ftruncate(ring.fd, 2 * LAYOUT.size_bytes)
    with pytest.raises(PermissionError):
        os.pwrite(ring.fd, b"x", 0)


def test_there_is_no_ring_where_the_system_s_locks_keep_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr("mesh.shell.ring._READ", ring_module._FREE)
    with pytest.raises(OSError, match="keep nobody out"):
        Ring(LAYOUT)
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_that_is_no_ring_is_refused() -> None:
    plain = os.memfd_create("plain", os.MFD_CLOEXEC)
    sealed = Ring(LAYOUT)
    read_end, write_end = os.pipe()
    try:
        os.ftruncate(plain, LAYOUT.size_bytes)
        for file, layout in ((plain, LAYOUT), (read_end, LAYOUT), (sealed.fd, Layout(8, LAYOUT.slot_bytes))):
            with pytest.raises(WireError):
                RingView(file, layout)
    finally:
        for file in (plain, read_end, write_end):
            os.close(file)
        sealed.close()


heads = some.binary(min_size=HEAD_BYTES, max_size=HEAD_BYTES)


@given(heads, some.binary(min_size=8, max_size=8), some.integers(0, 300), some.integers(0, 9))
def test_whatever_stands_in_the_memory_nothing_is_read_outside_of_a_slot(head: bytes, page: bytes, slot: int, turn: int) -> None:
    ring = Ring(LAYOUT)
    try:
        view = RingView(ring.fd, LAYOUT)
        for each in range(LAYOUT.slots):
            base = bells.slot_at(LAYOUT, each)
            ring.map[base : base + HEAD_BYTES] = head
        ring.map[:8] = page
        named = view.newest()
        for bell in (bells.Bell(slot, turn), named):
            try:
                lease = view.lease(*bell) if bell is not None else None
            except WireError:
                continue
            assert lease is None or 0 < len(lease.data) <= LAYOUT.slot_bytes
            del lease
        assert not view.held
    finally:
        ring.close()
