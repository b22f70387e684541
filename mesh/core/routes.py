"""Who listens to whom: from claims to the addresses that each role's process connects to.

Pure data for the role's process: a full replacement each time, so that a lost update is mended by the next.
Frames go straight from role to role; no agent ever carries one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mesh.core.claims import PLAYING, READY, STANDBY, STARTING, Holding, Ledger
from mesh.core.effects import Effect, Tell
from mesh.core.messages import Claim
from mesh.core.names import role_name
from mesh.core.spec import Deployment, RoleSpec, Wire


@dataclass(frozen=True, slots=True)
class Reach:
    """How a node is reached from here, and whether it is under suspicion."""

    addresses: tuple[str, ...]
    suspect: bool = False


@dataclass(frozen=True, slots=True)
class Scene:
    """What routes are drawn from: the deployment, its instances' names by role, all claims, and how nodes are reached."""

    deployment: Deployment
    names: Mapping[str, tuple[str, ...]]
    ledger: Ledger
    reach: Mapping[str, Reach]


def routes_for(role: RoleSpec, scene: Scene) -> dict[str, Any]:
    """What an instance of `role` hears (`inputs`), whom its frames ask (`asks`, by output), and whom it may ask (`roles`)."""
    return {
        "inputs": {wire.input: _input(wire, role, scene) for wire in role.inputs if not answers(role, wire, scene.deployment)},
        "asks": _asks(role, scene),
        "roles": {
            other.name: {
                "inputs": list(answering), "copies": list(_sources(other, scene)), "fallback": fallback_of(other, scene.deployment),
            }
            for other in scene.deployment.roles
            if other.name != role.name and (answering := answering_inputs(other, scene.deployment))
        },
    }


def follows(claim: Claim, role: RoleSpec, scene: Scene) -> dict[str, Any] | None:
    """Whom a process keeps in mind: a standby its holder (answers and state), a copy the other copies (answers). With the machines
    that are heard and who plays the roles that ask, so that it can tell when it is the only one left to answer. None: nobody."""
    stands = claim.part == STANDBY
    answering = bool(answering_inputs(role, scene.deployment)) and (role.copies > 1 or role.standby in ("hot", "warm"))
    if not stands and not answering:
        return None
    followed = [claim.instance] if stands else [name for name in scene.names.get(role.name, ()) if name != claim.instance]
    sources = [source for name in followed if (source := _playing(name, scene)) is not None]
    if not answering:
        return {"sources": sources, "here": [], "askers": {}}
    here = sorted(node for node, reach in scene.reach.items() if not reach.suspect)
    return {"sources": sources, "here": here, "askers": dict(_askers(role, scene))}


def fallback_of(role: RoleSpec, deployment: Deployment) -> dict[str, str] | None:
    """What is said in an answering role's place when nobody plays it, and on which stream. By whoever asked, since nobody else is left."""
    kind = deployment.kinds.get(role.kind)
    stream, type_ = next(iter(kind.outputs_for(role.options).items()), ("", "")) if kind else ("", "")
    if type_ != "text" or "text" not in role.fallback or not answering_inputs(role, deployment):
        return None
    return {"stream": f"{role.name}.{stream}", "text": role.fallback["text"]}


def _askers(role: RoleSpec, scene: Scene) -> Iterator[tuple[str, list[Any] | None]]:
    for asking in dict.fromkeys(wire.role for wire in role.inputs if answers(role, wire, scene.deployment)):
        for name in scene.names.get(asking, ()):
            source = _playing(name, scene)
            yield name, None if source is None else [source["node"], source["generation"]]


def streams(scene: Scene) -> dict[str, Any]:
    """Every stream of the room: its type and who plays it now, for whoever listens to the room from outside it."""
    found: dict[str, Any] = {}
    for role in scene.deployment.roles:
        kind = scene.deployment.kinds.get(role.kind)
        for name, type_ in (kind.outputs_for(role.options) if kind else {}).items():
            found[f"{role.name}.{name}"] = {"type": type_, "sources": list(_sources(role, scene))}
    return found


def answers(role: RoleSpec, wire: Wire, deployment: Deployment) -> bool:
    """Whether frames on this input are requests: its method answers, or each frame goes to one of several copies."""
    kind = deployment.kinds.get(role.kind)
    return role.copies > 1 or (kind is not None and wire.input in kind.answers)


def answering_inputs(role: RoleSpec, deployment: Deployment) -> tuple[str, ...]:
    """The inputs on which a role can be asked."""
    kind = deployment.kinds.get(role.kind)
    wired = [wire.input for wire in role.inputs if answers(role, wire, deployment)]
    return tuple(dict.fromkeys([*wired, *(kind.answers if kind else ())]))


def stream_type(role: RoleSpec, stream: str, deployment: Deployment) -> str:
    """The type of `role.stream`; "event" when the kind does not say."""
    kind = deployment.kinds.get(role.kind)
    return kind.outputs_for(role.options).get(stream, "event") if kind else "event"


def _when_superseded(role: RoleSpec, deployment: Deployment) -> str:
    """What a newer request does to an open one: as written, else as the kind's option says, else it waits its turn."""
    kind = deployment.kinds.get(role.kind)
    default = kind.options.get("properties", {}).get("when_superseded", {}).get("default", "queue") if kind else "queue"
    return str(role.options.get("when_superseded", default))


def _input(wire: Wire, role: RoleSpec, scene: Scene) -> dict[str, Any]:
    source = scene.deployment.role(wire.role)
    kind = stream_type(source, wire.stream, scene.deployment)
    delivery = wire.delivery or ("queue" if kind in ("text", "event") else "latest")
    sources = list(_sources(source, scene, standbys=True))
    silent = not any(each["state"] != "standby" or source.standby == "hot" for each in sources)
    instead = fallback_of(source, scene.deployment) if silent else None
    if instead is not None and instead["stream"] == f"{wire.role}.{wire.stream}":
        sources = [playing for name, who in _askers(source, scene) if who is not None and (playing := _playing(name, scene)) is not None]
    return {
        "stream": f"{wire.role}.{wire.stream}", "type": kind, "delivery": delivery, "sources": sources,
        **({"pictures": wire.pictures} if wire.pictures else {}),
    }


def _asks(role: RoleSpec, scene: Scene) -> dict[str, list[dict[str, Any]]]:
    asked: dict[str, list[dict[str, Any]]] = {}
    for other in scene.deployment.roles:
        for wire in other.inputs:
            if wire.role == role.name and answers(other, wire, scene.deployment):
                asked.setdefault(wire.stream, []).append({
                    "role": other.name, "input": wire.input, "type": stream_type(role, wire.stream, scene.deployment),
                    "when_superseded": _when_superseded(other, scene.deployment),
                    "copies": list(_sources(other, scene)), "fallback": fallback_of(other, scene.deployment),
                })
    return asked


def _sources(role: RoleSpec, scene: Scene, *, standbys: bool = False) -> Iterator[dict[str, Any]]:
    """The processes that play `role` now, and on wish its loaded standbys: a hot one is what a consumer turns to at suspicion, and to a
    warm one the line stands already when it begins to play."""
    for instance in scene.names.get(role.name, ()):
        playing = _playing(instance, scene)
        if playing is not None:
            yield playing
        if standbys and role.standby in ("hot", "warm"):
            ready = [each for each in scene.ledger.standbys.get(instance, ()) if each.claim.state == READY and each.node in scene.reach]
            for rank, each in enumerate(sorted(ready, key=lambda one: one.node), 1):
                yield _source(each, scene.reach[each.node], "standby", rank)


def _playing(instance: str, scene: Scene) -> dict[str, Any] | None:
    """The process that plays it now."""
    believed = scene.ledger.believed(instance)
    if believed is None or believed.claim.state != PLAYING or believed.node not in scene.reach:
        return None
    return _source(believed, scene.reach[believed.node], "playing", 0)


def _source(holding: Holding, reach: Reach, state: str, rank: int) -> dict[str, Any]:
    claim = holding.claim
    return {
        "instance": claim.instance, "node": holding.node, "epoch": claim.epoch, "generation": claim.generation,
        "addresses": list(reach.addresses), "frames_port": claim.frames_port, "requests_port": claim.requests_port,
        "state": "suspect" if reach.suspect else state, "rank": rank, "key": claim.key,
    }


@dataclass(slots=True)
class Prompter:
    """Tells each process of this node its routes, when they are new to it."""

    told: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)

    def tell(self, claims: tuple[Claim, ...], scene: Scene) -> list[Effect]:
        """Routes for every process that is set up."""
        effects: list[Effect] = []
        current: dict[tuple[str, int], dict[str, Any]] = {}
        for claim in claims:
            if claim.state == STARTING:
                continue
            key = (claim.instance, claim.generation)
            role = scene.deployment.role(role_name(claim.instance))
            current[key] = {**routes_for(role, scene), "follows": follows(claim, role, scene)}
            if self.told.get(key) != current[key]:
                effects.append(Tell(claim.instance, claim.generation, {"type": "routes", "routes": current[key]}))
        self.told = current
        return effects
