"""Text is shown only when it is certain: whole letters, no part of a stop word."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from roles.inference.letters import Letters


def test_a_letter_across_tokens_is_shown_whole() -> None:
    letters = Letters()
    assert [letters.take(bytes([byte])) for byte in "õ🌙".encode()] == ["", "õ", "", "", "", "🌙"]


def test_broken_bytes_are_left_out_and_never_shown_as_a_mark() -> None:
    letters = Letters()
    assert letters.take(b"a\xff\xc3b") + letters.rest() == "ab"
    assert letters.take(b"\xe2\x82") + letters.rest() == ""


def test_a_stop_word_across_tokens_never_leaks() -> None:
    letters = Letters(["<end>"])
    shown = [letters.take(piece) for piece in (b"calm", b" <", b"en", b"d>", b" more")]
    assert shown == ["calm", " ", "", "", ""]
    assert letters.stopped and letters.rest() == ""


def test_what_only_looked_like_a_stop_word_is_shown_after_all() -> None:
    letters = Letters(["<end>"])
    assert letters.take(b"a <en") == "a "
    assert letters.take(b"try") == "<entry"
    assert letters.take(b"<") == ""
    assert letters.rest() == "<"


def test_the_first_of_several_stops_ends_the_text() -> None:
    letters = Letters(["\n\n", "."])
    assert letters.take(b"One. Two\n\n") == "One"
    assert letters.stopped


@given(st.text(max_size=60), st.lists(st.text(min_size=1, max_size=4), max_size=3), st.data())
def test_however_a_text_is_cut_the_same_is_shown(text: str, stops: list[str], data: st.DataObject) -> None:
    spoken = text.encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(spoken)), max_size=12)))
    letters = Letters(stops)
    pieces = [spoken[start:end] for start, end in zip([0, *cuts], [*cuts, len(spoken)], strict=True)]
    shown = [letters.take(piece) for piece in pieces]
    whole = "".join(shown) + letters.rest()
    ends = [at for stop in stops if (at := text.find(stop)) >= 0]
    assert whole == (text[: min(ends)] if ends else text)
