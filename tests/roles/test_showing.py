"""What a page shows: pure, so the passing of minutes is a number here."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mesh.role import Frame
from roles.display.showing import SAYINGS_MAX, STALLED_S, TEXT_CHARS_MAX, Showing, as_json


def piece(text: str, request: str | None = "poet:1:1", index: int = 0, more: bool = True, ended: str | None = None) -> Frame:
    return Frame(text, request=request, index=index, more=more, ended=ended, source="poet/1")


def shown(showing: Showing, stream: str = "line") -> list[str]:
    return [saying["text"] for saying in showing.snapshot()["texts"].get(stream, [])]


def test_pieces_grow_into_one_saying_and_a_repeat_changes_nothing() -> None:
    showing = Showing()
    assert showing.hear("line", piece("calm "), 0)[0]["piece"] == "calm "
    assert showing.hear("line", piece("calm "), 0) == []
    showing.hear("line", piece("dawn.", index=1, more=False), 1)
    assert showing.hear("line", piece("dawn.", index=1, more=False), 1) == []
    assert shown(showing) == ["calm dawn."]


def test_the_end_of_a_sentence_without_its_beginning_is_not_shown() -> None:
    showing = Showing()
    assert showing.hear("line", piece(" who left.", index=9, more=False), 0) == []
    assert shown(showing) == []


def test_two_poets_may_speak_at_once() -> None:
    showing = Showing()
    for index, (one, two) in enumerate([("a", "x"), ("b", "y")]):
        showing.hear("line", piece(one, "r:1", index), 0)
        showing.hear("line", piece(two, "r:2", index), 0)
    assert shown(showing) == ["ab", "xy"]


def test_a_cancelled_text_leaves_and_the_page_is_told() -> None:
    showing = Showing()
    showing.hear("line", piece("stale"), 0)
    told = showing.hear("line", piece("", index=1, more=False, ended="cancelled"), 1)
    assert told[0]["ended"] == "cancelled"
    assert shown(showing) == []


def test_a_text_whose_poet_died_is_given_up_after_a_while() -> None:
    showing = Showing()
    showing.hear("line", piece("the light is"), 0)
    assert showing.pass_time(STALLED_S - 1) == []
    assert showing.pass_time(STALLED_S + 1)[0]["ended"] == "failed"
    assert shown(showing) == []


def test_whole_texts_without_requests_are_each_a_saying() -> None:
    showing = Showing()
    for number in range(3):
        showing.hear("line", Frame(f"line {number}", number=number, source="words"), number)
    assert shown(showing) == ["line 0", "line 1", "line 2"]


def test_a_restarted_role_that_counts_from_the_start_is_heard() -> None:
    showing = Showing()
    first = showing.hear("line", piece("before", "mood:1:0", more=False), 0)
    again = showing.hear("line", piece("after", "mood:1:0", more=False), 9)
    assert again[0]["key"] != first[0]["key"]
    assert shown(showing) == ["before", "after"]


def test_only_the_latest_texts_are_kept_and_a_text_has_its_bounds() -> None:
    showing = Showing()
    for number in range(30):
        showing.hear("line", piece(str(number), f"r:{number}", more=False), number)
    assert shown(showing) == [str(number) for number in range(30 - SAYINGS_MAX, 30)]
    for index in range(10):
        showing.hear("line", piece("x" * 5000, "long", index), 40)
    assert len(shown(showing)[-1]) == TEXT_CHARS_MAX


def test_silence_brings_a_line_of_the_fallback_and_another_after_as_long() -> None:
    showing = Showing(fallback=("one", "two"), quiet_s=30)
    showing.hear("line", piece("hello.", more=False), 100)
    assert showing.pass_time(129) == []
    assert showing.pass_time(131)[0]["piece"] == "one"
    assert showing.pass_time(140) == []
    assert [showing.pass_time(second)[0]["piece"] for second in (161, 192)] == ["two", "one"]
    assert shown(showing) == ["hello.", "one", "two", "one"]
    showing.hear("line", piece("back.", "r:2", more=False), 200)
    assert showing.pass_time(229) == []


def test_a_single_line_of_the_fallback_stands_once_and_again_after_a_text_that_was_lost() -> None:
    showing = Showing(("listening",), quiet_s=30)
    assert [sum(len(showing.pass_time(float(second))) for second in range(200)), shown(showing, "")] == [1, ["listening"]]
    showing.hear("line", piece("calm dawn.", more=False), 200)
    for second in range(200, 400):
        showing.pass_time(float(second))
    assert shown(showing) == ["calm dawn.", "listening"]


def test_a_display_that_starts_shows_its_fallback_at_once_unless_it_remembers() -> None:
    assert Showing(fallback=("one",)).pass_time(5)[0]["piece"] == "one"
    remembering = Showing(fallback=("one",), quiet_s=30)
    remembering.recall({"texts": {"line": [["k", "yesterday"]]}})
    assert remembering.pass_time(5) == []
    assert remembering.pass_time(36)[0]["piece"] == "one"


def test_without_a_fallback_the_last_text_stays() -> None:
    showing = Showing()
    showing.hear("line", piece("stay.", more=False), 0)
    assert showing.pass_time(100_000) == []
    assert shown(showing) == ["stay."]


def test_what_was_whole_is_remembered_with_its_keys_and_what_was_not_is_not() -> None:
    showing = Showing(life="a")
    showing.hear("line", piece("whole.", "r:1", more=False), 0)
    showing.hear("line", piece("half", "r:2"), 1)
    later = Showing(life="b")
    later.recall(showing.as_kept())
    assert [(saying["key"], saying["text"]) for saying in later.snapshot()["texts"]["line"]] == [("a.1", "whole.")]


@pytest.mark.parametrize(
    "kept", [None, 3, [], {"texts": 3}, {"texts": {"line": 3}}, {"texts": {"line": [3, ["k"], ["k", 3], [None, "t"]]}}]
)
def test_a_broken_memory_is_passed_over(kept: Any) -> None:
    showing = Showing()
    showing.recall(kept)
    assert not any(showing.snapshot()["texts"].values())


def test_values_become_json_whatever_they_hold() -> None:
    value = {"a": np.float32(0.5), 2: (np.arange(3), b"\x00"), "n": float("nan"), "ok": True, "none": None}
    assert as_json(value) == {"a": 0.5, "2": [[0, 1, 2], "AA=="], "n": None, "ok": True, "none": None}
    assert Showing().note("big", np.zeros(100_000)) is None
