"""Pictures and sounds as files that everyone can open, written with the standard library alone."""

from __future__ import annotations

import io
import struct
import wave
import zlib
from typing import Any

import numpy as np


def png(picture: np.ndarray[Any, Any]) -> bytes:
    """uint8 (height, width) or (height, width, 3 or 4) -> a PNG file (ISO/IEC 15948), with no codec installed."""
    height, width = picture.shape[:2]
    form = {1: 0, 3: 2, 4: 6}[1 if picture.ndim == 2 else picture.shape[2]]
    rows = np.zeros((height, 1 + picture.size // height), np.uint8)
    rows[:, 1:] = picture.reshape(height, -1)
    head = struct.pack(">IIBBBBB", width, height, 8, form, 0, 0, 0)
    parts = [(b"IHDR", head), (b"IDAT", zlib.compress(rows.tobytes(), 3)), (b"IEND", b"")]
    chunks = [struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def wav(sound: np.ndarray[Any, Any], rate: int) -> bytes:
    """float32 (samples, channels), -1..1 -> a WAV file of 16 bits."""
    packed = io.BytesIO()
    with wave.open(packed, "wb") as file:
        file.setnchannels(sound.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())
    return packed.getvalue()
