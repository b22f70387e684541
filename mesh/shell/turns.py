"""When a thread gets the processor: at once for short turns, and on time after a sleep. The most that Linux gives to who may not run in
real time.

Since Linux 6.12 the scheduler (EEVDF) lets each thread say how long its turns are, and one that asks for short ones is let in before those
whose turns are long. On a computer of two busy cores that made the latest of a hundred wakings 7 ms late instead of 12.
Older kernels, and other systems, take no notice. sched_setattr(2), which neither Python nor the C library has a function for.

Linux also lets sleeps end up to 50 us late, so that it has to wake fewer times (PR_SET_TIMERSLACK, prctl(2)). That saves power where a
thousand timers run; a role has one or two, and who sleeps 10 ms between two answers, or until a frame's moment, loses half a
hundredth by it.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys

_TIMER_SLACK = 29  # PR_SET_TIMERSLACK
SHORT_NS = 100_000  # the least that the kernel takes
_SET = {"x86_64": 314, "aarch64": 274, "riscv64": 274, "armv7l": 380, "armv6l": 380, "i686": 351, "ppc64le": 355}
_FORM = "=IIQiIQQQ"  # struct sched_attr, its first version: size, policy, flags, nice, priority, runtime, deadline, period


def ask_for_short_turns() -> bool:
    """For the thread that calls, which keeps its niceness. False where the system has no such thing."""
    number = _SET.get(platform.machine()) if sys.platform == "linux" else None
    if number is None:
        return False
    niceness = os.getpriority(os.PRIO_PROCESS, 0)
    attributes = struct.pack(_FORM, struct.calcsize(_FORM), os.SCHED_OTHER, 0, niceness, 0, SHORT_NS, 0, 0)
    return bool(ctypes.CDLL(None, use_errno=True).syscall(number, 0, ctypes.create_string_buffer(attributes), 0) == 0)


def wake_on_time() -> bool:
    """For the thread that calls, and those that it makes from now on: what it sleeps for is not stretched. False where the system has no
    such thing."""
    if sys.platform != "linux":
        return False
    return bool(ctypes.CDLL(None, use_errno=True).prctl(_TIMER_SLACK, 1, 0, 0, 0) == 0)
