"""What the measuring roles play together: each function starts them, waits for their figures, and ends them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from mesh.shell.bench.troupe import Player, Troupe
from mesh.shell.near import FAR


def round_trips(count: int, size: int, *, far: bool = False) -> list[float]:
    """Microseconds of each: a frame from one role to another and back; as between machines, encrypted and over TCP, when `far`."""
    env = {FAR: "1"} if far else {}
    with Troupe() as troupe:
        pong = troupe.start("pong", "Pong", env=env)
        ping = troupe.start("ping", "Ping", {"count": count, "size": size}, env=env)
        troupe.route(pong, inputs={"ping": ping.stream("ping", "event")})
        troupe.route(ping, inputs={"pong": pong.stream("pong", "event")})
        return list(troupe.figures(ping)["samples"])


def pictures(width: int, height: int, seconds: float, *, far: bool = False, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """When each picture came at the reader, and how old it was; over the network and as it is when `far`. Each is delivered (`queue`):
    a reader that takes the latest only would have a fast writer write most of them for nobody."""
    with Troupe() as troupe:
        env = {FAR: "1"} if far else {}
        writer = troupe.start("writer", "Writer", {"width": width, "height": height, **(options or {})}, env=env)
        reader = troupe.start("reader", "Reader", {"seconds": seconds}, env=env)
        troupe.route(writer, inputs={"got": reader.stream("got", "event")})
        troupe.route(reader, inputs={"image": {**writer.stream("image", "image"), "pictures": "raw"}})
        return troupe.figures(reader)


def shared_out(count: int, outstanding: int, ms: Sequence[float], fault: str = "", at_s: float = 1.0) -> dict[str, Any]:
    """Questions to copies that take so many milliseconds each; `takes_ms` is how long they took by their own clocks. `fault`: "kill" or
    "stop" the first copy `at_s` after it has begun."""
    with Troupe() as troupe:
        copies = [troupe.start(f"pool/{number + 1}", "Answerer", {"ms": list(ms)}) for number in range(len(ms))]
        asker = troupe.start("asker", "Asker", {"count": count, "outstanding": outstanding, "patience": 15.0 if fault else 0.0})
        answers = {"stream": "pool.answer", "type": "event", "delivery": "queue", "sources": [each.source() for each in copies]}
        asks = [{"role": "pool", "input": "question", "type": "event", "when_superseded": "queue", "copies": _ranked(copies)}]
        troupe.route(asker, inputs={"answer": answers}, asks={"question": asks})
        if fault:
            began = asker.state_folder / "began"
            troupe.until(began.exists, "the first answers", 30.0)
            until_s = time.monotonic() + at_s
            troupe.until(lambda: time.monotonic() > until_s, "the fault", at_s + 5.0)
            with suppress(ProcessLookupError):
                os.kill(copies[0].process.pid, signal.SIGKILL if fault == "kill" else signal.SIGSTOP)
        found = troupe.figures(asker)
        if not fault:
            troupe.until(lambda: all("takes_ms" in each.pulse.get("facts", {}) for each in copies), "the copies' own figures", 5.0)
        return {**found, "takes_ms": [each.pulse.get("facts", {}).get("takes_ms") for each in copies]}


def _ranked(copies: Sequence[Player]) -> list[dict[str, Any]]:
    return [{**each.source(), "rank": number} for number, each in enumerate(copies)]
