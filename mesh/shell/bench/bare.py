"""Starts the bare programs of `raw.py` in pairs, and gives what they measured."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import zmq

from mesh.errors import RoomfulError

WITHIN_S = 120.0
PLAIN = "plain"


def keys() -> str:
    """A new key pair, as `raw.py` takes it."""
    public, secret = zmq.curve_keypair()
    return f"{public.hex()}:{secret.hex()}"


def round_trips(count: int, size: int, *, far: bool = False) -> list[float]:
    """Microseconds of each: as between roles of one machine, by the quickest way and not encrypted; `far`: encrypted, over TCP."""
    pair = keys() if far else PLAIN
    with _serving("answer", pair, int(not far)) as port:
        return list(_measured("ask", pair, port, count, size)["samples"])


def pictures(width: int, height: int, seconds: float, *, encrypted: bool) -> dict[str, Any]:
    """When each came, and how old it was."""
    pair = keys() if encrypted else PLAIN
    with _serving("write", pair, width, height) as port:
        return _measured("read", pair, port, seconds)


def shared_out(count: int, outstanding: int, ms: Sequence[float], fault: str = "", at_s: float = 1.0) -> dict[str, Any]:
    """Questions to unequal processes. `fault`: "kill" or "stop" the first of them, `at_s` after they have begun."""
    with ExitStack() as stack:
        asker = stack.enter_context(_started("share", count, outstanding))
        port = line_of(asker)
        copies = [stack.enter_context(_started("work", port, each)) for each in ms]
        if fault:
            time.sleep(1.0 + at_s)
            copies[0].send_signal(signal.SIGKILL if fault == "kill" else signal.SIGSTOP)
        return dict(json.loads(line_of(asker)))


@contextmanager
def idle_python() -> Iterator[subprocess.Popen[str]]:
    """A Python that has imported numpy, and waits."""
    program = "import numpy, signal; print('waits', flush=True); signal.pause()"
    with _process("-c", program) as process:
        line_of(process)
        yield process


def _measured(*arguments: object) -> dict[str, Any]:
    with _started(*arguments) as process:
        return dict(json.loads(line_of(process)))


@contextmanager
def _serving(*arguments: object) -> Iterator[str]:
    with _started(*arguments) as process:
        yield line_of(process)


@contextmanager
def _started(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    with _process("-m", "mesh.shell.bench.raw", *map(str, arguments)) as process:
        yield process


@contextmanager
def _process(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    path = os.pathsep.join(filter(None, [str(Path(__file__).resolve().parents[3]), os.environ.get("PYTHONPATH", "")]))
    process = subprocess.Popen(
        [sys.executable, "-P", *arguments], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def line_of(process: subprocess.Popen[str]) -> str:
    """The next line that it prints. Raises RoomfulError when it ends, or says nothing for two minutes."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], WITHIN_S)
    line = process.stdout.readline().strip() if ready else ""
    if not line:
        raise RoomfulError("the bare library's half of the measurement ended", instead="run `roomful bench` once more, and report it")
    return line
