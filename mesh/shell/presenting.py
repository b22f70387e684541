"""A moment that is not missed: the far side of `Role.presenting`, for what several machines show together.

Clocks of a room agree within a fraction of a millisecond, but a process that sleeps until a moment is woken late: by 10 to
25 ms on a computer whose cores all compute, a hundred times what the clocks are apart. So for as long as it waits and shows, the
thread runs before all that is not real-time (SCHED_RR at the lowest priority), sleeps to a margin before the moment and looks
at the clock for the rest. The process's own watch thread comes along for good: it needs Python's lock four times a second, and
were it kept from its processor while it has the lock, the thread that presents would wait for both.

Real-time priority is bounded. It lasts from the call to the end of the `with` block, of which all but the margin (2 ms at most)
is sleep; a block that computes for longer than LONG_S loses it for the life of the process, for it is meant for showing and not for
drawing; and Linux itself keeps 5 % of each second from all real-time threads. Where the system refuses it (no root, no
RLIMIT_RTPRIO: `roomful install` writes LimitRTPRIO), everything else stays, the thread asks for short turns instead
(`mesh/shell/turns.py`), and displays give way less than models do (`mesh/shell/launching.py`).

Decided against: real-time priority for the whole process (its drawing would keep the agent's heartbeats waiting), a thread of
its own that presents (windows belong to the thread that made them), and waiting in the mesh before a frame is handed over
(drawing it takes time, too).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from mesh.core.margin import Margin
from mesh.core.unit import PRESENTING_PRIORITY
from mesh.shell.room_clock import RoomClock
from mesh.shell.turns import ask_for_short_turns

AHEAD_NS_MAX = 30 * 10**9  # a moment further ahead is a mistake, and not waited for
SLICE_S = 0.1  # how long it may take until an order to stop is heard
LONG_S = 0.05


class Presenting:
    """`with presenting.at(seconds of the room's clock): show it`. For the role's own thread."""

    def __init__(self, clock: RoomClock, stopping: Callable[[], bool], companion: Callable[[], int | None]) -> None:
        """`companion`: the thread (as the system numbers it) that shares Python's lock with the one that waits."""
        self.urgent = False  # the system let it run before the others, the last time
        self._clock, self._stopping, self._companion = clock, stopping, companion
        self._margin = Margin()
        self._may = hasattr(os, "sched_setscheduler")
        self._accompanied = False

    @contextmanager
    def at(self, at_s: float | None) -> Iterator[None]:
        """Returns when that moment has come; at once for None, and for one that is past or more than 30 s ahead."""
        at_ns = 0 if at_s is None else int(at_s * 1e9)
        if not 0 < at_ns - self._clock.now_ns() < AHEAD_NS_MAX:
            yield
            return
        self.urgent = self._rise()
        began_s = None
        try:
            self._wait(at_ns)
            began_s = time.thread_time()
            yield
        finally:
            if self.urgent:
                self._fall()
                self._may = began_s is None or time.thread_time() - began_s < LONG_S

    def _wait(self, at_ns: int) -> None:
        clock, margin = self._clock, self._margin
        while (left_ns := at_ns - clock.now_ns()) > 0:
            asleep_s = min(SLICE_S, left_ns / 1e9 - margin.early_s)
            if asleep_s <= 0:
                continue
            if self._stopping():
                return
            before_s = time.monotonic()
            time.sleep(asleep_s)
            margin.note(time.monotonic() - before_s - asleep_s)

    def _rise(self) -> bool:
        if not self._may:
            return False
        try:
            _set_policy(0, os.SCHED_RR, PRESENTING_PRIORITY)
        except OSError:  # not allowed to this user, or in this control group
            self._may = False
            ask_for_short_turns()
            return False
        companion = None if self._accompanied else self._companion()
        if companion is not None:
            self._accompanied = True
            with suppress(OSError):
                _set_policy(companion, os.SCHED_RR, PRESENTING_PRIORITY)
        return True

    def _fall(self) -> None:
        with suppress(OSError):
            _set_policy(0, os.SCHED_OTHER, 0)


def _set_policy(thread: int, policy: int, priority: int) -> None:
    """Of one thread. What it forks is not real-time; the flag stays, since only root may take it back."""
    os.sched_setscheduler(thread, policy | os.SCHED_RESET_ON_FORK, os.sched_param(priority))
