"""What a node remembers survives the power cut, whichever byte it comes at."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.shell.storage import Identity, StorageError, Store, home, read_identity

OLD, NEW = {"epochs": {"poet/1": 3}}, {"epochs": {"poet/1": 4, "eye": 1}, "said": "võib-olla"}
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def _written_twice(folder: Path) -> Path:
    store = Store(folder)
    store.write("known", OLD)
    store.write("known", NEW)
    return folder / "known.json"


@given(value=_json)
def test_what_was_written_is_read(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    store = Store(tmp_path_factory.mktemp("store"))

    store.write("value", value)

    assert store.read("value", "absent") == value
    assert store.damaged == []


def test_what_was_never_written_is_the_default(tmp_path: Path) -> None:
    store = Store(tmp_path / "none")

    assert store.read("value", 7) == 7
    assert store.damaged == []


def test_a_file_cut_at_any_byte_gives_the_new_or_the_old_value(tmp_path: Path) -> None:
    path = _written_twice(tmp_path)
    whole = path.read_bytes()

    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        store = Store(tmp_path)

        assert store.read("known") == OLD, length
        assert len(store.damaged) == 1


def test_a_file_garbled_at_any_byte_gives_the_old_value(tmp_path: Path) -> None:
    path = _written_twice(tmp_path)
    whole = path.read_bytes()

    for at in range(len(whole)):
        for flipped in (0x01, 0x80, 0xFF):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ flipped]) + whole[at + 1 :])

            assert Store(tmp_path).read("known") == OLD, at


def test_a_file_with_more_behind_it_gives_the_old_value(tmp_path: Path) -> None:
    path = _written_twice(tmp_path)
    path.write_bytes(path.read_bytes() + b"\0" * 512)

    assert Store(tmp_path).read("known") == OLD


@pytest.mark.parametrize("left", [{"known.json.previous"}, {"known.json"}, {"known.json", "known.json.previous"}])
def test_a_cut_between_any_two_steps_of_a_write_leaves_a_whole_value(tmp_path: Path, left: set[str]) -> None:
    """The steps: the new value beside, the old one aside, the new one in its place."""
    _written_twice(tmp_path)
    (tmp_path / "known.json.part").write_bytes(b"roomful-sto")
    for path in list(tmp_path.iterdir()):
        if path.name not in left | {"known.json.part"}:
            path.unlink()

    store = Store(tmp_path)

    assert store.read("known") == (NEW if "known.json" in left else OLD)
    store.write("known", "after")
    assert store.read("known") == "after"


def test_when_both_are_damaged_it_says_so_and_begins_afresh(tmp_path: Path) -> None:
    path = _written_twice(tmp_path)
    path.write_bytes(b"")
    path.with_name("known.json.previous").write_bytes(b"\xff" * 100)
    store = Store(tmp_path)

    assert store.read("known", "afresh") == "afresh"
    assert "begun afresh" in store.damaged[0]
    store.write("known", NEW)
    assert store.read("known") == NEW


def test_a_damaged_value_does_not_push_out_the_good_one_before_it(tmp_path: Path) -> None:
    path = _written_twice(tmp_path)
    path.write_bytes(b"damaged")

    Store(tmp_path).write("known", "newest")
    path.write_bytes(b"damaged again")

    assert Store(tmp_path).read("known") == OLD


def test_a_process_killed_while_it_writes_leaves_a_value_that_was_written(tmp_path: Path) -> None:
    writer = (
        "import sys, pathlib; from mesh.shell.storage import Store\n"
        f"store = Store(pathlib.Path({str(tmp_path)!r}))\n"
        "for number in range(10**9):\n"
        "    store.write('count', {'number': number, 'ballast': 'x' * 5000})\n"
        "    if number % 20 == 0: print(number, flush=True)\n"
    )
    for _ in range(5):
        process = subprocess.Popen([sys.executable, "-c", writer], stdout=subprocess.PIPE)
        assert process.stdout is not None
        told = int([process.stdout.readline() for _ in range(3)][-1])
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()

        kept = Store(tmp_path).read("count")

        assert kept["number"] >= told
        assert kept["ballast"] == "x" * 5000


def test_a_disk_that_refuses_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(StorageError, match="could not be written") as raised:
        Store(tmp_path / "file").write("value", 1)

    assert "ROOMFUL_HOME" in raised.value.instead


def test_a_full_disk_keeps_the_value_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    store.write("value", 1)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left on device"):
        store.write("value", 2)

    assert store.read("value") == 1
    assert sorted(each.name for each in tmp_path.iterdir()) == ["value.json"]


@pytest.mark.parametrize("key", ["", "../up", "a/b", ".hidden", "x" * 101])
def test_a_key_never_leaves_the_folder(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="not a key of the store"):
        Store(tmp_path).write(key, 1)


def test_a_node_keeps_its_id_and_counts_its_lives(tmp_path: Path) -> None:
    first = read_identity(Store(tmp_path), name="door")
    second = read_identity(Store(tmp_path))
    third = read_identity(Store(tmp_path), name="shelf")

    assert first == Identity(first.node, 1, "door")
    assert second == Identity(first.node, 2, "door")
    assert third == Identity(first.node, 3, "shelf")


def test_a_life_counted_on_a_damaged_disk_is_above_every_earlier_one(tmp_path: Path) -> None:
    for _ in range(4):
        last = read_identity(Store(tmp_path))
    (tmp_path / "node.json").write_bytes(b"cut")

    after = read_identity(Store(tmp_path))

    assert after.node == last.node
    assert after.incarnation > last.incarnation


@pytest.mark.parametrize("kept", [[], {"node": 5}, {"node": "x" * 32}, {"node": "0" * 32, "incarnation": "many"}])
def test_an_identity_that_makes_no_sense_is_made_anew(tmp_path: Path, kept: Any) -> None:
    Store(tmp_path).write("node", kept)

    identity = read_identity(Store(tmp_path))

    assert len(identity.node) == 32
    assert identity.incarnation == 1


def test_home_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ROOMFUL_HOME", str(tmp_path))

    assert home() == tmp_path
