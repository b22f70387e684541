"""A visitor's phone on the network of a room of real hosts, without the key: what answers it, port by port, and what it learns."""

from __future__ import annotations

import json
import select
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import zmq

from mesh.shell import curve
from tests.hosts.network import Network
from tests.hosts.pieces import streams_piece
from tests.hosts.room import Room

PAGE, SHOP, BOARD = 8080, 8201, 8090
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01CURVE" + bytes(15) + bytes(32)
CALL = b"GET / HTTP/1.1\r\nHost: 10.77.0.1\r\nConnection: close\r\n\r\n"
ANSWERS_S = 1.5
MORE = """  wall: {kind: display.web, each: [a], inputs: {line: clock.beat}}
  shop: {kind: sensing.http, on: [a], options: {port: 8201, listen: "0.0.0.0", token: a-word-of-the-staff}}
"""


def listens_at(pid: int) -> set[int]:
    """The TCP ports at which anybody listens in a process's network."""
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A" and not row[1].startswith("0100007F")}


def answered(address: str, ports: set[int], words: bytes) -> dict[int, bytes]:
    """What each port answers to these words until it hangs up, or in a moment."""
    lines = {socket.create_connection((address, port), 5.0): port for port in ports}
    said = dict.fromkeys(ports, b"")
    for line in lines:
        line.sendall(words)
    until_s, waiting = time.monotonic() + ANSWERS_S, list(lines)
    while waiting and time.monotonic() < until_s:
        for line in select.select(waiting, [], [], max(0.0, until_s - time.monotonic()))[0]:
            data = _read(line)
            said[lines[line]] += data
            if not data:
                waiting.remove(line)
    for line in lines:
        line.close()
    return said


def _read(line: socket.socket) -> bytes:
    try:
        return line.recv(65536)
    except ConnectionResetError:
        return b""


def heard_by_zeromq(address: str, ports: set[int], theirs: bytes) -> list[int]:
    """The ports at which a subscription, or a question, of a stranger's is answered: without keys, and with a pair of its own."""
    context: zmq.Context[Any] = zmq.Context()
    lines = {}
    for port in ports:
        for kind in (zmq.SUB, zmq.DEALER):
            for keyed in (False, True):
                line = context.socket(kind)
                if keyed:
                    curve.client(line, theirs, *zmq.curve_keypair())
                if kind == zmq.SUB:
                    line.subscribe(b"")
                line.connect(f"tcp://{address}:{port}")
                if kind == zmq.DEALER:
                    line.send_multipart([b"", b""], zmq.NOBLOCK)
                lines[line] = port
    poller = zmq.Poller()
    for line in lines:
        poller.register(line, zmq.POLLIN)
    found = [lines[line] for line, _ in poller.poll(int(ANSWERS_S * 1000))]
    context.destroy(linger=0)
    return found


def test_a_visitor_s_phone_reaches_pages_and_sensors_that_ask_it_in_and_nothing_else(tmp_path: Path) -> None:
    # Given a room of two machines that plays, with a page, an HTTP sensor and a dashboard, and a phone without the key
    folder = streams_piece(tmp_path / "piece", ("a", "b"), installation="a-secret-title")
    (folder / "deployment.yaml").write_text((folder / "deployment.yaml").read_text() + MORE)
    with Network(("a", "b", "phone")) as network, Room(folder, ("a", "b"), tmp_path, network=network) as room:
        room.play()
        agent = room.machines["a"].agent
        assert agent is not None
        board = subprocess.Popen(
            ["ip", "netns", "exec", network.namespace("a"), sys.executable, "-P", "-m", "mesh.cli.entry", "dashboard", "--json"],
            env=room.environment("a"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            assert board.stdout is not None and json.loads(board.stdout.readline())["look"]
            room.until(lambda: BOARD in listens_at(agent.pid), "the dashboard")
            address, ports = network.addresses["a"], listens_at(agent.pid)
            closed, theirs = ports - {PAGE, SHOP, BOARD}, _public(room)
            assert {PAGE, SHOP, BOARD} <= ports and len(closed) >= 5
            with network.within("phone"):
                # When the phone speaks HTTP to every port
                told = answered(address, ports, CALL)
                # Then the page and the dashboard show themselves, and the sensor takes nothing without its word
                assert b"200 OK" in told[PAGE] and b"200 OK" in told[BOARD] and told[SHOP].split(b" ")[1][:1] == b"4"
                # And every other port says nothing but ZeroMQ's first ten bytes
                assert {port: said for port, said in told.items() if port in closed and len(said) > 10} == {}
                # And in ZeroMQ's own words it gets a greeting, in which there is no name, and no word more
                greeted = answered(address, closed, GREETING)
                assert {port: said for port, said in greeted.items() if len(said) > len(GREETING)} == {}
                assert heard_by_zeromq(address, closed, theirs) == []
                shop = urllib.request.Request(f"http://{address}:{SHOP}/", b"5", {"Content-Type": "application/json"})
                assert _status(shop) in (401, 403)
            # And nowhere but on the page stands what the work is called, or what it plays
            for port, said in [*told.items(), *greeted.items()]:
                assert port == PAGE or not any(word in said for word in (b"a-secret-title", b"clock", b"streams", room.key.room_key))
            # And the room counted it, by kind of port, and plays on
            refused = room.status("a")["refused"]
            assert refused["connections"] and refused["revisions"] and room.plays()
        finally:
            board.terminate()
            board.wait(20)


def _public(room: Room) -> bytes:
    """A's public key, which is no secret."""
    from mesh.shell.certificates import read
    from mesh.shell.vouching import from_text

    found = read(from_text(room.ask("a", "who")["certificate"]), room.key.verify_key)
    assert found is not None
    return found.public


def _status(request: urllib.request.Request) -> int:
    try:
        with urllib.request.urlopen(request, timeout=5.0) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refusal:
        return refusal.code
