"""The same work in Eclipse Zenoh: what somebody would write who knows it, with its shared memory where it has one.

Run by `benchmarks.contestants`, a process a side: `python -m benchmarks.peer_zenoh PROGRAM …`, with the programs and the output
of `mesh.shell.bench.raw`. Sessions find each other by address, not by multicast, and are not encrypted.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from collections import deque
from typing import Any

import numpy as np
import zenoh

WARM = 500
WARM_S = 1.0
POOL_BYTES = 256 * 1024 * 1024
BEGIN_S = 1.0  # until both sides know of each other's declarations
GIVE_UP_S = 15.0


def _open(*, listens: int = 0, connects: int = 0, shared_memory: bool = False) -> zenoh.Session:
    config = zenoh.Config()
    config.insert_json5("mode", '"peer"')
    config.insert_json5("scouting/multicast/enabled", "false")
    config.insert_json5("listen/endpoints", json.dumps([f"tcp/127.0.0.1:{listens}"] if listens else []))
    config.insert_json5("connect/endpoints", json.dumps([f"tcp/127.0.0.1:{connects}"] if connects else []))
    config.insert_json5("transport/shared_memory/enabled", json.dumps(shared_memory))
    return zenoh.open(config)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answer() -> None:
    """Sends back what it gets; until it is ended."""
    port = _free_port()
    session = _open(listens=port)
    pong = session.declare_publisher("bench/pong", express=True)
    ping = session.declare_subscriber("bench/ping")
    print(port, flush=True)
    while True:
        pong.put(ping.recv().payload)


def ask(port: int, count: int, size: int) -> dict[str, Any]:
    """So many round trips, in microseconds."""
    session = _open(connects=port)
    ping = session.declare_publisher("bench/ping", express=True)
    pong = session.declare_subscriber("bench/pong")
    time.sleep(BEGIN_S)
    samples, rest = [], bytes(size - 8)
    for number in range(count + WARM):
        sent_ns = time.perf_counter_ns()
        ping.put(number.to_bytes(8, "big") + rest)
        pong.recv()
        samples.append((time.perf_counter_ns() - sent_ns) / 1000)
    return {"samples": samples[WARM:]}


def write(width: int, height: int) -> None:
    """Pictures without end, as fast as they are taken, each laid into shared memory."""
    port = _free_port()
    session = _open(listens=port, shared_memory=True)
    provider = zenoh.shm.ShmProvider.default_backend(POOL_BYTES)
    policy = zenoh.shm.BlockOn(zenoh.shm.GarbageCollect())
    out = session.declare_publisher("bench/image", congestion_control=zenoh.CongestionControl.BLOCK, express=True)
    pictures = [np.random.default_rng(number).integers(0, 256, (height, width, 3), "u1").tobytes() for number in range(4)]
    print(port, flush=True)
    number = 0
    while not out.matching_status.matching:
        time.sleep(0.01)
    while True:
        buffer = provider.alloc(len(pictures[0]), policy)
        buffer[:] = pictures[number % 4]
        out.put(buffer, attachment=json.dumps([number, time.time(), [height, width, 3]]))
        number += 1


def read(port: int, seconds: float) -> dict[str, Any]:
    """When each picture came, and how old it was in microseconds."""
    session = _open(connects=port, shared_memory=True)
    images = session.declare_subscriber("bench/image", zenoh.handlers.FifoChannel(4))
    arrivals: list[float] = []
    ages: list[float] = []
    first_s, shared = 0.0, False
    while not first_s or time.perf_counter() - first_s < WARM_S + seconds:
        sample = images.recv()
        now = time.perf_counter()
        _, sent_s, shape = json.loads(sample.attachment.to_string())
        inside = sample.payload.as_shm()
        shared = inside is not None
        # The binding gives no view of shared memory, only bytes: one copy.
        picture = np.frombuffer(bytes(inside if shared else sample.payload), np.uint8).reshape(shape)
        int(picture[0, 0, 0]) + int(picture[-1, -1, -1])
        first_s = first_s or now
        if now - first_s >= WARM_S:
            arrivals.append(now)
            ages.append((time.time() - sent_s) * 1e6)
    return {"arrivals": arrivals, "ages": ages, "shared": shared}


def share(count: int, outstanding: int) -> dict[str, Any]:
    """Hands questions, as queries, to those who are free."""
    port = _free_port()
    session = _open(listens=port)
    print(port, flush=True)
    free: deque[str] = deque()
    came: deque[tuple[str, int]] = deque()
    wake = threading.Condition()

    def ready(sample: Any) -> None:
        with wake:
            free.append(sample.payload.to_string())
            wake.notify()

    session.declare_subscriber("bench/ready", ready)
    with wake:
        wake.wait_for(lambda: len(free) == 3, GIVE_UP_S)
    waiting: deque[int] = deque()
    asked = answered = 0
    began_s, warm, samples, asked_s = 0.0, 24, [], {}

    def put(who: str, number: int) -> None:
        def got(reply: Any) -> None:
            with wake:
                if reply.ok is not None:
                    came.append((who, number))
                wake.notify()

        session.get(f"bench/work/{who}", got, payload=str(number), timeout=10.0)

    while answered < count + warm:
        while asked - answered < outstanding and asked < count + warm:
            asked_s[asked] = time.perf_counter()
            waiting.append(asked)
            asked += 1
        while waiting and free:
            put(free.popleft(), waiting.popleft())
        with wake:
            if not wake.wait_for(lambda: bool(came), GIVE_UP_S):
                break
            who, number = came.popleft()
        free.append(who)
        answered += 1
        samples.append((time.perf_counter() - asked_s[number]) * 1e6)
        if answered == warm:
            began_s = time.perf_counter()
    return {"elapsed_s": time.perf_counter() - began_s, "count": count, "samples": samples, "lost": count + warm - answered}


def work(port: int, ms: float, name: float) -> None:
    """One that answers after so many milliseconds; until it is ended."""
    session = _open(connects=port)

    def on_query(query: Any) -> None:
        time.sleep(ms / 1000)
        query.reply(query.key_expr, query.payload)

    session.declare_queryable(f"bench/work/{name:.0f}", on_query)
    time.sleep(BEGIN_S)
    session.put("bench/ready", f"{name:.0f}")
    threading.Event().wait()


def main(arguments: list[str]) -> None:
    """One of the above."""
    name, *rest = arguments
    program = {"answer": answer, "ask": ask, "write": write, "read": read, "share": share, "work": work}[name]
    found = program(*(int(float(each)) if float(each).is_integer() else float(each) for each in rest))  # type: ignore[operator]
    if found is not None:
        print(json.dumps(found), flush=True)
        os._exit(0)  # closing a session whose publisher still sends takes a minute


if __name__ == "__main__":
    main(sys.argv[1:])
