"""Where these tests can run: on Linux, as root, with network namespaces. Elsewhere they are left out, loudly; on a build server never."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.hosts.network import Network, why_not
from tests.hosts.pieces import CARRIERS, has_standbys, streams_piece
from tests.hosts.room import Room

WHY_NOT = why_not()
if WHY_NOT and os.environ.get("CI"):
    raise pytest.UsageError(f"tests/hosts must run on a build server, but cannot: {WHY_NOT}")
collect_ignore_glob = ["test_*.py"] if WHY_NOT else []


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Says it where nobody overlooks it."""
    if WHY_NOT:
        terminalreporter.section("tests/hosts WAS LEFT OUT", sep="!", red=True, bold=True)
        terminalreporter.line(f"No room of real hosts was played: {WHY_NOT}.")


Play = Callable[..., Room]


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Play]:
    """`play(["a", "b", "c"])`: a room of these machines in which everything plays, with a loaded standby where one is due. The streams
    are played by `carriers`: by all but the first machine, which has the ear, unless it is said otherwise."""
    with ExitStack() as stack:

        def begin(machines: Sequence[str] = ("a", "b", "c"), network: Network | None = None, carriers: str = CARRIERS) -> Room:
            folder = streams_piece(tmp_path / "piece", machines, carriers=carriers)
            room = stack.enter_context(Room(folder, machines, tmp_path, network=stack.enter_context(network) if network else None))
            room.play()
            room.until(lambda: has_standbys(room), "the standbys to be loaded")
            return room

        yield begin

