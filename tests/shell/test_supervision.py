"""Roles that leak, flood, fail to start, or take long to load, in a real room: each is dealt with in its own way, and said."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.roles.small_models import write_gguf
from tests.shell.pieces import small_piece
from tests.shell.test_rehearsal import ROOMFUL

ROLES = '''
import ctypes
import time

from mesh.role import Event, Role


class Steady(Role):
    """Counts."""
    outputs = {"n": Event}

    def setup(self):
        self.n, self.kept = 0, []

    def grow(self):
        pass

    def tick(self):
        self.n += 1
        self.grow()
        self.emit("n", self.n)
        return 0.05


class Leak(Steady):
    """Grows on the machine a, by 2 MB each time."""
    def grow(self):
        if self.settings["machine"] == "a" and self.n > 40:
            self.kept.append(bytearray(2_000_000))


class Flood(Steady):
    """Takes 800 MB within a second, the first time that it runs."""
    def grow(self):
        seen = self.state_folder / "seen"
        if self.n == 60 and not seen.exists():
            seen.touch()
            self.kept.append(b"")
        if self.n >= 60 and self.kept and len(self.kept) < 21:
            self.kept.append(bytearray(40_000_000))


class Picky(Steady):
    """Never starts on the machine a."""
    def setup(self):
        if self.settings["machine"] == "a":
            raise RuntimeError("the projector of a has another plug")
        super().setup()


class Slow(Steady):
    """Loads for four seconds in a library that lets no other thread run."""
    def setup(self):
        ctypes.PyDLL(None).sleep(4)
        super().setup()


class Lost(Steady):
    """Waits for a device that never comes."""
    def setup(self):
        while True:
            time.sleep(0.1)


class Wall(Role):
    """Hears them all."""
    display = True
    inputs = {"*": "any"}

    def on_frame(self, input, frame):
        pass
'''
DEPLOYMENT = """
installation: hardship
machines: {a: {}, b: {}, c: {}}
models:
  broken: {file: models/broken.gguf, sha256: HASH, licence: {weights: CC0-1.0, code: CC0-1.0, data: CC0-1.0}}
roles:
  broken: {kind: inference.llm, model: broken, on: [b]}
  leak: {kind: "./roles.py:Leak", on: [a, any], standby: warm, limits: {memory: 220MB}}
  flood: {kind: "./roles.py:Flood", on: [b, any], limits: {memory: 220MB}}
  picky: {kind: "./roles.py:Picky", on: [a, any]}
  slow: {kind: "./roles.py:Slow", on: [c, any]}
  lost: {kind: "./roles.py:Lost", on: [b, any]}
  wall: {kind: "./roles.py:Wall", each: [c], inputs: {leak: leak.n, flood: flood.n, picky: picky.n, slow: slow.n, lost: lost.n}}
"""
READ_S = 0.2  # two agents' lines may be read in the wrong order
REPORTED_S = 2.0  # until what was seen last has come into the summary


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[dict[str, Any]]]:
    """Everything that happens until each has had its trouble and plays again; the last event is the summary."""
    folder = tmp_path_factory.mktemp("s")
    piece = small_piece(folder / "piece", deployment=DEPLOYMENT, roles=ROLES)
    file = piece / "deployment.yaml"
    file.write_text(file.read_text().replace("HASH", hashlib.sha256(malicious(piece / "models" / "broken.gguf").read_bytes()).hexdigest()))
    command = [*ROOMFUL, "rehearse", str(piece), "--json", "--headless", "--for", "100"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(folder)})
    assert process.stdout is not None
    lines = []
    missing = {("leak", "stopped"), ("flood", "ended"), ("flood", "playing"), ("picky", "playing"), ("slow", "playing"), ("leak", "moved"),
               ("lost", "said"), ("broken", "ended thrice")}
    for line in process.stdout:
        event = json.loads(line)
        lines.append(event)
        if event["event"] == "role_state":
            if event["instance"] == "flood" and event["state"] == "ended":
                missing.add(("flood", "playing"))
            missing.discard((event["instance"], event["state"]))
            if sum(each["event"] == "role_state" and each["state"] == "ended" for each in of(lines, "broken")) == 3:
                missing.discard(("broken", "ended thrice"))
        elif event["event"] == "role_event" and event["instance"] == "lost":
            missing.discard(("lost", "said"))
        elif event["event"] == "takeover" and event["instance"] == "leak":
            missing.discard(("leak", "moved"))
        if not missing:
            threading.Timer(REPORTED_S, process.terminate).start()
            missing = {("", "")}
    process.communicate(timeout=30)
    yield lines


def malicious(file: Path) -> Path:
    """A real model's file that says that it has no layers: its engine falls with the whole process when it reads that."""
    file.parent.mkdir(exist_ok=True)
    data = bytearray(write_gguf(file).read_bytes())
    name = b"llama.block_count"
    at = data.index(name) + len(name) + 4  # behind the value's type
    data[at : at + 4] = bytes(4)
    file.write_bytes(data)
    return file


def of(story: list[dict[str, Any]], instance: str) -> list[dict[str, Any]]:
    return [event for event in story if event.get("instance") == instance]


def test_a_role_that_leaks_is_ended_only_after_its_standby_has_taken_over(story: list[dict[str, Any]]) -> None:
    events = of(story, "leak")
    handed = next(event for event in events if event["event"] == "handing_over")
    taken = next(event for event in events if event["event"] == "takeover")
    ended = next(each for each in events if each["event"] == "role_state" and each["state"] == "stopped" and each["t"] >= handed["t"])
    assert "its limit is 220 MB" in handed["why"] and handed["machine"] == "a"
    assert (taken["from"], taken["cause"]) == ("a", "planned") and taken["to"] != "a"
    assert taken["t"] < ended["t"] + READ_S and ended["machine"] == "a"
    row = next(row for row in story[-1]["takeovers"] if row["instance"] == "leak")
    assert row["gap_ms"] is None or row["gap_ms"] < 1000  # its listener missed nothing that a start would take
    assert not any(event["event"] == "role_state" and event["state"] == "ended" for event in events)  # it was never cut off
    assert story[-1]["roles"]["leak"] == {**story[-1]["roles"]["leak"], "machine": taken["to"], "state": "playing"}


def test_a_role_that_floods_the_memory_is_ended_at_once_and_started_anew(story: list[dict[str, Any]]) -> None:
    faulty = next(event for event in of(story, "flood") if event["event"] == "role_faulty")
    assert "its limit is 220 MB" in faulty["what"]
    assert not any(event["event"] == "handing_over" for event in of(story, "flood"))
    assert story[-1]["roles"]["flood"]["state"] == "playing" and story[-1]["roles"]["flood"]["restarts"] == 1


def test_a_start_that_always_fails_is_tried_more_and_more_slowly_then_given_up_and_placed_elsewhere(story: list[dict[str, Any]]) -> None:
    events = of(story, "picky")
    failed = [event["t"] for event in events if event["event"] == "role_failed"]
    gave_up = next(event for event in events if event["event"] == "gave_up")
    assert len(failed) == 5 and failed[4] - failed[3] > failed[1] - failed[0]
    assert "another plug" in gave_up["why"] and gave_up["machine"] == "a"
    assert story[-1]["roles"]["picky"] == {**story[-1]["roles"]["picky"], "state": "playing"}
    assert story[-1]["roles"]["picky"]["machine"] != "a"


def test_loading_for_long_with_no_sign_of_life_is_no_hang(story: list[dict[str, Any]]) -> None:
    assert story[-1]["roles"]["slow"] == {**story[-1]["roles"]["slow"], "state": "playing", "restarts": 0}
    assert not any(event["event"] == "role_faulty" for event in of(story, "slow"))


def test_one_that_never_gets_ready_is_not_ended_and_says_where_it_is(story: list[dict[str, Any]]) -> None:
    said = next(event["what"] for event in of(story, "lost") if event["event"] == "role_event")
    line = next(at for at, text in enumerate(ROLES.splitlines(), 1) if text.strip() == "while True:")
    assert said.startswith("still loading after ") and any(f"roles.py:{at} in setup" in said for at in (line, line + 1))
    assert story[-1]["roles"]["lost"] == {**story[-1]["roles"]["lost"], "state": "starting", "restarts": 0}


def test_a_model_s_file_that_fells_its_engine_costs_that_role_alone_and_is_said_in_plain_words(story: list[dict[str, Any]]) -> None:
    ended = [event for event in of(story, "broken") if event["event"] == "role_state" and event["state"] == "ended"]
    why = " while it read models/broken.gguf: that file is broken, or this machine's engine cannot play it"
    assert len(ended) >= 3 and all("SIGABRT" in event["why"] and why in event["why"] for event in ended)
    # It is tried again more and more slowly, and the room plays on
    assert ended[2]["t"] - ended[1]["t"] > 0.5
    assert story[-1]["roles"]["broken"]["state"] != "playing" and story[-1]["roles"]["wall@c"]["state"] == "playing"
    assert {each["state"] for name, each in story[-1]["roles"].items() if name in ("leak", "flood", "picky", "slow")} == {"playing"}
