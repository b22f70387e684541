"""Questions that a process of its own answers: code and files that are not ours may hang it, end it or crash it, and cost a sentence."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any


def ask_apart(module: str, order: Mapping[str, Any], patience_s: float) -> tuple[list[dict[str, Any]], str]:
    """What the process of `module` answered to the order before it ended, and how it ended: "hung" or its exit code."""
    root = str(Path(__file__).resolve().parent.parent.parent)
    paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", module],  # -P: a `roles.py` where one stands is not our `roles`
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    try:
        said, _ = process.communicate(json.dumps(order), timeout=patience_s)
        ended = str(process.returncode)
    except subprocess.TimeoutExpired:
        _end(process)
        said, ended = process.communicate()[0], "hung"
    finally:
        _end(process)
    return [json.loads(line) for line in said.splitlines() if line.endswith("}")], ended


def _end(process: subprocess.Popen[str]) -> None:
    """The process and whatever was started in it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def answer_apart(answers_to: Callable[[dict[str, Any]], Iterable[Mapping[str, Any]]]) -> None:
    """The other side: one order from stdin, a line for each answer, written at once, and the end. What else is printed goes nowhere:
    the real output is kept aside."""
    order = json.loads(sys.stdin.read())
    told = os.fdopen(os.dup(1), "w", encoding="utf-8")
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    answers: Iterator[Mapping[str, Any]] = iter(answers_to(order))
    for answer in answers:
        told.write(json.dumps(answer) + "\n")
        told.flush()
    told.flush()
    os._exit(0)  # somebody's thread or atexit hook does not hold the answer back
