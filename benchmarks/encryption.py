"""What encryption costs: a small message there and back, and 1080p pictures, as between two machines, in turn in one run.

Three sides: raw pyzmq without encryption, raw pyzmq with CURVE, and Roomful, which has no way without it; its pictures once more with
CURVE's own cipher, as between machines without AES. The messages (100 bytes, DEALER and ROUTER, two role processes with no door to
each other) go over loopback; the pictures (raw, as the file can ask for; usually they travel as JPEG) between two network
namespaces, which need root; no writer goes on while its pictures are not taken. And a handshake: from connect to
the first frame, with one key that is known and one of which word comes while it waits.
Run: python -m benchmarks.encryption [RUNS] [--keep]     `--keep` writes benchmarks/results/encryption.json
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zmq

from benchmarks import streams_frames as pictures
from benchmarks import streams_round_trip as trips
from benchmarks.figures import machine, median, p99
from mesh.shell import curve
from mesh.shell.sealing import WITHOUT_AES

RESULTS = Path(__file__).parent / "results" / "encryption.json"
PLAIN, CURVE, OURS, OURS_CURVE = "raw pyzmq, plain", "raw pyzmq, CURVE", "roomful", "roomful, CURVE's cipher"
HANDSHAKES = 200
LATE_S = 0.02


def round_trips(runs: int) -> dict[str, dict[str, float]]:
    """Microseconds, by side: the medians of the runs' medians and p99."""
    sides: dict[str, Any] = {
        PLAIN: trips.Raw("tcp://127.0.0.1:47991", False), CURVE: trips.Raw("tcp://127.0.0.1:47992", True), OURS: trips.Room(False),
    }  # fmt: skip
    times = trips.in_turn(sides, runs)
    return {
        name: {"median_us": round(median([median(run) for run in all_of]), 1), "p99_us": round(median([p99(run) for run in all_of]), 1)}
        for name, all_of in times.items()
    }


def frames(runs: int) -> dict[str, dict[str, float]]:
    """Frames a second, and processor seconds for 1,000 of them, both ends together."""
    shape, found = pictures.SIZES["1080p"], {name: [] for name in (PLAIN, CURVE, OURS, OURS_CURVE)}  # type: dict[str, list[dict[str, float]]]
    link = pictures.Link()
    try:
        for _ in range(runs):
            found[PLAIN].append(pictures.raw(shape, False, link))
            found[CURVE].append(pictures.raw(shape, True, link))
            found[OURS].append(_ours(shape, link))
            os.environ[WITHOUT_AES] = "1"
            found[OURS_CURVE].append(_ours(shape, link))
            del os.environ[WITHOUT_AES]
    finally:
        link.close()
    return {
        name: {
            "fps": round(median([each["fps"] for each in all_of]), 1), "least_fps": round(min(each["fps"] for each in all_of), 1),
            "cpu_s_per_1000": round(median([each["cpu"] for each in all_of]), 2),
        }
        for name, all_of in found.items()
    }  # fmt: skip


def _ours(shape: tuple[int, ...], link: pictures.Link) -> dict[str, float]:
    room = pictures.Room(shape, link=link, pictures="raw", ahead=pictures.OURS_AHEAD)
    try:
        return room.run()
    finally:
        room.close()


def handshakes() -> dict[str, dict[str, float]]:
    """Milliseconds from connect to the first frame."""
    context: Any = zmq.Context()
    guests = curve.Guests()
    guard = curve.guard(context, guests.admits)
    socket = context.socket(zmq.XPUB)
    socket.setsockopt(zmq.XPUB_VERBOSE, 1)
    keys = zmq.curve_keypair()
    curve.server(socket, *keys)
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    found = {}
    try:
        for name, tell in (("key known", _at_once), (f"key told {LATE_S * 1000:.0f} ms late", _late)):
            took = [_handshake(context, socket, port, keys[0], guests, tell) for _ in range(HANDSHAKES)]
            found[name] = {"median_ms": round(median(took), 2), "p99_ms": round(p99(took), 2)}
    finally:
        socket.close(linger=0)
        guard.close()
        context.destroy(linger=0)
    return found


def _at_once(began: float, calls: Callable[[], None], told: Callable[[], None]) -> None:
    told()
    calls()


def _late(began: float, calls: Callable[[], None], told: Callable[[], None]) -> None:
    calls()
    time.sleep(LATE_S)
    told()


def _handshake(context: Any, server: Any, port: int, theirs: bytes, guests: curve.Guests, tell: Callable[..., None]) -> float:
    public, secret = zmq.curve_keypair()
    client = context.socket(zmq.SUB)
    curve.client(client, theirs, public, secret)
    client.subscribe(b"")
    guests.tell([])
    began = time.perf_counter()
    tell(began, lambda: client.connect(f"tcp://127.0.0.1:{port}"), lambda: guests.tell([public.decode()]))
    server.recv()  # its subscription
    server.send(b"a frame")
    client.recv()
    took = (time.perf_counter() - began) * 1000
    client.close(linger=0)
    server.recv()  # that it has gone
    return took


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("runs", nargs="?", type=int, default=5)
    asked.add_argument("--keep", action="store_true")
    wanted = asked.parse_args()
    told = {
        "machine": machine(), "runs": wanted.runs, "round_trip_100_bytes": round_trips(wanted.runs),
        "frames_1080p_raw": frames(wanted.runs), "handshake": handshakes(),
    }  # fmt: skip
    print(json.dumps(told, indent=1))
    if wanted.keep:
        RESULTS.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
