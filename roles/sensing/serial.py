"""A serial line in: Arduino and its kin, a line a reading.

What a line means is found from the line itself, in the forms that sketches print: JSON; `light:512,heat:21.5` as the
Arduino plotter takes it; numbers between commas, tabs or blanks; anything else is a text. pyserial reads in a thread of
its own, because a driver may block when its cable is pulled. An unplugged board is reached for again at its own place, and
with `port: auto` at any, since the system numbers it anew.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import threading
from typing import Any

from pydantic import Field

from mesh.errors import EngineMissingError, RoleError
from mesh.role import Event, Options, Role
from roles.sensing.inbox import Freshness, Inbox
from roles.sensing.standin import StandIn, drifting, from_file

LINE_BYTES_MAX = 4096
AGAIN_S = (0.2, 0.5, 1.0, 2.0)
LOOK_S = 0.5
UNREADABLE_S = 10.0
AUTO = "auto"
_LABELLED = re.compile(r"\s*([A-Za-z_]\w*)\s*[:=]\s*([^,\t;]+)\s*")


class SerialOptions(Options):
    port: str = Field(AUTO, description="such as /dev/ttyACM0 or COM3; auto: the first board on USB")
    baud: int = Field(9600, ge=50, le=4_000_000, description="bits a second, as in the sketch's Serial.begin(…)")
    every_s: float = Field(0.0, ge=0, le=3600, description="at most one reading in so many seconds, the newest; 0: each")
    silent_s: float | None = Field(10.0, gt=0, description="faulty when no line has come for so many seconds; null: never")
    stuck_s: float | None = Field(None, gt=0, description="faulty when all lines have been the same for so many seconds; left out: never")
    stand_in: str | None = Field(
        None, json_schema_extra={"file": True},
        description='a file of readings that plays instead in a rehearsal: lines such as {"after_s": 0.5, "value": 512}. Left out, a '
        "rehearsal without the board makes readings up",
    )


class Serial(Role):
    """Emits each line that a board (Arduino, micro:bit …) prints, as the number, the list, the object or the text it is."""

    outputs = {"reading": Event}
    extra = "serial"
    holds = {"port": "serial port"}
    Options = SerialOptions

    def setup(self) -> None:
        try:
            import serial
            from serial.tools import list_ports
        except ImportError as missing:
            raise EngineMissingError(
                "sensing.serial needs pyserial, which is not installed on this machine", where=self.name,
                instead="pip install roomful[serial]",
            ) from missing
        self._serial, self._ports = serial, list_ports
        self._inbox = Inbox(self)
        self._stop = threading.Event()
        self._next_s = 0.0
        self._thread: threading.Thread | None = None
        rehearsal = bool(self.settings.get("rehearsal"))
        self._stand_in: StandIn | None = None
        if rehearsal and self.options.stand_in:
            self._stand_in = from_file(self.folder / self.options.stand_in, self.options.stand_in)
        else:
            self._begin(rehearsal)
        silent_s, stuck_s = (None, None) if self._stand_in else (self.options.silent_s, self.options.stuck_s)
        self._fresh = Freshness(self, "the board", silent_s, stuck_s, instead="press its reset button, or unplug it and plug it in again; "
                                f"its sketch must print lines at {self.options.baud} baud")

    def _begin(self, rehearsal: bool) -> None:
        try:
            line = self._open()
        except RoleError as fault:
            if not rehearsal:
                raise
            self._stand_in = StandIn((after_s, round(value)) for after_s, value in drifting(1, 0.1, 0, 1023))
            self.say(f"{fault.words}; as this is a rehearsal, made-up readings stand in")
            return
        self.say(f"reads {line.port} at {self.options.baud} baud")
        self._thread = threading.Thread(target=self._watch, args=(line,), name="serial", daemon=True)
        self._thread.start()

    def teardown(self) -> None:
        if hasattr(self, "_stop"):
            self._stop.set()
            if self._thread is not None:
                self._thread.join(2.0)

    def tick(self) -> float | None:
        self._inbox.news()
        now = self.now_s()
        if self._stand_in is not None:
            for value in self._stand_in.due(now):
                self._give(value, value, now)
            return self._stand_in.wait_s(now)
        for heard_s, what in self._inbox.take():
            if what is None:
                self._fresh.found()
            elif isinstance(what, _Gone):
                self._fresh.lost(what.words)
            else:
                self._give(reading(what), what, heard_s)
        self._fresh.look()
        return LOOK_S

    def _give(self, value: Any, mark: Any, captured_s: float) -> None:
        self._fresh.saw(mark)
        if captured_s >= self._next_s:
            self._next_s = captured_s + self.options.every_s
            self._inbox.give("reading", value, captured_s)

    def _open(self) -> Any:
        """The line, opened. Raises RoleError when there is none."""
        port = self.options.port
        if port == AUTO:
            boards = sorted(each.device for each in self._ports.comports() if each.vid is not None)
            if not boards:
                raise RoleError("no board is plugged in", where=f"{self.name}, option port",
                                instead="plug it in (some cables only charge: try another), or name its port in option port")
            port = boards[0]
        try:
            return self._serial.serial_for_url(port, baudrate=self.options.baud, timeout=0.2, exclusive=True)
        except (self._serial.SerialException, OSError, ValueError) as error:
            raise RoleError(
                f"{port} cannot be opened: {_reason(error)}", where=f"{self.name}, option port",
                instead=_what_to_do(error, [each.device for each in self._ports.comports()]),
            ) from None

    # ---- in the reading thread

    def _watch(self, line: Any) -> None:
        while not self._stop.is_set():
            if line is not None:
                self._drain(line)
                line.close()
                if self._stop.is_set():
                    return
                self._inbox.tell(f"{line.port} has gone; trying to reach it again")
                self._inbox.put(_Gone(f"{line.port} has gone: plug the board in again"))
            line = self._again()

    def _again(self) -> Any:
        tries = 0
        while not self._stop.wait(AGAIN_S[min(tries, len(AGAIN_S) - 1)]):
            tries += 1
            try:
                line = self._open()
            except RoleError:
                continue
            self._inbox.tell(f"{line.port} is back")
            self._inbox.put(None)
            return line
        return None

    def _drain(self, line: Any) -> None:
        """Lines as they come, until the board goes or we stop."""
        kept, unreadable, skipping = b"", Unreadable(self._inbox), False
        while not self._stop.is_set():
            try:
                kept += line.read(max(1, min(line.in_waiting, LINE_BYTES_MAX)))
            except (self._serial.SerialException, OSError, TypeError):  # TypeError: pyserial's own, for a port that went in mid-read
                return
            *whole, kept = kept.split(b"\n")
            for each in whole:
                text = None if skipping else unreadable.read(each, self.now_s())
                skipping = False
                if text:
                    self._inbox.put(text)
            if len(kept) > LINE_BYTES_MAX:
                kept, skipping = b"", True
                unreadable.read(b"\xff", self.now_s())


class _Gone:
    """The device went; in words."""

    def __init__(self, words: str) -> None:
        self.words = words


class Unreadable:
    """Turns bytes into lines of text, and says when for long nothing but noise has come: mostly a wrong baud rate."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._since_s: float | None = None
        self._said = False

    def read(self, line: bytes, now_s: float) -> str | None:
        """The line, or None for one that is no text."""
        try:
            text = line.decode("utf-8").strip()
            good = len(line) <= LINE_BYTES_MAX and text.replace("\t", "").isprintable()
        except UnicodeDecodeError:
            good = False
        if good:
            self._since_s, self._said = None, False
            return text
        self._since_s = now_s if self._since_s is None else self._since_s
        if not self._said and now_s - self._since_s > UNREADABLE_S:
            self._said = True
            self._inbox.tell("what the board sends is no text: is the option baud the one of its Serial.begin(…)?")
        return None


def reading(line: str) -> Any:
    """What a line means: JSON, labelled values, numbers, or the text itself. NaN and infinities stay text: no JSON has them."""
    try:
        return json.loads(line, parse_constant=_refuse)
    except (ValueError, RecursionError):
        pass
    parts = [part for part in re.split(r"[,\t;]", line) if part.strip()]
    labelled = [_LABELLED.fullmatch(part) for part in parts]
    if parts and all(labelled):
        return {match[1]: _value(match[2].strip()) for match in labelled if match}
    numbers = [_number(part) for part in re.split(r"[,\t; ]+", line.strip(",;\t "))]
    if numbers and all(number is not None for number in numbers):
        return numbers if len(numbers) > 1 else numbers[0]
    return line


def _value(text: str) -> Any:
    number = _number(text)
    return text if number is None else number


def _number(text: str) -> int | float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    if not math.isfinite(value):
        return None
    return int(value) if re.fullmatch(r"\s*[+-]?\d{1,18}\s*", text) else value


def _refuse(word: str) -> Any:
    raise ValueError(word)


def _what_to_do(error: Exception, there: list[str]) -> str:
    """By what the system says: not there, not allowed, or in use."""
    number = getattr(error, "errno", None)
    if number == errno.ENOENT:
        return f"plug the board in, or name another port: there is {', '.join(sorted(there)) or 'none'}"
    if number in (errno.EACCES, errno.EPERM):
        return "add the user to the group dialout (sudo usermod -aG dialout USER), and log in anew"
    return "close other programs that use it (the Arduino IDE's monitor); unplug the board and plug it in again"


def _reason(error: Exception) -> str:
    number = getattr(error, "errno", None)
    return os.strerror(number) if number else str(error)
