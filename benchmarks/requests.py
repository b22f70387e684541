"""How many requests are lost while a copy lives: none may be. A hundred a second, while processes and machines die at random.

Four machines in network namespaces: one asks and hears, two of the others hold a copy each. In random order, at random moments, a
copy's process gets SIGKILL, or its machine has its cable pulled, is stopped, or loses its power, and comes back; the next fault
waits only until two copies play on two of all the machines, so that one always lives. Counted are the asker's own numbers and, at
a consumer of the answers, what arrived: every question once, in the end.
Run: python -m benchmarks.requests [--requests 10000] [--seed N] [--help]
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.figures import machine, median, p99
from benchmarks.rooms import AGENT, EAR, Ear, busy, cores, progress, wait_until
from tests.hosts.network import why_not
from tests.hosts.pieces import ROLES
from tests.hosts.room import Room, bring_about, undo

CARRIERS = ("shelf", "left-wall", "right-wall")
RATE = 100
HOWS = ("process", "process", "cable out", "stopped", "power cut")
AGAIN_S, GONE_S = (0.1, 1.5), (0.3, 3.0)  # between two faults, and how long a machine is away
LATE_S = 5.0  # a question is not counted as unheard before then
MENDED_S = 60.0
DEPLOYMENT = f"""
installation: requests
machines: {{{", ".join(f"{name}: {{}}" for name in (EAR, *CARRIERS))}}}
roles:
  clock: {{kind: "./streams.py:Pulse", on: [{EAR}], options: {{rate: {RATE}}}}}
  copy: {{kind: "./streams.py:Echo", on: [{", ".join(CARRIERS)}], inputs: {{question: clock.beat}}, copies: 2}}
  ear: {{kind: "./streams.py:Ear", each: [{EAR}], inputs: {{copy: copy.answer}}}}
"""


class Storm:
    """Faults at random, never so many that no copy lives."""

    def __init__(self, room: Room, chance: random.Random) -> None:
        self.room = room
        self.faults: Counter[str] = Counter()
        self._chance = chance

    def _playing(self) -> dict[str, str]:
        """Copy -> machine, of those that play; none while a machine is away, since the next fault would leave nowhere to go but one."""
        said = self.room.status(EAR)
        if not said or any(each["health"] != "alive" for each in said["machines"].values()):
            return {}
        roles = said["roles"].items()
        return {name: role["machine"] for name, role in roles if name.startswith("copy/") and role["state"] == "playing"}

    def fault(self) -> None:
        """One fault, and its end."""
        time.sleep(self._chance.uniform(*AGAIN_S))
        playing: dict[str, str] = {}

        def are_apart() -> bool:
            playing.clear()
            playing.update(self._playing())
            return len(set(playing.values())) >= 2

        wait_until(are_apart, "two copies to play on two machines", MENDED_S, 0.05)
        instance, where = self._chance.choice(sorted(playing.items()))
        how = self._chance.choice(HOWS)
        self.faults[how] += 1
        if how == "process":
            self.room.process(instance, where).kill()
            return
        bring_about(self.room, how, where)
        time.sleep(self._chance.uniform(*GONE_S))
        undo(self.room, how, where)


def measure(requests: int, seed: int) -> dict[str, Any]:
    """The whole storm; what was asked, answered, lost and heard."""
    with tempfile.TemporaryDirectory() as where:
        folder = Path(where) / "piece"
        folder.mkdir()
        (folder / "deployment.yaml").write_text(DEPLOYMENT)
        (folder / "streams.py").write_text(ROLES)
        with Room(folder, (EAR, *CARRIERS), Path(where), agent=AGENT) as room, progress() as bar:
            room.play(within_s=MENDED_S)
            ear, storm = Ear(room.machines[EAR].home), Storm(room, random.Random(seed))
            task = bar.add_task("requests", total=requests)
            first = max(each.number for each in ear.read()["copy"]) + 1
            while (asked := max(each.number for each in ear.read()["copy"]) - first) < requests:
                bar.update(task, completed=asked)
                storm.fault()
            last = max(each.number for each in ear.read()["copy"])
            time.sleep(LATE_S)
            heard = [each for each in ear.read()["copy"] if first <= each.number <= last]
            counts = room.ask(EAR, "report")["roles"]["clock"]["requests"]
    return _told(first, last, heard, counts, storm, seed)


def _told(first: int, last: int, heard: list[Any], counts: dict[str, int], storm: Storm, seed: int) -> dict[str, Any]:
    times = Counter(each.number for each in heard)
    ages = [each.age_s * 1000 for each in heard]
    return {
        "requests": last - first + 1, "unheard": [number for number in range(first, last + 1) if number not in times],
        "heard_twice": sum(1 for count in times.values() if count > 1), "asker": counts, "faults": dict(storm.faults), "seed": seed,
        "answer_ms": {"median": round(median(ages), 1), "p99": round(p99(ages), 1), "worst": round(max(ages), 1)},
        "machine": machine(),
    }  # fmt: skip


def main() -> None:
    """Print the figures, in words and as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.requests", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1, help="of the order of the faults")
    parser.add_argument("--busy", action="store_true", help="keep every core busy beside")
    parser.add_argument("--json", type=Path, metavar="FILE", dest="json_file", help="write the result here as well")
    given = parser.parse_args()
    if refused := why_not():
        raise SystemExit(f"requests: no room of hosts can be made here: {refused}")
    with busy(2 * cores() if given.busy else 0):
        told = measure(given.requests, given.seed)
    lost = told["asker"]["lost"]
    print(f"{told['requests']} requests under {sum(told['faults'].values())} faults {told['faults']}: {lost} lost, "
          f"{len(told['unheard'])} not heard by the consumer, {told['heard_twice']} heard twice, {told['asker']['retried']} asked again; "
          f"an answer took {told['answer_ms']} ms ({told['machine']})", file=sys.stderr)
    print(json.dumps(told))
    if given.json_file:
        given.json_file.write_text(json.dumps(told, indent=1) + "\n")
    if lost or told["unheard"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
