"""The artwork that listens, whole: on three machines of one computer, with its stand-ins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.shell.rehearsed import Rehearsed

WALL = Path(__file__).resolve().parents[2] / "deployments" / "answering-wall"


def test_the_whole_wall_plays_on_a_laptop_and_goes_on_without_the_machine_that_hears(tmp_path: Path) -> None:
    # Given the artwork on three machines of one computer, when the ear's machine dies
    room = Rehearsed(WALL, tmp_path / "home", "--fault", "kill ear at 12s")

    def elsewhere(event: dict[str, Any]) -> bool:
        return event["event"] == "role_state" and event["instance"] == "ear" and event["state"] == "playing" and event["machine"] != "ear"

    try:
        room.playing("ear", "voice", "listener", "poet/1", "poet/2", "sentence@wall", "chime", "lamps")
        room.until(elsewhere)
    finally:
        summary = room.end()
    # Then it hears on another machine, and all of it was at work
    frames = summary["frames"]
    assert frames["ear.sound"] > 0 and frames["voice.heard"] > 0 and frames["listener.light"] > 0
    assert summary["requests"]["lost"] == 0
