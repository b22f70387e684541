"""What the judge does not do: not again, not too soon, not to those it is not about."""

from __future__ import annotations

import pytest

from mesh.core.effects import Effect, Report, SendControl, SendDatagram
from mesh.core.judging import NEVER, Judge
from mesh.core.members import ALIVE, DEAD, SECONDHAND, SUSPECT, Member
from mesh.core.messages import Beat, BeatsWanted, Probe, ProbeFor, Verdict
from mesh.core.timing import WIRED
from tests.core.cases import beat, membership

MANY = tuple(f"m{number}" for number in range(14))


def watch(*names: str) -> Judge:
    """A judge whose others were all heard at once, at the beginning."""
    table = membership(*names)
    for name in names:
        table.heard(beat(name, 1), "10.0.0.1", 0.0)
    return Judge(table)


def hear(judge: Judge, now: float, *names: str) -> None:
    for name in names or [each.record.name for each in judge.table.present()]:
        judge.table.heard(beat(name, int(now * 1000) + 2), "10.0.0.1", now)  # type: ignore[attr-defined]


def member(judge: Judge, name: str) -> Member:
    return judge.table.members[f"n-{name}"]


def bury(judge: Judge, *names: str, now: float = 0.1) -> None:
    for name in names:
        for health in (SUSPECT, DEAD):
            judge.table.change(member(judge, name), health, now)


def sent(effects: list[Effect], kind: type) -> list[str]:
    return [each.node for each in effects if isinstance(each, (SendDatagram, SendControl)) and isinstance(each.message, kind)]


# ---- beats, digests, knocks


def test_a_beat_goes_out_when_it_is_due_and_not_before() -> None:
    judge = watch("door")
    assert sent(judge.beat(1.0, 1), Beat) == ["n-door"]
    assert judge.beat(1.05, 1) == []
    assert sent(judge.beat(1.1, 1), Beat) == ["n-door"]


def test_beats_and_digests_tell_of_the_living_alone() -> None:
    judge = watch("door", "shelf")
    judge.table.change(member(judge, "door"), SUSPECT, 0.1)
    told = [each.message for each in judge.beat(0.2, 1) if isinstance(each, SendDatagram)]
    assert [dict(each.ages) for each in told if isinstance(each, Beat)] == [{"n-shelf": 200}] * 2
    found = judge.digest(0.2, 1)
    assert found is not None
    assert {node for node, *_ in found[1].entries} == {"n-me", "n-shelf"}
    assert judge.digest(0.3, 1) is None


def test_nobody_is_knocked_for_while_nobody_is_dead_and_the_dead_at_once() -> None:
    judge = watch("door", "shelf")
    judge.knock_due_s = NEVER
    judge.judge(0.1)
    assert judge.knock_due_s == NEVER
    bury(judge, "door")
    judge.judge(0.2)
    assert judge.knock_due_s == 0.2
    judge.knock_due_s = 0.4
    judge.judge(0.3)
    assert judge.knock_due_s == 0.4


# ---- probes


def test_a_broken_link_to_the_living_alone_is_probed_and_others_help() -> None:
    judge = watch("door", "shelf", "left", "right")
    judge.table.change(member(judge, "left"), SUSPECT, 0.1)
    bury(judge, "right")
    effects = judge.hint("n-door", 0.2)
    assert sent(effects, Probe) == ["n-door", "n-door"]
    assert sent(effects, ProbeFor) == ["n-shelf"]
    for name in ("left", "right", "ghost"):
        assert judge.hint(f"n-{name}", 0.2) == []


def test_a_suspect_is_probed_again_after_a_while_and_not_at_every_look() -> None:
    judge = watch("door")
    probed = []
    for step in range(60):
        now = 0.2 + step / 100
        probed += [now] * bool(sent(judge.judge(now), Probe))
    assert len(probed) >= 3
    assert all(later - earlier >= WIRED.probe_s - 1e-6 for earlier, later in zip(probed, probed[1:], strict=False))


# ---- whom it watches


def test_since_when_one_is_watched_is_counted_from_the_first_look_and_anew_after_a_break() -> None:
    judge = watch(*MANY)
    hear(judge, 1.0)
    judge.judge(1.0)
    watched = {each.record.name for each in judge.table.watched()}
    assert {name for name in MANY if member(judge, name).watched_s == 1.0} == watched
    assert all(member(judge, name).watched_s is None for name in set(MANY) - watched)
    # When it looks again, Then nothing has changed
    hear(judge, 1.1)
    judge.judge(1.1)
    assert {name for name in MANY if member(judge, name).watched_s == 1.0} == watched
    # When so many are lost that others are watched, Then these are from now on
    lost = sorted(set(MANY) - watched)[:7]
    bury(judge, *lost, now=1.1)
    hear(judge, 1.2)
    judge.judge(1.2)
    assert {each.record.name for each in judge.table.watched()} - watched
    for each in judge.table.watched():
        assert each.watched_s == (1.0 if each.record.name in watched else 1.2)


def test_who_is_watched_no_longer_is_watched_from_the_beginning_when_it_is_again() -> None:
    judge = watch("a", "b", "c")
    judge.judge(0.1)
    for name in MANY:
        judge.table.enter(membership(name).members[f"n-{name}"])
        hear(judge, 0.15, name)
    hear(judge, 0.15)
    judge.judge(0.15)
    for each in judge.table.present():
        assert (each.watched_s is not None) == judge.table.watches(each.record.node)


def test_whom_it_has_only_begun_to_watch_it_gives_the_time_to_be_heard() -> None:
    judge = watch("door")
    hear(judge, 1.0)
    member(judge, "door").watched_s = 1.2
    assert not [each for each in judge.judge(1.0 + WIRED.suspect_s + 0.01) if isinstance(each, Report)]
    assert [each.event for each in judge.judge(1.2 + WIRED.suspect_s) if isinstance(each, Report)] == ["node_suspect"]


# ---- beats over the link


def test_beats_over_the_link_are_asked_of_those_who_need_it_and_not_at_every_look() -> None:
    judge = watch("door", "shelf")
    member(judge, "door").by_link = True
    asked = []
    for step in range(70):
        now = 1.0 + step / 10
        hear(judge, now, "shelf")
        judge.table.heard(beat("door", 100 + step), "", now)  # type: ignore[attr-defined]
        asked += [(round(now, 1), node) for node in sent(judge.judge(now), BeatsWanted)]
    assert asked == [(1.0, "n-door"), (1.0 + WIRED.link_ask_s, "n-door")]


def test_those_whom_only_others_watch_are_asked_for_nothing() -> None:
    judge = watch(*MANY)
    for each in judge.table.present():
        each.by_link = True
    assert set(sent(judge.judge(0.1), BeatsWanted)) == {each.record.node for each in judge.table.watched()}


# ---- its own lag, and whether the fault is here


@pytest.mark.parametrize(("lag_s", "forgiven_s"), [(WIRED.beat_s / 4, 0.0), (WIRED.beat_s * 0.75, WIRED.beat_s * 0.75)])
def test_a_lag_of_half_a_beat_is_none(lag_s: float, forgiven_s: float) -> None:
    judge = watch("door")
    judge.lag(lag_s)
    assert member(judge, "door").evidence.forgiven_s == pytest.approx(forgiven_s)


def test_that_it_may_be_cut_off_is_said_once_and_that_it_is_over_once_with_how_many_live() -> None:
    judge = watch("a", "b", "c", "d")
    hear(judge, 1.0)
    told = []
    for step in range(30):
        now = 1.0 + step / 50
        hear(judge, now, "a")
        told += [each for each in judge.judge(now) if isinstance(each, Report) and each.event.startswith("cut_off")]
    assert [each.event for each in told] == ["cut_off"]
    assert judge.held_since_s is not None and judge.held_since_s < 1.4
    hear(judge, 1.7, "a", "b", "c")
    told = [each for now in (1.7, 1.75) for each in judge.judge(now) if isinstance(each, Report) and each.event.startswith("cut_off")]
    assert [(each.event, each.fields.get("alive")) for each in told] == [("cut_off_over", 4)]


# ---- when it must look next


@pytest.mark.parametrize("first", ["beat_due_s", "knock_due_s", "judge"])
def test_it_looks_next_when_the_first_of_all_is_due(first: str) -> None:
    judge = watch("door")
    judge.beat_due_s, judge.knock_due_s, judge.sync_due_s = 5.0, 6.0, 1.0  # a digest waits for the beat
    member(judge, "door").evidence.freshest_s = 9.0
    if first == "judge":
        member(judge, "door").evidence.freshest_s = 1.0
        assert judge.next_deadline() == pytest.approx(1.0 + WIRED.suspect_s)
    else:
        setattr(judge, first, 2.0)
        assert judge.next_deadline() == 2.0


def test_a_peer_behind_a_firewall_is_a_reason_to_look_when_it_must_be_asked_again() -> None:
    for by_link, due in ((True, 2.0 + WIRED.link_ask_s), (False, 50.0 + WIRED.suspect_s)):
        judge = watch("door")
        judge.beat_due_s = judge.knock_due_s = judge.sync_due_s = NEVER
        door = member(judge, "door")
        door.evidence.freshest_s, door.asked_beats_s, door.by_link = 50.0, 2.0, by_link
        assert door.health == ALIVE
        assert judge.next_deadline() == pytest.approx(due)


# ---- the carrier


def test_only_a_carrier_that_comes_back_knocks_for_the_dead_and_only_while_there_are_any() -> None:
    judge = watch("door", "shelf")
    judge.knock_due_s = NEVER
    judge.carried(False, 0.1)
    judge.carried(True, 0.2)
    assert judge.knock_due_s == NEVER
    bury(judge, "door")
    judge.knock_due_s = 9.0
    judge.carried(True, 0.3)  # it was there already
    judge.carried(False, 0.4)
    judge.carried(False, 0.5)  # nor does one that is still away
    assert judge.knock_due_s == 9.0
    judge.carried(True, 0.6)
    assert judge.knock_due_s == 0.6


# ---- an accusation that comes too early


def accused_early() -> tuple[Judge, Member]:
    """One whom only others watch, heard of at 5.0 and held suspect by one of its observers at 5.1."""
    judge = watch(*MANY)
    judge.beat_due_s = judge.knock_due_s = NEVER
    table = judge.table
    far = next(each for each in table.present() if not table.watches(each.record.node))
    for each in table.present():
        each.evidence.hear(5, 5.0)
    by = next(node for node in table.observers(far.record.node) if node != table.me.node)
    table.heard(Verdict(by, far.record.node, 1, 9, SUSPECT, far.record.boot), "10.0.0.1", 5.1)  # type: ignore[attr-defined]
    return judge, far


def test_an_accusation_that_comes_too_early_is_believed_when_nothing_newer_is_heard_of_the_accused() -> None:
    judge, far = accused_early()
    due_s = 5.0 + WIRED.suspect_s * SECONDHAND
    assert far.health == ALIVE

    judge.judge(due_s - 0.001)
    assert far.health == ALIVE
    assert judge.next_deadline() == pytest.approx(due_s)

    effects = judge.judge(due_s)
    assert far.health == SUSPECT
    assert [each.event for each in effects if isinstance(each, Report)] == ["node_suspect"]
    assert not sent(effects, Verdict)  # those who watch it have told


def test_an_accusation_that_comes_too_early_is_forgotten_when_the_accused_is_heard_of() -> None:
    judge, far = accused_early()

    far.evidence.hear_of(0.01, 5.12)
    judge.judge(5.12 + WIRED.suspect_s)

    assert far.health == ALIVE
    assert judge.next_deadline() > 5.12 + WIRED.suspect_s


def test_when_an_early_accusation_is_due_is_found_at_once() -> None:
    judge, far = accused_early()
    far.accused_s = float("-inf")
    judge.next_deadline()
    by = next(node for node in judge.table.observers(far.record.node) if node != "n-me")

    judge.table.heard(Verdict(by, far.record.node, 1, 9, SUSPECT, far.record.boot), "10.0.0.1", 5.1)  # type: ignore[attr-defined]

    assert judge.next_deadline() == pytest.approx(5.0 + WIRED.suspect_s * SECONDHAND)
