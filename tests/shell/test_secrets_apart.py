"""No process of a role holds a secret of its node or of the installation: in memory, surroundings, arguments or open files."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from zmq.utils import z85

from mesh.shell.credentials import NODE_KEY
from mesh.shell.folder import load
from mesh.shell.keys import first_group_key, load_key
from mesh.shell.rehearsal import Rehearsal
from tests.shell.pieces import small_piece
from tests.shell.until import until

PLAYING = ("drift", "words", "poet/1", "poet/2", "wall@c")


def secrets_of(room: Rehearsal) -> dict[str, bytes]:
    """Every secret there is, in each of its forms."""
    key = load_key(room.home / "key")
    found = {
        "the key": key.secret, "the key as text": key.text.split()[-1].encode(), "the room's": key.room_key,
        "the group's": first_group_key(key.room_key),
    }
    for path in sorted(room.home.glob(f"*/{NODE_KEY}")):
        value = json.loads(path.read_text())
        found[f"{path.parent.name}'s pair"] = z85.decode(value["curve_secret"].encode())
        found[f"{path.parent.name}'s pair as text"] = value["curve_secret"].encode()
        found[f"{path.parent.name}'s seed"] = bytes.fromhex(value["seed"])
    raw = dict(found)
    found.update({f"{name}, in digits": data.hex().encode() for name, data in raw.items() if "text" not in name})
    return found


def memory_of(pid: int) -> bytes:
    """All that a process may write to."""
    found = []
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            where, rights, *_ = line.split()
            if rights.startswith("rw"):
                begin, end = (int(part, 16) for part in where.split("-"))
                with contextlib.suppress(OSError, ValueError):
                    memory.seek(begin)
                    found.append(memory.read(end - begin))
    return b"\0".join(found)


def surroundings_of(pid: int) -> bytes:
    files = []
    for each in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            files.append(os.readlink(f"/proc/{pid}/fd/{each}").encode())
    return b"\n".join((Path(f"/proc/{pid}/environ").read_bytes(), Path(f"/proc/{pid}/cmdline").read_bytes(), *files))


@pytest.mark.timeout(300)  # a room of seven processes, on a busy machine
def test_no_process_of_a_role_holds_a_secret_that_is_not_its_own(tmp_path: Path) -> None:
    folder = small_piece(tmp_path / "piece")

    async def whole() -> tuple[dict[str, bytes], dict[str, bytes], dict[str, bytes], dict[str, bytes]]:
        deployment = load(folder)
        heard: list[dict[str, Any]] = []
        async with Rehearsal(folder, deployment, [each.name for each in deployment.machines], heard.append) as room:
            await until(lambda: room.tally.all_played(PLAYING), within_s=240.0)
            pids = {name: int(said["pid"]) for name, said in room.tally.roles.items()}
            return (
                secrets_of(room), {name: memory_of(pid) for name, pid in pids.items()},
                {name: surroundings_of(pid) for name, pid in pids.items()}, {name: memory_of(pid) for name, pid in room.pids().items()},
            )

    # Given every secret of a room that plays, and what is in the memory of all its processes
    secrets, memory, surroundings, agents = asyncio.run(whole())
    assert len(memory) == len(PLAYING) and len(secrets) > 10
    # When they are looked for where they must be (else this test sees nothing), they are found
    assert any(secrets["the room's"] in each for each in agents.values())
    # Then no role's process has one
    held = [(role, name) for role, data in memory.items() for name, secret in secrets.items() if secret in data]
    assert not held
    told = [(role, name) for role, data in surroundings.items() for name, secret in secrets.items() if secret in data]
    assert not told
    assert not [role for role, data in surroundings.items() if b"/key" in data or NODE_KEY.encode() in data]
