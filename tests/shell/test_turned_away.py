"""`roomful status` says in plain words who knocks at a room that is not theirs: another key, another version, noise."""

from __future__ import annotations

import asyncio
import json
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zmq

from mesh.core.codec import seal
from mesh.core.events import PeerFound
from mesh.core.messages import PROTOCOL, Beat
from mesh.core.status import status
from mesh.shell.finding import Door, register_for
from mesh.shell.folder import load
from mesh.shell.keys import first_group_key, load_key
from mesh.shell.rehearsal import Rehearsal
from tests.core.cases import record
from tests.core.test_node import Life
from tests.shell.pieces import small_piece
from tests.shell.until import until


def send(port: int, data: bytes, source: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind((source, 0))
        stranger.sendto(data, ("127.0.0.1", port))


def call(port: int) -> None:
    """A ZeroMQ call with keys of its own to a door whose key it knows from nowhere."""
    context: zmq.Context[Any] = zmq.Context()
    line = context.socket(zmq.DEALER)
    line.linger = 0
    line.curve_publickey, line.curve_secretkey = zmq.curve_keypair()
    line.curve_serverkey = zmq.curve_keypair()[0]
    line.connect(f"tcp://127.0.0.1:{port}")
    line.send(b"hello")
    assert not line.poll(500), "it is answered nothing"
    context.destroy(linger=0)


@pytest.mark.timeout(300)  # a room of seven processes, on a busy machine
def test_strangers_are_named_by_address_and_reason_and_the_room_plays_on(tmp_path: Path) -> None:
    folder = small_piece(tmp_path / "piece")

    async def whole() -> tuple[dict[str, Any], dict[str, Any]]:
        deployment, events = load(folder), list[dict[str, Any]]()
        async with Rehearsal(folder, deployment, [each.name for each in deployment.machines], events.append) as room:
            await until(lambda: room.tally.all_played(["wall@c", "drift"]), within_s=240.0)
            started = next(event for event in events if event["event"] == "started" and event["machine"] == "a")
            note = json.loads((room.home / "a" / "agent.json").read_text())
            door = Door(("127.0.0.1",), note["control_port"], register_for(Path(note["key"]), room.home / "a"), note["node"])
            # When another installation's machine, another version's, and nobody's send to a node of the room
            beat, ours = Beat("1" * 32, "b", 1, 1, 1), first_group_key(load_key(room.home / "key").room_key)
            newer = bytearray(seal(beat, ours))
            newer[16] = PROTOCOL + 1
            newer[:16] = seal_of(bytes(newer[16:]), ours)
            for _ in range(3):
                send(started["beat_port"], seal(beat, b"j" * 32), "127.0.0.7")
            send(started["beat_port"], bytes(newer), "127.0.0.8")
            send(started["beat_port"], b"\0" * 5, "127.0.0.9")
            # And somebody calls at each kind of port, who does not even know whose it is
            source = next(iter((await asyncio.to_thread(door.ask, "streams"))["streams"].values()))["sources"][0]
            ours_here = (await asyncio.to_thread(door.ask, "status"))["machines"]["a"]
            for port in (started["control_port"], ours_here["transfer_port"], source["frames_port"]):
                await asyncio.to_thread(call, port)
            said: dict[str, Any] = {}

            def told() -> bool:
                addresses = {each["address"] for each in said["turned_away"]} & {"127.0.0.7", "127.0.0.8", "127.0.0.9"}
                return len(addresses) == 3 and all(said["refused"][port] for port in ("connections", "revisions", "roles"))

            for _ in range(20):
                said = await asyncio.to_thread(door.ask, "status")
                said["refused"]["roles"] += sum(  # on whichever machine the stream's role plays
                    report["refused"]["roles"] for report in (await asyncio.to_thread(door.reports, said)).values())
                if told():
                    break
                await asyncio.sleep(0.25)
            return said, room.tally.summary()

    said, summary = asyncio.run(whole())
    why = {each["address"]: each for each in said["turned_away"]}
    # Then it says from where, how often, and in words why, and what to do
    assert "another key" in why["127.0.0.7"]["what"] and why["127.0.0.7"]["count"] == 3
    assert f"version {PROTOCOL + 1}" in why["127.0.0.8"]["what"] and "install the same version" in why["127.0.0.8"]["what"]
    assert "no datagram" in why["127.0.0.9"]["what"]
    assert said["refused"]["datagram"] >= 5 and said["refused"]["connections"] >= 1
    # And at each kind of port somebody was counted
    assert said["refused"]["revisions"] >= 1 and said["refused"]["roles"] >= 1
    # And nobody of the room is held for lost
    assert all(each["health"] == "alive" for each in said["machines"].values()) and not summary["takeovers"]


def seal_of(body: bytes, key: bytes) -> bytes:
    from mesh.core.codec import _mac

    return _mac(body, key)


def test_a_machine_of_another_version_or_key_is_named_among_the_machines() -> None:
    # Given a node that discovery tells of two machines that cannot belong to the room
    life = Life().ready().until(2.0)
    life.feed(PeerFound(replace(record("shelf"), name="shelf", protocol=PROTOCOL + 1)))
    life.feed(PeerFound(replace(record("next-door"), name="next-door", installation="another")))
    # When somebody asks who is here, then both are named, with the reason
    machines = status(life.node, {}, life.now)["machines"]
    assert f"protocol version {PROTOCOL + 1}" in machines["shelf"]["why"] and machines["shelf"]["health"] == "stranger"
    assert "another installation" in machines["next-door"]["why"]
