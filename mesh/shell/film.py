"""Writes a recording, and mends one whose writer was killed. The format of each message is `core/recording.py`'s.

A chunk is closed and handed to the system every second, so that a killed recorder loses a second at most; every ten the
disk is asked to keep it. Decided against: one's own container (no tool would read it), and an index while recording (a
file that was cut has none, whatever one does, so it is made when the file is closed or mended).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mesh.core.recording import FORMS, Taken, write_message
from mesh.errors import EngineMissingError, RoomfulError

CHUNK_BYTES = 1 << 20
FLUSH_S = 1.0
SYNC_S = 10.0
DISK_LEFT_BYTES = 256 << 20  # a full disk would harm the room
END_BYTES = 1 << 20  # what the index at the end may take
MAGIC = b"\x89MCAP0\r\n"
PLAIN_BYTES_MAX = 256 << 20  # what a chunk may be unpacked to
RECORD_BYTES_MAX = 256 << 20
CHUNK = 0x06


class Full(Exception):
    """The recording has reached its bound; in words."""


class Film:
    """A recording that is being written. `most_bytes` bounds the file; the disk is never filled to its end.

    Raises EngineMissingError without the mcap library, RoomfulError when the file cannot be made or is there already.
    """

    def __init__(self, path: Path, most_bytes: int, about: dict[str, str], jpeg: int | None = None) -> None:
        library = _library()
        try:
            self._file = path.open("xb")
        except FileExistsError:
            again = "choose another name; nothing is written over"
            raise RoomfulError("there is a recording already", where=str(path), instead=again) from None
        except OSError as error:
            raise RoomfulError(f"no recording can be written there: {error.strerror}", where=str(path)) from None
        self.path, self._most_bytes, self._jpeg = path, most_bytes, jpeg
        self._writer = library.Writer(self._file, chunk_size=CHUNK_BYTES, compression=library.CompressionType.LZ4)
        self._writer.start(profile="roomful", library="roomful")
        self._writer.add_metadata("roomful", about)
        self._writer.flush()
        self._schemas: dict[str, int] = {}
        self._channels: dict[tuple[str, str, int], int] = {}
        self._flushed_s = self._synced_s = time.monotonic()
        self._bytes = 0
        self.counts: dict[str, int] = {}

    def add(self, stream: str, type_: str, taken: Taken, number: int, captured_ns: int, heard_ns: int) -> None:
        """One frame. Raises Full when it would not fit any more."""
        form = type_
        if type_ == "image" and self._jpeg is not None:
            form, taken = "jpeg", _as_jpeg(taken, self._jpeg)
        data = write_message(form, taken, captured_ns)
        self._bytes += len(data) + 64
        if self._file.tell() + self._bytes + END_BYTES > self._most_bytes:
            raise Full(f"the recording has reached {self._most_bytes / 1e9:g} GB")
        channel = self._channel(stream, form, type_, taken)
        self._writer.add_message(channel, log_time=heard_ns, data=data, publish_time=captured_ns, sequence=number & 0xFFFFFFFF)
        self.counts[stream] = self.counts.get(stream, 0) + 1

    def keep_house(self) -> None:
        """To be called often: closes the chunk once a second. Raises Full when the disk is nearly so."""
        now = time.monotonic()
        if now - self._flushed_s >= FLUSH_S:
            self._flush(now)

    def _flush(self, now: float) -> None:
        self._flushed_s, self._bytes = now, 0
        try:
            self._writer.flush()
            if now - self._synced_s >= SYNC_S:
                self._synced_s = now
                os.fsync(self._file.fileno())
        except OSError as error:
            raise Full(f"the disk takes no more: {error.strerror}") from None
        if shutil.disk_usage(self.path.parent).free < DISK_LEFT_BYTES:
            raise Full(f"the disk has less than {DISK_LEFT_BYTES >> 20} MB left")

    def _channel(self, stream: str, form: str, type_: str, taken: Taken) -> int:
        """One channel for each stream, who speaks on it, and at which rate."""
        instance, rate = taken.instance, taken.rate
        known = self._channels.get((stream, instance, rate))
        if known is None:
            wanted = FORMS[form]
            if wanted.schema not in self._schemas:
                self._schemas[wanted.schema] = self._writer.register_schema(wanted.schema, wanted.schema_encoding, wanted.text.encode())
            about = {"type": type_, "instance": instance, **({"rate": str(rate)} if rate else {})}
            schema = self._schemas[wanted.schema]
            known = self._channels[(stream, instance, rate)] = self._writer.register_channel(stream, wanted.encoding, schema, about)
        return known

    def close(self) -> None:
        """The last chunk and the index. A disk that is full leaves a file that can be mended."""
        with contextlib.suppress(OSError):
            self._writer.finish()
            self._file.flush()
            os.fsync(self._file.fileno())
        with contextlib.suppress(OSError):
            self._file.close()


def _library() -> Any:
    try:
        from mcap import writer
    except ImportError as missing:
        raise EngineMissingError("recordings need the mcap library, which is not installed on this machine",
                                 instead="pip install roomful[record]") from missing
    return writer


def _as_jpeg(taken: Taken, quality: int) -> Taken:
    import cv2
    import numpy

    block = taken.value
    picture = numpy.frombuffer(block.data, numpy.uint8).reshape(block.shape)
    good, data = cv2.imencode(".jpg", picture[..., ::-1] if picture.ndim == 3 else picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not good:
        raise RoomfulError(f"a picture of {block.shape} could not be made a JPEG")
    return Taken(data.tobytes(), taken.instance)


# ---- mending


def is_whole(path: Path) -> bool:
    """Whether a recording was closed. Raises RoomfulError for what is no recording at all."""
    try:
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise RoomfulError("this is not an MCAP recording", where=str(path), instead="name a file that `roomful record` wrote")
            size = file.seek(0, os.SEEK_END)
            file.seek(max(len(MAGIC), size - len(MAGIC)))
            return size > 2 * len(MAGIC) and file.read() == MAGIC
    except OSError as error:
        raise RoomfulError(f"the recording cannot be read: {error.strerror}", where=str(path)) from None


def mend(path: Path) -> int:
    """Close a recording that was cut: all that can be read is kept, in the file of that name; the cut one lies beside it as
    NAME.cut. Returns the number of frames kept."""
    from mcap.records import Channel, Message, Schema

    library = _library()
    mending = path.with_name(path.name + ".mending")
    kept, schemas, channels = 0, {}, {}
    with path.open("rb") as cut, mending.open("wb") as file:
        writer = library.Writer(file, chunk_size=CHUNK_BYTES, compression=library.CompressionType.LZ4)
        writer.start(profile="roomful", library="roomful")
        writer.add_metadata("roomful", {"mended": "the recorder was stopped in mid-sentence"})
        for record in records_of(cut):
            if isinstance(record, Schema) and record.id not in schemas:
                schemas[record.id] = writer.register_schema(record.name, record.encoding, record.data)
            elif isinstance(record, Channel) and record.id not in channels:
                schema = schemas.get(record.schema_id, 0)
                channels[record.id] = writer.register_channel(record.topic, record.message_encoding, schema, record.metadata)
            elif isinstance(record, Message) and record.channel_id in channels:
                kept += 1
                writer.add_message(channels[record.channel_id], record.log_time, record.data, record.publish_time, record.sequence)
        writer.finish()
        file.flush()
        os.fsync(file.fileno())
    os.replace(path, path.with_name(path.name + ".cut"))
    os.replace(mending, path)
    return kept


def records_of(file: Any) -> Iterator[Any]:
    """The schemas, channels and messages of a recording, as far as it goes: the chunk in which it was cut, too."""
    from mcap.exceptions import McapError
    from mcap.records import Chunk
    from mcap.stream_reader import StreamReader

    at = len(MAGIC)
    file.seek(at)
    try:
        reader = StreamReader(file, skip_magic=True, emit_chunks=True, record_size_limit=RECORD_BYTES_MAX)
        for record in reader.records:
            if isinstance(record, Chunk):
                yield from _inside(record.compression, record.data)
            else:
                yield record
            at = file.tell()
    except (McapError, struct.error, ValueError, KeyError, OverflowError, MemoryError, UnicodeDecodeError, EOFError, OSError):
        file.seek(at)
        yield from _last_chunk(file.read(RECORD_BYTES_MAX))


def _inside(compression: str, data: bytes) -> Iterator[Any]:
    """The records of a chunk, or of as much of it as there is."""
    from io import BytesIO

    from mcap.exceptions import McapError
    from mcap.stream_reader import StreamReader

    plain = BytesIO(_unpacked(compression, data))
    try:
        yield from StreamReader(plain, skip_magic=True, record_size_limit=RECORD_BYTES_MAX).records
    except (McapError, struct.error, ValueError, KeyError, OverflowError, UnicodeDecodeError, EOFError):
        return  # the end: of the chunk, or of what is left of it


def _unpacked(compression: str, data: bytes) -> bytes:
    if compression == "lz4":
        import lz4.frame

        with contextlib.suppress(RuntimeError, EOFError):
            return bytes(lz4.frame.LZ4FrameDecompressor().decompress(data, max_length=PLAIN_BYTES_MAX))
        return b""
    if compression == "zstd":
        import zstandard

        with contextlib.suppress(zstandard.ZstdError):
            with zstandard.ZstdDecompressor().stream_reader(data) as reader:
                return bytes(reader.read(PLAIN_BYTES_MAX))
        return b""
    return data if not compression else b""


def _last_chunk(data: bytes) -> Iterator[Any]:
    """What a chunk holds that was cut: opcode, length, two times, size, CRC, compression, length, and the data as far as it goes."""
    if len(data) < 41 or data[0] != CHUNK:
        return
    name_bytes = int.from_bytes(data[37:41], "little")
    compression = data[41 : 41 + name_bytes].decode("ascii", "replace")
    yield from _inside(compression, data[41 + name_bytes + 8 :])
