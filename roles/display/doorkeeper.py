"""Who may stand at the page's door, for how long, and how often one may ask: so that no phone keeps the others, or the wall itself, out.

uvicorn waits for ever for a call that is never finished, and counts whoever is silent against everybody else. Here a call has ten seconds
to be made, an answer ten minutes to be taken, one address so many connections and questions, and all together so many more. A browser on
this very machine, which is the screen in the room, always finds a place. What was refused is counted by its reason.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

CONNECTIONS_MAX, OF_ONE_MAX = 200, 24
PATIENCE_S = 10.0  # for a call to be made
TAKING_S = 600.0  # for an answer to be taken: a film, on a poor radio
ASKED_A_SECOND, ASKED_AT_ONCE = 50.0, 300.0
ADDRESSES_MAX = 1000  # remembered with their allowances
FULL, SLOW, OFTEN = "full", "slow", "often"


class Allowance:
    """So many a second, and so many at once at most."""

    def __init__(self, a_second: float, at_once: float) -> None:
        self._a_second, self._at_once = a_second, at_once
        self._left, self._counted_s = at_once, time.monotonic()

    def take(self) -> bool:
        """Whether one more is within it."""
        now = time.monotonic()
        self._left = min(self._at_once, self._left + (now - self._counted_s) * self._a_second)
        self._counted_s = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class Doorkeeper:
    """Counts who is there. All on the server's own thread; `refused` may be read from any."""

    def __init__(self) -> None:
        self._here: dict[str, int] = {}
        self._asking: dict[str, Allowance] = {}
        self.refused = {FULL: 0, SLOW: 0, OFTEN: 0}

    def enter(self, address: str) -> bool:
        """A connection is made: whether it may stay. Who may is to `leave`."""
        count, total = self._here.get(address, 0), sum(self._here.values())
        if count >= OF_ONE_MAX or (total >= CONNECTIONS_MAX and not is_here(address)):
            self.refused[FULL] += 1
            return False
        self._here[address] = count + 1
        return True

    def leave(self, address: str) -> None:
        """It has ended."""
        left = self._here.get(address, 0) - 1
        if left > 0:
            self._here[address] = left
        else:
            self._here.pop(address, None)

    def may_ask(self, address: str) -> bool:
        """One more question from there."""
        allowance = self._asking.pop(address, None) or Allowance(ASKED_A_SECOND, ASKED_AT_ONCE)
        self._asking[address] = allowance  # at the end: whoever has been silent longest is forgotten first
        if len(self._asking) > ADDRESSES_MAX:
            del self._asking[next(iter(self._asking))]
        if allowance.take():
            return True
        self.refused[OFTEN] += 1
        return False


def is_here(address: str) -> bool:
    """Whether an address is this machine's own loopback."""
    return address.startswith("127.") or address in ("::1", "::ffff:127.0.0.1")


def guarded(keeper: Doorkeeper) -> Any:
    """uvicorn's protocol with a keeper before it; a class, as uvicorn wants one."""
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Guarded(H11Protocol):
        _entered = ""
        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            address = self.client[0] if self.client else ""
            if not keeper.enter(address):
                transport.abort()
                return
            self._entered = address
            self._wait(PATIENCE_S)

        def connection_lost(self, exc: Exception | None) -> None:
            self._gone()
            super().connection_lost(exc)

        def handle_events(self) -> None:
            answering = self.cycle is not None and not self.cycle.response_complete
            super().handle_events()
            if not answering and self._entered and self.cycle is not None and not self.cycle.response_complete:
                self._wait(TAKING_S)

        def on_response_complete(self) -> None:
            self._wait(PATIENCE_S)
            super().on_response_complete()

        def handle_websocket_upgrade(self, event: Any) -> None:
            self._gone()  # the audience counts its own
            super().handle_websocket_upgrade(event)

        def _gone(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._entered:
                keeper.leave(self._entered)
                self._entered = ""

        def _wait(self, seconds: float) -> None:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self.loop.call_later(seconds, self._too_slow)

        def _too_slow(self) -> None:
            keeper.refused[SLOW] += 1
            self.transport.abort()

    return Guarded
