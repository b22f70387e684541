"""What roles print, kept in bounded files: 5 of 1 MB for each instance, the newest first to read.

    logs = Logs(folder)
    logs.open(instance) -> file descriptor for a child's stdout and stderr
    logs.tail(instance, 20) -> its last lines;  logs.follow(instance) -> lines as they come (blocks; command line)
    logs.rotate_large()        called now and then by whoever owns the folder

A role writes straight to its file, so that nothing it prints ever waits for the agent and its last words
survive both. The file is opened for appending and rotated by copy-and-truncate, because the role holds it open:
what is printed in the instant between copy and truncation, some milliseconds in a megabyte, can be lost. Lines
are kept as printed; a header line tells when each generation began. Decided against: a pipe through the agent
(a slow agent would stall the role) and a time stamp before each line (only a pipe could add it, and a traceback
reads better without).
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

ROTATE_BYTES = 1_000_000
KEEP = 5
TAIL_BYTES = 64_000
LINE_CHARS_MAX = 2_000
POLL_S = 0.2


class Logs:
    """The log files of one node's instances, in one folder."""

    def __init__(self, folder: Path, *, rotate_bytes: int = ROTATE_BYTES, keep: int = KEEP) -> None:
        self.folder = folder
        self.rotate_bytes = rotate_bytes
        self.keep = keep

    def path(self, instance: str) -> Path:
        """`poet/1` is kept in `poet.1.log`: no role's name holds a dot."""
        return self.folder / f"{_file_name(instance)}.log"

    def names(self) -> list[str]:
        """The instances that have a log, by name."""
        return sorted(path.name.removesuffix(".log").replace(".", "/") for path in self.folder.glob("*.log"))

    def open(self, instance: str) -> int:
        """A descriptor that appends to the instance's log. OSError when the disk refuses."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return os.open(self.path(instance), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def header(self, descriptor: int, instance: str, generation: int) -> None:
        """Writes the line that parts one generation from the next: local time, instance, generation."""
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        with contextlib.suppress(OSError):
            os.write(descriptor, f"---- {now} {instance} generation {generation}\n".encode())

    def tail(self, instance: str, lines: int = 20) -> list[str]:
        """The last lines, oldest first, across a rotation. Never raises; a line is cut after 2,000 characters."""
        found: list[str] = []
        for path in self._newest_first(instance):
            found = _last_lines(path, lines - len(found)) + found
            if len(found) >= lines:
                break
        return found

    def follow(self, instance: str, lines: int = 20, *, poll_s: float = POLL_S) -> Iterator[str]:
        """The last lines, then every new one as it is printed, for ever. Blocks between them."""
        path = self.path(instance)
        position = _size(path)
        yield from self.tail(instance, lines)
        rest = b""
        while True:
            size = _size(path)
            if size < position:  # rotated: begin again at the top of the new file
                position, rest = 0, b""
            if size == position:
                time.sleep(poll_s)
                continue
            with path.open("rb") as file:
                file.seek(position)
                chunk = file.read(TAIL_BYTES)
            position += len(chunk)
            *whole, rest = (rest + chunk).split(b"\n")
            yield from (_readable(line) for line in whole)

    def rotate_large(self) -> list[str]:
        """Rotates each log above its size; returns the instances rotated. A full disk leaves them as they are."""
        return [name for name in self.names() if _size(self.path(name)) > self.rotate_bytes and self._rotate(name)]

    def _rotate(self, instance: str) -> bool:
        path = self.path(instance)
        try:
            for number in range(self.keep - 2, 0, -1):
                older = _numbered(path, number)
                if older.exists():
                    os.replace(older, _numbered(path, number + 1))
            self._copy_end(path, _numbered(path, 1))
            os.truncate(path, 0)
        except OSError:
            # The disk is full: what a role prints must not fill it further.
            if _size(path) > 2 * self.rotate_bytes:
                with contextlib.suppress(OSError):
                    os.truncate(path, 0)
            return False
        return True

    def _copy_end(self, path: Path, older: Path) -> None:
        """What a log holds; of very much only the end: a role that prints without end fills neither the disk nor the agent's time."""
        with path.open("rb") as file, older.open("wb") as kept:
            left_out = os.fstat(file.fileno()).st_size - self.rotate_bytes
            if left_out > self.rotate_bytes:
                file.seek(left_out)
                file.readline(LINE_CHARS_MAX)
                kept.write(f"---- {left_out / 1e6:,.0f} MB that were printed here are left out\n".encode())
            kept.write(file.read(2 * self.rotate_bytes))

    def _newest_first(self, instance: str) -> Iterator[Path]:
        path = self.path(instance)
        yield path
        for number in range(1, self.keep):
            yield _numbered(path, number)


def _file_name(instance: str) -> str:
    name = instance.replace("/", ".")
    if not name or name.startswith(".") or any(letter in name for letter in "\\\0:"):
        raise ValueError(f"not an instance's name: {instance!r}")
    return name


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _last_lines(path: Path, lines: int) -> list[str]:
    if lines <= 0:
        return []
    try:
        with path.open("rb") as file:
            start = max(0, os.fstat(file.fileno()).st_size - TAIL_BYTES)
            file.seek(start)
            raw = file.read(TAIL_BYTES)
    except OSError:
        return []
    found = raw.split(b"\n")
    if found and not found[-1]:
        found.pop()
    if start and len(found) > 1:
        found = found[1:]  # begun in mid-line
    return [_readable(line) for line in found[-lines:]]


def _readable(line: bytes) -> str:
    return line[:LINE_CHARS_MAX].decode("utf-8", errors="replace").rstrip("\r")
