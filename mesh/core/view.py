"""From what the nodes say of themselves to what placement and the cast work with.

The only place where published states become candidates and holdings, so that every node reads them alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from mesh.core.claims import READY, Ledger
from mesh.core.instances import STANDBY_STATE, Candidate, Capabilities, Held, Instance
from mesh.core.messages import NodeState
from mesh.core.placement import Placement, place
from mesh.core.spec import Deployment

_NUMBERS = {each.name for each in fields(Capabilities) if each.type in ("int", int)}
_FLAGS = {each.name for each in fields(Capabilities) if each.type in ("bool", bool)}


def capabilities_of(said: Mapping[str, Any]) -> Capabilities:
    """What a machine says it has. Unknown words are left out, so that a newer node can say more."""
    known: dict[str, Any] = {name: value for name, value in said.items() if name in _NUMBERS and isinstance(value, int)}
    known |= {name: bool(value) for name, value in said.items() if name in _FLAGS}
    extras = said.get("extras", ())
    known["extras"] = frozenset(each for each in extras if isinstance(each, str)) if isinstance(extras, (list, tuple)) else frozenset()
    return Capabilities(**known)


def candidate(deployment: Deployment, node: str, name: str, state: NodeState) -> Candidate:
    """A node that may play, as it describes itself."""
    return Candidate(
        node=node, name=name, labels=deployment.labels_of(name), drained=state.drained, put_aside=state.put_aside,
        capabilities=capabilities_of({**state.capabilities, **deployment.has_of(name)}),
        gave_up=frozenset(instance for instance, _ in state.gave_up), why_gave_up=state.gave_up,
    )


def held(instances: tuple[Instance, ...], ledger: Ledger) -> list[Held]:
    """Who holds what, for placement: the holder that stays, and the standbys that are loaded and so cost nothing to take."""
    found = []
    for instance in instances:
        winner = ledger.winner(instance.name)
        if winner is not None:
            found.append(Held(instance.name, winner.node, winner.claim.epoch))
        for standby in ledger.standbys.get(instance.name, ()):
            if standby.claim.state == READY:
                found.append(Held(instance.name, standby.node, standby.claim.epoch, STANDBY_STATE))
    return found


@dataclass(frozen=True, slots=True)
class View:
    """What the node sees at this moment; everything that a wish may depend on."""

    me: str
    instances: tuple[Instance, ...]
    placement: Placement
    ledger: Ledger
    names: Mapping[str, str]  # node -> machine name, of the nodes that are here
    settled: frozenset[str]  # nodes past their boot grace
    may_start: Callable[[Instance], bool]  # whether this node, so soon after its own start, may play it unheld
    needs_ready: Callable[[Instance], bool]  # whether what it needs has been ready
    provisional: bool = False
    side: int = 1  # the size of this node's side
    waits: bool = False  # somebody has said something that has not come yet


@dataclass(slots=True)
class Placing:
    """Placement as this node sees it. Remembers the last question: most events change nothing that placement depends on."""

    asked: tuple[Any, ...] = ()
    answer: Placement = field(default_factory=Placement)
    known: dict[str, tuple[tuple[Any, ...], Candidate]] = field(default_factory=dict)
    _homes: tuple[tuple[Any, ...], dict[str, str]] = ((), {})

    def homes(self) -> Mapping[str, str]:
        """Instance -> the node where it would play if all were free to go where they wish; those that are as well off where they are stay.
        For people: worked out when it is asked for, and again only when something has changed."""
        if self._homes[0] is not self.asked:
            deployment, here, holds, _, _, part = self.asked or (None, (), [], None, None, frozenset())
            free = frozenset(each.instance for each in holds)
            self._homes = (self.asked, _place(deployment, here, holds, free, free, part).holders if deployment is not None else {})
        return self._homes[1]

    def answered(
        self, deployment: Deployment, instances: tuple[Instance, ...], states: Mapping[str, NodeState], names: Mapping[str, str],
        revision: str, ledger: Ledger,
    ) -> Placement:
        """Who plays what, from what the nodes that are here say. A machine is put aside only while the others can play
        everything without it; roles fail back, and copies that share a machine part, only in a room where every machine has been steady."""
        here = tuple(
            self._candidate(deployment, node, names[node], state) for node, state in sorted(states.items())
            if state.revision[1] == revision or revision in state.ready  # it is about to turn to this one, or this node from it
        )
        holds = held(instances, ledger)
        winners = {instance.name: ledger.winner(instance.name) for instance in instances}
        provisional = frozenset(name for name, winner in winners.items() if winner is not None and winner.claim.provisional)
        steady = all(states[each.node].steady for each in here if not each.put_aside and not each.drained)
        auto = frozenset(instance.name for instance in instances if instance.role.failback == "auto") if steady else frozenset()
        part = frozenset(instance.name for instance in instances if instance.role.copies > 1) if steady else frozenset()
        question = (deployment, here, holds, provisional, auto, part)
        if question != self.asked:
            self.asked = question
            self.answer = _place(deployment, here, holds, auto, provisional, part)
        return self.answer

    def _candidate(self, deployment: Deployment, node: str, name: str, state: NodeState) -> Candidate:
        said = (deployment, name, state.capabilities, state.drained, state.put_aside, state.gave_up)
        known = self.known.get(node)
        if known is None or known[0] != said:
            known = self.known[node] = (said, candidate(deployment, node, name, state))
        return known[1]


def _place(
    deployment: Deployment, here: tuple[Candidate, ...], holds: list[Held], auto: frozenset[str], provisional: frozenset[str],
    part: frozenset[str],
) -> Placement:
    found = place(deployment, here, holds, may_fail_back=auto, provisional=provisional, may_part=part)
    if found.unplaced and any(each.put_aside for each in here):
        called_back = tuple(replace(each, put_aside=False) for each in here)
        return place(deployment, called_back, holds, may_fail_back=auto, provisional=provisional, may_part=part)
    return found
