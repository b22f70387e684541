"""The words after an input's name under `delivery:`, and the topics that they become."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mesh.core import delivery
from mesh.core.delivery import Delivery


@pytest.mark.parametrize(
    ("words", "meaning"),
    [
        ("latest", ("latest", "")), ("queue", ("queue", "")), ("raw", ("", "raw")), ("lossless", ("", "lossless")),
        ("quality 75", ("", "quality 75")), ("latest quality 100", ("latest", "quality 100")), ("queue raw", ("queue", "raw")),
        ("latest lossless", ("latest", "lossless")),
    ],
)  # fmt: skip
def test_rule_and_pictures_are_read(words: str, meaning: tuple[str, str]) -> None:
    assert delivery.read(words) == Delivery(*meaning)
    assert re.search(delivery.PATTERN, words)


@pytest.mark.parametrize(
    "words", ["", "newest", "latest queue", "quality", "quality 0", "quality 101", "quality 075", "latest  raw", "raw latest", "latest "]
)
def test_other_words_mean_nothing(words: str) -> None:
    assert delivery.read(words) is None
    assert not re.search(delivery.PATTERN, words)


@pytest.mark.parametrize("pictures", ["raw", "lossless", "quality 1", "quality 90", "quality 100"])
def test_a_topic_says_in_which_form_a_stream_is_wanted(pictures: str) -> None:
    assert delivery.read_topic(delivery.topic("eye.image", pictures)) == (b"eye.image\0", pictures)


def test_no_topic_begins_with_another() -> None:
    topics = [delivery.topic("eye.image", form) for form in ("raw", "lossless", "quality 9", "quality 90")]
    assert not any(other.startswith(topic) for topic in topics for other in topics if other is not topic)


@given(some.binary(max_size=60) | some.text(max_size=20).map(lambda text: f"eye.image~{text}\0".encode()))
def test_any_subscription_is_read_or_none(data: bytes) -> None:
    topic, form = delivery.read_topic(data)
    assert topic == b"" or (topic.endswith(b"\0") and delivery.read(form) is not None)
