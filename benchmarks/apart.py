"""Starts a command with a steady clock that is set apart from this computer's by a time of its own (Linux time namespaces).

`python -m benchmarks.apart COMMAND …`: the offset follows from the host's name, so that the machines of a room of namespaces have steady
clocks that are minutes to hours apart, as real machines have that were switched on at different times. Wall clocks stay one: by them a
benchmark tells how far apart two moments were.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import sys

_CLONE_NEWTIME = 0x80
OFFSET_S_MAX = 20_000


def offset_s(name: str) -> int:
    """By how many seconds the steady clock of the machine of this name is ahead."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=4).digest()) % OFFSET_S_MAX


def main(command: list[str]) -> None:
    """Becomes the command, in a time namespace of its own. Raises OSError where the system has none."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.unshare(_CLONE_NEWTIME):
        raise OSError(ctypes.get_errno(), "this system lets nobody make a time namespace")
    with open("/proc/self/timens_offsets", "w") as file:
        file.write(f"monotonic {offset_s(platform.node())} 0\n")
    with open("/proc/self/ns/time_for_children") as there:
        if library.setns(there.fileno(), _CLONE_NEWTIME):
            raise OSError(ctypes.get_errno(), "this process cannot enter its time namespace")
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
