"""Running is not working: what a role says of itself, from its process to `roomful status` and to another machine."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.shell.host_harness import Agent
from tests.shell.pieces import small_piece

ROLES = '''
class Eye(Role):
    outputs = {"seen": Event}

    class Options(Options):
        for_s: float | None = None

    def setup(self):
        self.works(self.options.for_s, "nothing has come")

    def on_word(self, frame):
        if frame.value == "works":
            self.works()
        else:
            self.faulty(frame.value)


class Mouth(Role):
    outputs = {"words": Event}

    def tick(self):
        mended = (self.folder / "mended").exists()
        self.emit("words", "works" if mended else "the picture stands still")
        return 0.05
'''


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    with Agent(tmp_path, ROLES) as agent:
        yield agent


def test_what_a_role_says_of_itself_goes_out_with_its_pulse_until_it_says_otherwise(agent: Agent, tmp_path: Path) -> None:
    # Given a role that works, and hears that it does not
    mouth = agent.start("mouth", "Mouth")
    eye = agent.start("eye", "Eye", routes={"inputs": {"word": mouth.stream("words", "event")}})
    agent.until(lambda: eye.pulse.get("faulty") == "the picture stands still", "its fault")
    assert eye.pulse["worked_s"] >= 0
    assert "faulty: the picture stands still" in eye.log.read_text()
    # When it is mended, then it says so
    (tmp_path / "mended").touch()
    agent.until(lambda: eye.pulse.get("faulty") == "", "its recovery")


def test_a_word_that_is_not_renewed_turns_into_a_fault_by_itself(agent: Agent) -> None:
    eye = agent.start("eye", "Eye", options={"for_s": 0.2})
    agent.until(lambda: eye.pulse.get("faulty") == "nothing has come", "its fault")


def test_a_standby_that_waits_is_not_late_and_has_its_time_when_it_plays(agent: Agent) -> None:
    eye = agent.start("eye", "Eye", options={"for_s": 1.0}, playing=False, standby="warm")
    agent.say_still_here_for(1.5)
    assert "faulty" not in eye.pulse
    eye.tell(type="play", epoch=2)
    agent.until(lambda: "faulty" in eye.pulse, "it plays")
    assert eye.pulse["faulty"] == ""


MOVING = '''
"""An eye that sees nothing on machine a, whatever is done there."""
from mesh.role import Event, Role


class Eye(Role):
    outputs = {"seen": Event}

    def tick(self):
        if self.settings["machine"] == "a":
            self.faulty("the picture has not changed for 30 s")
        else:
            self.works(30.0, "no picture")
            self.emit("seen", 1)
        return 0.1


class Wall(Role):
    display = True

    def on_seen(self, frame: Event):
        pass
'''

ROOM = """
installation: faulty-eye
machines:
  a: {}
  b: {}
roles:
  eye: {kind: "./roles.py:Eye", on: [a, any]}
  wall: {kind: "./roles.py:Wall", inputs: {seen: eye.seen}, each: [b]}
"""


def test_a_role_that_does_not_work_is_started_again_and_then_moves_to_a_machine_where_it_does(tmp_path: Path) -> None:
    # Given a role that prefers a machine on which it runs but does not work
    folder = small_piece(tmp_path / "piece", deployment=ROOM, roles=MOVING)
    # When the room is rehearsed
    done = subprocess.run([sys.executable, "-m", "mesh.cli.entry", "rehearse", str(folder), "--json", "--headless", "--for", "12"],
                          capture_output=True, text=True, timeout=90, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    # Then it is found faulty twice, in its own words, given up there, and plays on the other machine
    assert done.returncode == 0, done.stderr
    faults = [line for line in lines if line["event"] == "role_faulty"]
    assert [line["what"] for line in faults] == ["the picture has not changed for 30 s"] * 2
    assert [line["machine"] for line in faults] == ["a", "a"]
    assert [line["why"] for line in lines if line["event"] == "gave_up"] == ["the picture has not changed for 30 s"]
    assert lines[-1]["roles"]["eye"]["machine"] == "b"
    assert lines[-1]["frames"]["eye.seen"] > 0
