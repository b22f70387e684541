"""When a process is started again, and when this machine gives up on it."""

from __future__ import annotations

from mesh.core.restart import ALONE_S, DELAY_MAX_S, FAILURES_MAX, STABLE_S, UNPROVEN_S, Record


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


def test_an_edit_is_no_failure_however_often_it_happens() -> None:
    record = Record()
    for at in range(20):
        record.played(float(at))
        assert record.edited() == 0.0
    assert (record.failures, record.faults, record.restarts) == (0, 0, 20)
    assert record.ended(20.5) == 0.0, "the first crash is followed by a start at once all the same"


def test_all_restarts_are_counted_for_status() -> None:
    record = Record()
    for now in range(3):
        record.played(now * 100.0)
        record.ended(now * 100.0 + 50.0)
    assert record.restarts == 3


def test_no_delay_exceeds_the_longest() -> None:
    assert all((Record(failures=count).ended(0.0) or 0.0) <= DELAY_MAX_S for count in range(FAILURES_MAX - 1))


# ---- roles that run and do not work


def test_a_role_that_does_not_work_is_started_again_once_and_then_left_to_another_machine() -> None:
    record = Record()
    record.played(0.0)
    assert record.ended(40.0, faulty=True, worked_s=1.0) == 0.0
    record.played(41.0)  # it ran for longer than a crash would be held against it
    assert record.ended(141.0, faulty=True, worked_s=2.0) is None


def test_a_stretch_of_working_is_forgiven_an_earlier_fault() -> None:
    record = Record()
    for fault in range(10):
        record.played(fault * 100.0)
        assert record.ended(fault * 100.0 + 90.0, faulty=True, worked_s=STABLE_S) == 0.0


def test_a_role_that_never_says_that_it_works_must_have_played_long_between_two_faults() -> None:
    record = Record()
    record.played(0.0)
    assert record.ended(UNPROVEN_S, faulty=True) == 0.0
    record.played(UNPROVEN_S)
    assert record.ended(2 * UNPROVEN_S, faulty=True) == 0.0
    record.played(2 * UNPROVEN_S)
    assert record.ended(2 * UNPROVEN_S + STABLE_S, faulty=True) is None


def test_where_nobody_else_could_play_it_the_next_try_is_soon_however_often_it_failed() -> None:
    record = Record()
    waits = [record.given_up(0.0, alone=True) for _ in range(20)]
    assert waits == [ALONE_S] * 20
    assert [Record(times_given_up=times).given_up(0.0) for times in (0, 1, 9)] == [60.0, 120.0, 1800.0]
