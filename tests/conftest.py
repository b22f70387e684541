"""What holds for every test: nothing outlives it, and it touches no installation of the person who runs it.

A test that leaves a thread or a process behind fails, because the next test would be judged in its shadow and because
leaving nothing behind is a promise of the program itself. Only what the test began counts: what a wider fixture started
earlier, and what such a process starts meanwhile, is that fixture's to end. Processes are also known by a mark in their
environment, so that an orphan of a killed child is found although it is nobody's child any more.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Iterator

import psutil
import pytest
from hypothesis import settings

# How long what is already ending may take to end; a test that leaves nothing waits for none of it.
GRACE_S = 5.0
MARK = "ROOMFUL_TEST"
# Threads and processes that a library keeps for the whole run: pytest-timeout's watch, multiprocessing's tracker.
KEPT_THREADS = ("pytest_timeout",)
KEPT_COMMANDS = ("multiprocessing.resource_tracker",)

settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")


def _threads_since(before: set[threading.Thread]) -> list[threading.Thread]:
    return [
        thread
        for thread in threading.enumerate()
        if thread not in before and thread.is_alive() and not thread.name.startswith(KEPT_THREADS)
    ]


def _ours(process: psutil.Process, mark: str, before: set[int]) -> bool:
    """Whether this test began the process: it bears the test's mark, or we are its nearest ancestor from before."""
    if process.status() == psutil.STATUS_ZOMBIE or any(kept in " ".join(process.cmdline()) for kept in KEPT_COMMANDS):
        return False
    if process.environ().get(MARK) == mark:
        return True
    older = next((parent.pid for parent in process.parents() if parent.pid in before), None)
    return older == os.getpid()


def _processes_since(before: set[int], mark: str) -> list[psutil.Process]:
    found = []
    for pid in set(psutil.pids()) - before:
        try:
            process = psutil.Process(pid)
            if _ours(process, mark, before):
                found.append(process)
        except psutil.Error:
            continue  # it ended while we looked, or is another user's
    return found


def _named(process: psutil.Process) -> str:
    try:
        return f"process {process.pid}: {' '.join(process.cmdline())[:200]}"
    except psutil.Error:
        return f"process {process.pid}"


@pytest.fixture(autouse=True)
def nothing_left_behind(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fails a test that leaves a thread or a process, and ends such processes so that they disturb no other test."""
    mark = uuid.uuid4().hex
    monkeypatch.setenv(MARK, mark)
    threads, processes = set(threading.enumerate()), set(psutil.pids())
    yield
    until_s = time.monotonic() + GRACE_S
    leaked_processes = _processes_since(processes, mark)
    while leaked_processes and time.monotonic() < until_s:
        psutil.wait_procs(leaked_processes, timeout=0.1)
        leaked_processes = _processes_since(processes, mark)
    for thread in _threads_since(threads):
        thread.join(max(0.0, until_s - time.monotonic()))
    leaked_threads = _threads_since(threads)
    names = [_named(process) for process in leaked_processes] + [f"thread {thread.name}" for thread in leaked_threads]
    for process in leaked_processes:
        try:
            process.kill()
        except psutil.Error:
            continue
    if names:
        pytest.fail("the test left behind:\n  " + "\n  ".join(names), pytrace=False)


@pytest.fixture(scope="session", autouse=True)
def no_real_installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """State, keys and logs of anything that a test starts go to a folder of the test run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROOMFUL_HOME", str(tmp_path_factory.mktemp("home")))
        yield
