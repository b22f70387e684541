"""PJLink class 1: how nearly every projector with a network socket is switched on and asked how it is.

After "PJLink Specifications, Version 1.04" (JBMIA, 2013). One conversation is one short TCP connection: projectors close idle
ones, many take only one at a time, and a technician's app must get its turn. Decided against: a library (they are all for
asyncio or unmaintained, and the whole of class 1 is these hundred lines).
"""

from __future__ import annotations

import hashlib
import re
import socket
from dataclasses import dataclass

PORT = 4352
TIMEOUT_S = 5.0
LINE_BYTES_MAX = 136
POWER = {"0": "off", "1": "on", "2": "cooling", "3": "warming"}
PARTS = ("fan", "lamp", "temperature", "cover", "filter", "other")
ERRORS = {
    "ERR1": "does not know the command",
    "ERR2": "does not take this value",
    "ERR3": "is busy",
    "ERR4": "reports a failure of its own",
}


REFUSES = "refuses the password; to do: correct option password"


class PjlinkError(Exception):
    """What went wrong in words that follow the projector's name. `busy`: it may well work in a moment; `password`: it never will."""

    def __init__(self, words: str, *, busy: bool = False, password: bool = False) -> None:
        super().__init__(words)
        self.busy, self.password = busy, password


@dataclass(frozen=True, slots=True)
class Condition:
    """How a projector is. `power` is one of POWER's words; `warnings` and `errors` name parts; `lamp_hours` may be unknown."""

    power: str
    warnings: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    lamp_hours: tuple[int, ...] = ()


class Conversation:
    """A connection, from greeting to goodbye; use it in a `with`. Every method raises PjlinkError or OSError."""

    def __init__(self, host: str, port: int, password: str) -> None:
        self._line = socket.create_connection((host, port), TIMEOUT_S)
        self._rest = b""
        try:
            self._proof = self._greeted(password)
        except BaseException:
            self._line.close()
            raise

    def __enter__(self) -> Conversation:
        return self

    def __exit__(self, *_: object) -> None:
        self._line.close()

    def condition(self) -> Condition:
        """Power, errors and lamps; of the last two what the projector tells."""
        said = self.ask("POWR", "?")
        power = POWER.get(said)
        if power is None:
            raise PjlinkError(f"answers “{said[:20]}” when asked for its power")
        states = self._perhaps("ERST")
        lamps = self._perhaps("LAMP").split()
        return Condition(
            power,
            tuple(part for part, state in zip(PARTS, states, strict=False) if state == "1"),
            tuple(part for part, state in zip(PARTS, states, strict=False) if state == "2"),
            tuple(int(hours) for hours in lamps[::2] if hours.isdigit()),
        )

    def switch(self, on: bool) -> None:
        """Power on or off."""
        self.ask("POWR", "1" if on else "0")

    def ask(self, command: str, value: str) -> str:
        """One command and what stands after the = of its answer."""
        self._line.sendall(f"{self._proof}%1{command} {value}\r".encode())
        self._proof = ""  # proven once, for the whole connection
        answer = self._read()
        if answer.upper().startswith("PJLINK ERRA"):
            raise PjlinkError(REFUSES, password=True)
        match = re.fullmatch(rf"%1{command}=(.*)", answer, re.IGNORECASE)
        if match is None:
            raise PjlinkError(f"answers “{answer[:40]}” to {command}")
        if match[1] in ERRORS:
            raise PjlinkError(ERRORS[match[1]], busy=match[1] == "ERR3")
        return match[1]

    def _perhaps(self, command: str) -> str:
        try:
            return self.ask(command, "?")
        except PjlinkError:
            return ""

    def _greeted(self, password: str) -> str:
        greeting = self._read()
        match = re.fullmatch(r"PJLINK ([01])(?: ([0-9a-zA-Z]{1,32}))?", greeting)
        if match is None:
            if "ERRA" in greeting:
                raise PjlinkError(REFUSES, password=True)
            raise PjlinkError(f"is no PJLink projector: it says “{greeting[:40]}”; to do: correct options host and port")
        if match[1] == "0":
            return ""
        if not password:
            raise PjlinkError("wants a password; to do: write it as option password", password=True)
        return digest(match[2] or "", password)

    def _read(self) -> str:
        while b"\r" not in self._rest:
            if len(self._rest) > LINE_BYTES_MAX:
                raise PjlinkError("says more than PJLink allows")
            came = self._line.recv(256)
            if not came:
                raise PjlinkError("hangs up")
            self._rest += came
        line, _, self._rest = self._rest.partition(b"\r")
        return line.decode("ascii", "replace").strip("\n")


def digest(random: str, password: str) -> str:
    """MD5 over the greeting's number and the password (5.1): a check of who may, not a secret; PJLink knows no better."""
    return hashlib.md5(f"{random}{password}".encode(), usedforsecurity=False).hexdigest()
