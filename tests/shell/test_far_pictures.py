"""Pictures to readers of other machines: each as it wants them, packed once for all who want the same, and never for nobody."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy
import pytest
from zmq.utils.garbage import gc

from mesh.errors import WireError
from mesh.shell import lines, pictures
from tests.shell.test_pictures import scene
from tests.shell.test_streams import Reader, Writer

PICTURE = scene((480, 640, 3))


@pytest.fixture
def packed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The form of everything that is packed."""
    forms: list[str] = []
    pack = pictures.pack

    def counted(picture: Any, form: str) -> Any:
        forms.append(form)
        return pack(picture, form)

    monkeypatch.setattr(pictures, "pack", counted)
    return forms


@pytest.fixture
def opened() -> Iterator[list[Any]]:
    things: list[Any] = []
    yield things
    for thing in things:
        thing.close()
    gc.stop()


def met(opened: list[Any], *readers: Reader) -> Writer:
    """A writer that all of them hear."""
    writer = Writer("image")
    opened += [*readers, writer]
    for reader in readers:
        reader.meet(writer)
    for reader in readers:
        reader.drain()
    return writer


def test_every_reader_gets_the_same_type_and_size_in_the_form_it_wants(opened: list[Any]) -> None:
    readers = [Reader("image", "queue", pictures=form) for form in ("raw", "lossless", "quality 90", "quality 20")]
    writer = met(opened, *readers)
    writer.send(PICTURE)
    got = [reader.take(1)[0] for reader in readers]
    assert all((each.shape, each.dtype.str, each.flags.writeable) == (PICTURE.shape, "|u1", False) for each in got)
    numpy.testing.assert_array_equal(got[0], PICTURE)
    numpy.testing.assert_array_equal(got[1], PICTURE)
    errors = [float(abs(each.astype("i2") - PICTURE).mean()) for each in got]
    assert 0 < errors[2] < errors[3] < 20


def test_a_picture_is_packed_once_for_all_who_want_it_so(opened: list[Any], packed: list[str]) -> None:
    readers = [Reader("image", "queue", pictures="quality 75") for _ in range(3)]
    writer = met(opened, *readers)
    packed.clear()
    for _ in range(5):
        writer.send(PICTURE)
    for reader in readers:
        assert len(reader.take(5)) == 5
    assert packed == ["quality 75"] * 5


def test_nothing_is_packed_for_readers_of_this_machine_nor_when_the_last_other_one_is_gone(opened: list[Any], packed: list[str]) -> None:
    near, far = Reader("image", "queue", near=True), Reader("image", "queue", pictures="quality 75")
    writer = met(opened, near, far)
    far.input.hear([])

    def unpacked() -> bool:
        packed.clear()
        writer.send(PICTURE)
        numpy.testing.assert_array_equal(near.take(1)[0], PICTURE)
        return not packed

    near.until(unpacked, "it is packed no more")


def test_a_broken_picture_is_counted_and_the_next_one_arrives(opened: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader("image", "queue", pictures="quality 75")
    writer = met(opened, reader)
    refused = reader.input.refused
    with monkeypatch.context() as patch:
        patch.setattr(pictures, "pack", lambda picture, form: ("jpeg", b"\xff\xd8 no picture"))
        writer.send(PICTURE)
    writer.send(PICTURE)
    reader.until(lambda: len(reader.input.waiting) == 2, "both")
    assert reader.input.take() is None
    assert reader.input.refused == refused + 1
    assert reader.take(1)[0].shape == PICTURE.shape


def test_a_picture_drawn_in_place_arrives_by_both_ways(opened: list[Any]) -> None:
    near, far = Reader("image", "queue", near=True), Reader("image", "queue", pictures="raw")
    writer = met(opened, near, far)
    for number in range(20):
        drawn = writer.output.buffer((480, 640, 3), "uint8")
        drawn[:] = number
        writer.send(drawn)
        with pytest.raises(ValueError, match="read-only"):
            drawn[0] = 1
        for reader in (near, far):
            assert (reader.take(1)[0] == number).all()


def test_a_stopped_reader_elsewhere_does_not_use_up_the_memory_shared_here(opened: list[Any]) -> None:
    # Given a reader on another machine that reads nothing, and one on this machine
    near, still = Reader("image", "queue", near=True), Reader("image", "queue", pictures="raw")
    writer = met(opened, near, still)
    # When many pictures are sent
    for number in range(60):
        drawn = writer.output.buffer((1080, 1920, 3), "uint8")
        drawn[:] = number
        writer.send(drawn)
        assert (near.take(1)[0] == number).all()
    # Then each came here, and the ring did not grow
    assert writer.output.unsent == 0
    ring = writer.ways.door.streams[b"eye.out\0"].ring
    assert ring is not None and ring.layout.slots <= 16


def test_a_reader_that_cannot_open_the_memory_hears_over_the_network(opened: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def impossible(file: int, layout: Any) -> None:
        raise WireError("a ring that cannot be opened: too many open files")

    monkeypatch.setattr(lines, "RingView", impossible)
    reader, writer = Reader("image", "queue", near=True), Writer("image")
    opened += [reader, writer]
    reader.input.hear([writer.source()])
    assert reader.input.near == 1

    def heard() -> bool:
        writer.send(PICTURE)
        return bool(reader.input.waiting)

    reader.until(heard, "a picture")
    assert reader.input.near == 0 and reader.input.refused == 1
    numpy.testing.assert_array_equal(reader.take(1)[0], PICTURE)
