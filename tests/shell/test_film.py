"""Recordings on disk: read by the tools of others, cut anywhere, bounded, mended."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory

from mesh.core.frames import Block
from mesh.core.recording import Taken
from mesh.errors import RoomfulError
from mesh.shell import film as film_module
from mesh.shell.film import Film, Full, is_whole, mend, records_of

MOST = 1 << 30
PICTURE = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)


def block(array: np.ndarray[Any, Any]) -> Block:
    return Block(array.dtype.str, array.shape, array.tobytes())


def write(path: Path, count: int = 30, *, close: bool = True, flush_every: int = 7, **options: Any) -> Film:
    """A recording of three streams; left as a killed recorder leaves it unless closed."""
    film = Film(path, options.pop("most", MOST), {"installation": "test"}, **options)
    film.flushed = []  # type: ignore[attr-defined]
    for number in range(count):
        at_ns = 1_700_000_000_000_000_000 + number * 10_000_000
        film.add("door.reading", "event", Taken({"n": number, "pad": "x" * 200}, "door"), number, at_ns, at_ns)
        film.add("eye.image", "image", Taken(block(PICTURE + number % 5), "eye"), number, at_ns, at_ns)
        film.add("ear.sound", "audio", Taken(block(np.full((4, 1), number, np.float32)), "ear"), number, at_ns, at_ns)
        if number % flush_every == flush_every - 1:
            film._flush(0.0)
            film.flushed.append((path.stat().st_size, 3 * (number + 1)))  # type: ignore[attr-defined]
    if close:
        film.close()
    else:
        film._file.flush()
        film._file.close()
    return film


def messages(path: Path) -> list[tuple[str, int, bytes]]:
    with path.open("rb") as file:
        return [(channel.topic, message.sequence, message.data) for _, channel, message in make_reader(file).iter_messages()]


def test_other_tools_read_it_without_us(tmp_path: Path) -> None:
    # Given a recording, when it is read by the MCAP reader with ROS 2's decoder and by any JSON reader
    write(tmp_path / "day.mcap")
    with (tmp_path / "day.mcap").open("rb") as file:
        reader = make_reader(file, decoder_factories=[DecoderFactory()])
        summary = reader.get_summary()
        decoded = list(reader.iter_decoded_messages(topics=["eye.image", "ear.sound"]))
    # Then each has its schema, and the values are those that were emitted
    assert summary is not None and summary.statistics is not None and summary.statistics.message_count == 90
    assert {channel.topic: summary.schemas[channel.schema_id].name for channel in summary.channels.values()} == {
        "door.reading": "roomful.Event", "eye.image": "sensor_msgs/msg/Image", "ear.sound": "roomful_msgs/msg/Array",
    }  # fmt: skip
    assert {channel.topic: channel.metadata["instance"] for channel in summary.channels.values()}["eye.image"] == "eye"
    picture, sound = decoded[0].decoded_message, decoded[1].decoded_message
    assert (picture.height, picture.width, picture.encoding, picture.step) == (6, 8, "rgb8", 24)
    assert bytes(picture.data) == PICTURE.tobytes() and picture.header.stamp.sec == 1_700_000_000
    assert (sound.dtype, list(sound.shape)) == ("<f4", [4, 1])


def test_pictures_may_be_kept_as_jpeg(tmp_path: Path) -> None:
    write(tmp_path / "day.mcap", 1, jpeg=90)
    with (tmp_path / "day.mcap").open("rb") as file:
        (found,) = make_reader(file, decoder_factories=[DecoderFactory()]).iter_decoded_messages(topics=["eye.image"])
    assert found.decoded_message.format == "jpeg" and bytes(found.decoded_message.data)[:2] == b"\xff\xd8"


def test_a_file_that_was_cut_anywhere_is_good_up_to_there(tmp_path: Path) -> None:
    # Given a recording whose recorder was killed, and what of it had been written when
    whole = tmp_path / "day.mcap"
    flushed = write(whole, 60, close=False).flushed  # type: ignore[attr-defined]
    data = whole.read_bytes()
    every = [(record.sequence, record.data) for record in records_of(BytesIO(data)) if hasattr(record, "sequence")]
    assert len(every) == 56 * 3, "all but what waited for the next second"
    cuts = sorted({*random.Random(4).sample(range(8, len(data)), 120), len(data) - 1})
    # When it is cut at any byte, then what is read is the beginning of the whole, and the later the cut the more of it
    found = []
    for cut in cuts:
        kept = [(record.sequence, record.data) for record in records_of(BytesIO(data[:cut])) if hasattr(record, "sequence")]
        assert kept == every[: len(kept)]
        found.append(len(kept))
    assert found == sorted(found) and found[-1] == len(every)
    # And at least all that had been handed to the system when the file was as long as that
    for cut, count in zip(cuts, found, strict=True):
        assert count >= max((kept for size, kept in flushed if size <= cut), default=0)


def test_mending_keeps_all_that_can_be_read_and_makes_an_index(tmp_path: Path) -> None:
    path = tmp_path / "day.mcap"
    write(path, 60, close=False)
    shutil.copy(path, tmp_path / "before")
    assert not is_whole(path)
    assert mend(path) == 56 * 3
    assert is_whole(path) and len(messages(path)) == 56 * 3
    assert (tmp_path / "day.mcap.cut").read_bytes() == (tmp_path / "before").read_bytes()


@pytest.mark.parametrize("content", [b"", b"not a recording", b"\x89MCAP0\r\n"])
def test_what_is_no_recording_is_said_to_be_none_or_is_empty(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.mcap").write_bytes(content)
    if content.startswith(b"\x89MCAP"):
        assert not is_whole(tmp_path / "x.mcap") and mend(tmp_path / "x.mcap") == 0
    else:
        with pytest.raises(RoomfulError, match="not an MCAP recording"):
            is_whole(tmp_path / "x.mcap")


@pytest.fixture
def noise() -> Iterator[bytes]:
    yield random.Random(7).randbytes(40_000)


def test_bytes_gone_bad_in_the_middle_end_it_there(tmp_path: Path, noise: bytes) -> None:
    write(tmp_path / "day.mcap", 60)
    data = bytearray((tmp_path / "day.mcap").read_bytes())
    data[len(data) // 2 : len(data) // 2 + len(noise)] = noise
    kept = [record for record in records_of(BytesIO(bytes(data))) if hasattr(record, "sequence")]
    assert 0 < len(kept) < 60 * 3


def test_it_never_grows_beyond_its_bound(tmp_path: Path) -> None:
    with pytest.raises(Full, match="has reached"):
        write(tmp_path / "day.mcap", 100_000, most=3 << 20)
    assert (tmp_path / "day.mcap").stat().st_size <= 3 << 20


def test_a_disk_that_is_nearly_full_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(film_module, "DISK_LEFT_BYTES", 1 << 60)
    with pytest.raises(Full, match="MB left"):
        write(tmp_path / "day.mcap")


def test_an_earlier_recording_is_never_written_over(tmp_path: Path) -> None:
    write(tmp_path / "day.mcap", 1)
    with pytest.raises(RoomfulError, match="already"):
        write(tmp_path / "day.mcap", 1)
