"""Frames that come before their time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy
import pytest

from mesh.core.clock import Course
from mesh.shell import holding
from mesh.shell.holding import NEVER, Holding
from mesh.shell.room_clock import RoomClock
from tests.shell.host_harness import Agent

ROLES = """
class Beat(Role):
    outputs = {"beat": Event, "line": Text}

    def setup(self):
        self.count = 0

    def tick(self):
        self.count += 1
        now = self.now_s()
        self.emit("beat", ["late", self.count], present_at=now + 0.4)
        self.emit("beat", ["soon", self.count], present_at=now + 0.15)
        self.emit("beat", ["at once", self.count])
        return 0.05

class Lamp(Role):
    display = True

    def setup(self):
        self.seen = []

    def on_beat(self, frame):
        early = None if frame.present_at_s is None else frame.present_at_s - self.now_s()
        self.seen.append([*frame.value, early, frame.source])
        self.publish("seen", self.seen[-400:])

class Own(Lamp):
    keeps_time = True

class Model(Lamp):
    display = False
"""


class Hand(RoomClock):
    """A clock that is set by hand."""

    def __init__(self) -> None:
        super().__init__(Course())
        self.at_ns = 10**18

    def now_ns(self) -> int:
        return self.at_ns


def taken(held: Holding) -> list[object]:
    shown: list[object] = []
    while (due := held.next()) is not None:
        shown.append(due.hand_over())
    return shown


def give(held: Holding, name: str, ahead_ns: int | None, value: object = None) -> bool:
    hand: Hand = held._clock  # type: ignore[assignment]
    return held.takes(None if ahead_ns is None else hand.at_ns + ahead_ns, value, lambda: name)  # type: ignore[arg-type, return-value]


def test_frames_come_out_when_their_time_has_all_but_come_in_its_order() -> None:
    hand = Hand()
    held = Holding(hand)
    # Given three frames, two of one time
    assert all([give(held, "third", 300_000_000), give(held, "first", 100_000_000), give(held, "second", 100_000_000)])
    assert taken(held) == []
    assert held.due_s() == pytest.approx(time.monotonic() + 0.095, abs=0.05)
    # When the time of two has all but come
    hand.at_ns += 100_000_000 - holding.EARLY_NS
    # Then these come, in the order in which they came
    assert taken(held) == ["first", "second"]
    hand.at_ns += 10**9
    assert taken(held) == ["third"]
    assert held.due_s() == NEVER


@pytest.mark.parametrize("ahead_ns", [None, 0, -1, -(10**18), 31 * 10**9, 10**18])
def test_what_has_no_time_or_one_that_nobody_can_have_meant_is_not_held(ahead_ns: int | None) -> None:
    assert not give(Holding(Hand()), "frame", ahead_ns)


def test_what_is_held_is_bounded_by_number_and_by_bytes() -> None:
    held = Holding(Hand())
    picture = numpy.zeros((1080, 1920, 3), "u1")
    taken_in = sum(give(held, "picture", 10**9, picture) for _ in range(100))
    assert 0 < taken_in * picture.nbytes <= holding.BYTES_MAX
    assert give(held, "small", 10**9, "word")
    held.clear()
    assert sum(give(held, "small", 10**9) for _ in range(holding.FRAMES_MAX + 10)) == holding.FRAMES_MAX
    held.clear()
    assert give(held, "picture", 10**9, picture), "what was let go makes room"


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    with Agent(tmp_path, ROLES) as made:
        yield made


def test_a_display_is_handed_a_frame_at_its_time_and_others_at_once(agent: Agent) -> None:
    # Given a role whose frames have times, and are not sent in their order
    beat = agent.start("eye", "Beat")
    heard = {"inputs": {"beat": beat.stream("beat", "event")}}
    # When a display hears it, a display that waits on its own, and a role that shows nothing
    lamp, own, model = (agent.start(name.lower(), name, routes=heard) for name in ("Lamp", "Own", "Model"))
    for each in (lamp, own, model):
        agent.until(lambda each=each: len(each.facts.get("seen", ())) > 60, "frames")
    # Then the display got none before its time, and each in the order of the times
    shown = [early for _, _, early, _ in lamp.facts["seen"] if early is not None]
    assert max(shown) <= 0
    numbers = [number for word, number, _, _ in lamp.facts["seen"] if word == "soon"]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert any(word == "late" for word, *_ in lamp.facts["seen"])
    # And the others got theirs when they came
    for each in (own, model):
        early = [early for word, _, early, _ in each.facts["seen"] if word == "late"]
        assert max(early) > 0.2


def test_frames_of_a_lost_holder_are_shown_at_their_time_beside_those_of_the_next(agent: Agent) -> None:
    # Given a display that hears a holder, whose standby runs along
    first = agent.start("eye", "Beat", node="node-a")
    second = agent.start("eye", "Beat", node="node-b", generation=2, playing=False, standby="hot")
    stream = first.stream("beat", "event")
    standby = {**second.stream("beat", "event")["sources"][0], "state": "standby"}
    lamp = agent.start("lamp", "Lamp", routes={"inputs": {"beat": {**stream, "sources": [*stream["sources"], standby]}}})
    agent.until(lambda: len(lamp.facts.get("seen", ())) > 20, "frames of the first")
    # When the holder is lost and the standby takes over
    first.kill()
    second.tell(type="play", epoch=2)
    lamp.route(inputs={"beat": {**stream, "sources": [{**standby, "state": "playing", "epoch": 2}]}})
    before = len(lamp.facts["seen"])
    agent.until(lambda: len(lamp.facts["seen"]) > before + 40, "frames of the second")
    # Then none was shown before its time, neither what was held of the first nor what the second says
    shown = [early for _, _, early, _ in lamp.facts["seen"] if early is not None]
    assert max(shown) <= 0 and len(shown) > 40
