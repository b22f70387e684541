"""Machines that have nothing but a cable, a key and a folder."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from mesh.shell.keys import throwaway_key
from tests.hosts.network import Network
from tests.hosts.pieces import streams_piece
from tests.hosts.room import Room

FIVE = ("a", "b", "c", "d", "e")


def test_five_machines_meet_over_mdns_alone(tmp_path: Path) -> None:
    # Given five machines that never met, with no address of one another
    with Room(streams_piece(tmp_path / "piece", FIVE), FIVE, tmp_path) as room:
        # When they are switched on
        room.start(*FIVE)
        # Then each has met all the others, at the addresses of the network between them
        room.until(lambda: all(len(room.machines[name].said("node_up")) == 4 for name in FIVE), "all to meet", 40)
        said = room.status("c")["machines"]
        assert {name: list(about["addresses"]) for name, about in said.items()} == {n: [a] for n, a in room.network.addresses.items()}
        assert {about["health"] for about in said.values()} == {"alive"}


def test_a_technician_brings_up_a_room_by_the_steps_of_the_readme(tmp_path: Path) -> None:
    # Given three machines with the folder and nothing else
    machines = ("a", "b", "c")
    folder = streams_piece(tmp_path / "piece", machines)
    with Room(folder, machines, tmp_path) as room:
        for name in machines:
            (tmp_path / name / "key").unlink()
        # When the key is made on one and typed on the others
        assert "roomful-key-1" in room.run("a", "key", "new").stdout
        shown = room.run("a", "key", "show").stdout
        for name in ("b", "c"):
            added = room.run(name, "key", "add", text=shown.lower())
            assert added.returncode == 0, added.stderr
        # And the agents are started, and the room is told to play
        room.start(*machines)
        room.until(lambda: all(len(room.machines[name].said("node_up")) == 2 for name in machines), "all to meet")
        up = room.run("b", "up", str(folder))
        assert up.returncode == 0 and up.stdout.startswith("streams is up on 3 machines: "), up
        # Then everything plays, and status says so on any of them with exit code 0
        room.until(lambda: room.run("c", "status").returncode == 0, "status to find nothing wrong", 40)
        assert "● alive" in room.run("a", "status").stdout
        assert room.run("c", "logs", "ear").stdout.startswith("ear@a on a")
        # And down lets it rest on all of them
        assert room.run("c", "down").returncode == 0
        room.until(lambda: not any(room.holders().values()), "every role to end")


def test_three_installations_at_once_do_not_mix(tmp_path: Path) -> None:
    # Given one network, and three works on it: two of one name with a key each, and two of one key with a name each
    keys = [throwaway_key(), throwaway_key()]
    works = {"ab": ("streams", keys[0]), "cd": ("streams", keys[1]), "ef": ("other-streams", keys[1])}
    with ExitStack() as stack:
        network = stack.enter_context(Network("abcdef"))
        rooms = []
        for names, (installation, key) in works.items():
            folder = streams_piece(tmp_path / names / "piece", tuple(names), installation=installation)
            rooms.append(stack.enter_context(Room(folder, tuple(names), tmp_path / names, network=network, key=key)))
        # When all play at once
        for room in rooms:
            room.start(*room.machines)
        for room in rooms:
            room.until(lambda: all(m.said("node_up") for m in room.machines.values()), "two to meet", 40)  # noqa: B023 - used at once
            room.ask(next(iter(room.machines)), "order", {"verb": "up"})
        # Then each plays on its own machines, and knows the others only as strangers
        for room in rooms:
            room.until(room.plays, "everything to play", 40)
            for name, machine in room.machines.items():
                assert {each["name"] for each in machine.said("node_up")} == set(room.machines) - {name}
                assert not [about for about in room.health(name).values() if about not in ("alive", "stranger")]
