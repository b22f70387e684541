"""What `roomful bench` measures on one machine, name by name. Ours and the bare library take turns, round by round, in one run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psutil

from mesh.shell.bench import bare, plays
from mesh.shell.bench.room import everything_plays, play, within
from mesh.shell.bench.rows import Row, rates, row
from mesh.shell.bench.troupe import Troupe
from mesh.shell.rehearsal import Rehearsal

SMALL_BYTES = 100
SIZES = {"480p": (640, 480), "1080p": (1920, 1080)}
POOL_MS = (10.0, 20.0, 40.0)
AGREED_S, SETTLE_S = 1.0, 2.0
QUESTIONS, OUTSTANDING = 300, 12
ALONE = ("one",)
THREE = ("one", "two", "three")
HANDS = """
  hand: {kind: "./roles.py:Hand", each: [one, two, three]}
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """How thoroughly: so many rounds, and how long each measurement takes in a round."""

    rounds: int = 3
    trips: int = 4000
    seconds: float = 3.0
    questions: int = QUESTIONS
    joins: int = 5
    idle_s: float = 10.0


THOROUGH = Plan()
QUICK = Plan(rounds=1, trips=1500, seconds=1.5, questions=150, joins=2, idle_s=4.0)
Measure = Callable[[Plan], list[Row]]


def round_trip(plan: Plan) -> list[Row]:
    """100 bytes from one role to another and back: on one machine, and as between machines."""
    return [
        _round_trip(plan, "round_trip", "not encrypted on either side, the other over ipc", far=False),
        _round_trip(plan, "round_trip_network", "encrypted TCP on both sides, over this machine's own loopback", far=True),
    ]


def _round_trip(plan: Plan, name: str, against: str, *, far: bool) -> Row:
    ours: list[float] = []
    raw: list[float] = []
    for _ in range(plan.rounds):
        ours += plays.round_trips(plan.trips, SMALL_BYTES, far=far)
        raw += bare.round_trips(plan.trips, SMALL_BYTES, far=far)
    return row(name, "us", ours, raw, note=f"{SMALL_BYTES} bytes there and back, {against}", digits=1)


def frames_480p_local(plan: Plan) -> list[Row]:
    """Pictures of 640x480 on one machine."""
    return [_frames(plan, "frames_480p_local", "480p", far=False)]


def frames_1080p_local(plan: Plan) -> list[Row]:
    """Pictures of 1920x1080 on one machine."""
    return [_frames(plan, "frames_1080p_local", "1080p", far=False)]


def frames_1080p_network(plan: Plan) -> list[Row]:
    """The same by way of the network, as they are and encrypted; over this machine's own loopback."""
    return [_frames(plan, "frames_1080p_network", "1080p", far=True)]


def _frames(plan: Plan, name: str, size: str, *, far: bool) -> Row:
    width, height = SIZES[size]
    ours: list[float] = []
    raw: list[float] = []
    for _ in range(plan.rounds):
        ours += rates(plays.pictures(width, height, plan.seconds, far=far)["arrivals"])
        raw += rates(bare.pictures(width, height, plan.seconds, encrypted=far)["arrivals"])
    against = "encrypted TCP on both sides" if far else "beside plain TCP"
    return row(name, "frames/s", ours, raw, more_is_better=True, note=f"{width}x{height}x3, {against}", digits=1)


def pool(plan: Plan) -> list[Row]:
    """Three copies that take 10, 20 and 40 ms for an answer: what share of the sum of their speeds is used. A system's sleep is a little
    longer than asked for, so their speeds are those of their own clocks in that run, on both sides."""
    ours: list[float] = []
    raw: list[float] = []
    for _ in range(plan.rounds):
        for into, found in (
            (ours, plays.shared_out(plan.questions, OUTSTANDING, POOL_MS)), (raw, bare.shared_out(plan.questions, OUTSTANDING, POOL_MS)),
        ):  # fmt: skip
            into.append(found["count"] / found["elapsed_s"] / sum(1000 / ms for ms in found["takes_ms"]))
    note = f"of the sum of the three by their own clocks, {OUTSTANDING} open, {plan.questions} asked"
    return [row("pool", "share", ours, raw, more_is_better=True, note=note, digits=3)]


def join(plan: Plan) -> list[Row]:
    """From a node's sockets being bound until all know it and it knows all: the last of three, over mDNS on loopback."""
    return [row("join", "ms", [_one_join() for _ in range(plan.joins)], note="the third node of a room, over mDNS", digits=0)]


def _one_join() -> float:
    """One room in which the last machine is switched on late."""
    from mesh.shell.bench.joining import one_join

    return one_join()[0]


def clock(plan: Plan) -> list[Row]:
    """How far apart two roles on two machines see one moment, on the room's clock. Here all machines share one steady clock, so
    this is the error of the agreement, not of the crystals."""

    def read(rehearsal: Rehearsal) -> dict[str, list[tuple[float, float]]]:
        return {path.parent.parent.parent.name: _hand(path.read_text()) for path in rehearsal.home.glob("*/roles/hand*/hand")}

    def agree(rehearsal: Rehearsal) -> bool:
        last = [hand[-1][1] for hand in read(rehearsal).values() if hand]
        return len(last) == 3 and max(last) - min(last) < AGREED_S

    async def seen(rehearsal: Rehearsal) -> dict[str, list[tuple[float, float]]]:
        await everything_plays(rehearsal, 3)
        await within(lambda: agree(rehearsal), 30.0, 0.1)
        await asyncio.sleep(SETTLE_S + plan.seconds)
        return read(rehearsal)

    hands = play(HANDS, THREE, seen)
    last = max(local for hand in hands.values() for local, _ in hand)
    ahead = {name: [room - local for local, room in hand if local > last - plan.seconds] for name, hand in hands.items()}
    length = min(map(len, ahead.values()))
    apart = [(max(each) - min(each)) * 1000 for each in zip(*(values[-length:] for values in ahead.values()), strict=True)]
    return [row("clock", "ms", apart, note="between the three machines of a room", digits=3)]


def _hand(text: str) -> list[tuple[float, float]]:
    whole = text[: text.rfind("\n") + 1]
    return [(float(local), float(room)) for local, room in (line.split() for line in whole.splitlines())]


def idle(plan: Plan) -> list[Row]:
    """What an agent costs while nothing happens: its share of a core, and its memory."""

    async def seen(rehearsal: Rehearsal) -> tuple[list[float], list[float]]:
        await everything_plays(rehearsal, 3)
        await within(lambda: len(rehearsal.tally.health) == 3, 20.0)
        await asyncio.sleep(2.0)
        agents = [psutil.Process(pid) for pid in rehearsal.pids().values()]
        before = [_cpu_s(each) for each in agents]
        await asyncio.sleep(plan.idle_s)
        shares = [(_cpu_s(each) - was) / plan.idle_s * 100 for each, was in zip(agents, before, strict=True)]
        return shares, [each.memory_info().rss / 1e6 for each in agents]

    shares, memory = play(HANDS.replace('Hand"', 'Hand", options: {every: 3600}'), THREE, seen)
    return [
        row("idle", "% of a core", shares, note="an agent in a room of three"),
        row("idle_memory", "MB", memory, note="an agent's resident memory", digits=1),
        *_idle_role(plan),
    ]


def _idle_role(plan: Plan) -> list[Row]:
    """What a role's process costs that does nothing, beside a bare Python that has imported numpy and waits."""
    shares: list[float] = []
    ours: list[float] = []
    raw: list[float] = []
    with Troupe() as troupe, bare.idle_python() as waits:
        role, other = psutil.Process(troupe.start("listener", "Listener").process.pid), psutil.Process(waits.pid)
        for _ in range(plan.rounds):
            before_s, until_s = _cpu_s(role), time.monotonic() + plan.idle_s
            troupe.until(lambda: time.monotonic() > until_s, "time to pass", plan.idle_s + 30.0)  # noqa: B023 - used at once
            shares.append((_cpu_s(role) - before_s) / plan.idle_s * 100)
            ours.append(role.memory_info().rss / 1e6)
            raw.append(other.memory_info().rss / 1e6)
    return [
        row("idle_role", "% of a core", shares, note="a role's process that does nothing"),
        row("idle_role_memory", "MB", ours, raw, note="its resident memory, beside a bare Python with numpy", digits=1),
    ]


def _cpu_s(process: Any) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


MEASURES: dict[str, Measure] = {
    "round_trip": round_trip, "frames_480p_local": frames_480p_local, "frames_1080p_local": frames_1080p_local,
    "frames_1080p_network": frames_1080p_network, "pool": pool, "join": join, "clock": clock, "idle": idle,
}  # fmt: skip
