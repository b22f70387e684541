"""Requests between real role processes: streamed answers, cancellation, and copies that die in mid-sentence."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mesh.shell.near import FAR
from tests.shell.host_harness import Agent, Host

ROLES = """
import time

class Options(Options):
    piece_s: float = 0.0
    pieces: int = 4
    same: bool = False

class Poet(Role):
    '''Answers a prompt word by word.'''
    Options = Options
    outputs = {"line": Text}

    def setup(self):
        self.closed = 0
        self.begun = []

    def on_prompt(self, frame: Text):
        self.begun.append(frame.value)
        self.publish("begun", self.begun[-50:])
        try:
            for number in range(self.options.pieces):
                time.sleep(self.options.piece_s)
                who = "" if self.options.same else self.name + " "
                yield f"{who}{frame.value} {number};"
        except GeneratorExit:
            self.closed += 1
            self.publish("closed", self.closed)
            raise

class Resumer(Poet):
    def on_prompt(self, frame: Text):
        for number in range(self.options.pieces):
            time.sleep(self.options.piece_s)
            yield Piece(f"{frame.value} {number};", str(number).encode())

    def resume(self, input, frame, so_far):
        self.publish("resumed", [piece.value for piece in so_far])
        for number in range(int(so_far[-1].mark) + 1, self.options.pieces):
            time.sleep(self.options.piece_s)
            yield Piece(f"{frame.value} {number};", str(number).encode())

class Ponderer(Poet):
    def on_prompt(self, frame: Text):
        self.begun.append(frame.value)
        self.publish("begun", self.begun)
        try:
            yield f"{frame.value} 0;"
            yield Pause(60.0 if frame.value == "stale" else 0.05)
            yield f"{frame.value} 1;"
        except GeneratorExit:
            self.publish("closed", True)
            raise

class Digger(Poet):
    def on_prompt(self, frame: Text):
        yield f"{frame.value} 0;"
        until_s = time.monotonic() + 60.0
        while frame.value == "stale" and time.monotonic() < until_s and self.wanted():
            sum(range(1000))
        self.publish("gave_up", frame.value)
        yield f"{frame.value} 1;"

class Plain(Role):
    outputs = {"line": Text}

    def on_prompt(self, frame: Text):
        self.emit("line", f"{self.name} heard {frame.value}")

class Broken(Role):
    outputs = {"line": Text}

    def on_prompt(self, frame: Text):
        yield "it begins "
        raise ValueError("no more words")

class Halver(Role):
    outputs = {"half": Vector}

    def on_values(self, frame: Vector):
        yield frame.value / 2

class Mood(Role):
    '''Emits a tag for each line that the test writes into the file `tags`.'''
    outputs = {"tags": Text}

    def setup(self):
        self.done = 0

    def tick(self):
        path = self.folder / "tags"
        lines = path.read_text().splitlines() if path.exists() else []
        for line in lines[self.done:]:
            self.emit("tags", line)
        self.done = len(lines)
        return 0.01

class Asker(Role):
    '''Asks for each line of the file `questions` and publishes what it got.'''
    def setup(self):
        self.done = 0
        self.got = []

    def tick(self):
        path = self.folder / "questions"
        lines = path.read_text().splitlines() if path.exists() else []
        for line in lines[self.done:]:
            self.done += 1
            try:
                self.got.append(list(self.ask("poet", line, deadline_s=20.0)))
            except Exception as error:
                self.got.append(repr(error))
            self.publish("got", self.got)
        return 0.01

class Measurer(Role):
    '''Asks once with a large array, and publishes what came back.'''
    def tick(self):
        (half,) = self.ask("halver", numpy.arange(500_000.0))
        self.publish("half", [half.shape[0], float(half[-1]), float(half.sum())])

class OtherAsker(Role):
    def setup(self):
        self.told = False

    def tick(self):
        if self.told:
            return None
        self.told = True
        half = [piece.tolist() for piece in self.ask("halver", numpy.array([2.0, 4.0]))]
        first = next(self.ask("poet", "only the first piece"))
        problems = []
        for arguments in (("nobody", "x", None), ("poet", "x", "weather")):
            try:
                list(self.ask(arguments[0], arguments[1], input=arguments[2], deadline_s=0.5))
            except Exception as error:
                problems.append(str(error))
        self.publish("all", [half, first, problems])
"""


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    with Agent(tmp_path, ROLES) as made:
        yield made


def asks(*copies: Host, when_superseded: str = "queue", **states: str) -> dict[str, Any]:
    sources = [copy.source(states.get(copy.config["node"].replace("-", "_"), "playing")) for copy in copies]
    entry = {"role": "poet", "input": "prompt", "type": "text", "when_superseded": when_superseded, "copies": sources}
    return {"tags": [entry]}


def poets(agent: Agent, kind: str = "Poet", count: int = 2, **options: Any) -> list[Host]:
    return [
        agent.start(f"poet/{number}", kind, node=f"node-{number}", generation=number, options=options) for number in range(1, count + 1)
    ]


def listen(agent: Agent, *copies: Host) -> Host:
    sources = [copy.source() for copy in copies]
    stream = {"stream": "poet.line", "type": "text", "delivery": "queue", "sources": sources}
    wall = agent.start("wall", "Listener", routes={"inputs": {"line": stream}})
    agent.until(lambda: wall.pulse, "the wall's pulse")
    return wall


def write(agent: Agent, name: str, *lines: str) -> None:
    with (agent.folder / name).open("a") as file:
        file.write("".join(f"{line}\n" for line in lines))


def utterances(wall: Host) -> dict[str, list[list[Any]]]:
    """What a listener heard, by request: [value, index, more, ended]."""
    heard: dict[str, list[list[Any]]] = {}
    for value, request, *rest in wall.facts.get("heard", []):
        heard.setdefault(request, []).append([value, *rest])
    return heard


def balanced(counted: dict[str, int]) -> bool:
    return counted["asked"] == counted["answered"] + counted["cancelled"] + counted["lost"] + counted["open"]


# ---- answers


def test_a_frame_becomes_a_request_and_its_answer_is_heard_piece_by_piece(agent: Agent) -> None:
    (poet,) = poets(agent, count=1)
    wall = listen(agent, poet)
    mood = agent.start("mood", "Mood", routes={"asks": asks(poet)})
    write(agent, "tags", "calm", "dawn")
    agent.until(lambda: mood.requests.get("answered") == 2, "two answers")
    agent.until(lambda: len(wall.facts.get("heard", [])) >= 10, "ten pieces")
    assert [len(pieces) for pieces in utterances(wall).values()] == [5, 5]
    first = utterances(wall)["mood:1:1.0"]
    assert first[:4] == [[f"poet/1 calm {number};", number, True, None] for number in range(4)]
    assert first[4] == ["", 4, False, None]
    assert balanced(mood.requests)


def test_each_request_goes_to_one_free_copy_and_both_work(agent: Agent) -> None:
    copies = poets(agent, piece_s=0.02)
    mood = agent.start("mood", "Mood", routes={"asks": asks(*copies)})
    write(agent, "tags", *[f"tag-{number}" for number in range(12)])
    agent.until(lambda: mood.requests.get("answered") == 12, "twelve answers")
    agent.until(lambda: sum(len(copy.facts.get("begun", [])) for copy in copies) == 12, "each begun once")
    assert all(len(copy.facts["begun"]) >= 4 for copy in copies)


def test_a_plain_handler_of_a_role_with_copies_answers_with_what_it_emits(agent: Agent) -> None:
    copies = poets(agent, "Plain")
    wall = listen(agent, *copies)
    mood = agent.start("mood", "Mood", routes={"asks": asks(*copies)})
    write(agent, "tags", "calm", "dawn", "storm")
    agent.until(lambda: mood.requests.get("answered") == 3, "three answers")
    agent.until(lambda: len(wall.facts.get("heard", [])) == 3, "three lines")
    assert {request for _, request, *_ in wall.facts["heard"]} == {"mood:1:1.0", "mood:1:1.1", "mood:1:1.2"}
    assert all(index == 0 and "heard" in value for value, _, index, *_ in wall.facts["heard"])


def test_a_role_can_ask_and_gets_the_pieces_as_they_come(agent: Agent) -> None:
    (poet,) = poets(agent, count=1, pieces=3)
    entry = {"inputs": ["prompt"], "copies": [poet.source()]}
    asker = agent.start("asker", "Asker", routes={"roles": {"poet": entry}})
    write(agent, "questions", "why", "how")
    agent.until(lambda: len(asker.facts.get("got", [])) == 2, "two answers")
    assert asker.facts["got"][0] == [f"poet/1 why {number};" for number in range(3)]


def test_arrays_can_be_asked_an_answer_can_be_left_and_mistakes_are_said_in_words(agent: Agent) -> None:
    (poet,) = poets(agent, count=1, pieces=200, piece_s=0.02)
    halver = agent.start("halver", "Halver")
    roles = {
        "poet": {"inputs": ["prompt"], "copies": [poet.source()]},
        "halver": {"inputs": ["values"], "copies": [halver.source()]},
    }
    asker = agent.start("asker", "OtherAsker", routes={"roles": roles})
    agent.until(lambda: "all" in asker.facts, "all three")
    half, first, problems = asker.facts["all"]
    assert half == [[1.0, 2.0]]
    assert first == "poet/1 only the first piece 0;"
    assert "no role `nobody` answers" in problems[0] and "poet" in problems[0]
    assert "answered in time" in problems[1]
    agent.until(lambda: poet.facts.get("closed") == 1, "the answer that was left is closed")
    assert balanced(asker.requests)


def test_a_role_that_fails_while_answering_ends_its_sentence_and_the_next_is_answered(agent: Agent) -> None:
    broken = agent.start("poet/1", "Broken")
    wall = listen(agent, broken)
    mood = agent.start("mood", "Mood", routes={"asks": asks(broken)})
    write(agent, "tags", "calm")
    agent.until(lambda: mood.requests.get("lost") == 1, "it is lost")
    agent.until(lambda: len(wall.facts.get("heard", [])) == 2, "both pieces")
    assert wall.facts["heard"][1] == ["", "mood:1:1.0", 1, False, "failed"]
    lost = next(message for message in mood.said if message.get("event") == "request_lost")
    assert "poet/1 failed while answering" in lost["what"]
    assert "no more words" in broken.events()[0]


# ---- cancellation


def test_a_newer_frame_closes_the_sentence_in_work_between_two_pieces(agent: Agent) -> None:
    (poet,) = poets(agent, count=1, pieces=500, piece_s=0.01)
    wall = listen(agent, poet)
    mood = agent.start("mood", "Mood", routes={"asks": asks(poet, when_superseded="cancel")})
    write(agent, "tags", "stale")
    agent.until(lambda: len(wall.facts.get("heard", [])) > 3, "it speaks")
    write(agent, "tags", "fresh")
    agent.until(lambda: mood.requests.get("cancelled") == 1, "it is cancelled")
    agent.until(lambda: len(utterances(wall)) == 2, "the fresh one speaks")
    stale = utterances(wall)["mood:1:1.0"]
    assert stale[-1][0] == "" and stale[-1][2:] == [False, "cancelled"]
    assert len(stale) < 400
    agent.until(lambda: poet.facts.get("closed") == 1, "its generator is closed")
    assert balanced(mood.requests)


# ---- copies that are lost


def test_a_copy_killed_in_mid_sentence_is_replaced_and_listeners_see_no_garble(agent: Agent) -> None:
    copies = poets(agent, pieces=60, piece_s=0.03)
    wall = listen(agent, *copies)
    mood = agent.start("mood", "Mood", routes={"asks": asks(*copies)})
    write(agent, "tags", "calm")
    agent.until(lambda: len(wall.facts.get("heard", [])) > 3, "it speaks")
    agent.until(lambda: any(copy.facts.get("begun") for copy in copies), "we know who")
    speaker = next(copy for copy in copies if copy.facts.get("begun"))
    speaker.kill()
    agent.until(lambda: mood.requests.get("answered") == 1, "the other answers")
    agent.until(lambda: len(utterances(wall)) == 2, "a second sentence")
    first, second = utterances(wall).values()
    assert first[-1][2:] == [False, "failed"]
    assert [index for _, index, *_ in first] == sorted({index for _, index, *_ in first})
    agent.until(lambda: len(list(utterances(wall).values())[1]) == 61, "the whole of it")
    assert mood.requests["retried"] == 1 and mood.requests["lost"] == 0
    gap = mood.first("gap")
    assert gap is not None and gap["input"] == "poet.prompt" and gap["from"] == speaker.config["node"]
    assert second[0][1] == 0


def test_a_role_that_resumes_goes_on_in_the_same_sentence(agent: Agent) -> None:
    copies = poets(agent, "Resumer", pieces=40, piece_s=0.02)
    wall = listen(agent, *copies)
    mood = agent.start("mood", "Mood", routes={"asks": asks(*copies)})
    write(agent, "tags", "calm")
    agent.until(lambda: len(wall.facts.get("heard", [])) > 5, "it speaks")
    copies[0].kill()
    agent.until(lambda: mood.requests.get("answered") == 1, "the other goes on")
    agent.until(lambda: len(wall.facts.get("heard", [])) == 41, "the whole sentence")
    assert [value for value, *_ in wall.facts["heard"]] == [f"calm {number};" for number in range(40)] + [""]
    assert len(utterances(wall)) == 1
    agent.until(lambda: copies[1].facts.get("resumed"), "what it went on from")


def test_one_who_asks_gets_the_whole_answer_once_although_its_first_copy_is_killed(agent: Agent) -> None:
    copies = poets(agent, pieces=30, piece_s=0.02, same=True)
    entry = {"inputs": ["prompt"], "copies": [copy.source() for copy in copies]}
    asker = agent.start("asker", "Asker", routes={"roles": {"poet": entry}})
    write(agent, "questions", "why")
    agent.until(lambda: any(copy.facts.get("begun") for copy in copies), "one begins")
    next(copy for copy in copies if copy.facts.get("begun")).kill()
    agent.until(lambda: asker.facts.get("got"), "the answer")
    assert asker.facts["got"] == [[f"why {number};" for number in range(30)]]
    agent.until(lambda: balanced(asker.requests) and asker.requests["answered"] == 1, "the count")


def test_a_suspect_copy_gives_up_its_request_and_is_told_so(agent: Agent) -> None:
    copies = poets(agent, pieces=200, piece_s=0.02)
    mood = agent.start("mood", "Mood", routes={"asks": asks(*copies)})
    write(agent, "tags", "calm")
    agent.until(lambda: any(copy.facts.get("begun") for copy in copies), "one begins")
    first = next(copy for copy in copies if copy.facts.get("begun"))
    second = next(copy for copy in copies if copy is not first)
    mood.route(asks=asks(*copies, **{first.config["node"].replace("-", "_"): "suspect"}))
    agent.until(lambda: second.facts.get("begun") == ["calm"], "the other begins")
    agent.until(lambda: first.facts.get("closed") == 1, "the first is closed")
    assert mood.requests["lost"] == 0


def test_a_copy_that_stops_cleanly_hands_over_what_it_had(agent: Agent) -> None:
    copies = poets(agent, pieces=20, piece_s=0.02)
    mood = agent.start("mood", "Mood", routes={"asks": asks(*copies)})
    write(agent, "tags", "calm", "dawn", "storm", "few")
    agent.until(lambda: all(copy.facts.get("begun") for copy in copies), "both work")
    copies[0].tell(type="stop")
    assert copies[0].wait() == 0
    agent.until(lambda: mood.requests.get("answered") == 4, "all are answered")
    assert mood.requests["lost"] == 0


def test_a_request_waits_until_the_role_plays_somewhere_again(agent: Agent) -> None:
    (poet,) = poets(agent, count=1)
    mood = agent.start("mood", "Mood", routes={"asks": asks(poet)})
    poet.kill()
    poet.process.wait()
    mood.route(asks=asks())
    write(agent, "tags", "calm")
    agent.until(lambda: mood.requests.get("open") == 1, "it waits")
    again = agent.start("poet/1", "Poet", generation=7, epoch=2)
    mood.route(asks=asks(again))
    agent.until(lambda: mood.requests.get("answered") == 1, "it is answered")


def test_random_kills_lose_nothing_while_one_copy_lives(agent: Agent) -> None:
    copies = poets(agent, pieces=5, piece_s=0.003)
    mood = agent.start("mood", "Mood", routes={"asks": asks(*copies)})
    for turn in range(6):
        write(agent, "tags", *[f"tag-{turn}-{number}" for number in range(10)])
        agent.until(lambda turn=turn: mood.requests.get("answered", 0) > turn * 10 + 2, "it goes on")
        copies[turn % 2].kill()
        number = turn % 2 + 1
        copies[turn % 2] = agent.start(
            f"poet/{number}", "Poet", node=f"node-{number}", generation=10 + turn, epoch=2 + turn,
            options={"pieces": 5, "piece_s": 0.003},
        )  # fmt: skip
        mood.route(asks=asks(*copies))
    agent.until(lambda: mood.requests.get("answered") == 60, "all are answered")
    assert mood.requests["lost"] == 0 and balanced(mood.requests)


def test_a_frame_without_an_asker_on_an_answering_input_is_answered_too(agent: Agent) -> None:
    (poet,) = poets(agent, count=1)
    wall = listen(agent, poet)
    mood = agent.start("mood", "Mood")
    poet.route(inputs={"prompt": mood.stream("tags", "text")})
    write(agent, "tags", "calm")

    def heard() -> bool:
        if not wall.facts.get("heard"):
            write(agent, "tags", "calm")
        return len(wall.facts.get("heard", [])) >= 5

    agent.until(heard, "an answer")
    assert next(iter(utterances(wall))).startswith("mood:1:1.mood.tags.")


def test_a_standby_that_runs_along_asks_nobody(agent: Agent) -> None:
    (poet,) = poets(agent, count=1)
    mood = agent.start("mood", "Mood", playing=False, standby="hot", routes={"asks": asks(poet)})
    write(agent, "tags", "calm")
    agent.until(lambda: mood.pulse.get("frames", {}).get("mood.tags") == 1, "it emits, muted")
    assert mood.requests["asked"] == 0
    mood.tell(type="play", epoch=2)
    agent.until(lambda: mood.pulse["playing"], "it plays")
    write(agent, "tags", "dawn")
    agent.until(lambda: mood.requests.get("answered") == 1, "it asks now")
    agent.until(lambda: poet.facts.get("begun") == ["dawn"], "it was asked once")


@pytest.mark.parametrize(("kind", "fact"), [("Ponderer", "closed"), ("Digger", "gave_up")])
def test_a_cancellation_is_heard_in_a_pause_and_in_a_long_computation(agent: Agent, kind: str, fact: str) -> None:
    # Given an answer that would go on for a minute
    (poet,) = poets(agent, kind, count=1)
    mood = agent.start("mood", "Mood", routes={"asks": asks(poet, when_superseded="cancel")})
    write(agent, "tags", "stale")
    agent.until(lambda: poet.pulse.get("frames", {}).get("poet.line", 0) > 0, "it speaks")
    # When a newer question takes its place, then that is answered long before
    write(agent, "tags", "fresh")
    agent.until(lambda: mood.requests.get("answered") == 1, "the newer is answered", bound_s=20.0)
    agent.until(lambda: poet.facts.get(fact), "it to have given up")
    assert balanced(mood.requests)


def test_pieces_in_quick_succession_arrive_one_by_one_in_fewer_messages(agent: Agent) -> None:
    (poet,) = poets(agent, count=1, pieces=3000)
    wall = listen(agent, poet)
    mood = agent.start("mood", "Mood", routes={"asks": asks(poet)})
    write(agent, "tags", "calm")
    agent.until(lambda: mood.requests.get("answered") == 1, "the answer")
    agent.until(lambda: wall.pulse.get("received", {}).get("line") == 3001, "all of it to arrive")
    agent.until(lambda: wall.facts["heard"][-1][2] == 3000, "the last of it to be heard")
    heard = wall.facts["heard"]
    assert [index for _, _, index, *_ in heard] == list(range(3001 - len(heard), 3001))
    assert heard[-1][3:] == [False, None] and all(more for *_, more, _ in heard[:-1])
    assert wall.pulse["dropped"]["line"] == 0


def test_a_copy_that_is_stopped_is_left_for_the_other_and_nothing_is_lost(agent: Agent) -> None:
    # Given two copies that answer quickly
    copies = poets(agent, "Resumer", pieces=20, piece_s=0.002)
    wall = listen(agent, *copies)
    mood = agent.start("mood", "Mood", routes={"asks": asks(*copies)})
    write(agent, "tags", *[f"tag-{number}" for number in range(6)])
    agent.until(lambda: mood.requests.get("answered") == 6, "six answers")
    # When one is stopped, and more is asked
    copies[0].kill(signal.SIGSTOP)
    write(agent, "tags", *[f"more-{number}" for number in range(4)])
    # Then the other answers all of it, and whoever listens hears each whole
    agent.until(lambda: mood.requests.get("answered") == 10, "ten answers")
    assert mood.requests["lost"] == 0
    agent.until(lambda: len(wall.facts.get("heard", [])) == 210, "every piece")
    assert all([index for _, index, *_ in pieces] == list(range(21)) for pieces in utterances(wall).values())
    copies[0].kill(signal.SIGCONT)


# ---- both ways to ask


@pytest.fixture(params=["near", "far"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """As on one machine, and as between two."""
    if request.param == "far":
        monkeypatch.setenv(FAR, "1")
    return str(request.param)


def test_an_answer_is_the_same_on_either_way_and_so_is_the_loss_of_a_copy(agent: Agent, way: str) -> None:
    copies = poets(agent, "Resumer", pieces=40, piece_s=0.01)
    wall = listen(agent, *copies)
    mood = agent.start("mood", "Mood", routes={"asks": asks(*copies)})
    agent.until(lambda: mood.pulse.get("asked_near") == (2 if way == "near" else 0), "its lines")
    write(agent, "tags", "calm", "dawn")
    agent.until(lambda: len(wall.facts.get("heard", [])) >= 10, "the beginnings")
    copies[0].kill()
    agent.until(lambda: mood.requests.get("answered") == 2, "both answers")
    agent.until(lambda: len(wall.facts.get("heard", [])) == 82, "every piece")
    assert all([index for _, index, *_ in pieces] == list(range(41)) for pieces in utterances(wall).values())
    assert mood.requests["lost"] == 0 and mood.requests["retried"] == 1


def test_a_large_question_and_its_answer_arrive_whole_on_either_way(agent: Agent, way: str) -> None:
    halver = agent.start("halver", "Halver")
    asker = agent.start("asker", "Measurer", routes={"roles": {"halver": {"inputs": ["values"], "copies": [halver.source()]}}})
    agent.until(lambda: asker.facts.get("half"), "the answer")
    assert asker.facts["half"] == [500_000, 499_999 / 2, 500_000 * 499_999 / 4]
