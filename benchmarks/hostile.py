"""A playing room under a million random and mutated messages at every port: what it lost, and what each process weighs before and after.

The whispering room with its real models, rehearsed on this computer over TCP (`ROOMFUL_FAR`), and in it a metronome of 100 frames a second,
whose every number must arrive, ten requests a second of which each must be answered, an OSC and an HTTP sensor. The messages go in turn to
every heartbeat, control, frames and requests port, page, sensor, mDNS, the doors between processes and the agents' links.

Run: python -m benchmarks.hostile [--messages N] [--seconds S] [--seed N] [--calm S] [--keep] [--help]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks.figures import machine
from mesh.core.codec import seal
from mesh.core.messages import Ack, Beat, Probe
from mesh.shell.finding import Door, register_for
from mesh.shell.folder import load
from mesh.shell.keys import first_group_key
from mesh.shell.record import NodeRecord, instance_name, to_properties
from mesh.shell.rehearsal import Rehearsal

ROOT = Path(__file__).resolve().parent.parent
PIECE = ROOT / "deployments" / "whispering-room"
RESULTS = Path(__file__).parent / "results" / "hostile.json"
PATIENCE_S = 90.0
AFTER_S = 4.0  # in which what was on its way arrives, and pulses tell of it
ROLES = '''

class Metronome(Role):
    """Counts, a hundred times a second."""
    outputs = {"beat": Event}

    def setup(self):
        self.n = 0

    def tick(self):
        self.n += 1
        self.emit("beat", {"n": self.n})
        return 0.01


class Ledger(Role):
    """Tells which numbers never came."""
    display = True

    def setup(self):
        self.first = self.last = None
        self.heard = self.missing = 0

    def on_beat(self, frame):
        n = frame.value["n"]
        if self.last is not None:
            self.missing += max(0, n - self.last - 1)
        self.first, self.last, self.heard = self.first or n, n, self.heard + 1

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
  metronome: {{kind: "./roles.py:Metronome", on: [shelf]}}
  ledger: {{kind: "./roles.py:Ledger", each: [door], inputs: {{beat: metronome.beat}}, delivery: {{beat: queue}}}}
  echo: {{kind: "./roles.py:Echo", copies: 2}}
  asks: {{kind: "./roles.py:Asks", on: [left-wall], inputs: {{}}}}
  hand: {{kind: sensing.osc, on: [door], options: {{port: {osc}}}}}
  shop: {{kind: sensing.http, on: [door], options: {{port: {http}}}}}

opening:"""


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
    (folder / "roles.py").write_text(code + "\n\nfrom mesh.role import Event, Role\n" + ROLES)
    return folder


class Siege:
    """The room, what it has, and what it lost."""

    def __init__(self, room: Rehearsal, events: list[dict[str, Any]], osc: int, http: int) -> None:
        self.room, self.events, self.osc, self.http = room, events, osc, http
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

    def memory_mb(self) -> dict[str, float]:
        """Resident memory of each."""
        found = {}
        for name, pid in self.processes().items():
            try:
                found[name] = round(psutil.Process(pid).memory_info().rss / 1e6, 1)
            except psutil.Error:
                found[name] = 0.0
        return found

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

    def order(self, messages: int, seconds: float, seed: int) -> dict[str, Any]:
        """Every port there is, for the attackers."""
        started = [event for event in self.events if event["event"] == "started"]
        zmtp = {f"control {event['machine']}": event["control_port"] for event in started}
        for told in self.doors[0].ask("streams")["streams"].values():
            for source in told["sources"]:
                zmtp[f"frames {source['instance']}"] = source["frames_port"]
                zmtp[f"requests {source['instance']}"] = source["requests_port"]
        pages = {f"page {name}": int(address.rsplit(":", 1)[1].strip("/")) for name, address in self.room.tally.page_addresses().items()}
        mine = self.doors[0].register.mine
        node = "0" * 31
        words = (Beat(f"{node}1", "b", 1, 1, 1), Probe(f"{node}1", f"{node}2", 1), Ack(f"{node}1", "b", 1, 1, 1))
        with open("/proc/net/unix") as lines:
            names = [line.split()[-1] for line in lines]
        return {
            "messages": messages, "seconds": seconds, "seed": seed, "zmtp": zmtp,
            "beats": {event["machine"]: event["beat_port"] for event in started},
            "http": {**pages, "http shop": self.http}, "osc": self.osc,
            "sealed": [seal(word, first_group_key(mine.room_key)).hex() for word in words],
            "mdns": [packet.hex() for packet in announced(mine.hash(self.room.deployment.installation))],
            "doors": [name[1:] for name in names if name.startswith("@roomful-")],
            "links": [name for name in names if name.startswith(str(self.room.home)) and name.endswith("/link")],
        }


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


async def lay_siege(folder: Path, osc: int, http: int, messages: int, seconds: float, seed: int, calm_s: float) -> dict[str, Any]:
    """Begin the room, let it play, attack it, let it play; what was lost meanwhile."""
    events: list[dict[str, Any]] = []
    deployment = load(folder)
    async with Rehearsal(folder, deployment, [each.name for each in deployment.machines], events.append) as room:
        await _until(lambda: room.tally.all_played(["ledger@door", "asks", "hand", "shop", "wall@left-wall", "poet/1", "metronome"]), room)
        await asyncio.sleep(calm_s)
        siege = Siege(room, events, osc, http)
        before = {"memory_mb": siege.memory_mb(), "processes": siege.processes(), "facts": siege.facts()}
        order = await asyncio.to_thread(siege.order, messages, seconds, seed)
        begun_s = time.monotonic()
        attack = await asyncio.create_subprocess_exec(
            "nice", "-n", "19", sys.executable, "-m", "benchmarks.hostile_attacks", stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
        said, _ = await attack.communicate(json.dumps(order).encode())
        took_s = time.monotonic() - begun_s
        thrown = json.loads(said.splitlines()[-1])
        await asyncio.sleep(AFTER_S)
        after = {"memory_mb": siege.memory_mb(), "processes": siege.processes(), "facts": siege.facts()}
        refused = await asyncio.to_thread(siege.refused)
        summary = room.tally.summary()
    return judged(before, after, thrown, took_s, refused, summary, events)


async def _until(condition: Any, room: Rehearsal) -> None:
    until_s = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > until_s:
            raise SystemExit(f"the room does not play: {room.tally.roles}")
        await asyncio.sleep(0.2)


def judged(before: dict[str, Any], after: dict[str, Any], thrown: dict[str, Any], took_s: float, refused: dict[str, int],
           summary: dict[str, Any], events: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures."""
    ledger, was = after["facts"]["ledger@door"], before["facts"]["ledger@door"]
    asks, asked = after["facts"]["asks"], before["facts"]["asks"]
    total = sum(thrown["thrown"].values())
    return {
        "messages": total, "by_port": thrown["thrown"], "connections": sum(thrown["connections"].values()), "took_s": round(took_s, 1),
        "frames": {"heard": ledger["heard"] - was["heard"], "lost": ledger["missing"] - was["missing"]},
        "requests": {"asked": asks["asked"] - asked["asked"], "answered": asks["right"] - asked["right"],
                     "failed": asks["failed"] - asked["failed"], "lost_in_the_room": summary["requests"]["lost"]},
        "processes_that_changed": sorted(name for name, pid in before["processes"].items() if after["processes"].get(name) != pid),
        "takeovers": summary["takeovers"], "suspected": sum(event["event"] == "node_suspect" for event in events),
        "refused": refused, "memory_mb": {name: [size, after["memory_mb"].get(name, 0.0)] for name, size in before["memory_mb"].items()},
        "machine": machine(),
    }


def run(messages: int, seconds: float, seed: int, calm_s: float) -> dict[str, Any]:
    """One siege in a folder of its own."""
    os.environ["ROOMFUL_FAR"] = "1"
    osc, http = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_STREAM)
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(lay_siege(besieged(Path(folder) / "piece", osc, http), osc, http, messages, seconds, seed, calm_s))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=3600.0, help="stop throwing after so many, though fewer were thrown")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--calm", type=float, default=10.0, help="seconds of undisturbed play before")
    parser.add_argument("--keep", action="store_true", help=f"write the figures to {RESULTS.relative_to(ROOT)}")
    chosen = parser.parse_args()
    found = run(chosen.messages, chosen.seconds, chosen.seed, chosen.calm)
    print(json.dumps({key: value for key, value in found.items() if key not in ("by_port", "memory_mb")}, indent=1))
    for name, (before, after) in found["memory_mb"].items():
        print(f"  {name:28} {before:7.1f} MB -> {after:7.1f} MB")
    if chosen.keep:
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
