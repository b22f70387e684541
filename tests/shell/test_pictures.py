"""Pictures on their way to another machine: packed once, the same size and type whatever the way, and refused when broken."""

from __future__ import annotations

from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as some

from mesh.errors import WireError
from mesh.shell import pictures


def scene(shape: tuple[int, ...]) -> Any:
    """Something smooth, as cameras see it."""
    height, width = shape[:2]
    grey = (numpy.add.outer(numpy.arange(height) * 2, numpy.arange(width)) % 256).astype("u1")
    return grey if len(shape) == 2 else numpy.stack([grey, grey[:, ::-1], 255 - grey], -1)


@pytest.mark.parametrize("shape", [(48, 64, 3), (48, 64), (1, 1, 3), (1, 1), (17, 5, 3), (480, 640, 3)])
def test_without_loss_every_pixel_arrives_equal(shape: tuple[int, ...]) -> None:
    picture = numpy.random.default_rng(3).integers(0, 256, shape, "u1")
    coding, data = pictures.pack(picture, "lossless")
    got = pictures.unpack(data, coding, shape)
    numpy.testing.assert_array_equal(got, picture)
    assert got.dtype == "u1" and not got.flags.writeable


@pytest.mark.parametrize("shape", [(48, 64, 3), (48, 64), (1, 1, 3), (17, 5), (480, 640, 3)])
@pytest.mark.parametrize("codec", ["simplejpeg", "opencv"])
def test_as_jpeg_a_picture_keeps_its_type_its_size_and_nearly_its_colours(
    shape: tuple[int, ...], codec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = pictures._simplejpeg() if codec == "simplejpeg" else pictures._opencv()
    if found is None:
        pytest.fail(f"{codec} is not installed; the tests need it")
    monkeypatch.setattr(pictures, "_found", [found])
    picture = scene(shape) if shape[0] > 40 else numpy.full(shape, 90, "u1")
    coding, data = pictures.pack(picture, "quality 95")
    got = pictures.unpack(data, coding, shape)
    assert (coding, got.shape, got.dtype.str, got.flags.writeable) == ("jpeg", shape, "|u1", False)
    assert abs(got.astype("i2") - picture).mean() < 12
    if shape == (480, 640, 3):
        assert len(data) < picture.nbytes / 4


def test_less_quality_is_less_to_send() -> None:
    picture = scene((480, 640, 3))
    sizes = [len(pictures.pack(picture, f"quality {quality}")[1]) for quality in (10, 50, 90)]
    assert sizes == sorted(sizes) and sizes[0] < sizes[2] / 2


def test_where_nothing_here_writes_jpeg_a_picture_travels_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "_found", [None])
    picture = scene((4, 4, 3))
    assert pictures.pack(picture, "quality 90") == ("", picture.tobytes())
    assert not pictures.can_jpeg()
    with pytest.raises(WireError, match="nothing here reads"):
        pictures.unpack(b"\xff\xd8", "jpeg", (4, 4, 3))


@given(some.binary(max_size=200), some.sampled_from(["jpeg", "delta"]))
def test_any_bytes_are_a_picture_or_refused(data: bytes, coding: str) -> None:
    with pytest.raises(WireError):
        pictures.unpack(data, coding, (48, 64, 3))


@given(some.data())
def test_a_picture_with_bytes_changed_is_one_of_its_size_or_refused(data: some.DataObject) -> None:
    form = data.draw(some.sampled_from(["quality 80", "lossless"]))
    coding, packed = pictures.pack(scene((48, 64, 3)), form)
    changed = bytearray(packed)
    for _ in range(data.draw(some.integers(1, 5))):
        changed[data.draw(some.integers(0, len(packed) - 1))] = data.draw(some.integers(0, 255))
    try:
        got = pictures.unpack(bytes(changed[: data.draw(some.integers(0, len(packed)))]), coding, (48, 64, 3))
    except WireError:
        return
    assert got.shape == (48, 64, 3)


@pytest.mark.parametrize("form", ["quality 80", "lossless"])
def test_a_picture_of_another_size_than_its_frame_says_is_refused(form: str) -> None:
    coding, data = pictures.pack(scene((480, 640, 3)), form)
    with pytest.raises(WireError):
        pictures.unpack(data, coding, (48, 64, 3))
