"""The room at one glance, for a page that a technician opens on a phone: what is wrong first, then who is here, who plays
what, what happened.

Pure, so that every sentence can be tested; `status` and the page draw on the same troubles. What several machines saw is told
once. Times are told as ages in seconds, so that no machine's clock need be right.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mesh.core import drops, latency
from mesh.core.claims import STARTING
from mesh.core.event_words import told_with
from mesh.core.loading import busy_words, loading_words

BAD = frozenset({"node_dead", "role_faulty", "role_failed", "gave_up", "alarm", "trouble", "fault", "request_lost", "claimed_anew"})
TAKEOVERS_MAX, EVENTS_MAX, BAD_MAX = 12, 60, 40
GAP_WITHIN_S = 2.0  # a gap that is told so long after a take-over is that take-over's, besides its own length
MISSING = ("expected", "dead", "stranger")
Said = Mapping[str, Any]


def troubles(said: Said) -> list[dict[str, str]]:
    """What needs a technician, as what it is about and why: a machine of the file is missing, an instance does not play, an alarm stands.
    `said` is what `status` answers."""
    found = [{"about": "", "why": str(alarm)} for alarm in said["alarms"]]
    found += [{"about": name, "why": machine["why"]} for name, machine in said["machines"].items() if machine["health"] in MISSING]
    if said["order"] == "up":
        found += [{"about": name, "why": role["why"] or f"it is {role['state']}"} for name, role in said["roles"].items()
                  if role["state"] != "playing" or role["why"]]
    return found


def glance(said: Said, reports: Mapping[str, Said], events: Sequence[Said]) -> dict[str, Any]:
    """All that the page shows. `reports` is what each machine that is here says of itself; `events` are those of all machines, oldest
    first, each with `age_s` and `machine`."""
    facts = facts_of(reports)
    said = with_loading(said, facts)
    rows = [row for report in reports.values() for row in report.get("latency", [])]
    return {
        "installation": said["installation"], "order": said["order"], "revision": list(said["revision"]),
        "troubles": troubles(said),
        "notes": [*drops.in_words([row for report in reports.values() for row in report.get("drops", [])]), *_turned_away(said)],
        "machines": [_machine(name, machine, reports.get(name, {})) for name, machine in said["machines"].items()],
        "roles": [_role(name, role, facts.get(name, {})) for name, role in said["roles"].items()],
        "latency": latency.in_words(rows), "clock": clock_words(reports),
        "takeovers": takeovers(events), "events": _told(events),
    }  # fmt: skip


def facts_of(reports: Mapping[str, Said]) -> dict[str, Said]:
    """What each instance says of itself, on whichever machine it plays."""
    pulses = [(name, pulse) for report in reports.values() for name, pulse in report.get("roles", {}).items()]
    return {name: pulse.get("facts") or {} for name, pulse in pulses}


def with_loading(said: Said, facts: Mapping[str, Said]) -> dict[str, Any]:
    """What `status` answers; where a role loads, or one call of it lasts, also for how long, and where it is."""
    roles = {name: {**role, "why": (loading_words if role["state"] == STARTING else busy_words)(role["why"], facts.get(name, {}))}
             for name, role in said["roles"].items()}
    return {**said, "roles": roles}


def clock_words(reports: Mapping[str, Said]) -> str:
    """How far apart the machines' clocks may be; "" where fewer than two say so."""
    clocks = [report.get("clock") or {} for report in reports.values()]
    doubts = [clock["doubt_ms"] for clock in clocks if clock.get("doubt_ms") is not None]
    return f"clocks of {len(doubts)} machines together within {max(doubts):.1f} ms" if len(doubts) > 1 else ""


def takeovers(events: Iterable[Said]) -> list[dict[str, Any]]:
    """The last take-overs, newest first, each with the longest gap that a listener measured (None: nobody heard one)."""
    found: list[dict[str, Any]] = []
    for event in events:
        if event.get("event") == "takeover":
            found.append({**{key: event.get(key) for key in ("instance", "from", "to", "cause", "age_s")}, "gap_ms": None})
        elif event.get("event") == "role_gap":
            _measured(found, event)
    return found[: -TAKEOVERS_MAX - 1 : -1]


def _measured(found: list[dict[str, Any]], gap: Said) -> None:
    """To the last take-over of what the listener hears. Copies that answer are measured as one, under their role's name."""
    for row in reversed(found):
        if gap["source"] in (row["instance"], str(row["instance"]).partition("/")[0]):
            if row["age_s"] - gap["age_s"] <= gap["gap_ms"] / 1000 + GAP_WITHIN_S:
                row["gap_ms"] = max(gap["gap_ms"], row["gap_ms"] or 0.0)
            return


def _machine(name: str, machine: Said, report: Said) -> dict[str, Any]:
    playing = [role for role in machine["roles"] if not role.endswith("(standby)")]
    return {
        "name": name, "health": machine["health"], "why": machine["why"], "plays": playing, "drained": bool(machine.get("drained")),
        "stands_by": [role.removesuffix(" (standby)") for role in machine["roles"] if role not in playing],
        "clock": (report.get("clock") or {}).get("words", ""), "revision": (machine.get("revision") or [0, ""])[1][:8],
    }  # fmt: skip


def _role(name: str, role: Said, facts: Said) -> dict[str, Any]:
    return {
        "name": name, "machine": role["machine"], "state": role["state"], "why": role["why"], "stands_by": list(role["standby"]),
        "model": role.get("model", ""), "restarts": role.get("restarts", 0), "page": str(facts.get("page", "")),
        "away": role.get("home", role["machine"]) != role["machine"],
    }  # fmt: skip


def _turned_away(said: Said) -> list[str]:
    return [turned_away_words(each) for each in said.get("turned_away", ())]


def turned_away_words(each: Said) -> str:
    """One address that was refused, how often and why."""
    times = "once" if each["count"] == 1 else f"{each['count']:,} times"
    return f"{each['address']} was turned away {times}: {each['what']}"


def _told(events: Sequence[Said]) -> list[dict[str, Any]]:
    """The last events in words, newest first, and those that were bad from longer ago: last night's must not be pushed out by this
    morning's coming and going."""
    lines = [{"age_s": event["age_s"], "words": words, "bad": is_bad(event)} for event, words in told_with(events)]
    newest = lines[-EVENTS_MAX:]
    worst = [line for line in lines[:-EVENTS_MAX] if line["bad"]][-BAD_MAX:]
    return [*worst, *newest][::-1]


def is_bad(event: Said) -> bool:
    """Whether an event is one that a technician asks about: something was lost, failed or refused."""
    return event.get("event") in BAD or event.get("level") == "error"
