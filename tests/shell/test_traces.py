"""A failure as an artist reads it: their own lines and the message; ours are counted and left out."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mesh.errors import RoleError
from mesh.shell.border import Border, GivingUp
from mesh.shell.handlers import seconds
from mesh.shell.host_config import HostConfig
from mesh.shell.role_code import load_role
from mesh.shell.standing import Standing
from mesh.shell.traces import NO_MEMORY, words_of

OWN = '''
import json

def misses(frame):
    return {"many": 1}[frame]

def asks_us(border):
    border.call(misses, "few")
    raise OSError("after that")

def library(frame):
    json.loads("{")

def chain(frame):
    try:
        misses(frame)
    except KeyError as error:
        raise ValueError("no such mood") from error

def ends():
    raise SystemExit
'''


@pytest.fixture
def own(tmp_path: Path) -> Any:
    (tmp_path / "roles.py").write_text(OWN)
    spec = importlib.util.spec_from_file_location("own_roles", tmp_path / "roles.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def border(tmp_path: Path) -> tuple[Border, list[dict[str, Any]]]:
    told: list[dict[str, Any]] = []
    config = HostConfig("mood", "mood", "./roles.py:Mood", str(tmp_path), "node", "here", "x", "ipc://none", 1, 1, "", "")
    return Border(Standing(config), tmp_path, told.append, "mood"), told


def failing(border: Border, function: Callable[..., Any], *args: Any) -> dict[str, Any]:
    with pytest.raises(GivingUp) as given_up:
        border.begin(function, *args)
    return given_up.value.message


def test_an_artist_reads_their_own_line_and_the_message_and_none_of_our_lines(own: Any, border: Any, capsys: Any) -> None:
    words = failing(border[0], own.misses, "few")
    assert (words["what"], words["where"]) == ("KeyError: 'few'", "roles.py:5 in misses")
    assert 'return {"many": 1}[frame]' in words["traceback"] and "border.py" not in words["traceback"]
    assert words["traceback"].endswith("(Roomful's own lines are left out: 1)\n")
    assert "roomful logs mood" in words["instead"]
    # And so it stands in the log, with the place before all else
    assert capsys.readouterr().err.startswith("roles.py:5 in misses: KeyError: 'few'\nTraceback")


def test_what_an_artist_called_in_a_library_and_what_caused_it_is_shown_whole(own: Any, border: Any) -> None:
    assert "json/decoder.py" in failing(border[0], own.library, "x")["traceback"]
    chain = failing(border[0], own.chain, "few")
    assert "KeyError: 'few'" in chain["traceback"] and "the direct cause" in chain["traceback"]
    assert (chain["what"], chain["where"]) == ("ValueError: no such mood", "roles.py:18 in chain")


def test_ours_between_two_lines_of_theirs_is_left_out_too(own: Any, border: Any) -> None:
    words = failing(border[0], own.asks_us, border[0])
    assert words["what"] == "OSError: after that" and "border.py" not in words["traceback"]
    assert border[1][0]["what"] == "roles.py:5 in misses: KeyError: 'few'" and "misses" in border[1][0]["traceback"]


def test_a_fault_that_we_put_in_words_has_no_traceback_and_another_of_ours_has_all_of_it(border: Any) -> None:
    def absent() -> None:
        raise RoleError("no camera is there", where="option source", instead="plug it in")

    words = failing(border[0], absent)
    assert (words["what"], words["where"], words["instead"], words["traceback"]) == (
        "no camera is there", "option source", "plug it in", "")
    assert "border.py" in failing(border[0], lambda: {}["ours"])["traceback"]


def test_a_file_that_python_cannot_read_is_shown_at_its_line_without_the_way_there(tmp_path: Path, border: Any) -> None:
    (tmp_path / "roles.py").write_text("from mesh.role import Role\nclass Mood(Role:\n    pass\n")
    words = failing(border[0], load_role, "./roles.py:Mood", tmp_path)
    assert "Python cannot read this" in words["what"] and words["where"].endswith("roles.py:2")
    assert "class Mood(Role:" in words["traceback"] and "importlib" not in words["traceback"] and "^" in words["traceback"]


def test_an_exception_that_says_nothing_is_put_in_words() -> None:
    assert words_of(MemoryError()) == f"MemoryError: {NO_MEMORY}"
    assert words_of(AssertionError()) == "AssertionError" and words_of(KeyError("few")) == "KeyError: 'few'"


def test_a_method_that_cannot_be_called_is_named_by_its_line(own: Any, border: Any) -> None:
    border[0].call(own.misses)
    assert border[1][0]["what"].startswith("roles.py:4 in misses: TypeError: misses() missing 1 required positional argument")


def test_what_tick_returned_is_a_time_or_said_with_its_line(own: Any, tmp_path: Path) -> None:
    assert [seconds(each, own.misses, tmp_path) for each in (None, 2, -1)] == [None, 2.0, 0.0]
    for nonsense in ("soon", float("nan"), [1]):
        with pytest.raises(RoleError) as refused:
            seconds(nonsense, own.misses, tmp_path)
        assert refused.value.where == "roles.py:4 in misses" and "which is no time" in refused.value.what


def test_a_role_that_ends_itself_is_put_in_words(own: Any, border: Any) -> None:
    with pytest.raises(GivingUp) as given_up:
        border[0].call(own.ends)
    assert given_up.value.message["what"] == "it ended itself, by exit()" and given_up.value.message["where"] == "roles.py:21 in ends"
