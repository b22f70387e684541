"""The whole room on one computer: one real `roomful agent` for each machine of the file, found over mDNS on loopback.

Nothing is simulated but the number of computers: the agents, their sockets, the roles and their models are those of the
room. The agents' stdin is a pipe from here, so that they end when this process ends, however it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

from mesh.core.faults import Fault
from mesh.core.instances import instances
from mesh.core.spec import Deployment
from mesh.shell.finding import rehearsals
from mesh.shell.keys import save_key, throwaway_key
from mesh.shell.kinds import write_kinds
from mesh.shell.replaying import Replay, begin_replay, write_replay
from mesh.shell.storage import Store
from mesh.shell.tally import Tally

MACHINES_WITHOUT_FILE = 3
STOP_S = 8.0
LOOK_S = 0.1
SOCKET_FOLDER_MAX = 80  # characters: the system takes 104 to 108 for a socket's whole path
AFTERMATH_S = 5.0  # after the last fault: time in which take-overs happen and their gaps are told
ABANDONED_S = 600.0
LINE_BYTES_MAX = 4 * 1024 * 1024
QUIET = ("report", "role_gap", "settled", "following")


def machine_names(deployment: Deployment, count: int | None) -> list[str]:
    """One node for each machine of the file (three where it names none); a larger `count` adds spares."""
    names = [machine.name for machine in deployment.machines]
    wanted = max(count or 0, len(names) or MACHINES_WITHOUT_FILE)
    return [*names, *(f"spare-{number}" for number in range(1, wanted - len(names) + 1))]


def _sweep(folder: Path) -> None:
    """Remove what rehearsals left that were killed: folders in which no agent has been running for a while."""
    for old in folder.iterdir():
        if time.time() - old.stat().st_mtime > ABANDONED_S and not old.name.startswith("run-") and not any(old.glob("*/agent.json")):
            shutil.rmtree(old, ignore_errors=True)


def _import_path() -> str:
    """Where children find this very Roomful: they are started with -P, so that a `roles.py` beside them does not hide `roles`."""
    return os.pathsep.join(filter(None, [str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")]))


class Rehearsal:
    """A room of real nodes on this computer. Use `async with`: leaving it ends every process it started."""

    def __init__(self, folder: Path, deployment: Deployment, machines: list[str], on_event: Callable[[dict[str, Any]], None],
                 replay: Replay | None = None) -> None:
        self.folder, self.deployment, self.machines, self.replay = folder, deployment, machines, replay
        self.tally = Tally(tuple(dict.fromkeys(f"{wire.role}.{wire.stream}" for role in deployment.roles for wire in role.inputs)))
        self.started_s = time.monotonic()
        self._on_event = on_event
        self._agents: dict[str, asyncio.subprocess.Process] = {}
        self._readers: list[asyncio.Task[None]] = []
        self._stopping = False
        self._faults: list[asyncio.Task[None]] = []
        self._said: set[tuple[str, ...]] = set()
        self.home = self._run = Path()

    async def __aenter__(self) -> Rehearsal:
        rehearsals().mkdir(mode=0o700, parents=True, exist_ok=True)
        _sweep(rehearsals())
        self.home = Path(tempfile.mkdtemp(prefix=f"{self.deployment.installation[:20]}-", dir=rehearsals()))
        self._run = self.home / "run"  # of the agents' sockets: here, so that one that is killed leaves nothing
        if len(str(self._run)) > SOCKET_FOLDER_MAX:
            self._run = Path(tempfile.mkdtemp(prefix="roomful-", dir="/tmp"))
        save_key(self.home / "key", throwaway_key())
        write_kinds(self.home / "kinds.json", self.deployment.kinds)
        if self.replay is not None:
            self._begin_file.parent.mkdir()
            write_replay(self.home / "replay.json", self.replay, self._begin_file)
        for machine in self.machines:
            await self._start(machine)
        if self.replay is not None:
            self._faults.append(asyncio.create_task(self._begin_replay()))
        return self

    async def bring_about(self, faults: Sequence[Fault]) -> None:
        """Bring about each fault at its time, counted from the moment at which everything plays: a slow computer then shows the
        same as a fast one. What never comes to that is in the tally, with the reason."""
        for fault in faults:
            row = {"fault": str(fault), "t": None, "why": "not everything played before the rehearsal ended"}
            self.tally.faults.append(row)
            self._faults.append(asyncio.create_task(self._at_its_time(fault, row)))

    async def have_happened(self) -> None:
        """Returns when every fault was brought about, or could not be, and what follows from it has had time to show."""
        while any(not fault.done() for fault in self._faults):
            await asyncio.gather(*self._faults, return_exceptions=True)
        await asyncio.sleep(AFTERMATH_S)

    @property
    def _begin_file(self) -> Path:
        return self.home / "begin" / "begin.json"  # in a folder of its own, since roles that wait for it may look there

    async def _begin_replay(self) -> None:
        """All recordings begin at one moment, when everything plays: else the first frames would be heard by nobody."""
        await self._all_play()
        begin_replay(self._begin_file, time.monotonic())
        self.tell({"event": "replay", "file": str(self.replay.file) if self.replay else ""})

    async def _all_play(self) -> None:
        wanted = [each.name for each in instances(self.deployment)]
        while not self.tally.all_played(wanted):
            await asyncio.sleep(LOOK_S)

    async def _at_its_time(self, fault: Fault, row: dict[str, Any]) -> None:
        await self._all_play()
        row["why"] = "the rehearsal ended before its time"
        await asyncio.sleep(fault.at_s)
        try:
            touched = await self._fault(fault)
        except (ProcessLookupError, LookupError) as missing:
            row["why"] = str(missing)
            self.tell({"event": "trouble", "what": f"{fault}: {missing}", "machine": fault.target})
            return
        row["t"], row["why"] = round(time.monotonic() - self.started_s, 3), ""
        self.tell({"event": "fault", "fault": str(fault), "what": str(fault), "pids": touched})

    async def _fault(self, fault: Fault) -> list[int]:
        """Do it; returns the processes it touched."""
        if fault.verb == "kill":
            return self._kill_machine(fault.target)
        if fault.verb == "cut":
            self._cut(fault.target, True)
            self._faults.append(asyncio.create_task(self._mend(fault)))
            return []
        names = [each.name for each in instances(self.deployment) if fault.target in (each.name, each.role.name)]
        said = next((said for name in names if (said := self.tally.roles.get(name)) and said["pid"] and said["state"] != "ended"), None)
        if said is None:
            raise LookupError(f"{fault.target} does not play at that moment")
        pid = int(said["pid"])
        os.kill(pid, signal.SIGKILL if fault.verb == "crash" else signal.SIGSTOP)
        return [pid]

    def _kill_machine(self, machine: str) -> list[int]:
        """As a power cut: the agent and all it started, at one moment, with no goodbye."""
        if self._agents[machine].returncode is not None:
            raise LookupError(f"{machine} is gone already")
        agent = psutil.Process(self._agents[machine].pid)
        family = [*agent.children(recursive=True), agent]
        for process in (agent, *family):
            with contextlib.suppress(psutil.Error):
                process.suspend()
        for process in family:
            with contextlib.suppress(psutil.Error):
                process.kill()
        return [process.pid for process in family]

    def _cut(self, machine: str, cut: bool) -> None:
        """Tell every agent whom it can no longer hear; they drop all of it, on both sides, and so do their roles."""
        for name, agent in self._agents.items():
            others = [other for other in self.machines if other != name] if name == machine else [machine]
            if agent.stdin is not None and agent.returncode is None:
                agent.stdin.write(json.dumps({"cut": others, "on": cut}).encode() + b"\n")

    async def _mend(self, fault: Fault) -> None:
        await asyncio.sleep(fault.lasts_s)
        self._cut(fault.target, False)
        self.tell({"event": "fault", "fault": str(fault), "what": f"the cut of {fault.target} is mended", "pids": []})

    async def __aexit__(self, *unused: object) -> None:
        await self._stop()
        shutil.rmtree(self._run, ignore_errors=True)
        shutil.rmtree(self.home, ignore_errors=True)

    def pids(self) -> dict[str, int]:
        """The agents' process ids by machine."""
        return {machine: agent.pid for machine, agent in self._agents.items()}

    async def _start(self, machine: str) -> None:
        here = self.home / machine
        run = self._run / str(len(self._agents))
        here.mkdir()
        run.mkdir(parents=True)
        Store(here).write("order", [1, "up", "rehearsal"])
        errors = open(here / "agent.log", "wb")  # noqa: SIM115 - the child holds it
        self._agents[machine] = agent = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "mesh.cli.entry", "agent", str(self.folder), "--name", machine, "--key", str(self.home / "key"),
            "--rehearsal", "--run", str(run), "--kinds", str(self.home / "kinds.json"), "--json",
            *(["--replay", str(self.home / "replay.json")] if self.replay is not None else []),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=errors, start_new_session=True,
            env={**os.environ, "ROOMFUL_HOME": str(here), "PYTHONPATH": _import_path()}, limit=LINE_BYTES_MAX,
        )
        errors.close()
        self._readers.append(asyncio.create_task(self._read(machine, agent)))

    async def _read(self, machine: str, agent: asyncio.subprocess.Process) -> None:
        assert agent.stdout is not None
        while line := await agent.stdout.readline():
            with contextlib.suppress(ValueError):
                self._hear(machine, json.loads(line))
        await agent.wait()
        if not self._stopping:
            self.tally.health[machine] = "dead"
            self.tell({"event": "agent_ended", "machine": machine, "code": agent.returncode, "what": self._last_words(machine)})

    def _hear(self, machine: str, event: dict[str, Any]) -> None:
        if self._stopping:  # what ends now ends because the rehearsal does
            return
        self.tally.take(event, time.monotonic())
        if event["event"] in QUIET:
            return
        if event["event"] == "node_up":
            self.tell({**event, "seen_by": machine})
            return
        self.tell({**event, "machine": event.get("machine", machine)})

    def tell(self, event: dict[str, Any]) -> None:
        """Hand an event on, stamped with the rehearsal's own time."""
        self._on_event({**event, "t": round(time.monotonic() - self.started_s, 3)})

    def _last_words(self, machine: str) -> str:
        try:
            return (self.home / machine / "agent.log").read_text(errors="replace").strip()[-2000:]
        except OSError:
            return ""

    async def _stop(self) -> None:
        self._stopping = True
        for task in self._faults:
            task.cancel()
        await asyncio.gather(*self._faults, return_exceptions=True)
        for agent in self._agents.values():
            with contextlib.suppress(ProcessLookupError):
                agent.terminate()
        waiting = [asyncio.create_task(agent.wait()) for agent in self._agents.values()]
        if waiting:
            _, late = await asyncio.wait(waiting, timeout=STOP_S)
            for agent in self._agents.values() if late else ():
                if agent.returncode is None:
                    agent.kill()
            await asyncio.gather(*waiting)
        await asyncio.gather(*self._readers)
