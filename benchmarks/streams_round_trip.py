"""A small message there and back, role to role through the real Role API, beside raw pyzmq doing the same, in turn in one run.

Near: two role processes on one machine, beside DEALER/ROUTER over ipc://, neither encrypted. Far: the same two with no door to each
other, beside DEALER/ROUTER over TCP with CURVE. 100 bytes, the echo waits in a process of its own.
Run: python -m benchmarks.streams_round_trip [RUNS]
"""

from __future__ import annotations

import contextlib
import io
import json
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import zmq

from benchmarks.figures import machine, median, p99
from tests.shell.host_harness import KEYS, Agent

TRIPS = 4000
SIZE = 100
ROLES = f"""
import time
class Ping(Role):
    outputs = {{"ping": Event}}
    def setup(self):
        self.times, self.left, self.went = [], 0, 0
    def tick(self):
        if self.left == 0:
            order = self.folder / "go"
            if order.exists():
                self.number = order.read_text()
                order.unlink()
                self.times, self.left = [], {TRIPS}
                self.send()
        elif time.perf_counter() - self.began > 1:
            self.send()
        return 0.05
    def send(self):
        self.began = time.perf_counter()
        self.emit("ping", b"x" * {SIZE})
    def on_pong(self, frame: Event):
        if self.left:
            self.times.append(time.perf_counter() - self.began)
            self.left -= 1
            if self.left:
                self.send()
            else:
                (self.folder / "times").write_text(json.dumps([round(each * 1e6, 1) for each in self.times]))
                self.publish("done", self.number)
class Pong(Role):
    outputs = {{"pong": Event}}
    def on_ping(self, frame: Event):
        self.emit("pong", frame.value)
"""


class Room:
    """Two role processes that send each other one frame."""

    def __init__(self, near: bool) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.agent = Agent(Path(self._folder.name), ROLES)
        self.ping, self.pong = self.agent.start("ping", "Ping"), self.agent.start("pong", "Pong")
        # A source of another generation has no door here: the reader takes the way of another machine.
        change = {} if near else {"generation": 9}
        pings, pongs = self.ping.stream("ping", "event"), self.pong.stream("pong", "event")
        for each in (pings, pongs):
            each["sources"][0].update(change)
        self.pong.route(inputs={"ping": pings})
        self.ping.route(inputs={"pong": pongs})
        self.number = 0

    def run(self) -> list[float]:
        self.number += 1
        (self.agent.folder / "go.new").write_text(str(self.number))
        (self.agent.folder / "go.new").rename(self.agent.folder / "go")
        self.agent.until(lambda: self.ping.facts.get("done") == str(self.number), "the round trips", 60)
        return list(json.loads((self.agent.folder / "times").read_text()))

    def close(self) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            self.agent.__exit__(None, None, None)
        self._folder.cleanup()


def _echo(address: str, curve: bool) -> None:
    context: Any = zmq.Context()
    socket = context.socket(zmq.ROUTER)
    if curve:
        socket.curve_server, socket.curve_publickey, socket.curve_secretkey = True, KEYS[0].encode(), KEYS[1].encode()
    socket.bind(address)
    while True:
        parts = socket.recv_multipart()
        if parts[1] == b"end":
            break
        socket.send_multipart(parts)
    context.destroy(linger=0)


class Raw:
    """DEALER here, ROUTER in another process."""

    def __init__(self, address: str, curve: bool) -> None:
        self._process = multiprocessing.get_context("fork").Process(target=_echo, args=(address, curve))
        self._process.start()
        self._context: Any = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        if curve:
            self._socket.curve_serverkey = self._socket.curve_publickey = KEYS[0].encode()
            self._socket.curve_secretkey = KEYS[1].encode()
        self._socket.connect(address)

    def run(self) -> list[float]:
        times, data = [], b"x" * SIZE
        for _ in range(TRIPS):
            began = time.perf_counter()
            self._socket.send(data)
            self._socket.recv()
            times.append((time.perf_counter() - began) * 1e6)
        return times

    def close(self) -> None:
        self._socket.send(b"end")
        self._process.join()
        self._context.destroy(linger=0)


def in_turn(sides: dict[str, Any], runs: int) -> dict[str, list[list[float]]]:
    """Microseconds of each side's trips, run by run, after one run that warms up. Ends the sides."""
    times: dict[str, list[list[float]]] = {name: [] for name in sides}
    try:
        for run in range(runs + 1):
            for name, side in sides.items():
                taken = side.run()
                if run:  # the first warms up
                    times[name].append(taken)
    finally:
        for side in sides.values():
            side.close()
    return times


def main(runs: int) -> None:
    print(f"round trip of {SIZE} bytes, {runs} runs of {TRIPS}, in turn; {machine()}")
    with tempfile.TemporaryDirectory() as folder:
        sides = {
            "raw, ipc, plain": Raw(f"ipc://{folder}/raw", False), "near": Room(True),
            "raw, tcp, CURVE": Raw("tcp://127.0.0.1:47991", True), "far": Room(False),
        }  # fmt: skip
        times = in_turn(sides, runs)
    for raw, own in (("raw, ipc, plain", "near"), ("raw, tcp, CURVE", "far")):
        for name in (raw, own):
            middle, late = median([median(run) for run in times[name]]), median([p99(run) for run in times[name]])
            print(f"{name:18} median {middle:7.1f} us   p99 {late:7.1f} us")
        print(f"{'ratio':18} {median([median(b) / median(a) for a, b in zip(times[raw], times[own], strict=True)]):.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
