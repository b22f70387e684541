"""Where in whose code something happened, or is happening, as a line that an artist can open: "roles.py:14 in on_people"."""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MESH = ROOT / "mesh"
ROLES = ROOT / "roles"


def place_of(frames: Iterable[traceback.FrameSummary], folder: Path, *, ours: bool = False) -> str:
    """The innermost line in the deployment's folder, else (with `ours`) in the built-in roles, else outside of mesh, else ""."""
    real = [(frame, Path(frame.filename).resolve()) for frame in frames if not frame.filename.startswith("<")]
    own = [frame for frame, path in real if path.is_relative_to(folder)]
    built_in = [frame for frame, path in real if ours and path.is_relative_to(ROLES)]
    found = (own or built_in or [frame for frame, path in real if not path.is_relative_to(MESH)])[-1:]
    if not found:
        return ""
    path = Path(found[0].filename)
    shown = path.resolve().relative_to(folder) if own else Path(path.name)
    return f"{shown}:{found[0].lineno} in {found[0].name}"


def place_of_function(function: object, folder: Path) -> str:
    """Where a function of the deployment's folder begins; "" for another."""
    code = getattr(function, "__code__", None)
    path = Path(code.co_filename).resolve() if code is not None else Path()
    inside = folder.resolve()
    return f"{path.relative_to(inside)}:{code.co_firstlineno} in {code.co_name}" if code is not None and path.is_relative_to(inside) else ""


def place_of_thread(thread: int, folder: Path) -> str:
    """Where a thread of this process is now; "" where that is of no help to anybody but us."""
    frame = sys._current_frames().get(thread)
    if frame is None:
        return ""
    with contextlib.suppress(OSError, ValueError):
        innermost_first = traceback.StackSummary.extract(traceback.walk_stack(frame), lookup_lines=False)
        return place_of(reversed(innermost_first), folder, ours=True)
    return ""
