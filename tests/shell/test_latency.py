"""`roomful status` in a room that plays: how old what the wall shows is, and how far apart the clocks are."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.shell.pieces import small_piece
from tests.shell.until import until


def status(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mesh.cli.entry", "status", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_status_says_how_old_what_is_shown_is_and_how_far_apart_the_clocks_are(tmp_path: Path) -> None:
    # Given a room whose wall shows what was counted three roles before it
    folder = small_piece(tmp_path / "piece")
    room = subprocess.Popen(
        [sys.executable, "-m", "mesh.cli.entry", "rehearse", str(folder), "--headless", "--json"], stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        found: dict[str, Any] = {}

        def whole() -> bool:
            done = status("--json")
            if done.returncode not in (0, 1):
                return False
            found.update(json.loads(done.stdout))
            clocks = [machine.get("clock") for machine in found["machines"].values()]
            walls = [row for row in found["latency"] if row["display"]]
            return len(clocks) == 3 and all(clock and clock["known"] for clock in clocks) and bool(walls)

        # When it is asked for its state
        asyncio.run(until(whole, within_s=60.0))
        # Then each hop's age is there, the wall's with the sensor at the far end of its wires
        (wall,) = [row for row in found["latency"] if row["display"]]
        assert (wall["instance"], wall["input"], wall["from"]) == ("wall@c", "line", ["drift"])
        assert 0 < wall["median_ms"] <= wall["p99_ms"] < 60_000
        assert {row["instance"].split("/")[0] for row in found["latency"]} >= {"words", "wall@c"}
        assert all(machine["clock"]["doubt_ms"] < 1000 for machine in found["machines"].values())
        said = status().stdout
        assert "drift → wall@c" in said and "at most" in said
        assert "clocks of 3 machines together within" in said
    finally:
        room.terminate()
        room.wait()
