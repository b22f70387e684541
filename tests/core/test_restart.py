"""When a process is started again, and when this machine gives up on it."""

from __future__ import annotations

from mesh.core.restart import DELAY_MAX_S, FAILURES_MAX, STABLE_S, Record


def test_the_first_crash_is_followed_by_a_start_at_once() -> None:
    assert Record().ended(100.0) == 0.0


def test_each_further_failure_waits_longer_until_the_machine_gives_up() -> None:
    record = Record()
    delays = [record.ended(float(now)) for now in range(FAILURES_MAX)]
    assert delays == [0.0, 0.5, 1.0, 2.0, None]


def test_a_stretch_of_playing_cleans_the_record() -> None:
    record = Record()
    for now in range(FAILURES_MAX - 1):
        record.ended(float(now))
    record.played(10.0)
    assert record.ended(10.0 + STABLE_S) == 0.0
    assert record.failures == 1


def test_a_short_stretch_of_playing_does_not() -> None:
    record = Record()
    record.ended(0.0)
    record.played(1.0)
    assert record.ended(1.0 + STABLE_S - 0.1) == 0.5


def test_all_restarts_are_counted_for_status() -> None:
    record = Record()
    for now in range(3):
        record.played(now * 100.0)
        record.ended(now * 100.0 + 50.0)
    assert record.restarts == 3


def test_no_delay_exceeds_the_longest() -> None:
    assert all((Record(failures=count).ended(0.0) or 0.0) <= DELAY_MAX_S for count in range(FAILURES_MAX - 1))
