"""Listens to a room from outside it, for `roomful record`: no node and no role, only a certificate, which every node is shown.

Where the streams come from is asked of any node, twice a second, in a thread of its own: a node that dies in mid-answer
must not keep the frames waiting. When it is gone another one is asked.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import zmq

from mesh.core.frames import Block, Header
from mesh.core.recording import Taken
from mesh.errors import RoomfulError
from mesh.role import Any_, Role, Stage
from mesh.shell.arrays import to_block
from mesh.shell.finding import Door
from mesh.shell.handlers import Handlers
from mesh.shell.inputs import Inputs
from mesh.shell.introductions import show
from mesh.shell.sources import read_routes
from mesh.shell.waiting import Waiting

ASK_S = 0.5
HERE = "127.0.0.1"


class _Nobody(Role):
    """Takes whatever comes: frames are fetched, not delivered."""

    inputs = {"*": Any_}


NOBODY = Handlers(_Nobody(stage=cast(Stage, None), name="recorder", options=_Nobody.Options(), folder=Path()))


class Overhearing:
    """The frames of some streams. `wanted` is asked which of the room's streams count, by name and type; `say` takes lines."""

    def __init__(self, door: Door, wanted: Callable[[str, str], bool], say: Callable[[str], None]) -> None:
        self._door, self._wanted, self._say = door, wanted, say
        self._waiting = Waiting()
        self._context: zmq.Context[Any] = zmq.Context()
        mine = door.register.mine
        self._inputs = Inputs(self._context, mine.public, mine.curve_secret, self._waiting, lambda said: None, mine.door_key)
        self._told: dict[str, Any] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask, name="ask", daemon=True)

    def __enter__(self) -> Overhearing:
        self._follow(self._streams(self._door.ask("streams"), self._door))
        self._thread.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self._stop.set()
        self._thread.join()
        self._inputs.close()
        self._context.term()
        self._waiting.close()

    @property
    def streams(self) -> dict[str, str]:
        """What is listened to: name -> type."""
        return {ear.input.name: ear.input.form[1] for ear in self._inputs.ears}

    @property
    def dropped(self) -> int:
        """Frames that were sent and did not arrive here."""
        return sum(ear.input.dropped for ear in self._inputs.ears)

    def frames(self, within_s: float) -> Iterator[tuple[str, str, Header, Taken]]:
        """(stream, type, header, frame) of all that has come, or comes within `within_s`."""
        told, self._told = self._told, None
        if told is not None:
            self._follow(told)
        self._waiting.wait(within_s)
        for ear in self._inputs.ears:
            name, type_ = ear.input.name, ear.input.form[1]
            while ear.waiting:
                taken = ear.input.take()
                if taken is not None:
                    yield name, type_, taken[0], _taken(*taken, type_)

    def _follow(self, told: dict[str, Any]) -> None:
        """Listens to exactly these, as they are played now."""
        self._inputs.route(read_routes({"inputs": told}).inputs, NOBODY)

    # ---- in the asking thread

    def _ask(self) -> None:
        doors = [self._door]
        while not self._stop.wait(ASK_S):
            try:
                answer = doors[0].ask("streams")
            except RoomfulError as fault:
                if len(doors) > 1:
                    doors = [*doors[1:], doors[0]]
                    self._say(f"a node no longer answers ({fault.what}); asking another one")
                continue
            self._told = self._streams(answer, doors[0])
            others = [Door(tuple(hosts), port, self._door.register) for hosts, port in answer["doors"]]
            doors = [doors[0], *(each for each in others if each != doors[0])]

    def _streams(self, answer: dict[str, Any], door: Door) -> dict[str, Any]:
        """The answer as routes: every frame in order, and what the node calls "here" is where we reached it. The nodes whose roles
        are about to be called are shown who calls."""
        for hosts, port in answer["doors"]:
            for host in hosts:
                show(self._door.register, host, port)
        told = {}
        for name, stream in answer["streams"].items():
            if self._wanted(name, stream["type"]):
                sources = [
                    {**each, "addresses": list(door.hosts) if each["node"] == answer["node"] else each["addresses"]}
                    for each in stream["sources"]
                ]
                told[name] = {"stream": name, "type": stream["type"], "delivery": "queue", "pictures": "raw", "sources": sources}
        return told


def _taken(header: Header, value: Any, type_: str) -> Taken:
    if type_ in ("image", "audio", "vector"):
        block: Block = to_block(value, type_, "a recording")
        return Taken(block, header.sender.instance, rate=header.sender.rate)
    return Taken(value, header.sender.instance, header.request, header.piece, header.more, header.ended)


def now_ns() -> int:
    """When a frame was heard: this machine's time of day, which other tools expect."""
    return time.time_ns()
