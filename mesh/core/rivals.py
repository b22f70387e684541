"""Two roles that are sent to one machine and would both need what only one can have there: a port, a camera, a board.

Only where the file leaves no doubt that they meet: roles that may move are placed by what else there is, and say in words when a port is
taken. A device is a number, a path in /dev or the word `auto`; a clip or an address may be read by many.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from mesh.core.complaints import Complaints
from mesh.core.instances import machines_of
from mesh.core.spec import Deployment, RoleSpec

Held = tuple[str, str]  # (what it is: a sort of option, its value)


def judge(complaints: Complaints, deployment: Deployment) -> None:
    """Say every pair of roles that would be in each other's way."""
    held = [(role, dict(_held(role, deployment)), _sure(role, deployment)) for role in deployment.roles]
    for (first, its, here), (second, others, there) in combinations(held, 2):
        meet = [name for name in here if name in there]
        for thing, option in others.items():
            if meet and thing in its and not complaints.is_lost("roles", second.name) and not complaints.is_lost("roles", first.name):
                what = f"`{first.name}` and `{second.name}` cannot both have {thing[0]} {thing[1]} on {meet[0]}"
                at = ("roles", second.name, "options", option) if option in second.options else ("roles", second.name)
                complaints.at_value(at, what, f"give one of the two another `{option}` in its options, or another machine")


def _held(role: RoleSpec, deployment: Deployment) -> Iterator[tuple[Held, str]]:
    """What a role needs for itself, each with the option that says so."""
    kind = deployment.kinds.get(role.kind)
    for option, sort in (kind.holds if kind else {}).items():
        default = kind.options.get("properties", {}).get(option, {}).get("default") if kind else None
        value = role.options.get(option, default)
        if isinstance(value, bool) or value is None or (value == 0 and sort.endswith("port")):
            continue
        if isinstance(value, int) or (isinstance(value, str) and (value.startswith("/dev/") or value == "auto")):
            yield (sort, str(value).removeprefix("/dev/video") if sort == "camera" else str(value)), option


def _sure(role: RoleSpec, deployment: Deployment) -> tuple[str, ...]:
    """The machines on which an instance of it plays for certain, while they are there."""
    if role.each:
        return machines_of(deployment, role.each)
    alone = machines_of(deployment, role.on)
    return alone if len(alone) == 1 else ()
