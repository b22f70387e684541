"""Rooms in a line, a placement judged by the rules, and the best one found by trying all: what the placement tests share.

Written from the rules and not from the search, with names and sets instead of bits, so that the two can disagree.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from random import Random

from mesh.core.instances import Candidate, Capabilities, Held, Instance, instances
from mesh.core.kind import Kind
from mesh.core.placement import Placement
from mesh.core.spec import Deployment, Machine, Needs, RoleSpec, Wire

GB = 1_000_000_000
PLAIN, SCREEN, LLM = "plain", "screen", "llm"
KINDS = {PLAIN: Kind(PLAIN), SCREEN: Kind(SCREEN, display=True), LLM: Kind(LLM, extra="llm", needs_model=True)}


def role(name: str, *, of: tuple[str, ...] = (), kind: str = PLAIN, memory: float = 0, **keys: object) -> RoleSpec:
    """A role; `of` names the roles whose streams it takes, `memory` is in GB."""
    needs = keys.pop("needs", Needs(memory_bytes=int(memory * GB)))
    wires = tuple(Wire(source, source, "out") for source in of)
    if keys.get("copies", 1) != 1 or keys.get("each"):
        keys.setdefault("standby", "none")
    return RoleSpec(name, kind, inputs=wires, needs=needs, **keys)  # type: ignore[arg-type]


def where_it_may_play(draw: Random, shape: str, names: str) -> dict[str, object]:
    """The keys of a drawn role that say where: of a `shape` "each", "copies" or "single", on machines of these one-letter names."""
    keys: dict[str, object] = {}
    if shape == "each":
        keys["each"] = tuple(draw.sample(names, min(len(names), draw.randint(1, 2))))
    else:
        keys["on"] = tuple(draw.choice([*names, "any", "any", "label:x"]) for _ in range(draw.randint(1, 3)))
    if shape == "copies":
        keys |= {"copies": draw.randint(2, 3), "spread": draw.random() < 0.4}
    return keys


def room(*roles: RoleSpec, machines: Sequence[Machine | str] = ()) -> Deployment:
    """A deployment with its roles ranked as they stand."""
    ranked = tuple(
        RoleSpec(**{**{key: getattr(each, key) for key in RoleSpec.__slots__}, "rank": rank}) for rank, each in enumerate(roles)
    )
    named = tuple(each if isinstance(each, Machine) else Machine(each) for each in machines)
    return Deployment("a-room", machines=named, roles=ranked, kinds=KINDS)


def machine(name: str, memory: float = 8, **keys: object) -> Candidate:
    """A machine that is here, its node called n-NAME; `memory` in GB, all other keys as in Candidate and Capabilities."""
    known = {key: keys.pop(key) for key in ("cores", "gpu", "camera", "screen", "sound", "microphone") if key in keys}
    extras = frozenset(keys.pop("extras", {"llm"}))  # type: ignore[call-overload]
    has = Capabilities(round(memory * GB), extras=extras, **known)  # type: ignore[arg-type]
    return Candidate(f"n-{name}", name, capabilities=has, **keys)  # type: ignore[arg-type]


def plays(instance: str, name: str, epoch: int = 1) -> Held:
    """A claim of the machine of that name."""
    return Held(instance, f"n-{name}", epoch)


def where(placement: Placement) -> dict[str, str]:
    """{instance: machine name}"""
    return {instance: node.removeprefix("n-") for instance, node in placement.holders.items()}


def after(placement: Placement, *lost: str) -> list[Held]:
    """The claims that are left when these machines are gone, and the standbys that are loaded."""
    gone = {f"n-{name}" for name in lost}
    claims = [Held(instance, node, 1) for instance, node in placement.holders.items() if node not in gone]
    return claims + [Held(instance, node, 0, "standby") for instance, node in placement.loaded.items() if node not in gone]


class Judge:
    """The rules of placement as somebody would check them by hand."""

    def __init__(
        self, deployment: Deployment, candidates: Sequence[Candidate], held: Sequence[Held] = (),
        may_fail_back: frozenset[str] = frozenset(), provisional: frozenset[str] = frozenset(),
    ) -> None:
        self.deployment, self.candidates, self.held = deployment, sorted(candidates, key=lambda each: each.node), held
        self.ordered = sorted(instances(deployment), key=lambda each: (each.copy, each.role.rank))
        self.by_node = {each.node: each for each in candidates}
        self.may_fail_back, self.provisional = may_fail_back, provisional
        self.eligible = {each.name: [c.node for c in self.candidates if self._may(each, c)] for each in self.ordered}
        self._narrow_with()
        live = [claim for claim in held if claim.node in self.eligible.get(claim.instance, ())]
        self.holder: dict[str, str] = {}
        self.warm: dict[str, set[str]] = {}
        for claim in sorted(live, key=lambda each: (each.epoch, each.node)):
            if claim.state == "standby":
                self.warm.setdefault(claim.instance, set()).add(claim.node)
            else:
                self.holder[claim.instance] = claim.node

    def _may(self, instance: Instance, candidate: Candidate) -> bool:
        role, has = instance.role, candidate.capabilities
        extra = self.deployment.kinds[role.kind].extra
        if candidate.drained or (candidate.put_aside and not instance.pinned) or instance.name in candidate.gave_up:
            return False
        if instance.pinned and candidate.name not in instance.pinned:
            return False
        if not instance.pinned and self.preference(instance, candidate.node) is None:
            return False
        if role.needs.memory_bytes > has.memory_bytes or (extra and extra not in has.extras):
            return False
        labels = self.labels(candidate)
        return all(
            getattr(has, what) or what in labels for what in ("gpu", "camera", "screen", "sound", "microphone") if getattr(role.needs, what)
        )

    def _narrow_with(self) -> None:
        """A machine where no instance of the role it plays `with` may go is no machine for it (this only affects wishes)."""
        for _ in self.ordered:
            for each in self.ordered:
                if each.role.with_:
                    reach = {node for other in self.ordered if other.role.name == each.role.with_ for node in self.eligible[other.name]}
                    self.eligible[each.name] = [node for node in self.eligible[each.name] if node in reach]

    def labels(self, candidate: Candidate) -> set[str]:
        return {*candidate.labels, *self.deployment.labels_of(candidate.name)}

    def preference(self, instance: Instance, node: str) -> int | None:
        """How far down `on:` the first token stands that means this machine."""
        if instance.pinned:
            return 0
        candidate = self.by_node[node]
        for rank, token in enumerate(instance.role.on):
            if token in ("any", candidate.name) or (token.startswith("label:") and token[6:] in self.labels(candidate)):
                return rank
        return None

    def lawful(self, seats: dict[str, str]) -> bool:
        """Whether every hard rule holds."""
        memory: dict[str, int] = {}
        for each in self.ordered:
            node = seats.get(each.name)
            if node is None:
                continue
            if node not in self.eligible[each.name]:
                return False
            memory[node] = memory.get(node, 0) + each.role.needs.memory_bytes
            on_it = [other for other in self.ordered if other.name != each.name and seats.get(other.name) == node]
            if each.role.with_ and not any(other.role.name == each.role.with_ for other in on_it):
                return False
            if each.role.spread and any(other.role.name == each.role.name for other in on_it):
                return False
            if not self.has_audience(each.role.name, seats):
                return False
        return all(used <= self.by_node[node].capabilities.memory_bytes for node, used in memory.items())

    def users(self, name: str) -> set[str]:
        return {
            other.name for other in self.deployment.roles
            if other.name != name and (other.with_ == name or any(wire.role == name for wire in other.inputs))
        }

    def fed_by(self, name: str) -> set[str]:
        found, todo = {name}, [name]
        while todo:
            new = self.users(todo.pop()) - found
            found |= new
            todo += new
        return found

    def is_output(self, name: str) -> bool:
        def plainly(other: str) -> bool:
            taken = any(wire.role == other and each.name != other for each in self.deployment.roles for wire in each.inputs)
            return not taken or self.deployment.kinds[self.deployment.role(other).kind].display

        return plainly(name) or not any(plainly(other) for other in self.fed_by(name))

    def has_audience(self, name: str, seats: dict[str, str]) -> bool:
        playing = {each.role.name for each in self.ordered if each.name in seats}
        return any(other in playing and self.is_output(other) for other in self.fed_by(name))

    def is_free(self, instance: Instance, node: str) -> bool:
        """Whether a holder may move there unforced."""
        name = instance.name
        if name not in self.may_fail_back and name not in self.provisional:
            return False
        now, then = self.preference(instance, self.holder[name]), self.preference(instance, node)
        assert now is not None and then is not None
        siblings = {self.holder.get(o.name) for o in self.ordered if o.role.name == instance.role.name and o.name != name}
        alone = name in self.provisional and self.holder[name] in siblings and node not in siblings
        return then < now or (then == now and alone)

    def score(self, seats: dict[str, str]) -> tuple[object, ...]:
        """Lower is better; the order of the promises in placement.py, but for load."""
        forced = moved = pairs = unused = 0
        wishes = []
        for at, each in enumerate(self.ordered):
            node = seats.get(each.name)
            if node is None:
                continue
            wishes.append(self.preference(each, node))
            if each.name in self.holder:
                moved += node != self.holder[each.name]
                forced += node != self.holder[each.name] and not self.is_free(each, node)
            else:
                unused += each.name in self.warm and node not in self.warm[each.name]
            pairs += sum(o.role.name == each.role.name and seats.get(o.name) == node for o in self.ordered[:at])
        placed = tuple(each.name not in seats for each in self.ordered)
        return (placed, forced, pairs, unused, wishes, moved)

    def every_lawful(self) -> Iterator[dict[str, str]]:
        """All placements that keep the rules."""
        choices = [[*self.eligible[each.name], None] for each in self.ordered]
        for choice in product(*choices):
            seats = {each.name: node for each, node in zip(self.ordered, choice, strict=True) if node is not None}
            if self.lawful(seats):
                yield seats

    def best_score(self) -> tuple[object, ...]:
        return min(self.score(seats) for seats in self.every_lawful())
