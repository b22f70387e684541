"""No UDP, no raw packets: the part of the network that Landlock does not cover, kept away by a filter of a few instructions.

    stream_sockets_only() -> bool     for the thread that calls and all that it starts; False where this system has no such filter

After it a process can make internet sockets of one sort only, plain TCP, whose ports Landlock bounds; Unix sockets, and those in which the
kernel tells of its network cards, stay. The filter asks for two numbers of each call to `socket` and lets all else pass, so it costs
nothing that can be measured. `io_uring`, which would make sockets past it, is refused as on a kernel that has none. Decided against:
libseccomp (a library for so little) and a list of allowed system calls (every engine and driver needs another one).

Classic BPF as in linux/filter.h and linux/seccomp.h; the layout of what it reads is `struct seccomp_data`.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
import sys

from mesh.shell.landlock import no_new_privileges

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
# machine: (AUDIT_ARCH, number of socket(2), number of io_uring_setup(2)), linux/audit.h and the tables of system calls
_MACHINES = {
    "x86_64": (0xC000003E, 41, 425),
    "aarch64": (0xC00000B7, 198, 425),
    "armv7l": (0x40000028, 281, 425),
    "armv6l": (0x40000028, 281, 425),
    "riscv64": (0xC00000F3, 198, 425),
}
_NUMBER_AT, _ARCH_AT, _FAMILY_AT, _TYPE_AT, _PROTOCOL_AT = 0, 4, 16, 24, 32
_LOAD, _EQUALS, _ABOVE, _AND, _RETURN = 0x20, 0x15, 0x35, 0x54, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_INET, _INET6, _PACKET = 2, 10, 17
_SORT_MASK, _STREAM, _TCP = 0xF, 1, 6
_OTHER_NUMBERS = 0x40000000  # x32: the same calls under other numbers


def stream_sockets_only() -> bool:
    """Whether the filter stands. One that the system refuses is no fault: the caller says what is enforced."""
    wide = struct.calcsize("P") == 8
    name = platform.machine()
    machine = _MACHINES.get(name if wide or name.startswith("armv") else {"aarch64": "armv7l"}.get(name, ""))  # 32 bits on a kernel of 64
    if sys.platform != "linux" or machine is None or sys.byteorder != "little":
        return False
    program = b"".join(_program(*machine))
    kept = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(kept))
    no_new_privileges()
    return int(ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_SECCOMP, _MODE_FILTER, header, 0, 0)) == 0


def _program(arch: int, socket: int, uring: int) -> list[bytes]:
    """The filter. A jump's numbers are how many instructions are left out where the comparison holds, and where it does not."""
    deny, none = _ERRNO | errno.EACCES, _ERRNO | errno.ENOSYS
    return [
        _instruction(_LOAD, _ARCH_AT),
        _instruction(_EQUALS, arch, 0, 16),  # another processor's calls: none
        _instruction(_LOAD, _NUMBER_AT),
        _instruction(_ABOVE, _OTHER_NUMBERS, 14, 0),
        _instruction(_EQUALS, uring, 13, 0),
        _instruction(_EQUALS, socket, 0, 11),
        _instruction(_LOAD, _FAMILY_AT),
        _instruction(_EQUALS, _PACKET, 8, 0),
        _instruction(_EQUALS, _INET, 1, 0),
        _instruction(_EQUALS, _INET6, 0, 7),
        _instruction(_LOAD, _TYPE_AT),
        _instruction(_AND, _SORT_MASK),
        _instruction(_EQUALS, _STREAM, 0, 3),
        _instruction(_LOAD, _PROTOCOL_AT),
        _instruction(_EQUALS, 0, 2, 0),
        _instruction(_EQUALS, _TCP, 1, 0),
        _instruction(_RETURN, deny),
        _instruction(_RETURN, _ALLOW),
        _instruction(_RETURN, none),
    ]


def _instruction(code: int, value: int, holds: int = 0, fails: int = 0) -> bytes:
    return struct.pack("=HBBI", code, holds, fails, value)
