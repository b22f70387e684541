"""A node's first minutes: listening, the grace it gives the others, and claims that may still be handed over.

A starting node listens for a second, then plays what prefers it and what nobody else can play; the rest waits
for `boot_grace`, which ends at once when every machine that the file names is here (at once, when it names none), or soon after
it met a node past its own: not at once, for that one may have met somebody a moment ago whom this one is about to meet. What a
node claims while the whole room starts is provisional: a machine that likes the role better and boots more slowly gets it once,
already loaded. Whether the room starts is said by those who found none running; who joins one goes by their word.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mesh.core.spec import Deployment, RoleSpec
from mesh.core.timing import Timing


@dataclass(slots=True)
class Start:
    """Where a node stands between its start and being an ordinary member of the room."""

    started_s: float
    timing: Timing
    listened: bool = False
    settled: bool = False
    joined: bool = False  # met a node past its grace before its own was over
    met_s: float = float("inf")  # since when such a node is here
    starting: bool = True  # the room starts with this node; what it says of itself
    provisional: bool = True  # what it claims now is provisional

    def look(self, now: float, *, grace_s: float | None, complete: bool, met_settled: bool, room_starts: bool = False) -> bool:
        """True when something has changed. `grace_s` is None while there is no deployment; `room_starts` is the others' word."""
        before = (self.listened, self.settled, self.starting, self.provisional)
        self.met_s = min(self.met_s, now) if met_settled else float("inf")
        self.listened = self.listened or now >= self.started_s + self.timing.listen_s
        if self.listened and not self.settled and grace_s is not None:
            self.joined = met_settled
            self.settled = complete or now >= min(self.started_s + grace_s, self.met_s + self.timing.join_s)
        self.starting = not self.joined and now < self.started_s + self.timing.provisional_s
        self.provisional = self.starting or (self.joined and room_starts)
        return before != (self.listened, self.settled, self.starting, self.provisional)

    def next_due(self, grace_s: float | None) -> float:
        """When time alone changes something next."""
        if not self.listened:
            return self.started_s + self.timing.listen_s
        if not self.settled and grace_s is not None:
            return max(min(self.started_s + grace_s, self.met_s + self.timing.join_s), self.started_s + self.timing.listen_s)
        return self.started_s + self.timing.provisional_s if self.starting else float("inf")


def is_complete(deployment: Deployment, names: Iterable[str]) -> bool:
    """Whether every machine that the file names is among these."""
    return {machine.name for machine in deployment.machines} <= set(names)


def prefers(role: RoleSpec, name: str, labels: tuple[str, ...]) -> bool:
    """Whether the machine is the role's first wish, by name or by label."""
    first = role.on[0]
    return first == name or (first.startswith("label:") and first.removeprefix("label:") in labels)


def waits_for(deployment: Deployment) -> Mapping[str, frozenset[str]]:
    """The roles whose first playing each role awaits: those it hears, but in a ring nobody waits for the others."""
    heard = {role.name: {wire.role for wire in role.inputs} - {role.name} for role in deployment.roles}
    above = {name: _all_above(name, heard) for name in heard}
    return {name: frozenset(each for each in sources if name not in above.get(each, set())) for name, sources in heard.items()}


def _all_above(name: str, heard: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    todo = [name]
    while todo:
        new = heard.get(todo.pop(), set()) - found
        found |= new
        todo += new
    return found
