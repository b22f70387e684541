"""Grammars: read as llama.cpp reads them, followed byte by byte, and closed in as few bytes as they say."""

from __future__ import annotations

import json
import random
import uuid
from datetime import datetime
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import RoleError
from roles.inference.gbnf import Following, Unreadable, read_grammar
from roles.inference.json_grammar import grammar_of

SCHEMAS: list[dict[str, Any]] = [
    {
        "type": "object",
        "properties": {
            "mood": {"enum": ["calm", "wild \"and\" free"]},
            "count": {"type": "integer", "minimum": 3, "maximum": 1205},
            "words": {"type": "array", "items": {"type": "string", "maxLength": 12}, "minItems": 1, "maxItems": 3},
            "x": {"type": "number", "minimum": -2, "maximum": 3},
        },
        "required": ["mood", "words"],
        "additionalProperties": False,
    },
    {
        "type": "array",
        "items": {"$ref": "#/$defs/tree"},
        "$defs": {
            "tree": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "under": {"type": "array", "items": {"$ref": "#/$defs/tree"}}},
                "required": ["name"],
            }
        },
    },
    {},
    {"type": ["string", "null", "integer"], "maximum": 7},
    {"type": "integer", "exclusiveMinimum": -17, "maximum": 4},
    {"anyOf": [{"type": "string", "minLength": 2, "maxLength": 4}, {"type": "boolean"}]},
    {"allOf": [{"properties": {"a": {"const": 1}}, "required": ["a"]}, {"properties": {"b": {"type": "null"}}}]},
    {"type": "object", "additionalProperties": {"type": "boolean"}},
    {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}]},
]


def wandered(following: Following, choose: random.Random, steps: int) -> bytes:
    """What a foolish speaker says who takes whatever is allowed of a few letters at random."""
    out = b""
    letters = [*(bytes([byte]) for byte in b'{}[]":,0123456789abctruenulsfm\\u-.'), "ü".encode(), b"\xe2", b"\x82", b"\xac"]
    for _ in range(steps):
        for _ in range(12):
            letter = choose.choice(letters)
            here = following.state()
            if following.take(letter):
                out += letter
                break
            following.back_to(here)
    return out


@pytest.mark.parametrize("schema", SCHEMAS)
@given(seed=st.integers(0, 10**6), steps=st.integers(0, 50))
def test_wherever_a_text_of_a_schema_is_broken_off_its_shortest_end_makes_it_whole(schema: dict[str, Any], seed: int, steps: int) -> None:
    following = Following(read_grammar(grammar_of(schema)))
    said = wandered(following, random.Random(seed), steps)
    ending = following.closing()
    assert len(ending) == following.cost
    assert following.take(ending) and following.ended
    jsonschema.validate(json.loads(said + ending), schema)


@given(low=st.integers(-3000, 3000), more=st.integers(0, 3000), value=st.integers(-7000, 7000))
def test_whole_numbers_within_bounds_and_no_others_are_taken(low: int, more: int, value: int) -> None:
    following = Following(read_grammar(grammar_of({"type": "integer", "minimum": low, "maximum": low + more})))
    assert (following.take(str(value).encode()) and following.ended) == (low <= value <= low + more)


def test_formats_and_references_by_pointers_are_what_they_say() -> None:
    schema = {"type": "object", "properties": {"at": {"type": "string", "format": "date-time"}, "id": {"$ref": "#/$defs/a~1b%20c"}},
              "required": ["at", "id"], "$defs": {"a/b c": {"type": "string", "format": "uuid"}}}  # fmt: skip
    told = json.loads(Following(read_grammar(grammar_of(schema))).closing())
    assert datetime.fromisoformat(told["at"].replace("0000-", "2026-")).tzinfo is not None and uuid.UUID(told["id"])


@pytest.mark.parametrize("asks", ["multipleOf", "uniqueItems", "pattern", "not", "if"])
def test_what_a_grammar_cannot_promise_is_refused_by_name(asks: str) -> None:
    with pytest.raises(RoleError) as fault:
        grammar_of({"type": "string", asks: True})
    assert asks in fault.value.what


@pytest.mark.parametrize(
    ("grammar", "taken", "refused"),
    [
        ('root ::= "a"+ "b"? # a comment\n', ["a", "aab"], ["", "b", "abb"]),
        ("root ::= word ( \" \"\n  word ){1,2}\nword ::= [^ \\t]{2,}", ["ab cd", "ab cd ef"], ["ab", "a b"]),
        ('root ::= ("x" | ) "\\u00e9" | .', ["xé", "é", "q"], ["xx"]),
        ("root ::= line*\nline ::= [a-z-]+ \"\\n\"", ["", "a-b\nc\n"], ["a"]),
    ],
)
def test_a_grammar_takes_what_it_says(grammar: str, taken: list[str], refused: list[str]) -> None:
    for text in taken + refused:
        following = Following(read_grammar(grammar))
        assert (following.take(text.encode()) and following.ended) == (text in taken), text


@pytest.mark.parametrize("grammar", ["root = a", "root ::= other", 'root ::= "a', "root ::= [a", "root ::= a{", "root ::= <think>"])
def test_a_grammar_that_cannot_be_read_says_where(grammar: str) -> None:
    with pytest.raises(Unreadable) as fault:
        read_grammar(grammar)
    assert "line" in fault.value.what


@pytest.mark.parametrize("broken", [b"\xff", b"\xc0\x80", b"\xed\xa0", b"\xf8", b"\x80", b"\xe2x"])
def test_bytes_that_are_no_letters_are_never_within_a_grammar(broken: bytes) -> None:
    assert not Following(read_grammar("root ::= .*")).take(broken)
