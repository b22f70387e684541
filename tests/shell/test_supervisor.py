"""Real processes: started, heard, ended, and none left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest

from mesh.errors import RoleError
from mesh.shell.logs import Logs
from mesh.shell.supervisor import Exit, LaunchOrder, Supervisor
from tests.shell.until import until

ROOT = Path(__file__).resolve().parents[2]


class _Stage:
    """A supervisor, and what it told."""

    def __init__(self, folder: Path) -> None:
        self.logs = Logs(folder / "logs")
        self.exits: list[Exit] = []
        self.troubles: list[str] = []
        self.supervisor = Supervisor(self.logs, self.exits.append, self.troubles.append)

    def start(self, *do: str, instance: str = "poet/1", generation: int = 1, **more: object) -> int:
        env = {"PYTHONPATH": str(ROOT)}
        config = {"do": list(do), **more}
        return self.supervisor.start(LaunchOrder(instance, generation, config, env=env, module="tests.shell.child"))

    async def printed(self, text: str, instance: str = "poet/1") -> str:
        """Waits for a line that begins so, and returns it."""

        def found() -> list[str]:
            return [line for line in self.logs.tail(instance, 50) if line.startswith(text)]

        await until(found)
        return found()[-1]


def _play(folder: Path, story: Callable[[_Stage], Awaitable[None]]) -> _Stage:
    stages = []

    async def whole() -> None:
        stage = _Stage(folder)
        stages.append(stage)
        try:
            await story(stage)
        finally:
            await stage.supervisor.close(grace_s=0.2)

    asyncio.run(whole())
    return stages[0]


def test_an_end_is_told_with_its_code_and_last_words(tmp_path: Path) -> None:
    async def story(stage: _Stage) -> None:
        pid = stage.start("print:loading", "print:no such model", "exit:70", generation=4)

        await until(lambda: stage.exits)

        (end,) = stage.exits
        assert (end.instance, end.generation, end.pid, end.code, end.signal) == ("poet/1", 4, pid, 70, "")
        assert not end.asked
        assert end.last_lines[0].startswith("---- 20")
        assert end.last_lines[0].endswith("poet/1 generation 4")
        assert end.last_lines[1:] == ("loading", "no such model")
        assert stage.supervisor.running() == {}

    _play(tmp_path, story)


def test_a_crash_is_told_with_the_name_of_its_signal(tmp_path: Path) -> None:
    async def story(stage: _Stage) -> None:
        stage.start("crash")
        await until(lambda: stage.exits)

        assert (stage.exits[0].code, stage.exits[0].signal, stage.exits[0].asked) == (None, "SIGSEGV", False)

    _play(tmp_path, story)


def test_a_traceback_is_in_the_log_with_its_line(tmp_path: Path) -> None:
    async def story(stage: _Stage) -> None:
        stage.start("raise")
        await until(lambda: stage.exits)

        assert stage.exits[0].code == 1
        assert stage.exits[0].last_lines[-1] == "ValueError: a mistake of the artist"
        assert any("child.py" in line for line in stage.exits[0].last_lines)

    _play(tmp_path, story)


def test_an_end_is_noticed_at_once(tmp_path: Path) -> None:
    """The bound is generous; the kernel tells within a millisecond."""

    async def story(stage: _Stage) -> None:
        pid = stage.start("print:here", "wait")
        await stage.printed("here")

        os.kill(pid, signal.SIGKILL)
        killed_s = time.monotonic()
        await until(lambda: stage.exits)

        assert time.monotonic() - killed_s < 1.0
        assert (stage.exits[0].signal, stage.exits[0].asked) == ("SIGKILL", False)

    _play(tmp_path, story)


def test_a_role_asked_to_stop_ends_cleanly(tmp_path: Path) -> None:
    async def story(stage: _Stage) -> None:
        stage.start("gentle", "print:here", "wait")
        await stage.printed("here")

        stage.supervisor.stop("poet/1", grace_s=10.0)
        await until(lambda: stage.exits)

        assert (stage.exits[0].code, stage.exits[0].asked) == (0, True)

    _play(tmp_path, story)


def test_a_role_that_will_not_stop_is_ended(tmp_path: Path) -> None:
    async def story(stage: _Stage) -> None:
        stage.start("stubborn", "print:here", "wait")
        await stage.printed("here")

        stage.supervisor.stop("poet/1", grace_s=0.1)
        stage.supervisor.stop("poet/1", grace_s=0.1)
        await until(lambda: stage.exits)

        assert (stage.exits[0].signal, stage.exits[0].asked) == ("SIGKILL", True)

    _play(tmp_path, story)


@pytest.mark.parametrize(("how", "what"), [("kill", "grandchild"), ("stop", "grandchild"), ("exit", "grandchild"), ("kill", "detached")])
def test_what_a_role_started_ends_with_it(tmp_path: Path, how: str, what: str) -> None:
    async def story(stage: _Stage) -> None:
        stage.start(what, "wait", instance="another")  # whose own stays
        other = int((await stage.printed("grandchild", "another")).split()[1])
        stage.start(what, *(["exit:0"] if how == "exit" else ["wait"]))
        grandchild = int((await stage.printed("grandchild")).split()[1])

        if how == "kill":
            stage.supervisor.kill("poet/1")
        elif how == "stop":
            stage.supervisor.stop("poet/1")
        await until(lambda: stage.exits)

        await until(lambda: not _lives(grandchild))
        assert _lives(other)

    _play(tmp_path, story)


def test_closing_leaves_no_process_and_tells_each_end(tmp_path: Path) -> None:
    async def story(stage: _Stage) -> None:
        pids = [stage.start("stubborn", "grandchild", "wait", instance=f"poet/{number}") for number in (1, 2, 3)]
        for number in (1, 2, 3):
            await stage.printed("grandchild", f"poet/{number}")

        await stage.supervisor.close(grace_s=0.1)

        assert sorted(end.pid for end in stage.exits) == sorted(pids)
        assert not any(_lives(pid) for pid in pids)

    _play(tmp_path, story)


def test_a_role_runs_in_its_own_session_below_the_agent(tmp_path: Path) -> None:
    async def story(stage: _Stage) -> None:
        pid = stage.start("print:here", "wait")
        await stage.printed("here")

        assert os.getsid(pid) == os.getpgid(pid) == pid
        niceness = min(19, os.getpriority(os.PRIO_PROCESS, 0) + 5)
        assert os.getpriority(os.PRIO_PROCESS, pid) == niceness
        session = Path(f"/proc/{pid}/autogroup")  # where the kernel shares the processor out by sessions, theirs counts
        assert not session.exists() or session.read_text().endswith(f"nice {niceness}\n")

    _play(tmp_path, story)


def test_a_configuration_larger_than_any_pipe_arrives(tmp_path: Path) -> None:
    async def story(stage: _Stage) -> None:
        stage.start("print:read it all", "exit:0", ballast="x" * 3_000_000)
        await until(lambda: stage.exits)

        assert stage.exits[0].last_lines[-1] == "read it all"

    _play(tmp_path, story)


def test_one_instance_is_never_started_twice(tmp_path: Path) -> None:
    async def story(stage: _Stage) -> None:
        stage.start("wait")

        with pytest.raises(RoleError, match="runs already"):
            stage.start("wait", generation=2)

        assert stage.supervisor.running()["poet/1"].generation == 1

    _play(tmp_path, story)


def test_an_artists_folder_never_hides_our_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent started in an artwork's folder has the artist's `roles.py`, or worse, in its working directory."""
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong json')")
    monkeypatch.chdir(tmp_path)

    async def story(stage: _Stage) -> None:
        stage.start("exit:7")
        await until(lambda: stage.exits)

        assert stage.exits[0].code == 7

    _play(tmp_path, story)


def test_a_role_whose_log_cannot_be_written_plays_without_one(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("in the way")

    async def story(stage: _Stage) -> None:
        stage.start("print:unheard", "exit:3")
        await until(lambda: stage.exits)

        assert stage.exits[0].code == 3
        assert "plays without one" in stage.troubles[0]

    _play(tmp_path, story)


def _orphan() -> subprocess.Popen[bytes]:
    """A host that outlived its agent, as far as anyone can see from outside."""
    code = "import signal; signal.pause()"
    return subprocess.Popen([sys.executable, "-c", code, "mesh.shell.host"], start_new_session=True)


def test_a_role_of_an_earlier_agent_is_adopted_watched_and_stopped(tmp_path: Path) -> None:
    orphan = _orphan()

    async def story(stage: _Stage) -> None:
        await until(lambda: stage.supervisor.adopt("poet/1", 6, orphan.pid))
        assert stage.supervisor.adopt("poet/1", 6, orphan.pid)
        assert stage.supervisor.running()["poet/1"].adopted

        stage.supervisor.stop("poet/1")
        await until(lambda: stage.exits)

        end = stage.exits[0]
        assert (end.generation, end.pid, end.code, end.asked) == (6, orphan.pid, None, True)

    _play(tmp_path, story)
    assert orphan.wait() == -signal.SIGTERM


def test_nothing_but_a_roles_host_is_adopted(tmp_path: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], start_new_session=True)

    async def story(stage: _Stage) -> None:
        for pid in (other.pid, os.getpid(), os.getppid(), 1, 2**22 + 5, 2**40):
            assert not stage.supervisor.adopt("poet/1", 1, pid), pid

    try:
        _play(tmp_path, story)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_an_agent_that_leaves_its_roles_lets_them_play_on(tmp_path: Path) -> None:
    async def leaving(stage: _Stage) -> None:
        stage.start("print:here", "wait")
        await stage.printed("here")
        pids.append(stage.supervisor.running()["poet/1"].pid)

        stage.supervisor.abandon()

    pids: list[int] = []
    stage = _play(tmp_path, leaving)

    assert stage.exits == []
    assert _lives(pids[0])
    os.kill(pids[0], signal.SIGKILL)
    os.waitpid(pids[0], 0)


def test_a_role_that_prints_without_end_does_not_fill_the_disk(tmp_path: Path) -> None:
    async def story(stage: _Stage) -> None:
        stage.start("flood:2500000", "print:after", "wait")
        await stage.printed("after")
        stage.logs.rotate_large()

        path = stage.logs.path("poet/1")
        assert path.stat().st_size == 0
        assert "end of the flood" in stage.logs.tail("poet/1", 3)

    _play(tmp_path, story)


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
