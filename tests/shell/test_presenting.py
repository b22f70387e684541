"""Waiting for a moment of the room's clock, and before whom a role's thread runs meanwhile."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mesh.core.clock import Course
from mesh.shell import presenting
from mesh.shell.presenting import Presenting
from mesh.shell.room_clock import RoomClock
from mesh.shell.turns import ask_for_short_turns
from tests.shell.host_harness import Agent

REAL_TIME, ORDINARY = os.SCHED_RR, os.SCHED_OTHER
ROLES = """
import os

class Beat(Role):
    outputs = {"beat": Event}

    def tick(self):
        self.emit("beat", 1, present_at=self.now_s() + 0.1)
        return 0.05

class Shows(Role):
    display = keeps_time = True

    def on_beat(self, frame):
        kind = lambda thread: os.sched_getscheduler(thread) & ~os.SCHED_RESET_ON_FORK
        with self.presenting(frame.present_at_s):
            early_s, inside = frame.present_at_s - self.now_s(), kind(0)
        watch = self._stage._standing.watch_thread
        self.publish("shown", [early_s, inside, kind(0), kind(watch), frame.value])
"""


class System:
    """Writes down what the system is asked for, and refuses it where it is told to."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.asked: list[tuple[int, int]] = []
        self.refuses = False
        patch.setattr(presenting.os, "sched_setscheduler", self.set)

    def set(self, thread: int, policy: int, priority: os.sched_param) -> None:
        self.asked.append((thread, policy & ~os.SCHED_RESET_ON_FORK))
        if self.refuses:
            raise PermissionError


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> System:
    return System(monkeypatch)


def presents(*, stopping: bool = False) -> tuple[Presenting, RoomClock]:
    clock = RoomClock(Course(time.monotonic(), 1000.0))
    return Presenting(clock, lambda: stopping, lambda: 4711), clock


def now_s(clock: RoomClock) -> float:
    return clock.now_ns() / 1e9


def test_what_is_inside_begins_when_its_moment_has_come_and_before_the_others_processes(system: System) -> None:
    # Given a moment that is to come
    shows, clock = presents()
    due_s = now_s(clock) + 0.03
    # When it is waited for
    with shows.at(due_s):
        # Then it has come, and the thread and the one that shares its lock are real-time
        assert now_s(clock) >= due_s
        assert system.asked == [(0, REAL_TIME), (4711, REAL_TIME)]
    # And afterwards only the thread that never computes for long is
    assert system.asked[2:] == [(0, ORDINARY)]


def test_the_second_time_its_companion_is_not_asked_for_again(system: System) -> None:
    shows, clock = presents()
    for _ in range(2):
        with shows.at(now_s(clock) + 0.01):
            pass
    assert [thread for thread, _ in system.asked] == [0, 4711, 0, 0, 0]


def test_where_the_system_refuses_it_waits_all_the_same_with_short_turns_and_asks_only_once(
    system: System, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    system.refuses = True
    shows, clock = presents()
    turns: list[str] = []
    monkeypatch.setattr(presenting, "ask_for_short_turns", lambda: turns.append("short"))
    for _ in range(2):
        due_s = now_s(clock) + 0.01
        with shows.at(due_s):
            assert now_s(clock) >= due_s and not shows.urgent
    assert system.asked == [(0, REAL_TIME)] and turns == ["short"]


def test_asking_for_short_turns_changes_neither_the_policy_nor_the_niceness() -> None:
    child = os.fork()  # a process of its own: the test's keeps its turns
    if child == 0:
        os.nice(1)
        before = os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0)
        asked = ask_for_short_turns()
        os._exit(0 if (os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0)) == before and asked in (True, False) else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_a_fault_inside_does_not_leave_the_thread_before_all_others(system: System) -> None:
    shows, clock = presents()
    with pytest.raises(ZeroDivisionError), shows.at(now_s(clock) + 0.01):
        raise ZeroDivisionError
    assert system.asked[-1] == (0, ORDINARY)


def test_who_computes_long_inside_is_real_time_only_once(system: System) -> None:
    shows, clock = presents()
    with shows.at(now_s(clock) + 0.01):
        until_s = time.thread_time() + presenting.LONG_S
        while time.thread_time() <= until_s:
            pass
    asked = len(system.asked)
    with shows.at(now_s(clock) + 0.01):
        assert not shows.urgent
    assert len(system.asked) == asked


@pytest.mark.parametrize("ahead_s", [None, -1.0, 0.0, 31.0, 1e12])
def test_no_moment_a_past_one_and_a_mistaken_one_are_not_waited_for(system: System, ahead_s: float | None) -> None:
    shows, clock = presents()
    before_s = now_s(clock)
    with shows.at(None if ahead_s is None else before_s + ahead_s):
        assert now_s(clock) < before_s + 10.0
    assert system.asked == []


def test_an_order_to_stop_ends_the_wait(system: System) -> None:
    shows, clock = presents(stopping=True)
    before_s = now_s(clock)
    with shows.at(before_s + 25.0):
        assert now_s(clock) < before_s + 10.0


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    with Agent(tmp_path, ROLES) as made:
        yield made


def test_a_role_shows_at_the_time_of_the_frame_and_runs_before_others_only_then(agent: Agent) -> None:
    beat = agent.start("eye", "Beat")
    shows = agent.start("wall", "Shows", routes={"inputs": {"beat": beat.stream("beat", "event")}})
    agent.until(lambda: "shown" in shows.facts, "a frame that was shown")
    early_s, inside, after, watch, value = shows.facts["shown"]
    assert early_s <= 0 and value == 1 and after == ORDINARY
    assert (inside, watch) == ((REAL_TIME, REAL_TIME) if _allowed() else (ORDINARY, ORDINARY))


def _allowed() -> bool:
    """Whether this system lets such a process be real-time; asked in a process of its own."""
    child = os.fork()
    if child == 0:
        try:
            os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
            os._exit(0)
        except OSError:
            os._exit(1)
    return os.waitpid(child, 0)[1] == 0
