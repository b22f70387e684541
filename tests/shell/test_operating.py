"""What a technician does with a room that plays: take a machine out and back, bring a role home, see what happened."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.shell.pieces import small_piece
from tests.shell.test_rehearsal import ROOMFUL, wait_for


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A rehearsal that plays; the environment in which commands find it and no other."""
    folder = tmp_path_factory.mktemp("r")
    env = {**os.environ, "ROOMFUL_HOME": str(folder / "home"), "TMPDIR": str(folder), "COLUMNS": "120"}
    piece = small_piece(folder / "piece")
    process = subprocess.Popen([*ROOMFUL, "rehearse", str(piece), "--json", "--headless"], stdout=subprocess.PIPE, text=True, env=env)
    wait_for(process, {"wall@c", "drift", "words", "poet/1", "poet/2"})
    yield env
    process.terminate()
    process.communicate(timeout=30)
    assert not list((folder / f"roomful-{os.getuid()}").glob("small-piece-*"))


def ask(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """What a command says."""
    return subprocess.run([*ROOMFUL, *arguments], capture_output=True, text=True, env=env, timeout=90, check=False)


def roles(env: dict[str, str]) -> dict[str, Any]:
    """Who plays what."""
    found: dict[str, Any] = json.loads(ask(env, "status", "--json").stdout)["roles"]
    return found


def test_a_drained_machine_hands_over_and_a_role_comes_home_when_it_is_asked_to(room: dict[str, str]) -> None:
    # Given a room in which a counts, when a is drained
    before = roles(room)
    assert before["drift"]["machine"] == "a"
    drained = ask(room, "drain", "a", "--json")
    # Then what it played plays elsewhere, loaded before it ended there, and nothing else was started anew
    assert drained.returncode == 0, drained.stderr
    said = json.loads(drained.stdout)
    assert said["left"] == [] and said["moved"]["drift"] in ("b", "c")
    after = roles(room)
    assert {name: role["pid"] for name, role in after.items() if before[name]["machine"] != "a"} == {
        name: role["pid"] for name, role in before.items() if role["machine"] != "a"}
    assert "drained" in ask(room, "status").stdout
    # When it is taken back, then its role stays where it is until somebody asks for it
    assert ask(room, "undrain", "a").returncode == 0
    away = roles(room)
    assert away["drift"]["machine"] == said["moved"]["drift"] and away["drift"]["home"] == "a"
    assert all(role["home"] == role["machine"] for name, role in away.items() if name != "drift")
    restored = ask(room, "restore-role", "drift", "--json")
    assert restored.returncode == 0, restored.stderr
    assert json.loads(restored.stdout) == {"drift": {"from": said["moved"]["drift"], "to": "a"}}
    assert roles(room)["drift"]["machine"] == "a"
    # And one that is home already is said to be
    assert "is on a already" in ask(room, "restore-role", "drift").stdout


def test_events_tell_in_words_and_as_json_what_happened(room: dict[str, str]) -> None:
    words = ask(room, "events").stdout
    assert "b is here" in words and words.count("c is here") == 1  # two machines saw it
    lines = [json.loads(line) for line in ask(room, "events", "-n", "1000", "--json").stdout.splitlines()]
    assert {line["seen_by"] for line in lines} == {"a", "b", "c"} and all("age_s" in line and "machine" in line for line in lines)
    assert [line["age_s"] for line in lines] == sorted((line["age_s"] for line in lines), reverse=True)
    assert len(ask(room, "events", "-n", "2", "--json").stdout.splitlines()) == 2


def test_watch_tells_what_happens_meanwhile_from_every_machine(room: dict[str, str]) -> None:
    # Given somebody who watches, when a machine is drained meanwhile
    watching = subprocess.Popen([*ROOMFUL, "watch", "--json", "--for", "60"], stdout=subprocess.PIPE, text=True, env=room)
    assert watching.stdout is not None
    assert ask(room, "drain", "b").returncode == 0
    # Then it is told of it, by a machine that is not the one first asked
    for line in watching.stdout:
        event = json.loads(line)
        if event["event"] == "role_state" and event["state"] == "stopped" and event["seen_by"] == "b":
            break
    else:
        raise AssertionError("the end of b's roles was not told")
    watching.kill()
    watching.communicate()
    ask(room, "undrain", "b")


def test_what_is_not_there_is_said_in_words(room: dict[str, str]) -> None:
    unknown, role = ask(room, "drain", "bb"), ask(room, "restore-role", "drif")
    assert (unknown.returncode, role.returncode) == (1, 1)
    assert "there is no machine 'bb'" in unknown.stderr and "Did you mean `b`" in unknown.stderr
    assert "Did you mean `drift`" in role.stderr
