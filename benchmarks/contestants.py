"""Those that do the same work side by side: Roomful, bare pyzmq, Eclipse Zenoh, dora-rs. Each method starts its processes and ends them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

from mesh.shell.bench import bare, plays

ROOT = Path(__file__).resolve().parent.parent
WITHIN_S = 120.0
POOL_BYTES = 256 * 1024 * 1024
NUMBERS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


class Contestant:
    """One way to do the work. `why_not`: why it cannot run here, "" when it can."""

    name = ""
    about = ""
    why_not = ""
    encrypts = False  # what goes from one machine to another

    def round_trips(self, count: int, size: int, *, far: bool = False) -> list[float]:
        """Microseconds of each round trip; as between machines, over TCP and encrypted, when `far`: only of those who encrypt."""
        raise NotImplementedError

    def pictures(self, width: int, height: int, seconds: float) -> dict[str, Any]:
        """"arrivals" in seconds and "ages" in microseconds of pictures on one machine."""
        raise NotImplementedError

    def shared_out(self, count: int, outstanding: int, ms: Sequence[float], fault: str = "", at_s: float = 1.0) -> dict[str, Any]:
        """Questions to copies that take so many milliseconds; "kill" or "stop" the first of them, `at_s` after they have begun."""
        raise NotImplementedError


class Roomful(Contestant):
    """Real role processes, through the Role API."""

    name, about = "roomful", "encrypted between machines; shared memory on one"
    encrypts = True

    def round_trips(self, count: int, size: int, *, far: bool = False) -> list[float]:
        return plays.round_trips(count, size, far=far)

    def pictures(self, width: int, height: int, seconds: float) -> dict[str, Any]:
        return plays.pictures(width, height, seconds)

    def shared_out(self, count: int, outstanding: int, ms: Sequence[float], fault: str = "", at_s: float = 1.0) -> dict[str, Any]:
        return plays.shared_out(count, outstanding, ms, fault, at_s)


class Bare(Contestant):
    """Plain pyzmq: DEALER and ROUTER, PUSH and PULL over TCP, a queue of those who are free."""

    name, about = "pyzmq", "on one machine: round trip over ipc, pictures over TCP, neither encrypted; between machines CURVE"
    encrypts = True

    def round_trips(self, count: int, size: int, *, far: bool = False) -> list[float]:
        return bare.round_trips(count, size, far=far)

    def pictures(self, width: int, height: int, seconds: float) -> dict[str, Any]:
        return bare.pictures(width, height, seconds, encrypted=False)

    def shared_out(self, count: int, outstanding: int, ms: Sequence[float], fault: str = "", at_s: float = 1.0) -> dict[str, Any]:
        return bare.shared_out(count, outstanding, ms, fault, at_s)


class Zenoh(Contestant):
    """Publishers and subscribers; its shared memory for pictures; queries for questions."""

    name, about = "zenoh", "not encrypted; its shared memory for pictures"
    why_not = "" if find_spec("zenoh") else "eclipse-zenoh is not installed: pip install -e '.[bench]'"

    def round_trips(self, count: int, size: int, *, far: bool = False) -> list[float]:
        with _started("answer") as server, _started("ask", _line(server), count, size) as asker:
            return list(json.loads(_line(asker))["samples"])

    def pictures(self, width: int, height: int, seconds: float) -> dict[str, Any]:
        with _started("write", width, height) as writer, _started("read", _line(writer), seconds) as reader:
            return dict(json.loads(_line(reader)))

    def shared_out(self, count: int, outstanding: int, ms: Sequence[float], fault: str = "", at_s: float = 1.0) -> dict[str, Any]:
        with ExitStack() as stack:
            asker = stack.enter_context(_started("share", count, outstanding))
            port = _line(asker)
            copies = [stack.enter_context(_started("work", port, each, number)) for number, each in enumerate(ms)]
            if fault:
                time.sleep(2.0 + at_s)
                copies[0].send_signal(NUMBERS[fault])
            return dict(json.loads(_line(asker)))


@contextmanager
def _started(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A program of `peer_zenoh`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.peer_zenoh", *map(str, arguments)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _line(process: subprocess.Popen[str]) -> str:
    return bare.line_of(process)


class Dora(Contestant):
    """Nodes of a dataflow under its own daemon, outputs written straight into its shared memory."""

    name, about = "dora", "not encrypted; its shared memory, 256 MiB"
    why_not = "" if find_spec("dora") and shutil.which("dora", path=str(Path(sys.executable).parent)) else (
        "dora-rs and dora-rs-cli are not installed: pip install -e '.[bench]'"
    )

    def round_trips(self, count: int, size: int, *, far: bool = False) -> list[float]:
        pong = _node("pong", "answer", outputs=["pong"], inputs={"ping": "ping/ping"})
        return list(_flow([pong, _node("ping", "ask", count, size, outputs=["ping"], inputs={"pong": "pong/pong"})])["samples"])

    def pictures(self, width: int, height: int, seconds: float) -> dict[str, Any]:
        writer = _node("writer", "write", width, height, outputs=["image"], inputs={"got": "reader/got"})
        return _flow([writer, _node("reader", "read", seconds, outputs=["got"], inputs={"image": "writer/image"})])

    def shared_out(self, count: int, outstanding: int, ms: Sequence[float], fault: str = "", at_s: float = 1.0) -> dict[str, Any]:
        copies = [
            _node(f"work{number}", "work", each, number, outputs=["answer"], inputs={"question": f"asker/question{number}"})
            for number, each in enumerate(ms)
        ]
        wires = {f"answer{number}": f"work{number}/answer" for number in range(len(ms))}
        outputs = [f"question{number}" for number in range(len(ms))]
        asker = _node("asker", "share", count, outstanding, outputs=outputs, inputs=wires)
        return _flow([*copies, asker], fault=fault, at_s=at_s)


def _node(id: str, *arguments: object, outputs: Sequence[str], inputs: Mapping[str, str]) -> dict[str, Any]:
    words = " ".join(["-m", "benchmarks.peer_dora", *map(str, arguments)])
    return {"id": id, "path": sys.executable, "args": words, "outputs": list(outputs), "inputs": dict(inputs)}


def _flow(nodes: Sequence[dict[str, Any]], fault: str = "", at_s: float = 0.0) -> dict[str, Any]:
    """Runs a dataflow until its measuring node has written its figures."""
    with tempfile.TemporaryDirectory() as where:
        flow, figures = Path(where) / "flow.yml", Path(where) / "figures.json"
        env = {"BENCH_FIGURES": str(figures), "DORA_NODE_SHM_POOL_SIZE": str(POOL_BYTES), "PYTHONPATH": str(ROOT)}
        flow.write_text(json.dumps({"nodes": [{**node, "env": env} for node in nodes]}))
        with (Path(where) / "log").open("w") as log:
            process = subprocess.Popen(
                [str(Path(sys.executable).parent / "dora"), "run", str(flow)], stdout=log, stderr=log, cwd=where, start_new_session=True,
                env={**os.environ, **env},
            )  # fmt: skip
        try:
            until_s, fault_s = time.monotonic() + WITHIN_S, None
            while not figures.exists():
                found = _first_copy(process, "work") if fault and fault_s is None else None
                if found is not None:
                    fault_s = time.monotonic() + 3.0 + at_s
                if fault_s and time.monotonic() > fault_s and (victim := _first_copy(process, "work")) is not None:
                    victim.send_signal(NUMBERS[fault])
                    fault, fault_s = "", None
                if time.monotonic() > until_s or process.poll() is not None:
                    raise RuntimeError(f"dora measured nothing: {(Path(where) / 'log').read_text()[-1500:]}")
                time.sleep(0.02)
            return dict(json.loads(figures.read_text()))
        finally:
            _end(process)


def _first_copy(process: subprocess.Popen[bytes], program: str) -> psutil.Process | None:
    """The first copy that answers."""
    with suppress(psutil.Error):
        for child in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.Error):
                if child.cmdline()[-3:-2] == [program] and child.cmdline()[-1] == "0":
                    return child
    return None


def _end(process: subprocess.Popen[bytes]) -> None:
    family = []
    with suppress(psutil.Error):
        family = psutil.Process(process.pid).children(recursive=True)
    for each in (*family, process):
        with suppress(psutil.Error, ProcessLookupError):
            each.kill()
    process.wait()


def contestants() -> list[Contestant]:
    """All of them, in the order in which they take turns."""
    return [Roomful(), Bare(), Zenoh(), Dora()]
