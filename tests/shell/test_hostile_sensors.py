"""Sensors that anybody can call, in their real processes, under what no value of a frame can be: they play on, and hear the next."""

from __future__ import annotations

import contextlib
import socket
import struct
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.fuzz.corpus import kept
from tests.fuzz.mutation import mutated
from tests.fuzz.targets import TARGETS
from tests.ports import free_port
from tests.shell.host_harness import Agent


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    with Agent(tmp_path) as made:
        yield made


def post(port: int, body: bytes) -> int:
    call = urllib.request.Request(f"http://127.0.0.1:{port}/x", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(call, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code


def test_no_post_ends_the_sensor(agent: Agent) -> None:
    # Given the sensor, and who hears it
    port = free_port(socket.SOCK_STREAM)
    shop = agent.start("shop", "sensing.http", options={"port": port, "rate_max": 10_000}, network=True)
    ear = agent.start("ear", "Listener", routes={"inputs": {"post": shop.stream("post", "event")}})
    # When everything that once did harm is posted, five times each (five failures in a row end a role), and much that was made up
    chance = Random(7)
    bodies = [data for data, _ in kept("posted") for _ in range(5)] + [mutated(TARGETS["posted"].seeds, chance) for _ in range(150)]
    answers = [post(port, body) for body in bodies]
    assert 400 in answers and set(answers) <= {204, 400}
    # Then a good one comes through, from the same process
    assert post(port, b'{"door": "open"}') == 204
    agent.until(lambda: any(heard[0] == {"path": "/x", "value": {"door": "open"}} for heard in ear.facts.get("heard", [])), "the good one")
    assert shop.process.poll() is None and shop.first("failed") is None
    agent.until(lambda: shop.facts.get("refused", {}).get("bad_request"), "it is counted")


def test_no_packet_ends_the_osc_sensor_nor_fills_its_log(agent: Agent) -> None:
    port = free_port(socket.SOCK_DGRAM)
    hand = agent.start("hand", "sensing.osc", options={"port": port, "listen": "127.0.0.1"}, network=True)
    ear = agent.start("ear", "Listener", routes={"inputs": {"message": hand.stream("message", "event")}})
    good = b"/last\0\0\0,i\0\0" + struct.pack(">i", 42)
    chance = Random(7)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in range(5000):
            with contextlib.suppress(OSError):  # larger than a datagram may be
                sender.sendto(mutated(TARGETS["osc"].seeds, chance), ("127.0.0.1", port))
            if number % 200 == 0:
                agent.pump(0.01)

        def comes() -> bool:
            sender.sendto(good, ("127.0.0.1", port))
            return any(heard[0].get("address") == "/last" for heard in ear.facts.get("heard", []))

        agent.until(comes, "the good one")
    assert hand.process.poll() is None and hand.first("failed") is None
    assert len(hand.log.read_text()) < 10_000
