"""Plays the agent for tests of role processes: binds the link, starts real hosts, tells them their routes.

with Agent(folder, source) as agent:
    mood = agent.start("mood", "Mood")
    wall = agent.start("wall", "Listener", routes={"inputs": {"line": mood.stream("tags", "text")}})
    agent.until(lambda: wall.facts.get("heard"))
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import msgpack
import zmq

from mesh.shell import curve

BOUND_S = 30.0
STILL_HERE_S = 0.5
KEYS = tuple(key.decode() for key in zmq.curve_keypair())
ROOT = Path(__file__).resolve().parent.parent.parent


class Host:
    """One role process and all it said."""

    def __init__(self, agent: Agent, config: dict[str, Any], command: Sequence[str] = ()) -> None:
        self.agent = agent
        self.config = config
        self.said: list[dict[str, Any]] = []
        self.pulse: dict[str, Any] = {}
        self.turned_away: list[list[str]] = []  # by all pulses: each tells what is new
        self.routes: dict[str, Any] = {"inputs": {}, "asks": {}, "roles": {}}
        self.log = agent.folder / f"{config['instance'].replace('/', '.')}.{config['generation']}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, sys.executable, "-P", "-m", "mesh.shell.host", config["instance"]],
                stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )  # fmt: skip
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(config).encode())
        self.process.stdin.close()

    @property
    def identity(self) -> bytes:
        return f"{self.config['instance']}#{self.config['generation']}".encode()

    @property
    def facts(self) -> dict[str, Any]:
        """What the role published, as of its last pulse."""
        return dict(self.pulse.get("facts", {}))

    @property
    def requests(self) -> dict[str, int]:
        return dict(self.pulse.get("requests", {}))

    def first(self, type_: str) -> dict[str, Any] | None:
        return next((message for message in self.said if message["type"] == type_), None)

    def events(self) -> list[str]:
        return [message["what"] for message in self.said if message["type"] == "event"]

    def source(self, state: str = "playing", **other: Any) -> dict[str, Any]:
        """This process as routes name it."""
        ready = self.first("ready")
        assert ready is not None
        names = {key: self.config[key] for key in ("instance", "node", "epoch", "generation")}
        ports = {key: ready[key] for key in ("frames_port", "requests_port")}
        return {**names, **ports, "addresses": ["127.0.0.1"], "state": state, "rank": 0, "key": KEYS[0], **other}

    def stream(self, output: str, type_: str, delivery: str = "queue", *others: dict[str, Any]) -> dict[str, Any]:
        """One of its streams, as an input in somebody's routes."""
        name = f"{self.config['role']}.{output}"
        return {"stream": name, "type": type_, "delivery": delivery, "sources": [self.source(), *others]}

    def tell(self, **order: Any) -> None:
        self.agent.send(self, order)

    def route(self, **changes: Any) -> None:
        """Sends its routes once more, with these parts replaced."""
        self.routes = {**self.routes, **changes}
        self.tell(type="routes", routes=self.routes)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        """Its exit code."""
        self.agent.until(lambda: self.process.poll() is not None, f"the end of {self.config['instance']}")
        self.agent.pump(0.05)
        return int(self.process.returncode)


class Agent:
    """The link's other end. Everything happens in the test's own thread, in `until`."""

    def __init__(self, folder: Path, source: str = "") -> None:
        self.folder = folder
        (folder / "roles.py").write_text(HEAD + source, encoding="utf-8")
        self._run = tempfile.TemporaryDirectory(prefix="rf")
        self._context = zmq.Context()
        self._guard = curve.guard(self._context, lambda _: True)
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.linger = 0
        curve.server(self._socket, *(key.encode() for key in KEYS))
        self.link = f"ipc://{self._run.name}/link"
        self._socket.bind(self.link)
        self._hosts: dict[bytes, Host] = {}
        self._adopted: set[bytes] = set()
        self._strangers: set[bytes] = set()
        self._spoke_s = 0.0

    def __enter__(self) -> Agent:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for host in self._hosts.values():
            if host.process.poll() is None:
                host.process.kill()
            host.process.wait()
            # Shown by pytest where the test failed.
            print(f"--- {host.config['instance']} said {host.said}\nlast {host.pulse}\nlog: {host.log.read_text()}")
        self._guard.close()
        self._context.destroy(linger=0)
        self._run.cleanup()

    def config(self, instance: str, kind: str, **other: Any) -> dict[str, Any]:
        return {
            "instance": instance, "role": instance.split("/")[0].split("@")[0], "kind": kind, "folder": str(self.folder),
            "node": "node-a", "machine": "here", "installation": "test", "generation": 1, "epoch": 1,
            "link": self.link, "link_key": KEYS[0],
            "curve_public": KEYS[0], "curve_secret": KEYS[1], "doors": KEYS[1], "rehearsal": True, "orphan_s": 0.0, "bind": ["127.0.0.1"],
            "playing": True, "writes": [str(self.folder)], **other,
        }  # fmt: skip

    def launch(self, instance: str, kind: str, *, command: Sequence[str] = (), **config: Any) -> Host:
        """Starts a process, by way of `command` if one is given, and waits for nothing."""
        host = Host(self, self.config(instance, f"./roles.py:{kind}" if "." not in kind else kind, **config), command)
        self._hosts[host.identity] = host
        return host

    def start(self, instance: str, kind: str, *, routes: Mapping[str, Any] | None = None, **config: Any) -> Host:
        """Starts a process, waits until it is ready, and tells it its routes."""
        host = self.launch(instance, kind, **config)
        self.until(lambda: host.first("ready") is not None or host.process.poll() is not None, f"{instance} is ready")
        assert host.first("ready") is not None, host.log.read_text(errors="replace")
        host.route(**(routes or {}))
        return host

    def send(self, host: Host, message: dict[str, Any]) -> None:
        self._socket.send_multipart([host.identity, msgpack.packb(message)])

    def adopt(self, instance: str, generation: int) -> None:
        """From now on it says `still_here` to a process that it did not start."""
        self._adopted.add(f"{instance}#{generation}".encode())

    def heard(self, identity: bytes) -> bool:
        """Whether a process that it did not start spoke to it."""
        return identity in self._strangers

    def say_still_here_for(self, seconds: float) -> None:
        until_s = time.monotonic() + seconds
        self.until(lambda: time.monotonic() > until_s)

    def pump(self, wait_s: float) -> None:
        """Hears what the hosts say, and says now and then that the agent is still here."""
        if time.monotonic() - self._spoke_s > STILL_HERE_S:
            self._spoke_s = time.monotonic()
            for identity in (*self._hosts, *self._adopted):
                self._socket.send_multipart([identity, msgpack.packb({"type": "still_here"})])
        while self._socket.poll(int(wait_s * 1000)):
            identity, data = self._socket.recv_multipart()
            message = msgpack.unpackb(data)
            host = self._hosts.get(identity)
            if host is None:
                self._strangers.add(identity)
            elif message["type"] == "pulse":
                host.pulse = message
                host.turned_away += message.get("turned_away", [])
            else:
                host.said.append(message)
            wait_s = 0.0

    def until(self, condition: Callable[[], object], what: str = "", bound_s: float = BOUND_S) -> None:
        """Waits for a condition, with a bound."""
        until_s = time.monotonic() + bound_s
        while not condition():
            assert time.monotonic() < until_s, f"in {bound_s} s this did not come about: {what}"
            self.pump(0.01)


HEAD = '''
import json, os, sys
from pathlib import Path
import numpy
from mesh.role import Audio, Event, Frame, Image, Options, Pause, Piece, Role, Text, Vector


class Listener(Role):
    """Publishes all it hears, as [value, request, index, more, ended]."""

    inputs = {"*": "any"}

    def setup(self):
        self.heard = []

    def on_frame(self, input, frame):
        self.heard.append([frame.value, frame.request, frame.index, frame.more, frame.ended])
        self.publish("heard", self.heard[-2000:])

'''
