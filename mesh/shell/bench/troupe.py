"""Role processes that are played only to be measured: the ones that play in a room, told their routes by hand instead of by an agent.

By hand, because two roles that send frames to and fro wait for each other, which no deployment may ask for, and yet it is the one way to
time a frame on one clock. The processes, their sockets, encryption and the Role API are those of every room.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgpack
import zmq

from mesh.errors import RoomfulError
from mesh.shell import curve

ROLES = Path(__file__).resolve().parents[2] / "templates" / "bench" / "roles.py"
HERE = "127.0.0.1"
STILL_HERE_S = 0.5
READY_S = 60.0


class Player:
    """One process. `address` is where the others reach it."""

    def __init__(self, instance: str, process: subprocess.Popen[bytes], log: Path, state_folder: Path, address: str, key: str) -> None:
        self.key = key
        self.instance, self.process, self.log, self.state_folder, self.address = instance, process, log, state_folder, address
        self.ready: dict[str, Any] = {}
        self.pulse: dict[str, Any] = {}
        self.routes: dict[str, Any] = {"inputs": {}, "asks": {}, "roles": {}}

    @property
    def role(self) -> str:
        """The role it is an instance of."""
        return self.instance.split("/")[0].split("@")[0]

    @property
    def node(self) -> str:
        """The node that it would be on."""
        return f"node-of-{self.address}"

    def source(self) -> dict[str, Any]:
        """As routes name it."""
        return {
            "instance": self.instance, "node": self.node, "epoch": 1, "generation": 1, "addresses": [self.address], "state": "playing",
            "rank": 0, "frames_port": self.ready["frames_port"], "requests_port": self.ready["requests_port"],
            "key": self.key,
        }  # fmt: skip

    def stream(self, output: str, type_: str, delivery: str = "queue") -> dict[str, Any]:
        """One of its streams, as an input of another."""
        return {"stream": f"{self.role}.{output}", "type": type_, "delivery": delivery, "sources": [self.source()]}


class Troupe:
    """The processes, and the line to each of them. Leaving it ends them all."""

    def __init__(self, source: Path = ROLES) -> None:
        self._where = tempfile.TemporaryDirectory(prefix="rf")
        self.folder = Path(self._where.name)
        shutil.copyfile(source, self.folder / "roles.py")
        self._public, self._secret = (each.decode() for each in zmq.curve_keypair())  # of all: who gets in is not what is measured
        self._context: zmq.Context[Any] = zmq.Context()
        self._guard = curve.guard(self._context, lambda _: True)
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.linger = 0
        curve.server(self._socket, self._public.encode(), self._secret.encode())
        self._link = f"ipc://{self.folder}/link"
        self._socket.bind(self._link)
        self._players: dict[bytes, Player] = {}
        self._spoke_s = 0.0

    def __enter__(self) -> Troupe:
        return self

    def __exit__(self, *unused: object) -> None:
        for player in self._players.values():
            player.process.kill()
            player.process.wait()
        self._guard.close()
        self._context.destroy(linger=0)
        self._where.cleanup()

    def start(
        self, instance: str, kind: str, options: Mapping[str, Any] | None = None, *, address: str = HERE, command: Sequence[str] = (),
        env: Mapping[str, str] | None = None, **config: Any,
    ) -> Player:  # fmt: skip
        """A process, when it is ready. `command` goes before it (a network namespace, another priority)."""
        folder = self.folder / "state" / instance.replace("/", ".")
        folder.mkdir(parents=True)
        given = {
            "instance": instance, "role": instance.split("/")[0].split("@")[0], "kind": kind if "." in kind else f"./roles.py:{kind}",
            "folder": str(self.folder), "node": f"node-of-{address}", "machine": address, "installation": "bench", "link": self._link,
            "generation": 1, "epoch": 1, "curve_public": self._public, "curve_secret": self._secret, "doors": self._secret,
            "link_key": self._public,
            "state_folder": str(folder), "rehearsal": False, "bind": [address], "playing": True, "options": dict(options or {}), **config,
        }  # fmt: skip
        log = folder / "log"
        path = os.pathsep.join(filter(None, [str(Path(__file__).resolve().parents[3]), os.environ.get("PYTHONPATH", "")]))
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*command, sys.executable, "-P", "-m", "mesh.shell.host", instance], stdin=subprocess.PIPE, stdout=output, stderr=output,
                start_new_session=True, env={**os.environ, "PYTHONPATH": path, **(env or {})},
            )  # fmt: skip
        assert process.stdin is not None
        process.stdin.write(json.dumps(given).encode())
        process.stdin.close()
        player = self._players[f"{instance}#1".encode()] = Player(instance, process, log, folder, address, self._public)
        self.until(lambda: bool(player.ready), f"{instance} to be ready", READY_S)
        return player

    def route(self, player: Player, **changes: Any) -> None:
        """Whom it hears and asks: `inputs`, `asks` and `roles` as an agent would tell them."""
        player.routes.update(changes)
        self.tell(player, {"type": "routes", "routes": player.routes})

    def tell(self, player: Player, order: Mapping[str, Any]) -> None:
        """An order, as from its agent."""
        self._socket.send_multipart([f"{player.instance}#1".encode(), msgpack.packb(dict(order))])

    def figures(self, player: Player, within_s: float = 90.0) -> dict[str, Any]:
        """What it measured, when it has written that down."""
        path = player.state_folder / "figures.json"
        self.until(path.exists, f"the figures of {player.instance}", within_s)
        return dict(json.loads(path.read_text()))

    def until(self, condition: Any, what: str, within_s: float) -> None:
        """Waits for a condition, and keeps the processes company meanwhile. Raises RoomfulError when one ends or time is over."""
        until_s = time.monotonic() + within_s
        while not condition():
            self._pump(0.02)
            for player in self._players.values():
                if player.process.poll() not in (None, -9):
                    last = (player.log.read_text(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
                    raise RoomfulError(f"{player.instance}, which is measured, ended: {last}", instead="report it with this line")
            if time.monotonic() > until_s:
                raise RoomfulError(f"waited {within_s:.0f} s in vain for {what}", instead="try again when this machine is less busy")

    def _pump(self, wait_s: float) -> None:
        if time.monotonic() - self._spoke_s > STILL_HERE_S:
            self._spoke_s = time.monotonic()
            for identity in self._players:
                self._socket.send_multipart([identity, msgpack.packb({"type": "still_here"})])
        while self._socket.poll(int(wait_s * 1000)):
            identity, data = self._socket.recv_multipart()
            player, message = self._players.get(identity), msgpack.unpackb(data)
            if player is not None and message["type"] == "pulse":
                player.pulse = message
            elif player is not None and message["type"] == "ready":
                player.ready = message
            wait_s = 0.0
