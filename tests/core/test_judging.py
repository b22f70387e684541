"""What silence does, in virtual time: suspicion, probes, death, knocks, and the doubt whether the fault is here."""

from __future__ import annotations

import pytest

from mesh.core.effects import Effect, Report, SendControl, SendDatagram
from mesh.core.judging import Judge
from mesh.core.members import ALIVE, DEAD, SUSPECT
from mesh.core.membership import Membership
from mesh.core.messages import Beat, BeatsWanted, Digest, Probe, ProbeFor, Verdict
from mesh.core.timing import WIRED
from tests.core.cases import beat, membership, record

STEP_S = 0.01


class Room:
    """One node that listens to others; which of them speak, and when, is the test's to say."""

    def __init__(self, *names: str) -> None:
        self.table: Membership = membership(*names)
        self.judge = Judge(self.table)
        self.names = names
        self.now = 0.0
        self.number = 0
        self.said: list[tuple[float, str, str]] = []
        self.sent: list[Effect] = []
        self.listen(0.3, *names)

    def listen(self, seconds: float, *speakers: str) -> None:
        """Time passes in small steps; the speakers beat ten times a second."""
        until = self.now + seconds
        while self.now < until - 1e-9:
            self.now = round(self.now + STEP_S, 4)
            if round(self.now * 100) % 10 == 0:
                self.number += 1
                for name in speakers:
                    self._take(self.table.heard(beat(name, self.number), "10.0.0.1", self.now))
            if self.judge.next_deadline() <= self.now:
                self._take(self.judge.judge(self.now))
                self._take(self.judge.beat(self.now, 1))
                self._take(self.judge.knock(self.now))
                self.judge.digest(self.now, 1)

    def _take(self, effects: list[Effect]) -> None:
        self.sent += [each for each in effects if isinstance(each, SendDatagram)]
        self.said += [(self.now, each.event, str(each.fields.get("name", ""))) for each in effects if isinstance(each, Report)]

    def health(self, name: str) -> str:
        return self.table.members[f"n-{name}"].health

    def first(self, event: str, name: str = "") -> float:
        return next(at for at, what, who in self.said if what == event and who == name)


def test_a_peer_that_beats_is_never_suspected() -> None:
    room = Room("door", "shelf")
    room.listen(20.0, "door", "shelf")
    assert room.said == []


def test_one_lost_beat_alarms_nobody() -> None:
    room = Room("door")
    for _ in range(20):
        room.listen(0.1, "door")
        room.listen(0.1)
    assert room.said == []


@pytest.mark.parametrize("names", [("door",), ("door", "shelf")])
def test_a_room_of_two_or_three_finds_its_dead_at_once_and_is_never_held(names: tuple[str, ...]) -> None:
    # Given a room of two or three, When all others fall silent, Then they are dead within the plain time
    room = Room(*names)
    silent_since = room.now
    room.listen(2.0)
    for name in names:
        assert room.first("node_suspect", name) - silent_since <= WIRED.suspect_s + WIRED.beat_s + 2 * STEP_S
        assert room.first("node_dead", name) - silent_since <= WIRED.suspect_s + WIRED.dead_s + WIRED.beat_s + 4 * STEP_S
    assert not [each for each in room.said if each[1] == "cut_off"]


def test_in_a_larger_room_one_silent_machine_is_found_as_fast() -> None:
    room = Room("door", "shelf", "left", "right")
    silent_since = room.now
    room.listen(2.0, "shelf", "left", "right")
    assert room.first("node_dead", "door") - silent_since < 0.85
    assert [each for each in room.said if each[1] == "node_suspect"] == [(room.first("node_suspect", "door"), "node_suspect", "door")]


def test_half_of_three_or_more_silent_together_hold_the_verdicts_and_it_is_said() -> None:
    room = Room("door", "shelf", "left", "right")
    silent_since = room.now
    room.listen(2.0, "left", "right")
    assert room.first("cut_off") - silent_since < 0.5
    assert room.health("door") == room.health("shelf") == SUSPECT
    room.listen(1.5, "left", "right")
    assert room.health("door") == room.health("shelf") == DEAD
    held_for = room.first("node_dead", "door") - silent_since
    assert WIRED.hold_s < held_for < WIRED.hold_s + WIRED.dead_s + WIRED.suspect_s + 0.3


def test_a_held_verdict_is_dropped_when_the_others_are_heard_again() -> None:
    room = Room("door", "shelf", "left")
    room.listen(1.5)
    assert room.judge.held_since_s is not None
    room.listen(1.0, "door", "shelf", "left")
    assert [room.health(name) for name in room.names] == [ALIVE] * 3
    assert room.judge.held_since_s is None
    assert "cut_off_over" in {what for _, what, _ in room.said}


@pytest.mark.parametrize("at", range(WIRED.observers_max))
def test_when_none_of_the_watched_is_heard_those_whom_only_others_watch_are_doubted_too_and_all_die_together(at: int) -> None:
    # Given a room so large that others watch some of its machines, and this machine's own cable out
    room = Room(*(f"m{number}" for number in range(8)))
    unwatched = [each.record.name for each in room.table.present() if not room.table.watches(each.record.node)]
    room.judge.carrier = False
    # When one of those it watches goes on a beat longer than all others
    last = [name for name in room.names if name not in unwatched][at]
    room.listen(0.1, last)
    room.listen(1.0)
    # Then every one is suspect once that one is, and nobody is dead before the others
    assert unwatched and {room.first("node_suspect", name) for name in (*unwatched, last)} == {room.first("node_suspect", last)}
    assert len({room.first("node_dead", name) for name in room.names}) == 1
    assert room.first("node_dead", last) - room.first("node_suspect", last) == pytest.approx(WIRED.dead_s, abs=0.02)


def test_one_whom_only_others_watch_and_who_is_heard_of_meanwhile_holds_up_nobody_s_death() -> None:
    # Given a room that fell silent as a whole, so that even those whom only others watch are suspect
    room = Room(*(f"m{number}" for number in range(8)))
    room.judge.carrier = False
    spared = next(each for each in room.table.present() if not room.table.watches(each.record.node))
    room.listen(WIRED.suspect_s + WIRED.together_s / 2)
    assert {room.health(name) for name in room.names} == {SUSPECT}
    # When somebody hears one of these for a while, so soon that those who fell silent with it would have to wait for it
    for _ in range(4):
        room.table.hearsay(spared, 0.0, room.now)
        heard_of = room.now
        room.listen(WIRED.suspect_s * 0.8)
        assert spared.health == ALIVE
    room.listen(1.0)
    # Then the others die at their time, and that one is suspected anew only when it has been silent for long enough again
    others = [name for name in room.names if name != spared.record.name]
    for name in others:
        assert room.first("node_dead", name) - room.first("node_suspect", name) == pytest.approx(WIRED.dead_s, abs=0.02)
    again = max(at for at, event, name in room.said if event == "node_suspect" and name == spared.record.name)
    assert again - heard_of == pytest.approx(WIRED.suspect_s, abs=0.02)


def test_the_next_deadline_is_when_one_whom_only_others_watch_is_to_be_probed() -> None:
    room = Room(*(f"m{number}" for number in range(8)))
    for member in room.table.watched():
        member.evidence.hear(999, room.now + 60.0)
    room.judge.beat_due_s = room.judge.sync_due_s = room.now + 60.0
    room.judge.judge(room.now)
    due_s = room.judge.next_deadline()
    assert not [each for each in room.judge.judge(due_s - 0.01) if isinstance(each, SendDatagram)]
    probed = {each.node for each in room.judge.judge(due_s) if isinstance(each, SendDatagram) and isinstance(each.message, Probe)}
    assert probed and not any(room.table.watches(node) for node in probed)


def test_those_whom_only_others_watch_are_not_doubted_while_one_of_the_watched_is_heard() -> None:
    room = Room(*(f"m{number}" for number in range(8)))
    watched = [each.record.name for each in room.table.watched()]
    room.listen(0.5, *watched[-2:])
    assert {name for _, event, name in room.said if event == "node_suspect"} == set(watched[:-2])


def test_less_than_half_silent_is_not_held() -> None:
    room = Room("door", "shelf", "left", "right", "desk")
    room.listen(1.2, "left", "right", "desk")
    assert room.health("door") == room.health("shelf") == DEAD


def test_silences_that_began_apart_are_not_held() -> None:
    room = Room("door", "shelf", "left", "right")
    room.listen(WIRED.together_s + 0.15, "shelf", "left", "right")
    room.listen(1.0, "left", "right")
    assert room.health("door") == DEAD
    assert not [each for each in room.said if each[1] == "cut_off"]


def test_the_nodes_own_carrier_settles_it_at_once() -> None:
    room = Room("door", "shelf", "left")
    room.judge.carrier = False
    room.listen(1.0)
    assert [room.health(name) for name in room.names] == [DEAD] * 3


def test_a_suspect_is_probed_directly_and_through_others_until_it_answers_or_is_dead() -> None:
    room = Room("door", "shelf", "left", "right")
    room.sent.clear()
    room.listen(0.9, "shelf", "left", "right")
    direct = [each for each in room.sent if isinstance(each, SendDatagram) and isinstance(each.message, Probe)]
    through = {each.node for each in room.sent if isinstance(each, SendDatagram) and isinstance(each.message, ProbeFor)}
    assert 3 <= len(direct) <= 6 and {each.node for each in direct} == {"n-door"}
    assert through == {"n-shelf", "n-left", "n-right"}


def test_a_broken_link_starts_a_probe_at_once_and_is_no_verdict() -> None:
    room = Room("door", "shelf")
    effects = room.judge.hint("n-door", room.now)
    assert {type(each.message) for each in effects if isinstance(each, SendDatagram)} == {Probe, ProbeFor}
    assert room.health("door") == ALIVE
    assert room.judge.hint("n-nobody", room.now) == []


def test_own_lag_is_forgiven_within_the_cap() -> None:
    room = Room("door")
    room.judge.lag(1.0)
    silent_since = room.now
    room.listen(1.0)
    assert room.first("node_suspect", "door") - silent_since >= WIRED.suspect_s + WIRED.lag_cap_s - 2 * STEP_S - WIRED.beat_s
    assert room.first("node_suspect", "door") - silent_since <= WIRED.suspect_s + WIRED.lag_cap_s + WIRED.beat_s + 2 * STEP_S


def test_the_dead_are_knocked_for_ever_a_few_at_a_time() -> None:
    room = Room("door")
    room.listen(1.5)
    room.sent.clear()
    room.listen(10.0)
    knocks = [each.message for each in room.sent if isinstance(each, SendDatagram) and isinstance(each.message, Verdict)]
    assert {(each.subject, each.health) for each in knocks} == {("n-door", DEAD)}
    assert 10.0 / WIRED.knock_s * 0.8 <= len(knocks) <= 10.0 / WIRED.knock_s + 2


def test_the_dead_are_knocked_for_at_once_when_the_nodes_own_carrier_comes_back() -> None:
    room = Room("door", "shelf")
    room.judge.carried(False, room.now)
    room.listen(1.2)
    room.judge.knock(room.now)
    later = room.now + WIRED.knock_s / 4
    assert room.judge.knock(later) == []
    room.judge.carried(True, later)
    assert {each.node for each in room.judge.knock(later) if isinstance(each, SendDatagram)} == {"n-door", "n-shelf"}


def test_in_a_room_that_lost_many_each_is_knocked_in_turn() -> None:
    names = tuple(f"m{index}" for index in range(20))
    table = membership(*names)
    judge = Judge(table)
    for member in table.present():
        table.change(member, SUSPECT, 0.0)
        table.change(member, DEAD, 0.0)
    knocked = [[each.node for each in judge.knock(step * WIRED.knock_s) if isinstance(each, SendDatagram)] for step in range(5)]
    assert all(len(each) == WIRED.knocks_max for each in knocked)
    assert {node for each in knocked for node in each} == {f"n-{name}" for name in names}


def test_a_peer_just_met_may_take_its_time_to_be_heard() -> None:
    # Given a peer whose link to here is in a TCP stall, so that it does not know us yet
    room = Room("door")
    room.table.meet(record("slow"), "10.0.0.3", room.now)
    room.listen(WIRED.meet_s - 0.1, "door")
    assert room.health("slow") == ALIVE
    room.listen(1.0, "door")
    assert room.health("slow") == DEAD


def test_a_beat_carries_how_long_ago_each_watched_peer_was_heard_by_this_node_itself() -> None:
    room = Room("door", "shelf")
    room.table.members["n-shelf"].evidence.hear_of(0.0, room.now)
    (sent, *_) = room.judge.beat(room.now + 1.0, 4)
    assert isinstance(sent, SendDatagram) and isinstance(sent.message, Beat)
    ages = dict(sent.message.ages)
    assert sent.message.version == 4
    assert ages["n-door"] == pytest.approx(1000, abs=110)
    assert ages["n-shelf"] == pytest.approx(1000, abs=110)


def test_beats_go_to_at_most_five_however_large_the_room_is() -> None:
    table = membership(*(f"m{index}" for index in range(60)))
    assert len(Judge(table).beat(0.0, 1)) == WIRED.observers_max


def test_a_digest_goes_to_each_of_the_others_in_turn() -> None:
    table = membership("door", "shelf", "left")
    judge = Judge(table)
    told = [judge.digest(turn * WIRED.sync_s, 7) for turn in range(3)]
    assert {each[0] for each in told if each} == {"n-door", "n-shelf", "n-left"}
    digest = told[0][1] if told[0] else Digest("")
    assert digest.entries[0][:3] == ("n-me", 1, 7)
    assert judge.digest(2.5 * WIRED.sync_s, 7) is None
    assert Judge(membership()).digest(0.0, 1) is None


def test_a_peer_behind_a_firewall_is_asked_for_beats_over_the_link_and_given_more_time() -> None:
    room = Room("door")
    room.table.members["n-door"].by_link = True
    asked = [each for each in room.judge.judge(room.now) if isinstance(each, SendControl) and isinstance(each.message, BeatsWanted)]
    assert [each.node for each in asked] == ["n-door"]
    silent_since = room.now
    room.listen(6.0)
    assert WIRED.link_suspect_s <= room.first("node_suspect", "door") - silent_since + WIRED.beat_s
    assert room.first("node_dead", "door") - room.first("node_suspect", "door") == pytest.approx(WIRED.link_dead_s, abs=0.05)


def test_beats_go_over_the_link_to_who_wants_them_for_as_long_as_they_ask() -> None:
    room = Room("door", "shelf")
    room.table.members["n-door"].wants_beats_s = room.now + 5.0
    sent = [each for step in range(100) for each in room.judge.beat(room.now + step * 0.1, 1) if isinstance(each, SendControl)]
    assert {each.node for each in sent} == {"n-door"}
    assert len(sent) == pytest.approx(5.0 / WIRED.beat_s / WIRED.link_every, abs=2.1)


def test_no_deadline_is_left_in_the_past() -> None:
    room = Room("door", "shelf", "left")
    for speakers in (("door",), (), ("door", "shelf", "left"), ("left",)):
        for _ in range(300):
            room.listen(STEP_S, *speakers)
            room.judge.judge(room.now)
            room.judge.beat(room.now, 1)
            room.judge.knock(room.now)
            room.judge.digest(room.now, 1)
            assert room.judge.next_deadline() > room.now
