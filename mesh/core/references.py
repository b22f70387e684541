"""Names in the file that must be names of something in the file, and keys that contradict each other."""

from __future__ import annotations

from mesh.core import delivery
from mesh.core.complaints import Complaints
from mesh.core.names import did_you_mean
from mesh.core.schema import MachineFile, RoleFile
from mesh.core.spec import Deployment, Machine, Needs, RoleSpec, Wire


def machine(name: str, said: MachineFile) -> Machine:
    """The value of a machine; what it `has` holds only what is written."""
    has = {"memory_bytes" if key == "memory" else key: value for key, value in said.has.model_dump(exclude_none=True).items()}
    return Machine(name, tuple(said.labels), has)


def role_spec(rank: int, name: str, role: RoleFile) -> RoleSpec:
    """The value of a role, defaults that depend on other keys filled in."""
    alone = not role.each and role.copies == 1
    wires = tuple(
        Wire(input_, source.partition(".")[0], source.partition(".")[2], *(delivery.read(role.delivery.get(input_, "")) or ("", "")))
        for input_, source in role.inputs.items()
    )
    limits = {"memory_bytes": role.limits.memory, "cores": role.limits.cores}
    return RoleSpec(
        name=name, kind=role.kind, rank=rank, on=tuple(role.on or ("any",)), each=tuple(role.each or ()), copies=role.copies,
        standby=(role.standby or "cold") if alone else "none",
        needs=Needs(role.needs.memory or 0, role.needs.gpu, role.needs.camera, role.needs.screen, role.needs.sound, role.needs.microphone),
        model=role.model or next(iter(role.ladder), None), inputs=wires, options=role.options,
        fallback={sort: path for sort, path in role.fallback.model_dump().items() if path},
        with_=role.with_, spread=role.spread, failback=role.failback, exclusive=role.exclusive, ladder=tuple(role.ladder),
        limits={key: limit for key, limit in limits.items() if limit is not None},
    )  # fmt: skip


def judge(complaints: Complaints, deployment: Deployment) -> None:
    """Say every name that names nothing and every contradiction."""
    for role in deployment.roles:
        if complaints.is_lost("roles", role.name):
            continue
        _judge_contradictions(complaints, role)
        _judge_machines(complaints, deployment, role)
        _judge_models(complaints, deployment, role)
        _judge_with(complaints, deployment, role)
        _judge_wires(complaints, deployment, role)
    for computer in deployment.machines:
        for what in computer.labels:
            if computer.has.get(what) is False and not complaints.is_lost("machines", computer.name):
                at = ("machines", computer.name, "has", what)
                complaints.at_value(at, f"`{computer.name}` is labelled {what} and has none", "take the label out, or this")
    hours = deployment.opening
    if hours is not None and hours.opens_min == hours.closes_min and not complaints.is_any_lost("opening"):
        complaints.at_value(
            ("opening", "to"),
            "the room closes at the moment it opens",
            'write from: "00:00" and to: "24:00" for a room that never closes',
        )


def known(complaints: Complaints, section: str) -> list[str]:
    """The names that stand in a section, those included whose own text has mistakes or could not be read."""
    lost = [str(path[1]) for path in complaints.lost if len(path) > 1 and path[0] == section]
    return list(dict.fromkeys([*complaints.keys(section), *sorted(lost)]))


def _judge_contradictions(complaints: Complaints, role: RoleSpec) -> None:
    at = ("roles", role.name)
    if role.each and complaints.has(*at, "on"):
        complaints.at_key(
            (*at, "on"),
            "`on` and `each` exclude each other",
            "keep `each` for one instance on each machine, or `on` for one that may move",
        )
    if role.each and role.copies > 1:
        complaints.at_key(
            (*at, "copies"),
            "`each` and `copies` exclude each other",
            "take `copies` out: `each` makes one instance on each machine",
        )
    if complaints.has(*at, "standby") and role.copies > 1:
        complaints.at_key(
            (*at, "standby"),
            "`copies` above 1 and `standby` exclude each other",
            "take `standby` out: copies are each other's standby",
        )
    elif complaints.has(*at, "standby") and role.each and complaints.written(*at, "standby") != "none":
        complaints.at_key((*at, "standby"), "an `each` role never moves, so it has no standby", "take `standby` out")
    if role.exclusive and role.copies > 1:
        complaints.at_key(
            (*at, "copies"), "an `exclusive` role cannot play in copies", "take `copies` out, or write exclusive: false"
        )
    limit = role.limits.get("memory_bytes")
    if limit is not None and limit < role.needs.memory_bytes:
        complaints.at_value(
            (*at, "limits", "memory"), "the limit is below what the role needs", "write a limit above `needs: memory`"
        )
    early = role.on.index("any") if "any" in role.on[:-1] else None
    if early is not None:
        what = "`any` covers every machine, so what follows it never counts"
        complaints.at_value((*at, "on", early), what, "write `any` last")


def _judge_machines(complaints: Complaints, deployment: Deployment, role: RoleSpec) -> None:
    if complaints.is_lost("machines"):
        return
    for key, tokens in (("on", role.on), ("each", role.each)):
        for place, token in enumerate(tokens if complaints.has("roles", role.name, key) else ()):
            at = ("roles", role.name, key, place)
            if not complaints.is_lost(*at):
                fault = _token_fault(complaints, deployment, key, token, tokens[:place])
                if fault:
                    complaints.at_value(at, *fault)


def _token_fault(
    complaints: Complaints, deployment: Deployment, key: str, token: str, before: tuple[str, ...]
) -> tuple[str, str] | None:
    """What is wrong with one word of `on` or `each`: (what, instead)."""
    machines = known(complaints, "machines")
    labels = sorted({label for machine in deployment.machines for label in machine.labels})
    if token in before:
        return f"`{token[:60]}` stands in `{key}` twice", "keep the first"
    if token == "any":
        return None if key == "on" else ("`each` names its machines, `any` is none", "name them, or write label:LABEL")
    if token.startswith(("label:", "label ")):
        label = token[6:].strip()
        if token != f"label:{label}":
            return "a label is written without a space", f"write label:{label}"
        if label in labels or complaints.is_any_lost("machines"):
            return None
        near = did_you_mean(label, labels, of="labels").replace("`", "`label:", 1)
        return f"no machine has the label `{label[:60]}`", near
    if token in machines:
        return None
    near = f"did you mean `label:{token}`?" if token in labels else _machine_instead(token, machines)
    return f"there is no machine `{token[:60]}`", near


def _machine_instead(token: str, machines: list[str]) -> str:
    if not machines:
        return f"the file names no machines: add `{token[:40]}: {{}}` under `machines:`, or write any"
    return did_you_mean(token, machines, of="machines")


def _judge_models(complaints: Complaints, deployment: Deployment, role: RoleSpec) -> None:
    at = ("roles", role.name)
    if complaints.has(*at, "model") and role.ladder:
        complaints.at_key(
            (*at, "model"), "`model` and `ladder` exclude each other", "put the model first in the `ladder`"
        )
    if complaints.is_lost("models"):
        return
    models = known(complaints, "models")
    named: list[tuple[tuple[str | int, ...], str]] = [
        ((*at, "ladder", place), name) for place, name in enumerate(role.ladder)
    ]
    if complaints.has(*at, "model") and role.model is not None:
        named.append(((*at, "model"), role.model))
    for where, name in named:
        if name not in models and not complaints.is_lost(*where):
            near = did_you_mean(name, models, of="models")
            complaints.at_value(
                where,
                f"there is no model `{name[:60]}`",
                near if models else "the file has no models: add it under `models:`",
            )


def _judge_with(complaints: Complaints, deployment: Deployment, role: RoleSpec) -> None:
    if role.with_ is None:
        return
    at = ("roles", role.name, "with")
    roles = {other.name: other for other in deployment.roles}
    names = known(complaints, "roles")
    company = roles.get(role.with_)
    if role.with_ == role.name:
        complaints.at_value(at, "a role is always with itself", "name another role, or take `with` out")
    elif role.with_ not in names:
        complaints.at_value(at, f"there is no role `{role.with_[:60]}`", did_you_mean(role.with_, names, of="roles"))
    elif company is not None and (company.each or company.copies > 1):
        complaints.at_value(at, f"`{company.name}` plays on several machines at once", "name a role that plays once")
    else:
        circle = _circle_of(roles, role.name)
        if circle and role.rank == min(roles[name].rank for name in circle):
            path = " → ".join([*circle, role.name])
            complaints.at_value(at, f"each of these waits to be where the next is: {path}", "take one `with` out")
    for key in ("on", "each", "copies"):
        if complaints.has(*at[:2], key) and not (key == "copies" and role.copies == 1):
            complaints.at_key(
                (*at[:2], key),
                f"`with` and `{key}` exclude each other",
                f"take one of the two out: `with` goes where `{role.with_[:40]}` goes",
            )


def _circle_of(roles: dict[str, RoleSpec], start: str) -> list[str]:
    """The roles passed by following `with` from `start` back to it, [] where it does not lead back."""
    way = [start]
    while (name := roles[way[-1]].with_) in roles and name is not None:
        if name == start:
            return way
        if name in way:
            break
        way.append(name)
    return []


def _judge_wires(complaints: Complaints, deployment: Deployment, role: RoleSpec) -> None:
    at = ("roles", role.name)
    names = known(complaints, "roles")
    for wire in role.inputs:
        where = (*at, "inputs", wire.input)
        if wire.role == role.name:
            complaints.at_value(
                where,
                "the role is wired to itself",
                "wire the input to another role; a role remembers in its own attributes",
            )
        elif wire.role not in names:
            complaints.at_value(
                where, f"there is no role `{wire.role[:60]}`", did_you_mean(wire.role, names, of="roles")
            )
    inputs = [wire.input for wire in role.inputs]
    for input_ in complaints.keys(*at, "delivery"):
        if (
            input_ not in inputs
            and not complaints.is_lost(*at, "inputs", input_)
            and not complaints.is_lost(*at, "delivery", input_)
        ):
            complaints.at_key(
                (*at, "delivery", input_),
                f"`{input_[:60]}` is not wired",
                did_you_mean(input_, inputs, of="wired inputs"),
            )
