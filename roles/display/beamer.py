"""One projector, looked after by a thread of its own: brought to the power that is wanted, and asked how it is.

Warming up and cooling down take a minute or two in which a projector refuses orders, so an order is a wish that is held and
looked at again, never a command that is sent once. A projector that somebody switched off by hand is switched on again, as
the artwork wants it; one that does not answer is asked more and more seldom, up to every 15 s.
"""

from __future__ import annotations

import threading
import time
from collections import deque

from roles.display.pjlink import Condition, Conversation, PjlinkError

BACKOFF_S = (1.0, 2.0, 5.0, 15.0)
LATE_S = 240.0  # so long after the wish it must be fulfilled, lamps that warm up included
BUSY_POLL_S = 2.0
TO_DO_SILENT = "; to do: see to its power and network cable, that PJLink and network standby are on in its menu, and to its address"


class Beamer:
    """`wish(on)` and look at `condition`, `fault` and `news`."""

    def __init__(self, host: str, port: int, password: str, poll_s: float) -> None:
        self.host = host
        self.condition: Condition | None = None
        self._port, self._password, self._poll_s = port, password, poll_s
        self._wish: bool | None = None
        self._wished_s = self._answered_s = time.monotonic()
        self._silence = ""
        self._news: deque[str] = deque(maxlen=50)
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._look_after, name=f"projector {host}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wish(self, on: bool) -> None:
        """What power it should have, from now on."""
        if on != self._wish:
            self._wish, self._wished_s = on, time.monotonic()
            self._wake.set()

    def stop(self, *, off: bool) -> None:
        """No more looking after; `off`: switched off first, if it answers within some seconds."""
        self._stopping = True
        if off:
            self._wish = False
        self._wake.set()
        self._thread.join(8.0)

    def news(self) -> list[str]:
        """What a technician should hear, each line once."""
        return [self._news.popleft() for _ in range(len(self._news))]

    def fault(self, now_s: float, patience_s: float) -> str:
        """Why it does not do what it is for, "" when it does or may still come to it."""
        if self._silence and now_s - self._answered_s >= patience_s:
            return f"the projector at {self.host} {self._silence}"
        wanted = {True: "on", False: "off", None: ""}[self._wish]
        condition = self.condition
        if condition is not None and wanted and condition.power != wanted and now_s - self._wished_s >= LATE_S:
            return f"the projector at {self.host} should be {wanted} and is {condition.power}; to do: try its own remote control"
        if condition is not None and wanted == "on" and condition.errors:
            return f"the projector at {self.host} reports a fault of its {' and '.join(condition.errors)}; to do: look at it"
        return ""

    # ---- its own thread

    def _look_after(self) -> None:
        tries = 0
        while not self._stopping:
            self._wake.clear()
            wait_s = self._poll_s
            try:
                busy = self._converse()
                tries, wait_s = 0, min(wait_s, BUSY_POLL_S) if busy else wait_s
            except (OSError, PjlinkError) as failed:
                wait_s = min(BACKOFF_S[min(tries, len(BACKOFF_S) - 1)], self._poll_s)
                tries += 1
                self._mute(failed)
            self._wake.wait(wait_s)
        if self._wish is False:
            try:
                self._converse()
            except (OSError, PjlinkError) as failed:
                self._mute(failed)

    def _converse(self) -> bool:
        """Ask, and order what is wanted. Whether it is on its way to it."""
        with Conversation(self.host, self._port, self._password) as talk:
            condition = talk.condition()
            self._note(condition)
            wanted = self._wish
            if wanted is None or condition.power == ("on" if wanted else "off"):
                return False
            if condition.power == ("warming" if wanted else "cooling"):
                return True
            try:
                talk.switch(wanted)
                self._news.append(f"the projector at {self.host} is switched {'on' if wanted else 'off'}")
            except PjlinkError as refusal:
                if not refusal.busy:
                    raise
            return True

    def _note(self, condition: Condition) -> None:
        if self._silence:
            self._news.append(f"the projector at {self.host} answers again")
        before, self.condition = self.condition, condition
        self._silence, self._answered_s = "", time.monotonic()
        for sort, now, earlier in (
            ("warns of", condition.warnings, before.warnings if before else ()),
            ("reports a fault of", condition.errors, before.errors if before else ()),
        ):
            if set(now) - set(earlier):
                self._news.append(f"the projector at {self.host} {sort} its {' and '.join(now)}")

    def _mute(self, failed: Exception) -> None:
        reason = getattr(failed, "strerror", None) or failed
        words = str(failed) if isinstance(failed, PjlinkError) else f"does not answer: {reason}{TO_DO_SILENT}"
        if words != self._silence:
            self._news.append(f"the projector at {self.host} {words}")
        self._silence = words
