"""Whether the wires between roles can carry what they are asked to, and whether every role can ever start."""

from __future__ import annotations

from collections import deque

from mesh.core.complaints import Complaints
from mesh.core.kind import Kind
from mesh.core.names import did_you_mean, nearest
from mesh.core.spec import Deployment, RoleSpec, Wire

NO_INPUTS = "it has no inputs: give it a method on_NAME that takes the frames of the input NAME, or take the wire out"


def outputs_of(role: RoleSpec, kind: Kind) -> dict[str, str]:
    """The role's streams and their types, its options considered."""
    return kind.outputs_for(role.options)


def judge(complaints: Complaints, deployment: Deployment) -> None:
    """Say every wire that cannot carry, every role that cannot play for want of a wire, and every circle."""
    for role in deployment.roles:
        kind = deployment.kinds.get(role.kind)
        if kind is None or complaints.is_lost("roles", role.name):
            continue
        for wire in role.inputs:
            _judge_wire(complaints, deployment, role, kind, wire)
        _judge_kind(complaints, role, kind)
    _judge_circles(complaints, deployment)


def _judge_wire(complaints: Complaints, deployment: Deployment, role: RoleSpec, kind: Kind, wire: Wire) -> None:
    at = ("roles", role.name, "inputs", wire.input)
    wanted = kind.inputs.get(wire.input)
    if wanted is None and not kind.catch_all:
        what = f"`{kind.kind}` has no input `{wire.input[:60]}`"
        complaints.at_key(at, what, did_you_mean(wire.input, kind.inputs, of="its inputs") if kind.inputs else NO_INPUTS)
    source = next((other for other in deployment.roles if other.name == wire.role), None)
    source_kind = deployment.kinds.get(source.kind) if source else None
    if source is None or source_kind is None or source is role or complaints.is_lost("roles", source.name, "options"):
        return
    outputs = outputs_of(source, source_kind)
    carried = outputs.get(wire.stream)
    if carried is None:
        near = nearest(wire.stream, outputs)
        streams = [f"{wire.role}.{near}"] if near else [f"{wire.role}.{stream}" for stream in outputs]
        instead = f"did you mean `{streams[0]}`?" if near else f"its streams: {', '.join(streams)}"
        if not streams:
            instead = "wire the input to a role that emits something"
        complaints.at_value(at, f"`{wire.role}` has no stream `{wire.stream[:60]}`", instead)
    elif wanted not in (None, "any", carried) and carried != "any":
        what = f"`{wire.role}.{wire.stream}` carries {carried}, the input `{wire.input}` takes {wanted}"
        fitting = _streams_of(deployment, str(wanted), role)
        complaints.at_value(
            at,
            what,
            f"streams of {wanted} here: {', '.join(fitting)}"
            if fitting
            else f"no role here emits {wanted}: add one between them that does",
        )
    elif wire.pictures and carried not in ("image", "any"):
        what = f"“{wire.pictures}” is for pictures, and `{wire.role}.{wire.stream}` carries {carried}"
        complaints.at_value(("roles", role.name, "delivery", wire.input), what, "write latest or queue, or take it out")


def _streams_of(deployment: Deployment, type_: str, asker: RoleSpec) -> list[str]:
    return [
        f"{role.name}.{stream}"
        for role in deployment.roles
        if role is not asker and role.kind in deployment.kinds
        for stream, carried in outputs_of(role, deployment.kinds[role.kind]).items()
        if carried == type_
    ]


def _judge_kind(complaints: Complaints, role: RoleSpec, kind: Kind) -> None:
    """What the kind asks of the role as a whole."""
    at = ("roles", role.name)
    if (
        not role.inputs
        and not complaints.is_any_lost(*at, "inputs")
        and not kind.answers
        and (kind.inputs or (kind.display and not kind.outputs))
    ):
        inputs = ", ".join(kind.inputs) or "any name"
        complaints.at_key(
            at,
            f"no input of `{role.name}` is wired, so it would never do anything",
            f"add inputs: {{{next(iter(kind.inputs), 'line')}: ROLE.STREAM}}; its inputs: {inputs}",
        )
    if (
        kind.needs_model
        and role.model is None
        and not complaints.is_lost(*at, "model")
        and not complaints.is_lost(*at, "ladder")
    ):
        complaints.at_value(
            (*at, "kind"),
            f"`{kind.kind}` needs a model and `{role.name}` names none",
            "add model: NAME, one of those under `models:`",
        )
    own = kind.kind.startswith("./")  # an artist's class may use `self.model` where there is one
    for key in ("model", "ladder"):
        if not kind.needs_model and not own and complaints.has(*at, key) and complaints.written(*at, key):
            complaints.at_key((*at, key), f"`{kind.kind}` takes no model", f"take `{key}` out, or wire a role that takes one")
    if kind.exclusive and role.exclusive is None and role.copies > 1:
        complaints.at_key((*at, "copies"), f"`{kind.kind}` must not play twice at once", "take `copies` out")
    if role.standby == "hot" and (kind.exclusive if role.exclusive is None else role.exclusive):
        what = f"a hot standby of `{kind.kind}` would act on the world beside its holder"
        complaints.at_value((*at, "standby"), what, "write standby: warm")


def _judge_circles(complaints: Complaints, deployment: Deployment) -> None:
    """A role starts when what it listens to is ready, so roles that listen in a circle never start. A display
    breaks the circle: it starts at once."""
    waits: dict[str, list[Wire]] = {
        role.name: [wire for wire in role.inputs if wire.role != role.name]
        for role in deployment.roles
        if (kind := deployment.kinds.get(role.kind)) is not None and not kind.display
    }
    said: set[str] = set()
    for name in waits:
        circle = [] if name in said else _way_back(waits, name)
        if not circle:
            continue
        said.update(circle)
        wire = next(wire for wire in waits[name] if wire.role == circle[1])
        path = " ← ".join([*circle, name])
        instead = "take one of these wires out; where an answer is meant, let one role ask() the other"
        complaints.at_value(
            ("roles", name, "inputs", wire.input), f"these roles wait for each other and never start: {path}", instead
        )


def _way_back(waits: dict[str, list[Wire]], start: str) -> list[str]:
    """The shortest circle through `start`, beginning with it; [] when there is none."""
    came_from: dict[str, str] = {}
    queue = deque([start])
    while queue:
        name = queue.popleft()
        for wire in waits.get(name, []):
            if wire.role == start:
                way = [name]
                while way[-1] != start:
                    way.append(came_from[way[-1]])
                return way[::-1]
            if wire.role in waits and wire.role not in came_from:
                came_from[wire.role] = name
                queue.append(wire.role)
    return []
