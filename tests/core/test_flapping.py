"""A machine that comes and goes puts itself aside, longer each time."""

from __future__ import annotations

from mesh.core.flapping import Steadiness
from mesh.core.timing import WIRED


def _back(machine: Steadiness, *times: float) -> Steadiness:
    for now in times:
        machine.came_back(now)
        machine.look(now)
    return machine


def test_a_machine_is_steady_after_the_hold_down_and_not_before() -> None:
    machine = Steadiness(WIRED, 100.0)
    assert not machine.look(100.0 + WIRED.steady_s - 1)
    assert machine.next_due() == 100.0 + WIRED.steady_s
    assert machine.look(100.0 + WIRED.steady_s) and machine.steady
    assert machine.next_due() == float("inf")


def test_a_few_returns_are_forgiven() -> None:
    assert not _back(Steadiness(WIRED, 0.0), 10.0, 20.0, 30.0).put_aside


def test_each_further_return_puts_it_aside_for_twice_as_long_up_to_a_bound() -> None:
    machine, now, stretches = Steadiness(WIRED, 0.0, returns=WIRED.returns_max), 0.0, []
    for _ in range(8):
        _back(machine, now)
        assert machine.put_aside
        stretches.append(machine.aside_until_s - now)
        now = machine.aside_until_s
        machine.look(now)
        assert not machine.put_aside
    assert stretches[:3] == [WIRED.aside_s, 2 * WIRED.aside_s, 4 * WIRED.aside_s]
    assert max(stretches) == stretches[-1] == WIRED.aside_max_s


def test_a_long_stretch_without_a_break_is_a_clean_record() -> None:
    machine = _back(Steadiness(WIRED, 0.0), 10.0, 20.0, 30.0)
    machine.look(30.0 + WIRED.steady_s)
    assert machine.next_due() == 30.0 + WIRED.aside_max_s
    assert machine.look(30.0 + WIRED.aside_max_s)
    assert machine.returns == 0


def test_being_held_dead_interrupts_the_stretch_whoever_was_to_blame() -> None:
    machine = Steadiness(WIRED, 0.0)
    machine.look(100.0)
    machine.interrupted(200.0)
    assert not machine.steady and machine.returns == 0
    assert machine.next_due() == 200.0 + WIRED.steady_s


def test_the_end_of_the_time_aside_is_a_deadline() -> None:
    machine = _back(Steadiness(WIRED, 0.0, returns=WIRED.returns_max), 5.0)
    assert machine.next_due() == 5.0 + WIRED.aside_s
