"""The room that `benchmarks.hostile` attacks: the whispering room, what counts in it, and every kind of port that it has.

Machine `door` has doors for its own processes and the metronome, the others talk over TCP also on this computer (`ROOMFUL_FAR`), so
that each of the metronome's readers comes in by another of its ports: by the door, by a line straight from its thread, by ZeroMQ.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from mesh.core.codec import seal
from mesh.core.messages import Ack, Beat, Probe
from mesh.shell.finding import Door, register_for
from mesh.shell.keys import first_group_key
from mesh.shell.near import FAR
from mesh.shell.record import NodeRecord, instance_name, to_properties
from mesh.shell.rehearsal import Rehearsal

ROOT = Path(__file__).resolve().parent.parent
PIECE = ROOT / "deployments" / "whispering-room"
NEAR_MACHINE = "door"
ROLES = '''

class Metronome(Role):
    """Counts, a hundred times a second, in a small frame and, a fifth as often, in a larger one."""
    outputs = {"beat": Event, "sample": Vector}

    def setup(self):
        self.n = 0

    def tick(self):
        self.n += 1
        self.emit("beat", {"n": self.n})
        if self.n % 5 == 0:
            self.emit("sample", np.full(2000, self.n // 5, dtype=np.float32))
        return 0.01


class Ledger(Role):
    """Tells which numbers never came."""
    display = True

    def setup(self):
        self.last = {"beat": None, "sample": None}
        self.heard = self.missing = 0

    def count(self, stream, n):
        last = self.last[stream]
        if last is not None:
            self.missing += max(0, n - last - 1)
        self.last[stream] = n
        self.heard += 1

    def on_beat(self, frame):
        self.count("beat", frame.value["n"])

    def on_sample(self, frame):
        self.count("sample", int(frame.value[0]))

    def tick(self):
        self.publish("heard", self.heard)
        self.publish("missing", self.missing)
        return 0.5


class Echo(Role):
    """Answers with what it was asked."""
    outputs = {"word": Event}

    def on_word(self, frame):
        yield frame.value


class Asks(Role):
    """Asks ten times a second and counts."""
    outputs = {"done": Event}

    def setup(self):
        self.asked = self.right = self.failed = 0

    def tick(self):
        self.asked += 1
        try:
            self.right += list(self.ask("echo", self.asked)) == [self.asked]
        except Exception:
            self.failed += 1
        for name in ("asked", "right", "failed"):
            self.publish(name, getattr(self, name))
        return 0.1
'''
YAML = """
  metronome: {{kind: "./roles.py:Metronome", on: [door]}}
  ledger:
    kind: "./roles.py:Ledger"
    each: [door, shelf]
    inputs: {{beat: metronome.beat, sample: metronome.sample}}
    delivery: {{beat: queue, sample: queue}}
  echo: {{kind: "./roles.py:Echo", copies: 2}}
  asks-near: {{kind: "./roles.py:Asks", on: [door], inputs: {{}}}}
  asks-far: {{kind: "./roles.py:Asks", on: [left-wall], inputs: {{}}}}
  hand: {{kind: sensing.osc, on: [shelf], options: {{port: {osc}}}}}
  shop: {{kind: sensing.http, on: [shelf], options: {{port: {http}}}}}

opening:"""
LEDGERS, ASKERS = ("ledger@door", "ledger@shelf"), ("asks-near", "asks-far")
ALL = (*LEDGERS, *ASKERS, "hand", "shop", "wall@left-wall", "poet/1", "metronome")


def free_port(kind: int) -> int:
    """One that nobody has at this moment."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def besieged(folder: Path, osc: int, http: int) -> Path:
    """A copy of the whispering room with what counts in it."""
    shutil.copytree(PIECE, folder, ignore=shutil.ignore_patterns("training", "__pycache__"))
    text = (folder / "deployment.yaml").read_text()
    (folder / "deployment.yaml").write_text(text.replace("\nopening:", YAML.format(osc=osc, http=http), 1))
    code = (folder / "roles.py").read_text()
    (folder / "roles.py").write_text(f"{code}\n\nimport numpy as np\n\nfrom mesh.role import Event, Role, Vector\n{ROLES}")
    return folder


class Mixed(Rehearsal):
    """A rehearsal in which one machine's processes use its doors, and all others the network."""

    async def _start(self, machine: str) -> None:
        os.environ.pop(FAR, None)
        if machine != NEAR_MACHINE:
            os.environ[FAR] = "1"
        await super()._start(machine)


@contextlib.contextmanager
def dashboard(key: Path, control_port: int, home: Path) -> Iterator[tuple[int, int]]:
    """A dashboard of that room while it is needed: (port, pid)."""
    port = free_port(socket.SOCK_STREAM)
    home.mkdir()
    running = subprocess.Popen(
        [sys.executable, "-P", "-m", "mesh.cli.entry", "dashboard", "--bind", "127.0.0.1", "--port", str(port), "--json",
         "--host", f"127.0.0.1:{control_port}", "--key", str(key)],
        env={**os.environ, "ROOMFUL_HOME": str(home), "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert running.stdout is not None
        json.loads(running.stdout.readline())
        yield port, running.pid
    finally:
        running.terminate()
        running.wait(20)


class Siege:
    """The room, its ports, and what it says of itself."""

    def __init__(self, room: Rehearsal, events: list[dict[str, Any]]) -> None:
        self.room, self.events = room, events
        notes = [(path.parent, json.loads(path.read_text())) for path in sorted(room.home.glob("*/agent.json"))]
        self.doors = [
            Door(("127.0.0.1",), note["control_port"], register_for(Path(note["key"]), home), note["node"]) for home, note in notes
        ]

    def facts(self) -> dict[str, Any]:
        """What each role last published."""
        return {name: pulse.get("facts", {}) for (name, _, _), pulse in sorted(self.room.tally.pulses.items())}

    def processes(self) -> dict[str, int]:
        """Agents and roles by name, with their process numbers."""
        roles = {name: int(said["pid"]) for name, said in self.room.tally.roles.items() if said["pid"]}
        return {**{f"agent {name}": pid for name, pid in self.room.pids().items()}, **roles}

    def refused(self) -> dict[str, int]:
        """What agents and roles say that they turned away, and by which counter."""
        total: dict[str, int] = {}
        for door in self.doors:
            for name, count in door.ask("status", timeout_s=10.0)["refused"].items():
                total[f"agent: {name}"] = total.get(f"agent: {name}", 0) + count
        for pulse in self.room.tally.pulses.values():
            kept = {**pulse.get("refused", {}), **(pulse.get("facts", {}).get("refused") or {})}
            for name, count in kept.items():
                total[f"roles: {name}"] = total.get(f"roles: {name}", 0) + int(count)
        return total

    def targets(self, osc: int, http: int, board: int) -> list[dict[str, Any]]:
        """Every port there is, as the attackers take it: {"name", "way", "at"}; the first of each way is one that the figures hang on."""
        started = sorted((event for event in self.events if event["event"] == "started"), key=lambda each: each["machine"] != NEAR_MACHINE)
        found: list[tuple[str, str, Any]] = []
        for event in started:
            found.append((f"heartbeats {event['machine']}", "heartbeats", event["beat_port"]))
            found.append((f"flood of heartbeats {event['machine']}", "flood", event["beat_port"]))
            found.append((f"control {event['machine']}", "control", event["control_port"]))
            others = tcp_ports(self.room.pids()[event["machine"]]) - {event["control_port"]}
            found += [(f"transfer {event['machine']}", "transfer", port) for port in others]
        told = self.doors[0].ask("streams")["streams"].values()
        sources = {source["instance"]: source for each in told for source in each["sources"]}
        for name in sorted(sources, key=lambda each: each != "metronome"):
            source = sources[name]
            found += [(f"frames {name}", "frames", source["frames_port"])]
            more = tcp_ports(self.processes()[name]) - {source["frames_port"], source["requests_port"], http}
            found += [(f"straight {name}", "straight", port) for port in more]
            found += [(f"door {name}", "door", path) for path in doors_of(self.processes()[name])]
        for name in sorted(sources, key=lambda each: each != "echo/1"):
            found.append((f"requests {name}", "requests", sources[name]["requests_port"]))
        for name, address in sorted(self.room.tally.page_addresses().items()):
            port = int(address.rsplit(":", 1)[1].strip("/"))
            found += [(f"page {name}", "page", port), (f"WebSocket {name}", "websocket", port)]
        found += [("http shop", "http", http), ("osc hand", "osc", osc), ("mDNS", "mdns", 5353), ("dashboard", "dashboard", board)]
        for number, (machine, pid) in enumerate(self.room.pids().items()):
            for path in unix_paths(pid):
                if path.endswith(f"{number}/link"):
                    found.append((f"link {machine}", "link", path))
        return [{"name": name, "way": way, "at": at} for name, way, at in found]

    def seeds(self) -> dict[str, list[str]]:
        """Of this very room, real messages that are mutated, in hex."""
        mine, node = self.doors[0].register.mine, "0" * 31
        words = (Beat(f"{node}1", "b", 1, 1, 1), Probe(f"{node}1", f"{node}2", 1), Ack(f"{node}1", "b", 1, 1, 1))
        beats = [seal(word, first_group_key(mine.room_key)).hex() for word in words]
        return {"heartbeats": beats, "flood": beats,
                "mdns": [packet.hex() for packet in announced(mine.hash(self.room.deployment.installation))]}


def memory_mb(processes: dict[str, int]) -> dict[str, float]:
    """Resident memory of each; 0 for one that is gone."""
    found = {}
    for name, pid in processes.items():
        try:
            found[name] = round(psutil.Process(pid).memory_info().rss / 1e6, 1)
        except psutil.Error:
            found[name] = 0.0
    return found


def tcp_ports(pid: int) -> set[int]:
    """Where a process listens, as the kernel says."""
    return {each.laddr.port for each in psutil.Process(pid).net_connections("tcp") if each.status == psutil.CONN_LISTEN}


def unix_paths(pid: int) -> set[str]:
    """The Unix sockets of a process that have a name."""
    return {str(each.laddr) for each in psutil.Process(pid).net_connections("unix") if each.laddr}


def doors_of(pid: int) -> list[str]:
    """The doors of a process, without the sign of the kernel's own space."""
    return [path.lstrip("@\0") for path in unix_paths(pid) if path.lstrip("@\0").startswith("roomful-")]


def announced(installation: str) -> list[bytes]:
    """An mDNS answer such as a node of this room sends, of a node that is not there."""
    from zeroconf import DNSOutgoing, ServiceInfo

    record = NodeRecord("ab" * 16, "cd" * 4, "nobody", 1, 1, 9, 9, installation, ("127.0.0.1",), "ef" * 4)
    info = ServiceInfo("_roomful._udp.local.", instance_name(record.node), port=9, properties=to_properties(record),
                       server=f"{record.node}.local.", parsed_addresses=["127.0.0.1"])
    out = DNSOutgoing(0x8400)
    for each in (info.dns_pointer(), info.dns_service(), info.dns_text(), *info.dns_addresses()):
        out.add_answer_at_time(each, 0)
    return list(out.packets())
