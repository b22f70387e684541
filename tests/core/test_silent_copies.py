"""A copy that says nothing although its machine lives: what it holds goes elsewhere, and it is asked again when it speaks."""

from __future__ import annotations

from mesh.core.copies import SILENT_MAX_S, CopyId
from mesh.core.request_messages import Accepted, Ask, Done
from mesh.core.requests import BUSY_PATIENCE, Asker, Effect, Tell
from mesh.core.silences import AT_LEAST_S
from tests.core.test_requests import POETS, answer, ask_one, asking, sent


def used_to(asker: Asker, answers: int = 10) -> float:
    """Both copies have answered within 20 ms; the time."""
    now = 0.0
    for _ in range(answers):
        now += 0.02
        for copy, ask in ask_one(asker, now)[1]:
            answer(asker, copy, ask.id, now + 0.02)
    return now + 1.0


def asked_of(effects: list[Effect], copy: CopyId) -> list[Ask]:
    return [effect.message for effect in effects if isinstance(effect, Tell) and effect.copy == copy and isinstance(effect.message, Ask)]


def test_what_a_silent_copy_has_not_even_accepted_moves_although_the_other_is_busy() -> None:
    # Given two copies that answer quickly, of which one stands still, and as many questions as both can hold
    asker = asking(*POETS[:2])
    now = used_to(asker)
    told = [each for _ in range(4) for each in ask_one(asker, now)[1]]
    still = told[0][0]
    busy = [each for each in told if each[0] != still]
    waited_s, names = now, {ask.id for copy, ask in told if copy == still}
    assert len(names) == len(busy) == 2
    # When the other answers on, and always has more to do
    while not any(ask.utterance in names for _, ask in busy):
        now += 0.02
        copy, ask = busy.pop(0)
        busy += [each for each in answer(asker, copy, ask.id, now) + ask_one(asker, now)[1] + sent(asker.tick(now)) if each[0] != still]
        assert now - waited_s < 2 * AT_LEAST_S, "what the silent one holds goes nowhere"
    # Then it is given what the silent one held as well, long before a deadline
    assert asker.lost == 0


def test_what_is_in_work_is_begun_anew_at_a_busy_copy_only_after_a_longer_silence() -> None:
    asker = asking(*POETS[:2])
    now = used_to(asker)
    told = [ask_one(asker, now)[1][0] for _ in range(2)]
    for copy, ask in told:
        asker.hear(copy, Accepted(ask.id, 1, 0), now)
    still, busy = told[0][0], told[1][0]
    assert still != busy
    # Given that the other speaks now and then, and is not over with its own
    moved_s = None
    for step in range(1, 40):
        asker.hear(busy, Accepted(told[1][1].id, 1, 0), now + step * 0.05)
        if asked_of(asker.tick(now + step * 0.05), busy):
            moved_s = step * 0.05
            break
    assert moved_s is not None and BUSY_PATIENCE * AT_LEAST_S <= moved_s < (BUSY_PATIENCE + 1) * AT_LEAST_S + 0.2


def test_a_copy_that_fell_silent_is_asked_less_and_less_until_it_speaks() -> None:
    asker = asking(*POETS[:2])
    now = used_to(asker)
    still = POETS[0]
    tried: list[float] = []
    last, in_work = "", []
    for _ in range(6000):
        now += 0.02
        given = [each for copy, ask in in_work for each in answer(asker, copy, ask.id, now)]
        given += ask_one(asker, now)[1] + sent(asker.tick(now))
        in_work = [each for each in given if each[0] != still]
        for _, ask in (each for each in given if each[0] == still):
            tried.append(now)
            last = ask.id
    # Then it is tried again at growing distances
    apart = [round(later - earlier) for earlier, later in zip(tried, tried[1:], strict=False) if later - earlier > 0.5]
    assert len(apart) >= 4 and apart == sorted(apart) and apart[-1] <= SILENT_MAX_S + 2.0
    assert asker.lost == 0
    # And when it speaks, at once
    asker.hear(still, Done(last, 0, 0, "cancelled"), now)
    assert any(copy == still for _ in range(3) for copy, _ in ask_one(asker, now)[1])
