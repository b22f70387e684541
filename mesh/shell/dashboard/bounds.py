"""How many may stand at the dashboard's port, how often they may ask and how long they may take, so that nobody keeps the technician
out.

uvicorn waits for ever for a question that is never finished, and for an answer that is never taken. Here a question has ten seconds;
an answer ten minutes, after which the page asks for the live line anew; an address so many connections and questions, and all so many
more. This machine itself always finds a place. As at a page's port (`roles/display/doorkeeper.py`), with smaller numbers: a role may
not be imported here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

CONNECTIONS_MAX, OF_ONE_MAX = 64, 16
PATIENCE_S = 10.0
TAKING_S = 600.0
ASKED_A_SECOND, ASKED_AT_ONCE = 10.0, 60.0
ADDRESSES_MAX = 1000


class Allowances:
    """For each address so many a second, and so many at once. Whoever has been silent longest is forgotten first."""

    def __init__(self, a_second: float, at_once: float, now: Callable[[], float] = time.monotonic) -> None:
        self._a_second, self._at_once, self._now = a_second, at_once, now
        self._left: dict[str, tuple[float, float]] = {}  # address -> (left, counted when)

    def left(self, address: str) -> bool:
        """Whether one more is within it."""
        return self._counted(address) >= 1.0

    def take(self, address: str) -> bool:
        """One more, if it is within it."""
        left = self._counted(address)
        self._left.pop(address, None)
        self._left[address] = (left - 1.0 if left >= 1.0 else left, self._now())
        if len(self._left) > ADDRESSES_MAX:
            del self._left[next(iter(self._left))]
        return left >= 1.0

    def _counted(self, address: str) -> float:
        left, counted_s = self._left.get(address, (self._at_once, self._now()))
        return min(self._at_once, left + (self._now() - counted_s) * self._a_second)


class Keeper:
    """Counts the connections. All on the server's own thread; `refused` may be read from any."""

    def __init__(self) -> None:
        self._here: dict[str, int] = {}
        self._asking = Allowances(ASKED_A_SECOND, ASKED_AT_ONCE)
        self.refused = {"full": 0, "slow": 0, "often": 0}

    def enter(self, address: str) -> bool:
        """A connection is made: whether it may stay. Who may is to `leave`."""
        count, total = self._here.get(address, 0), sum(self._here.values())
        if count >= OF_ONE_MAX or (total >= CONNECTIONS_MAX and not address.startswith("127.")):
            self.refused["full"] += 1
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
        if self._asking.take(address):
            return True
        self.refused["often"] += 1
        return False


def guarded(keeper: Keeper) -> Any:
    """uvicorn's protocol with a keeper before it; a class, as uvicorn wants one."""
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Guarded(H11Protocol):
        _entered: str | None = None
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
            if self._timer is not None:
                self._timer.cancel()
            if self._entered is not None:
                keeper.leave(self._entered)
                self._entered = None
            super().connection_lost(exc)

        def handle_events(self) -> None:
            answering = self.cycle is not None and not self.cycle.response_complete
            super().handle_events()
            if not answering and self._entered is not None and self.cycle is not None and not self.cycle.response_complete:
                self._wait(TAKING_S)

        def on_response_complete(self) -> None:
            self._wait(PATIENCE_S)
            super().on_response_complete()

        def _wait(self, seconds: float) -> None:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self.loop.call_later(seconds, self._too_slow)

        def _too_slow(self) -> None:
            keeper.refused["slow"] += 1
            self.transport.abort()

    return Guarded
