"""Between real role processes: a sentence survives asker and answerer, and a role's small state travels to its standby."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

from tests.shell.host_harness import Agent, Host
from tests.shell.test_host_requests import ROLES, asks, listen, poets, utterances, write

MORE = """
class Counter(Role):
    '''Counts in self.state, and begins its count in `setup` as an artist would.'''
    outputs = {"count": Event}

    def setup(self):
        self.publish("found", dict(self.state))
        self.state["count"] = 0
        self.state["words"] = []

    def tick(self):
        self.state["count"] += 1
        self.state["words"] = [*self.state["words"][-3:], f"word {self.state['count']}"]
        self.emit("count", self.state["count"])
        self.publish("count", self.state["count"])
        return 0.02

class Watcher(Counter):
    '''A standby's view: publishes what it holds without counting.'''
    def tick(self):
        self.publish("held", dict(self.state))
        return 0.02

class Hoarder(Counter):
    def tick(self):
        self.state["words"] = ["x" * 1000] * (1 if self.state["count"] < 3 else 100)
        self.state["count"] += 1
        return 0.03
"""


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    with Agent(tmp_path, ROLES + MORE) as made:
        yield made


def follows(*copies: Host, here: list[str], **askers: list[Any] | None) -> dict[str, Any]:
    return {"sources": [copy.source() for copy in copies], "here": here, "askers": askers}


def test_a_sentence_goes_on_when_its_speaker_and_its_asker_die_together(agent: Agent) -> None:
    # Given two copies that follow one another, and an asker on the first one's machine
    one, two = poets(agent, "Resumer", pieces=60, piece_s=0.02)
    wall = listen(agent, one, two)
    here = ["node-1", "node-2"]
    for copy, other in ((one, two), (two, one)):
        copy.route(follows=follows(other, here=here, mood=["node-1", 1]))
    mood = agent.start("mood", "Mood", node="node-1", routes={"asks": asks(one)})
    write(agent, "tags", "calm", "dawn")
    agent.until(lambda: len(wall.facts.get("heard", [])) > 5, "it speaks")
    # When both die, and the second copy is told
    one.kill()
    mood.kill()
    two.route(follows=follows(here=["node-2"], mood=None))
    wall.route(inputs={"line": two.stream("line", "text")})
    # Then the listener hears the sentence to its end, each piece once, and then the one that had only been accepted
    agent.until(lambda: len(wall.facts.get("heard", [])) == 122, "two whole sentences")
    assert [value for value, *_ in wall.facts["heard"]] == [
        *(f"calm {number};" for number in range(60)), "", *(f"dawn {number};" for number in range(60)), "",
    ]
    assert len(utterances(wall)) == 2
    assert any("goes on after piece" in what for what in two.events())


def test_a_listener_that_missed_the_last_pieces_of_the_lost_copy_is_told_them_by_the_next(agent: Agent) -> None:
    # Given a listener that hears only the second of two copies
    one, two = poets(agent, "Resumer", pieces=30, piece_s=0.02)
    wall = listen(agent, two)
    two.route(follows=follows(one, here=["node-1", "node-2"], mood=["node-1", 1]))
    mood = agent.start("mood", "Mood", node="node-1", routes={"asks": asks(one)})
    write(agent, "tags", "calm")
    agent.until(lambda: one.pulse.get("frames", {}).get("poet.line", 0) > 5, "the first speaks")
    # When the first one dies in mid-sentence, with the asker
    one.kill()
    mood.kill()
    two.route(follows=follows(here=["node-2"], mood=None))
    # Then the second says all of it, from the beginning
    agent.until(lambda: len(wall.facts.get("heard", [])) == 31, "the whole sentence")
    assert [value for value, *_ in wall.facts["heard"]] == [f"calm {number};" for number in range(30)] + [""]


def test_a_state_travels_to_the_standby_and_goes_on_there(agent: Agent) -> None:
    # Given a holder that counts, and a warm standby
    holder = agent.start("flock", "Counter", node="node-1")
    standby = agent.start("flock", "Counter", node="node-2", generation=2, playing=False, standby="warm")
    standby.route(follows=follows(holder, here=[]))
    agent.until(lambda: holder.facts.get("count", 0) > 20, "it counts")
    agent.until(lambda: standby.pulse.get("state", 0) > 10, "the standby to hear of it")
    # When the holder dies and the standby plays
    holder.kill()
    holder.wait()
    last = holder.facts["count"]
    standby.tell(type="play", epoch=2)
    # Then it goes on from where that one was, not from 0
    agent.until(lambda: standby.facts.get("count", 0) > 0, "the standby counts")
    assert last - 15 <= standby.facts["count"] < last + 150


def test_a_hot_standby_is_kept_in_step_with_its_holder(agent: Agent) -> None:
    holder = agent.start("flock", "Counter", node="node-1")
    standby = agent.start("flock", "Watcher", node="node-2", generation=2, playing=False, standby="hot")
    standby.route(follows=follows(holder, here=[]))
    agent.until(lambda: standby.facts.get("held", {}).get("count", 0) > 10, "the holder's count to arrive")
    assert standby.facts["held"]["words"][-1] == f"word {standby.facts['held']['count']}"


def test_a_process_that_is_started_again_finds_what_it_remembered(agent: Agent) -> None:
    # Given a role whose agent was told its state
    first = agent.start("flock", "Counter")
    agent.until(lambda: sum(message["type"] == "state" for message in first.said) > 1, "the agent to be told")
    told = [message["data"] for message in first.said if message["type"] == "state"][-1]
    first.kill()
    first.wait()
    # When another process is given it
    import base64

    again = agent.start("flock", "Counter", generation=2, state=base64.b64encode(told).decode())
    # Then `setup` finds it, and what `setup` began afresh does not undo it
    agent.until(lambda: again.facts.get("count", 0) > 0, "it counts")
    assert again.facts["found"] == msgpack.unpackb(told)
    assert again.facts["count"] > again.facts["found"]["count"]


def test_a_state_that_is_too_large_is_said_once_and_the_last_that_fitted_is_kept(agent: Agent) -> None:
    holder = agent.start("flock", "Hoarder", node="node-1")
    agent.until(lambda: any("too large" in what for what in holder.events()), "the words")
    agent.until(lambda: holder.pulse.get("progress", 0) > 20, "it to go on all the same")
    assert sum("too large" in what for what in holder.events()) == 1
    states = [msgpack.unpackb(message["data"]) for message in holder.said if message["type"] == "state"]
    assert states and all(len(state["words"]) <= 4 for state in states)


def test_where_nobody_plays_a_role_its_fallback_is_said_in_its_place_and_so_it_is_told(agent: Agent) -> None:
    # Given a role that asks one whom nobody plays, for which two lines are laid by
    (agent.folder / "lines.txt").write_text("The room is quiet.\n\nIt waits.\n")
    fallback = {"stream": "poet.line", "text": "lines.txt"}
    entry = {"role": "poet", "input": "prompt", "type": "text", "when_superseded": "queue", "copies": [], "fallback": fallback}
    mood = agent.start("mood", "Mood", routes={"asks": {"tags": [entry]}})
    wall = agent.start("wall", "Listener", routes={"inputs": {"line": {**mood.stream("tags", "text"), "stream": "poet.line"}}})
    asking = agent.start("asker", "Asker", routes={"roles": {"poet": {"inputs": ["prompt"], "copies": [], "fallback": fallback}}})
    # When they ask
    write(agent, "tags", "calm", "dawn")
    write(agent, "questions", "why")
    # Then whoever listens hears the lines on that role's stream, the caller is given one, and the loss is told
    agent.until(lambda: [value for value, *_ in wall.facts.get("heard", [])] == ["The room is quiet.", "It waits."], "the fallback")
    agent.until(lambda: asking.facts.get("got") == [["The room is quiet."]], "the caller's")
    agent.until(lambda: mood.requests["lost"] == 2, "the losses counted")
    assert mood.requests["answered"] == 0
    assert any("nobody plays poet; its fallback is said instead" in what for what in mood.events())
