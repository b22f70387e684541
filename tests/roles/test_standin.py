"""What stands in for lost inputs: when it begins, what it gives, and that a real input ends it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mesh.role import Frame
from roles.display.recording import Recording, read_items
from roles.display.sayings import OPEN_MAX, Sayings
from roles.display.standin import StandIn


def pieces(*words: str, request: str = "r:1", ended: str | None = None) -> list[Frame]:
    last = len(words) - 1
    return [
        Frame(word, request=request, index=index, more=index < last, ended=ended if index == last else None)
        for index, word in enumerate(words)
    ]


def recorded(folder: Path, *items: object) -> Path:
    file = folder / "day.jsonl"
    file.write_text("\n".join(item if isinstance(item, str) else json.dumps(item) for item in items))
    return file


def test_lines_begin_after_the_silence_and_follow_each_other_at_its_pace() -> None:
    standin = StandIn(("one", "two"), {}, 30.0, now_s=100.0)
    assert standin.frames(129.9) == []
    given = [frame.value for second in range(130, 250) for _, frame in standin.frames(float(second))]
    assert given == ["one", "two", "one", "two"]


def test_an_input_ends_the_stand_in_and_lends_it_its_stream() -> None:
    standin = StandIn(("one",), {}, 30.0, now_s=0.0, at_once=True)
    assert standin.frames(0.0)
    standin.heard("line", Frame("hello"), 1.0)
    assert not standin.lost(30.0) and standin.frames(30.0) == []
    [(stream, frame)] = standin.frames(31.0)
    assert (stream, frame.value) == ("line", "one")


def test_a_recording_is_shown_at_its_own_pace_again_and_again(tmp_path: Path) -> None:
    # Given a recording in which a line follows after 2 s, with lines in it that are none
    file = recorded(
        tmp_path, {"s": 5000.0, "stream": "line", "text": "a"}, "{broken", {"s": 1}, {"s": 5002.0, "stream": "n", "value": {"x": 1}}
    )
    standin = StandIn((), {"recording": file}, 10.0, now_s=0.0)
    # When nothing is heard for 20 s
    given = [(tenth / 10, stream, frame.value) for tenth in range(200) for stream, frame in standin.frames(tenth / 10)]
    # Then it begins after the silence, keeps its pauses, and begins again after its end
    assert given == [(10.0, "line", "a"), (12.0, "n", {"x": 1}), (14.0, "line", "a"), (16.0, "n", {"x": 1}), (18.0, "line", "a")]


def test_each_round_of_a_recording_is_a_text_of_its_own(tmp_path: Path) -> None:
    recording = Recording(recorded(tmp_path, {"s": 0, "stream": "line", "text": "again"}))
    requests = {frame.request for second in range(10) for _, frame in recording.due(float(second))}
    assert len(requests) == 5


NONE = ["", "null", "[]", '{"s": "x", "stream": "a", "text": "b"}', '{"s": NaN, "stream": "a", "text": "b"}', "\x00\xff"]


@pytest.mark.parametrize("content", NONE)
def test_a_recording_that_is_none_is_an_empty_one(tmp_path: Path, content: str) -> None:
    assert read_items(recorded(tmp_path, content)) == []
    assert read_items(tmp_path / "missing.jsonl") == []


def test_a_clock_that_jumped_while_it_was_recorded_makes_no_night_of_waiting(tmp_path: Path) -> None:
    items = read_items(recorded(tmp_path, *({"s": s, "stream": "a", "value": 1} for s in (100.0, 9e9, 50.0, 51.0))))
    assert [round(at_s) for at_s, _, _ in items] == [0, 600, 600, 601]


def test_pieces_become_one_text_when_the_last_has_come() -> None:
    sayings = Sayings()
    assert [sayings.take("line", piece) for piece in pieces("The", " room", " waits.")] == [[], [], ["The room waits."]]


def test_sentences_are_handed_on_as_they_finish() -> None:
    sayings = Sayings(by_sentence=True)
    given = [sayings.take("line", piece) for piece in pieces("One is", " here. Two", " are", " not", "! 3.5 of", " them")]
    assert given == [[], ["One is here."], [], [], ["Two are not!"], ["3.5 of them"]]


def test_a_cancelled_text_a_repeat_and_a_headless_end_give_nothing() -> None:
    sayings = Sayings()
    assert not any(sayings.take("line", piece) for piece in pieces("a", "b", ended="cancelled"))
    first, second = pieces("a", "b", request="r:2")
    assert sayings.take("line", second) == []
    assert (sayings.take("line", first), sayings.take("line", first), sayings.take("line", second)) == ([], [], ["ab"])
    assert sayings.take("line", second) == []


def test_texts_that_never_end_take_no_more_room_than_so_much() -> None:
    sayings = Sayings()
    for number in range(OPEN_MAX * 3):
        sayings.take("line", Frame("x", request=f"r:{number}", more=True))
    assert len(sayings.growing) == OPEN_MAX
