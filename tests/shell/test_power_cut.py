"""The power goes at any byte of any file: a node starts from what is left, and never as somebody it was before."""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mesh.core.messages import Claim
from mesh.core.node import SAVED, Node
from mesh.core.parts import Part
from mesh.shell.kept import KeptParts
from mesh.shell.keys import KeyFileError, load_key, new_key, parse_key, save_key, throwaway_key
from mesh.shell.seeds import remembered
from mesh.shell.storage import Store, read_identity
from tests.core.cases import record
from tests.shell.pieces import small_piece
from tests.shell.test_rehearsal import ROOMFUL

# What an agent keeps, as it was before the last write and after it.
KEPT: dict[str, tuple[Any, Any]] = {
    "order": ([1, "up", "x"], [2, "down", "y"]),
    "epochs": ({"eye": 3}, {"eye": 4, "poet/1": 1}),
    "returns": (1, 2),
    "incarnation": (4, 5),
    "peers": ([], [["n1", "b1", 1, "shelf", ["10.0.0.2"], 1, 2, "h", 1]]),
    "folder": ("/before", "/after"),
}


def cuts(path: Path, use: Callable[[int], None]) -> None:
    """Calls `use` with the file cut at every byte, a half-written file beside it, and puts it back."""
    whole = path.read_bytes()
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        path.with_name(path.name + ".part").write_bytes(whole[: length // 2])
        use(length)
    path.write_bytes(whole)


@pytest.mark.parametrize("key", sorted(KEPT))
def test_each_kept_value_cut_at_any_byte_is_the_last_one_or_the_one_before(tmp_path: Path, key: str) -> None:
    before, after = KEPT[key]
    Store(tmp_path).write(key, before)
    Store(tmp_path).write(key, after)
    path = tmp_path / f"{key}.json"
    size = path.stat().st_size

    def start(length: int) -> None:
        store = Store(tmp_path)
        assert store.read(key) == (after if length == size else before)
        # And a node starts from it
        Node(record("door"), 0.0, saved={name: store.read(name) for name in SAVED})
        list(remembered(store.read("peers", [])))

    cuts(path, start)


def test_an_identity_cut_at_any_byte_is_the_same_node_in_a_later_life_than_any_it_told(tmp_path: Path) -> None:
    told = [read_identity(Store(tmp_path), name="door") for _ in range(3)][-1]
    kept = shutil.copytree(tmp_path, tmp_path.with_name("kept"))
    path = kept / "node.json"

    def start(length: int) -> None:
        life = tmp_path.with_name("life")
        shutil.rmtree(life, ignore_errors=True)
        after = read_identity(Store(shutil.copytree(kept, life)))
        assert (after.node, after.name) == (told.node, "door")
        assert after.incarnation > told.incarnation, length

    cuts(path, start)


def test_an_agent_reads_back_all_that_its_mind_kept(tmp_path: Path) -> None:
    # Given the keys under which the deciding modules keep anything for their next life
    core = Path(inspect.getfile(Node)).parent
    kept = {key for path in core.glob("*.py") for key in re.findall(r'\bSave\("([a-z]+)"', path.read_text())}
    assert {"order", "epochs", "returns", "history"} <= kept
    # Then a node takes each from what it is given, but for those that the shell itself makes use of
    assert kept - set(SAVED) == {"incarnation", "peers", "installation"}


@pytest.mark.parametrize("damaged", [False, True])
def test_a_number_raised_in_mid_life_is_not_told_again_in_the_next(tmp_path: Path, damaged: bool) -> None:
    # Given a node that refuted its death twice, and so told others of a higher number than it began with
    store = Store(tmp_path)
    assert read_identity(store).incarnation == 1
    for number in (7, 12):
        store.write("incarnation", number)
    if damaged:
        (tmp_path / "incarnation.json").write_bytes(b"roomful")
    # Then its next life is above that, whether or not the last number can be read
    assert read_identity(Store(tmp_path)).incarnation > 12


def test_a_key_cut_at_any_byte_is_known_as_damaged_and_the_right_one_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "key"
    key = new_key(path)
    whole = path.read_bytes()
    for length in range(len(whole) - 1):  # the last byte ends the line
        path.write_bytes(whole[:length])
        with pytest.raises(KeyFileError):
            load_key(path)
    with pytest.raises(KeyFileError, match="a file is there already that is no key") as raised:
        save_key(path, key)
    assert "remove it" in raised.value.instead
    assert parse_key(whole.decode()) == key


def test_a_key_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def cut(descriptor: int) -> None:
        seen.extend(path.name for path in tmp_path.iterdir())
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", cut)
    with pytest.raises(KeyFileError, match="Input/output error"):
        save_key(tmp_path / "key", throwaway_key())
    assert "key" not in seen and list(tmp_path.iterdir()) == []


def test_the_list_of_processes_cut_at_any_byte_adopts_nobody_or_all_and_none_after_a_power_cut(tmp_path: Path) -> None:
    parts = [Part(Claim(f"poet/{number}", 4, "holder", "playing", 2, 1, 2, 4711 + number)) for number in (1, 2)]
    path = tmp_path / "parts.json"
    KeptParts(path, "this-boot").write(parts)
    size = path.stat().st_size

    def start(length: int) -> None:
        found = [claim.pid for claim, _ in KeptParts(path, "this-boot").read()]
        assert found == ([4712, 4713] if length == size else [])
        assert list(KeptParts(path, "next-boot").read()) == []

    cuts(path, start)


def run_once(home: Path, piece: Path) -> dict[str, Any]:
    """A real agent, started on this state folder and ended cleanly: what it said when it had started."""
    run = home.parent / "run"
    run.mkdir(exist_ok=True)
    command = [*ROOMFUL, "agent", str(piece), "--name", "a", "--key", str(home.parent / "key"), "--rehearsal", "--run", str(run), "--json"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env={**os.environ, "ROOMFUL_HOME": str(home)})
    assert process.stdout is not None
    first = process.stdout.readline()
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0 and "Traceback" not in errors, errors
    said: dict[str, Any] = json.loads(first)
    return said


@pytest.mark.parametrize("left", [0.0, 0.5, 0.99])
@pytest.mark.parametrize("what", ["the last values", "everything"])
def test_a_real_agent_starts_from_files_that_are_cut(tmp_path: Path, left: float, what: str) -> None:
    # Given the state of an agent that has lived twice
    home, piece = tmp_path / "home", small_piece(tmp_path / "piece")
    new_key(tmp_path / "key")
    first = [run_once(home, piece) for _ in range(2)][-1]
    # When the power goes, and files are cut
    for path in home.glob("*.json*"):
        if what == "everything" or path.suffix == ".json":
            whole = path.read_bytes()
            path.write_bytes(whole[: int(len(whole) * left)])
            path.with_name(path.name + ".part").write_bytes(whole[: int(len(whole) * left / 2)])
    # Then it starts: as the node it was, unless both copies of that are gone
    again = run_once(home, piece)
    assert (again["node"] == first["node"]) == (what == "the last values")
    assert again["machine"] == "a"
