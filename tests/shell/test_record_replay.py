"""A day of sensors kept, and played again: the real recorder beside a real room, killed, mended, replayed twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from mcap.reader import make_reader

from mesh.shell.film import is_whole, records_of
from tests.roles.stage import until
from tests.shell.pieces import small_piece

ROOMFUL = [sys.executable, "-m", "mesh.cli.entry"]

ROLES = '''
"""An eye that draws, a door that counts, and an ear that keeps what it hears."""
import hashlib
import numpy as np
from mesh.role import Event, Image, Options, Role


class Eye(Role):
    outputs = {"image": Image}

    def setup(self):
        self.count = 0

    def tick(self):
        self.count += 1
        self.emit("image", np.random.default_rng(self.count).integers(0, 255, (48, 64, 3), np.uint8))
        return 0.1


class Door(Role):
    outputs = {"open": Event}

    def setup(self):
        self.count = 0

    def tick(self):
        self.count += 1
        self.emit("open", {"count": self.count, "raw": bytes([self.count % 256])})
        return 0.05


class Ear(Role):
    """Writes down each frame: its stream, its number, its bytes."""
    display = True
    writes = ("to",)

    class Options(Options):
        to: str

    def setup(self):
        self.heard = open(self.options.to, "w", buffering=1)

    def on_image(self, frame: Image):
        print("eye.image", frame.number, hashlib.sha256(frame.value.tobytes()).hexdigest(), file=self.heard)

    def on_open(self, frame: Event):
        print("door.open", frame.number, repr(frame.value).replace(" ", ""), file=self.heard)
'''
PIECE = """
installation: kept-day
machines: {a: {}, b: {}}
roles:
  eye: {kind: "./roles.py:Eye", on: [a, any]}
  door: {kind: "./roles.py:Door", on: [b, any]}
  ear: {kind: "./roles.py:Ear", each: [b], inputs: {image: eye.image, open: door.open}, delivery: {image: queue}, options: {to: "@heard"}}
"""


class Room:
    """A rehearsal that runs."""

    def __init__(self, folder: Path, home: Path, *options: str) -> None:
        self._heard = folder.parent / "heard.txt"
        self._heard.unlink(missing_ok=True)
        self.env = {**os.environ, "ROOMFUL_HOME": str(home), "TMPDIR": str(home)}
        home.mkdir(exist_ok=True)
        self._process = subprocess.Popen([*ROOMFUL, "rehearse", str(folder), "--json", "--headless", *options],
                                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=self.env)
        self.events: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.events.append(json.loads(line))

    def plays(self, *instances: str) -> bool:
        playing = {event["instance"] for event in self.events if event["event"] == "role_state" and event["state"] == "playing"}
        return set(instances) <= playing

    def count(self, words: str) -> int:
        """How often something was said."""
        return sum(words in str(event.get("what", "")) for event in self.events)

    def heard(self) -> list[str]:
        return self._heard.read_text().splitlines() if self._heard.exists() else []

    def stop(self) -> None:
        self._process.send_signal(signal.SIGINT)
        self._process.wait(30)
        self._thread.join()
        assert self._process.stdout is not None
        self._process.stdout.close()


def recorded(path: Path) -> list[tuple[str, bytes]]:
    with path.open("rb") as file:
        return [(channel.topic, message.data) for _, channel, message in make_reader(file).iter_messages(log_time_order=False)]


def replayed(folder: Path, home: Path, recording: Path) -> tuple[dict[str, int], dict[tuple[str, str], str]]:
    """How many frames of each stream a replay sends, and what the ear hears of them: (stream, number) -> value.

    Listeners may miss a frame on a busy machine, since nobody who sends is ever made to wait; what is sent is the same."""
    room = Room(folder, home, "--replay", str(recording), "--speed", "4")
    until(lambda: room.count("has ended") == 2, within_s=60, what="the end of the recording")
    until(lambda: len(room.heard()) > len(recorded(recording)) // 2, within_s=20, what="frames")
    over_s = time.monotonic() + 3.0
    until(lambda: time.monotonic() > over_s, what="the pulses that tell what was sent")
    room.stop()
    lines = [line.split() for line in room.heard()]
    return room.events[-1]["frames"], {(stream, number): value for stream, number, value in lines}


def test_a_room_is_recorded_by_a_recorder_that_is_killed_and_replayed_twice_byte_for_byte(tmp_path: Path) -> None:
    # Given a room that plays, and a recorder beside it that is killed in mid-sentence
    folder = small_piece(tmp_path / "piece", deployment=PIECE.replace("@heard", str(tmp_path / "heard.txt")), roles=ROLES)
    room = Room(folder, tmp_path / "one")
    until(lambda: room.plays("eye", "door", "ear@b"), within_s=60, what="the room")
    path = tmp_path / "day.mcap"
    recorder = subprocess.Popen([*ROOMFUL, "record", str(folder), "-o", str(path)], env=room.env, stdout=subprocess.PIPE)

    def enough() -> bool:
        if not path.exists():
            return False
        with path.open("rb") as file:
            return sum(hasattr(record, "sequence") for record in records_of(file)) > 60

    until(enough, within_s=60, what="frames in the file")
    recorder.kill()
    recorder.communicate()
    room.stop()
    assert not is_whole(path)
    # When it is replayed, which mends it first, then every frame of the file comes, in the order in which it was heard
    sent, first = replayed(folder, tmp_path / "two", path)
    assert is_whole(path) and (tmp_path / "day.mcap.cut").exists()
    kept = Counter(topic for topic, _ in recorded(path))
    assert sum(kept.values()) > 60
    assert sent == kept
    # And a second time the same frames, byte for byte, each in its place
    sent_again, second = replayed(folder, tmp_path / "three", path)
    assert sent_again == kept
    both = first.keys() & second.keys()
    assert {stream for stream, _ in both} == {"eye.image", "door.open"} and len(both) > 30
    assert {key: first[key] for key in both} == {key: second[key] for key in both}


def test_a_recorder_that_is_stopped_leaves_a_whole_file_of_the_streams_that_were_chosen(tmp_path: Path) -> None:
    folder = small_piece(tmp_path / "piece", deployment=PIECE.replace("@heard", str(tmp_path / "heard.txt")), roles=ROLES)
    room = Room(folder, tmp_path / "one")
    until(lambda: room.plays("eye", "door", "ear@b"), within_s=60, what="the room")
    path = tmp_path / "door.mcap"
    done = subprocess.run([*ROOMFUL, "record", str(folder), "-o", str(path), "--stream", "door.*", "--for", "3"],
                          env=room.env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert is_whole(path) and {topic for topic, _ in recorded(path)} == {"door.open"}
    numbers = [json.loads(data)["value"]["count"] for _, data in recorded(path)]
    assert len(numbers) > 10 and numbers == list(range(numbers[0], numbers[0] + len(numbers))), "every frame, in order"
    unknown = subprocess.run([*ROOMFUL, "record", str(folder), "-o", str(tmp_path / "x.mcap"), "--stream", "dor.*"],
                             env=room.env, capture_output=True, text=True, timeout=60, check=False)
    room.stop()
    assert unknown.returncode == 2 and "door.open" in unknown.stderr


def test_without_a_room_there_is_nothing_to_record(tmp_path: Path) -> None:
    folder = small_piece(tmp_path / "piece", deployment=PIECE.replace("@heard", str(tmp_path / "heard.txt")), roles=ROLES)
    env = {**os.environ, "ROOMFUL_HOME": str(tmp_path / "nobody"), "TMPDIR": str(tmp_path)}
    done = subprocess.run([*ROOMFUL, "record", str(folder), "-o", str(tmp_path / "x.mcap")], env=env, capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == 3 and not (tmp_path / "x.mcap").exists()
