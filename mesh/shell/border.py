"""The border to artists' code: whatever is raised there becomes words for a person, and the role goes on.

The one place where every exception is caught, because it is somebody else's code that must not take the room with it.
The traceback goes to the log, the artist's own lines first, and one line with file and line to the agent. Five failures in a row
within ten seconds mean that it cannot work: then the process gives up and the agent decides what follows.
"""

from __future__ import annotations

import sys
import time
import traceback
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from mesh.core.names import role_name
from mesh.errors import RoomfulError, on_a_line
from mesh.shell.places import place_of, place_of_function
from mesh.shell.standing import Standing
from mesh.shell.traces import trace_of, words_of

IN_A_ROW_MAX = 5
WITHIN_S = 10.0
SAME_AGAIN_S = 5.0
OWN_ONLY = (
    "a role writes in `self.state_folder`, and reads its deployment's folder and what its options name; where its class says `writes` it "
    "writes to those options' paths as well"
)


class GivingUp(Exception):
    """The role cannot work; `message` is what the agent is told."""

    def __init__(self, message: dict[str, Any]) -> None:
        super().__init__(message["what"])
        self.message = message


class Border:
    """Calls artists' code. `tell` takes the events for the agent; `role` is what `roomful logs` knows it by."""

    def __init__(self, standing: Standing, folder: Path, tell: Callable[[dict[str, Any]], None], role: str) -> None:
        self._standing = standing
        self._folder = folder.resolve()
        self._tell = tell
        self._role = role
        self._failures: deque[float] = deque(maxlen=IN_A_ROW_MAX)
        self._told_s: dict[str, float] = {}

    def call(self, function: Callable[..., Any], *args: Any, part: bool = False) -> tuple[bool, Any]:
        """(True, what it returned), or (False, None) after the failure was told. Raises GivingUp at the fifth in a row.

        `part`: a success of this call is not yet one of the whole, so it ends no row of failures.
        """
        self._standing.handling_since_s = time.monotonic()
        try:
            result = function(*args)
        except SystemExit as error:  # exit() in a role: it wants to end, and somebody must hear of it
            raise GivingUp(self.explain(error)) from error
        except Exception as error:
            self._failed(error, function)
            return False, None
        finally:
            self._standing.handling_since_s = None
            self._standing.progress += 1
        if self._failures and not part:
            self._failures.clear()
        return True, result

    def begin(self, function: Callable[..., Any], *args: Any) -> Any:
        """A step without which nothing can play. Raises GivingUp at its first failure, after the log has it."""
        try:
            return function(*args)
        except (Exception, SystemExit) as error:
            words = self.explain(error)
            _log(on_a_line(f"{words['where']}: {words['what']}", instead=_advice(error)).removeprefix(": "), words)
            raise GivingUp(words) from error

    def succeeded(self) -> None:
        """Something whole, made of parts, went well."""
        self._failures.clear()

    def explain(self, error: BaseException, function: object = None) -> dict[str, Any]:
        """What, where and what to do next, of anything raised in a role, by a call of this function of it."""
        place = self.place(error.__traceback__) or place_of_function(function, self._folder)  # one that cannot even be called
        known = error if isinstance(error, RoomfulError) else RoomfulError(words_of(error))
        return {
            "type": "failed",
            "what": known.what,
            "where": known.where if known.where and role_name(known.where) != self._role else place or known.where,
            "instead": known.instead or (OWN_ONLY if isinstance(error, PermissionError) else "")
            or f"`roomful logs {self._role}` shows the whole traceback",
            "traceback": trace_of(error, self._folder),
        }

    def place(self, trace: TracebackType | None) -> str:
        """ "roles.py:14 in on_people": the innermost line in the deployment's folder, else outside of mesh, else ""."""
        return place_of(traceback.extract_tb(trace), self._folder)

    def _failed(self, error: Exception, function: object) -> None:
        words = self.explain(error, function)
        now = time.monotonic()
        key = f"{words['what']} {words['where']}"
        if now - self._told_s.get(key, float("-inf")) >= SAME_AGAIN_S:
            if len(self._told_s) > 100:
                self._told_s.clear()
            self._told_s[key] = now
            place = words["where"] if ":" in words["where"] else ""
            what = on_a_line(f"{place}: {words['what']}" if place else words["what"], instead=_advice(error))
            _log(what, words)
            self._tell({"type": "event", "level": "error", "what": what, "traceback": words["traceback"]})
        self._failures.append(now)
        if len(self._failures) == IN_A_ROW_MAX and now - self._failures[0] <= WITHIN_S:
            raise GivingUp({**words, "what": f"{words['what']} ({IN_A_ROW_MAX} times in a row)"})


def _log(what: str, words: dict[str, Any]) -> None:
    """What is wrong first, the way there after it."""
    print(f"{what}\n{words['traceback']}", file=sys.stderr, end="", flush=True)


def _advice(error: BaseException) -> str:
    return error.instead if isinstance(error, RoomfulError) else ""
