"""What the artist reads before the opening: who plays what, who takes over, and what each loss would cost.

The same `place` that the room will use, asked on a laptop about machines that are not there. The gaps are
DESIGN.md's promises for each way of standing by, not measurements of this room; `roomful drill` measures those.
Decided against: a model of the network and the engines that would print finer numbers and be wrong.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from mesh.core.instances import STANDBY_STATE, Candidate, Capabilities, Held
from mesh.core.placement import Placement, place
from mesh.core.placement_room import CAPABILITIES
from mesh.core.placement_words import size
from mesh.core.plan_words import gap_words, summary
from mesh.core.spec import Deployment, RoleSpec
from mesh.core.timing import PRESETS, WIRED
from mesh.errors import UsageError

# Promised for the loss of a machine in a wired room; see DESIGN.md section 6. A wireless room waits longer before it believes a silence.
GAP_AT_SUSPECT_MS = 500  # hot, and copies: re-routed at the first suspicion, nothing to undo if it was a false one
GAP_AT_DEAD_MS = 1000  # warm, and whatever acts on the world outside: waits until the machine is held dead
HAND_OVER_MS = 150  # moved by plan, to make room: the new place is loaded before the old one stops
# Estimates of a cold start, added to GAP_AT_DEAD_MS: a process that imports its engine, and the loading of a small model.
START_MS = 1000
MODEL_LOAD_MS = 3000
ASSUMED_MEMORY_BYTES = 4_000_000_000
MACHINES_WITHOUT_FILE = 3
SUMMED_UP_MAX = 32  # machines up to which the loss of each is tried unasked, for the summary


@dataclass(frozen=True, slots=True)
class Loss:
    """What the loss of one machine, or of two at once, does: who moves where, the longest gap of each in
    milliseconds, and what is lost with the reason."""

    moves: dict[str, str] = field(default_factory=dict)
    gap_ms: dict[str, int] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PlanReport:
    """Machines by name. `standby` is the first who takes over; for copies, the machine of another copy. `gap_ms` is the
    gap when the holder's machine is lost; who is missing there is lost with it. `assumed` says in sentences
    what was taken for granted."""

    placement: dict[str, str]
    standby: dict[str, str]
    unplaced: dict[str, str]
    gap_ms: dict[str, int]
    losses: dict[str, Loss]
    complete: bool | None
    assumed: tuple[str, ...] = ()
    summary: str = ""

    def as_json(self) -> dict[str, Any]:
        """The shape that `plan --json` promises."""
        return {
            "placement": self.placement, "standby": self.standby, "unplaced": self.unplaced,
            "losses": {key: {"moves": each.moves, "gap_ms": each.gap_ms, "lost": each.lost} for key, each in self.losses.items()},
            "gap_ms": self.gap_ms, "complete": self.complete, "assumed": list(self.assumed), "summary": self.summary,
        }


def plan(
    deployment: Deployment, candidates: Sequence[Candidate], lose: Iterable[str] = (), every_loss: int = 0, assumed: tuple[str, ...] = (),
) -> PlanReport:
    """Place the room, then take machines away from it.

    `lose` are machines that are lost together, under the key "a+b". With `every_loss` 1 each machine is lost alone,
    with 2 each pair as well. Raises UsageError when `lose` names a machine that is not among the candidates.
    """
    names = [each.name for each in candidates]
    together = tuple(dict.fromkeys(lose))
    for name in together:
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            hint = f"Did you mean {near[0]}? " if near else ""
            raise UsageError(f"there is no machine “{name}” to lose", instead=f"{hint}Machines: {', '.join(names)}.")
    before = place(deployment, candidates)
    sets = [together] if together else []
    for number in range(1, every_loss + 1):
        sets += [gone for gone in combinations(names, number) if gone not in sets]
    losses = {"+".join(gone): _lose(deployment, candidates, before, frozenset(gone)) for gone in sets}
    singly = losses if every_loss or len(candidates) > SUMMED_UP_MAX else {
        name: _lose(deployment, candidates, before, frozenset([name])) for name in names
    }
    name_of = {each.node: each.name for each in candidates}
    standby = _successors(deployment, before, name_of)
    return PlanReport(
        {instance: name_of[node] for instance, node in before.holders.items()}, standby, dict(before.unplaced),
        {instance: _gap_ms(deployment, _role_of(deployment, instance), _is_ready(before, instance)) for instance in standby},
        losses, before.complete, (*assumed, *gap_words(deployment)), summary(singly, names),
    )


def assumed_machines(deployment: Deployment, memory_bytes: int = 0) -> tuple[list[Candidate], tuple[str, ...]]:
    """The machines of the file as they will probably be, and what that takes for granted, in sentences.

    Each has 4 GB for roles, or as much as the largest role needs, and all parts of Roomful. A camera, a screen and the
    like have the machines that carry the label or that a role which needs one names; when the file says that of none, all have it.
    A file that names no machines is planned on three spares, as it is rehearsed.
    """
    names = [each.name for each in deployment.machines] or [f"spare-{number + 1}" for number in range(MACHINES_WITHOUT_FILE)]
    memory = memory_bytes or max([ASSUMED_MEMORY_BYTES, *(role.needs.memory_bytes for role in deployment.roles)])
    extras = frozenset(kind.extra for kind in deployment.kinds.values() if kind.extra)
    has = {what: _machines_with(deployment, what, names) for what in CAPABILITIES}
    candidates = []
    for name in names:
        said = deployment.has_of(name)
        flags = {what: bool(said.get(what, name in has[what])) for what in CAPABILITIES}
        capabilities = Capabilities(said.get("memory_bytes", memory), 4, **flags, extras=extras)
        candidates.append(Candidate(name, name, deployment.labels_of(name), capabilities))
    assumed = [f"every machine has {size(memory)} of memory for roles, and every part of Roomful that a role needs"]
    for what in CAPABILITIES:
        if any(getattr(role.needs, what) for role in deployment.roles):
            whose = "every machine" if len(has[what]) == len(names) else ", ".join(name for name in names if name in has[what])
            assumed.append(f"{whose} {'have' if ',' in whose else 'has'} {what if what == 'sound' else f'a {what}'}")
    return candidates, tuple(assumed)


def _machines_with(deployment: Deployment, what: str, names: list[str]) -> set[str]:
    found = {each.name for each in deployment.machines if what in each.labels or each.has.get(what)}
    for role in deployment.roles:
        if getattr(role.needs, what):
            tokens = {*role.on, *role.each}
            labels = {token.removeprefix("label:") for token in tokens if token.startswith("label:")}
            found |= tokens & set(names)
            found |= {each.name for each in deployment.machines if labels & set(each.labels)}
    return {name for name in found or names if deployment.has_of(name).get(what) is not False}


def _lose(deployment: Deployment, candidates: Sequence[Candidate], before: Placement, gone: frozenset[str]) -> Loss:
    left = [each for each in candidates if each.name not in gone]
    here = {each.node: each.name for each in left}
    claims = [Held(instance, node, 1) for instance, node in before.holders.items() if node in here]
    claims += [Held(instance, node, 0, STANDBY_STATE) for instance, node in before.loaded.items() if node in here]
    after = place(deployment, left, claims)
    held_back = len(candidates) > 3 and len(gone) * 2 >= len(candidates) - 1
    loss = Loss(lost={instance: why for instance, why in after.unplaced.items() if instance in before.holders})
    for instance, node in after.holders.items():
        was = before.holders.get(instance)
        if was is not None and was != node:
            loss.moves[instance] = here[node]
            if was in here:
                loss.gap_ms[instance] = HAND_OVER_MS
            else:
                role = _role_of(deployment, instance)
                ready = before.loaded.get(instance) == node or _copy_lives(deployment, before, here, instance)
                loss.gap_ms[instance] = _gap_ms(deployment, role, ready, held_back=held_back)
    return loss


def _gap_ms(deployment: Deployment, role: RoleSpec, ready: bool, *, held_back: bool = False) -> int:
    """The promised gap when the holder's machine is lost. `ready`: a copy plays or a standby is loaded. `held_back`: so many
    fall silent together that the others wait to see whether they themselves were cut off."""
    timing = PRESETS.get(deployment.timing, WIRED)
    kind = deployment.kinds.get(role.kind)
    exclusive = role.exclusive if role.exclusive is not None else kind is not None and kind.exclusive
    later_s = timing.suspect_s - WIRED.suspect_s
    if ready and not exclusive and (role.copies > 1 or role.standby == "hot"):
        return GAP_AT_SUSPECT_MS + round(later_s * 1000)
    later_s += timing.dead_s - WIRED.dead_s + (timing.hold_s if held_back else 0)
    gap_ms = GAP_AT_DEAD_MS + round(later_s * 1000)
    if not ready:
        gap_ms += START_MS + (MODEL_LOAD_MS if role.model is not None else 0)
    return gap_ms


def _successors(deployment: Deployment, placement: Placement, name_of: dict[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for instance, node in placement.holders.items():
        role = _role_of(deployment, instance)
        if role.copies > 1:
            others = [other for copy, other in placement.holders.items() if _is_copy(role, copy) and other != node]
            if others:
                found[instance] = name_of[others[0]]
        elif placement.standby[instance]:
            found[instance] = name_of[placement.standby[instance][0]]
    return found


def _is_ready(placement: Placement, instance: str) -> bool:
    return instance in placement.loaded or "/" in instance


def _copy_lives(deployment: Deployment, before: Placement, here: dict[str, str], instance: str) -> bool:
    role = _role_of(deployment, instance)
    return role.copies > 1 and any(node in here for copy, node in before.holders.items() if _is_copy(role, copy))


def _is_copy(role: RoleSpec, instance: str) -> bool:
    return instance.rpartition("/")[0] == role.name


def _role_of(deployment: Deployment, instance: str) -> RoleSpec:
    return deployment.role(instance.partition("@")[0].partition("/")[0])
