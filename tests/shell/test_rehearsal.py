"""A whole room on this computer, as its users start it: real agents, real mDNS, real sockets, real processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.shell.pieces import DEPLOYMENT, ROLES, small_piece
from tests.shell.until import until

ROOMFUL = [sys.executable, "-m", "mesh.cli.entry"]


def rehearse(folder: Path, *options: str, timeout_s: float = 90) -> tuple[int, list[dict[str, Any]], str]:
    """Runs a rehearsal to its end: exit code, its JSON lines, what it wrote to stderr."""
    done = subprocess.run([*ROOMFUL, "rehearse", str(folder), "--json", "--headless", *options],
                          capture_output=True, text=True, timeout=timeout_s, check=False)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def test_a_small_room_plays_and_its_summary_adds_up(tmp_path: Path) -> None:
    # Given an artwork for three machines, when it is rehearsed for a while
    code, lines, errors = rehearse(small_piece(tmp_path / "piece"), "--for", "10")
    # Then everything played, on three machines, and no request was lost
    assert code == 0, errors
    summary = lines[-1]
    assert summary["event"] == "summary"
    assert {name: role["state"] for name, role in summary["roles"].items()} == dict.fromkeys(
        ("drift", "words", "poet/1", "poet/2", "wall@c"), "playing")
    assert summary["roles"]["drift"]["machine"] == "a" and summary["roles"]["wall@c"]["machine"] == "c"
    assert all(summary["frames"][stream] > 0 for stream in ("drift.number", "words.line", "poet.verse"))
    requests = summary["requests"]
    assert requests["asked"] == requests["answered"] + requests["cancelled"] + requests["lost"] + requests["open"]
    assert requests["answered"] > 0 and requests["lost"] == 0
    # And the machines met over mDNS alone: everyone saw everyone
    met = {(line["seen_by"], line["name"]) for line in lines if line["event"] == "node_up"}
    assert met == {(one, other) for one in "abc" for other in "abc" if one != other}


def test_more_machines_than_the_file_names_are_spares(tmp_path: Path) -> None:
    code, lines, errors = rehearse(small_piece(tmp_path / "piece"), "--for", "8", "--machines", "4")
    assert code == 0, errors
    assert "spare-1" in {line["name"] for line in lines if line["event"] == "node_up"}


def test_a_role_plays_where_the_file_says_that_there_is_what_it_needs(tmp_path: Path) -> None:
    # Given a role that likes a best, and needs a camera and memory, of which the file says that a and b have too little
    text = DEPLOYMENT.replace("a: {}", "a: {has: {camera: false}}").replace("b: {}", "b: {has: {memory: 50MB}}")
    text = text.replace("on: [a, any]", "on: [a, any], needs: {camera: true, memory: 60MB}")
    # When it is rehearsed, on a computer that has enough of both for all, then it plays on the third
    code, lines, errors = rehearse(small_piece(tmp_path / "piece", deployment=text), "--for", "10")
    assert code == 0, errors
    assert lines[-1]["roles"]["drift"]["machine"] == "c"


def test_an_invalid_deployment_is_refused_before_anything_starts(tmp_path: Path) -> None:
    folder = small_piece(tmp_path / "piece")
    (folder / "deployment.yaml").write_text("installation: x\nrols: {}\n")
    code, lines, errors = rehearse(folder, "--for", "1")
    assert code == 2 and not lines
    assert "deployment.yaml:2:1" in errors and "Traceback" not in errors


def test_a_role_that_cannot_start_is_named_with_its_reason_and_the_exit_code_says_so(tmp_path: Path) -> None:
    broken = ROLES.replace("self.count = 0", "raise RuntimeError('no counter here')")
    code, lines, errors = rehearse(small_piece(tmp_path / "piece", roles=broken), "--for", "8")
    assert code == 1 and "drift" in errors and "Traceback" not in errors
    said = [line for line in lines if line["event"] in ("role_failed", "role_state") and line.get("instance") == "drift"]
    assert any("no counter here" in json.dumps(line) for line in said)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A rehearsal that plays until it is stopped."""
    folder = small_piece(tmp_path / "piece")
    process = subprocess.Popen([*ROOMFUL, "rehearse", str(folder), "--json", "--headless"], stdout=subprocess.PIPE, text=True,
                               env={**os.environ, "ROOMFUL_HOME": str(tmp_path / "home")})
    yield process, folder
    if process.poll() is None:
        process.kill()
    process.communicate()


def wait_for(process: subprocess.Popen[str], wanted: set[str]) -> None:
    """Reads events until every wanted instance plays."""
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "role_state" and event["state"] == "playing":
            wanted.discard(event["instance"])
        if not wanted:
            return
    raise AssertionError(f"the rehearsal ended before {wanted} played")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_however_a_rehearsal_ends_no_process_is_left(running: tuple[subprocess.Popen[str], Path], how: signal.Signals) -> None:
    # Given a room that plays
    process, _ = running
    wait_for(process, {"wall@c", "drift"})
    family = psutil.Process(process.pid).children(recursive=True)
    assert len(family) >= 3 + 2
    # When the rehearsal is ended, politely or not
    process.send_signal(how)
    process.communicate(timeout=30)
    # Then nothing of it runs any more
    asyncio.run(until(lambda: not [each for each in family if each.is_running() and each.status() != psutil.STATUS_ZOMBIE], 20))


def test_status_and_logs_find_a_running_rehearsal(running: tuple[subprocess.Popen[str], Path], tmp_path: Path) -> None:
    process, _ = running
    wait_for(process, {"wall@c", "words"})
    env = {**os.environ, "ROOMFUL_HOME": str(tmp_path / "home")}

    def ask(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*ROOMFUL, *arguments], capture_output=True, text=True, env=env, timeout=60, check=False)

    said = json.loads(ask("status", "--json").stdout)
    assert said["roles"]["drift"]["machine"] == "a"  # a real room may be heard on this computer too, as strangers
    assert {said["machines"][name]["health"] for name in ("a", "b", "c")} == {"alive"}
    asyncio.run(until(lambda: "wall: " in ask("logs", "wall").stdout, 20))
    unknown = ask("logs", "wal")
    assert unknown.returncode == 1 and "Did you mean 'wall'" in unknown.stderr


def test_a_verb_with_no_room_to_talk_to_says_so_with_exit_code_3(tmp_path: Path) -> None:
    env = {**os.environ, "ROOMFUL_HOME": str(tmp_path / "nobody"), "TMPDIR": str(tmp_path)}
    done = subprocess.run([*ROOMFUL, "status"], capture_output=True, text=True, env=env, timeout=60, check=False)
    assert done.returncode == 3 and "there is no room to talk to" in done.stderr and "roomful agent" in done.stderr


def test_all_machines_show_one_time_also_to_roles_that_were_starting_when_it_began(tmp_path: Path) -> None:
    roles = '''
"""One that notes the time."""
import time

from mesh.role import Role


class Hand(Role):
    """Notes the room's time, less the computer's own, again and again."""

    def tick(self):
        (self.state_folder / "time").write_text(str(self.now_s() - time.monotonic()))
        return 0.05
'''
    deployment = 'installation: hands\nmachines: {a: {}, b: {}, c: {}}\nroles:\n  hand: {kind: "./roles.py:Hand", each: [a, b, c]}\n'
    folder = small_piece(tmp_path / "piece", deployment=deployment, roles=roles)
    room = subprocess.Popen([sys.executable, "-m", "mesh.cli.entry", "rehearse", str(folder), "--headless"], stdout=subprocess.DEVNULL,
                            env={**os.environ, "TMPDIR": str(tmp_path)})
    try:

        def together() -> bool:
            shown = [float(text) for path in tmp_path.glob("**/roles/*/time") if (text := path.read_text())]
            return len(shown) == 3 and min(shown) > 1e9 and max(shown) - min(shown) < 0.05

        asyncio.run(until(together, within_s=60.0))
    finally:
        room.terminate()
        room.wait()
