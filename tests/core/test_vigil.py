"""What a role's pulse says about it: hung, too large, or faulty by its own word."""

from __future__ import annotations

from typing import Any

import pytest

from mesh.core.vigil import FAULTY, HUNG, HUNG_S, OVERGROWN, STILL_S, TOO_LARGE, SignsOfLife, Word, examine, has_worked

WELL = {"busy_s": 0.1, "rss_bytes": 1000, "faulty": "", "worked_s": 5.0}


@pytest.mark.parametrize(("pulse", "age_s", "what"), [
    ({}, 0.1, None),
    (WELL, 0.1, None),
    (WELL, STILL_S, HUNG),
    ({**WELL, "busy_s": HUNG_S}, 0.1, HUNG),
    ({**WELL, "rss_bytes": 2001}, 0.1, TOO_LARGE),
    ({**WELL, "rss_bytes": 3000}, 0.1, TOO_LARGE),
    ({**WELL, "rss_bytes": 3001}, 0.1, OVERGROWN),
    ({**WELL, "faulty": "the picture has not changed for 30 s"}, 0.1, FAULTY),
    ({**WELL, "faulty": "it is black", "busy_s": HUNG_S}, 0.1, HUNG),  # what hangs would not obey an order to end
    ({"busy_s": "long", "rss_bytes": None, "faulty": 7}, 0.1, None),  # a pulse that is nonsense proves nothing
])  # fmt: skip
def test_a_pulse_is_judged(pulse: dict[str, Any], age_s: float, what: str | None) -> None:
    found = examine(pulse, age_s, 2000)
    assert (found.what if found else None) == what
    assert found is None or found.words


def test_a_role_s_own_words_are_what_a_person_reads() -> None:
    found = examine({"faulty": "the picture has not changed for 30 s"}, 0.1, None)
    assert found is not None and found.words == "the picture has not changed for 30 s"


def test_a_role_that_never_speaks_of_it_is_neither_faulty_nor_known_to_work() -> None:
    told = Word().told(1000.0, 0.0)
    assert told == {"faulty": "", "worked_s": None}
    assert not has_worked(told)


def test_a_word_that_holds_for_a_while_turns_into_a_fault_when_it_is_not_renewed() -> None:
    word = Word().works(10.0, 5.0, "no picture for 5 s")
    assert word.told(15.0, 0.0)["faulty"] == ""
    assert word.told(15.1, 0.0)["faulty"] == "no picture for 5 s"
    assert word.works(14.0, 5.0, "no picture for 5 s").told(18.9, 0.0)["faulty"] == ""


def test_without_words_of_its_own_a_late_role_is_described() -> None:
    assert Word().works(10.0, 5.0, "").told(17.0, 0.0)["faulty"] == "it has not worked for 7 s"


def test_time_in_which_it_did_not_play_is_not_held_against_it() -> None:
    word = Word().works(10.0, 5.0, "no picture")  # said in `setup`, by a standby that waits
    assert word.told(1000.0, 999.0)["faulty"] == ""
    assert word.told(1005.0, 999.0)["faulty"] == "no picture"


def test_a_fault_stands_until_it_works_again() -> None:
    word = Word().works(0.0, None, "").is_faulty(10.0, "black")
    assert word.told(11.0, 0.0)["faulty"] == "black"
    assert word.is_faulty(12.0, "still black").faulty == "black"
    assert word.works(13.0, None, "").told(14.0, 0.0)["faulty"] == ""
    assert Word().is_faulty(0.0, "").faulty  # a fault without words is one all the same


def test_how_long_it_worked_is_counted_up_to_its_last_word() -> None:
    word = Word().works(10.0, 5.0, "late").works(12.0, 5.0, "late")
    assert word.told(16.0, 0.0)["worked_s"] == 2.0  # what happened since is not known
    assert word.is_faulty(16.5, "black").told(20.0, 0.0)["worked_s"] == 2.0
    assert Word().works(10.0, None, "").told(16.0, 0.0)["worked_s"] == 6.0  # until it says otherwise


def test_it_has_worked_when_it_said_so_and_stands_by_it() -> None:
    assert has_worked(Word().works(10.0, 5.0, "late").told(10.0, 0.0))
    assert not has_worked(Word().works(10.0, 5.0, "late").told(16.0, 0.0))
    assert not has_worked({})


def test_a_process_that_says_nothing_is_silent_from_its_last_pulse_on() -> None:
    signs = SignsOfLife(0.5)
    signs.heard("eye", 10.0)
    signs.heard("poet", 10.4)
    assert signs.look(10.5) == {"eye": 0.5, "poet": pytest.approx(0.1)}
    assert signs.look(11.0) == {"eye": 1.0, "poet": pytest.approx(0.6)}
    signs.forget("eye")
    assert list(signs.look(11.5)) == ["poet"]


def test_time_in_which_the_agent_did_not_listen_is_nobody_s_silence() -> None:
    # Given an agent that looked at 10.5 and, kept from it, next at 15.0
    signs = SignsOfLife(0.5)
    signs.heard("eye", 10.25)
    signs.look(10.5)
    # Then the process is as silent as if it had looked in time, and one heard meanwhile is not heard in the future
    signs.heard("poet", 14.9)
    assert signs.look(15.0) == {"eye": pytest.approx(0.75), "poet": 0.0}
    # And silence that goes on is found
    for tenth in range(5, 30, 5):
        silent_s = signs.look(15.0 + tenth / 10)["eye"]
    assert silent_s >= STILL_S
