"""Nodes, claims and a small deployment in a line each: what the tests of the deciding half share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mesh.core.kind import Kind
from mesh.core.membership import Membership
from mesh.core.messages import Beat, Claim, NodeRecord, NodeState
from mesh.core.spec import Deployment, Machine, RoleSpec, Wire
from mesh.core.timing import WIRED

KINDS = {
    "camera": Kind("camera", outputs={"image": "image"}),
    "people": Kind("people", inputs={"image": "image"}, outputs={"people": "event"}),
    "mood": Kind("mood", inputs={"people": "event"}, outputs={"tags": "text"}),
    "poet": Kind("poet", inputs={"prompt": "text"}, outputs={"line": "text"}, answers=("prompt",)),
    "wall": Kind("wall", display=True, catch_all=True),
}
EYE = RoleSpec("eye", "camera", 0, on=("door", "any"))
PRESENCE = RoleSpec("presence", "people", 1, standby="warm", inputs=(Wire("image", "eye", "image"),))
MOOD = RoleSpec("mood", "mood", 2, standby="hot", inputs=(Wire("people", "presence", "people"),))
POET = RoleSpec("poet", "poet", 3, copies=2, standby="none", inputs=(Wire("prompt", "mood", "tags"),))
WALL = RoleSpec("wall", "wall", 4, each=("left", "right"), standby="none", inputs=(Wire("line", "poet", "line"),))
ROOM = Deployment(
    "a-room", machines=tuple(Machine(name) for name in ("door", "shelf", "left", "right")), kinds=KINDS,
    roles=(EYE, PRESENCE, MOOD, POET, WALL),
)


def record(name: str, /, **changes: Any) -> NodeRecord:
    """The record of the node on the machine `name`, in its first life."""
    made = NodeRecord(f"n-{name}", f"boot-{name}", 1, name, (f"10.0.0.{sum(name.encode()) % 200}",), 4000, 5000, "house")
    return replace(made, **changes)


def beat(name: str, sequence: int, *, incarnation: int = 1, boot: str = "", ages: tuple[tuple[str, int], ...] = ()) -> Beat:
    """A heartbeat of the node on the machine `name`."""
    return Beat(f"n-{name}", boot or f"boot-{name}", incarnation, sequence, 1, ages)


def claim(instance: str, epoch: int = 1, *, part: str = "holder", state: str = "playing", **more: Any) -> Claim:
    """A claim to hold `instance`, playing unless told otherwise."""
    return Claim(instance, epoch, part, state, 1, **more)


def said(*claims: Claim, **more: Any) -> NodeState:
    """What a settled node says of itself."""
    more = {"capabilities": {"memory_bytes": 4 << 30, "cores": 4}, "revision": (1, "rev"), "settled": True, "hears": 3, **more}
    return NodeState(1, claims=claims, **more)


def membership(*others: str, me: str = "me", now: float = 0.0) -> Membership:
    """The table of the node `me`, which met the others just now."""
    table = Membership(record(me), WIRED)
    for name in others:
        table.meet(record(name), record(name).addresses[0], now)
    return table
