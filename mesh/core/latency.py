"""From sensor to screen: how old what a role hears is, and where it was captured. Drawn from wires and pulses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mesh.core.names import role_name
from mesh.core.spec import Deployment


def sensors(role: str, deployment: Deployment, input: str | None = None) -> tuple[str, ...]:
    """The roles at the far end of a role's wires (of one of its inputs), which hear nobody themselves, in the order of the file. A role
    that hears nobody is its own."""
    roles = {each.name: each for each in deployment.roles}
    if role not in roles:
        return ()
    waiting = [wire.role for wire in roles[role].inputs if input in (None, wire.input)] or [role]
    seen: set[str] = set()
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen or name not in roles:
            continue
        seen.add(name)
        before = [wire.role for wire in roles[name].inputs]
        waiting += before
        if not before:
            found.add(name)
    return tuple(each.name for each in deployment.roles if each.name in found)


def latencies(deployment: Deployment | None, pulses: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """For each input of each instance here of which ages were measured: where they come from, and milliseconds from there to here."""
    rows: list[dict[str, Any]] = []
    for instance, pulse in sorted(pulses.items()):
        role = role_name(instance)
        kind = _kind(role, deployment)
        for input, age in sorted(pulse.get("ages", {}).items()):
            rows.append({
                "instance": instance, "input": input, "from": list(sensors(role, deployment, input)) if deployment else [],
                "display": kind is not None and kind.display, **age,
            })  # fmt: skip
    return rows


def _kind(role: str, deployment: Deployment | None) -> Any:
    if deployment is None:
        return None
    return next((deployment.kinds.get(each.kind) for each in deployment.roles if each.name == role), None)


def in_words(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """A line for each display: `eye → wall@left-wall 84 ms, at most 130`."""
    lines = []
    for row in rows:
        if row["display"]:
            origin = ", ".join(row["from"]) or row["input"]
            lines.append(f"{origin} → {row['instance']} {_ms(row['median_ms'])} ms, at most {_ms(row['p99_ms'])}")
    return lines


def _ms(value: float) -> str:
    return f"{value:.1f}" if value < 10 else f"{value:.0f}"
