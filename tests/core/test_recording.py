"""Frames as messages of a recording, and back: nothing is lost, and nothing that is no message does harm."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mesh.core.frames import Block
from mesh.core.recording import FORMS, Taken, form_of, read_message, write_message
from mesh.errors import WireError

PLAIN = some.recursive(
    some.none() | some.booleans() | some.integers(-(2**63), 2**64 - 1) | some.floats(allow_nan=False) | some.text() | some.binary(),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text() | some.integers() | some.binary(), inner, max_size=4),
    max_leaves=12,
)


@given(PLAIN, some.text())
def test_every_event_comes_back_as_it_was(value: Any, instance: str) -> None:
    data = write_message("event", Taken(value, instance), 5)
    json.loads(data)  # any tool's JSON
    assert read_message("event", data) == Taken(value, instance)


def test_what_json_has_not_is_written_all_the_same() -> None:
    data = json.loads(write_message("event", Taken({"a": float("inf"), "$b": b"\xff"}), 0))
    assert data["value"] == {"$map": [["a", {"$float": "inf"}], ["$b", {"$bytes": "ff"}]]}
    back = read_message("event", write_message("event", Taken(float("nan")), 0)).value
    assert back != back


@given(some.text(), some.none() | some.text(min_size=1), some.integers(0, 10**6), some.booleans(), some.none() | some.just("cancelled"))
def test_a_text_keeps_its_place_in_its_utterance(text: str, request: str | None, piece: int, more: bool, ended: str | None) -> None:
    taken = Taken(text, "poet/1", request, piece, more, ended)
    assert read_message("text", write_message("text", taken, 0)) == taken


@pytest.mark.parametrize("shape", [(2, 3, 3), (2, 3), (0, 4, 3)])
def test_a_picture_comes_back_byte_for_byte(shape: tuple[int, ...]) -> None:
    size = 1
    for each in shape:
        size *= each
    block = Block("|u1", shape, bytes(range(size)))
    assert read_message("image", write_message("image", Taken(block, "eye@left"), 10**18)) == Taken(block, "eye@left")


@given(some.sampled_from(["<f4", "|u1", "<c16"]), some.lists(some.integers(0, 3), max_size=4))
def test_an_array_of_any_shape_comes_back(dtype: str, shape: list[int]) -> None:
    size = {"<f4": 4, "|u1": 1, "<c16": 16}[dtype]
    for each in shape:
        size *= each
    block = Block(dtype, tuple(shape), bytes(each % 256 for each in range(size)))
    assert read_message("vector", write_message("vector", Taken(block), 0)).value == block


@given(some.sampled_from(sorted(FORMS)), some.binary(max_size=80) | some.binary(max_size=80).map(lambda tail: b"\0\1\0\0" + tail))
def test_bytes_that_are_no_message_are_refused_and_nothing_else(form: str, data: bytes) -> None:
    try:
        read_message(form, data)
    except WireError:
        return


def test_a_channel_of_another_program_has_no_form() -> None:
    assert form_of("sensor_msgs/msg/PointCloud2", "image") == ""
    assert form_of("sensor_msgs/msg/CompressedImage", "image") == "jpeg"
    assert form_of("roomful_msgs/msg/Array", "audio") == "audio"
