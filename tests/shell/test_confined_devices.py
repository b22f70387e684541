"""A rehearsal whose roles are held to what is their own, with the real things at their ends: a board on a serial line, an instrument
on JACK, a sound server, a screen of X. What bounds a role must not keep it from its device.

A camera is not among them: no test machine's kernel has V4L2's virtual one. Network cameras are played in tests/roles/test_camera.py.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from mesh.shell.landlock import abi
from tests.roles.stage import until
from tests.roles.test_microphone_role import SoundServer, tone
from tests.roles.test_midi_role import Jack
from tests.roles.test_screen_role import display, on_glass
from tests.roles.test_serial_role import Board
from tests.shell.rehearsed import Rehearsed

__all__ = ["display"]  # a fixture

DEPLOYMENT = """
installation: real-things
machines: {a: {}}
roles:
  line: {kind: sensing.serial, options: {port: BOARD}}
  keys: {kind: sensing.midi, options: {api: jack, port: Keys}}
  ear: {kind: sensing.microphone}
  words: {kind: "./roles.py:Words", inputs: {reading: line.reading}}
  wall: {kind: display.screen, inputs: {line: words.line}}
  voice: {kind: display.sound, inputs: {knock: line.reading}, options: {sounds: {knock: tone.wav}, speak: espeak-ng}}
  diary: {kind: display.file, inputs: {reading: line.reading, key: keys.message, level: ear.level}}
"""
ROLES = '''
from mesh.role import Event, Role, Text


class Words(Role):
    """Says what the board says."""
    outputs = {"line": Text}

    def on_reading(self, frame: Event):
        self.emit("line", f"the board says {frame.value}")
'''


class Room:
    """The rehearsal, and what its devices are led by."""

    def __init__(self, board: Board, screen: Path, rehearsed: Rehearsed, pids: dict[str, int], diary: Path) -> None:
        self.board, self.screen, self.rehearsed, self.pids, self.diary = board, screen, rehearsed, pids, diary

    def written(self, stream: str) -> list[Any]:
        """What the diary has of a stream."""
        whole = self.diary.read_text().rpartition("\n")[0]
        return [line["value"] for line in map(json.loads, whole.splitlines()) if line["stream"] == stream]


@pytest.fixture
def room(display: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    with ExitStack() as ending:
        for name in ("SDL_VIDEODRIVER", "SDL_AUDIODRIVER"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("DISPLAY", display[0])
        server = f"rf{uuid.uuid4().hex[:8]}"
        monkeypatch.setenv("JACK_DEFAULT_SERVER", server)
        monkeypatch.setenv("JACK_NO_START_SERVER", "1")
        jack = Jack(server)
        ending.callback(jack.stop)
        jack.plug_in()
        (tmp_path / "pa").mkdir()
        sound = SoundServer(tmp_path / "pa")
        ending.callback(sound.stop)
        for name, value in sound.env.items():
            if os.environ.get(name) != value:
                monkeypatch.setenv(name, value)
        board = Board(tmp_path)
        ending.callback(board.unplug)
        piece = tmp_path / "piece"
        piece.mkdir()
        (piece / "deployment.yaml").write_text(DEPLOYMENT.replace("BOARD", str(board.port)))
        (piece / "roles.py").write_text(ROLES)
        soundfile.write(piece / "tone.wav", tone(440, 2.0, 48_000), 48_000)
        rehearsed = Rehearsed(piece, tmp_path / "home", windows=True)
        ending.callback(rehearsed.end)
        waiting, pids, diary = {"line", "keys", "ear", "words", "wall", "voice", "diary"}, {}, Path()

        def all_play(event: dict[str, Any]) -> bool:
            nonlocal diary
            if event["event"] == "role_event" and event["instance"] == "diary" and "writes to " in event["what"]:
                diary = Path(event["what"].partition("writes to ")[2])
            if event["event"] == "role_event" and "pid" in event:
                pids[event["instance"]] = event["pid"]
            assert "stands in" not in event.get("what", "") and "nobody" not in event.get("what", ""), event
            if event["event"] == "role_state" and event["state"] == "playing":
                waiting.discard(event["instance"])
            return not waiting

        rehearsed.until(all_play)
        yield Room(board, display[1], rehearsed, pids, diary)


def test_confined_roles_read_a_board_and_an_instrument_hear_a_room_sound_in_it_and_fill_a_screen(room: Room) -> None:
    dark = on_glass(room.screen).copy()

    def reads(stream: str, wanted: Any) -> bool:
        room.board.print("light:512")
        return wanted in room.written(stream)

    # When the board prints, and the instrument plays, then both are read
    until(lambda: reads("reading", {"light": 512}), within_s=30, what="the board's line")
    until(lambda: {each["note"] for each in room.written("key")} >= {60, 63}, within_s=30, what="the instrument's notes")

    # And what is played and spoken on the sound server is heard from it
    def loud() -> bool:
        room.board.print("light:512")
        return any(each["dbfs"] > -30 for each in room.written("level"))

    until(loud, within_s=60, what="the sound in the room")
    # And the words stand on the real screen
    until(lambda: np.count_nonzero(on_glass(room.screen) != dark) > 1000, within_s=30, what="the words on the screen")
    # And all the while each of them was held to what is its own
    for instance, pid in room.pids.items():
        about = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
        assert about["NoNewPrivs"] == "1" or not abi(), f"{instance} gave up nothing"
        assert about["Seccomp"] == "2", f"{instance} kept datagrams"
