"""A projector of class 1 that speaks PJLink over TCP as real ones do: slow lamps, one client at a time, refusals while it is busy."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from contextlib import suppress


class ProjectorStandIn:
    """`power` as PJLink counts it: 0 off, 1 on, 2 cooling, 3 warming. `warm_s` and `cool_s` are how long its lamp takes."""

    def __init__(self, password: str = "", warm_s: float = 0.4, cool_s: float = 0.4) -> None:
        self.password, self.warm_s, self.cool_s = password, warm_s, cool_s
        self.errors, self.lamp = "000000", "1342 1"
        self.orders: list[str] = []
        self.refused = 0
        self._power, self._until_s = 0, 0.0
        self._count = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def power(self) -> int:
        if self._power in (2, 3) and time.monotonic() >= self._until_s:
            self._power = {2: 0, 3: 1}[self._power]
        return self._power

    def by_hand(self, power: int) -> None:
        """Somebody presses the button."""
        self._power = power

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def _serve(self) -> None:
        while True:
            try:
                line, _ = self._listener.accept()
            except OSError:
                return
            with line, suppress(OSError):
                line.settimeout(2.0)  # an idle connection is closed
                self._talk(line)

    def _talk(self, line: socket.socket) -> None:
        self._count += 1
        random = f"{self._count:08x}"
        line.sendall(f"PJLINK 1 {random}\r".encode() if self.password else b"PJLINK 0\r")
        proof = hashlib.md5(f"{random}{self.password}".encode()).hexdigest() if self.password else ""
        proven, rest = not self.password, b""
        while came := line.recv(256):
            rest += came
            while b"\r" in rest:
                command, _, rest = rest.partition(b"\r")
                text = command.decode()
                if text.startswith(proof) and proof:
                    text, proven = text.removeprefix(proof), True
                if not proven:
                    self.refused += 1
                    line.sendall(b"PJLINK ERRA\r")
                    return
                line.sendall(self._answer(text).encode())

    def _answer(self, text: str) -> str:
        name, _, value = text.removeprefix("%1").partition(" ")
        if not text.startswith("%1"):
            return "%1POWR=ERR1\r"
        if value == "?":
            known = {"POWR": str(self.power), "ERST": self.errors, "LAMP": self.lamp, "CLSS": "1", "NAME": "stand-in"}
            return f"%1{name}={known.get(name, 'ERR1')}\r"
        if name != "POWR":
            return f"%1{name}=ERR1\r"
        if value not in "01":
            return "%1POWR=ERR2\r"
        if self.power in (2, 3):
            return "%1POWR=ERR3\r"
        self.orders.append(value)
        if value != str(self.power):
            self._power, wait_s = (3, self.warm_s) if value == "1" else (2, self.cool_s)
            self._until_s = time.monotonic() + wait_s
        return "%1POWR=OK\r"
