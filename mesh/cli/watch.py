"""`roomful watch`: what happens in the room, line by line, until Ctrl-C.

Every machine is followed itself, in a thread each: what one node did not see, another did. A machine that comes later is
followed when it comes, and one that is lost is looked for again.
"""

from __future__ import annotations

import json
import queue
import threading
import time
from pathlib import Path
from typing import Any

import click

from mesh.cli.status import door_options
from mesh.core.event_words import Telling
from mesh.errors import RoomfulError

EPILOG = """\b
Examples:
  roomful watch                    until Ctrl-C
  roomful watch --for 60 --json    for a script: one JSON object a line
"""
LOOK_S = 2.0
SAME_S = 5.0


@click.command(epilog=EPILOG)
@click.option("--for", "for_s", type=click.FloatRange(min=0.1), metavar="SECONDS", help="Stop after this long.  [default: until Ctrl-C]")
@door_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line: the event, with the machine that says it.")
def command(for_s: float | None, host: str | None, key_path: Path | None, as_json: bool) -> None:
    """Print what happens in the room as it happens. Exit code 3 when there is no room to talk to at the start."""
    from mesh.shell.finding import find

    followers = Followers(find(host, key_path))
    followers.look()
    end_s = float("inf") if for_s is None else time.monotonic() + for_s
    seen: dict[str, float] = {}
    telling = Telling()
    look_s = time.monotonic() + LOOK_S
    while (now := time.monotonic()) < end_s:
        if now >= look_s:
            look_s = now + LOOK_S
            followers.look()
        try:
            event = followers.events.get(timeout=max(0.01, min(look_s, end_s) - now))
        except queue.Empty:
            continue
        if as_json:
            click.echo(json.dumps(event))
            continue
        words = telling.words(event)
        if words and now - seen.get(words, float("-inf")) > SAME_S:
            click.echo(f"{time.strftime('%H:%M:%S')}  {words}")
        seen[words] = now


class Followers:
    """A thread for each machine that is here, all telling one queue."""

    def __init__(self, door: Any) -> None:
        self.events: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._doors = [door]
        self._followed: set[str] = set()

    def look(self) -> None:
        """Follow whoever is here and is not followed yet. Asks whichever machine still answers."""
        for door in list(self._doors):
            try:
                said = door.ask("status")
            except RoomfulError:
                continue
            here = {name: door.at(about) for name, about in said["machines"].items() if about["health"] in ("alive", "suspect")}
            self._doors = [*dict.fromkeys([door, *here.values(), *self._doors])]
            for name, each in here.items():
                if name not in self._followed:
                    self._followed.add(name)
                    threading.Thread(target=self._follow, args=(name, each), daemon=True).start()
            return

    def _follow(self, machine: str, door: Any) -> None:
        try:
            for event in door.follow():
                if event.get("event") not in ("report", "following"):
                    self.events.put({"machine": machine, **event, "seen_by": machine})
        except RoomfulError as fault:
            self.events.put({"event": "trouble", "what": f"{machine} is no longer followed: {fault.what}", "machine": machine})
        finally:
            self._followed.discard(machine)
