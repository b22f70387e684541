"""Why a process ended, from how it ended and what it said last, as a sentence.

A library that crashes takes the process with it and says nothing in words. Python then writes what it was doing, innermost call first; the
list of modules that follows helps nobody. So the innermost line is told, and what the role said before.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from mesh.shell.supervisor import Exit

CRASHES = {
    "SIGSEGV": "a library crashed", "SIGBUS": "a library crashed", "SIGFPE": "a library crashed", "SIGABRT": "a library gave up",
    "SIGILL": "a library crashed: it may not be made for this processor", "SIGKILL": "by hand, or because memory ran out",
}  # fmt: skip
FATAL = re.compile(r"^Fatal Python error:")
AT = re.compile(r'^  File "(.+)", line (\d+) in (\S+)$')


def why_ended(end: Exit, model: str = "") -> str:
    """In words for a person. `model`: the file of a model that it was being set up with, "" for none: a broken or malicious one may fell
    its engine, and the process with it."""
    how = f"ended by {end.signal}" if end.signal else f"ended with exit code {end.code}"
    meant = CRASHES.get(end.signal, "")
    place = _place(end.last_lines)
    told = f"{how} ({meant}{', at ' if place else ''}{place})" if meant else how
    if model and end.signal in CRASHES and end.signal != "SIGKILL":
        told += f" while it read {model}: that file is broken, or this machine's engine cannot play it"
    last = _last(end.last_lines)
    return f"{told}; its last words: {last}" if last else told


def _place(lines: Sequence[str]) -> str:
    """The innermost line that Python was at when it crashed; "" where it does not say."""
    began = next((at for at, line in enumerate(lines) if line.startswith("Current thread")), 0)
    found = next((match for line in lines[began:] if (match := AT.match(line))), None)
    return f"{Path(found[1]).name}:{found[2]} in {found[3]}" if found else ""


def _last(lines: Sequence[str]) -> str:
    """What it said last of its own."""
    crash = next((at for at, line in enumerate(lines) if FATAL.match(line)), None)
    if crash is None and any(AT.match(line) or line.startswith("Extension modules:") for line in lines):
        return ""  # the end of a long dump
    own = [line for line in lines[:crash] if line.strip() and not line.startswith("----")]
    return own[-1] if own else ""
