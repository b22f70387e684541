"""The table of members: what each word that is heard may change, and what it may not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mesh.core.effects import Effect, Report, Save, SendControl, SendDatagram
from mesh.core.members import ALIVE, DEAD, LEFT, SUSPECT, TRANSITIONS, hash_order
from mesh.core.membership import DOUBLE_BEATS, DOUBLE_S, Membership
from mesh.core.messages import Ack, Probe, ProbeFor, Verdict
from mesh.core.timing import WIRED
from tests.core.cases import beat, membership, record


def _events(effects: list[Effect]) -> list[str]:
    return [each.event for each in effects if isinstance(each, Report)]


def _verdicts(effects: list[Effect]) -> list[Verdict]:
    return [each.message for each in effects if isinstance(each, SendControl) and isinstance(each.message, Verdict)]


def _say(table: Membership, by: str, about: str, health: str, *, incarnation: int = 1, sequence: int = 0, now: float = 1.0) -> list[Effect]:
    return table.heard(Verdict(f"n-{by}", f"n-{about}", incarnation, sequence, health, f"boot-{about}"), "", now)


def _bury(table: Membership, name: str, now: float = 1.0) -> None:
    member = table.members[f"n-{name}"]
    table.change(member, SUSPECT, now)
    table.change(member, DEAD, now)


# ---- meeting


def test_a_node_that_introduces_itself_is_alive_and_reported() -> None:
    table = membership()
    assert _events(table.meet(record("door"), "10.0.0.9", 0.0)) == ["node_up"]
    assert table.members["n-door"].health == ALIVE
    assert table.members["n-door"].address == "10.0.0.9"


def test_an_address_that_no_link_has_proven_yet_is_the_first_of_its_record() -> None:
    table = membership()
    table.meet(record("door"), "", 0.0)
    assert table.members["n-door"].address == record("door").addresses[0]


def test_a_restart_is_a_new_life_that_starts_with_clean_evidence_and_no_state() -> None:
    table = membership("door")
    table.heard(beat("door", 500), "", 0.5)
    table.meet(record("door", incarnation=2, boot="later"), "", 1.0)
    assert table.members["n-door"].record.incarnation == 2
    assert table.members["n-door"].state is None
    table.heard(beat("door", 1, incarnation=2, boot="later"), "", 1.1)
    assert table.members["n-door"].evidence.sequence == 1


def test_an_introduction_from_an_earlier_life_changes_nothing() -> None:
    table = membership()
    table.meet(record("door", incarnation=5), "", 0.0)
    assert table.meet(record("door", incarnation=4), "", 1.0) == []
    assert table.members["n-door"].record.incarnation == 5


def test_a_dead_node_that_introduces_itself_again_is_told_that_it_is_dead() -> None:
    table = membership("door")
    _bury(table, "door")
    told = _verdicts(table.meet(record("door"), "", 2.0))
    assert [(each.subject, each.health, each.incarnation) for each in told] == [("n-door", DEAD, 1)]
    assert table.members["n-door"].health == DEAD


def test_two_machines_of_one_name_are_an_alarm_that_names_both() -> None:
    table = membership("door")
    found = table.meet(record("twin", name="door"), "10.9.9.9", 0.0)
    alarm = next(each.fields["what"] for each in found if isinstance(each, Report) and each.event == "alarm")
    assert "two machines are called door" in alarm
    assert "n-door" in alarm and "n-twin" in alarm and "10.9.9.9" in alarm


def test_a_new_computer_may_take_a_dead_ones_name_without_an_alarm() -> None:
    table = membership("door")
    _bury(table, "door")
    assert _events(table.meet(record("twin", name="door"), "", 2.0)) == ["node_up"]


# ---- signs of life


def test_only_numbers_that_are_new_prove_life() -> None:
    table = membership("door")
    table.heard(beat("door", 10), "", 0.1)
    for number in (10, 9, 1):
        table.heard(beat("door", number), "", 5.0)
    assert table.members["n-door"].evidence.freshest_s == 0.1


def test_a_late_duplicate_does_not_revive_a_dead_node() -> None:
    table = membership("door")
    table.heard(beat("door", 10), "", 0.1)
    _bury(table, "door")
    for number in (9, 10):
        assert table.heard(beat("door", number), "", 2.0) == []
    assert table.members["n-door"].health == DEAD


def test_a_dead_node_that_goes_on_speaking_is_told_so_and_stays_dead_until_its_incarnation_grows() -> None:
    table = membership("door")
    _bury(table, "door")
    assert _verdicts(table.heard(beat("door", 11), "", 2.0))[0].health == DEAD
    assert table.members["n-door"].health == DEAD
    assert _events(table.heard(beat("door", 12, incarnation=2), "", 2.1)) == ["node_up"]
    assert table.members["n-door"].health == ALIVE


def test_a_suspicion_is_refuted_by_any_newer_sign_of_life_and_all_are_told() -> None:
    table = membership("door", "shelf")
    table.change(table.members["n-door"], SUSPECT, 1.0)
    effects = table.heard(beat("door", 1), "", 1.1)
    assert _events(effects) == ["node_refuted"]
    assert {each.node for each in effects if isinstance(each, SendControl)} == {"n-door", "n-shelf"}


def test_hearsay_refutes_a_suspicion_only_when_it_is_fresh() -> None:
    table = membership("door", "shelf")
    table.change(table.members["n-door"], SUSPECT, 1.0)
    table.heard(beat("shelf", 1, ages=(("n-door", 900),)), "", 1.1)
    assert table.members["n-door"].health == SUSPECT
    table.heard(beat("shelf", 2, ages=(("n-door", 30),)), "", 1.2)
    assert table.members["n-door"].health == ALIVE


def test_what_a_late_beat_says_of_others_is_as_stale_as_itself() -> None:
    table = membership("door", "shelf")
    table.heard(beat("shelf", 5), "", 1.0)
    table.heard(beat("shelf", 4, ages=(("n-door", 0),)), "", 9.0)
    assert table.members["n-door"].evidence.freshest_s == 0.0


def test_a_beat_of_a_stranger_is_passed_over() -> None:
    assert membership().heard(beat("door", 1), "10.0.0.1", 1.0) == []


def test_the_address_follows_where_datagrams_come_from() -> None:
    table = membership("door")
    table.heard(beat("door", 1), "10.7.7.7", 1.0)
    assert table.members["n-door"].address == "10.7.7.7"


# ---- probes


def test_a_probe_is_answered_with_a_new_number_to_where_it_came_from() -> None:
    table = membership("door")
    before = table.sequence
    (answer,) = table.heard(Probe("n-door", "n-me", 7), "10.0.0.5", 1.0)
    assert isinstance(answer, SendDatagram) and answer.address == "10.0.0.5" and answer.port == 5000
    assert answer.message == Ack("n-me", "boot-me", 1, before + 1, 7)


def test_a_probe_for_somebody_else_or_from_a_stranger_is_not_answered() -> None:
    table = membership("door")
    assert table.heard(Probe("n-door", "n-shelf", 7), "10.0.0.5", 1.0) == []
    assert table.heard(Probe("n-nobody", "n-me", 7), "10.0.0.5", 1.0) == []


def test_a_helper_probes_and_hands_the_answer_on() -> None:
    table = membership("door", "shelf")
    (probe,) = table.heard(ProbeFor("n-shelf", "n-door", 3), "", 1.0)
    assert isinstance(probe, SendDatagram) and probe.message == Probe("n-me", "n-door", 3, "n-shelf")
    (handed_on,) = table.heard(Ack("n-door", "boot-door", 1, 9, 3, "n-shelf"), "", 1.1)
    assert isinstance(handed_on, SendDatagram) and handed_on.node == "n-shelf"
    assert handed_on.message == Ack("n-door", "boot-door", 1, 9, 3, "")
    assert table.members["n-door"].evidence.sequence == 9


def test_a_probe_over_the_link_is_answered_over_the_link() -> None:
    (answer,) = membership("door").heard(Probe("n-door", "n-me", 7), "", 1.0)
    assert isinstance(answer, SendControl) and isinstance(answer.message, Ack) and answer.node == "n-door"


def test_a_peer_that_only_the_link_brings_words_of_is_given_more_time_until_a_datagram_comes() -> None:
    table = membership("door")
    member = table.members["n-door"]
    table.heard(beat("door", 1), "10.0.0.1", 1.0)
    table.heard(beat("door", 2), "", 1.1)
    assert not member.by_link
    table.change(member, SUSPECT, 2.0)
    table.heard(Ack("n-door", "boot-door", 1, 9, 1), "", 2.1)
    assert member.by_link and member.health == ALIVE
    table.heard(beat("door", 10), "", 2.2)
    assert member.by_link
    table.heard(beat("door", 11), "10.0.0.1", 2.3)
    assert not member.by_link


def test_an_answer_by_datagram_shows_that_datagrams_pass_although_the_links_came_first() -> None:
    # Given somebody of whom no datagram is awaited, as others watch it
    table = membership("door")
    member = table.members["n-door"]
    table.change(member, SUSPECT, 2.0)
    # When it answers a probe both ways, and the later answer arrives first
    table.heard(Ack("n-door", "boot-door", 1, 9, 1), "", 2.1)
    table.heard(Ack("n-door", "boot-door", 1, 8, 1), "10.0.0.1", 2.102)
    # Then its silence is given no more time than anybody's
    assert not member.by_link


def test_only_its_own_new_answer_to_this_node_says_anything_about_how_a_member_is_reached() -> None:
    table = membership("door")
    member = table.members["n-door"]
    table.heard(beat("door", 5), "10.0.0.1", 1.0)
    table.change(member, SUSPECT, 2.0)
    # An old number, an answer of another boot, and one that was meant for another
    table.heard(Ack("n-door", "boot-door", 1, 4, 1), "", 2.1)
    table.heard(Ack("n-door", "boot-other", 1, 7, 1), "", 2.15)
    table.heard(Ack("n-door", "boot-door", 1, 6, 1, "n-other"), "", 2.2)
    assert not member.by_link
    table.heard(Ack("n-nobody", "boot-nobody", 1, 9, 1), "", 2.3)
    assert list(table.members) == ["n-door"]


def test_a_stranger_gets_no_help() -> None:
    assert membership("door").heard(ProbeFor("n-nobody", "n-door", 3), "", 1.0) == []


# ---- verdicts


def test_who_hears_a_node_does_not_believe_that_it_is_dead_and_says_so() -> None:
    table = membership("door", "shelf")
    table.heard(beat("door", 50), "", 1.0)
    answer = _verdicts(_say(table, "shelf", "door", DEAD, sequence=40, now=1.05))
    assert [(each.health, each.sequence) for each in answer] == [(ALIVE, 50)]
    assert table.members["n-door"].health == ALIVE


def test_who_heard_it_lately_but_no_later_than_the_accuser_believes_neither_and_says_nothing() -> None:
    table = membership("door", "shelf")
    table.heard(beat("door", 50), "", 1.0)
    assert _say(table, "shelf", "door", DEAD, sequence=50, now=1.05) == []
    assert table.members["n-door"].health == ALIVE


def test_a_number_that_is_newer_than_the_accusers_counts_for_nothing_after_a_long_silence() -> None:
    table = membership("door", "shelf")
    table.heard(beat("door", 50), "", 1.0)
    assert _events(_say(table, "shelf", "door", SUSPECT, sequence=40, now=3.0)) == ["node_suspect"]


@pytest.mark.parametrize("watches", [True, False])
def test_who_only_knows_by_hearsay_believes_an_accusation_after_a_shorter_silence(watches: bool) -> None:
    table = membership(*(f"m{index}" for index in range(12)))
    member = next(each for each in table.present() if table.watches(each.record.node) is watches)
    observer = next(node for node in table.observers(member.record.node) if node != "n-me").removeprefix("n-")
    table.heard(beat(member.record.name, 50), "", 1.0)
    _say(table, observer, member.record.name, SUSPECT, sequence=50, now=1.0 + 0.9 * WIRED.suspect_s)
    assert member.health == (ALIVE if watches else SUSPECT)


def test_who_watches_and_hears_nothing_either_believes_a_death() -> None:
    table = membership("door", "shelf")
    assert _events(_say(table, "shelf", "door", DEAD, now=1.0)) == ["node_suspect", "node_dead"]


def test_who_does_not_watch_needs_two_observers_to_believe_a_death() -> None:
    # Given a room so large that this node does not watch all of it
    table = membership(*(f"m{index}" for index in range(12)))
    name = next(each.record.name for each in table.present() if not table.watches(each.record.node))
    observers = [node.removeprefix("n-") for node in table.observers(f"n-{name}")]
    # When one of those who watch it, and then a second one, hold it dead
    _say(table, observers[0], name, DEAD)
    assert table.members[f"n-{name}"].health == SUSPECT
    _say(table, observers[0], name, DEAD)
    assert table.members[f"n-{name}"].health == SUSPECT
    _say(table, observers[1], name, DEAD)
    # Then it is
    assert table.members[f"n-{name}"].health == DEAD


@pytest.mark.parametrize("watches", [True, False])
def test_an_observer_that_believes_a_death_repeats_it_to_all_as_those_who_do_not_watch_need_two_words(watches: bool) -> None:
    table = membership(*(f"m{index}" for index in range(12)))
    lost = next(each for each in table.present() if table.watches(each.record.node) is watches)
    observers = [node.removeprefix("n-") for node in table.observers(lost.record.node) if node != "n-me"]
    # When two others who watch it hold it dead
    effects = [each for by in observers[:2] for each in _say(table, by, lost.record.name, DEAD)]
    # Then this node believes it, and says so once to everyone if it is an observer, too
    assert lost.health == DEAD
    told = [each.node for each in effects if isinstance(each, SendDatagram) and isinstance(each.message, Verdict)]
    assert sorted(told) == ([each.record.node for each in table.present()] if watches else [])


def test_the_word_of_those_who_do_not_watch_it_does_not_count() -> None:
    table = membership(*(f"m{index}" for index in range(12)))
    name = next(each.record.name for each in table.present() if not table.watches(each.record.node))
    strangers = [each.record.name for each in table.present() if each.record.node not in table.observers(f"n-{name}")]
    for stranger in strangers:
        _say(table, stranger, name, DEAD)
    assert table.members[f"n-{name}"].health == SUSPECT


def test_a_verdict_on_an_earlier_life_is_passed_over() -> None:
    table = membership()
    table.meet(record("door", incarnation=3), "", 0.0)
    table.meet(record("shelf"), "", 0.0)
    _say(table, "shelf", "door", DEAD, incarnation=2, now=5.0)
    assert table.members["n-door"].health == ALIVE


def test_a_verdict_on_a_life_that_is_not_known_here_is_passed_over() -> None:
    table = membership("door", "shelf")
    _say(table, "shelf", "door", DEAD, incarnation=9, now=5.0)
    assert table.members["n-door"].health == ALIVE


def test_a_verdict_on_another_boot_of_the_same_life_is_passed_over() -> None:
    table = membership("door", "shelf")
    table.heard(Verdict("n-shelf", "n-door", 1, 0, DEAD, "another"), "", 5.0)
    assert table.members["n-door"].health == ALIVE


def test_goodbye_counts_from_its_own_mouth_only() -> None:
    table = membership("door", "shelf")
    _say(table, "shelf", "door", LEFT, sequence=5)
    assert table.members["n-door"].health == ALIVE
    assert _events(_say(table, "door", "door", LEFT, sequence=5)) == ["node_left"]


def test_beats_that_were_under_way_at_goodbye_are_not_answered() -> None:
    table = membership("door")
    _say(table, "door", "door", LEFT, sequence=20)
    assert table.heard(beat("door", 19), "", 1.0) == []


def test_a_goodbye_heard_late_does_not_undo_what_is_newer() -> None:
    table = membership("door")
    table.heard(beat("door", 30), "", 1.0)
    _say(table, "door", "door", LEFT, sequence=20)
    assert table.members["n-door"].health == ALIVE


def test_somebody_elses_word_may_refute_a_suspicion_once() -> None:
    table = membership("door", "shelf")
    table.change(table.members["n-door"], SUSPECT, 1.0)
    assert _events(_say(table, "shelf", "door", ALIVE, sequence=7)) == ["node_refuted"]
    table.change(table.members["n-door"], SUSPECT, 2.0)
    assert _say(table, "shelf", "door", ALIVE, sequence=7, now=2.0) == []
    assert table.members["n-door"].health == SUSPECT


def test_somebody_elses_word_never_revives_the_dead() -> None:
    table = membership("door", "shelf")
    _bury(table, "door")
    _say(table, "shelf", "door", ALIVE, sequence=99)
    _say(table, "shelf", "door", ALIVE, incarnation=2, sequence=99)
    assert table.members["n-door"].health == DEAD


def test_its_own_word_at_a_higher_incarnation_is_a_new_life() -> None:
    table = membership("door")
    _bury(table, "door")
    _say(table, "door", "door", ALIVE, incarnation=2, sequence=1)
    assert table.members["n-door"].health == ALIVE
    assert table.members["n-door"].record.incarnation == 2


# ---- this node is accused


def test_a_suspicion_of_this_node_is_refuted_to_all_with_a_newer_number() -> None:
    table = membership("door", "shelf")
    before = table.sequence
    told = _verdicts(_say(table, "door", "me", SUSPECT))
    assert {(each.subject, each.health, each.incarnation) for each in told} == {("n-me", ALIVE, 1)}
    assert all(each.sequence > before for each in told) and len(told) == 2


@pytest.mark.parametrize("health", [DEAD, LEFT])
def test_a_death_of_this_node_is_refuted_with_a_higher_incarnation_that_is_kept(health: str) -> None:
    table = membership("door")
    effects = _say(table, "door", "me", health, incarnation=4)
    assert table.me.incarnation == 5
    assert Save("incarnation", 5) in effects
    assert {each.incarnation for each in _verdicts(effects)} == {5}


def test_a_node_that_hears_of_itself_at_a_higher_incarnation_raises_its_own() -> None:
    table = membership("door")
    _say(table, "door", "me", SUSPECT, incarnation=8)
    assert table.me.incarnation == 9


def test_an_old_death_is_answered_without_another_incarnation() -> None:
    table = membership("door")
    _say(table, "door", "me", DEAD, incarnation=1)
    effects = _say(table, "door", "me", DEAD, incarnation=1)
    assert table.me.incarnation == 2
    assert [each.incarnation for each in _verdicts(effects)] == [2]


def test_an_accusation_of_a_life_long_past_is_answered_to_the_accuser_alone_and_costs_no_life() -> None:
    table = membership("door", "shelf")
    table.me = replace(table.me, incarnation=7)
    for health in (SUSPECT, DEAD):
        effects = _say(table, "door", "me", health, incarnation=2)
        assert table.me.incarnation == 7
        assert {each.node for each in effects if isinstance(each, (SendControl, SendDatagram))} == {"n-door"}
        assert {each.incarnation for each in _verdicts(effects)} == {7}


def test_who_is_held_dead_here_hears_the_refutation_all_the_same() -> None:
    table = membership("door")
    _bury(table, "door")
    assert "n-door" in {each.node for each in _say(table, "door", "me", DEAD) if isinstance(each, SendControl)}


def test_being_told_that_one_lives_needs_no_answer() -> None:
    assert _say(membership("door"), "door", "me", ALIVE, incarnation=7) == []


# ---- doubles


def test_a_copied_disk_is_an_alarm_that_names_both_machines() -> None:
    table = membership()
    table.meet(record("door"), "10.0.0.1", 0.0)
    said: list[str] = []
    for step in range(int(DOUBLE_S * 10) + DOUBLE_BEATS + 5):
        now = step / 10
        table.heard(beat("door", step), "10.0.0.1", now)
        said += _events(table.heard(beat("door", step, boot="copy"), "10.0.0.2", now))
    assert said == ["alarm"]
    assert "10.0.0.1" in next(iter(table.alarms)) and "10.0.0.2" in next(iter(table.alarms))
    assert table.members["n-door"].record.boot == "boot-door"


def test_beats_of_the_past_life_that_come_late_are_no_alarm() -> None:
    table = membership("door")
    table.heard(beat("door", 100), "", 0.1)
    table.meet(record("door", incarnation=2, boot="later"), "", 0.2)
    for number in range(90, 100):
        table.heard(beat("door", number), "", 0.3)
    for number in range(101, 101 + DOUBLE_BEATS - 2):
        table.heard(beat("door", number), "", 0.4)
    assert not table.alarms


def test_a_machine_whose_disk_forgot_its_last_incarnation_is_let_in_when_its_past_life_is_buried() -> None:
    # Given a past life that is still held alive here
    table = membership("door")
    again = replace(record("door"), boot="again")
    table.meet(again, "", 0.1)
    assert table.members["n-door"].record.boot == "boot-door"
    # When that one has been found dead, then the new one is told so, and comes back with a higher incarnation
    _bury(table, "door")
    assert _verdicts(table.heard(beat("door", 5, boot="again"), "10.0.0.1", 1.0))[0].health == DEAD
    table.meet(replace(again, incarnation=2), "", 1.1)
    assert table.members["n-door"].health == ALIVE


def test_a_past_life_whose_incarnation_the_disk_forgot_is_buried_although_others_hear_the_new_one() -> None:
    # Given a past life that is held alive here because others hear the new one under the same incarnation
    table = membership("door", "shelf")
    for step in range(10):
        now = 1.0 + step / 10
        table.heard(beat("shelf", step + 1, ages=(("n-door", 0),)), "", now)
        told = table.heard(beat("door", step + 1, boot="again"), "10.0.0.1", now)
    # Then it is buried, and the new one told so
    assert table.members["n-door"].health == DEAD
    assert _verdicts(told)[0].health == DEAD


def test_a_node_that_meets_its_own_identity_raises_the_alarm_and_goes_on() -> None:
    table = membership()
    found = table.meet(record("me", boot="copy"), "10.0.0.2", 0.0)
    assert _events(found) == ["alarm"]
    assert _events(table.meet(record("me", boot="copy"), "10.0.0.2", 0.0)) == []
    assert table.meet(record("me"), "", 0.0) == []
    assert table.me.incarnation == 1


def test_a_node_that_hears_of_another_boot_in_its_place_raises_the_alarm() -> None:
    table = membership("door")
    copy = Verdict("n-door", "n-me", 3, 5, ALIVE, "copy")
    assert table.heard(copy, "", 1.0) == []  # its own past life, perhaps
    assert _events(table.heard(copy, "", 1.0 + DOUBLE_S)) == ["alarm"]


# ---- who watches whom


def test_at_most_five_watch_a_node_and_all_nodes_agree_on_them() -> None:
    names = [f"m{index}" for index in range(20)]
    tables = [membership(*(each for each in names if each != name), me=name) for name in names]
    for name in names:
        chosen = {table.observers(f"n-{name}") for table in tables}
        assert len(chosen) == 1
        observers = chosen.pop()
        assert 4 <= len(observers) <= WIRED.observers_max and f"n-{name}" not in observers


def test_in_a_room_of_six_everybody_watches_everybody() -> None:
    table = membership(*"abcde")
    assert len(table.watched()) == 5


def test_when_an_observer_is_lost_another_takes_its_place() -> None:
    table = membership(*(f"m{index}" for index in range(12)))
    before = table.observers("n-m0")
    lost = next(node for node in before if node != "n-me")
    _bury(table, lost.removeprefix("n-"))
    after = table.observers("n-m0")
    assert lost not in after and 4 <= len(after) <= 5


@given(some.text(max_size=20), some.text(max_size=20))
def test_hash_order_is_the_same_everywhere(one: str, other: str) -> None:
    assert hash_order(one, other) == hash_order(one, other)
    assert len(hash_order(one, other)) == 8


# ---- the table of transitions


@pytest.mark.parametrize("before", [ALIVE, SUSPECT, DEAD, LEFT])
@pytest.mark.parametrize("after", [ALIVE, SUSPECT, DEAD, LEFT])
def test_health_changes_as_the_table_has_it_and_never_otherwise(before: str, after: str) -> None:
    table = membership("door")
    member = table.members["n-door"]
    member.health = before
    changed = table.change(member, after, 1.0)
    legal = (before, after) in TRANSITIONS
    assert bool(changed) == legal
    assert member.health == (after if legal else before)


def test_nothing_leads_out_of_death_but_a_new_life_or_a_goodbye() -> None:
    assert {after for before, after in TRANSITIONS if before == DEAD} == {LEFT}
    assert not [after for before, after in TRANSITIONS if before == LEFT]


@given(some.lists(some.tuples(
    some.sampled_from(["beat", "verdict", "own", "hello", "ack"]), some.sampled_from(["door", "shelf"]),
    some.sampled_from([ALIVE, SUSPECT, DEAD, LEFT]), some.integers(1, 3), some.integers(0, 5),
), max_size=40))
def test_whatever_is_heard_the_dead_stay_dead_within_one_incarnation(words: list[tuple[str, str, str, int, int]]) -> None:
    table = membership("door", "shelf", "left")
    buried: dict[str, int] = {}
    for step, (kind, name, health, incarnation, sequence) in enumerate(words):
        now = step * 0.5
        if kind == "beat":
            table.heard(beat(name, sequence, incarnation=incarnation), "", now)
        elif kind == "verdict":
            _say(table, "left", name, health, incarnation=incarnation, sequence=sequence, now=now)
        elif kind == "own":
            _say(table, name, name, health, incarnation=incarnation, sequence=sequence, now=now)
        elif kind == "hello":
            table.meet(record(name, incarnation=incarnation), "", now)
        else:
            table.heard(Ack(f"n-{name}", f"boot-{name}", incarnation, sequence, 1), "", now)
        for node, member in table.members.items():
            if not member.here:
                buried[node] = max(buried.get(node, 0), member.record.incarnation)
            assert not member.here or member.record.incarnation > buried.get(node, 0)
