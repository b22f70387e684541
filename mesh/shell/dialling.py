"""One peer's line: dialled at every address it may have, verified, used, and dialled again when it breaks.

A machine says that it has five addresses; two lead nowhere, one is a container bridge that leads back to
ourselves. What an address is worth shows only by dialling it. So all are tried, the better ranked with a head
start, and the first that completes the encrypted handshake *and* answers with the peer's own id is used. Nobody is called
whose certificate is not known: each address is shown this node's own first, by a datagram, and asked for its. The
TCP connection tried first tells refusal (a machine is there, its agent is not) from silence, which ZeroMQ does
not. ZeroMQ's own reconnection is off: a broken line is news for whoever judges, and another address may be
better by now.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket as tcp
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import zmq

from mesh.shell import curve
from mesh.shell.register import Register
from mesh.shell.sockets import MESSAGE_BYTES_MAX, Inbox, bounded, hush

HERE = b"here"  # a listening node's answer: its id
HEAD_START_S = 0.04  # between one rank of address and the next
LOOK_UP_S = 2.0
KNOCK_S = 0.5  # for a TCP connection
SHOWN_S = 0.3  # for the peer's certificate, where it is not known yet
LOOK_S = 0.005
WELCOME_S = 1.5  # for the handshake and the first answer
RETRY_MIN_S, RETRY_MAX_S, RETRY_LONG_S = 0.05, 1.0, 3.0
LONG_AFTER_S = 60.0
WAITING_MAX = 256
LINGER_MS = 200
_BROKEN_EVENTS = (
    zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
# When addresses fail in different ways, the first of these is told.
_TELLING = ("wrong-key", "unknown", "refused", "stranger", "unreachable")
Hint = Callable[[str, str, str], None]
Ask = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class Failed:
    """Why an address did not serve: one of `_TELLING`, and the address as a technician should see it, with a reason if one is known."""

    address: str
    what: str
    detail: str


class Call:
    """One ZeroMQ connection to one address, verified by `welcome`."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], register: Register, peer: str, theirs: bytes) -> None:
        self._peer = peer.encode()
        self._loop = asyncio.get_running_loop()
        self.answered: asyncio.Future[bytes] = self._loop.create_future()
        self.broken: asyncio.Future[str] = self._loop.create_future()
        self._socket = bounded(context.socket(zmq.DEALER))
        curve.client(self._socket, theirs, register.mine.public, register.mine.curve_secret)
        self._socket.setsockopt(zmq.RECONNECT_IVL, -1)
        self._socket.setsockopt(zmq.HEARTBEAT_IVL, 2_000)
        self._socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 2_500)
        self._socket.setsockopt(zmq.HEARTBEAT_TTL, 8_000)
        self._inbox = Inbox(self._socket, self._received)
        self._monitor = self._socket.get_monitor_socket(_BROKEN_EVENTS)
        self._news = Inbox(self._monitor, self._happened)

    def connect(self, address: str, port: int) -> None:
        """Begins; the answer completes `answered`, a refusal or break completes `broken`."""
        self._socket.connect(f"tcp://{address}:{port}")
        self.send(b"")

    def send(self, data: bytes) -> bool:
        """Whether ZeroMQ took it: not when a thousand messages wait already."""
        try:
            self._socket.send_multipart([self._peer, data], zmq.NOBLOCK)
        except zmq.ZMQError:
            return False
        self._inbox.after_send()
        return True

    def close(self) -> None:
        """Hangs up, with a fifth of a second in the background for what is on its way: a goodbye, mostly."""
        self._news.close()
        self._inbox.close()
        hush(self._socket, self._monitor)
        self._socket.close(LINGER_MS)
        for future in (self.answered, self.broken):
            future.cancel()

    def _received(self, parts: list[bytes]) -> None:
        if len(parts) != 2 or parts[0] != HERE:
            return
        if not self.answered.done():
            self.answered.set_result(parts[1])
        if parts[1] != self._peer:
            self.break_off("another node answers there")

    def _happened(self, parts: list[bytes]) -> None:
        self.break_off("the connection broke")

    def break_off(self, why: str) -> None:
        """The call is of no more use."""
        if not self.broken.done():
            self.broken.set_result(why)


class Line:
    """Keeps one peer reachable for as long as it is not closed."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], register: Register, peer: str, hint: Hint, ask: Ask) -> None:
        self._context, self._register, self._peer, self._hint, self._ask = context, register, peer, hint, ask
        self._addresses: tuple[str, ...] = ()
        self._port = 0
        self._call: Call | None = None
        self._waiting: deque[bytes] = deque(maxlen=WAITING_MAX)
        self._nudge = asyncio.Event()
        self._tried_s = 0.0
        self._told = ""
        self._proven = ""
        self.address: str | None = None
        self.dropped = 0
        self._task = asyncio.get_running_loop().create_task(self._keep())

    def aim(self, addresses: Sequence[str], port: int) -> None:
        """Where to dial from now on. A line that works is kept unless the port changed."""
        wanted = tuple(dict.fromkeys(addresses))
        changed = (wanted, port) != (self._addresses, self._port)
        moved = self._port not in (0, port)
        self._addresses, self._port = wanted, port
        if self._call is not None:
            if moved:
                self._call.break_off("the peer listens elsewhere")
        elif changed or time.monotonic() - self._tried_s > 2 * RETRY_MIN_S:
            self._nudge.set()

    def send(self, data: bytes) -> bool:
        """True when it is on its way or waits for the line; never blocks."""
        if self._call is not None and not self._call.broken.done():
            if self._call.send(data):
                return True
            self.dropped += 1
            return False
        if len(self._waiting) == WAITING_MAX:
            self.dropped += 1  # the oldest goes
        self._waiting.append(data)
        return True

    async def close(self) -> None:
        """Hangs up and dials no more."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _keep(self) -> None:
        delay_s, failing_since = RETRY_MIN_S, time.monotonic()
        try:
            while True:
                self._nudge.clear()
                self._tried_s = time.monotonic()
                failures = await self._dial()
                if self._call is not None:
                    why = await self._use(self._call)
                    self._hint(self._peer, "lost", why)
                    delay_s, failing_since, self._told = RETRY_MIN_S, time.monotonic(), ""
                    continue
                self._tell(failures)
                if await self._nudged(delay_s):
                    delay_s, failing_since = RETRY_MIN_S, time.monotonic()
                    continue
                long = time.monotonic() - failing_since > LONG_AFTER_S
                delay_s = RETRY_LONG_S if long else min(2 * delay_s, RETRY_MAX_S)
        finally:
            self._hang_up()

    async def _use(self, call: Call) -> str:
        """The line works: sends what waited, and returns when it breaks, with the words for it."""
        while self._waiting:
            call.send(self._waiting.popleft())
        self._told = "reached"
        self._hint(self._peer, "reached", self.address or "")
        why = await asyncio.shield(call.broken)
        self._hang_up()
        return why

    def _hang_up(self) -> None:
        self.address = None
        if self._call is not None:
            self._call.close()
            self._call = None

    async def _nudged(self, delay_s: float) -> bool:
        try:
            await asyncio.wait_for(self._nudge.wait(), delay_s)
        except TimeoutError:
            return False
        return True

    async def _dial(self) -> list[Failed]:
        """Tries every address; sets the call and its address when one serves."""
        # Where it was last proven to be comes first, even when the peer does not offer it any more.
        order = dict.fromkeys(filter(None, (self._proven, *self._addresses)))
        tries = {asyncio.create_task(self._try(address, rank * HEAD_START_S)) for rank, address in enumerate(order)}
        failures: list[Failed] = []
        try:
            while tries and self._call is None:
                done, tries = await asyncio.wait(tries, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    outcome = task.result()
                    if isinstance(outcome, Failed):
                        failures.append(outcome)
                        if outcome.address == self._proven:
                            self._tell([outcome])  # the evidence that counts; the other addresses may take long
                    elif self._call is None:
                        self._call, self.address = outcome
                        self._proven = self.address
                    else:
                        outcome[0].close()
        finally:
            for task in tries:
                task.cancel()
            for late in await asyncio.gather(*tries, return_exceptions=True):
                if isinstance(late, tuple):
                    late[0].close()
        return failures

    async def _try(self, address: str, head_start_s: float) -> tuple[Call, str] | Failed:
        await asyncio.sleep(head_start_s)
        found = await _look_up(address, self._port)
        if isinstance(found, Failed):
            return found
        address = found
        refused = await _knock(address, self._port)
        if refused is not None:
            return refused
        theirs = await self._shown(address)
        if theirs is None:
            return Failed(address, "unknown", f"{address}:{self._port}")
        try:
            return await self._call_up(address, theirs)
        except (zmq.ZMQError, OSError) as error:  # this machine is out of sockets: no reason never to dial again
            return Failed(address, "unreachable", f"{address}:{self._port} ({error})")

    async def _shown(self, address: str) -> bytes | None:
        """The peer's key, from its certificate; this node shows its own, so that the call is expected."""
        self._ask(address, self._port)
        until_s = time.monotonic() + SHOWN_S
        while (theirs := self._register.public(self._peer)) is None and time.monotonic() < until_s:
            await asyncio.sleep(LOOK_S)
        return theirs

    async def _call_up(self, address: str, theirs: bytes) -> tuple[Call, str] | Failed:
        call = Call(self._context, self._register, self._peer, theirs)
        served = False
        try:
            call.connect(address, self._port)
            either: set[asyncio.Future[Any]] = {call.answered, call.broken}
            await asyncio.wait(either, timeout=WELCOME_S, return_when=asyncio.FIRST_COMPLETED)
            failed = self._judge(call, address)
            served = failed is None
        finally:
            if not served:
                call.close()
        return failed or (call, address)

    def _judge(self, call: Call, address: str) -> Failed | None:
        there = f"{address}:{self._port}"
        if not call.answered.done():
            other = self._register.who_showed(address, self._port) not in (None, self._peer)
            return Failed(address, "stranger" if other else "wrong-key", there)  # or it is another program
        if call.answered.result() != self._peer.encode():
            return Failed(address, "stranger", there)
        return None

    def _tell(self, failures: list[Failed]) -> None:
        """Hints why the peer cannot be reached, once for each change. Where it was last reached counts most."""
        if not failures:
            return
        failures.sort(key=lambda failed: (failed.address != self._proven, _TELLING.index(failed.what)))
        worst = failures[0]
        if worst.what != self._told:
            self._told = worst.what
            self._hint(self._peer, worst.what, worst.detail)


async def _look_up(name: str, port: int) -> str | Failed:
    """The IPv4 address of a host's name, which seeds may be; an address is its own."""
    with contextlib.suppress(OSError, ValueError):
        tcp.inet_pton(tcp.AF_INET, name)
        return name
    loop = asyncio.get_running_loop()
    try:
        found = await asyncio.wait_for(loop.getaddrinfo(name, port, family=tcp.AF_INET), LOOK_UP_S)
    except (OSError, OverflowError, ValueError, TimeoutError):
        return Failed(name, "unreachable", f"{name} (a name that nobody knows)")
    return str(found[0][4][0])


async def _knock(address: str, port: int) -> Failed | None:
    """Whether something listens there, by one TCP connection."""
    there = f"{address}:{port}"
    with tcp.socket(tcp.AF_INET, tcp.SOCK_STREAM) as knock:
        knock.setblocking(False)
        try:
            await asyncio.wait_for(asyncio.get_running_loop().sock_connect(knock, (address, port)), KNOCK_S)
        except TimeoutError:
            return Failed(address, "unreachable", there)
        except ConnectionRefusedError:
            return Failed(address, "refused", there)
        except (OSError, OverflowError) as error:
            return Failed(address, "unreachable", f"{there} ({getattr(error, 'strerror', None) or 'not an address'})")
    return None


def too_large(data: bytes) -> bool:
    """Whether the other side would hang up on it."""
    return len(data) > MESSAGE_BYTES_MAX
