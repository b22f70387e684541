"""Starts, watches and ends the processes that play instances; decides nothing about when.

    supervisor = Supervisor(logs, on_exit, on_trouble)      on_exit(Exit), on_trouble(sentence), in the loop's thread
    pid = supervisor.start(LaunchOrder(instance, generation, config))    RoleError when the system refuses
    supervisor.stop(instance, grace_s=3.0)      SIGTERM, then SIGKILL for the whole group
    supervisor.kill(instance)
    supervisor.adopt(instance, generation, pid) -> bool     a role that outlived the agent before this one
    supervisor.running() -> {instance: Running};  await supervisor.close(grace_s);  supervisor.abandon()

Each instance is `python -m mesh.shell.host` in a session and process group of its own, so that Ctrl-C in the
agent's terminal does not reach it and nothing that it started outlives it (what left its group is found by
`leftovers`). Its configuration is one JSON value on stdin (a file in memory: a pipe could block). An end is noticed by the
kernel's process descriptor, within a millisecond, for adopted processes too. Decided against: multiprocessing (forks
sockets, or needs its own server process) and asyncio's subprocesses (they cannot adopt).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from mesh.errors import RoleError
from mesh.shell.leftovers import MARK, end_leftovers
from mesh.shell.logs import Logs

HOST_MODULE = "mesh.shell.host"
LAST_LINES = 400  # a dump of all threads is long, and what matters stands before it
POLL_S = 0.02  # where the system has no process descriptors
ROTATE_S, HURRY_S = 2.0, 0.2  # between two looks at what is printed; where a megabyte came since the last
OOM_SCORE_ABOVE, OOM_SCORE_MAX = 500, 1000  # of a role above its agent, proc(5)


@dataclass(frozen=True, slots=True)
class LaunchOrder:
    """Start this. `config` is handed to the host as JSON; `niceness` is above the agent's own."""

    instance: str
    generation: int
    config: Mapping[str, Any]
    niceness: int = 5
    key: str = ""  # its name here, where another process of the instance runs as well; see `rename`
    env: Mapping[str, str] = field(default_factory=dict)
    module: str = HOST_MODULE


@dataclass(frozen=True, slots=True)
class Exit:
    """A process ended. `code` is its exit code, None after a signal or when it was adopted; `signal` its name or "".

    `asked` says that stop or kill came first. `last_lines` are the last 20 of its log.
    """

    instance: str
    generation: int
    pid: int
    code: int | None
    signal: str
    asked: bool
    last_lines: tuple[str, ...]


@dataclass(slots=True)
class Running:
    """A process that plays an instance."""

    instance: str
    generation: int
    pid: int
    adopted: bool = False
    asked: bool = False
    child: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    descriptor: int = field(default=-1, repr=False)
    timer: asyncio.TimerHandle | None = field(default=None, repr=False)


class Supervisor:
    """The processes of one node. Make it, and call it, in the loop's thread."""

    def __init__(self, logs: Logs, on_exit: Callable[[Exit], None], on_trouble: Callable[[str], None]) -> None:
        self.logs = logs
        self._on_exit = on_exit
        self._on_trouble = on_trouble
        self._running: dict[str, Running] = {}
        self._loop = asyncio.get_running_loop()
        self._rotation: asyncio.TimerHandle | None = self._loop.call_later(ROTATE_S, self._rotate)
        self._empty = asyncio.Event()
        self._empty.set()
        self._sweeps: set[asyncio.Future[int]] = set()

    def running(self) -> dict[str, Running]:
        """What runs now, by instance; a copy."""
        return dict(self._running)

    def start(self, order: LaunchOrder) -> int:
        """Spawns the instance's process and returns its pid.

        Raises:
            RoleError: it runs already, or the system refuses (no memory, no processes left).
        """
        if (order.key or order.instance) in self._running:
            raise RoleError(f"{order.instance} runs already", instead="Stop it first, and wait until it has ended.")
        output = self._open_log(order)
        try:
            child = _spawn(order, output, self._mark(order.instance, order.generation))
        except OSError as error:
            raise RoleError(
                f"{order.instance} could not be started: {error.strerror}",
                instead="This machine may be out of memory or processes: roomful doctor.",
            ) from None
        finally:
            os.close(output)
        _yield_processor(child.pid, order.niceness)
        _yield_memory(child.pid)
        self._watch(Running(order.key or order.instance, order.generation, child.pid, child=child))
        return child.pid

    def adopt(self, instance: str, generation: int, pid: int) -> bool:
        """Takes over a process of an earlier agent. False when there is none such, or it is no role's host."""
        held = self._running.get(instance)
        if held is not None:
            return held.pid == pid
        if pid == os.getpid() or not _is_host(pid):
            return False
        return self._watch(Running(instance, generation, pid, adopted=True))

    def stop(self, instance: str, grace_s: float = 3.0) -> None:
        """Asks the process to end; after `grace_s` it is ended. Nothing when it does not run."""
        running = self._running.get(instance)
        if running is None:
            return
        running.asked = True
        _signal(running, signal.SIGTERM)
        if running.timer is None:
            running.timer = self._loop.call_later(grace_s, _signal_group, running.pid)

    def rename(self, before: str, after: str) -> None:
        """Know a running process by another name from now on."""
        running = self._running.pop(before)
        running.instance = after
        self._running[after] = running

    def kill(self, instance: str) -> None:
        """Ends the process and all it started, at once."""
        running = self._running.get(instance)
        if running is not None:
            running.asked = True
            _signal_group(running.pid)

    async def close(self, grace_s: float = 3.0) -> None:
        """Stops everything, and returns when all has ended; each end is told. No process is left."""
        for instance in list(self._running):
            self.stop(instance, grace_s)
        await self._empty.wait()
        await asyncio.gather(*self._sweeps)
        self._stop_rotation()

    def abandon(self) -> None:
        """Lets everything play on, watched by nobody: for an agent that is about to be replaced."""
        for running in list(self._running.values()):
            self._unwatch(running)
            if running.child is not None:
                running.child.returncode = 0  # else Python complains that a child was forgotten
        self._running.clear()
        self._empty.set()
        self._stop_rotation()

    def _open_log(self, order: LaunchOrder) -> int:
        """The instance's log, or nowhere: a full disk must not keep a role from playing."""
        try:
            output = self.logs.open(order.instance)
        except OSError as error:
            self._on_trouble(f"the log of {order.instance} cannot be written ({error.strerror}); it plays without one")
            return os.open(os.devnull, os.O_WRONLY)
        self.logs.header(output, order.instance, order.generation)
        return output

    def _watch(self, running: Running) -> bool:
        try:
            running.descriptor = os.pidfd_open(running.pid)
        except AttributeError:
            self._poll(running)
        except ProcessLookupError:
            return False
        else:
            self._loop.add_reader(running.descriptor, self._ended, running)
        self._running[running.instance] = running
        self._empty.clear()
        return True

    def _poll(self, running: Running) -> None:
        gone = running.child.poll() is not None if running.child else not _exists(running.pid)
        if gone:
            self._ended(running)
        elif self._running.get(running.instance, running) is running:
            self._loop.call_later(POLL_S, self._poll, running)

    def _unwatch(self, running: Running) -> None:
        if running.timer is not None:
            running.timer.cancel()
        if running.descriptor >= 0:
            self._loop.remove_reader(running.descriptor)
            os.close(running.descriptor)
            running.descriptor = -1

    def _ended(self, running: Running) -> None:
        # Before it is reaped, while its number cannot belong to anyone else: end whatever it started.
        _signal_group(running.pid)
        code = running.child.wait() if running.child is not None else None
        self._unwatch(running)
        self._running.pop(running.instance, None)
        if not self._running:
            self._empty.set()
        ended_by = _signal_name(-code) if code is not None and code < 0 else ""
        last = tuple(self.logs.tail(running.instance, LAST_LINES))
        self._on_exit(
            Exit(
                running.instance,
                running.generation,
                running.pid,
                None if ended_by else code,
                ended_by,
                running.asked,
                last,
            )
        )
        sweep = self._loop.run_in_executor(None, end_leftovers, self._mark(running.instance, running.generation))
        self._sweeps.add(sweep)
        sweep.add_done_callback(self._sweeps.discard)

    def _mark(self, instance: str, generation: int) -> str:
        """What the process of an instance and all that it starts inherit, and nobody else: not another node's on this computer either."""
        return f"{instance.partition('~')[0]}#{generation} {self.logs.folder.absolute()}"

    def _rotate(self) -> None:
        rotated = self.logs.rotate_large()
        self._rotation = self._loop.call_later(HURRY_S if rotated else ROTATE_S, self._rotate)

    def _stop_rotation(self) -> None:
        if self._rotation is not None:
            self._rotation.cancel()
            self._rotation = None


def _spawn(order: LaunchOrder, output: int, mark: str) -> subprocess.Popen[bytes]:
    """No `preexec_fn`: it would run Python between fork and exec, which is not safe beside ZeroMQ's threads.

    `-P`: an agent started in an artwork's folder must not find the artist's `roles.py` where it looks for `roles`.
    """
    with _in_memory(json.dumps(order.config).encode()) as config:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", order.module, order.instance],
            stdin=config,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **order.env, MARK: mark},
        )


def _yield_processor(pid: int, niceness: int) -> None:
    """The agent's heartbeats come before a role's sums. Each role leads a session, and where Linux shares the processor out by
    sessions (autogroup, as desktops do), only the niceness of the session counts and that of its processes does not."""
    with contextlib.suppress(OSError):
        niceness = min(19, os.getpriority(os.PRIO_PROCESS, 0) + niceness)
        os.setpriority(os.PRIO_PROCESS, pid, niceness)
        Path(f"/proc/{pid}/autogroup").write_text(str(niceness))


def _yield_memory(pid: int) -> None:
    """Where memory runs out the kernel ends a role before its agent: an ordinary user may raise this number, though not lower it."""
    with contextlib.suppress(OSError, ValueError):
        own = int(Path("/proc/self/oom_score_adj").read_text())
        Path(f"/proc/{pid}/oom_score_adj").write_text(str(min(OOM_SCORE_MAX, own + OOM_SCORE_ABOVE)))


def _in_memory(data: bytes) -> IO[bytes]:
    file: IO[bytes] = os.fdopen(os.memfd_create("roomful"), "w+b") if hasattr(os, "memfd_create") else _unnamed()
    file.write(data)
    file.seek(0)
    return file


def _unnamed() -> IO[bytes]:
    return tempfile.TemporaryFile()


def _signal(running: Running, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if running.descriptor >= 0:
            signal.pidfd_send_signal(running.descriptor, number)
        else:
            os.kill(running.pid, number)


def _signal_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _is_host(pid: int) -> bool:
    """Whether this process leads its group and is a role's host, so that its number was not given to another
    program.
    """
    try:
        if os.getpgid(pid) != pid:
            return False
    except (ProcessLookupError, PermissionError, OverflowError):
        return False
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return HOST_MODULE.encode() in file.read().split(b"\0")
    except FileNotFoundError:
        return not os.path.exists("/proc/self/cmdline") and _exists(pid)
    except OSError:
        return False


def _exists(pid: int) -> bool:
    """Whether the process lives; a signal of 0 reaches it or not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _signal_name(number: int) -> str:
    with contextlib.suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"
