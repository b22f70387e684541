"""The room as it is now, for all who look at once: asked every two seconds while anybody does, and not at all otherwise.

Any machine that is here can be asked, so that the page goes on when the one that was asked first is lost. Events are asked for when
something else has changed, and now and then: they are the larger part. Only the newest picture is kept; whoever is slow misses the
ones between.
"""

from __future__ import annotations

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mesh.core.glance import glance
from mesh.errors import RoomfulError
from mesh.shell.finding import Door

LOOK_S = 2.0
EVENTS_S = 10.0
EVENTS_ASKED = 1000
ASKING_WITHIN_S = 2.0
DOORS_MAX = 32
HERE = ("alive", "suspect")


class Watching:
    """`newest` is the picture as JSON text, and `number` counts them. `run` goes on the server's loop; `enter` and `leave` say that
    somebody looks."""

    def __init__(self, door: Door) -> None:
        self._doors = [door]
        self._looking = 0
        self._events: list[dict[str, Any]] = []
        self._asked_s, self._changed_s, self._seen = float("-inf"), float("-inf"), ""
        self.newest, self.number = "", 0
        self.changed, self._wanted = asyncio.Condition(), asyncio.Event()

    @property
    def door(self) -> Door:
        """A machine that answered when the room was last looked at."""
        return self._doors[0]

    def enter(self) -> None:
        """Somebody looks."""
        self._looking += 1
        self._wanted.set()

    def leave(self) -> None:
        """They look no more."""
        self._looking -= 1
        if not self._looking:
            self._wanted.clear()

    def soon(self) -> None:
        """Something was ordered: the events are worth asking for."""
        self._asked_s = float("-inf")

    async def run(self) -> None:
        """For as long as the page is served."""
        while True:
            await self._wanted.wait()
            newest = await asyncio.to_thread(self.look)
            async with self.changed:
                self.newest, self.number = newest, self.number + 1
                self.changed.notify_all()
            await asyncio.sleep(LOOK_S)

    async def after(self, number: int, within_s: float) -> None:
        """Until there is a newer picture than that, or so long."""
        async with self.changed:
            try:
                await asyncio.wait_for(self.changed.wait_for(lambda: self.number > number), within_s)
            except TimeoutError:
                return

    def look(self) -> str:
        """The room as JSON; {"lost": why} when no machine answers. Blocks."""
        why = ""
        for door in list(self._doors):
            try:
                return json.dumps(self._picture(door), separators=(",", ":"))
            except RoomfulError as fault:
                why = why or fault.what
            except (KeyError, TypeError, ValueError, AttributeError) as fault:  # another version's answer
                why = why or f"a machine answered in an unknown shape ({fault!r}): install the same version of Roomful on both"
        return json.dumps({"lost": why})

    def _picture(self, door: Door) -> dict[str, Any]:
        said = door.ask("status")
        here = {name: door.at(each) for name, each in said["machines"].items() if each["health"] in HERE}
        self._doors = list(dict.fromkeys([door, *here.values(), *self._doors]))[:DOORS_MAX]
        machines = [[name, each["health"], each["roles"]] for name, each in said["machines"].items()]
        seen = json.dumps([said["order"], said["alarms"], machines])
        now = time.monotonic()
        if seen != self._seen:
            self._seen, self._changed_s = seen, now
        if now - self._asked_s >= EVENTS_S or now - self._changed_s <= EVENTS_S:
            self._events, self._asked_s = _events(here), time.monotonic()
        passed_s = time.monotonic() - self._asked_s
        return glance(said, door.reports(said), [{**event, "age_s": event["age_s"] + passed_s} for event in self._events])


def _events(doors: dict[str, Door]) -> list[dict[str, Any]]:
    """Those of every machine that answers, oldest first."""

    def ask(name: str) -> list[dict[str, Any]]:
        try:
            told = doors[name].ask("events", {"last": EVENTS_ASKED}, timeout_s=ASKING_WITHIN_S)
        except RoomfulError:
            return []
        return [{"machine": name, **event, "seen_by": name} for event in told]

    with ThreadPoolExecutor(max(1, len(doors))) as asking:
        return sorted((event for told in asking.map(ask, doors) for event in told), key=lambda event: -float(event["age_s"]))
