"""No UDP, no raw packets, no ways around: what Landlock does not cover of the network, kept away by a filter of a few instructions.

    stream_sockets_only() -> bool     for the thread that calls and all that it starts; False where this system has no such filter

After it a process can make internet sockets of one sort only, plain TCP, whose ports Landlock bounds; Unix sockets, and those in which the
kernel tells of its network cards, stay, and no other family does (SMC and MPTCP are TCP by another name, VSOCK leads out of a virtual
machine). Landlock looks at `connect`, and TCP Fast Open connects within `sendto`: so what is sent so is refused. `io_uring`, which would do
either past the filter, is refused as on a kernel that has none. All else passes, so it costs nothing that can be measured. What is left: a
socket that listens without having been bound is given any free port by the system, which neither sees. Decided against: libseccomp (a
library for so little) and a list of allowed system calls (every engine and driver needs another one).

Classic BPF as in linux/filter.h and linux/seccomp.h; the layout of what it reads is `struct seccomp_data`.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
import sys
from typing import NamedTuple

from mesh.shell.landlock import no_new_privileges

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2


class _Machine(NamedTuple):
    """AUDIT_ARCH of linux/audit.h, and the numbers of system calls."""

    arch: int
    socket: int
    sendto: int
    sendmsg: int
    sendmmsg: int
    uring: int = 425


_ARM = _Machine(0x40000028, 281, 290, 296, 374)
_MACHINES = {
    "x86_64": _Machine(0xC000003E, 41, 44, 46, 307),
    "aarch64": _Machine(0xC00000B7, 198, 206, 211, 269),
    "armv7l": _ARM,
    "armv6l": _ARM,
    "riscv64": _Machine(0xC00000F3, 198, 206, 211, 269),
}
_NUMBER_AT, _ARCH_AT, _ARGUMENTS_AT = 0, 4, 16  # the lower half of each argument, 8 bytes apart
_LOAD, _EQUALS, _ABOVE, _ANY_OF, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_UNIX, _INET, _INET6, _NETLINK = 1, 2, 10, 16
_SORT_MASK, _STREAM, _TCP = 0xF, 1, 6
_FAST_OPEN = 0x20000000  # of `flags`
_OTHER_NUMBERS = 0x40000000  # x32: the same calls under other numbers


def stream_sockets_only() -> bool:
    """Whether the filter stands. One that the system refuses is no fault: the caller says what is enforced."""
    wide = struct.calcsize("P") == 8
    name = platform.machine()
    machine = _MACHINES.get(name if wide or name.startswith("armv") else {"aarch64": "armv7l"}.get(name, ""))  # 32 bits on a kernel of 64
    if sys.platform != "linux" or machine is None or sys.byteorder != "little":
        return False
    program = b"".join(_program(machine))
    kept = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(kept))
    no_new_privileges()
    return int(ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_SECCOMP, _MODE_FILTER, header, 0, 0)) == 0


def _program(machine: _Machine) -> list[bytes]:
    """The filter: each line a question, and where to go on when the answer is yes, and when it is no ("": with the next line)."""
    lines: list[tuple[str, int, int, str, str]] = [
        ("", _LOAD, _ARCH_AT, "", ""),
        ("", _EQUALS, machine.arch, "", "none"),  # another processor's calls: none
        ("", _LOAD, _NUMBER_AT, "", ""),
        ("", _ABOVE, _OTHER_NUMBERS, "none", ""),
        ("", _EQUALS, machine.uring, "none", ""),
        ("", _EQUALS, machine.sendto, "fourth", ""),
        ("", _EQUALS, machine.sendmmsg, "fourth", ""),
        ("", _EQUALS, machine.sendmsg, "third", ""),
        ("", _EQUALS, machine.socket, "", "allow"),
        ("", _LOAD, _argument(0), "", ""),
        ("", _EQUALS, _UNIX, "allow", ""),
        ("", _EQUALS, _NETLINK, "allow", ""),
        ("", _EQUALS, _INET, "inet", ""),
        ("", _EQUALS, _INET6, "inet", "deny"),
        ("inet", _LOAD, _argument(1), "", ""),
        ("", _AND, _SORT_MASK, "", ""),
        ("", _EQUALS, _STREAM, "", "deny"),
        ("", _LOAD, _argument(2), "", ""),
        ("", _EQUALS, 0, "allow", ""),
        ("", _EQUALS, _TCP, "allow", "deny"),
        ("third", _LOAD, _argument(2), "", ""),
        ("", _ANY_OF, _FAST_OPEN, "deny", "allow"),
        ("fourth", _LOAD, _argument(3), "", ""),
        ("", _ANY_OF, _FAST_OPEN, "deny", "allow"),
        ("deny", _RETURN, _ERRNO | errno.EACCES, "", ""),
        ("allow", _RETURN, _ALLOW, "", ""),
        ("none", _RETURN, _ERRNO | errno.ENOSYS, "", ""),
    ]
    at = {name: number for number, (name, *_) in enumerate(lines) if name}

    def far(number: int, name: str) -> int:
        return at[name] - number - 1 if name else 0

    return [struct.pack("=HBBI", code, far(number, yes), far(number, no), value) for number, (_, code, value, yes, no) in enumerate(lines)]


def _argument(number: int) -> int:
    return _ARGUMENTS_AT + 8 * number
