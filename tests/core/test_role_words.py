"""What a role's process may say to its agent, and what becomes of the rest."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mesh.core.messages import Claim, NodeState, State
from mesh.core.role_words import TALK_AT_ONCE, Talk, understood

ANYTHING = some.recursive(
    some.one_of(some.none(), some.booleans(), some.integers(), some.floats(), some.text(max_size=20), some.binary(max_size=20)),
    lambda inner: some.one_of(some.lists(inner, max_size=6), some.dictionaries(some.one_of(some.text(max_size=9), some.integers()), inner)),
    max_leaves=20,
)
READY = {"type": "ready", "frames_port": 47610, "requests_port": 47611, "pid": 7}


def test_what_a_host_says_is_understood_as_it_is() -> None:
    assert understood(READY) == READY
    pulse = {"type": "pulse", "rss_bytes": 5, "facts": {"page": "http://x/"}, "ages": {"line": {"age_ms": 1.5}}, "faulty": ""}
    assert understood(pulse) == pulse
    assert understood({"type": "state", "data": b"\x80", "pid": 4}) == {"type": "state", "data": b"\x80"}


def test_who_was_turned_away_at_its_port_is_handed_on_where_it_is_an_address_and_a_reason() -> None:
    told = [["10.0.0.9", "another key"], ["x"], [1, 2], "ab", None, {"a": "b"}]
    assert understood({"type": "pulse", "turned_away": told}) == {"type": "pulse", "turned_away": [["10.0.0.9", "another key"]]}
    assert understood({"type": "pulse", "turned_away": "10.0.0.9"}) == {"type": "pulse", "turned_away": []}


WRONG = [{"frames_port": -1}, {"frames_port": 70_000}, {"requests_port": "x"}, {"pid": None}, {"pid": 2**70}, {"pid": True}]


@pytest.mark.parametrize("change", WRONG)
def test_ports_and_numbers_that_other_nodes_would_refuse_are_refused_here(change: dict[str, Any]) -> None:
    assert understood({**READY, **change}) is None


KINDS = some.sampled_from(["hello", "ready", "pulse", "state", "failed", "event", "gap", "", "order"])
FIELDS = some.sampled_from(["facts", "ages", "rss_bytes", "busy_s", "faulty", "frames", "requests", "data", "what", "pid", "frames_port"])


@given(KINDS, some.dictionaries(FIELDS, ANYTHING))
def test_whatever_comes_is_nothing_or_can_be_shown_as_json(kind: str, fields: dict[str, Any]) -> None:
    said = understood({**fields, "type": kind})
    if said is not None and said["type"] != "state":
        json.dumps(said, allow_nan=False).encode()


def test_a_huge_or_deep_word_is_none_or_cut() -> None:
    deep: Any = 1
    for _ in range(5000):
        deep = [deep]
    assert len(json.dumps(understood({"type": "event", "what": deep}))) < 200
    assert understood({"type": "pulse", "facts": {str(number): number for number in range(100_000)}}) is None
    assert len(understood({"type": "event", "what": "x" * 10_000_000})["what"]) == 10_000  # type: ignore[index]


def test_who_talks_without_end_is_cut_short_and_may_talk_again() -> None:
    talk = Talk()
    admitted = sum(talk.admits("wall", 0.0) for _ in range(10_000))
    assert admitted == TALK_AT_ONCE and talk.admits("poet", 0.0)
    assert talk.admits("wall", 1.0)
    assert talk.forget("wall") == 10_000 - admitted and talk.forget("wall") == 0


def test_a_state_with_what_was_understood_is_one_that_every_node_takes() -> None:
    from mesh.core.codec import decode, encode

    said = understood(READY)
    assert said is not None
    claim = Claim("wall", 1, "holder", "playing", frames_port=said["frames_port"], requests_port=said["requests_port"], pid=said["pid"])
    state = State("n", 1, NodeState(1, {}, (1, "x"), claims=(claim,)))
    assert decode(encode(state)) == state
