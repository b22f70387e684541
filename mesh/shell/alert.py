"""A byte that tells a long computation that somebody has said something: to be looked at from a library's own code, without Python.

A model's engine asks in the midst of its sums, some hundred times a token, whether it shall give up. To answer from Python costs a
fifth of a small model's speed: each question waits for the interpreter, and reads the sockets. So a thread sleeps on the files by which a
question's end can come, and sets a byte when one of them has something to read; the engine looks at that byte, by itself. Only then is
Python asked what was said. The thread reads nothing: the sockets stay with the role's own thread.

Decided against: asking every few milliseconds only (the questions themselves cost most), and looking between two tokens only (a large
model's token takes longer than a visitor's new sentence may wait).
"""

from __future__ import annotations

import ctypes
import os
import select
import threading
from collections.abc import Sequence
from contextlib import suppress


class Alert:
    """`address` is that of the byte. `watch` from one thread only; files may be closed while they are watched."""

    def __init__(self) -> None:
        self._byte = ctypes.create_string_buffer(2)
        self.address = ctypes.addressof(self._byte)
        self._wish: tuple[int, tuple[int, ...]] = (0, ())
        self._ended = False
        self._kick_read, self._kick_write = os.pipe()
        os.set_blocking(self._kick_read, False)
        os.set_blocking(self._kick_write, False)
        self._thread = threading.Thread(target=self._look, name="alert", daemon=True)
        self._thread.start()

    @property
    def raised(self) -> bool:
        """Whether the byte is set."""
        return self._byte[0] != b"\0"

    def watch(self, files: Sequence[int]) -> None:
        """From now on the byte is set as soon as one of these files has something to read; it is not until then. No files: never. Costs
        nothing where they are watched already and nothing has come."""
        wanted = tuple(files)
        if self._wish[1] == wanted and not self.raised:
            return
        self._wish = (self._wish[0] + 1, wanted)
        self._byte[0] = b"\0"
        with suppress(BlockingIOError):  # it is awake already
            os.write(self._kick_write, b"!")

    def _look(self) -> None:
        done = 0
        while not self._ended:
            number, files = self._wish
            poll = select.poll()
            for file in (self._kick_read, *(files if number > done else ())):
                poll.register(file, select.POLLIN)
            ready = [file for file, _ in poll.poll() if file != self._kick_read]
            with suppress(BlockingIOError):
                os.read(self._kick_read, 4096)
            if ready and self._wish[0] == number:
                self._byte[0] = b"\1"
                done = number

    def close(self) -> None:
        """Ends the thread."""
        self._ended = True
        with suppress(BlockingIOError):
            os.write(self._kick_write, b"!")
        self._thread.join()
        os.close(self._kick_read)
        os.close(self._kick_write)
