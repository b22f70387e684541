"""Editing while a rehearsal plays: the edited role plays at once, a mistake leaves the old one playing, and nobody else notices."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from mesh.core.spec import Deployment, RoleSpec
from mesh.shell.edits import Edits, own_files
from tests.shell.pieces import DEPLOYMENT, ROLES, small_piece
from tests.shell.rehearsed import Rehearsed
from tests.shell.until import until

EDITED = ROLES.replace("self.count += 1", "self.count += 1; self.say('edited')", 1)


def deployment(**options: Any) -> Deployment:
    roles = (
        RoleSpec("mood", "./roles.py:Mood"),
        RoleSpec("seen", "inference.onnx", options={"decode": "./decode.py:faces"}),
        RoleSpec("wall", "display.web", options={"page": "pages/wall.html"}, fallback={"text": "fallback/lines.txt"}),
        RoleSpec("clip", "sensing.recorded", options={"source": "day.mcap"}),
    )
    return Deployment("x", roles=roles)


def saved(folder: Path, path: str, text: str) -> None:
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.mark.parametrize(
    ("path", "roles"),
    [
        ("roles.py", {"mood"}), ("decode.py", {"seen"}), ("words.py", {"mood"}), ("pages/wall.css", {"wall"}),
        ("fallback/lines.txt", {"wall"}),
        ("day.mcap", {"clip"}), ("notes.txt", set()), ("other.py", set()), ("models/poet.gguf", set()), ("pages/.wall.html.swp", set()),
    ],
)  # fmt: skip
def test_a_saved_file_concerns_the_roles_that_are_made_of_it_and_no_others(tmp_path: Path, path: str, roles: set[str]) -> None:
    # Given a folder as it was
    for name, text in {"roles.py": "import words\n", "decode.py": "", "words.py": "", "pages/wall.html": ""}.items():
        saved(tmp_path, name, text)
    edits = Edits(tmp_path, deployment())
    assert edits.look() == {}
    # When one file is saved
    saved(tmp_path, path, "import words\nchanged = 1")
    # Then it counts once it has stayed the same for a look, and once only
    assert edits.look() == {} and set(edits.look()) == roles and edits.look() == {}


def test_a_file_that_is_gone_is_told_once_and_put_back_it_concerns_its_roles_again(tmp_path: Path) -> None:
    # Given a page that is shown
    saved(tmp_path, "pages/wall.html", "a")
    saved(tmp_path, "deployment.yaml", "")
    edits = Edits(tmp_path, deployment())
    # When it is taken away, which editors do for a moment as well
    (tmp_path / "pages/wall.html").unlink()
    assert (edits.look(), edits.gone) == ({}, {})
    # Then that is told at the second look, and once
    assert (edits.look(), edits.gone) == ({}, {"wall": "pages/wall.html"})
    assert (edits.look(), edits.gone) == ({}, {})
    # And put back it is shown again; the file of the whole room is missed as well
    saved(tmp_path, "pages/wall.html", "b")
    (tmp_path / "deployment.yaml").unlink()
    assert edits.look() == {} and edits.look() == {"wall": "pages/wall.html"}
    assert edits.gone == {"the room": "deployment.yaml"}


CODE = (
    "import random\nRATE = {rate}\ndef often(): return {often}\n"
    "class A(Role):\n    x = often()\nclass B(Role):\n    y = {b}\n"
)


@pytest.mark.parametrize(
    ("change", "roles"),
    [({"b": 3}, {"b"}), ({"often": 9}, {"a"}), ({"rate": 2}, {"a", "b"}), ({"b": "1  # a remark"}, set()), ({"b": "("}, {"a"})],
)
def test_of_the_roles_in_one_file_only_those_are_concerned_whose_code_has_changed(tmp_path: Path, change: Any, roles: set[str]) -> None:
    plain = {"rate": 1, "often": 1, "b": 1}
    saved(tmp_path, "roles.py", CODE.format(**plain))
    edits = Edits(tmp_path, Deployment("x", roles=(RoleSpec("a", "./roles.py:A"), RoleSpec("b", "./roles.py:B"))))
    saved(tmp_path, "roles.py", CODE.format(**plain | change) + "\n")
    edits.look()
    assert set(edits.look()) == roles


def test_a_role_s_own_files_are_its_kind_s_and_its_functions() -> None:
    assert own_files(RoleSpec("a", "./roles.py:A", options={"function": "./f/g.py:h", "text": "./page.html"})) == {"roles.py", "f/g.py"}


def hosts(pid: int) -> dict[int, str]:
    """The processes of roles under a rehearsal, holders' and standbys', with their instances."""
    found = {}
    for each in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if each.status() != psutil.STATUS_ZOMBIE and "mesh.shell.host" in each.cmdline():
                found[each.pid] = each.cmdline()[-1]
    return found


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Rehearsed]:
    rehearsed = Rehearsed(small_piece(tmp_path / "piece"), tmp_path / "home")
    yield rehearsed
    if rehearsed.process.poll() is None:
        rehearsed.process.kill()
    rehearsed.process.communicate()


def test_an_edited_role_plays_a_mistake_does_not_and_the_others_stay_as_they_were(room: Rehearsed) -> None:
    # Given a room that plays
    room.playing("drift", "words", "poet/1", "poet/2", "wall@c")
    before = hosts(room.process.pid)
    # When a mistake is saved
    (room.folder / "roles.py").write_text(ROLES.replace("self.count = 0", "self.count = nothing", 1))
    mistake = room.until(lambda event: event["event"] == "role_edit" and event["instance"] == "drift")
    # Then the artist reads where it is, with the traceback
    assert "nothing" in mistake["what"] and "roles.py" in mistake["traceback"]
    # When it is put right
    began_s = time.monotonic()
    (room.folder / "roles.py").write_text(EDITED)
    edit = room.until(lambda event: event["event"] == "role_edit" and event["instance"] == "drift" and not event["what"])
    assert edit["file"] == "roles.py"
    room.until(lambda event: event["event"] == "role_event" and event.get("what") == "edited")
    # Then the new one plays within a few seconds, no other process was touched, and none was started again for a crash
    assert time.monotonic() - began_s < 20
    asyncio.run(until(lambda: [name for pid, name in before.items() if pid not in hosts(room.process.pid)] == ["drift"], 20))
    assert len(hosts(room.process.pid)) == len(before)
    summary = room.end()
    assert {role["state"] for role in summary["roles"].values()} == {"playing"}
    assert all(role["restarts"] == 0 for role in summary["roles"].values())


OPTIONED = ROLES.replace("class Drift(Role):", "class Drift(Role):\n    class Options(Options):\n        start: int = 0\n").replace(
    "self.count = 0", "self.count = self.options.start\n        self.say(f'starts at {self.options.start}')").replace(
    "import Event, Role", "import Event, Options, Role")  # fmt: skip


def test_a_role_whose_options_changed_starts_again_with_them_alone_and_a_mistake_there_is_told(tmp_path: Path) -> None:
    # Given a room that plays
    text = DEPLOYMENT.replace('Drift", on', 'Drift", options: {start: 0}, on')
    room = Rehearsed(small_piece(tmp_path / "piece", deployment=text, roles=OPTIONED), tmp_path / "home")
    try:
        room.playing("drift", "words", "poet/1", "poet/2", "wall@c")
        before = hosts(room.process.pid)
        # When an option is written that there is not
        (room.folder / "deployment.yaml").write_text(text.replace("start: 0", "begin: 7"))
        mistake = room.until(lambda event: event["event"] == "role_edit")
        # Then that is told, and all plays on
        assert "begin" in mistake["what"] and mistake["file"] == "deployment.yaml"
        assert hosts(room.process.pid) == before
        # When another value is written, and another wire, which is not of the options
        (room.folder / "deployment.yaml").write_text(text.replace("start: 0", "start: 70").replace("copies: 2", "copies: 1"))
        later = room.until(lambda event: event["event"] == "role_edit")
        assert later["later"] and "begun anew" in later["what"]
        room.until(lambda event: event["event"] == "role_event" and event.get("what") == "starts at 70")
        room.until(lambda event: event["event"] == "role_edit" and (event["instance"], event["what"]) == ("drift", ""))
        # Then that role alone has another process
        asyncio.run(until(lambda: [name for pid, name in before.items() if pid not in hosts(room.process.pid)] == ["drift"], 20))
        assert len(hosts(room.process.pid)) == len(before)
    finally:
        room.end()


def test_a_role_that_could_not_play_from_the_start_plays_once_its_mistake_is_mended(tmp_path: Path) -> None:
    # Given a room whose one role is given up for a mistake in its code
    room = Rehearsed(small_piece(tmp_path / "piece", roles=ROLES.replace("self.count = 0", "self.count = nothing", 1)), tmp_path / "home")
    try:
        room.until(lambda event: event["event"] == "gave_up" and event["instance"] == "drift")
        # When the mistake is mended
        (room.folder / "roles.py").write_text(EDITED)
        # Then it plays
        room.until(lambda event: event["event"] == "role_event" and event.get("what") == "edited")
    finally:
        room.end()


SAYS = 'self.emit("line", f"I counted {frame.value}")'
SHOWN_LATE = ("self.emit('line', nothing)", "__import__('os')._exit(3)")


def test_a_mistake_that_shows_only_when_it_plays_brings_the_process_of_the_old_code_back(tmp_path: Path) -> None:
    # Given a room that plays
    good = ROLES.replace(SAYS, f"{SAYS}; self.say('I speak')")
    text = DEPLOYMENT.replace(", standby: hot", "")
    room = Rehearsed(small_piece(tmp_path / "piece", deployment=text, roles=good), tmp_path / "home")
    try:
        room.playing("drift", "words", "poet/1", "poet/2", "wall@c")
        before = hosts(room.process.pid)
        for mistake in SHOWN_LATE:
            # When code is saved that can be set up, and fails at what it handles
            (room.folder / "roles.py").write_text(ROLES.replace(SAYS, mistake))
            room.until(lambda event: event["event"] == "role_edit" and event["instance"] == "words" and not event["what"])
            back = room.until(lambda event: event["event"] == "role_edit" and event["instance"] == "words")
            # Then the artist reads why, their line first, and the process that played before plays again
            assert back["back"] and back["what"].startswith(("roles.py:25 in on_number: ", "ended with exit code 3")), back
            assert "border.py" not in back["traceback"]
            asyncio.run(until(lambda: hosts(room.process.pid) == before, 20))
            # And hears and speaks as before
            room.until(lambda event: event["event"] == "role_event" and event.get("what") == "I speak")
        # When the mistake is mended, that plays
        (room.folder / "roles.py").write_text(EDITED.replace("I counted", "now I counted"))
        room.until(lambda event: event["event"] == "role_event" and event.get("what") == "edited")
    finally:
        summary = room.end()
    assert {role["state"] for role in summary["roles"].values()} == {"playing"}
    assert all(role["restarts"] == 0 for role in summary["roles"].values()) and summary["requests"]["lost"] == 0
