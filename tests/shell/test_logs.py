"""What roles print is kept, bounded, and found again."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

import pytest

from mesh.shell.logs import Logs


def _print(logs: Logs, instance: str, *lines: str) -> None:
    descriptor = logs.open(instance)
    os.write(descriptor, "".join(f"{line}\n" for line in lines).encode())
    os.close(descriptor)


def test_the_last_lines_are_read_across_a_rotation(tmp_path: Path) -> None:
    logs = Logs(tmp_path, rotate_bytes=10)
    _print(logs, "poet/1", "one", "two", "three")

    assert logs.rotate_large() == ["poet/1"]
    _print(logs, "poet/1", "four")

    assert logs.tail("poet/1", 3) == ["two", "three", "four"]
    assert logs.tail("poet/1", 100) == ["one", "two", "three", "four"]
    assert logs.tail("poet/1", 0) == []


def test_a_writer_that_holds_the_file_open_writes_on_after_a_rotation(tmp_path: Path) -> None:
    logs = Logs(tmp_path, rotate_bytes=10)
    held = logs.open("eye")
    os.write(held, b"before the rotation\n")

    logs.rotate_large()
    os.write(held, b"after\n")
    os.close(held)

    assert logs.path("eye").read_text() == "after\n"
    assert logs.tail("eye", 2) == ["before the rotation", "after"]


def test_no_more_than_the_given_number_of_files_is_kept(tmp_path: Path) -> None:
    logs = Logs(tmp_path, rotate_bytes=10, keep=3)

    for number in range(9):
        _print(logs, "eye", f"line {number} of nine")
        logs.rotate_large()

    assert sorted(path.name for path in tmp_path.iterdir()) == ["eye.log", "eye.log.1", "eye.log.2"]
    assert logs.tail("eye", 99) == ["line 7 of nine", "line 8 of nine"]


def test_every_form_of_instance_has_its_own_log(tmp_path: Path) -> None:
    logs = Logs(tmp_path)
    instances = ["eye", "poet/1", "poet/2", "wall@left-wall"]

    for instance in instances:
        _print(logs, instance, f"I am {instance}")

    assert logs.names() == sorted(instances)
    assert [logs.tail(each) for each in instances] == [[f"I am {each}"] for each in instances]


@pytest.mark.parametrize("instance", ["", "..", "../up", "/etc", "a\0b"])
def test_an_instance_never_leaves_the_folder(tmp_path: Path, instance: str) -> None:
    with pytest.raises(ValueError, match="not an instance's name"):
        Logs(tmp_path).path(instance)


def test_bytes_that_are_no_text_and_lines_without_end_are_read(tmp_path: Path) -> None:
    logs = Logs(tmp_path)
    logs.path("eye").write_bytes(b"\xff\xfe caf\xc3\xa9\n" + b"x" * 500_000)

    lines = logs.tail("eye", 5)

    assert len(lines) == 1
    assert lines[0] == "x" * 2000


def test_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert Logs(tmp_path / "none").tail("eye") == []
    assert Logs(tmp_path / "none").names() == []


def test_following_gives_what_was_and_what_comes_across_a_rotation(tmp_path: Path) -> None:
    logs = Logs(tmp_path, rotate_bytes=4)
    _print(logs, "eye", "one", "two", "three")
    lines = logs.follow("eye", 2, poll_s=0.01)

    assert list(islice(lines, 2)) == ["two", "three"]
    _print(logs, "eye", "four")
    assert next(lines) == "four"
    logs.rotate_large()
    _print(logs, "eye", "five")
    assert next(lines) == "five"


def test_a_line_is_followed_whole_though_it_is_printed_in_pieces(tmp_path: Path) -> None:
    logs = Logs(tmp_path)
    _print(logs, "eye", "first")
    lines = logs.follow("eye", 1, poll_s=0.01)
    assert next(lines) == "first"
    with logs.path("eye").open("ab") as file:
        file.write(b"half ")
        file.flush()
        file.write(b"and half\nlast\n")

    assert list(islice(lines, 2)) == ["half and half", "last"]


def test_of_what_was_printed_at_once_no_more_than_the_end_is_kept(tmp_path: Path) -> None:
    # Given a role that printed far more than a file may hold before anybody looked
    logs = Logs(tmp_path, rotate_bytes=1000)
    _print(logs, "eye", *(f"line {number}" for number in range(100_000)))
    # When it is looked at, then the disk holds the end, from the beginning of a line, and it is said what is missing
    logs.rotate_large()
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 2000
    first, second, *_, last = logs.tail("eye", 5000)
    assert first.startswith("---- 1 MB") and second.startswith("line 999") and last == "line 99999"
