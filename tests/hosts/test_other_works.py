"""Two works on one network that were given one key by mistake, on real hosts: found by mDNS, named on both sides, and kept apart."""

from __future__ import annotations

from pathlib import Path

from mesh.shell.keys import throwaway_key
from tests.hosts.network import Network
from tests.hosts.pieces import streams_piece
from tests.hosts.room import Room

KEY_NEW = "`roomful key new`"


def test_two_works_with_one_key_name_each_other_and_keep_their_own_revisions(tmp_path: Path) -> None:
    # Given two works of one machine each, on one network, with one key
    key = throwaway_key()
    house, garden = (
        streams_piece(tmp_path / name, [name], installation=f"work-of-{name}", carriers=name) for name in ("house", "garden")
    )
    with (
        Network(["house", "garden"]) as network,
        Room(house, ["house"], tmp_path / "one", network=network, key=key) as one,
        Room(garden, ["garden"], tmp_path / "other", network=network, key=key) as other,
    ):
        one.start("house")
        other.start("garden")
        # Then each names both works and both machines, and says what to do
        for room, name in ((one, "house"), (other, "garden")):
            room.until(lambda room=room, name=name: room.status(name).get("alarms"), "the alarm")
            (words,) = room.status(name)["alarms"]
            assert all(each in words for each in ("work-of-house", "work-of-garden", "(here, on", KEY_NEW)), words
            assert room.machines[name].said("alarm", what=words)
        # And a revision that one of them is sent, signed with that key, is nothing to the other
        before = other.ask("garden", "revisions")
        (house / "notes.txt").write_text("a new one\n")
        sent = one.run("house", "up", str(house), "--yes", "--json")
        assert sent.returncode == 0, sent.stderr
        assert one.ask("house", "revisions")["playing"][0] == 2
        after = other.ask("garden", "revisions")
        assert (after["playing"], after["offered"], after["ordered"]) == (before["playing"], before["offered"], before["ordered"])
        assert other.status("garden")["machines"]["house"]["health"] == "stranger"
