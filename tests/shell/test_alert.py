"""A byte that is set when somebody says something, for computations that cannot look themselves."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Iterator

import pytest

from mesh.shell.alert import Alert
from tests.shell.until import WITHIN_S


@pytest.fixture
def alert() -> Iterator[Alert]:
    made = Alert()
    yield made
    made.close()


def byte(alert: Alert) -> int:
    return ctypes.c_uint8.from_address(alert.address).value


def until_set(alert: Alert) -> None:
    deadline_s = time.monotonic() + WITHIN_S
    while not byte(alert):
        assert time.monotonic() < deadline_s, "the byte was not set"


def test_the_byte_is_set_when_something_is_said_and_not_before(alert: Alert) -> None:
    here, there = os.pipe()
    alert.watch((here,))
    assert not byte(alert)
    os.write(there, b"!")
    until_set(alert)
    # What was said stays for whoever reads it
    assert os.read(here, 10) == b"!"


def test_what_is_not_watched_sets_nothing_and_what_waited_already_does(alert: Alert) -> None:
    here, there = os.pipe()
    other, quiet = os.pipe()
    os.write(there, b"!")
    alert.watch((other,))
    alert.watch(())
    assert not byte(alert)
    alert.watch((here, other))
    until_set(alert)
    os.close(quiet)


def test_it_is_set_again_and_again(alert: Alert) -> None:
    here, there = os.pipe()
    for _ in range(200):
        alert.watch((here,))
        os.write(there, b"!")
        until_set(alert)
        os.read(here, 10)
    alert.watch((here,))
    assert not byte(alert)


def test_a_file_that_is_closed_meanwhile_is_no_harm(alert: Alert) -> None:
    here, there = os.pipe()
    alert.watch((here,))
    os.close(here)
    other, says = os.pipe()
    alert.watch((other,))
    os.write(says, b"!")
    until_set(alert)
    os.close(there)
