"""A rehearsal as a test reads it: event by event, as long as it takes on a busy machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOMFUL = [sys.executable, "-m", "mesh.cli.entry"]


class Rehearsed:
    """A rehearsal that plays until the test ends it. `until` reads its events; it waits as long as the machine needs."""

    def __init__(self, folder: Path, home: Path, *options: str, windows: bool = False) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [*ROOMFUL, "rehearse", str(folder), "--json", *([] if windows else ["--headless"]), *options],
            stdout=subprocess.PIPE, text=True, env={**os.environ, "ROOMFUL_HOME": str(home)},
        )  # fmt: skip
        self.pids: dict[str, int] = {}

    def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            event: dict[str, Any] = json.loads(line)
            if wanted(event):
                return event
        raise AssertionError("the rehearsal ended first")

    def playing(self, *instances: str) -> None:
        missing = set(instances)

        def seen(event: dict[str, Any]) -> bool:
            if event["event"] == "role_state" and event["state"] == "playing":
                missing.discard(event["instance"])
            return not missing

        self.until(seen)

    def end(self) -> dict[str, Any]:
        self.process.send_signal(signal.SIGINT)
        out, _ = self.process.communicate(timeout=30)
        return json.loads(out.splitlines()[-1])  # type: ignore[no-any-return]
