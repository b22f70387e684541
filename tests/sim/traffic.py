"""What one node says, in bytes a second: `python -m tests.sim.traffic --nodes 8 16 32 64 128 256`.

A room that has settled and in which nothing happens; every message is encoded as it would be on the wire, datagrams with their keyed
hash. The promise is that the traffic of a node does not grow with the room, within a factor of two from 8 nodes to 256: heartbeats go
to five observers, and a digest of all goes to one other at a time, more slowly the longer it is. Headers of UDP and IP are
counted (28 bytes a datagram), those of TCP and ZeroMQ with encryption are estimated (98 bytes a message).
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
from dataclasses import replace
from typing import Any

from rich.console import Console
from rich.table import Table

from mesh.core.codec import encode, seal
from mesh.core.effects import Effect, SendControl, SendDatagram
from tests.sim.machine import Machine
from tests.sim.rooms import nameless, whispering
from tests.sim.world import KEY, World

UDP_BYTES = 28  # IPv4 and UDP headers
LINK_BYTES = 98  # IPv4 and TCP headers with time stamps, a ZeroMQ frame's, and what CURVE adds
SETTLE_S = 8.0


def traffic(nodes: int, seconds: float = 8.0, *, empty: bool = False, seed: int = 1) -> dict[str, Any]:
    """Bytes and messages a second that one node of so many sends, by kind. `empty`: a room with no work but three roles."""
    names = tuple(f"m{index:03}" for index in range(nodes))
    room = nameless(()) if empty else whispering(names)
    world = World(seed, replace(room, boot_grace_s=2.0), steps_max=10**12)
    for name in names:
        world.add(name)
        world.boot(name)
    gc.collect()
    gc.disable()
    world.run(SETTLE_S)
    sent: dict[str, list[int]] = {}
    sizes: dict[int, tuple[Any, int]] = {}

    def weigh(machine: Machine, effect: Effect) -> None:
        if not isinstance(effect, (SendDatagram, SendControl)):
            return
        known = sizes.get(id(effect.message))  # one heartbeat goes to five; held, so that its id is not given to another
        if known is None:
            datagram = isinstance(effect, SendDatagram)
            size = len(seal(effect.message, KEY)) + UDP_BYTES if datagram else len(encode(effect.message)) + LINK_BYTES
            known = sizes[id(effect.message)] = (effect.message, size)
        row = sent.setdefault(type(effect.message).__name__, [0, 0])
        row[0] += known[1]
        row[1] += 1

    world.watchers.append(weigh)
    world.run_for(seconds)
    gc.enable()
    each_s = seconds * nodes
    kinds = {kind: {"bytes_per_s": round(row[0] / each_s), "messages_per_s": round(row[1] / each_s, 2)} for kind, row in sent.items()}
    return {
        "nodes": nodes, "bytes_per_s": sum(each["bytes_per_s"] for each in kinds.values()),
        "kinds": dict(sorted(kinds.items(), key=lambda each: -each[1]["bytes_per_s"])),
    }


def main() -> int:
    """Exit code 1 when the most talkative room makes a node say more than twice what the least talkative does."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.traffic", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--nodes", type=int, nargs="+", default=[8, 16, 32, 64, 128, 256])
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--json", action="store_true")
    wanted = parser.parse_args()
    found = [traffic(nodes, wanted.seconds) for nodes in wanted.nodes]
    if wanted.json:
        print(json.dumps(found))
    else:
        kinds = list(dict.fromkeys(kind for each in found for kind in each["kinds"]))
        table = Table("nodes", "bytes/s of one node", *kinds)
        for each in found:
            said = [each["kinds"].get(kind, {"bytes_per_s": 0})["bytes_per_s"] for kind in kinds]
            table.add_row(str(each["nodes"]), str(each["bytes_per_s"]), *map(str, said))
        Console().print(table)
    totals = [each["bytes_per_s"] for each in found]
    return 0 if max(totals) <= 2 * min(totals) else 1


if __name__ == "__main__":
    sys.exit(main())
