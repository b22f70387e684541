"""Runs one long step of the setup and says how far it is.

On a terminal that is one live line; elsewhere (a build server, a log file) a plain line now and then, because a live
line makes a log unreadable. What the step prints itself goes to the log, and is shown only when the step fails: pip
and ninja print thousands of lines that nobody wants to read on a good day.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

PLAIN_EVERY_S = 20.0
LIVE_EVERY_S = 0.2
TAIL_BYTES = 65_536
TAIL_LINES = 25
STOP_SIGNALS = ((signal.SIGINT, 10.0), (signal.SIGTERM, 3.0), (signal.SIGKILL, 3.0))


class SetupFailed(Exception):
    """A step did not work. The text says what, where, and what to do next."""


def minutes(elapsed_s: float) -> str:
    """65 -> "1 min 5 s"."""
    whole_s = int(elapsed_s)
    return f"{whole_s // 60} min {whole_s % 60} s" if whole_s >= 60 else f"{whole_s} s"


def tail(log: Path, start: int = 0) -> str:
    """The last part of what was written to the log from byte `start` on."""
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(start, size - TAIL_BYTES))
        return file.read().decode("utf-8", "replace")


def compiled(text: str) -> str | None:
    """How far a build is, from its latest "[12/83]" (ninja) or "[ 14%]" (make); None before the first."""
    ninja = re.findall(r"^\s*\[(\d+)/(\d+)\]", text, re.MULTILINE)
    if ninja:
        return "{} of {} files".format(*ninja[-1])
    make = re.findall(r"^\s*\[ *(\d+)%\]", text, re.MULTILINE)
    return f"{make[-1]} %" if make else None


def sentence(words: str, far: str | None, elapsed_s: float) -> str:
    """("compiling llama.cpp", "12 of 83 files", 65) -> "compiling llama.cpp: 12 of 83 files, 1 min 5 s"."""
    details = [part for part in (far, minutes(elapsed_s) if elapsed_s >= 1 else None) if part]
    return f"{words}: {', '.join(details)}" if details else words


class Line:
    """The one line that tells what is going on."""

    def __init__(self) -> None:
        self.live = sys.stdout.isatty() and not os.environ.get("CI") and os.environ.get("TERM") != "dumb"
        self.spoken_s = float("-inf")

    def show(self, words: str, now_s: float) -> None:
        """Show `words`: at once on a terminal, elsewhere only when PLAIN_EVERY_S have passed."""
        if self.live:
            columns = shutil.get_terminal_size().columns
            print(f"\r\033[K{words[: columns - 1]}", end="", flush=True)
        elif now_s - self.spoken_s >= PLAIN_EVERY_S:
            self.spoken_s = now_s
            print(words, flush=True)

    def end(self, words: str = "") -> None:
        """Finish with `words`, which stay."""
        print(f"\r\033[K{words}" if self.live else words, end="\n" if words else "", flush=True)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a step and whatever it has started: politely first, so that pip and ninja tidy up."""
    for number, patience_s in STOP_SIGNALS:
        try:
            os.killpg(process.pid, number)
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            continue
        except ProcessLookupError:
            break


def run(
    title: str,
    command: Sequence[str | Path],
    log: Path,
    environment: Mapping[str, str],
    progress: Callable[[str], tuple[str, str | None]] | None = None,
) -> None:
    """Run `command` to its end, showing `title` and the seconds.

    `progress` turns the log's latest text into (title now, how far or None).
    Raises SetupFailed with the end of the log when the command fails. An exception on the way (Ctrl-C) ends the
    command before it goes on.
    """
    line = Line()
    begun_s = time.monotonic()
    with log.open("ab") as out:
        out.write(f"\n--- {title}\n".encode())
        out.flush()
        start = out.tell()
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            start_new_session=True,
        )
    try:
        while True:
            now_s = time.monotonic()
            words, far = progress(tail(log, start)) if progress else (title, None)
            line.show(sentence(words, far, now_s - begun_s), now_s)
            try:
                code = process.wait(LIVE_EVERY_S)
                break
            except subprocess.TimeoutExpired:
                continue
    except BaseException:
        line.end()
        stop(process)
        raise
    if code != 0:
        line.end(f"{title}: failed after {minutes(time.monotonic() - begun_s)}")
        last = "\n".join(tail(log, start).rstrip().splitlines()[-TAIL_LINES:])
        raise SetupFailed(
            f"{last}\n\nroomful: {title} failed (exit code {code}); the lines above say why, all of them are in {log}\n"
            "  A fault of the network mends by itself: call again. What was finished is kept."
        )
    line.end(f"{title}: done in {minutes(time.monotonic() - begun_s)}")
