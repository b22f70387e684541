"""What a role's process started and left behind: found by a mark that every child inherits, and ended.

    env = {MARK: mark}                     of the process, when it is started
    end_leftovers(mark) -> int             once it has ended: how many were found and ended. Blocks, for some milliseconds

A role's process leads a process group, which is ended with it. A program that detaches itself (a player, a browser, a daemon, a role
that forks twice) is in that group no longer: it would keep the camera, the sound card or the port, and the role that is started anew would
not get it. What a process has inherited as its environment is shown by the kernel however often it forks. Linux only. It is no wall: a
program that means harm clears it. Decided against: cgroups (an ordinary user has none of his own unless systemd grants it) and becoming the
parent of all orphans (prctl's subreaper: then whatever anybody started would have to be told apart, and collected).
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

MARK = "ROOMFUL_PROCESS"
PASSES_MAX = 20  # one that forks while it is looked for is found in the next


def end_leftovers(mark: str) -> int:
    """Ends every process of this user's that carries the mark."""
    wanted, ended = f"{MARK}={mark}".encode(), 0
    for _ in range(PASSES_MAX):
        found = sum(_end_if_marked(pid, wanted) for pid in _others())
        if not found:
            break
        ended += found
    return ended


def _others() -> Iterator[int]:
    with contextlib.suppress(OSError):
        yield from (int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid())


def _end_if_marked(pid: int, wanted: bytes) -> bool:
    with contextlib.suppress(OSError, AttributeError):  # it has gone, is another's, or this is no Linux
        descriptor = os.pidfd_open(pid)  # from here on the number cannot be another's
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                if wanted not in file.read().split(b"\0"):
                    return False
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        finally:
            os.close(descriptor)
        return True
    return False
