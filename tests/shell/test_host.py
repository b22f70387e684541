"""A role's process from its start to its end, with a real agent's link on the other side."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from mesh.shell.link import routing_id
from tests.shell.host_harness import HEAD, KEYS, ROOT, Agent

ROLES = """
class Quiet(Role):
    outputs = {"n": Event}

    def teardown(self):
        (self.folder / "torn-down").write_text(self.name + " rests" * self.rests)

class Options(Options):
    every_s: float = 0.02
    broken_at: int = -1

class Clock(Role):
    Options = Options
    outputs = {"n": Event}

    def setup(self):
        self.n = 0

    def tick(self):
        self.n += 1
        self.publish("n", self.n)
        if self.n == self.options.broken_at:
            return 1 / 0
        self.emit("n", self.n)
        return self.options.every_s

class Fragile(Role):
    def setup(self):
        self.taken = []

    def on_n(self, frame):
        self.taken.append(frame.value)
        self.publish("taken", self.taken[-500:])
        if frame.value % 2:
            raise ValueError("odd numbers hurt")

class Hopeless(Role):
    def on_n(self, frame):
        raise ValueError("it always hurts")

class NoDevice(Role):
    def setup(self):
        from mesh.errors import RoleError
        raise RoleError("no camera is there", where="/dev/video0", instead="plug one in")

class Mistaken(Role):
    def setup(self):
        self.nothing.at_all()

class Slow(Role):
    def setup(self):
        (self.folder / "loading").write_text("")
        while True:
            pass

class Talker(Role):
    def setup(self):
        print("a plain print")
        sys.stderr.write("a warning\\n")
        self.say("a line for the technician")
        self.publish("page", "http://here")

class Asleep(Role):
    def tick(self):
        (self.folder / "asleep").write_text("")
        while True:
            pass

class Settings(Role):
    Options = Options
    def setup(self):
        assert self.state_folder.is_dir()
        self.publish("all", [self.name, self.options.every_s, self.model.name, str(self.model.file), list(self.fallback),
                             self.settings["installation"], self.settings["machine"], self.settings["cores"],
                             self.settings["rehearsal"]])

class Quits(Role):
    def tick(self):
        raise SystemExit(3)
"""


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    with Agent(tmp_path, ROLES) as made:
        yield made


# ---- the beginning


def test_a_process_says_hello_before_its_role_is_loaded_and_then_where_it_can_be_reached(agent: Agent) -> None:
    host = agent.start("quiet", "Quiet", generation=4, epoch=9)
    assert [message["type"] for message in host.said] == ["hello", "ready"]
    hello, ready = host.said
    assert (hello["instance"], hello["generation"], hello["epoch"], hello["pid"]) == ("quiet", 4, 9, host.process.pid)
    assert ready["frames_port"] != ready["requests_port"]


def test_the_link_calls_the_process_what_the_agent_calls_it(agent: Agent) -> None:
    assert agent.start("quiet", "Quiet", generation=4).identity == routing_id("quiet", 4)


def test_a_role_gets_what_the_deployment_says_of_it(agent: Agent, tmp_path: Path) -> None:
    model = {"name": "poet", "file": "models/poet.gguf", "sha256": "9c", "licence": {"weights": "CC0-1.0"}}
    host = agent.start(
        "wall@left", "Settings", options={"every_s": 3}, model=model, fallback=["one", "two"], machine="left",
        state_folder=str(tmp_path / "state" / "wall"), settings={"cores": 3},
    )  # fmt: skip
    agent.until(lambda: "all" in host.facts)
    file = str(tmp_path / "models/poet.gguf")
    assert host.facts["all"] == ["wall@left", 3.0, "poet", file, ["one", "two"], "test", "left", 3, True]


@pytest.mark.parametrize(
    ("kind", "options", "what", "where", "instead"),
    [
        ("NoDevice", {}, "no camera is there", "/dev/video0", "plug one in"),
        ("Mistaken", {}, "AttributeError: 'Mistaken' object has no attribute 'nothing'", "roles.py:", "roomful logs"),
        ("Clock", {"evry_s": 1}, "every", "", ""),
        ("Missing", {}, "Missing", "", ""),
    ],
)
def test_a_role_that_cannot_be_set_up_says_what_where_and_what_to_do(
    agent: Agent, kind: str, options: dict[str, object], what: str, where: str, instead: str
) -> None:
    host = agent.launch("role", kind, options=options)
    assert host.wait() == 70
    failed = host.first("failed")
    assert failed is not None
    assert where in failed["where"] and instead in failed["instead"] and failed["instead"]
    assert what in failed["what"] or kind == "Clock"


def test_a_port_that_is_taken_is_said_in_words(agent: Agent) -> None:
    first = agent.start("first", "Quiet")
    ready = first.first("ready")
    assert ready is not None
    second = agent.launch("second", "Quiet", ports=[ready["frames_port"], 0])
    assert second.wait() == 70
    failed = second.first("failed")
    assert failed is not None and f"port {ready['frames_port']}" in failed["what"]


def test_what_a_role_prints_is_in_its_log_at_once(agent: Agent) -> None:
    host = agent.start("talker", "Talker")
    agent.until(lambda: "a line for the technician" in host.log.read_text(), "the log")
    assert {"a plain print", "a warning"} <= set(host.log.read_text().splitlines())
    agent.until(lambda: host.facts == {"page": "http://here"}, "the fact")
    assert "a line for the technician" in host.events()


# ---- pulses, ticks and artists' mistakes


def test_a_pulse_tells_what_it_plays_and_how_far_it_is(agent: Agent) -> None:
    clock = agent.start("clock", "Clock")
    agent.until(lambda: clock.pulse.get("frames", {}).get("clock.n", 0) > 10, "frames")
    pulse = clock.pulse
    assert pulse["playing"] and pulse["progress"] > 10 and pulse["busy_s"] >= 0 and pulse["rss_bytes"] > 1_000_000
    assert pulse["requests"] == dict.fromkeys(("asked", "answered", "cancelled", "lost", "open", "retried"), 0)


def test_a_role_that_is_busy_says_for_how_long(agent: Agent) -> None:
    host = agent.start("asleep", "Asleep")
    agent.until(lambda: host.pulse.get("busy_s", 0) > 0.3, "busy")
    progress = host.pulse["progress"]
    agent.until(lambda: host.pulse["busy_s"] > 0.8, "still busy")
    assert host.pulse["progress"] == progress


def test_one_failure_is_told_with_its_line_and_the_role_goes_on(agent: Agent) -> None:
    clock = agent.start("clock", "Clock", options={"broken_at": 5})
    agent.until(lambda: clock.facts.get("n", 0) > 8, "it goes on")
    line = next(number for number, text in enumerate((HEAD + ROLES).splitlines(), 1) if "return 1 / 0" in text)
    assert clock.events() == [f"roles.py:{line} in tick: ZeroDivisionError: division by zero"]
    assert "return 1 / 0" in clock.log.read_text()


def test_a_frame_that_hurts_is_dropped_and_the_next_one_is_taken(agent: Agent) -> None:
    clock = agent.start("clock", "Clock")
    fragile = agent.start("fragile", "Fragile", routes={"inputs": {"n": clock.stream("n", "event")}})
    agent.until(lambda: len(fragile.facts.get("taken", [])) > 20, "frames")
    taken = fragile.facts["taken"]
    assert taken == list(range(taken[0], taken[0] + len(taken)))
    assert len([event for event in fragile.events() if "odd numbers hurt" in event]) <= 2, "told once in a while"


def test_five_failures_in_a_row_end_the_process(agent: Agent) -> None:
    clock = agent.start("clock", "Clock")
    hopeless = agent.start("hopeless", "Hopeless", routes={"inputs": {"n": clock.stream("n", "event")}})
    assert hopeless.wait() == 70
    failed = hopeless.first("failed")
    assert failed is not None and "5 times in a row" in failed["what"] and failed["where"].startswith("roles.py:")


# ---- standbys


def test_a_process_that_waits_does_nothing_until_it_is_told_to_play(agent: Agent) -> None:
    clock = agent.start("clock", "Clock", playing=False, standby="warm")
    agent.until(lambda: clock.pulse.get("playing") is False, "a pulse")
    listener = agent.start("ear", "Listener", routes={"inputs": {"in": clock.stream("n", "event")}})
    assert clock.pulse["frames"] == {"clock.n": 0}
    clock.tell(type="play", epoch=2)
    agent.until(lambda: listener.facts.get("heard"), "frames")
    agent.until(lambda: clock.pulse["epoch"] == 2, "its epoch")


def test_a_hot_standby_runs_along_unheard_and_is_heard_as_soon_as_it_plays(agent: Agent) -> None:
    holder = agent.start("clock", "Clock", node="node-a")
    standby = agent.start("clock", "Clock", node="node-b", generation=2, playing=False, standby="hot", options={"every_s": 0.01})
    both = holder.stream("n", "event", "queue", standby.source("standby"))
    listener = agent.start("ear", "Listener", routes={"inputs": {"in": both}})
    agent.until(lambda: standby.pulse.get("frames", {}).get("clock.n", 0) > 100, "it runs along")
    agent.until(lambda: len(listener.facts.get("heard", [])) > 20, "frames")
    numbers = [heard[0] for heard in listener.facts["heard"]]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "the holder's only"
    holder.kill()
    standby.tell(type="play", epoch=2)
    listener.route(inputs={"in": {**both, "sources": [standby.source(epoch=2)]}})
    agent.until(lambda: listener.first("gap"), "the gap")
    gap = listener.first("gap")
    assert gap is not None
    assert (gap["input"], gap["source"], gap["from"], gap["to"]) == ("in", "clock", "node-a", "node-b")
    assert 0 <= gap["gap_ms"] < 5000


def test_a_holder_that_is_muted_is_heard_no_more(agent: Agent) -> None:
    clock = agent.start("clock", "Clock", standby="warm")
    listener = agent.start("ear", "Listener", routes={"inputs": {"in": clock.stream("n", "event")}})
    agent.until(lambda: listener.facts.get("heard"), "frames")
    clock.tell(type="mute")
    agent.until(lambda: clock.pulse["playing"] is False, "muted")
    sent = clock.pulse["frames"]["clock.n"]
    clock.pulse = {}
    agent.until(lambda: clock.pulse, "a pulse")
    assert clock.pulse["frames"]["clock.n"] == sent


# ---- the end


@pytest.mark.parametrize("how", ["stop", "rest", "SIGTERM"])
def test_a_clean_stop_tears_the_role_down_and_ends_with_0(agent: Agent, tmp_path: Path, how: str) -> None:
    host = agent.start("quiet", "Quiet")
    if how != "SIGTERM":
        host.tell(type="stop", rests=how == "rest")
    else:
        host.kill(signal.SIGTERM)
    assert host.wait() == 0
    assert (tmp_path / "torn-down").read_text() == ("quiet rests" if how == "rest" else "quiet")


def test_ctrl_c_in_the_terminal_is_not_for_roles(agent: Agent) -> None:
    clock = agent.start("clock", "Clock")
    clock.kill(signal.SIGINT)
    progress = clock.pulse.get("progress", 0)
    agent.until(lambda: clock.pulse.get("progress", 0) > progress + 20, "it goes on")


def test_a_setup_that_takes_for_ever_can_be_stopped(agent: Agent, tmp_path: Path) -> None:
    host = agent.launch("slow", "Slow")
    agent.until(lambda: (tmp_path / "loading").exists(), "it loads")
    host.kill(signal.SIGTERM)
    assert host.wait() == 0


def test_a_role_that_ends_itself_is_a_failure_that_says_so(agent: Agent) -> None:
    host = agent.start("quits", "Quits")
    assert host.wait() == 70
    failed = host.first("failed")
    assert failed is not None and "it ended itself, by exit(3)" in failed["what"]


def test_an_order_that_is_not_one_does_no_harm(agent: Agent) -> None:
    clock = agent.start("clock", "Clock")
    for order in ({"type": "play"}, {"type": "play", "epoch": "soon"}, {"nothing": 1}, {"type": "routes", "routes": 5}, {"type": "?"}):
        agent.send(clock, order)
    agent.send(clock, {"type": "routes", "routes": {"inputs": {"in": {"stream": "x.y"}}}})
    agent.until(lambda: len(clock.events()) >= 5, "they are told")
    progress = clock.pulse.get("progress", 0)
    agent.until(lambda: clock.pulse.get("progress", 0) > progress + 20, "it goes on")


PARENT = """
import json, subprocess, sys
child = subprocess.Popen([sys.executable, "-P", "-m", "mesh.shell.host"], stdin=subprocess.PIPE, start_new_session=True)
child.stdin.write(sys.argv[1].encode())
child.stdin.close()
print(child.pid, flush=True)
sys.stdin.read()
"""


def start_through_a_parent(agent: Agent, **config: object) -> tuple[subprocess.Popen[str], psutil.Process]:
    import json

    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PARENT), json.dumps(agent.config("clock", "./roles.py:Clock", **config))],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert parent.stdout is not None
    return parent, psutil.Process(int(parent.stdout.readline()))


def kill_and_close(parent: subprocess.Popen[str]) -> None:
    parent.kill()
    parent.wait()
    for pipe in (parent.stdin, parent.stdout):
        if pipe is not None:
            pipe.close()


def test_no_orphan_is_left_when_the_agent_of_a_rehearsal_is_killed(agent: Agent) -> None:
    parent, role = start_through_a_parent(agent)
    agent.until(lambda: len(role.threads()) > 2, "it runs")
    kill_and_close(parent)
    agent.until(lambda: not role.is_running() or role.status() == psutil.STATUS_ZOMBIE, "its end", bound_s=5)


def test_an_orphan_of_a_real_room_plays_on_for_its_grace_and_then_ends(agent: Agent) -> None:
    parent, role = start_through_a_parent(agent, rehearsal=False, orphan_s=1.0)
    agent.until(lambda: len(role.threads()) > 2, "it runs")
    kill_and_close(parent)
    assert role.is_running()
    agent.until(lambda: not role.is_running() or role.status() == psutil.STATUS_ZOMBIE, "its end", bound_s=15)


def test_an_orphan_that_another_agent_speaks_to_plays_on(agent: Agent) -> None:
    parent, role = start_through_a_parent(agent, rehearsal=False, orphan_s=0.5)
    agent.adopt("clock", 1)
    agent.until(lambda: agent.heard(b"clock#1"), "its pulse")
    kill_and_close(parent)
    agent.say_still_here_for(6.0)
    assert role.is_running()
    role.terminate()
    agent.until(lambda: not role.is_running() or role.status() == psutil.STATUS_ZOMBIE, "its end")


def test_a_configuration_that_is_none_is_refused_in_words() -> None:
    ended = subprocess.run([sys.executable, "-m", "mesh.shell.host"], input="{}", capture_output=True, text=True, timeout=30, cwd=ROOT)
    assert ended.returncode == 2
    assert "started by `roomful agent`" in ended.stderr and "Traceback" not in ended.stderr
    assert KEYS[1] not in ended.stderr
