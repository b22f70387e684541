"""What a role's process keeps of root's power, where a room is played by root: what devices and low ports take, and no more.

Landlock does not reach what root may do past all files (a look into another process's memory, a file opened by its number, a module for
the kernel). An ordinary user has none of this, and nothing is changed for one. Linux only: capabilities(7), capset(2).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import sys

_VERSION_3 = 0x20080522
# linux/capability.h: owners and permissions of files, ports below 1024, memory that stays, hardware (LED strips), niceness, limits
CHOWN, DAC_OVERRIDE, FOWNER, NET_BIND_SERVICE, IPC_LOCK, SYS_RAWIO, SYS_NICE, SYS_RESOURCE = 0, 1, 3, 10, 14, 17, 23, 24
KEPT = (CHOWN, DAC_OVERRIDE, FOWNER, NET_BIND_SERVICE, IPC_LOCK, SYS_RAWIO, SYS_NICE, SYS_RESOURCE)


def give_up_powers() -> bool:
    """Whether anything was given up. For the thread that calls and all that it starts; nothing gives it back, once new privileges
    are forbidden as well."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return False
    library = ctypes.CDLL(None, use_errno=True)
    header = ctypes.create_string_buffer(struct.pack("=Ii", _VERSION_3, 0))
    held = ctypes.create_string_buffer(24)
    if library.capget(header, held) != 0:
        return False
    effective, permitted, _, *above = struct.unpack("=6I", held.raw)
    kept = sum(1 << bit for bit in KEPT)
    wanted = struct.pack("=6I", effective & kept, permitted & kept, 0, 0, 0, 0)
    with contextlib.suppress(AttributeError):
        return bool(library.capset(header, wanted) == 0)
    return False
