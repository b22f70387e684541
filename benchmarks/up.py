"""What sending a deployment takes, between hosts in network namespaces whose cables carry 100 Mbit/s (needs root).

`--send`: a folder of 200 MB to five hosts that hold nothing, one of which it is given to: seconds until all have it and until all play
it, beside the physical limit of one transfer; heartbeats that were missed meanwhile.
`--cut`: the same; in the middle one host loses its power and another its cable for some seconds. What was sent twice.
`--kill N`: a small folder, changed and sent N times; everything (agents, roles and the command) is killed at a random moment, and comes
back. What each host plays then, whether it is whole, and the seconds from meeting until all play the same.
Run: python -m benchmarks.up [--send] [--cut] [--kill 100] [--out FILE] [--help]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks.figures import machine, median, p99
from benchmarks.rooms import progress, wait_until
from mesh.core.manifest import CHUNK_BYTES, revision_hash
from mesh.errors import RoomfulError
from mesh.shell.revisions import manifest_of
from tests.hosts.network import Network, why_not
from tests.hosts.pieces import streams_piece
from tests.hosts.room import Room

FIVE, THREE = ("a", "b", "c", "d", "e"), ("a", "b", "c")
MBIT, MEGABYTES = 100, 200
MET_S, ENDED_S = 60.0, 240.0
AWAY_S = 6.0
TURNS_S = 30.0


@contextmanager
def room_of(names: tuple[str, ...], megabytes: float, mbit: int | None) -> Iterator[tuple[Room, Path]]:
    """Hosts that hold nothing, have met, and the folder that they are to be sent."""
    with ExitStack() as stack:
        where = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder = streams_piece(where / "piece", names)
        (folder / "models").mkdir()
        (folder / "models" / "big.bin").write_bytes(os.urandom(int(megabytes * 1e6)))
        room = stack.enter_context(Room(None, names, where / "machines", network=stack.enter_context(Network(names))))
        if mbit is not None:
            for name in names:
                room.network.narrows(name, mbit)
        room.start(*names)
        wait_until(lambda: have_met(room), "all to have met", MET_S, 0.2)
        yield room, folder


def have_met(room: Room) -> bool:
    """Whether each host sees every other alive."""
    return all({name for name, health in room.health(each).items() if health == "alive"} >= set(room.machines) - {each}
               for each in room.running())


def begin_up(room: Room, at: str, folder: Path) -> subprocess.Popen[str]:
    """`roomful up` on that host, on its way."""
    return subprocess.Popen(
        ["ip", "netns", "exec", room.network.namespace(at), sys.executable, "-P", "-m", "mesh.cli.entry", "up", str(folder), "--yes",
         "--json"],
        env=room.environment(at), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def revisions(room: Room, name: str) -> dict[str, Any]:
    """What a host says of its revisions; {} when it does not answer."""
    try:
        return dict(room.ask(name, "revisions"))
    except RoomfulError:
        return {}


class Chunks:
    """The chunks that were served by each host, through all its lives, as last seen."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self.lives: dict[tuple[str, int], int] = {}

    def look(self) -> dict[str, dict[str, Any]]:
        """Ask all."""
        said = {name: revisions(self._room, name) for name in self._room.running()}
        for name, each in said.items():
            agent = self._room.machines[name].agent
            if each and agent is not None:
                self.lives[name, agent.pid] = each["chunks"]["served"]
        return said


def send(cut: bool) -> dict[str, Any]:
    """One `up` to five hosts, undisturbed or cut in its middle."""
    with room_of(FIVE, MEGABYTES, MBIT) as (room, folder):
        chunks = Chunks(room)
        suspected = sum(len(each.said("node_suspect")) for each in room.machines.values())
        began_s = time.monotonic()
        command = begin_up(room, "a", folder)
        was_cut, off_s = not cut, 0.0
        while command.poll() is None and time.monotonic() - began_s < ENDED_S:
            said = chunks.look()
            done = said.get("b", {}).get("progress") or {}
            if not was_cut and done.get("count") and done["have"] > done["count"] // 2:
                was_cut, off_s = True, time.monotonic()
                room.power_off("c")
                room.unplug("d")
            if off_s and time.monotonic() - off_s > AWAY_S:
                off_s = 0.0
                room.network.plug("d")
                room.power_on("c")
                room.network.narrows("c", MBIT)
            time.sleep(0.3)
        out, err = command.communicate(timeout=10)
        ended_s = time.monotonic() - began_s
        if command.returncode != 0:
            raise RuntimeError(f"up ended with {command.returncode}: {err}\n{room.story()}")
        revision = json.loads(out)["revision"]
        wait_until(lambda: playing(room, FIVE) == {tuple(revision)}, "all to play it", 60, 0.3)
        all_s = time.monotonic() - began_s
        chunks.look()
        size, count = manifest_of(folder).size, len(manifest_of(folder).digests)
        served = sum(chunks.lives.values())
        return {
            "what": "cut in the middle" if cut else "undisturbed", "hosts": len(FIVE), "bytes": size, "mbit": MBIT,
            "limit_s": round(size * 8 / MBIT / 1e6, 1), "ready_s": json.loads(out)["ready_s"], "command_s": round(ended_s, 1),
            "all_play_s": round(all_s, 1), "chunks": count, "chunks_needed": count * (len(FIVE) - 1), "chunks_served": served,
            "bytes_sent_twice": max(0, served - count * (len(FIVE) - 1)) * CHUNK_BYTES,
            "suspected": sum(len(each.said("node_suspect")) for each in room.machines.values()) - suspected,
        }  # fmt: skip


def whole(room: Room, name: str, revision: str) -> bool:
    """Whether the revision that a host plays lies there, file by file as its manifest says."""
    folder = room.machines[name].home / "revisions" / revision
    return folder.is_dir() and revision_hash(manifest_of(folder).encode()) == revision


def kill(rounds: int, within_s: float, seed: int) -> dict[str, Any]:
    """Everything is killed at random moments of an `up`, so many times, or as often as the time allows."""
    dice, rows, until_s = random.Random(seed), list[dict[str, Any]](), time.monotonic() + within_s
    with room_of(THREE, 3, None) as (room, folder), progress() as bars:
        first = begin_up(room, "a", folder)
        first.communicate(timeout=60)
        task = bars.add_task("killed", total=rounds)
        for number in range(rounds):
            if time.monotonic() > until_s:
                break
            before = revisions(room, "a")["playing"]
            (folder / "models" / "big.bin").write_bytes(dice.randbytes(3_000_000))
            sent = revision_hash(manifest_of(folder).encode())
            command = begin_up(room, dice.choice(THREE), folder)
            moment_s = dice.uniform(0.3, 4.5)
            with suppress(subprocess.TimeoutExpired):
                command.wait(moment_s)
            finished = command.poll() is not None
            room.power_off(*THREE)
            command.kill()
            command.communicate()
            room.power_on(*THREE)
            wait_until(lambda: have_met(room), f"all to meet again in round {number}", MET_S, 0.05)
            met_s = time.monotonic()
            wait_until(lambda: len(playing(room)) == 1, f"all to play the same in round {number}", TURNS_S, 0.05)
            same_s = time.monotonic() - met_s
            (now,) = playing(room)
            rows.append({
                "moment_s": round(moment_s, 2), "finished": finished, "plays": "new" if now[1] == sent else "old",
                "same_s": round(same_s, 2), "whole": all(whole(room, each, now[1]) for each in THREE), "known": now[1] in (sent, before[1]),
            })  # fmt: skip
            bars.advance(task)
    same = [row["same_s"] for row in rows]
    return {
        "what": "killed at random moments", "hosts": len(THREE), "rounds": len(rows), "whole": sum(row["whole"] for row in rows),
        "old_or_new": sum(row["known"] for row in rows), "ended_with_the_new": sum(row["plays"] == "new" for row in rows),
        "same_s": {"median": round(median(same), 2), "p99": round(p99(same), 2), "worst": max(same)},
        "within_10_s": sum(each <= 10 for each in same), "rows": rows,
    }  # fmt: skip


def playing(room: Room, names: tuple[str, ...] = THREE) -> set[tuple[Any, ...]]:
    """What the hosts play; one that does not answer plays nothing that another does."""
    return {tuple(revisions(room, each).get("playing", (each,))) for each in names}


def main() -> None:
    """Print the figures as JSON, and keep them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--send", action="store_true")
    parser.add_argument("--cut", action="store_true")
    parser.add_argument("--kill", type=int, default=0, metavar="N")
    parser.add_argument("--minutes", type=float, default=60.0, help="the most that --kill takes")
    parser.add_argument("--seed", type=int, default=1, help="of the moments at which --kill kills")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    why = why_not()
    if why:
        sys.exit(f"these hosts cannot be made here: {why}")
    found = []
    if asked.send:
        found.append(send(cut=False))
    if asked.cut:
        found.append(send(cut=True))
    if asked.kill:
        found.append(kill(asked.kill, asked.minutes * 60, asked.seed))
    for row in found:
        row["machine"] = machine()
        print(json.dumps({key: value for key, value in row.items() if key != "rows"}), flush=True)
    if asked.out is not None:
        kept = json.loads(asked.out.read_text()) if asked.out.exists() else []
        kept = [row for row in kept if row["what"] not in {each["what"] for each in found}]
        asked.out.write_text(json.dumps([*kept, *found], indent=1) + "\n")


if __name__ == "__main__":
    main()
