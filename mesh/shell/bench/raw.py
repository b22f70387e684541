"""The bare library beside the room: the same work in plain pyzmq and numpy, each side a process of its own.

    python -m mesh.shell.bench.raw answer KEYS NEAR          a ROUTER that sends back what it gets; prints its port. NEAR 1: over ipc
    python -m mesh.shell.bench.raw ask KEYS PORT COUNT SIZE  a DEALER that asks it; prints what it measured as JSON
    … write KEYS WIDTH HEIGHT · read KEYS PORT SECONDS       pictures from PUSH to PULL
    … share COUNT OUTSTANDING · work PORT MS                 questions to whoever is free

KEYS are the two halves of one CURVE key pair in hexadecimal digits, for the same encryption as between roles, or "plain". This is what
somebody would write who knows the library well: blocking sockets, no copies of what is large, a high-water mark as low as it may be, a
queue of those who are free.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import deque
from typing import Any

import numpy as np
import zmq

WARM = 500
WARM_S = 1.0
HWM = 4
GIVE_UP_MS = 15_000  # a question of which nothing was heard for so long is lost
Keys = tuple[bytes, bytes] | None


def _socket(type_: int, keys: Keys, *, serves: bool = False) -> zmq.Socket[Any]:
    socket: zmq.Socket[Any] = zmq.Context.instance().socket(type_)
    socket.linger = 0
    if keys is not None:
        socket.curve_publickey, socket.curve_secretkey = keys
        if serves:
            socket.curve_server = True
        else:
            socket.curve_serverkey = keys[0]
    return socket


def _serve(socket: zmq.Socket[Any]) -> None:
    print(socket.bind_to_random_port("tcp://127.0.0.1"), flush=True)


def _place(port: int) -> str:
    return f"tcp://127.0.0.1:{port}" if port > 0 else f"ipc://@roomful-bare{port}"


def answer(keys: Keys, near: int = 0) -> None:
    """Until it is ended. `near`: by the library's quickest way on one machine, named by a number below 0, instead of TCP."""
    socket = _socket(zmq.ROUTER, keys, serves=True)
    if near:
        socket.bind(_place(-os.getpid()))
        print(-os.getpid(), flush=True)
    else:
        _serve(socket)
    while True:
        socket.send_multipart(socket.recv_multipart())


def ask(keys: Keys, port: int, count: int, size: int) -> dict[str, Any]:
    """So many round trips, in microseconds."""
    socket = _socket(zmq.DEALER, keys)
    socket.connect(_place(port))
    samples, rest = [], bytes(size - 8)
    for number in range(count + WARM):
        sent_ns = time.perf_counter_ns()
        socket.send(number.to_bytes(8, "big") + rest)
        socket.recv()
        samples.append((time.perf_counter_ns() - sent_ns) / 1000)
    return {"samples": samples[WARM:]}


def write(keys: Keys, width: int, height: int) -> None:
    """Pictures without end, as fast as they are taken."""
    socket = _socket(zmq.PUSH, keys, serves=True)
    socket.sndhwm = HWM
    _serve(socket)
    pictures = [np.random.default_rng(number).integers(0, 256, (height, width, 3), "u1") for number in range(4)]
    number = 0
    while True:
        socket.send_multipart([json.dumps([number, time.time(), pictures[0].shape]).encode(), pictures[number % 4].data], copy=False)
        number += 1


def read(keys: Keys, port: int, seconds: float) -> dict[str, Any]:
    """When each picture came, and how old it was in microseconds."""
    socket = _socket(zmq.PULL, keys)
    socket.rcvhwm = HWM
    socket.connect(f"tcp://127.0.0.1:{port}")
    arrivals: list[float] = []
    ages: list[float] = []
    first_s = 0.0
    while not first_s or time.perf_counter() - first_s < WARM_S + seconds:
        head, body = socket.recv_multipart(copy=False)
        now = time.perf_counter()
        _, sent_s, shape = json.loads(head.bytes)
        picture = np.frombuffer(body.buffer, np.uint8).reshape(shape)
        int(picture[0, 0, 0]) + int(picture[-1, -1, -1])
        first_s = first_s or now
        if now - first_s >= WARM_S:
            arrivals.append(now)
            ages.append((time.time() - sent_s) * 1e6)
    return {"arrivals": arrivals, "ages": ages}


def share(count: int, outstanding: int) -> dict[str, Any]:
    """Hands questions to those who are free, in the order in which they became so; at most so many wait or are in work."""
    socket = _socket(zmq.ROUTER, None, serves=True)
    _serve(socket)
    takes_ms: dict[bytes, float] = {}
    free: deque[bytes] = deque()
    waiting: deque[int] = deque()
    asked = answered = 0
    began_s, warm, asked_s = 0.0, 24, {}
    samples = []
    while len(free) < 3:
        free.append(socket.recv_multipart()[0])
    while answered < count + warm:
        while asked - answered < outstanding and asked < count + warm:
            asked_s[asked] = time.perf_counter()
            waiting.append(asked)
            asked += 1
        while waiting and free:
            socket.send_multipart([free.popleft(), str(waiting.popleft()).encode()])
        if not socket.poll(GIVE_UP_MS):
            break
        who, what, took_ms = socket.recv_multipart()
        takes_ms[who] = float(took_ms)
        free.append(who)
        answered += 1
        samples.append((time.perf_counter() - asked_s[int(what)]) * 1e6)
        if answered == warm:
            began_s = time.perf_counter()
    elapsed_s, lost = time.perf_counter() - began_s, count + warm - answered
    return {"elapsed_s": elapsed_s, "count": count, "samples": samples, "lost": lost, "takes_ms": list(takes_ms.values())}


def work(port: int, ms: float) -> None:
    """One that answers after so many milliseconds; until it is ended."""
    socket = _socket(zmq.DEALER, None)
    socket.connect(f"tcp://127.0.0.1:{port}")
    socket.send(b"ready")
    took_s, answers = 0.0, 0
    while True:
        asked = socket.recv()
        began_s = time.perf_counter()
        time.sleep(ms / 1000)
        took_s, answers = took_s + time.perf_counter() - began_s, answers + 1
        socket.send_multipart([asked, str(took_s / answers * 1000).encode()])


def main(arguments: list[str]) -> None:
    """One of the above."""
    name, *rest = arguments
    given: list[Any] = []
    if name not in ("share", "work"):
        public, _, secret = rest.pop(0).partition(":")
        given.append((bytes.fromhex(public), bytes.fromhex(secret)) if secret else None)
    given += [int(float(each)) if float(each).is_integer() else float(each) for each in rest]
    program: Any = {"answer": answer, "ask": ask, "write": write, "read": read, "share": share, "work": work}[name]
    found = program(*given)
    if found is not None:
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
