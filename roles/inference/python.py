"""Any function of the deployment's as a role: what comes in is its argument, what it returns goes out.

For what is a line or ten: a calculation, a rule, a library that Roomful knows nothing of. A function that yields answers piece by
piece. One that keeps things, opens devices or speaks of itself is better written as a role of one's own (`./roles.py:Mood`).
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
from pydantic import Field

from mesh.errors import RoleError
from mesh.role import Any_, Audio, Event, Frame, Image, Options, Role, Text, Vector
from roles.inference.own_code import arguments, own_function


class PythonOptions(Options):
    function: str = Field(description="such as ./functions.py:brightness; it takes (value), (value, frame) or (value, frame, role)")
    begin: str | None = Field(
        None, description="a function called once before the first value; what it returns is the role's `kept`, such as a loaded model"
    )
    network: bool = Field(False, description="it talks over the network with others than the room's roles")
    every_s: float | None = Field(None, gt=0, le=86400, description="call it so often with the newest value, not for each")


class Python(Role):
    """Calls a function of the deployment's with each value that comes; what it returns goes out: text, number, list, picture, vector."""

    inputs = {"value": Any_, "*": Any_}
    outputs = {"event": Event, "text": Text, "image": Image, "audio": Audio, "vector": Vector}
    network = "network"
    Options = PythonOptions
    kept: Any = None

    def setup(self) -> None:
        self._call = own_function(self.options.function, self.folder, "option function")
        self._count = arguments(self._call)
        self._newest: dict[str, Frame] = {}
        if self.options.begin is not None:
            begin = own_function(self.options.begin, self.folder, "option begin")
            self.kept = begin(self) if arguments(begin) and inspect.signature(begin).parameters else begin()

    def on_frame(self, input: str, frame: Frame) -> None:
        if self.options.every_s is not None:
            self._newest[input] = frame
            return
        self._handle(frame)

    def on_value(self, frame: Frame) -> None:
        self.on_frame("value", frame)

    def tick(self) -> float | None:
        """With `every_s`: the newest value of each input, if one has come since."""
        for input in list(self._newest):
            self._handle(self._newest.pop(input))
        return self.options.every_s

    def _handle(self, frame: Frame) -> None:
        result = self._call(*(frame.value, frame, self)[: self._count])
        for value in result if isinstance(result, Iterator) else (result,):
            if value is not None:
                self._send(value, frame)

    def _send(self, value: Any, frame: Frame) -> None:
        """On the stream that a value of its type belongs to; a dict whose keys are all names of streams on each of them."""
        if isinstance(value, dict) and value and set(value) <= set(self.outputs):
            for name, part in value.items():
                self.emit(name, part, captured_s=frame.captured_s or None, rate=frame.rate or None)
            return
        told = value.item() if isinstance(value, np.generic) else value
        self.emit(stream_of(value), told, captured_s=frame.captured_s or None, rate=frame.rate or None)


def stream_of(value: Any) -> str:
    """The output for a value: text for str, image for uint8 pictures, vector for other arrays, event for the rest. RoleError for what
    cannot travel."""
    if isinstance(value, str):
        return "text"
    if isinstance(value, np.ndarray):
        return "image" if value.dtype == np.uint8 and value.ndim in (2, 3) else "vector"
    if isinstance(value, bool | int | float | bytes | list | tuple | dict | np.generic):
        return "event"
    raise RoleError(
        f"the function returned a {type(value).__name__}, which cannot travel", where="option function",
        instead="return None, a text, a number, a list or dict of these, or a numpy array",
    )  # fmt: skip
