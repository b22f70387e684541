"""Strangers who hold connections and say nothing: hung up on before there are so many that nobody else gets in.

    thin_out({47610, 47611}, known={"10.0.0.7"}) -> {"10.0.0.66": 3968}     whom it hung up on, how often; {} where there is room

ZeroMQ gives a caller seconds to finish its handshake and counts nobody. One phone that calls a thousand times a second is so enough to fill
a process's table of descriptors: then no machine of the room can call, and the role cannot open a file. So where a quarter of that table
is taken, the connections at these ports are counted by their address. One from which a key was let in (`known`) is left alone: its
lines are the room's. Of the others none may hold many, then few, then any, until there is room again. Who is cut and is a friend after
all calls again at once. Decided against: a firewall's rule (root), and a count at the moment of the call (ZeroMQ accepts by itself).
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import socket
from collections import Counter
from collections.abc import Callable, Container, Iterator

SHARE = 4  # of the descriptors one may be taken before anybody is counted
TABLE_MAX = 65_536
HELD_MAX = (64, 8, 0)  # connections of one address that nobody knows, the fewer the less room there is


def descriptors() -> list[int]:
    """This process's, as the system lists them. Where the table is full none is left to read the list by: then all that there can be."""
    try:
        return [int(each) for each in os.listdir("/dev/fd")]
    except OSError as fault:
        return list(range(min(TABLE_MAX, _allowed()))) if fault.errno in (errno.EMFILE, errno.ENFILE) else []


def _allowed() -> int:
    return int(resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def thin_out(ports: Container[int], known: Container[str]) -> dict[str, int]:
    """Hangs up on strangers at these ports, if there are too many: address -> on how many of its connections. Costs little otherwise."""
    room = _allowed() // SHARE
    taken = descriptors()
    if room <= 0 or len(taken) <= room:
        return {}
    callers = [(fd, address) for fd in taken if (address := _caller(fd, ports)) and address not in known]
    gone: Counter[str] = Counter()
    for held_max in HELD_MAX:
        kept: Counter[str] = Counter()
        left = []
        for fd, address in callers:
            kept[address] += 1
            if kept[address] <= held_max:
                left.append((fd, address))
            elif hang_up(fd, lambda peer, wanted=address: peer == wanted):  # type: ignore[misc]
                gone[address] += 1
        callers = left
        if len(taken) - gone.total() <= room:
            break
    return dict(gone)


def _caller(fd: int, ports: Container[int]) -> str:
    """Who called at one of these ports, if that is what the descriptor is."""
    with contextlib.suppress(OSError), _line(fd) as line:
        if line.getsockname()[1] in ports:
            return str(line.getpeername()[0]).removeprefix("::ffff:")
    return ""


def hang_up(fd: int, wanted: Callable[[str], bool]) -> bool:
    """Shuts a connection down, if the descriptor is one whose other end has such an address; ZeroMQ then finds it ended."""
    with contextlib.suppress(OSError), _line(fd) as line:
        if wanted(str(line.getpeername()[0]).removeprefix("::ffff:")):  # what listens has none: OSError, and is left alone
            line.shutdown(socket.SHUT_RDWR)
            return True
    return False


@contextlib.contextmanager
def _line(fd: int) -> Iterator[socket.socket]:
    """The TCP connection of a descriptor, which stays as it is (a copy would need another, and there may be none). Raises OSError for what
    is none."""
    line = socket.socket(fileno=fd)
    try:
        if line.family not in (socket.AF_INET, socket.AF_INET6) or line.type != socket.SOCK_STREAM:
            raise OSError("no TCP connection")
        yield line
    finally:
        line.detach()
