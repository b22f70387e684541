"""A failure as an artist reads it: first their own file, line and the message, then the way there, of which ours is folded.

What lies before the first line of theirs is only how their code came to be called; what Roomful did between two lines of theirs is
counted and left out. Where no line is theirs, a fault that we put in words needs no more than these; any other is shown whole, for whoever
mends it.
Decided against: cutting what an artist's code called in a library (there the reason often is).
"""

from __future__ import annotations

import linecache
import traceback
from pathlib import Path

from mesh.errors import RoomfulError
from mesh.shell.places import MESH, ROLES

CHARACTERS_MAX = 8000
NO_MEMORY = "the machine gave it no more memory (limits: {memory: …} of the role, or all there is)"


def words_of(error: BaseException) -> str:
    """What an exception says, with its kind: "KeyError: 'few'"."""
    kind, said = type(error).__name__, str(error).strip()
    if isinstance(error, RoomfulError):
        return error.what
    if isinstance(error, SystemExit):
        return f"it ended itself, by exit({'' if error.code is None else error.code})"
    if isinstance(error, MemoryError):
        return f"{kind}: {said or NO_MEMORY}"
    return f"{kind}: {said}" if said else kind


def trace_of(error: BaseException, folder: Path) -> str:
    """The traceback for an artist whose folder this is (a resolved path): the place and the words stand before it. Ends with a new line."""
    linecache.checkcache()  # it may have been edited since it was run
    if isinstance(error, RoomfulError) and error.__cause__ is not None:
        error = error.__cause__  # what we said of it stands beside this already
    whole = traceback.TracebackException.from_exception(error)
    own, left_out = _fold(whole, folder, set())
    if isinstance(error, RoomfulError) and not own:
        return ""
    if isinstance(error, SyntaxError) and not own:
        whole.stack.clear()
    elif not own:
        left_out = 0
        whole = traceback.TracebackException.from_exception(error)
    tail = f"(Roomful's own lines are left out: {left_out})\n" if left_out else ""
    return "".join(whole.format())[-CHARACTERS_MAX:] + tail


def _fold(whole: traceback.TracebackException | None, folder: Path, seen: set[int]) -> tuple[bool, int]:
    """Leaves of each exception in the chain what begins at a line of the folder. (whether there was any, how many lines of ours were
    left out)."""
    if whole is None or id(whole) in seen:
        return False, 0
    seen.add(id(whole))
    paths = [Path(frame.filename).resolve() for frame in whole.stack]
    first = next((at for at, path in enumerate(paths) if path.is_relative_to(folder)), None)
    left_out = 0
    if first is not None:
        kept = [frame for at, frame in enumerate(whole.stack) if at >= first and not _is_ours(paths[at], folder)]
        left_out = len(whole.stack) - len(kept)
        whole.stack = traceback.StackSummary.from_list(kept)
    before = [_fold(each, folder, seen) for each in (whole.__cause__, whole.__context__)]
    return first is not None, left_out + sum(count for _, count in before)


def _is_ours(path: Path, folder: Path) -> bool:
    return not path.is_relative_to(folder) and (path.is_relative_to(MESH) or path.is_relative_to(ROLES))
