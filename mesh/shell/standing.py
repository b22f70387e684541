"""What an instance is at this moment, shared by the two threads of its process.

The watch thread writes what the agent says, the role thread writes what it does, and each reads the other's plain
attributes without a lock: every one of them is replaced whole, and a reader that sees it a moment late does no harm.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mesh.core.vigil import Word
from mesh.shell.host_config import HostConfig
from mesh.shell.places import place_of_thread

BUSY_S = 2.0  # a call that lasts longer tells where it is


class Standing:
    """One instance. `active`: its inputs and ticks are handled. `muted`: what it sends is marked as a standby's."""

    def __init__(self, config: HostConfig) -> None:
        self.hot = config.standby == "hot"
        self.epoch = config.epoch
        self.playing = config.playing
        self.stopping = False
        self.rests = False  # it stops because the whole work does
        self.woken = False  # one of the role's own threads wants a tick
        self.loading_since_s: float | None = time.monotonic()  # None once its `setup` is over
        self._thread, self._folder = threading.get_ident(), Path(config.folder).resolve()
        self.watch_thread: int | None = None  # as the system numbers it
        self.handling_since_s: float | None = None
        self.progress = 0
        self.counts: Callable[[], dict[str, Any]] = dict  # streams, inputs and requests, once there are any
        self.facts: dict[str, Any] = {}
        self.word = Word()  # the role's own, about whether it works
        self.active_since_s = time.monotonic()
        self.ring: Callable[[], None] = lambda: None
        self.vouched: tuple[str, ...] = config.vouched  # the keys that are let in; `meet` hears when they change, and whom to hang up on
        self.meet: Callable[[list[str], bool], None] = lambda cut, sweep: None

    @property
    def muted(self) -> bool:
        """Whether its frames are a standby's."""
        return not self.playing

    @property
    def active(self) -> bool:
        """Whether it handles inputs and ticks."""
        return self.playing or self.hot

    def play(self, epoch: int) -> None:
        """It is the holder now: what it sends from here on counts. From the watch thread, so that it waits for no handler."""
        if not self.active:
            self.active_since_s = time.monotonic()
        self.epoch = epoch
        self.playing = True

    def pulse(self) -> dict[str, Any]:
        """What the agent hears four times a second."""
        since_s = self.handling_since_s
        word = self.word.told(time.monotonic(), self.active_since_s) if self.active else {}
        busy_s = 0.0 if since_s is None else round(time.monotonic() - since_s, 3)
        facts = self.facts if self.loading_since_s is None else {**self.facts, "loading": self._at(self.loading_since_s)}
        if since_s is not None and busy_s >= BUSY_S:
            facts = {**facts, "busy": self._at(since_s)}
        return {
            "type": "pulse", "playing": self.playing, "epoch": self.epoch, "progress": self.progress, "busy_s": busy_s,
            "rss_bytes": rss_bytes(), "facts": dict(facts), **word, **self.counts(),
        }  # fmt: skip

    def _at(self, since_s: float) -> list[Any]:
        """For how many seconds, and where in the role's code it is."""
        return [round(time.monotonic() - since_s), place_of_thread(self._thread, self._folder)]


def rss_bytes() -> int:
    """This process's resident memory; 0 where the system does not tell it in /proc."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * 4096
    except (OSError, ValueError, IndexError):
        return 0
