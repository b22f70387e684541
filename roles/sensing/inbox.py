"""What a library hears in threads of its own, on its way to the role's thread; and whether anything comes at all.

Every receiving kind (OSC, MIDI, serial, MQTT, HTTP) has the same two needs: a queue that a flood cannot fill, which
wakes the role at once; and a verdict on its device, silent or stuck, that does not ask for a certain library.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from mesh.errors import RoomfulError, on_a_line
from mesh.role import Role

WAITING_MAX = 1000
STALE_S = 5.0  # what came while a standby waited is not news when it begins to play
AWAY_S = 2.0  # a role that looked no more for so long did not play; that time is not held against its sensor
GONE_S = 10.0  # a device that is away for longer is a fault; within this time the role tries by itself


class Inbox:
    """Bounded, the oldest dropped and counted. `put` from any thread, `take` and `news` in the role's own."""

    def __init__(self, role: Role) -> None:
        self._role = role
        self._waiting: deque[tuple[float, Any]] = deque(maxlen=WAITING_MAX)
        self._lines: deque[str] = deque(maxlen=50)
        self.put_count = self.taken_count = self.refused = 0

    def put(self, value: Any) -> None:
        """One thing heard, at this moment of the room's clock."""
        self.put_count += 1
        self._waiting.append((self._role.now_s(), value))
        self._role.wake()

    def give(self, output: str, value: Any, captured_s: float) -> bool:
        """Emit what came from outside. What cannot travel (a number of a hundred digits, half a letter) is its sender's mistake and no
        reason for a role to fail: it is counted, and said now and then."""
        try:
            self._role.emit(output, value, captured_s=captured_s)
        except RoomfulError as error:
            self.refused += 1
            if self.refused in (1, 100, 10_000, 1_000_000):
                self._role.say(f"what came cannot be handed on: {error.what} ({self.refused} so far)")
            return False
        return True

    def now_s(self) -> float:
        """The room's clock, for other threads."""
        return self._role.now_s()

    def tell(self, line: str) -> None:
        """A line for the technician, said when the role's thread comes round."""
        self._lines.append(line)
        self._role.wake()

    def take(self) -> list[tuple[float, Any]]:
        """(when it was heard, value) of all that waits, in order."""
        oldest_s = self._role.now_s() - STALE_S
        found = []
        while self._waiting:
            found.append(self._waiting.popleft())
        self.taken_count += len(found)
        return [each for each in found if each[0] >= oldest_s]

    def news(self) -> None:
        """Say the lines that other threads left."""
        while self._lines:
            self._role.say(self._lines.popleft())


class Freshness:
    """Whether what a sensor gives is fresh and changing, told to the mesh with `works` and `faulty`.

    `silent_s`: nothing may be missing for longer; `stuck_s`: nor may all that comes be the same for longer. None: not asked.
    `instead`: what somebody can do about it.
    Only a *change* counts as work where `stuck_s` is set, so that a sensor that froze does not earn a clean record by
    repeating itself.
    """

    def __init__(
        self, role: Role, what: str, silent_s: float | None, stuck_s: float | None = None, silence: str = "has been silent",
        instead: str = "",
    ) -> None:  # fmt: skip
        self._role, self._what, self._silent_s, self._stuck_s, self._silence = role, what, silent_s, stuck_s, silence
        self._instead = instead
        self._seen_s = self._changed_s = self._looked_s = role.now_s()
        self._last: Any = self  # equal to nothing
        self.gone = ""  # in words, while the device is known to be away
        self._gone_s = 0.0
        self._promise()

    def saw(self, mark: Any = None) -> None:
        """Something came; `mark` is equal to the last one where it tells nothing new."""
        now = self._seen_s = self._role.now_s()
        self.gone = ""
        if self._stuck_s is None or mark != self._last:
            self._last, self._changed_s = mark, now
            self._promise()

    def lost(self, words: str) -> None:
        """The device is away; the role tries to reach it again."""
        if not self.gone:
            self.gone, self._gone_s = words, self._role.now_s()
            self._role.works(GONE_S + 2.0, words)  # in place of what was promised: who is away is not silent, and not frozen

    def found(self) -> None:
        """The device is there again, though nothing may have come from it yet."""
        self.gone, self._seen_s, self._changed_s = "", self._role.now_s(), self._role.now_s()
        self._promise()

    def look(self) -> None:
        """To be called now and then, at least once a second."""
        now = self._role.now_s()
        away_s = now - self._looked_s
        self._looked_s = now
        if away_s > AWAY_S:
            self._seen_s, self._changed_s, self._gone_s = self._seen_s + away_s, self._changed_s + away_s, self._gone_s + away_s
        if self.gone:
            if now - self._gone_s >= GONE_S:
                self._role.faulty(self.gone)
        elif self._silent_s is not None and now - self._seen_s > self._silent_s:
            self._role.faulty(self._silent_for(now - self._seen_s))
        elif self._stuck_s is not None and now - self._changed_s > self._stuck_s:
            self._role.faulty(self._stuck_for(now - self._changed_s))

    def _promise(self) -> None:
        """Judged by the watch thread too: a role that is stuck in a driver cannot look."""
        if self._stuck_s is not None:
            self._role.works(self._stuck_s + 2.0, self._stuck_for(self._stuck_s))
        elif self._silent_s is not None:
            self._role.works(self._silent_s + 2.0, self._silent_for(self._silent_s))
        else:
            self._role.works()

    def _silent_for(self, seconds: float) -> str:
        return on_a_line(f"{self._what} {self._silence} for {seconds:.0f} s", instead=self._instead)

    def _stuck_for(self, seconds: float) -> str:
        return on_a_line(f"{self._what} has given the same for {seconds:.0f} s: it is frozen", instead=self._instead)
