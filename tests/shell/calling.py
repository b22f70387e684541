"""Control sockets for tests, each with what an agent has beside it: credentials, a register, and introductions over UDP."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable

from mesh.shell.beats import Beats, TransportError
from mesh.shell.certificates import OPERATOR
from mesh.shell.credentials import Credentials, let_in
from mesh.shell.introductions import Introductions
from mesh.shell.keys import InstallationKey, throwaway_key
from mesh.shell.register import Register
from mesh.shell.transport import Control, Reply

HERE = "127.0.0.1"


class CallingNode:
    """A control socket, what it heard and what it was hinted. `name` is one hex digit, of which its id is made."""

    def __init__(self, name: str, key: InstallationKey | Credentials, port: int = 0) -> None:
        self.id = name * 32
        self.heard: list[bytes] = []
        self.datagrams: list[bytes] = []
        self.hints: list[tuple[str, str, str]] = []
        self.register = Register(let_in(key, self.id) if isinstance(key, InstallationKey) else key)
        self.beats = Beats(self._datagram)
        self.introductions = Introductions(self.register, self.beats.send)
        self.control = Control(self.register, receive=self.receive, on_hint=lambda *hint: self.hints.append(hint), ask=self._ask)
        self.port = self._bind(port)

    def _bind(self, port: int) -> int:
        if port:
            self.beats.bind(HERE, self.control.bind(HERE, port))
            return port
        for _ in range(20):
            free = self.beats.bind(HERE, 0)
            try:
                return self.control.bind(HERE, free)
            except TransportError:
                self.beats.close()
        raise AssertionError("no number is free for both UDP and TCP")

    def _ask(self, address: str, port: int) -> None:
        self.introductions.tell(address, port, ask=True)

    def _datagram(self, data: bytes, sender: tuple[str, int], age_s: float) -> None:
        if not self.introductions.hear(data, sender):
            self.datagrams.append(data)

    def receive(self, data: bytes, reply: Reply) -> None:
        self.heard.append(data)
        if data.startswith(b"ask"):
            reply(b"answer to " + data)
        if data == b"ask much":
            reply(b"and more")
            reply(b"")

    def told(self, what: str) -> list[tuple[str, str, str]]:
        return [hint for hint in self.hints if hint[1] == what]

    async def close(self) -> None:
        await self.control.close()
        self.beats.close()


Story = Callable[[Callable[..., CallingNode]], Awaitable[None]]


def play(story: Story) -> None:
    """Runs a story with nodes that share one key, unless another is given, and closes them."""

    async def whole() -> None:
        key, nodes = throwaway_key(), []

        def node(name: str, other_key: InstallationKey | Credentials | None = None, port: int = 0) -> CallingNode:
            nodes.append(CallingNode(name, other_key or key, port))
            return nodes[-1]

        try:
            await story(node)
        finally:
            for each in nodes:
                await each.close()

    asyncio.run(whole())


def command(key: InstallationKey) -> Register:
    """What a command on the owner's machine calls with."""
    return Register(let_in(key, secrets.token_hex(16), kind=OPERATOR))
