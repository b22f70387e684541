"""A playing room under a million random and mutated messages at each kind of port: what it lost, what each process weighs before and after.

The whispering room with its real models, rehearsed on this computer (`hostile_room`), and in it a metronome of 100 frames a second,
whose every number must arrive by each way, requests of which each must be answered, an OSC and an HTTP sensor, and a dashboard. One port
of each kind is attacked, one after another, in one room: heartbeats (no faster than they are read, and as a flood), control, revisions,
frames, requests, lines straight from a role's thread, page and WebSocket, HTTP, OSC, mDNS, dashboard, the doors between processes and an
agent's link. `--every` takes each port that there is. At ports that phones call, a friend asks meanwhile.

Each port's figures go to the journal as soon as it is done; a run that was broken off goes on, in a new room, with the ports that are left.
Run: python -m benchmarks.hostile [--messages N] [--seconds S] [--attackers N] [--only KIND …] [--journal FILE] [--keep] [--help]
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.figures import machine
from benchmarks.hostile_attacks import udp_rows
from benchmarks.hostile_room import ALL, ASKERS, LEDGERS, ROOT, Mixed, Siege, besieged, dashboard, free_port, memory_mb, tcp_ports
from mesh.shell.folder import load
from mesh.shell.rehearsal import Rehearsal

RESULTS = Path(__file__).parent / "results" / "hostile_ports.json"
PATIENCE_S = 180.0
AFTER_S = 4.0  # in which what was on its way arrives, and pulses tell of it
FRIENDLY = {"page": "/", "websocket": "/", "dashboard": "/nonce", "http": None}
ASKS_S, ANSWERED_S = 1.0, 20.0
STILL_S = 5.0


class Friend:
    """Somebody who asks at a port for what is to be had there, once a second, on a new connection; counts the answers."""

    def __init__(self, port: int, path: str | None) -> None:
        self.asked = self.answered = 0
        self.longest_s = 0.0
        self._port, self._path, self._done = port, path, threading.Event()
        self._thread = threading.Thread(target=self._ask_on, daemon=True)
        self._thread.start()

    def _ask_on(self) -> None:
        while not self._done.wait(ASKS_S):
            began_s = time.monotonic()
            self.asked += 1
            line = http.client.HTTPConnection("127.0.0.1", self._port, timeout=ANSWERED_S, source_address=("127.9.9.9", 0))
            try:
                if self._path is None:
                    line.request("POST", "/", b"5", {"Content-Type": "application/json", "Host": "127.0.0.1"})
                else:
                    line.request("GET", self._path, headers={"Host": "127.0.0.1"})
                self.answered += line.getresponse().status in (200, 204)
            except (OSError, http.client.HTTPException):
                pass
            finally:
                line.close()
            self.longest_s = max(self.longest_s, time.monotonic() - began_s)

    def end(self) -> dict[str, Any]:
        """What came of it."""
        self._done.set()
        self._thread.join()
        return {"asked": self.asked, "answered": self.answered, "longest_s": round(self.longest_s, 2)}


class Stillness:
    """How long everything here was stopped from outside (SIGSTOP, as where somebody measures on the same computer)."""

    def __init__(self) -> None:
        self._still_s = 0.0
        self._task = asyncio.get_running_loop().create_task(self._look())

    async def _look(self) -> None:
        while True:
            before_s = time.monotonic()
            await asyncio.sleep(0.5)
            late_s = time.monotonic() - before_s - 0.5
            self._still_s += late_s if late_s > STILL_S else 0.0

    def end(self) -> float:
        """Seconds."""
        self._task.cancel()
        return round(self._still_s, 1)


class Snapshot:
    """What counts, at one moment."""

    def __init__(self, siege: Siege, others: dict[str, int]) -> None:
        facts = siege.facts()
        self.heard = {name: facts[name]["heard"] for name in LEDGERS}
        self.missing = {name: facts[name]["missing"] for name in LEDGERS}
        self.asked = {key: sum(facts[name][key] for name in ASKERS) for key in ("asked", "right", "failed")}
        self.processes = {**siege.processes(), **others}
        self.memory = memory_mb(self.processes)
        self.suspected = sum(event["event"] == "node_suspect" for event in siege.events)
        self.dead = sum(event["event"] == "node_dead" for event in siege.events)
        self.summary = siege.room.tally.summary()
        self.refused = siege.refused()

    def since(self, was: Snapshot) -> dict[str, Any]:
        """The figures of what happened between the two."""
        asked = {key: count - was.asked[key] for key, count in self.asked.items()}
        return {
            "frames": {"heard": sum(self.heard.values()) - sum(was.heard.values()),
                       "lost": sum(self.missing.values()) - sum(was.missing.values())},
            "requests": {"asked": asked["asked"], "answered": asked["right"], "failed": asked["failed"],
                         "lost_in_the_room": self.summary["requests"]["lost"] - was.summary["requests"]["lost"]},
            "processes_that_changed": sorted(name for name, pid in was.processes.items() if self.processes.get(name) != pid),
            "takeovers": len(self.summary["takeovers"]) - len(was.summary["takeovers"]),
            "suspected": self.suspected - was.suspected, "dead": self.dead - was.dead,
            "refused": {name: more for name, count in self.refused.items() if (more := count - was.refused.get(name, 0))},
            "memory_mb": {name: [size, self.memory.get(name, 0.0)] for name, size in was.memory.items()},
        }  # fmt: skip


async def attack(target: dict[str, Any], seeds: dict[str, list[str]], chosen: argparse.Namespace) -> dict[str, Any]:
    """All attackers at one port until they are done."""

    async def one(number: int) -> dict[str, Any]:
        share = chosen.messages // chosen.attackers + (number < chosen.messages % chosen.attackers)
        seed = f"{chosen.seed} {target['name']} {number}"
        order = {"target": target, "seeds": seeds, "messages": share, "seconds": chosen.seconds, "seed": seed}
        process = await asyncio.create_subprocess_exec(
            "nice", "-n", str(chosen.nice), sys.executable, "-m", "benchmarks.hostile_attacks", stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
        said, _ = await process.communicate(json.dumps(order).encode())
        return dict(json.loads(said.splitlines()[-1]))

    began_s = time.monotonic()
    told = await asyncio.gather(*(one(number) for number in range(chosen.attackers)))
    counted = {key: sum(each[key] for each in told) for key in ("thrown", "connections", "untaken")}
    return {"messages": counted["thrown"], "connections": counted["connections"], "untaken": counted["untaken"],
            "took_s": round(time.monotonic() - began_s, 1)}


async def lay_siege(folder: Path, osc: int, http_port: int, chosen: argparse.Namespace, kept: list[dict[str, Any]]) -> None:
    """Begin the room, let it play, attack port after port; what was lost meanwhile, for each of them that is not in `kept` yet."""
    events: list[dict[str, Any]] = []
    deployment = load(folder)
    async with Mixed(folder, deployment, [each.name for each in deployment.machines], events.append) as room:
        await _until(lambda: room.tally.all_played(list(ALL)), room)
        control = next(event["control_port"] for event in events if event["event"] == "started")
        with dashboard(room.home / "key", control, room.home / "board") as (board, board_pid):
            await asyncio.sleep(chosen.calm)
            siege = Siege(room, events)
            targets = await asyncio.to_thread(siege.targets, osc, http_port, board)
            _say_what_is_not_named(siege, targets)
            for target in _left(targets, kept, chosen):
                row = await _besiege(siege, target, {"dashboard": board_pid}, chosen)
                if row["stood_still_s"] and (row["frames"]["lost"] or row["requests"]["failed"] or row["processes_that_changed"]):
                    print(f"(stopped for {row['stood_still_s']} s, and something was lost: once more)", json.dumps(row), flush=True)
                    row = await _besiege(siege, target, {"dashboard": board_pid}, chosen)
                kept.append(row)
                _note(chosen.journal, row)


async def _besiege(siege: Siege, target: dict[str, Any], others: dict[str, int], chosen: argparse.Namespace) -> dict[str, Any]:
    stillness = Stillness()
    before = await asyncio.to_thread(Snapshot, siege, others)
    dropped = _dropped(target)
    friend = Friend(target["at"], FRIENDLY[target["way"]]) if target["way"] in FRIENDLY else None
    thrown = await attack(target, siege.seeds(), chosen)
    await asyncio.sleep(AFTER_S)
    asked = {"friend": await asyncio.to_thread(friend.end)} if friend is not None else {}
    after = await asyncio.to_thread(Snapshot, siege, others)
    return {"port": target["name"], "way": target["way"], **thrown, **asked, **after.since(before), "stood_still_s": stillness.end(),
            "dropped_by_the_system": _dropped(target) - dropped, "machine": machine()}


def _dropped(target: dict[str, Any]) -> int:
    """Datagrams for a port that nobody ever read, for want of room."""
    return sum(int(row[12]) for row in udp_rows(target["at"])) if target["way"] in ("heartbeats", "flood", "osc", "mdns") else 0


def _left(targets: list[dict[str, Any]], kept: list[dict[str, Any]], chosen: argparse.Namespace) -> list[dict[str, Any]]:
    """The ports that are still to be attacked: the first of each kind, or all."""
    seen = {row["port"] if chosen.every else row["way"] for row in kept}
    left = []
    for target in targets:
        mark = target["name"] if chosen.every else target["way"]
        if mark not in seen and (not chosen.only or target["way"] in chosen.only):
            seen.add(mark)
            left.append(target)
    return left


def _say_what_is_not_named(siege: Siege, targets: list[dict[str, Any]]) -> None:
    """Ports that the room's processes listen at, as the kernel says, and that are on no list: there should be none but those of roles that
    say nothing, which are asked nothing either."""
    named = {target["at"] for target in targets}
    for name, pid in siege.processes().items():
        for port in tcp_ports(pid) - named:
            print(f"  (port {port} of {name} is on no list)", flush=True)


def _note(journal: Path | None, row: dict[str, Any]) -> None:
    told = {key: value for key, value in row.items() if key != "memory_mb"}
    grown = max(row["memory_mb"].items(), key=lambda each: each[1][1] - each[1][0])
    print(json.dumps({**told, "grew_most": grown}), flush=True)
    if journal is not None:
        with journal.open("a") as file:
            file.write(json.dumps(row) + "\n")


async def _until(condition: Any, room: Rehearsal) -> None:
    until_s = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > until_s:
            raise SystemExit(f"the room does not play: {room.tally.roles}")
        await asyncio.sleep(0.2)


def summed(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """All ports together; the memory from before the first to after the last of each room."""
    return {
        "messages": sum(row["messages"] for row in rows), "least_at_a_port": min(row["messages"] for row in rows),
        "connections": sum(row["connections"] for row in rows), "took_s": round(sum(row["took_s"] for row in rows), 1),
        "frames": {key: sum(row["frames"][key] for row in rows) for key in ("heard", "lost")},
        "requests": {key: sum(row["requests"][key] for row in rows) for key in ("asked", "answered", "failed", "lost_in_the_room")},
        "processes_that_changed": sorted({name for row in rows for name in row["processes_that_changed"]}),
        "takeovers": sum(row["takeovers"] for row in rows), "suspected": sum(row["suspected"] for row in rows),
        "memory_mb": {name: [rows[0]["memory_mb"][name][0], sizes[1]] for name, sizes in rows[-1]["memory_mb"].items()},
        "ports": rows,
    }  # fmt: skip


def run(chosen: argparse.Namespace) -> dict[str, Any]:
    """The ports that the journal does not have, in a room of their own."""
    lines = chosen.journal.read_text().splitlines() if chosen.journal is not None and chosen.journal.exists() else []
    kept = [json.loads(line) for line in lines]
    osc, http_port = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_STREAM)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(lay_siege(besieged(Path(folder) / "piece", osc, http_port), osc, http_port, chosen, kept))
    return summed(kept)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=1_000_000, help="at each port")
    parser.add_argument("--seconds", type=float, default=3600.0, help="stop throwing at a port after so many, though fewer were thrown")
    parser.add_argument("--attackers", type=int, default=2, help="processes that throw at once")
    parser.add_argument("--nice", type=int, default=19, help="how far they stand back behind the room, with which they share the processor")
    parser.add_argument("--every", action="store_true", help="each port that there is, not one of each kind")
    parser.add_argument("--only", nargs="*", metavar="KIND", help="only ports of these kinds")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--calm", type=float, default=10.0, help="seconds of undisturbed play before")
    parser.add_argument("--journal", type=Path, help="where each port's figures are kept, and what was done before is found")
    parser.add_argument("--keep", action="store_true", help=f"write the figures to {RESULTS.relative_to(ROOT)}")
    chosen = parser.parse_args()
    found = run(chosen)
    print(json.dumps({key: value for key, value in found.items() if key not in ("ports", "memory_mb")}, indent=1))
    for name, (before, after) in found["memory_mb"].items():
        print(f"  {name:28} {before:7.1f} MB -> {after:7.1f} MB")
    if chosen.keep:
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
