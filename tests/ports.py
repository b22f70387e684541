"""Ports for servers that the tests start.

A port that the system hands out and that is let go again can be somebody's a moment later: every connection that any program begins takes
one of the same range. These lie below it, where only who asks for a port by its number finds it.
"""

from __future__ import annotations

import random
import socket
from pathlib import Path

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LEAST, _TRIES = 12_000, 200


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """One that nobody has, on any address, and that no connection takes by chance; `kind` is SOCK_STREAM or SOCK_DGRAM."""
    below = int(_RANGE.read_text().split()[0]) if _RANGE.exists() else 32_768
    drawn = random.SystemRandom()
    for _ in range(_TRIES):
        port = drawn.randrange(min(_LEAST, below - 1000), below)
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return port
    raise AssertionError(f"no free port below {below}")
