"""The question that `place` answers, in small integers: machines are bits, wishes are masks.

Reading names, labels and needs once turns everything after it into arithmetic, which is what makes a search in
pure Python fast enough to run at each event. Machines are numbered in the order of the file (spares after it, by
name), so ties fall the same way in every rehearsal; items are numbered by importance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from mesh.core.instances import STANDBY_STATE, Candidate, Held, Instance, by_importance, instances
from mesh.core.spec import Deployment, Needs, RoleSpec

# What a machine has or has not. A label of the same name stands for having it: the file overrides the measurement.
CAPABILITIES = ("gpu", "camera", "screen", "sound", "microphone")
_SHARES = 27720  # divisible by 1 to 12, so that what an instance weighs on a machine of so many cores is a whole number
_BITS_KEPT_MAX = 4096


@dataclass(slots=True)
class Item:
    """One instance as the search sees it. Masks have bit c for machine c."""

    name: str
    role: RoleSpec
    memory: int
    layers: tuple[int, ...]  # the machines that may play it, by order of preference; disjoint
    allowed: int  # all of them
    held: int = -1  # the machine that plays it now, if that one still may
    free: int = 0  # machines that it may move to although it is held
    warm: int = 0  # machines on which a standby of it is loaded
    siblings: tuple[int, ...] = ()  # the other copies
    beside: tuple[int, ...] = ()  # `with`: it must share a machine with one of these
    apart: bool = False  # `spread: true`: never on one machine with a sibling

    def preference(self, machine: int) -> int:
        """How far down its wishes a machine stands; 0 is liked best."""
        return next(rank for rank, layer in enumerate(self.layers) if layer >> machine & 1)


@dataclass(slots=True)
class Room:
    """Machines and items. `memory` is per machine; `share` is what one instance weighs there, less with more cores."""

    machines: list[Candidate]
    every: tuple[Instance, ...]
    items: list[Item]
    memory: list[int]
    share: list[int]
    used_by: dict[str, tuple[str, ...]]  # role -> those that take its streams, and those that play `with` it
    sources: dict[str, list[str]]  # the same, backwards
    outputs: frozenset[str]  # roles that play for visitors
    needs_one_of: dict[int, list[int]] = field(default_factory=dict)  # item -> output items, one of which must play
    for_nobody: set[int] = field(default_factory=set)  # items that feed no output that could play here
    _bits: dict[int, tuple[int, ...]] = field(default_factory=dict)

    def bits(self, mask: int) -> tuple[int, ...]:
        """The machines in a mask, lowest first."""
        known = self._bits.get(mask)
        if known is None:
            found, rest = [], mask
            while rest:
                low = rest & -rest
                found.append(low.bit_length() - 1)
                rest ^= low
            known = tuple(found)
            if len(self._bits) < _BITS_KEPT_MAX:
                self._bits[mask] = known
        return known


class Machines:
    """Who has what, as masks over the machines that are here."""

    def __init__(self, deployment: Deployment, machines: list[Candidate]) -> None:
        self.all = (1 << len(machines)) - 1
        self.in_service, self.not_drained = 0, 0
        self.named: dict[str, int] = {}
        self.labelled: dict[str, int] = {}
        self.having: dict[str, int] = dict.fromkeys(CAPABILITIES, 0)
        self.installed: dict[str, int] = {}
        self.gave_up: dict[str, int] = {}
        self._memory = [(each.capabilities.memory_bytes, 1 << index) for index, each in enumerate(machines)]
        self._enough: dict[int, int] = {0: self.all}
        labels_of = {each.name: each.labels for each in deployment.machines}
        for index, each in enumerate(machines):
            bit = 1 << index
            self.named[each.name] = self.named.get(each.name, 0) | bit
            self.not_drained |= 0 if each.drained else bit
            self.in_service |= 0 if each.put_aside else bit
            labels = {*each.labels, *labels_of.get(each.name, ())}
            for label in labels:
                self.labelled[label] = self.labelled.get(label, 0) | bit
            for what in CAPABILITIES:
                if what in labels or getattr(each.capabilities, what):
                    self.having[what] |= bit
            for extra in each.capabilities.extras:
                self.installed[extra] = self.installed.get(extra, 0) | bit
            for name in each.gave_up:
                self.gave_up[name] = self.gave_up.get(name, 0) | bit

    def meant_by(self, token: str) -> int:
        """The machines that a token of `on:` means."""
        if token == "any":
            return self.all
        if token.startswith("label:"):
            return self.labelled.get(token.removeprefix("label:"), 0)
        return self.named.get(token, 0)

    def fit_for(self, needs: Needs, extra: str | None) -> int:
        """The machines that have what a role needs, its memory alone counted."""
        mask = self._with_memory(needs.memory_bytes)
        for what in CAPABILITIES:
            if getattr(needs, what):
                mask &= self.having[what]
        return mask if extra is None else mask & self.installed.get(extra, 0)

    def _with_memory(self, memory_bytes: int) -> int:
        if memory_bytes not in self._enough:
            self._enough[memory_bytes] = sum(bit for memory, bit in self._memory if memory >= memory_bytes)
        return self._enough[memory_bytes]


def read_room(
    deployment: Deployment, candidates: Sequence[Candidate], held: Sequence[Held],
    may_fail_back: frozenset[str], provisional: frozenset[str], may_part: frozenset[str] = frozenset(),
) -> Room:
    """The question as integers. The order of the arguments leaves no trace in it."""
    file_order = {each.name: index for index, each in enumerate(deployment.machines)}
    machines = sorted(candidates, key=lambda each: (file_order.get(each.name, len(file_order)), each.name, each.node))
    masks = Machines(deployment, machines)
    every = instances(deployment)
    ordered = by_importance(every)
    wishes = {role.name: _wishes(deployment, role, masks) for role in deployment.roles}
    items = [_item(instance, masks, wishes[instance.role.name]) for instance in ordered]
    _relate(items)
    _hold(items, machines, held)
    _set_free(items, may_fail_back, provisional, may_part)
    used_by = _users(deployment)
    return Room(
        machines, every, items, [each.capabilities.memory_bytes for each in machines],
        [_SHARES // max(1, each.capabilities.cores) for each in machines],
        used_by, _sources(used_by), _outputs(deployment, used_by),
    )


def _wishes(deployment: Deployment, role: RoleSpec, masks: Machines) -> tuple[int, ...]:
    """The role's layers of preference before anything that concerns a single instance."""
    kind = deployment.kinds.get(role.kind)
    fit = masks.fit_for(role.needs, kind.extra if kind else None) & masks.not_drained
    if role.each:
        return (fit,)  # a machine that is put aside keeps its own display: it cannot play anywhere else
    fit &= masks.in_service
    layers = []
    for token in role.on:
        layers.append(fit & masks.meant_by(token))
        fit &= ~layers[-1]
    return tuple(layers)


def _item(instance: Instance, masks: Machines, wishes: tuple[int, ...]) -> Item:
    layers = wishes
    without = masks.gave_up.get(instance.name, 0)
    if instance.pinned:
        layers = tuple(layer & masks.named.get(instance.pinned[0], 0) for layer in layers)
    if without:
        layers = tuple(layer & ~without for layer in layers)
    allowed = 0
    for layer in layers:
        allowed |= layer
    role = instance.role
    return Item(instance.name, role, role.needs.memory_bytes, layers, allowed, apart=role.spread)


def _relate(items: list[Item]) -> None:
    """Copies know each other; who plays `with` a role knows its instances, and can only go where one of them can."""
    by_role: dict[str, list[int]] = {}
    for index, item in enumerate(items):
        by_role.setdefault(item.role.name, []).append(index)
    followers = []
    for index, item in enumerate(items):
        if item.role.copies > 1:
            item.siblings = tuple(other for other in by_role[item.role.name] if other != index)
        if item.role.with_ is not None:
            item.beside = tuple(by_role.get(item.role.with_, ()))
            followers.append(item)
    narrowed = True
    while narrowed:
        narrowed = False
        for item in followers:
            reach = 0
            for target in item.beside:
                reach |= items[target].allowed
            if item.allowed & ~reach:
                item.allowed &= reach
                item.layers = tuple(layer & reach for layer in item.layers)
                narrowed = True


def _hold(items: list[Item], machines: list[Candidate], held: Sequence[Held]) -> None:
    """Who plays what now. Of two claims the higher (epoch, node) is the holder, as consumers see it."""
    index_of = {each.node: index for index, each in enumerate(machines)}
    item_of = {item.name: item for item in items}
    best: dict[str, tuple[int, str]] = {}
    for claim in held:
        item, machine = item_of.get(claim.instance), index_of.get(claim.node)
        if item is None or machine is None or not item.allowed >> machine & 1:
            continue
        if claim.state == STANDBY_STATE:
            item.warm |= 1 << machine
        elif claim.instance not in best or (claim.epoch, claim.node) > best[claim.instance]:
            best[claim.instance] = (claim.epoch, claim.node)
            item.held = machine


def _set_free(items: list[Item], may_fail_back: frozenset[str], provisional: frozenset[str], may_part: frozenset[str]) -> None:
    """Holders that may leave unforced: only for a machine they like better, or one that a copy has to itself."""
    may_improve, may_spread = may_fail_back | provisional, provisional | may_part
    for item in items:
        if item.held < 0:
            continue
        rank = item.preference(item.held)
        if item.name in may_improve:
            for layer in item.layers[:rank]:
                item.free |= layer
        if item.name in may_spread:
            crowd = 0
            for other in item.siblings:
                crowd |= 1 << items[other].held if items[other].held >= 0 else 0
            if crowd >> item.held & 1:
                item.free |= item.layers[rank] & ~crowd


def _users(deployment: Deployment) -> dict[str, tuple[str, ...]]:
    users: dict[str, dict[str, None]] = {role.name: {} for role in deployment.roles}
    for role in deployment.roles:
        for source in [*(wire.role for wire in role.inputs), role.with_]:
            if source in users:
                users[source][role.name] = None
    return {name: tuple(found) for name, found in users.items()}


def _outputs(deployment: Deployment, used_by: dict[str, tuple[str, ...]]) -> frozenset[str]:
    """Displays, and roles whose streams nobody takes. Roles that only feed each other in a ring play for themselves."""
    taken = {wire.role for role in deployment.roles for wire in role.inputs if wire.role != role.name}
    found = {role.name for role in deployment.roles if role.name not in taken or _is_display(deployment, role)}
    return frozenset(found | (set(used_by) - feeding(found, _sources(used_by))))


def _sources(used_by: dict[str, tuple[str, ...]]) -> dict[str, list[str]]:
    sources: dict[str, list[str]] = {name: [] for name in used_by}
    for source, users in used_by.items():
        for user in users:
            sources[user].append(source)
    return sources


def _is_display(deployment: Deployment, role: RoleSpec) -> bool:
    kind = deployment.kinds.get(role.kind)
    return kind is not None and kind.display


def feeding(outputs: set[str], sources: dict[str, list[str]]) -> set[str]:
    """The roles that feed any of these outputs, directly or not, and these themselves."""
    found, todo = set(outputs), list(outputs)
    while todo:
        for source in sources[todo.pop()]:
            if source not in found:
                found.add(source)
                todo.append(source)
    return found
