"""What a rehearsal's summary says of take-overs: each with the gap that its own listeners measured."""

from __future__ import annotations

from typing import Any

from mesh.shell.tally import GAP_WITHIN_S, Tally


def takeover(instance: str, to: str) -> dict[str, Any]:
    return {"event": "takeover", "instance": instance, "from": "a", "to": to, "cause": "lost"}


def gap(source: str, gap_ms: float, by: str = "wall@c") -> dict[str, Any]:
    return {"event": "role_gap", "instance": by, "source": source, "gap_ms": gap_ms}


def gaps(tally: Tally) -> list[tuple[str, float | None]]:
    return [(row["instance"], row["gap_ms"]) for row in tally.summary()["takeovers"]]


def test_of_several_listeners_the_longest_gap_counts() -> None:
    tally = Tally()
    tally.take(takeover("mood", "b"), 10.0)
    for by, gap_ms in (("poet", 300.0), ("wall@c", 500.0), ("wall@d", 400.0)):
        tally.take(gap("mood", gap_ms, by), 11.5)
    assert gaps(tally) == [("mood", 500.0)]


def test_a_gap_belongs_to_the_last_take_over_of_its_instance_and_to_none_long_after() -> None:
    tally = Tally()
    tally.take(takeover("mood", "b"), 10.0)
    tally.take(takeover("mood", "c"), 20.0)
    tally.take(takeover("eye", "c"), 20.0)
    tally.take(gap("mood", 200.0), 21.2)
    tally.take(gap("mood", 900.0), 20.0 + 0.9 + GAP_WITHIN_S + 0.1)
    assert gaps(tally) == [("mood", None), ("mood", 200.0), ("eye", None)]
    assert [each["gap_ms"] for each in tally.summary()["gaps"]] == [200.0, 900.0]


def test_the_gap_of_copies_that_answer_is_told_by_their_role() -> None:
    tally = Tally()
    tally.take(takeover("poet/2", "b"), 10.0)
    tally.take(gap("poet", 120.0), 11.3)
    assert gaps(tally) == [("poet/2", 120.0)]


def test_everything_has_played_when_each_has_at_some_moment() -> None:
    tally = Tally()
    for name, state in (("eye", "playing"), ("mood", "starting")):
        tally.roles[name] = {"machine": "a", "state": state}
    assert not tally.all_played(["eye", "mood"])
    tally.roles["eye"]["state"], tally.roles["mood"]["state"] = "ended", "playing"
    assert tally.all_played(["eye", "mood"])
