"""Who may stand at a port of HTTP, for how long, and how often one may ask: so that no phone keeps the others, the technician or the wall
itself, out.

uvicorn waits for ever for a call that is never finished and for an answer that is never taken, and counts whoever is silent against
everybody else. Here a call has ten seconds to be made, an answer ten minutes to be taken, one address so many connections and questions,
and all together so many more. This very machine, whose browser is the screen in the room, always finds a place. What was refused is counted
by its reason. The pages of a work (`display.web`) and the dashboard stand behind the same door with other numbers; roles have it from
`mesh.role`. Time is an argument of what counts, so that no test need wait.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

SAID_BYTES_A_SECOND, SAID_BYTES_AT_ONCE = 16_384.0, 262_144.0  # on one WebSocket; a read takes that much at once at most
ADDRESSES_MAX = 1000  # remembered with their allowances
FULL, SLOW, OFTEN, BROKEN, ELSEWHERE = "full", "slow", "often", "broken", "elsewhere"  # broken: no HTTP; elsewhere: another page's


@dataclass(frozen=True, slots=True)
class Bounds:
    """Connections of all and of one address; seconds for a call to be made and for an answer to be taken (a film, on a poor radio);
    questions of one address, a second and at once."""

    connections: int
    of_one: int
    asked_a_second: float
    asked_at_once: float
    patience_s: float = 10.0
    taking_s: float = 600.0


class Allowance:
    """So many a second, and so many at once at most."""

    def __init__(self, a_second: float, at_once: float, now: Callable[[], float] = time.monotonic) -> None:
        self._a_second, self._at_once, self._now = a_second, at_once, now
        self._left, self._counted_s = at_once, now()

    def left(self) -> bool:
        """Whether one more is within it."""
        now_s = self._now()
        self._left = min(self._at_once, self._left + (now_s - self._counted_s) * self._a_second)
        self._counted_s = now_s
        return self._left >= 1.0

    def take(self, so_much: float = 1.0) -> bool:
        """One more, or so much more, if it is within it."""
        if not self.left() or so_much > self._left:
            return False
        self._left -= so_much
        return True


class Allowances:
    """One for each address. Whoever has been silent longest is forgotten first."""

    def __init__(self, a_second: float, at_once: float, now: Callable[[], float] = time.monotonic) -> None:
        self._a_second, self._at_once, self._now = a_second, at_once, now
        self._kept: dict[str, Allowance] = {}

    def left(self, address: str) -> bool:
        """Whether one more from there is within it."""
        kept = self._kept.get(address)
        return self._at_once >= 1.0 if kept is None else kept.left()

    def take(self, address: str) -> bool:
        """One more from there, if it is within it."""
        allowance = self._kept.pop(address, None) or Allowance(self._a_second, self._at_once, self._now)
        self._kept[address] = allowance
        if len(self._kept) > ADDRESSES_MAX:
            del self._kept[next(iter(self._kept))]
        return allowance.take()


class Doorkeeper:
    """Counts who is there. All on the server's own thread; `refused` may be read from any."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.refused = {FULL: 0, SLOW: 0, OFTEN: 0, BROKEN: 0, ELSEWHERE: 0}
        self._there: dict[str, int] = {}
        self._asking = Allowances(bounds.asked_a_second, bounds.asked_at_once)

    def enter(self, address: str) -> bool:
        """A connection is made: whether it may stay. Who may is to `leave`."""
        count, total = self._there.get(address, 0), sum(self._there.values())
        if count >= self.bounds.of_one or (total >= self.bounds.connections and not is_here(address)):
            self.refused[FULL] += 1
            return False
        self._there[address] = count + 1
        return True

    def leave(self, address: str) -> None:
        """It has ended."""
        left = self._there.get(address, 0) - 1
        if left > 0:
            self._there[address] = left
        else:
            self._there.pop(address, None)

    def may_ask(self, address: str) -> bool:
        """One more question from there."""
        if self._asking.take(address):
            return True
        self.refused[OFTEN] += 1
        return False


def is_here(address: str) -> bool:
    """Whether an address is this machine's own loopback."""
    return address.startswith("127.") or address in ("::1", "::ffff:127.0.0.1")


def guarded(keeper: Doorkeeper) -> Any:
    """uvicorn's protocol with a keeper before it; a class, as uvicorn wants one."""
    from uvicorn.protocols.http.h11_impl import H11Protocol, h11

    class Guarded(H11Protocol):
        _entered: str | None = None
        _timer: asyncio.TimerHandle | None = None
        _answered: Any = None  # the call whose answer is to be taken

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            address = self.client[0] if self.client else ""
            if not keeper.enter(address):
                transport.abort()
                return
            self._entered = address
            self._wait(keeper.bounds.patience_s)

        def connection_lost(self, exc: Exception | None) -> None:
            self._gone()
            super().connection_lost(exc)

        def handle_events(self) -> None:
            super().handle_events()
            answering = self._entered is not None and self.cycle is not None and not self.cycle.response_complete
            if answering and self.cycle is not self._answered and self.conn.their_state is not h11.SEND_BODY:  # the call is made
                self._answered = self.cycle
                self._wait(keeper.bounds.taking_s)

        def on_response_complete(self) -> None:
            self._wait(keeper.bounds.patience_s)
            super().on_response_complete()

        def send_400_response(self, msg: str) -> None:
            keeper.refused[BROKEN] += 1
            super().send_400_response(msg)

        def handle_websocket_upgrade(self, event: Any) -> None:
            self._gone()  # who serves WebSockets counts them himself
            super().handle_websocket_upgrade(event)

        def _gone(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._entered is not None:
                keeper.leave(self._entered)
                self._entered = None

        def _wait(self, seconds: float) -> None:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self.loop.call_later(seconds, self._too_slow)

        def _too_slow(self) -> None:
            keeper.refused[SLOW] += 1
            self.transport.abort()

    return Guarded


def terse(keeper: Doorkeeper) -> Any:
    """uvicorn's protocol of WebSockets for browsers that only look; a class, as uvicorn wants one.

    It keeps what is said until it is whole, however many pieces of nothing it comes in, and answers every ping into a buffer that a browser
    need not read: either is memory for whoever asks. A browser says little, in one piece, and never pings, so who does else is hung up on.
    """
    from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

    class Terse(WebSocketsSansIOProtocol):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._may_say = Allowance(SAID_BYTES_A_SECOND, SAID_BYTES_AT_ONCE)

        def data_received(self, data: bytes) -> None:
            if self._may_say.take(len(data)):
                super().data_received(data)
            else:
                self._too_much()

        def handle_text(self, event: Any) -> None:
            if event.fin:
                super().handle_text(event)
            else:
                self._too_much()

        def handle_bytes(self, event: Any) -> None:
            self._too_much()

        def handle_ping(self) -> None:
            if self.writable.is_set():
                super().handle_ping()
            else:
                self._too_much()

        def _too_much(self) -> None:
            if not self.transport.is_closing():
                keeper.refused[OFTEN] += 1
                self.transport.abort()

    return Terse
