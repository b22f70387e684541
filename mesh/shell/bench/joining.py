"""How long until a node is known by all: real agents over real mDNS, the last of which is switched on when the others have met."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mesh.errors import RoomfulError
from mesh.shell.bench.room import piece
from mesh.shell.folder import load
from mesh.shell.rehearsal import Rehearsal

MACHINES = ("one", "two", "three")
ROLES = '\n  hand: {kind: "./roles.py:Hand", on: [one], options: {every: 3600}}\n'
WITHIN_S, CALM_S = 30.0, 1.0


class Late(Rehearsal):
    """A rehearsal whose last machine is switched on by hand."""

    async def __aenter__(self) -> Rehearsal:
        self.late = self.machines.pop()
        return await super().__aenter__()

    async def join(self) -> None:
        """Switch it on."""
        await self._start(self.late)


def one_join(machines: Sequence[str] = MACHINES) -> tuple[float, float]:
    """Milliseconds from the last node's sockets being bound, and from its process being started, until everyone has it as a
    member and it has everyone."""
    with tempfile.TemporaryDirectory() as where:
        return asyncio.run(_one_join(piece(Path(where) / "piece", ROLES, machines), machines))


async def _one_join(folder: Path, machines: Sequence[str]) -> tuple[float, float]:
    met: dict[tuple[str, str], float] = {}
    began: dict[str, float] = {}

    def hear(event: dict[str, Any]) -> None:
        if event["event"] == "node_up":
            met.setdefault((event["seen_by"], event["name"]), time.monotonic())
        elif event["event"] == "started":
            began[event["machine"]] = time.monotonic()

    rehearsal = Late(folder, load(folder), list(machines), hear)
    others = len(machines) - 1
    async with rehearsal:
        await _until(lambda: len(met) == others * (others - 1))
        await asyncio.sleep(CALM_S)
        launched = time.monotonic()
        await rehearsal.join()
        await _until(lambda: len(met) == others * (others + 1))
        last = max(when for pair, when in met.items() if machines[-1] in pair)
        return (last - began[machines[-1]]) * 1000, (last - launched) * 1000


async def _until(condition: Any) -> None:
    until_s = time.monotonic() + WITHIN_S
    while not condition():
        if time.monotonic() > until_s:
            raise RoomfulError("the nodes did not meet within half a minute", instead="roomful doctor says whether multicast passes here")
        await asyncio.sleep(0.002)
