"""Landlock: a process of an ordinary user gives up, for ever, what it will not need. The kernel's interface and nothing else.

    abi()                          what this kernel can do: 0 where it has no Landlock, 1 and up (Linux 5.13 and later)
    restrict(files, ports)         from here on only these; for the thread that calls and all that it starts

    files    {path: rights}, READ and CHANGE below; what lies beneath a path counts as it. A path that is not there is passed over.
    ports    Ports(bind, connect) of TCP, from ABI 4 on; None leaves TCP alone.

It is what every process may do to itself without being root, and it needs no program beside. Rights are those to open
something: what was open before stays open. It does not keep anybody from asking for the names, sizes and permissions of files, nor from
calling at a Unix socket. Called from Python through ctypes, because the standard library has no word for it: three system calls, whose
numbers are the same on every processor. https://docs.kernel.org/userspace-api/landlock.html
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG, _PATH_BENEATH, _NET_PORT = 1, 1, 2
_NO_NEW_PRIVS = 38  # prctl(2)

# linux/landlock.h; the ABI in which each came.
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_AND_REMOVE = sum(1 << bit for bit in range(4, 13))
REFER, TRUNCATE, IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_OF_A_FILE = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
_FILES_BY_ABI = {1: (1 << 13) - 1, 2: REFER, 3: TRUNCATE, 5: IOCTL_DEV}
_BIND_TCP, _CONNECT_TCP = 1 << 0, 1 << 1
_SCOPE_SIGNALS = 1 << 1
_PORTS_FROM, _SIGNALS_FROM = 4, 6

READ = EXECUTE | READ_FILE | READ_DIR
CHANGE = READ | WRITE_FILE | _MAKE_AND_REMOVE | REFER | TRUNCATE | IOCTL_DEV


@dataclass(frozen=True, slots=True)
class Ports:
    """The TCP ports that may be used. `bind` 0 stands for any free one; `connect` None: every one."""

    bind: Iterable[int]
    connect: Iterable[int] | None


def abi() -> int:
    """The version of Landlock that this kernel speaks and has switched on; 0 for none."""
    if sys.platform != "linux":
        return 0
    return max(0, _call(_CREATE_RULESET, None, 0, _VERSION_FLAG))


def restrict(files: Mapping[Path, int], ports: Ports | None) -> int:
    """Nothing but this from here on; other processes can no longer be signalled, where the kernel knows how (ABI 6).

    Returns the ABI that was used; 0 where there is none, and nothing has changed.

    Raises:
        OSError: the kernel has Landlock and refuses.
    """
    version = abi()
    if not version:
        return 0
    handled = sum(bits for since, bits in _FILES_BY_ABI.items() if since <= version)
    net = 0
    if ports is not None and version >= _PORTS_FROM:
        net = _BIND_TCP | (_CONNECT_TCP if ports.connect is not None else 0)
    scoped = _SCOPE_SIGNALS if version >= _SIGNALS_FROM else 0
    fields = [handled, *([net] if version >= _PORTS_FROM else []), *([scoped] if version >= _SIGNALS_FROM else [])]
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    ruleset = _checked(_call(_CREATE_RULESET, attributes, len(attributes), 0))
    try:
        for path, rights in files.items():
            _allow_path(ruleset, path, rights & handled)
        if ports is not None and net:
            for right, numbers in ((_BIND_TCP, ports.bind), (_CONNECT_TCP, ports.connect or ())):
                for port in numbers:
                    _checked(_call(_ADD_RULE, ruleset, _NET_PORT, struct.pack("=QQ", right, port), 0))
        no_new_privileges()
        _checked(_call(_RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)
    return version


def no_new_privileges() -> None:
    """From here on no program that is started gains rights by it (sudo); what both restrictions ask of who is not root."""
    _library().prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)


def _allow_path(ruleset: int, path: Path, rights: int) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(opened).st_mode):
            rights &= _OF_A_FILE
        _checked(_call(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, opened), 0))
    finally:
        os.close(opened)


def _call(number: int, *arguments: int | bytes | None) -> int:
    """A system call; -1 with errno kept, or what it returns."""
    plain = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    return int(_library().syscall(ctypes.c_long(number), *plain))


@cache
def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"Landlock: {os.strerror(number) if number else errno.errorcode.get(number, 'refused')}")
    return result
