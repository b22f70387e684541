"""The room at one glance: what is wrong, in plain words, and what happened, once."""

from __future__ import annotations

from typing import Any

from mesh.core.glance import BAD_MAX, EVENTS_MAX, clock_words, glance, takeovers, troubles


def said(**more: Any) -> dict[str, Any]:
    machines = {"door": {"health": "alive", "why": "", "roles": ["eye", "mood (standby)"], "drained": True}}
    roles = {"poet/1": {"machine": "door", "state": "playing", "why": "", "standby": ["shelf"], "model": "large", "restarts": 2}}
    return {"installation": "x", "order": "up", "revision": (3, "abc"), "alarms": [], "machines": machines, "roles": roles, **more}


def test_a_room_that_plays_has_no_trouble_and_one_that_rests_is_not_blamed_for_resting() -> None:
    assert troubles(said()) == []
    idle = {"poet": {"machine": None, "state": "unplaced", "why": "the room is down: `roomful up`", "standby": []}}
    assert troubles(said(order="down", roles=idle)) == []
    assert troubles(said(roles=idle))[0]["about"] == "poet"


def test_a_role_is_away_where_its_wishes_would_be_met_better_elsewhere_and_nowhere_else() -> None:
    roles = {"eye": {"machine": "shelf", "state": "playing", "why": "", "standby": [], "home": "door"},
             "poet": {"machine": "door", "state": "playing", "why": "", "standby": [], "home": "door"},
             "mood": {"machine": None, "state": "unplaced", "why": "no machine", "standby": []},
             "wall": {"machine": "door", "state": "playing", "why": "", "standby": []}}  # as an older machine says it
    shown = {each["name"]: each["away"] for each in glance(said(roles=roles), {}, [])["roles"]}
    assert shown == {"eye": True, "poet": False, "mood": False, "wall": False}


def test_alarms_come_first_then_machines_then_roles_each_with_its_reason() -> None:
    found = troubles(said(
        alarms=["two machines call themselves door"], machines={"shelf": {"health": "dead", "why": "silent", "roles": []},
                                                                  "old": {"health": "left", "why": "stopped", "roles": []}},
        roles={"poet": {"machine": "door", "state": "starting", "why": "", "standby": []}}))
    assert found == [{"about": "", "why": "two machines call themselves door"}, {"about": "shelf", "why": "silent"},
                     {"about": "poet", "why": "it is starting"}]


def test_a_machine_shows_what_it_plays_and_what_it_stands_by_for_and_a_role_its_model_and_page() -> None:
    reports = {"door": {"clock": {"words": "the others follow it", "doubt_ms": 0.0},
                        "roles": {"poet/1": {"facts": {"page": "http://10.0.0.1:8080/"}}}}}
    shown = glance(said(turned_away=[{"address": "10.0.0.9", "count": 1200, "what": "another key"}]), reports, [])
    (machine,), (role,) = shown["machines"], shown["roles"]
    assert (machine["plays"], machine["stands_by"], machine["drained"], machine["clock"]) == (
        ["eye"], ["mood"], True, "the others follow it")
    assert (role["model"], role["page"], role["stands_by"], role["restarts"]) == ("large", "http://10.0.0.1:8080/", ["shelf"], 2)
    assert shown["notes"] == ["10.0.0.9 was turned away 1,200 times: another key"]


def test_a_take_over_has_the_longest_gap_that_any_listener_measured_and_not_a_later_ones() -> None:
    def taken(instance: str, age_s: float) -> dict[str, Any]:
        return {"event": "takeover", "instance": instance, "from": "a", "to": "b", "cause": "lost", "age_s": age_s}

    def gap(source: str, age_s: float, gap_ms: float) -> dict[str, Any]:
        return {"event": "role_gap", "source": source, "instance": "wall", "gap_ms": gap_ms, "age_s": age_s}

    found = takeovers([taken("eye", 100), gap("eye", 99.5, 80), taken("poet/1", 50), gap("poet", 49, 63), gap("poet", 48.9, 207),
                       gap("eye", 10, 900)])
    assert [(row["instance"], row["gap_ms"]) for row in found] == [("poet/1", 207), ("eye", 80)]


def test_what_several_machines_saw_is_told_once_and_the_bad_of_last_night_is_kept_when_much_happens_today() -> None:
    night = [{"event": "node_dead", "name": "shelf", "silent_ms": 450 + saw, "age_s": 40_000.0 - saw} for saw in range(3)]
    day = [{"event": "role_state", "instance": f"r{number}", "state": "playing", "age_s": 3000.0 - number} for number in range(200)]
    shown = glance(said(), {}, [*night, *day])["events"]
    assert len(shown) == EVENTS_MAX + 1 <= EVENTS_MAX + BAD_MAX
    assert shown[-1]["bad"] and "shelf is gone" in shown[-1]["words"] and not shown[0]["bad"]


def test_clocks_are_told_once_two_machines_know_theirs() -> None:
    assert clock_words({"a": {"clock": {"doubt_ms": 0.2}}, "b": {"clock": None}}) == ""
    assert "0.3 ms" in clock_words({"a": {"clock": {"doubt_ms": 0.2}}, "b": {"clock": {"doubt_ms": 0.26}}})
