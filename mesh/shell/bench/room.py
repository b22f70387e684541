"""A room that is played only to be measured: a rehearsal of a few roles, until one of them has written down its figures."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from mesh.errors import RoomfulError
from mesh.shell.folder import load
from mesh.shell.rehearsal import Rehearsal

ROLES = Path(__file__).resolve().parents[2] / "templates" / "bench" / "roles.py"
LOOK_S = 0.05
PIECE = "installation: bench\nmachines: {{{machines}}}\nroles:\n{roles}\n"

Seen = Callable[[Rehearsal], Awaitable[Any]]


def piece(folder: Path, roles: str, machines: Sequence[str]) -> Path:
    """Write a deployment of the measuring roles into `folder`; `roles` is the YAML under `roles:`."""
    folder.mkdir(parents=True, exist_ok=True)
    named = ", ".join(f"{each}: {{}}" for each in machines)
    (folder / "deployment.yaml").write_text(PIECE.format(machines=named, roles=roles))
    shutil.copyfile(ROLES, folder / "roles.py")
    return folder


def play(roles: str, machines: Sequence[str], seen: Seen, *, within_s: float = 90.0) -> Any:
    """Plays it and gives what `seen` finds. Raises RoomfulError when a role fails, or when it takes longer than `within_s`."""
    with tempfile.TemporaryDirectory() as where:
        return play_folder(piece(Path(where) / "piece", roles, machines), machines, seen, within_s=within_s)


def play_folder(folder: Path, machines: Sequence[str], seen: Seen, *, within_s: float = 90.0) -> Any:
    """As `play`, of a deployment that is there."""
    return asyncio.run(_play(folder, machines, seen, within_s))


async def _play(folder: Path, machines: Sequence[str], seen: Seen, within_s: float) -> Any:
    failed: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def hear(event: dict[str, Any]) -> None:
        if event["event"] in ("role_failed", "agent_ended") and not failed.done():
            failed.set_exception(RoomfulError(f"a role that measures cannot work: {event.get('what')}", instead="roomful doctor"))

    async with Rehearsal(folder, load(folder), list(machines), hear) as rehearsal:
        looking = asyncio.ensure_future(seen(rehearsal))
        done, _ = await asyncio.wait([looking, failed], timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        if looking in done:
            return looking.result()
        looking.cancel()
        if failed in done:
            raise failed.exception() or RoomfulError("a role that measures has ended")
        raise RoomfulError(f"nothing was measured within {within_s:.0f} s", instead="run `roomful bench` on a machine that is less busy")


def figures_of(role: str) -> Seen:
    """Waits for what a role writes down."""

    async def seen(rehearsal: Rehearsal) -> Any:
        while True:
            for path in rehearsal.home.glob(f"*/roles/{role}*/figures.json"):
                return json.loads(path.read_text())
            await asyncio.sleep(LOOK_S)

    return seen


async def everything_plays(rehearsal: Rehearsal, count: int) -> None:
    """Until so many instances play."""
    while sum(1 for said in rehearsal.tally.roles.values() if said["state"] == "playing") < count:
        await asyncio.sleep(LOOK_S)


def within(condition: Callable[[], bool], within_s: float, look_s: float = LOOK_S) -> Awaitable[None]:
    """Until it holds; TimeoutError when it does not."""

    async def wait() -> None:
        until_s = time.monotonic() + within_s
        while not condition():
            if time.monotonic() > until_s:
                raise TimeoutError
            await asyncio.sleep(look_s)

    return wait()
