"""What would have been shown, on disk: for tests, for an archive, for the morning after.

One JSON line for each text or value, and a file beside it for each picture, sound or large array. Bounded: the oldest
pages and files go first, so that a room may run for a year. Only the standard library and numpy, so that a machine
without a screen, a codec or an engine can still keep a diary. Not below the deployment's folder: that is the work
itself, and its hash must not change while it plays.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from mesh.errors import RoleError, on_a_line
from mesh.role import Any_, Frame, Options, Role
from roles.display.formats import png, wav
from roles.display.sayings import Sayings
from roles.display.showing import as_json
from roles.display.standin import StandIn

NAME = "shown.jsonl"
INLINE_NUMBERS_MAX = 256  # a longer vector goes into a file of its own
TICK_S = 0.25
LINE_BYTES_MAX = 256 * 1024


class FileOptions(Options):
    to: str | None = Field(None, description="the folder to write to, such as /srv/diary; this role's own state folder when left out")
    every: float = Field(1.0, ge=0, le=86400, description="seconds between two pictures that are kept of one stream; 0 keeps each")
    size: float = Field(10.0, gt=0, le=100_000, description="MB that one shown.jsonl may reach before a new one is begun")
    pages: int = Field(4, ge=1, le=1000, description="how many full ones are kept (shown.1.jsonl is the newest of them)")
    files: int = Field(500, ge=1, le=1_000_000, description="how many pictures, sounds and arrays are kept; the oldest go")
    rate: int = Field(16000, ge=1000, le=192_000, description="samples a second of sound that does not say it")
    quiet: float = Field(30.0, gt=0, le=86400, description="seconds without an input after which the fallback is written instead")


class File(Role):
    """Writes down what would have been shown: a JSON line for each item, a PNG for each picture, a WAV for each sound."""

    inputs = {"*": Any_}
    display = True
    writes = ("to",)
    Options = FileOptions

    def setup(self) -> None:
        self._to = self._folder()
        self._sayings = Sayings()
        self._standin = StandIn(self.fallback, self.fallback_files, self.options.quiet, time.monotonic())
        self._kept_s: dict[str, float] = {}
        self._files = sorted(_numbered(self._to))
        self._count = self._files[-1][0] + 1 if self._files else 0
        self._file = (self._to / NAME).open("ab")
        self._size = self._file.tell()
        self._nowhere = False  # its file was taken away, and no other can be begun
        self.publish("file", str(self._to / NAME))
        self.say(f"writes to {self._to / NAME}")

    def teardown(self) -> None:
        if hasattr(self, "_file"):
            with contextlib.suppress(OSError):
                self._file.close()

    def on_frame(self, input: str, frame: Frame) -> None:
        self._standin.heard(input, frame, time.monotonic())
        self._take(input, frame)

    def tick(self) -> float:
        for stream, frame in self._standin.frames(time.monotonic()):
            self._take(stream, frame)
        self._stay_on_disk()
        return TICK_S

    def _stay_on_disk(self) -> None:
        """A file that was taken away, with its folder perhaps, would be written to on and on and be nowhere: another is begun."""
        try:
            if (self._to / NAME).exists() and os.path.samestat((self._to / NAME).stat(), os.fstat(self._file.fileno())):
                self._nowhere = False
                return
            if not self._nowhere:
                self.say(f"{self._to / NAME} was taken away; another one is begun")
            self._nowhere = True
            self._to.mkdir(parents=True, exist_ok=True)
            fresh = (self._to / NAME).open("ab")
            self._file.close()
            self._file, self._size, self._nowhere = fresh, fresh.tell(), False
        except OSError as refusal:
            self._refused(refusal)

    def _take(self, stream: str, frame: Frame) -> None:
        try:
            for item in self._items(stream, frame):
                self._write(stream, frame, item)
            if not self._nowhere:
                self.works()
        except OSError as refusal:
            self._refused(refusal)

    def _refused(self, refusal: OSError) -> None:
        self.faulty(on_a_line(f"nothing can be written to {self._to}: {refusal.strerror or refusal}",
                              instead="make room on that disk, and see that this user may write there"))

    def _items(self, stream: str, frame: Frame) -> list[dict[str, Any]]:
        value = frame.value
        if isinstance(value, str):
            return [{"text": text} for text in self._sayings.take(stream, frame)]
        if not isinstance(value, np.ndarray):
            return [{"value": as_json(value)}]
        if value.dtype == np.uint8 and value.ndim in (2, 3) and value.shape[-1] > 0:
            now_s = time.monotonic()
            if now_s - self._kept_s.get(stream, -1e9) < self.options.every:
                return []
            self._kept_s[stream] = now_s
            return [{"image": self._beside(stream, ".png", png(value))}]
        if value.dtype == np.float32 and value.ndim == 2 and len(value) > 8 * value.shape[1]:
            return [{"sound": self._beside(stream, ".wav", wav(value, frame.rate or self.options.rate))}]
        if value.size > INLINE_NUMBERS_MAX:
            return [{"array": self._beside(stream, ".f32", value.astype("<f4").tobytes()), "shape": list(value.shape)}]
        return [{"value": as_json(value)}]

    def _write(self, stream: str, frame: Frame, item: dict[str, Any]) -> None:
        at = datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"s": round(self.now_s(), 3), "at": at, "stream": stream, **item}, ensure_ascii=False).encode() + b"\n"
        if len(line) > LINE_BYTES_MAX:
            self.say(f"an item of {len(line)} bytes on {stream} is too long for a line and is left out")
            return
        if self._size + len(line) > self.options.size * 1e6:
            self._turn_page()
        self._file.write(line)
        self._file.flush()
        self._size += len(line)

    def _turn_page(self) -> None:
        self._file.close()
        (self._to / f"shown.{self.options.pages}.jsonl").unlink(missing_ok=True)
        for number in range(self.options.pages - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                (self._to / f"shown.{number}.jsonl").rename(self._to / f"shown.{number + 1}.jsonl")
        (self._to / NAME).rename(self._to / "shown.1.jsonl")
        self._file = (self._to / NAME).open("ab")
        self._size = 0

    def _beside(self, stream: str, ending: str, data: bytes) -> str:
        """A file of its own; beyond the number that is kept the oldest goes."""
        name = f"{_plain(stream)}-{self._count:08d}{ending}"
        (self._to / name).write_bytes(data)
        self._files.append((self._count, name))
        self._count += 1
        while len(self._files) > self.options.files:
            (self._to / self._files.pop(0)[1]).unlink(missing_ok=True)
        return name

    def _folder(self) -> Path:
        """Where to write. Raises RoleError where that cannot be."""
        to = Path(self.options.to).expanduser() if self.options.to else (self.state_folder or Path("roomful-shown"))
        where = f"{self.name}, option to"
        if not to.is_absolute():
            to = (self.state_folder or Path.cwd()) / to
        if to.resolve().is_relative_to(self.folder.resolve()):
            raise RoleError(f"{to} lies in the deployment's folder, which must not change", where=where, instead="name another folder")
        try:
            to.mkdir(parents=True, exist_ok=True)
            (to / NAME).open("ab").close()
        except OSError as refusal:
            what = f"nothing can be written to {to}: {refusal.strerror}"
            raise RoleError(what, where=where, instead="name a folder that this user may write to") from refusal
        return to


def _plain(stream: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in stream)[:60] or "stream"


def _numbered(folder: Path) -> list[tuple[int, str]]:
    """(number, name) of the files that an earlier life left beside the lines."""
    found = []
    for path in folder.iterdir():
        number = path.stem.rpartition("-")[2]
        if path.suffix in (".png", ".wav", ".f32") and number.isdigit():
            found.append((int(number), path.name))
    return found
