"""The browsers that look at a page: each with a short queue of its own, so that none can slow another or the role.

Everything here happens on the server's event loop. A browser that cannot keep up loses nothing that matters: words
it missed are replaced by the state as a whole, and of pictures and values it is only ever given the newest.
"""

from __future__ import annotations

import asyncio
import json
import math
import struct
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np

from mesh.role import is_here
from roles.display.showing import Message

WAITING_MAX = 256  # messages that wait for one browser before it is given the state instead
VISITORS_MAX = 64
OF_ONE_MAX = 8  # of one address; and the places kept for this machine's own screen
ALIVE_S = 5.0  # a browser that hears nothing for more than twice this looks for the page again


class Visitor:
    """One browser's queue, and the address that it came from."""

    def __init__(self, snapshot: Callable[[], Message], address: str = "") -> None:
        self.address = address
        self._snapshot = snapshot
        self._words: deque[str] = deque()
        self._latest: dict[str, str | bytes] = {}  # values and pictures by stream
        self._behind = True  # begins with the state
        self._time: str | None = None  # the answer to a question for the time
        self._wake = asyncio.Event()
        self._wake.set()

    def tell(self, text: str) -> None:
        """Queue a message whose order matters."""
        if not self._behind:
            self._words.append(text)
            if len(self._words) > WAITING_MAX:
                self._words.clear()
                self._behind = True
        self._wake.set()

    def show(self, stream: str, shown: str | bytes) -> None:
        """Queue what is only of interest while it is the newest of its stream."""
        self._latest[stream] = shown
        self._wake.set()

    def tell_time(self, asked: str, now_s: Callable[[], float]) -> None:
        """A browser asks what time it is in the room: {"kind": "clock", "asked": its own milliseconds}. It is told before all else that
        waits for it; one question at a time. Anything else that it says is passed over."""
        try:
            said = json.loads(asked)
            number = float(said["asked"]) if said["kind"] == "clock" else None
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            return
        if number is not None and math.isfinite(number):
            self._time = json.dumps({"kind": "clock", "asked": number, "room_ms": now_s() * 1000})
            self._wake.set()

    async def messages(self) -> AsyncIterator[str | bytes]:
        """What to send next, for as long as the browser is there; a sign of life when there is nothing."""
        while True:
            if self._behind:
                self._behind = False
                yield json.dumps(self._snapshot())
            elif self._time is not None:
                told, self._time = self._time, None
                yield told
            elif self._words:
                yield self._words.popleft()
            elif self._latest:
                yield self._latest.pop(next(iter(self._latest)))
            else:
                self._wake.clear()
                try:
                    await asyncio.wait_for(self._wake.wait(), ALIVE_S)
                except TimeoutError:
                    yield '{"kind": "alive"}'


class Audience:
    """All of them."""

    def __init__(self, snapshot: Callable[[], Message]) -> None:
        self._snapshot = snapshot
        self._visitors: set[Visitor] = set()
        self._pictures: dict[str, bytes] = {}  # the newest of each stream, for who arrives

    def __len__(self) -> int:
        return len(self._visitors)

    def enter(self, address: str = "") -> Visitor | None:
        """A place for one more; None when the room is full, or too many came from there. This machine's own screen finds one always."""
        of_one = sum(visitor.address == address for visitor in self._visitors)
        here = is_here(address)
        if len(self._visitors) >= VISITORS_MAX + (OF_ONE_MAX if here else 0) or (of_one >= OF_ONE_MAX and not here):
            return None
        visitor = Visitor(self._snapshot, address)
        for stream, picture in self._pictures.items():
            visitor.show(stream, picture)
        self._visitors.add(visitor)
        return visitor

    def leave(self, visitor: Visitor) -> None:
        """Give the place back."""
        self._visitors.discard(visitor)

    def tell(self, message: Message) -> None:
        """Words, to everyone."""
        text = json.dumps(message)
        for visitor in self._visitors:
            visitor.tell(text)

    def show(self, stream: str, shown: Message | bytes) -> None:
        """A value or a picture, to everyone."""
        if isinstance(shown, bytes):
            self._pictures[stream] = shown
        packed = shown if isinstance(shown, bytes) else json.dumps(shown)
        for visitor in self._visitors:
            visitor.show(stream, packed)


def pack_picture(stream: str, picture: Any, quality: int, present_s: float | None = None) -> bytes:
    """uint8 RGB or grey -> a binary message: length of the header (2 bytes, big-endian), JSON header, picture.

    The picture is a JPEG where OpenCV is installed, else plain RGBA for a canvas: several times more bytes, and the
    display needs no engine more.
    """
    height, width = picture.shape[:2]
    form, packed = _as_jpeg(picture, quality)
    about = {"stream": stream, "width": width, "height": height, "form": form}
    header = json.dumps(about if present_s is None else {**about, "present_s": present_s}).encode()
    return struct.pack(">H", len(header)) + header + packed


def _as_jpeg(picture: Any, quality: int) -> tuple[str, bytes]:
    try:
        import cv2
    except ImportError:
        return "rgba", _as_rgba(picture)
    ordered = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR) if picture.ndim == 3 else picture
    good, packed = cv2.imencode(".jpg", ordered, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return ("jpeg", packed.tobytes()) if good else ("rgba", _as_rgba(picture))


def _as_rgba(picture: Any) -> bytes:
    height, width = picture.shape[:2]
    rgba = np.full((height, width, 4), 255, np.uint8)
    rgba[:, :, :3] = picture if picture.ndim == 3 else picture[:, :, None]
    return rgba.tobytes()
