"""What others said commands no terminal."""

from __future__ import annotations

import sys

from mesh.core.plain_text import plain, plain_all


def test_no_letter_that_commands_a_terminal_is_left_and_all_others_are() -> None:
    # Given every letter there is
    letters = "".join(map(chr, range(sys.maxunicode + 1)))
    # When it is made plain, then it can be printed, and holds none that a terminal obeys
    shown = plain(letters)
    shown.encode()
    assert not set(shown) & {*map(chr, [*range(9), *range(11, 32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A)])}
    # And what people write stays
    for kept in ("Grüße, мир, سلام, 你好 🎈", "two\nlines\tand a tab", "[/bold] 100 %"):
        assert plain(kept) == kept


def test_sequences_are_seen_and_not_obeyed_and_colours_are_left_out() -> None:
    assert plain("\x1b]52;c;ZXZpbA==\x07 \x1b[2J\r!") == "␛]52;c;ZXZpbA==␇ ␛[2J␍!"
    assert plain("\x1b[1;31mred\x1b[0m") == "red"


def test_it_reaches_into_what_a_node_answers() -> None:
    said = {"machines": {"do\x1bor": {"why": ["\x9b2J", 3, None, b"\x1b"], "pair": ("\u202egpj.exe",)}}}
    assert plain_all(said) == {"machines": {"do␛or": {"why": ["\ufffd2J", 3, None, b"\x1b"], "pair": ["gpj.exe"]}}}
