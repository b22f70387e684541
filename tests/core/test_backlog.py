"""Whether as much is asked as gets done, told from how many are open after each answer."""

from __future__ import annotations

import pytest

from mesh.core.backlog import FORGOTTEN_S, Backlog


def backlog(*counts: int, every_s: float = 0.1) -> tuple[Backlog, float]:
    """So many are open, one note after another; 0 where none is any more. And the moment of the last."""
    made = Backlog()
    for number, count in enumerate(counts):
        if count:
            made.note(count, number * every_s)
        else:
            made.over()
    return made, (len(counts) - 1) * every_s


@pytest.mark.parametrize(
    ("counts", "lasts"),
    [
        ((6, 6, 6, 6, 6, 6), True),
        ((1, 2, 3, 4, 5, 6), True),
        ((6, 5, 6, 5, 6, 6), True),
        ((6, 6, 6, 6, 5), False),  # they become fewer
        ((9, 6, 6, 6, 6, 6), True),  # that was before
        ((6, 6, 0, 6, 6, 6), False),  # for a moment none was open
        ((6,), False),
    ],
)
def test_a_backlog_lasts_where_as_many_are_open_as_before(counts: tuple[int, ...], lasts: bool) -> None:
    made, now = backlog(*counts)
    assert made.lasts(0.4, now) is lasts


def test_what_waited_long_ago_is_forgotten() -> None:
    # Given a backlog of which nothing was heard for long (who asked has given up, one by one)
    made, now = backlog(*[6] * 10)
    later_s = now + FORGOTTEN_S + 0.1
    # When one waits again
    made.note(6, later_s)
    # Then that is a new one
    assert not made.lasts(0.4, later_s)


def test_many_notes_are_kept_as_few() -> None:
    made = Backlog()
    for number in range(100_000):
        made.note(1000 - number % 1000, number * 0.0005)
        made.lasts(0.1, number * 0.0005)
    assert len(made._tops) <= 2001
