"""A stage of one: what a role needs of the mesh, in the test's own process, with everything it does written down."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy

from mesh.core.clock import Course
from mesh.core.vigil import Word
from mesh.role import Model, Role
from mesh.shell.presenting import Presenting
from mesh.shell.room_clock import RoomClock

_PAUSE = threading.Event()  # never set: only waited for


@dataclass
class Recorder:
    """Implements mesh.role.Stage. `emitted` holds (output, value, more, captured_s)."""

    emitted: list[tuple[str, Any, bool, float | None]] = field(default_factory=list)
    rates: dict[str, int] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    word: Word = field(default_factory=Word)
    woken: threading.Event = field(default_factory=threading.Event)

    def emit(
        self, output: str, value: Any, *, more: bool = False, captured_s: float | None = None, present_at: float | None = None,
        rate: int | None = None,
    ) -> None:  # fmt: skip
        if rate is not None:
            self.rates[output] = rate
        self.emitted.append((output, value, more, captured_s))

    def buffer(self, output: str, shape: tuple[int, ...], dtype: str) -> Any:
        return numpy.empty(shape, dtype)

    def ask(self, role: str, value: Any, *, input: str | None, deadline_s: float) -> Iterator[Any]:
        return iter(())

    def now_s(self) -> float:
        return time.monotonic()

    def presenting(self, at_s: float | None) -> AbstractContextManager[None]:
        return Presenting(RoomClock(Course()), lambda: False, lambda: None).at(at_s)

    def wanted(self) -> bool:
        return True

    def alert(self, on: bool) -> int:
        return 0

    def say(self, what: str) -> None:
        self.said.append(what)

    def publish(self, name: str, value: Any) -> None:
        self.facts[name] = value

    def works(self, for_s: float | None, otherwise: str) -> None:
        self.word = self.word.works(time.monotonic(), for_s, otherwise)

    def faulty(self, what: str) -> None:
        self.word = self.word.is_faulty(time.monotonic(), what)

    def wake(self) -> None:
        self.woken.set()

    def fault(self, later_s: float = 0.0) -> str:
        """What is wrong with the role by its own word, now or `later_s` from now if it says nothing more; "" for nothing."""
        return str(self.word.told(time.monotonic() + later_s, 0.0)["faulty"])

    def values(self, output: str) -> list[Any]:
        return [value for name, value, _, _ in self.emitted if name == output]


def put_on(
    role: type[Role],
    folder: Path,
    *,
    name: str = "it",
    model: Path | None = None,
    state_folder: Path | None = None,
    fallback: tuple[str, ...] = (),
    fallback_files: dict[str, Path] | None = None,
    settings: dict[str, Any] | None = None,
    **options: Any,
) -> tuple[Role, Recorder]:
    """An instance of `role` on a stage of its own, as the host would make it; `setup` is left to the test."""
    stage = Recorder()
    known = Model(name="model", file=model, sha256="") if model is not None else None
    played = role(
        stage=stage,
        name=name,
        options=role.Options(**options),
        folder=folder,
        model=known,
        state_folder=state_folder,
        fallback=fallback,
        fallback_files=fallback_files,
        settings={"installation": "test", "machine": "bench", "rehearsal": True, "cores": 2, **(settings or {})},
    )
    return played, stage


def until(condition: Any, *, within_s: float = 10.0, what: str = "it") -> Any:
    """Wait until `condition()` is true and give its value; fail when that takes longer."""
    ends = time.monotonic() + within_s
    while not (value := condition()):
        if time.monotonic() > ends:
            raise AssertionError(f"{what} did not come about within {within_s:g} s")
        _PAUSE.wait(0.01)
    return value


@contextmanager
def playing(kind: type[Role]) -> Iterator[Callable[..., tuple[Any, Recorder]]]:
    """Plays models: (model, **options) -> a role of this kind that is set up, and its stage. All are torn down at the end."""
    roles: list[Role] = []

    def played(model: Path, **options: Any) -> tuple[Any, Recorder]:
        role, stage = put_on(kind, model.parent, model=model, **options)
        roles.append(role)
        role.setup()
        return role, stage

    try:
        yield played
    finally:
        for role in roles:
            role.teardown()
