"""The rooms that are simulated: from one machine to eight, with every way of placing a role."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from mesh.core.kind import Kind
from mesh.core.spec import Deployment, Machine, Needs, RoleSpec, Wire

MB = 1 << 20
NAMES = ("door", "shelf", "left", "right", "lamp", "desk", "roof", "well")
KINDS = {
    "source": Kind("source", outputs={"out": "image"}),
    "filter": Kind("filter", inputs={"in": "any"}, outputs={"out": "event"}),
    "answer": Kind("answer", inputs={"ask": "any"}, outputs={"out": "text"}, answers=("ask",)),
    "screen": Kind("screen", display=True, catch_all=True),
}


def heard(name: str, kind: str, rank: int, *sources: str, **keys: object) -> RoleSpec:
    """A role that hears these roles."""
    wires = tuple(Wire("ask" if kind == "answer" else source, source, "out") for source in sources)
    if keys.get("copies", 1) != 1 or keys.get("each"):
        keys.setdefault("standby", "none")
    return RoleSpec(name, kind, rank, inputs=wires, **keys)  # type: ignore[arg-type]


def whispering(names: tuple[str, ...]) -> Deployment:
    """The whispering room: a chain with a warm and a hot standby, two copies, and walls that never move."""
    walls = names[-2:]
    return Deployment(
        "whispering", machines=tuple(Machine(name, ("camera",) if name == names[0] else ()) for name in names), kinds=KINDS, roles=(
            heard("eye", "source", 0, on=(names[0], "label:camera", "any")),
            heard("presence", "filter", 1, "eye", standby="warm"),
            heard("mood", "filter", 2, "presence", standby="hot"),
            heard("poet", "answer", 3, "mood", copies=2, needs=Needs(memory_bytes=300 * MB)),
            heard("wall", "screen", 4, "poet", each=walls),
        ),
    )


def ring(names: tuple[str, ...]) -> Deployment:
    """Two roles that hear each other, and one that comes back to the machine it likes best."""
    return Deployment(
        "ring", machines=tuple(Machine(name) for name in names), kinds=KINDS, roles=(
            heard("ping", "filter", 0, "pong", on=(names[-1], "any"), failback="auto"),
            heard("pong", "filter", 1, "ping", standby="warm"),
            heard("page", "screen", 2, "ping", on=("any",), standby="hot"),
        ),
    )


def crowded(names: tuple[str, ...]) -> Deployment:
    """More roles than memory: somebody stays out when machines are lost."""
    return Deployment(
        "crowded", machines=tuple(Machine(name) for name in names), kinds=KINDS, roles=(
            heard("ear", "source", 0, needs=Needs(memory_bytes=1500 * MB), standby="warm"),
            heard("mind", "answer", 1, "ear", copies=3, spread=True, needs=Needs(memory_bytes=2000 * MB)),
            heard("voice", "filter", 2, "ear", with_="ear"),
            heard("face", "screen", 3, "voice", needs=Needs(memory_bytes=1000 * MB), on=(names[0], "any")),
            heard("extra", "screen", 4, "ear", needs=Needs(memory_bytes=1500 * MB)),
        ),
    )


def nameless(names: tuple[str, ...]) -> Deployment:
    """A file that names no machine: any that comes may play."""
    return Deployment("nameless", kinds=KINDS, roles=(
        heard("eye", "source", 0, standby="hot"), heard("page", "screen", 1, "eye", standby="warm"), heard("other", "screen", 2, "eye"),
    ))


SHAPES = (whispering, whispering, whispering, ring, crowded, nameless)


def draw(rng: Random) -> tuple[Deployment, tuple[str, ...]]:
    """(a deployment, the machines that there are). Now and then the file names one that is not there, or there is a spare."""
    count = rng.choice((2, 2, 3, 3, 3, 4, 4, 5, 6, 7, 8))
    names = NAMES[:count]
    room = rng.choice(SHAPES)(names)
    room = replace(room, boot_grace_s=rng.choice((2.0, 3.0, 5.0)), timing="wireless" if rng.random() < 0.15 else "wired")
    odds = rng.random()
    if odds < 0.1 and room.machines and len(room.machines) > 2:
        return room, names[:-1]
    if odds < 0.2:
        return room, (*names, "spare")
    return room, names
