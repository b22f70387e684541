"""The same work in dora-rs: nodes of a dataflow, as its guide shows them, large outputs written into its shared memory without a copy.

`python -m benchmarks.peer_dora PROGRAM …` is one node, started by dora's own daemon (`dora run`); its first process is started by
`benchmarks.contestants`. What was measured is written to the file that `BENCH_FIGURES` names.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from dora import Node

WARM = 500
WARM_S = 1.0
AHEAD = 4  # pictures under way; without a bound dora drops


def _done(**figures: Any) -> None:
    path = Path(os.environ["BENCH_FIGURES"])
    path.with_suffix(".new").write_text(json.dumps(figures))
    path.with_suffix(".new").rename(path)


def answer() -> None:
    """Sends back what it gets."""
    node = Node()
    for event in node:
        if event["type"] == "INPUT":
            node.send_output("pong", event["value"])


def ask(count: int, size: int) -> None:
    """So many round trips, in microseconds."""
    node = Node()
    samples, rest, number = [], bytes(size - 8), 0
    time.sleep(1.0)
    while number < count + WARM:
        sent_ns = time.perf_counter_ns()
        node.send_output("ping", pa.array(np.frombuffer(number.to_bytes(8, "big") + rest, np.uint8)))
        event = node.next(timeout=5.0)
        if event is None or event["type"] != "INPUT":
            continue
        samples.append((time.perf_counter_ns() - sent_ns) / 1000)
        number += 1
    _done(samples=samples[WARM:])


def write(width: int, height: int) -> None:
    """Pictures, never more than a few ahead of the reader, each laid into shared memory."""
    node = Node()
    pictures = [np.random.default_rng(number).integers(0, 256, width * height * 3, "u1") for number in range(4)]
    number = got = 0
    time.sleep(1.0)
    while True:
        while number - got < AHEAD:
            number += 1
            sent = {"number": number, "sent_s": time.time(), "width": width, "height": height}
            with node.send_output_raw("image", len(pictures[0]), sent) as buffer:
                into = np.frombuffer(buffer, np.uint8)
                into[:] = pictures[number % 4]
                del into
        event = node.next(timeout=1.0)
        if event is None or event["type"] == "STOP":
            return
        got = max(got, int(event["value"][0].as_py())) if event["type"] == "INPUT" else number


def read(seconds: float) -> None:
    """When each picture came, and how old it was in microseconds."""
    node = Node()
    arrivals: list[float] = []
    ages: list[float] = []
    first_s = 0.0
    for event in node:
        if event["type"] != "INPUT":
            continue
        now = time.perf_counter()
        said = event["metadata"]
        picture = event["value"].to_numpy(zero_copy_only=True).reshape(said["height"], said["width"], 3)
        int(picture[0, 0, 0]) + int(picture[-1, -1, -1])
        node.send_output("got", pa.array([said["number"]]))
        first_s = first_s or now
        if now - first_s >= WARM_S:
            arrivals.append(now)
            ages.append((time.time() - said["sent_s"]) * 1e6)
        if now - first_s >= WARM_S + seconds:
            break
    _done(arrivals=arrivals, ages=ages)


def share(count: int, outstanding: int) -> None:
    """Hands questions to those who are free."""
    node = Node()
    free, waiting = deque(("0", "1", "2")), deque[int]()
    asked = answered = 0
    began_s, warm, samples, asked_s = 0.0, 24, [], {}
    time.sleep(1.0)
    while answered < count + warm:
        while asked - answered < outstanding and asked < count + warm:
            asked_s[asked] = time.perf_counter()
            waiting.append(asked)
            asked += 1
        while waiting and free:
            node.send_output(f"question{free.popleft()}", pa.array([waiting.popleft()]))
        event = node.next(timeout=15.0)
        if event is None or event["type"] == "ERROR":
            break
        if event["type"] != "INPUT":
            continue
        free.append(event["id"].removeprefix("answer"))
        answered += 1
        samples.append((time.perf_counter() - asked_s[int(event["value"][0].as_py())]) * 1e6)
        if answered == warm:
            began_s = time.perf_counter()
    _done(elapsed_s=time.perf_counter() - began_s, count=count, samples=samples, lost=count + warm - answered)


def work(ms: float, name: float) -> None:
    """One that answers after so many milliseconds."""
    del name  # by which it is found among the processes
    node = Node()
    for event in node:
        if event["type"] == "INPUT":
            time.sleep(ms / 1000)
            node.send_output("answer", event["value"])


def main(arguments: list[str]) -> None:
    """One of the above."""
    name, *rest = arguments
    program = {"answer": answer, "ask": ask, "write": write, "read": read, "share": share, "work": work}[name]
    program(*(int(float(each)) if float(each).is_integer() else float(each) for each in rest))  # type: ignore[operator]


if __name__ == "__main__":
    main(sys.argv[1:])
