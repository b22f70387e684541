"""A room of real machines on one computer: an agent in each network namespace, as a technician would start it.

Each machine has its own state folder, its own address and hostname, the documented ports and real mDNS; the installation's
key is the same for all. Nothing of the program is replaced. What happens is read from the agents' `--json` lines; what is
so is asked of them as `roomful status` asks. Waiting is always for a condition, with a bound.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

import mesh
from mesh.core.addresses import CONTROL_PORT
from mesh.errors import RoomfulError
from mesh.shell.certificates import OPERATOR
from mesh.shell.credentials import let_in
from mesh.shell.finding import Door
from mesh.shell.keys import InstallationKey, save_key, throwaway_key
from mesh.shell.register import Register
from tests.hosts.network import Network

WITHIN_S = 20.0
LOOK_S = 0.05  # how often a condition is looked at when nothing is said meanwhile
STOP_S = 10.0
AGENT = (sys.executable, "-P", "-m", "mesh.cli.entry", "agent")
NAMED = 'echo "$0" > /proc/sys/kernel/hostname; exec "$@"'


@dataclass(slots=True)
class Machine:
    """One machine: its state folder, its agent's process, and what that said, each with the time it was said at.

    `began_s` is when the agent's own clock stood at 0: the least that any line took to arrive is taken for no time.
    """

    name: str
    home: Path
    folder: Path | None  # None: it waits to be sent one
    agent: subprocess.Popen[str] | None = None
    events: list[dict[str, Any]] = field(default_factory=list)
    began_s: float = float("inf")
    reader: threading.Thread | None = None

    @property
    def runs(self) -> bool:
        """Whether its agent runs."""
        return self.agent is not None and self.agent.poll() is None

    def said(self, event: str, *, since_s: float = 0.0, **fields: Any) -> list[dict[str, Any]]:
        """What its agents reported, oldest first; `at_s` in each is in seconds of `time.monotonic`."""
        return [
            each for each in list(self.events)
            if each["event"] == event and each["at_s"] >= since_s and all(each.get(key) == value for key, value in fields.items())
        ]


class Room:
    """Machines with the installation's folder and key. Leave it with its `with` block: nothing runs on after it."""

    def __init__(
        self, folder: Path | None, machines: Sequence[str], home: Path, *, network: Network | None = None,
        key: InstallationKey | None = None, agent: Sequence[str] = AGENT,
    ) -> None:  # fmt: skip
        self.key = key or throwaway_key()
        self._command = Register(let_in(self.key, secrets.token_hex(16), kind=OPERATOR))
        self._own_network = network is None
        self.network = network or Network(machines)
        self._agent = tuple(agent)
        self._stack = ExitStack()
        self._news = threading.Condition()
        self.machines = {name: Machine(name, home / name, folder) for name in machines}
        for machine in self.machines.values():
            save_key(machine.home / "key", self.key)

    def __enter__(self) -> Room:
        if self._own_network:
            self._stack.enter_context(self.network)
        return self

    def __exit__(self, *unused: object) -> None:
        """Everything that was started is asked to end, then ended."""
        with self._stack:
            self.thaw(*self.machines)
            self.stop(*self.machines)
            for machine in self.machines.values():
                for process in self.processes(machine.name):
                    _signal(process, signal.SIGKILL)
                if machine.agent is not None:
                    machine.agent.wait()
                if machine.reader is not None:
                    machine.reader.join(STOP_S)

    # ---- switching on and off

    def start(self, *names: str, options: Sequence[str] = ()) -> None:
        """Start the agents of these machines."""
        for name in names:
            machine = self.machines[name]
            assert not machine.runs, f"the agent of {name} runs already"
            machine.began_s = float("inf")
            machine.agent = subprocess.Popen(
                [
                    "ip", "netns", "exec", self.network.namespace(name), "setpriv", "--pdeathsig", "KILL", "unshare", "--uts",
                    "sh", "-c", NAMED, name, *self._agent, *([str(machine.folder)] if machine.folder is not None else []),
                    "--name", name, "--json", *options,
                ],
                env=self.environment(name), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True,
                stderr=open(machine.home / "agent.log", "a"),  # noqa: SIM115 - the child holds it
            )  # fmt: skip
            machine.reader = threading.Thread(target=self._read, args=(machine, machine.agent), name=f"reads {name}", daemon=True)
            machine.reader.start()

    def environment(self, name: str) -> dict[str, str]:
        """What a command finds that is typed on this machine."""
        return {**os.environ, "ROOMFUL_HOME": str(self.machines[name].home), "PYTHONPATH": str(Path(mesh.__file__).parent.parent)}

    def play(self, *names: str, within_s: float = 40.0) -> None:
        """Start these machines (all, when none is named), order `up`, and wait until every instance plays."""
        wanted = names or tuple(self.machines)
        self.start(*wanted)
        self.until(lambda: all(self._knows(name, set(wanted)) for name in wanted), "everyone to have met", within_s)
        self.ask(wanted[0], "order", {"verb": "up"})
        self.until(self.plays, "everything to play", within_s)

    def _knows(self, name: str, others: set[str]) -> bool:
        return others - {name} <= {each["name"] for each in self.machines[name].said("node_up")}

    def stop(self, *names: str) -> None:
        """A clean stop: the agents say goodbye."""
        running = [self.machines[name] for name in names if self.machines[name].runs]
        for machine in running:
            assert machine.agent is not None
            machine.agent.terminate()
        for machine in running:
            assert machine.agent is not None
            with suppress(subprocess.TimeoutExpired):
                machine.agent.wait(STOP_S)

    def unplug(self, *names: str) -> float:
        """Their cables are out. Returns when, in seconds of `time.monotonic`, as all that follow."""
        at_s = time.monotonic()
        for name in names:
            self.network.unplug(name)
        return at_s

    def power_off(self, *names: str) -> float:
        """A power cut: these machines fall silent at one moment, mid-word.

        The cables go first, so that the kernel cannot say goodbye for the processes, as it would on a machine that lives."""
        family = self.processes(*names)
        at_s = self.unplug(*names)
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for process in family:
                _signal(process, number)
        for name in names:
            agent = self.machines[name].agent
            if agent is not None:
                agent.wait()
        return at_s

    def power_on(self, *names: str, apart_s: float = 0.0) -> None:
        """The power is back: cable in, agent started, one machine after another in this order, so long apart."""
        for number, name in enumerate(names):
            due_s = time.monotonic() + (apart_s if number else 0.0)
            self.until(lambda: time.monotonic() >= due_s, "its turn", apart_s + WITHIN_S)  # noqa: B023 - used at once
            self.network.plug(name)
            self.start(name)

    def freeze(self, *names: str) -> float:
        """Stop every process of these machines where it stands."""
        family = self.processes(*names)
        at_s = time.monotonic()
        for process in family:
            _signal(process, signal.SIGSTOP)
        return at_s

    def thaw(self, *names: str) -> None:
        """Let them go on, the roles before the agent."""
        for name in names:
            for process in reversed(self.processes(name)):
                _signal(process, signal.SIGCONT)

    def processes(self, *names: str) -> list[psutil.Process]:
        """The processes of these machines, each agent before its roles."""
        found: list[psutil.Process] = []
        for name in names:
            agent = self.machines[name].agent
            if agent is not None and agent.poll() is None:
                with suppress(psutil.Error):
                    process = psutil.Process(agent.pid)
                    found += [process, *process.children(recursive=True)]
        return found

    def process(self, instance: str, machine: str) -> psutil.Process:
        """The process on that machine that plays the instance, or stands by for it."""
        for process in self.processes(machine)[1:]:
            with suppress(psutil.Error):
                if process.cmdline()[-2:] == ["mesh.shell.host", instance]:
                    return process
        raise LookupError(f"{machine} has no process of {instance}")

    # ---- asking

    def ask(self, name: str, verb: str, arguments: dict[str, Any] | None = None) -> Any:
        """Ask this machine's agent, from the machine itself. Raises RoomfulError when it does not answer."""
        with self.network.within(name):
            return Door(("127.0.0.1",), CONTROL_PORT, self._command).ask(verb, arguments)

    def status(self, name: str) -> dict[str, Any]:
        """What `roomful status --json` says there; {} when nobody answers."""
        try:
            return dict(self.ask(name, "status"))
        except RoomfulError:
            return {}

    def run(self, name: str, *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """Type a `roomful` command on this machine."""
        return subprocess.run(
            ["ip", "netns", "exec", self.network.namespace(name), sys.executable, "-P", "-m", "mesh.cli.entry", *arguments],
            env=self.environment(name), capture_output=True, text=True, input=text, timeout=60, check=False,
        )  # fmt: skip

    def running(self) -> list[str]:
        """The machines whose agents run."""
        return [name for name, machine in self.machines.items() if machine.runs]

    def holders(self, *names: str) -> dict[str, list[str]]:
        """Instance -> the machines that say they hold it themselves; of those named, or of all that run."""
        found: dict[str, list[str]] = {}
        for name in names or self.running():
            said = self.status(name)
            for instance in said.get("roles", {}):
                found.setdefault(instance, [])
            for instance in said.get("machines", {}).get(name, {}).get("roles", []):
                if not instance.endswith("(standby)"):
                    found.setdefault(instance, []).append(name)
        return found

    def plays(self, *names: str) -> bool:
        """Whether these machines (all that run) see every instance play, and one machine holds each."""
        return self.plays_as_seen_by(*names) and all(len(each) == 1 for each in self.holders(*names).values())

    def plays_as_seen_by(self, *names: str) -> bool:
        """Whether each of these sees every instance play."""
        for name in names or self.running():
            said = self.status(name)
            if not said or any(role["state"] != "playing" for role in said["roles"].values()):
                return False
        return True

    def health(self, name: str) -> dict[str, str]:
        """How this machine sees the others."""
        said = self.status(name)
        return {other: about["health"] for other, about in said.get("machines", {}).items() if other != name}

    def pids(self, *names: str) -> dict[str, int]:
        """Instance -> the process that plays it, as these machines say of what they hold themselves."""
        found = {}
        for name in names or self.running():
            said = self.status(name)
            found.update({i: role["pid"] for i, role in said.get("roles", {}).items() if role["machine"] == name})
        return found

    # ---- waiting

    def until(self, condition: Callable[[], object], what: str, within_s: float = WITHIN_S) -> float:
        """Returns once the condition holds, with the seconds it took; fails, and says what was awaited and what was said."""
        began_s = time.monotonic()
        while not condition():
            passed_s = time.monotonic() - began_s
            assert passed_s < within_s, f"waited {within_s} s in vain for {what}\n{self.story()}"
            with self._news:
                self._news.wait(min(LOOK_S, within_s - passed_s))
        return time.monotonic() - began_s

    def story(self) -> str:
        """The last of what every machine said, in order, and what they say now."""
        told = [(name, each) for name, machine in self.machines.items() for each in machine.events]
        told.sort(key=lambda pair: pair[1]["at_s"])
        lines = [f"{each['at_s']:.3f} {name}: {_brief(each)}" for name, each in told[-120:]]
        for name in self.running():
            said = self.status(name)
            lines.append(f"{name} says: {json.dumps({'machines': self.health(name), 'roles': said.get('roles')})}")
        logs = [f"{name}: {(machine.home / 'agent.log').read_text()[-800:]}" for name, machine in self.machines.items()
                if (machine.home / "agent.log").exists()]
        return "\n".join([*lines, *logs])

    def _read(self, machine: Machine, agent: subprocess.Popen[str]) -> None:
        """In a thread of its own for each agent."""
        assert agent.stdout is not None
        with agent.stdout:
            for line in agent.stdout:
                arrived_s = time.monotonic()
                with suppress(ValueError, KeyError):
                    event = json.loads(line)
                    machine.began_s = min(machine.began_s, arrived_s - event["t"])
                    event["at_s"] = machine.began_s + event["t"]
                    with self._news:
                        machine.events.append(event)
                        self._news.notify_all()

    def forget(self, name: str) -> None:
        """The machine's disk is lost, but for the key."""
        machine = self.machines[name]
        for path in machine.home.iterdir():
            if path.name != "key":
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def bring_about(room: Room, how: str, machine: str) -> float:
    """A machine falls silent: "cable out", "stopped" or "power cut". Returns when, in seconds of `time.monotonic`."""
    if how == "cable out":
        return room.unplug(machine)
    return room.freeze(machine) if how == "stopped" else room.power_off(machine)


def undo(room: Room, how: str, machine: str) -> None:
    """What `bring_about` did is put right: the machine comes back."""
    if how == "cable out":
        room.network.plug(machine)
    elif how == "stopped":
        room.thaw(machine)
    else:
        room.power_on(machine)


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    with suppress(psutil.Error):
        process.send_signal(number)


def _brief(event: dict[str, Any]) -> str:
    return " ".join(str(value) for key, value in event.items() if key not in ("t", "at_s", "node"))


def lines_of(path: Path) -> Iterator[str]:
    """The whole lines of a file that is being written; none while it does not exist."""
    with suppress(FileNotFoundError):
        yield from (line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n"))
