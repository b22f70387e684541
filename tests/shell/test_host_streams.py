"""Frames from role to role through real processes: values, pieces of text, capture times, ticks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mesh.shell.near import FAR
from tests.shell.host_harness import Agent

ROLES = """
class Camera(Role):
    outputs = {"image": Image, "values": Vector}

    def tick(self):
        picture = numpy.arange(48 * 64 * 3, dtype="u1").reshape(48, 64, 3)
        self.emit("image", picture[:, ::-1], captured_s=1234.5)
        self.emit("values", numpy.zeros((0, 3), "f8"))
        return 0.02

class Model(Role):
    outputs = {"found": Event}

    def on_image(self, frame: Image):
        picture = frame.value
        self.emit("found", [list(picture.shape), str(picture.dtype), int(picture.sum()), bool(picture.flags.writeable)])

class Conductor(Role):
    outputs = {"beat": Event, "line": Text}

    def tick(self):
        self.emit("beat", 1, present_at=77.25)
        self.emit("line", "to", more=True, present_at=78.5)
        self.emit("line", "gether", present_at=78.75)
        return 0.02

class Players(Role):
    def on_beat(self, frame):
        self.publish("beat", frame.present_at_s)

    def on_line(self, frame):
        self.publish(frame.value, frame.present_at_s)

class Times(Role):
    def on_found(self, frame):
        self.publish("present_at_s", frame.present_at_s)
        self.publish("captured_s", frame.captured_s)
        self.publish("value", frame.value)
        self.publish("stream", [frame.stream, frame.source])

class Reciter(Role):
    '''Says one sentence in pieces whenever the file `say` appears, and stops in the middle of the one called `broken`.'''
    outputs = {"line": Text}

    def tick(self):
        path = self.folder / "say"
        if path.exists():
            name = path.read_text()
            path.unlink()
            self.emit("line", f"{name} one ", more=True)
            self.emit("line", "two ", more=True)
            if name != "broken":
                self.emit("line", "three")
        return 0.01

class Poet(Role):
    outputs = {"line": Text}

    def on_prompt(self, frame: Text):
        self.publish("prompt", frame.value)
        yield frame.value

class Metronome(Role):
    outputs = {"beat": Event}

    def setup(self):
        self.beats = []

    def tick(self):
        self.beats.append(self.now_s())
        self.publish("beats", self.beats[-200:])
        return 0.02

class Misuser(Role):
    outputs = {"line": Text}

    def tick(self):
        self.emit("lines", "a name that is none")

class Burst(Role):
    outputs = {"n": Event}

    def tick(self):
        if not (self.folder / "burst").exists():
            self.emit("n", -1)
            return 0.01
        for number in range(600):
            self.emit("n", number)
        return None
"""


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    with Agent(tmp_path, ROLES) as made:
        yield made


def say(agent: Agent, name: str) -> None:
    (agent.folder / "say.new").write_text(name)
    (agent.folder / "say.new").rename(agent.folder / "say")


def test_a_picture_and_the_time_it_was_seen_travel_through_two_roles(agent: Agent) -> None:
    camera = agent.start("eye", "Camera")
    model = agent.start("presence", "Model", routes={"inputs": {"image": camera.stream("image", "image", "latest")}})
    times = agent.start("mood", "Times", routes={"inputs": {"found": model.stream("found", "event")}})
    agent.until(lambda: "stream" in times.facts, "a frame")
    expected = sum(index % 256 for index in range(48 * 64 * 3))
    assert times.facts["value"] == [[48, 64, 3], "uint8", expected, False]
    assert times.facts["captured_s"] == pytest.approx(1234.5)
    assert times.facts["stream"] == ["presence.found", "presence"]
    assert times.facts["present_at_s"] is None


def test_the_time_at_which_to_show_it_travels_with_a_frame_and_with_each_piece_of_a_sentence(agent: Agent) -> None:
    conductor = agent.start("eye", "Conductor")
    streams = {"beat": conductor.stream("beat", "event"), "line": conductor.stream("line", "text")}
    players = agent.start("wall", "Players", routes={"inputs": streams})
    agent.until(lambda: len(players.facts) == 3, "all of it")
    assert players.facts == {"beat": 77.25, "to": 78.5, "gether": 78.75}


def test_a_stream_is_not_taken_for_another_whose_name_begins_alike(agent: Agent) -> None:
    camera = agent.start("eye", "Camera")
    stream = {**camera.stream("image", "image", "latest"), "stream": "eye.imag"}
    model = agent.start("presence", "Model", routes={"inputs": {"image": stream}})
    agent.until(lambda: camera.pulse.get("frames", {}).get("eye.image", 0) > 100 and model.pulse.get("received"), "many frames")
    assert model.pulse["received"] == {"image": 0}
    assert camera.pulse["frames"]["eye.values"] > 0


def test_a_sentence_spoken_in_pieces_bears_one_name_and_is_asked_about_when_it_is_whole(agent: Agent) -> None:
    reciter, poet = agent.start("reciter", "Reciter"), agent.start("poet", "Poet")
    wall = agent.start("wall", "Listener", routes={"inputs": {"line": reciter.stream("line", "text")}})
    entry = {"role": "poet", "input": "prompt", "type": "text", "when_superseded": "queue", "copies": [poet.source()]}
    reciter.route(asks={"line": [entry]})

    def told() -> bool:  # again, as long as somebody does not listen yet
        if not (agent.folder / "say").exists():
            say(agent, "a sentence:")
        return bool(poet.facts.get("prompt")) and any(heard[0] == "three" for heard in wall.facts.get("heard", []))

    agent.until(told, "both hear it")
    assert poet.facts["prompt"] == "a sentence: one two three"
    agent.until(lambda: not (agent.folder / "say").exists(), "all is said")
    agent.until(lambda: 1 <= reciter.requests["answered"] == reciter.requests["asked"], "one request for each")
    agent.until(lambda: wall.facts["heard"][-1][0] == "three", "the end")
    last = wall.facts["heard"][-3:]
    assert [(value, index, more) for value, _, index, more, _ in last] == [
        ("a sentence: one ", 0, True), ("two ", 1, True), ("three", 2, False),
    ]  # fmt: skip
    assert len({request for _, request, *_ in last}) == 1 and last[0][1]


def test_a_sentence_whose_speaker_is_lost_ends_as_failed(agent: Agent) -> None:
    reciter = agent.start("reciter", "Reciter")
    wall = agent.start("wall", "Listener", routes={"inputs": {"line": reciter.stream("line", "text")}})

    def begun() -> bool:
        if not wall.facts.get("heard"):
            say(agent, "broken")
        return len(wall.facts.get("heard", [])) >= 2

    agent.until(begun, "its beginning")
    reciter.kill()
    wall.route(inputs={"line": {**reciter.stream("line", "text"), "sources": []}})
    agent.until(lambda: wall.facts["heard"][-1][4] == "failed", "its end")
    value, request, index, more, ended = wall.facts["heard"][-1]
    assert (value, more, ended) == ("", False, "failed")
    assert request == wall.facts["heard"][-2][1] and index == wall.facts["heard"][-2][2] + 1


def test_ticks_do_not_drift_and_are_not_made_up_for(agent: Agent) -> None:
    metronome = agent.start("metronome", "Metronome")
    agent.until(lambda: len(metronome.facts.get("beats", [])) >= 100, "a hundred beats")
    beats = metronome.facts["beats"][:100]
    steps = [after - before for before, after in zip(beats, beats[1:], strict=False)]
    assert all(step >= 0 for step in steps)
    assert sum(steps) >= 0.9 * 99 * 0.02, "beats that were missed are not crowded together"


def test_a_mistyped_output_is_answered_with_the_names_there_are(agent: Agent) -> None:
    misuser = agent.start("misuser", "Misuser")
    agent.until(lambda: misuser.events(), "the event")
    assert "no output `lines`" in misuser.events()[0] and misuser.events()[0].startswith("roles.py:")
    assert "did you mean `line`?" in misuser.events()[0] and "did you mean" in misuser.log.read_text()


def test_a_burst_of_events_arrives_whole_and_in_order(agent: Agent) -> None:
    burst = agent.start("burst", "Burst")
    ear = agent.start("ear", "Listener", routes={"inputs": {"n": burst.stream("n", "event")}})
    agent.until(lambda: ear.facts.get("heard"), "it listens")
    (agent.folder / "burst").write_text("")
    agent.until(lambda: ear.facts["heard"][-1][0] == 599, "the last of them")
    assert [value for value, *_ in ear.facts["heard"] if value >= 0] == list(range(600))
    assert ear.pulse["dropped"] == {"n": 0}


def test_texts_and_events_to_another_machine_come_by_a_line_of_their_own_with_none_missing_and_none_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given two processes as on two machines, of which one counts quickly from its beginning
    monkeypatch.setenv(FAR, "1")
    counter = """
class Counter(Role):
    outputs = {"number": Event}
    def setup(self):
        self.number = 0
    def tick(self):
        self.number += 1
        self.emit("number", self.number)
        return 0.002
"""
    with Agent(tmp_path, counter) as agent:
        count = agent.start("counter", "Counter")
        wall = agent.start("wall", "Listener", routes={"inputs": {"number": count.stream("number", "event")}})
        # When the way changes from ZeroMQ's to a line of its own
        agent.until(lambda: wall.pulse.get("straight") == {"number": 1}, "a line of its own")
        taken = wall.pulse["received"]["number"]
        agent.until(lambda: wall.pulse["received"]["number"] > taken + 200, "further numbers")
        # Then nothing is missing, and nothing comes twice
        heard = [value for value, *_ in wall.facts["heard"]]
        assert heard == list(range(heard[0], heard[0] + len(heard)))
        assert wall.pulse["dropped"]["number"] == 0
        # And when the writer ends, that is known at once
        count.kill()
        agent.until(lambda: not wall.pulse["straight"], "the end of the line")
