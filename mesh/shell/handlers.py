"""Which method of a role takes what: reads a role once, so that nothing is looked up when a frame comes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mesh.errors import RoleError
from mesh.role import Frame, Piece, Role
from mesh.shell.places import place_of_function


def seconds(wait: Any, tick: Callable[..., Any], folder: Path) -> float | None:
    """What `tick` returned, as the seconds until it is called again. Raises RoleError for what is no time."""
    if wait is None:
        return None
    try:
        wait_s = float(wait)
    except (TypeError, ValueError):
        wait_s = float("nan")
    if wait_s != wait_s:
        instead = "return the seconds until the next call, or None for never again"
        raise RoleError(f"`tick` returned {wait!r:.40}, which is no time", where=place_of_function(tick, folder), instead=instead)
    return max(0.0, wait_s)


class Handlers:
    """The methods of one role by input. `answering`: the inputs whose frames are requests."""

    def __init__(self, role: Role) -> None:
        self._role = role
        self._by_input: dict[str, Callable[[Frame], Any]] = {}
        self.answering: set[str] = set()
        for attribute in dir(type(role)):
            if attribute.startswith("on_") and attribute != "on_frame":
                method = getattr(role, attribute)
                for name in {attribute.removeprefix("on_"), attribute.removeprefix("on_").replace("_", "-")}:
                    self._by_input[name] = method
                    if inspect.isgeneratorfunction(method):
                        self.answering.add(name)
        if inspect.isgeneratorfunction(role.on_frame):
            self.answering |= {name for name in role.inputs if name not in self._by_input}

    @property
    def inputs(self) -> frozenset[str] | None:
        """The inputs it knows; None: any."""
        if "*" in self._role.inputs:
            return None
        return frozenset(self._by_input) | frozenset(self._role.inputs)

    @property
    def resumes(self) -> bool:
        """Whether it can go on with an answer that another copy began."""
        return self._role.resume is not None

    def of(self, input: str) -> Callable[[Frame], Any]:
        """What takes the frames of an input."""
        method = self._by_input.get(input)
        return method if method is not None else lambda frame: self._role.on_frame(input, frame)

    def answer(self, input: str, frame: Frame, so_far: tuple[Piece, ...]) -> Any:
        """Begins an answer, or goes on with another copy's."""
        if so_far and self._role.resume is not None:
            return self._role.resume(input, frame, so_far)
        return self.of(input)(frame)
