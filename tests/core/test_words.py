"""The table of members, word by word: what each must not do, where it is nearly one that must."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mesh.core.effects import Effect, Report, SendControl, SendDatagram
from mesh.core.members import ALIVE, DEAD, SUSPECT
from mesh.core.membership import DOUBLE_BEATS, DOUBLE_S, Membership
from mesh.core.messages import Ack, Verdict
from mesh.core.timing import WIRED
from tests.core.cases import beat, claim, membership, record, said


def events(effects: list[Effect]) -> list[str]:
    return [each.event for each in effects if isinstance(each, Report)]


def told(effects: list[Effect]) -> list[tuple[str, str]]:
    verdicts = [each for each in effects if isinstance(each, SendControl) and isinstance(each.message, Verdict)]
    return [(each.node, each.message.health) for each in verdicts if isinstance(each.message, Verdict)]


def bury(table: Membership, name: str, now: float = 0.1) -> None:
    member = table.members[f"n-{name}"]
    table.change(member, SUSPECT, now)
    table.change(member, DEAD, now)


# ---- other boots, other lives


def test_another_boot_of_one_who_is_here_is_hearsay_and_of_a_dead_one_is_told_of_the_death() -> None:
    table = membership("door")
    assert table.meet(record("door", boot="another"), "", 0.1) == []
    assert table.members["n-door"].double is None
    bury(table, "door")
    assert told(table.meet(record("door", boot="another"), "", 0.2)) == [("n-door", DEAD)]


def test_a_process_that_only_answered_an_accusation_keeps_what_is_known_of_it() -> None:
    table = membership("door")
    table.heard(beat("door", 7), "", 0.1)
    state = table.members["n-door"].state = said(claim("eye"))
    table.meet(record("door", incarnation=2), "", 0.2)
    member = table.members["n-door"]
    assert (member.evidence.sequence, member.state, member.double) == (7, state, None)


def test_the_state_of_a_dead_one_is_not_that_of_its_next_boot() -> None:
    table = membership("door")
    table.members["n-door"].state = said(claim("eye"))
    bury(table, "door")
    table.meet(record("door", incarnation=2, boot="later"), "", 0.2)
    assert table.members["n-door"].state is None


def test_a_dead_one_that_spoke_a_moment_ago_is_dead_to_its_next_boot_too() -> None:
    table = membership("door")
    table.heard(beat("door", 7), "", 0.1)
    bury(table, "door")
    assert told(table.heard(beat("door", 1, boot="another"), "", 0.2)) == [("n-door", DEAD)]


def test_a_third_boot_is_counted_from_its_own_first_word() -> None:
    table = membership("door")
    for number, boot in enumerate(("second", "second", "third")):
        table.heard(beat("door", 5 + number, boot=boot), "", 0.1)
    double = table.members["n-door"].double
    assert double is not None and (double.boot, double.heard) == ("third", 0)


def test_a_word_of_another_boot_that_comes_twice_counts_once() -> None:
    table = membership("door")
    for sequence in (5, 6, 6, 6, 7):
        table.heard(beat("door", sequence, boot="another"), "", 0.1)
    double = table.members["n-door"].double
    assert double is not None and double.heard == 2


@pytest.mark.parametrize(("beats", "seconds", "alarms"), [(DOUBLE_BEATS + 1, DOUBLE_S, 1), (DOUBLE_BEATS - 2, DOUBLE_S, 0),
                                                           (DOUBLE_BEATS + 20, DOUBLE_S / 2, 0)])
def test_two_of_one_identity_are_an_alarm_when_both_have_spoken_often_and_for_long(beats: int, seconds: float, alarms: int) -> None:
    table, found = membership("door"), []
    for number in range(beats + 1):
        now = 0.1 + number * seconds / (beats - 1)
        table.heard(beat("door", 100 + number), "", now)
        found += events(table.heard(beat("door", number, boot="another"), "", now))
    assert found == ["alarm"] * alarms


def test_an_echo_of_this_nodes_own_words_is_no_alarm_but_anothers_are() -> None:
    table = membership("door")
    assert table.heard(beat("me", 1), "10.0.0.7", 0.1) == []
    assert events(table.heard(beat("me", 1, boot="another"), "10.0.0.7", 0.1)) == ["alarm"]


def test_a_late_word_of_the_same_boot_before_it_answered_an_accusation_proves_nothing() -> None:
    table = membership("door")
    table.meet(record("door", incarnation=2), "", 0.1)
    table.heard(beat("door", 99), "", 0.2)
    assert table.members["n-door"].evidence.sequence == -1


# ---- what others say of others


def test_the_word_of_the_dead_and_of_another_boot_on_others_does_not_count() -> None:
    for silence in ("dead", "another boot"):
        table = membership("door", "shelf")
        table.change(table.members["n-shelf"], SUSPECT, 0.1)
        if silence == "dead":
            bury(table, "door")
        boot = "" if silence == "dead" else "another"
        table.heard(beat("door", 1, boot=boot, ages=(("n-shelf", 0),)), "", 0.2)
        assert table.members["n-shelf"].health == SUSPECT


def test_hearsay_of_strangers_and_of_the_dead_changes_nothing() -> None:
    table = membership("door", "shelf")
    bury(table, "shelf")
    table.heard(beat("door", 1, ages=(("n-ghost", 0), ("n-shelf", 0))), "", 0.2)
    assert table.members["n-shelf"].evidence.freshest_s == 0.0
    table.hearsay(table.members["n-shelf"], 0.0, 0.3)
    assert table.members["n-shelf"].evidence.freshest_s == 0.0


def test_a_word_over_the_link_does_not_change_where_datagrams_go_and_a_datagram_from_there_is_no_change() -> None:
    table = membership("door")
    where, changes = table.members["n-door"].address, table.changes
    table.heard(beat("door", 1), "", 0.1)
    table.heard(beat("door", 2), where, 0.2)
    assert (table.members["n-door"].address, table.changes) == (where, changes)


# ---- verdicts


def test_a_verdict_on_a_stranger_is_passed_over() -> None:
    assert membership("door").heard(Verdict("n-door", "n-ghost", 1, 0, DEAD, "boot"), "", 0.1) == []


def test_its_own_word_of_a_later_life_counts_whatever_its_boot_is() -> None:
    table = membership("door")
    table.heard(Verdict("n-door", "n-door", 2, 1, ALIVE, "later"), "", 0.1)
    assert (table.members["n-door"].record.incarnation, table.members["n-door"].record.boot) == (2, "later")


def test_anothers_word_that_one_lives_counts_for_a_suspected_one_of_that_life_only() -> None:
    table = membership("door", "shelf")
    door = table.members["n-door"]
    table.heard(Verdict("n-shelf", "n-door", 1, 50, ALIVE, "boot-door"), "", 0.1)
    assert door.evidence.sequence == -1, "of one that is not suspected nothing need be believed"
    table.change(door, SUSPECT, 0.2)
    table.heard(Verdict("n-shelf", "n-door", 2, 50, ALIVE, "later"), "", 0.3)
    assert door.health == SUSPECT
    table.heard(Verdict("n-shelf", "n-door", 1, 50, ALIVE, "boot-door"), "", 0.3)
    assert door.health == ALIVE


@pytest.mark.parametrize(
    ("boot", "incarnation", "noted"), [("", 1, False), ("boot-me", 1, False), ("another", 0, False), ("another", 1, True)]
)
def test_another_boot_held_alive_in_this_ones_place_is_noted(boot: str, incarnation: int, noted: bool) -> None:
    table = membership("door")
    table.heard(Verdict("n-door", "n-me", incarnation, 1, ALIVE, boot), "", 0.1)
    assert (table.replaced_s is not None) is noted


def test_an_accusation_by_a_stranger_is_refuted_too() -> None:
    table = membership("door")
    effects = table.heard(Verdict("n-ghost", "n-me", 1, 0, DEAD, "boot-me"), "", 0.1)
    assert table.me.incarnation == 2
    assert told(effects) == [("n-door", ALIVE)]


def test_only_an_answer_that_was_asked_for_by_another_is_handed_on() -> None:
    table = membership("door", "shelf")
    for relay, to in (("", []), ("n-me", []), ("n-ghost", []), ("n-shelf", ["n-shelf"])):
        effects = table.heard(Ack("n-door", "boot-door", 1, 9, 1, relay), "", 0.1)
        assert [each.node for each in effects if isinstance(each, SendDatagram)] == to


# ---- the table


def test_a_node_watches_those_of_whom_it_is_an_observer() -> None:
    names = [f"m{number}" for number in range(14)]
    table = membership(*names)
    watched = {each.record.name for each in table.watched()}
    assert watched == {name for name in names if "n-me" in table.observers(f"n-{name}")}
    assert 0 < len(watched) <= WIRED.observers_max < len(names)
    assert all(f"n-{name}" not in table.observers(f"n-{name}") for name in names)


def test_the_lost_are_the_dead_alone() -> None:
    table = membership("door", "shelf", "left")
    bury(table, "door")
    table.change(table.members["n-left"], SUSPECT, 0.1)
    assert [each.record.name for each in table.lost()] == ["door"]


def test_datagrams_go_to_those_who_are_known_and_have_an_address() -> None:
    table = membership("door", "shelf")
    table.members["n-shelf"].address = ""
    sent = list(table.send_to(["n-door", "n-shelf", "n-ghost"], beat("me", 1)))
    assert [each.node for each in sent if isinstance(each, SendDatagram)] == ["n-door"]


def test_the_line_to_a_peer_that_was_out_of_touch_for_long_is_stale_and_to_no_other() -> None:
    for silent_s, stale in ((WIRED.dead_s, True), (WIRED.dead_s / 2, False)):
        table = membership("door")
        table.change(table.members["n-door"], SUSPECT, 0.0)
        assert not table.stale_links
        table.change(table.members["n-door"], ALIVE, silent_s)
        assert bool(table.stale_links) is stale
    table = membership("door")
    bury(table, "door", 99.0)
    assert not table.stale_links


@pytest.mark.parametrize("gap_s, stale", [(WIRED.stalled_s, True), (WIRED.stalled_s - 0.01, False)])
def test_after_a_gap_in_its_own_words_the_line_to_a_watched_peer_is_stale_whoever_else_heard_it(gap_s: float, stale: bool) -> None:
    table = membership("door", "shelf")
    member = table.members["n-door"]
    member.watched_s = 1.0
    table.heard(beat("door", 1), "10.0.0.1", 1.5)
    assert not table.stale_links
    member.evidence.hear_of(0.0, 1.5 + gap_s / 2)
    table.heard(beat("door", 2), "10.0.0.1", 1.5 + gap_s)
    assert (table.stale_links == {"n-door"}) is stale


def test_a_gap_says_nothing_of_one_that_is_not_watched_nor_of_the_time_before_it_was() -> None:
    table = membership("door")
    table.heard(beat("door", 1), "10.0.0.1", 1.0)
    table.heard(beat("door", 2), "10.0.0.1", 9.0)
    assert not table.stale_links
    table.members["n-door"].watched_s = 17.9
    table.heard(beat("door", 3), "10.0.0.1", 18.0)
    assert not table.stale_links


@pytest.mark.parametrize("gap_s, stale", [(WIRED.stalled_s, True), (WIRED.stalled_s - 0.01, False)])
def test_the_line_to_a_peer_is_stale_when_that_one_says_that_it_did_not_hear_this_node_for_so_long(gap_s: float, stale: bool) -> None:
    table = membership("door")
    table.heard(beat("door", 1, ages=(("n-me", 0),)), "10.0.0.1", 1.0)
    table.heard(beat("door", 2, ages=()), "10.0.0.1", 1.1)  # it suspects this node
    assert not table.stale_links
    table.heard(beat("door", 3, ages=(("n-me", 100),)), "10.0.0.1", 1.1 + gap_s)
    assert (table.stale_links == {"n-door"}) is stale


def test_machines_without_a_name_or_of_different_names_are_no_alarm() -> None:
    table = membership("door")
    assert events(table.meet(record("shelf"), "", 0.1)) == ["node_up"]
    for node in ("n-1", "n-2"):
        assert events(table.meet(replace(record("x"), node=node, name=""), "", 0.1)) == ["node_up"]
