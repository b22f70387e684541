"""Where lines break, letters come from and words stand: what a reader of the wall would notice."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.role import Frame
from roles.display.bidi import drawn, visual_order
from roles.display.lettering import Lettering
from roles.display.prose import APPEAR_S, Prose
from roles.display.showing import Showing
from roles.display.typesetting import BREAK, even, fitting, greedy, typeset, words_of

os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
WIDTHS = st.lists(st.floats(1, 400), min_size=1, max_size=60)


@pytest.fixture
def lettering() -> Lettering:
    import pygame

    pygame.font.init()
    return Lettering(pygame, [], 40, said.append)


def lettering_without_the_system(words: list[str]) -> Lettering:
    import pygame

    pygame.font.init()
    own = Lettering(pygame, [], 40, words.append)
    own._asked_system = True
    return own


said: list[str] = []


def fill(widths: list[float], gap: float, lines: list[int]) -> dict[int, float]:
    used: dict[int, float] = {}
    for width, line in zip(widths, lines, strict=True):
        used[line] = used[line] + gap + width if line in used else width
    return used


@given(WIDTHS, st.floats(0, 20))
@settings(max_examples=200, deadline=None)
def test_no_line_is_wider_than_the_room_and_words_stay_in_order(widths: list[float], gap: float) -> None:
    for rule in (greedy, even):
        lines = rule(widths, [gap] * len(widths), 400.0)
        assert lines == sorted(lines) and lines[0] == 0 and all(later - before <= 1 for before, later in itertools.pairwise(lines))
        assert all(width <= 400.0 + 1e-6 for width in fill(widths, gap, lines).values())


@given(WIDTHS, st.floats(0, 20))
@settings(max_examples=200, deadline=None)
def test_even_lines_are_no_more_than_greedy_ones_and_no_more_ragged(widths: list[float], gap: float) -> None:
    gaps = [gap] * len(widths)
    one, other = greedy(widths, gaps, 400.0), even(widths, gaps, 400.0)
    assert one[-1] == other[-1]

    def ragged(lines: list[int]) -> float:
        used = fill(widths, gap, lines)
        return sum((0.25 if line == lines[-1] else 1.0) * (400.0 - width) ** 2 for line, width in used.items())

    assert ragged(other) <= ragged(one) + 1e-3


@given(st.text(alphabet="ab '\n字。-é", max_size=60), st.integers(0, 60))
@settings(max_examples=300, deadline=None)
def test_words_that_stand_while_a_text_grows_stand_in_the_whole(text: str, cut: int) -> None:
    whole = words_of(text, True)
    part = words_of(text[:cut], False)
    assert [word for word, _ in whole[: len(part)]] == [word for word, _ in part]


def test_a_half_word_waits_for_its_other_half() -> None:
    assert [word for word, _ in words_of("the ro", False)] == ["the"]
    assert [word for word, _ in words_of("the room ", False)] == ["the", "room"]


def test_scripts_without_spaces_break_between_letters_but_not_before_a_full_stop() -> None:
    assert [word for word, _ in words_of("部屋は静か。", True)] == ["部", "屋", "は", "静", "か。"]


def test_what_a_typewriter_could_not() -> None:
    assert typeset("it's the visitors' -- room...") == "it’s the visitors’ – room…"


def test_a_word_wider_than_the_wall_is_cut_and_loses_no_letter() -> None:
    parts = fitting("a" * 95, 20.0, lambda word: len(word) * 2.0)
    assert "".join(parts) == "a" * 95 and max(map(len, parts)) == 10


def test_a_letter_that_no_font_has_is_left_out_and_said_once(lettering: Lettering) -> None:
    said.clear()
    assert lettering.width("a\ue123b") == lettering.width("ab")
    lettering.picture("\ue123\ue123", (255, 255, 255))
    assert len(said) == 1 and "U+E123" in said[0]


@pytest.mark.parametrize("letter", ["\U0001f9ff", "\u4e00", "\U00012000", "\u0e01"])
def test_an_empty_box_is_never_shown_in_place_of_a_letter(letter: str) -> None:
    # Given nothing but the font that comes with it, which has none of these
    import pygame

    pygame.font.init()
    words: list[str] = []
    own = Lettering(pygame, [], 40, words.append)
    own._asked_system = True
    # When one of them stands in a word, then it is left out and said, and the letters beside it are there
    assert own.width(f"a{letter}b") == own.width("ab") and len(words) == 1 and f"U+{ord(letter):04X}" in words[0]


def test_of_many_letters_that_no_font_has_a_few_are_said_and_all_are_known() -> None:
    words: list[str] = []
    own = lettering_without_the_system(words)
    letters = "".join(chr(0xE200 + number) for number in range(30))
    for _ in range(2):
        assert own.width(letters) == 0
    assert own.missing == list(letters) and len(words) == 9 and "status" in words[-1]


def test_signs_that_are_not_seen_are_no_letters_that_are_missing(lettering: Lettering) -> None:
    said.clear()
    assert lettering.width("ab\ufe0f\u200e\u2060") == lettering.width("ab") and said == []


@pytest.mark.parametrize(
    ("words", "base", "order"),
    [
        (["a", "b", "c"], "ltr", "a b c"),
        (["א", "ב", "ג"], "rtl", "ג ב א"),
        (["א", "a", "b", "ב"], "rtl", "ב a b א"),
        (["a", "א", "ב", "b"], "ltr", "a ב א b"),
        (["א", "12", "34", "ב"], "rtl", "ב 34 12 א"),  # numbers apart are read from right to left, each from left to right
        (["א", "a", "12", "ב"], "rtl", "ב a 12 א"),
        (["a", "א", "–", "ב", "b"], "ltr", "a ב – א b"),
        (["א", "–", "a"], "rtl", "a – א"),
        (["12", "!"], "ltr", "12 !"),
    ],
)
def test_words_of_both_directions_stand_as_unicode_orders_them(words: list[str], base: str, order: str) -> None:
    assert [words[at] for at in visual_order(words, base)] == order.split()


@pytest.mark.parametrize(
    ("words", "base", "shown"),
    [
        (["(3", "אא)"], "rtl", ["3)", "(אא"]),
        (["12!"], "rtl", ["!12"]),
        (["א", "Roomful,", "א"], "rtl", ["א", ",Roomful", "א"]),
        (["א", "good,", "bye"], "rtl", ["א", "good,", "bye"]),
        (["a", "שלום.", "b"], "ltr", ["a", "שלום.", "b"]),
        (["a", "(שלום", "עולם)"], "ltr", ["a", "(שלום", "עולם)"]),
        (["“so”,", "(said)"], "ltr", ["“so”,", "(said)"]),
        (["–"], "rtl", ["–"]),
    ],
)
def test_signs_stand_on_the_side_that_their_direction_gives_them(words: list[str], base: str, shown: list[str]) -> None:
    assert drawn(words, base) == shown


def test_a_text_in_hebrew_begins_at_the_right_and_arabic_letters_join(lettering: Lettering) -> None:
    prose = Prose(lettering, (0, 0, 600, 400))
    showing = Showing()
    showing.hear("line", Frame("שלום room", request="r"), 0.0)
    prose.take(showing.texts["line"], 0.0)
    first, second = next(iter(prose.blocks.values())).words
    assert first.at > second.at and first.at + (first.width or 0) == pytest.approx(600)
    # A joined word is narrower than its letters apart, where a font has them
    if lettering._font_of("ب") is not None:
        joined = lettering.picture("ببب", (255, 255, 255)).get_width()
        assert joined < 3 * lettering.picture("ب", (255, 255, 255)).get_width()


def test_of_a_text_taller_than_the_wall_the_lines_that_are_said_can_be_seen(lettering: Lettering) -> None:
    import pygame

    prose, showing = Prose(lettering, (0, 0, 600, 400)), Showing()
    showing.hear("line", Frame("\n".join(f"line {number}" for number in range(40)), request="r"), 0.0)
    prose.take(showing.texts["line"], 0.0)
    for moment in range(1, 30):
        surface = pygame.Surface((600, 400))
        prose.draw(surface, moment * 0.5)
        assert moment < 4 or pygame.surfarray.array3d(surface).max() > 150


def test_letters_of_both_halves_of_the_font_stand_on_one_line(lettering: Lettering) -> None:
    said.clear()
    picture = lettering.picture("Ōtepoti šõž", (255, 255, 255))
    assert picture.get_width() > 100 and not said


def spoken(showing: Showing, prose: Prose, text: str, request: str, at_s: float) -> list[list[tuple[str, float, int]]]:
    """The places of the newest text's words after each piece."""
    words = text.split(" ")
    places = []
    for index, word in enumerate(words):
        piece = Frame(word if index == 0 else f" {word}", request=request, index=index, more=index < len(words) - 1)
        showing.hear("line", piece, at_s + index / 10)
        prose.take(showing.texts["line"], at_s + index / 10)
        places.append([(word.text, word.at, word.line) for word in list(prose.blocks.values())[-1].words])
    return places


def test_a_word_that_was_read_never_moves(lettering: Lettering) -> None:
    showing, prose = Showing(), Prose(lettering, (0, 0, 500, 500))
    text = "The door remembers every hand that has opened it, and forgets none of their extraordinarily long names in the evening."
    places = spoken(showing, prose, text, "r:1", 10.0)
    assert places[-1][-1][2] >= 2
    for earlier, later in itertools.pairwise(places):
        assert later[: len(earlier)] == earlier


def test_words_appear_at_the_pace_asked_for_and_earlier_texts_step_back(lettering: Lettering) -> None:
    import pygame

    showing, prose = Showing(), Prose(lettering, (0, 0, 500, 500), keep=1, pace=2.0)
    for number in range(3):
        spoken(showing, prose, "one two three", f"r:{number}", 10.0 + 30 * number)
    first, second, third = prose.blocks.values()
    assert [round(word.due_s - third.words[0].due_s, 2) for word in third.words] == [0.0, 0.5, 1.0]
    surface = pygame.Surface((500, 500))
    prose.draw(surface, 100.0)
    assert list(prose.blocks.values()) == [second, third], "the oldest has left"
    assert second.top < third.top and 0 < prose._strength(second, 100.0) < prose._strength(third, 100.0) == 1.0
    assert prose.busy_until_s < 90.0


def test_a_cancelled_text_fades_and_goes(lettering: Lettering) -> None:
    import pygame

    showing, prose = Showing(), Prose(lettering, (0, 0, 500, 500))
    showing.hear("line", Frame("never to be", request="r:1", more=True), 1.0)
    prose.take(showing.texts["line"], 1.0)
    showing.hear("line", Frame("", request="r:1", index=1, ended="cancelled"), 2.0)
    prose.take(showing.texts["line"], 2.0)
    surface = pygame.Surface((500, 500))
    prose.draw(surface, 2.1)
    assert surface.get_bounding_rect() and len(prose.blocks) == 1
    prose.draw(surface, 2.0 + APPEAR_S + 5)
    assert not prose.blocks


def test_line_breaks_of_the_author_are_kept(lettering: Lettering) -> None:
    showing, prose = Showing(), Prose(lettering, (0, 0, 900, 500))
    showing.hear("line", Frame("one\ntwo\n\nthree", request="r:1"), 1.0)
    prose.take(showing.texts["line"], 1.0)
    words: list[Any] = next(iter(prose.blocks.values())).words
    assert [(word.text, word.line) for word in words if word.text != BREAK] == [("one", 0), ("two", 1), ("three", 3)]


def test_the_font_that_comes_with_it_has_its_licence_beside_it() -> None:
    type_ = Path(__file__).resolve().parents[2] / "roles" / "display" / "page" / "type"
    assert "SIL OPEN FONT LICENSE" in (type_ / "OFL.txt").read_text(encoding="utf-8").upper()
