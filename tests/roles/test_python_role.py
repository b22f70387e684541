"""A function of the deployment's as a role: what it is given, where what it returns goes, and how its mistakes are said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mesh.errors import RoleError
from mesh.role import Frame
from roles.inference.python import Python
from tests.roles.stage import Recorder, put_on

CODE = """
import neighbour

def loud(value):
    return value.upper()

def brightness(value, frame):
    return {"mean": float(value.mean()), "at": frame.captured_s}

def dark(picture):
    return picture // 2

def words(value):
    yield from value.split()

def counted(value, frame, role):
    role.kept["n"] += 1
    return role.kept["n"] if role.kept["n"] % 2 else None

def begin(role):
    return {"n": neighbour.FIRST}

def both(value):
    return {"text": value, "vector": [1.0]}

def strange(value):
    return object()
"""


def play(folder: Path, function: str, *values: Any, **options: Any) -> tuple[Any, Recorder]:
    (folder / "functions.py").write_text(CODE)
    (folder / "neighbour.py").write_text("FIRST = 4\n")
    role, stage = put_on(Python, folder, function=f"./functions.py:{function}", **options)
    role.setup()
    for value in values:
        role.on_value(Frame(value, captured_s=2.5))
    return role, stage


def test_what_a_function_returns_goes_out_on_the_stream_of_its_type(tmp_path: Path) -> None:
    picture = np.full((2, 2, 3), 100, np.uint8)
    assert play(tmp_path, "loud", "hello")[1].emitted == [("text", "HELLO", False, 2.5)]
    assert play(tmp_path, "brightness", picture)[1].values("event") == [{"mean": 100.0, "at": 2.5}]
    assert play(tmp_path, "dark", picture)[1].values("image")[0].max() == 50
    assert play(tmp_path, "words", "a b c")[1].values("text") == ["a", "b", "c"]
    _, stage = play(tmp_path, "both", "hello")
    assert (stage.values("text"), stage.values("vector")) == (["hello"], [[1.0]])


def test_what_is_begun_once_is_kept_and_nothing_returned_is_nothing_sent(tmp_path: Path) -> None:
    _, stage = play(tmp_path, "counted", 1, 1, 1, begin="./functions.py:begin")
    assert stage.values("event") == [5, 7]


def test_at_a_pace_of_its_own_only_the_newest_counts(tmp_path: Path) -> None:
    role, stage = play(tmp_path, "loud", "a", "b", every_s=0.5)
    assert role.tick() == 0.5 and role.tick() == 0.5
    assert stage.values("text") == ["B"]


@pytest.mark.parametrize("reference", ["./functions.py:laud", "./nowhere.py:f", "functions", "../functions.py:loud"])
def test_a_function_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path, reference: str) -> None:
    play(tmp_path, "loud")
    role, _ = put_on(Python, tmp_path, function=reference)
    with pytest.raises(RoleError) as fault:
        role.setup()
    assert fault.value.where == "option function" and fault.value.instead
    if "laud" in reference:
        assert "loud" in fault.value.instead


def test_what_cannot_travel_is_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(RoleError) as fault:
        play(tmp_path, "strange", 1)
    assert "object" in fault.value.what
