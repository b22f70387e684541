"""A room of real hosts in which each machine was let in with secrets of its own, and one is shut out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.hosts.pieces import has_standbys, streams_piece
from tests.hosts.room import Room

MACHINES = ("a", "b", "c")


def test_a_stolen_machine_is_shut_out_of_a_room_that_plays_and_one_that_was_off_hears_of_it(tmp_path: Path) -> None:
    # Given a room that plays, whose key is kept on one machine and was typed on the others
    folder = streams_piece(tmp_path / "piece", MACHINES)
    with Room(folder, MACHINES, tmp_path) as room:
        key = (tmp_path / "a" / "key").read_text()
        for name in ("b", "c"):
            (tmp_path / name / "key").unlink()
            assert room.run(name, "key", "add", text=key).returncode == 0
            assert room.key.secret.hex() not in (tmp_path / name / "key").read_text()
        room.play()
        room.until(lambda: has_standbys(room), "the standbys", 40)
        before = room.pids()
        # When b is off and c is shut out
        room.power_off("b")
        room.until(lambda: room.plays("a", "c"), "the others to play everything", 40)
        revoked = room.run("a", "key", "revoke", "c")
        assert revoked.returncode == 0, revoked.stderr
        # Then a plays everything that can be played without c, in the processes that it had
        room.until(lambda: _health(room, "a").get("c") == "shut out", "c to be shut out", 20)
        room.until(lambda: room.plays("a"), "a to play everything", 40)
        assert [pid for name, pid in room.pids().items() if name == "ear@a"] == [pid for name, pid in before.items() if name == "ear@a"]
        # And c knows it, and plays alone
        room.until(lambda: "shut out" in _machine(room, "c", "c")["why"], "c to say so", 20)
        # And when b is back, which knows nothing of it, c gets no word in there either
        room.power_on("b")
        room.until(lambda: _health(room, "b").get("c") == "shut out" and _health(room, "b").get("a") == "alive", "b to hear of it", 60)
        room.until(lambda: room.plays("a", "b"), "a and b to play everything", 40)
        # And when c is let in anew, it is one of them again
        assert room.run("c", "key", "add", "--renew", text=key).returncode == 0
        room.stop("c")
        room.start("c")
        room.until(lambda: all(set(_health(room, name).values()) == {"alive"} for name in MACHINES), "all to be here", 60)
        room.until(room.plays, "everything to play", 40)


def _machine(room: Room, asked: str, name: str) -> dict[str, Any]:
    return dict(room.status(asked).get("machines", {}).get(name, {"why": ""}))


def _health(room: Room, name: str) -> dict[str, str]:
    return {each: str(said["health"]) for each, said in room.status(name).get("machines", {}).items()}


def test_a_member_cannot_shut_anybody_out_or_let_anybody_in(tmp_path: Path) -> None:
    # Given a machine that was let in
    folder = streams_piece(tmp_path / "piece", ("a", "b"))
    with Room(folder, ("a", "b"), tmp_path) as room:
        key = (tmp_path / "a" / "key").read_text()
        (tmp_path / "b" / "key").unlink()
        room.run("b", "key", "add", text=key)
        room.start("a", "b")
        room.until(lambda: set(_health(room, "a").values()) == {"alive"} and len(_health(room, "a")) == 2, "both to meet", 40)
        # When it tries to shut the owner out without the key, and to show the key
        revoked, shown = room.run("b", "key", "revoke", "a", text=""), room.run("b", "key", "show")
        # Then it cannot
        assert revoked.returncode != 0 and shown.returncode != 0
        listed = json.loads(room.run("b", "key", "list", "--json").stdout)
        assert {each["name"]: (each["owner"], each["shut_out"]) for each in listed["machines"]} == {"a": (True, False), "b": (False, False)}
