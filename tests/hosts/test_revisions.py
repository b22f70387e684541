"""A room that is sent its work: started with nothing, updated while it plays, and with a machine that was off meanwhile."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mesh.cli.up import differences
from tests.hosts.pieces import streams_piece
from tests.hosts.room import Room

NAMES = ("a", "b", "c")
SOON_S = 20.0


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = streams_piece(tmp_path / "piece", NAMES)
    (folder / "models").mkdir()
    (folder / "models" / "big.bin").write_bytes(os.urandom(9_000_000))
    return folder


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    with Room(None, NAMES, tmp_path / "machines") as room:
        yield room


def begin(room: Room, work: Path) -> None:
    """Three machines that were started with a name and the key alone, and one `up`."""
    room.start(*NAMES)
    room.until(lambda: all(set(room.health(name)) >= set(NAMES) - {name} for name in NAMES), "everyone to have met")
    up(room, "a", str(work))
    room.until(room.plays, "everything to play", 2 * SOON_S)


def up(room: Room, at: str, *arguments: str) -> dict[str, Any]:
    done = room.run(at, "up", *arguments, "--yes", "--json")
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{room.story()}"
    return dict(json.loads(done.stdout))


def played(room: Room, *names: str) -> set[tuple[int, str]]:
    return {tuple(room.ask(name, "revisions")["playing"]) for name in names or NAMES}


def edit(work: Path, old: str = "self.count += 1", new: str = "self.count += 1 + 0") -> None:
    (work / "roles.py").write_text((work / "roles.py").read_text().replace(old, new))


def test_machines_started_with_a_name_and_a_key_play_what_one_of_them_is_given(room: Room, work: Path) -> None:
    # Given three machines without a folder, which say what they wait for
    begin(room, work)
    assert any("waits for `roomful up" in each["what"] for each in room.machines["b"].said("trouble"))
    first = played(room)
    assert len(first) == 1 and next(iter(first))[0] == 1
    # When an artist changes one class while the room plays, and sends it from another machine
    pids = room.pids()
    edit(work, "yield [self.settings", "yield [1 and self.settings")
    said = up(room, "b", str(work))
    # Then the roles of that class are started anew, and no other process changes
    assert said["restarted"] == ["echo"] and said["machines"] == list(NAMES) and said["sent_bytes"] < 100_000
    room.until(room.plays, "everything to play", SOON_S)
    after = room.pids()
    assert {each for each in pids if after[each] != pids[each]} == {"echo/1", "echo/2"}
    # And the one before can be gone back to, from any machine, without sending anything
    back = up(room, "c", "--rollback")
    assert back["sent_bytes"] == 0 and played(room) == {(3, next(iter(first))[1])}
    assert [tuple(each) for each in room.status("a")["kept"]] == [(2, said["revision"][1])]
    # And saying it once more changes nothing
    room.until(room.plays, "everything to play", SOON_S)
    pids = room.pids()
    assert room.run("a", "up").returncode == 0 and room.pids() == pids and not differences(room.status("a"), next(iter(first))[1])


def test_a_machine_that_was_off_catches_up_from_the_others_when_who_sent_it_is_gone(room: Room, work: Path) -> None:
    begin(room, work)
    # Given one machine without power, and two revisions that it missed
    room.power_off("c")
    room.until(lambda: room.health("a").get("c") == "dead", "c to be missed", SOON_S)
    for number in (1, 2):
        (work / "models" / "big.bin").write_bytes(os.urandom(5_000_000))
        said = up(room, "a", str(work))
        assert "c" in said["away"] and said["revision"][0] == 1 + number
    # When it comes back, and the machine at which they were sent dies meanwhile
    room.power_off("a")
    room.power_on("c")
    room.until(lambda: room.status("c") and played(room, "b", "c") == {tuple(said["revision"])}, "c to have caught up", 2 * SOON_S)
    # And what it plays is what was sent
    there = room.machines["c"].home / "revisions" / said["revision"][1] / "models" / "big.bin"
    assert there.read_bytes() == (work / "models" / "big.bin").read_bytes()
    room.power_on("a")
    room.until(lambda: room.plays() and len(played(room)) == 1, "everything to play", 2 * SOON_S)


def test_a_machine_whose_cable_was_out_while_a_revision_was_on_its_way_plays_it_once_the_cable_is_back(room: Room, work: Path) -> None:
    # Given a room that plays, and cables that take some seconds for a model
    begin(room, work)
    for name in NAMES:
        room.network.narrows(name, 50)
    (work / "models" / "big.bin").write_bytes(os.urandom(20_000_000))
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(up, room, "a", str(work))
        # When a cable goes out after the first chunks have come there, for longer than until the machine is held dead
        room.until(lambda: room.ask("c", "revisions")["progress"].get("have", 0) >= 2, "the first chunks", SOON_S)
        room.unplug("c")
        room.until(lambda: room.health("a").get("c") == "dead", "it to be missed")
        room.network.plug("c")
        # Then it has the rest, and plays it like the others
        sending.result()
    room.until(lambda: len(played(room)) == 1 and next(iter(played(room)))[0] == 2, "all to play it", SOON_S)


def test_nothing_changes_when_one_machine_cannot_and_it_is_said_which_and_why(room: Room, work: Path) -> None:
    begin(room, work)
    before = played(room)
    # Given that something stands in the way on one machine
    (room.machines["b"].home / "revisions").rename(room.machines["b"].home / "aside")
    (room.machines["b"].home / "revisions").write_text("no folder")
    edit(work)
    done = room.run("a", "up", str(work), "--yes")
    assert done.returncode == 1 and "b cannot: the disk does not take it" in done.stderr and "Nothing was changed" in done.stderr
    assert played(room) == before
    assert "cannot" in room.status("a")["machines"]["b"]["why"]
    # When it is mended and said again, it goes on
    (room.machines["b"].home / "revisions").unlink()
    (room.machines["b"].home / "aside").rename(room.machines["b"].home / "revisions")
    said = up(room, "a", str(work))
    assert said["machines"] == list(NAMES) and len(played(room)) == 1


def test_a_folder_with_mistakes_never_leaves_this_computer(room: Room, work: Path) -> None:
    begin(room, work)
    before = played(room)
    (work / "roles.py").write_text("this is no Python")
    done = room.run("a", "up", str(work), "--yes")
    assert done.returncode == 2 and "roles.py" in done.stderr and played(room) == before
