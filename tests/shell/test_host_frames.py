"""Large frames between real role processes of one machine: whole, uncopied, and nothing left behind by whoever is killed."""

from __future__ import annotations

import os
import random
import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.shell.host_harness import Agent, Host

ROLES = """
class Painter(Role):
    '''Draws as fast as it can: a picture of one value, its number in the first eight bytes.'''
    outputs = {"image": Image, "count": Event, "long": Text, "values": Vector}

    def setup(self):
        self.number = 0

    def tick(self):
        self.number += 1
        picture = self.buffer("image", (480, 640, 3))
        picture[:] = self.number % 251
        picture.reshape(-1)[:8] = numpy.frombuffer(self.number.to_bytes(8, "little"), "u1")
        self.emit("image", picture)
        if self.number % 50 == 0:
            self.emit("count", self.number)
            self.emit("long", f"{self.number} " * 30000)
        self.emit("values", numpy.full(200, self.number, "f8"))
        return 0.0

class Steady(Painter):
    '''The same, sixty times a second, and what it drew is copied.'''
    def tick(self):
        super().tick()
        self.emit("image", numpy.full((480, 640, 3), 250, "u1")[:, ::-1])
        return 1 / 60

def look(picture):
    '''The number that a picture bears, None where it is not whole.'''
    flat = picture.reshape(-1)
    number = int.from_bytes(flat[:8].tobytes(), "little")
    rest = flat[8:]
    if number == 0xfafafafafafafafa:
        number = 250
    return number if int(rest.min()) == int(rest.max()) == number % 251 else None

class Checker(Role):
    '''Looks at each picture at once, and again after a while.'''
    class Options(Options):
        wait_s: float = 0.0

    def setup(self):
        self.seen, self.torn, self.last, self.back, self.kept = 0, 0, 0, 0, []

    def on_image(self, frame: Image):
        import time
        before = look(frame.value)
        if self.options.wait_s:
            time.sleep(self.options.wait_s)
        after = look(frame.value)
        self.seen += 1
        self.torn += before is None or before != after
        if before != 250:
            self.back += (before or 0) <= self.last
            self.last = before or 0
        self.publish("seen", self.seen)
        self.publish("torn", self.torn)
        self.publish("back", self.back)

class Keeper(Role):
    '''Keeps the last ten pictures, as some roles do.'''
    def setup(self):
        self.kept, self.seen = [], 0

    def on_image(self, frame: Image):
        self.kept.append((look(frame.value), frame.value))
        del self.kept[:-10]
        self.seen += 1
        self.publish("wrong", [number for number, picture in self.kept if number is None or look(picture) != number])
        self.publish("seen", self.seen)

class Reader(Role):
    inputs = {"*": "any"}

    def setup(self):
        self.seen = {}

    def on_frame(self, input, frame):
        value = frame.value
        if input == "values":
            value = int(value[0]) if float(value.min()) == float(value.max()) and len(value) == 200 else "torn"
        elif input == "long":
            value = [len(value), len(set(value.split()))]
        self.seen[input] = self.seen.get(input, []) [-50:] + [value]
        self.publish("seen", self.seen)
"""
SEEN = 60


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    with Agent(tmp_path, ROLES) as made:
        yield made


def hear(agent: Agent, name: str, kind: str, writer: Host, delivery: str = "latest", **config: Any) -> Host:
    return agent.start(name, kind, routes={"inputs": {"image": writer.stream("image", "image", delivery)}}, **config)


def goes_on(agent: Agent, *hosts: Host, by: int = SEEN) -> None:
    """Each of them sees so many pictures more."""
    wanted = {host: host.facts.get("seen", 0) + by for host in hosts}
    agent.until(lambda: all(host.facts.get("seen", 0) >= wanted[host] for host in hosts), "more pictures", 60)


def shared(host: Host) -> int:
    """In how many places a process has rings mapped."""
    return Path(f"/proc/{host.process.pid}/maps").read_text().count("memfd:roomful")


@pytest.mark.parametrize("delivery", ["latest", "queue"])
def test_no_picture_is_torn_or_goes_back_however_fast_it_is_drawn_and_slowly_it_is_read(agent: Agent, delivery: str) -> None:
    # Given a writer at full speed, a reader as fast, and one that takes thirty times as long
    writer = agent.start("eye", "Painter")
    fast = hear(agent, "fast", "Checker", writer, delivery)
    slow = hear(agent, "slow", "Checker", writer, delivery, options={"wait_s": 0.03})
    # When they read for a while
    goes_on(agent, fast, slow)
    # Then each picture was whole, before and after, and later than the one before it
    for reader in (fast, slow):
        assert (reader.facts["torn"], reader.facts["back"]) == (0, 0)
        assert reader.pulse["near"] == {"image": 1}
        assert reader.pulse["refused"]["frames"] == 0
    assert slow.pulse["dropped"]["image"] > 0
    assert writer.pulse["unsent"] == {}


def test_pictures_that_a_role_keeps_stay_as_they_were(agent: Agent) -> None:
    writer = agent.start("eye", "Painter")
    keeper = hear(agent, "keeper", "Keeper", writer)
    goes_on(agent, keeper)
    assert keeper.facts["wrong"] == []


def test_a_reader_killed_at_any_moment_costs_the_others_nothing_and_leaves_nothing(agent: Agent) -> None:
    chance = random.Random(5)
    before = sorted(os.listdir("/dev/shm"))
    writer = agent.start("eye", "Painter")
    stays = hear(agent, "stays", "Checker", writer)
    goes_on(agent, stays)
    files = len(os.listdir(f"/proc/{writer.process.pid}/fd"))
    for number in range(4):
        victim = hear(agent, f"victim-{number}", "Checker", writer, chance.choice(["latest", "queue"]), options={"wait_s": 0.005})
        goes_on(agent, victim, by=chance.randint(1, 20))
        agent.pump(chance.random() * 0.05)
        victim.kill(signal.SIGKILL)
        victim.wait()
        goes_on(agent, stays)
    assert stays.facts["torn"] == 0 and writer.pulse["unsent"] == {}
    assert len(os.listdir(f"/proc/{writer.process.pid}/fd")) <= files
    assert shared(writer) == 1 and sorted(os.listdir("/dev/shm")) == before


def test_a_writer_killed_at_any_moment_leaves_nothing_and_another_is_heard(agent: Agent) -> None:
    chance = random.Random(6)
    before = sorted(os.listdir("/dev/shm"))
    writer = agent.start("eye", "Painter")
    reader = hear(agent, "reader", "Checker", writer)
    for generation in range(2, 5):
        goes_on(agent, reader, by=chance.randint(1, 40))
        agent.pump(chance.random() * 0.05)
        writer.kill(signal.SIGKILL)
        writer.wait()
        # Its next life numbers its pictures from 1 again.
        writer = agent.start("eye", "Painter", generation=generation, epoch=generation)
        reader.route(inputs={"image": writer.stream("image", "image", "latest")})
    goes_on(agent, reader)
    assert reader.facts["torn"] == 0 and reader.pulse["near"] == {"image": 1}
    assert shared(reader) == 1, "the rings of those who were killed are gone"
    assert sorted(os.listdir("/dev/shm")) == before


def test_readers_that_are_stopped_change_nothing_for_the_others(agent: Agent) -> None:
    # Given a writer of 60 pictures a second, two readers that will be stopped in the middle of one, and one that goes on
    writer = agent.start("eye", "Steady")
    stopped = [hear(agent, f"stopped-{rule}", "Checker", writer, rule, options={"wait_s": 0.002}) for rule in ("latest", "queue")]
    stays = hear(agent, "stays", "Checker", writer, "queue")
    goes_on(agent, stays, *stopped)
    used = writer.pulse["rss_bytes"]
    for each in stopped:
        each.kill(signal.SIGSTOP)
    # When they stand still for hundreds of pictures
    sent, missed = writer.pulse["frames"]["eye.image"], stays.pulse["dropped"]["image"]
    goes_on(agent, stays, by=400)
    # Then nobody else missed one for it, and the writer holds no more than before
    assert writer.pulse["frames"]["eye.image"] - sent >= 390
    assert stays.pulse["dropped"]["image"] - missed <= 4
    assert writer.pulse["rss_bytes"] - used < 24 * 1024 * 1024
    assert writer.pulse["unsent"] == {}
    for each in stopped:
        each.kill(signal.SIGCONT)
    goes_on(agent, *stopped)
    assert all(each.facts["torn"] == 0 for each in stopped)
    agent.until(lambda: stopped[0].pulse["dropped"]["image"] > 300, "what the newest passed over is counted")


def test_where_there_is_no_memory_to_share_frames_go_by_sockets(agent: Agent) -> None:
    # Given a writer that may make no file above a megabyte, which its system says of shared memory, too
    writer = agent.start("eye", "Painter")
    resource.prlimit(writer.process.pid, resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
    pictures = {**writer.stream("image", "image", "latest"), "pictures": "raw"}
    reader = agent.start("reader", "Checker", routes={"inputs": {"image": pictures}})
    small = agent.start("ear", "Reader", routes={"inputs": {"count": writer.stream("count", "event")}})
    # Then its pictures come over the network, and what is small comes as before
    goes_on(agent, reader)
    agent.until(lambda: reader.pulse["near"] == {"image": 0}, "the other way")
    assert reader.facts["torn"] == 0 and reader.pulse["refused"]["frames"] == 0
    agent.until(lambda: small.facts.get("seen"), "an event")
    assert small.pulse["near"] == {"count": 1}


def test_values_and_long_texts_go_the_same_way(agent: Agent) -> None:
    writer = agent.start("eye", "Painter")
    streams = {
        "values": writer.stream("values", "vector", "latest"), "long": writer.stream("long", "text"),
        "count": writer.stream("count", "event", "latest"),
    }  # fmt: skip
    reader = agent.start("reader", "Reader", routes={"inputs": streams})
    agent.until(lambda: {"values", "long", "count"} <= set(reader.facts.get("seen", {})), "one of each")
    agent.until(lambda: len(reader.facts["seen"]["long"]) > 3, "some texts")
    seen = reader.facts["seen"]
    assert "torn" not in seen["values"] and seen["values"] == sorted(seen["values"])
    assert all(words == 1 and length > 60_000 for length, words in seen["long"])
    assert all(count % 50 == 0 for count in seen["count"])
    assert reader.pulse["near"] == {"values": 1, "long": 1, "count": 1}
