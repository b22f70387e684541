"""Why an instance plays nowhere, in words for whoever stands in the room.

Each machine that the file lets an instance use has one first obstacle; equal obstacles are told together. The words
come after the decision and take no part in it.
"""

from __future__ import annotations

from collections.abc import Sequence

from mesh.core.instances import Candidate, Instance
from mesh.core.kind import Kind
from mesh.core.placement_room import CAPABILITIES
from mesh.core.spec import Deployment

_NAMES = {"gpu": "a GPU", "camera": "a camera", "screen": "a screen", "sound": "sound", "microphone": "a microphone"}
NOT_FOUND = "the bounded search found no way to make room for it; there may be one"


def size(memory_bytes: int) -> str:
    """Memory as a person says it: "3.0 GB", "300 MB"."""
    if memory_bytes >= 1_000_000_000:
        return f"{memory_bytes / 1e9:.1f} GB"
    return f"{memory_bytes / 1e6:.0f} MB"


def some(names: Sequence[str], last: str = "and") -> str:
    """"door, shelf and 3 others"."""
    if len(names) > 4:
        return f"{', '.join(names[:3])} {last} {len(names) - 3} others"
    return f" {last} ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


class Reasons:
    """Finds the words for one room. `machines` in the order of the file; `free` the memory left on each node."""

    def __init__(self, deployment: Deployment, machines: Sequence[Candidate], free: dict[str, int]) -> None:
        self._deployment, self._machines, self._free = deployment, machines, free
        self._labels = {each.node: {*each.labels, *deployment.labels_of(each.name)} for each in machines}

    def why_not(self, instance: Instance, *, proven: bool) -> str:
        """Why it is not placed. Without `proven`, want of room is told as what was not found, never as impossible."""
        meant = self._meant(instance)
        if not meant:
            return self._nobody_meant(instance)
        obstacles: dict[str, list[Candidate]] = {}
        for machine in meant:
            obstacles.setdefault(self._obstacle(instance, machine), []).append(machine)
        memory, taken = obstacles.pop("memory", None), obstacles.pop("", None)
        words = [self._told(what, names) for what, names in obstacles.items()]
        if not proven and taken:
            return NOT_FOUND
        if not proven and memory:
            return f"{self._short_of_memory(instance, memory)}; {NOT_FOUND}"
        if taken:
            return self._crowded(instance, taken)
        if memory:
            return "; ".join([self._short_of_memory(instance, memory), *words])
        complete = len(words) > 1 or instance.pinned or next(iter(obstacles)).startswith(("has ", "lacks "))
        return "; ".join(words) if complete else f"{words[0]}; nowhere else to go"

    def for_nobody(self, outputs: Sequence[str]) -> str:
        """It could play, but nothing that reaches visitors would come of it here."""
        return f"would play for nobody: {some(outputs, 'or')} is not playing here"

    def _meant(self, instance: Instance) -> list[Candidate]:
        if instance.pinned:
            return [each for each in self._machines if each.name in instance.pinned]
        tokens = set(instance.role.on)
        if "any" in tokens:
            return list(self._machines)
        labels = {token.removeprefix("label:") for token in tokens if token.startswith("label:")}
        return [each for each in self._machines if each.name in tokens or labels & self._labels[each.node]]

    def _nobody_meant(self, instance: Instance) -> str:
        if instance.pinned:
            return f"{instance.pinned[0]} is not here"
        if not self._machines:
            return "no machine is here"
        names = [token for token in instance.role.on if not token.startswith("label:")]
        labels = [token.removeprefix("label:") for token in instance.role.on if token.startswith("label:")]
        words = []
        if names:
            words.append(f"{some(names)} {'is' if len(names) == 1 else 'are'} not here")
        if labels:
            words.append(f"no machine here has the label {some(labels, 'or')}")
        return "; ".join(words)

    def _obstacle(self, instance: Instance, machine: Candidate) -> str:
        """The first thing that keeps it off a machine; "" when there is none but others that sit there."""
        role, has = instance.role, machine.capabilities
        for what in CAPABILITIES:
            if getattr(role.needs, what) and not getattr(has, what) and what not in self._labels[machine.node]:
                return f"has {_NAMES[what]}"
        extra = self._kind(instance).extra
        if extra is not None and extra not in has.extras:
            return f"lacks “{extra}”"
        if machine.drained:
            return "drained"
        if machine.put_aside and not instance.pinned:
            return "put aside"
        if instance.name in machine.gave_up:
            return f"gave up {dict(machine.why_gave_up).get(instance.name, '')}"
        if role.needs.memory_bytes > self._free[machine.node]:
            return "memory"
        return ""

    def _told(self, what: str, machines: list[Candidate]) -> str:
        names, one = some([each.name for each in machines]), len(machines) == 1
        if what.startswith("has "):
            if len(machines) == len(self._machines) and len(machines) > 1:
                return f"no machine here {what}"
            return f"{names} {'has' if one else 'have'} no {what.removeprefix('has ').removeprefix('a ')}"
        if what.startswith("lacks "):
            where = "any machine here" if len(machines) == len(self._machines) else names
            return f"the part {what.removeprefix('lacks ')} of Roomful is not installed on {where}"
        if what == "drained":
            return f"{names} {'is' if one else 'are'} drained"
        if what == "put aside":
            return f"{names} {'is' if one else 'are'} put aside for coming and going"
        why = what.removeprefix("gave up").strip()
        return f"gave up on {names} ({why})" if why else f"gave up on {names} after it failed to start again and again"

    def _short_of_memory(self, instance: Instance, machines: list[Candidate]) -> str:
        most = max(machines, key=lambda each: self._free[each.node])
        needed, free = instance.role.needs.memory_bytes, max(0, self._free[most.node])
        if len(machines) == 1:
            return f"needs {size(needed)} of memory; {most.name} has {size(free)} free"
        every = "any machine has free" if len(machines) == len(self._machines) else "any machine that may play it has free"
        return f"needs {size(needed)} of memory; the most {every} is {size(free)} ({most.name})"

    def _crowded(self, instance: Instance, machines: list[Candidate]) -> str:
        role, names = instance.role, some([each.name for each in machines])
        if role.with_ is not None:
            return f"must share a machine with {role.with_}, and there is none where both can play"
        if role.spread:
            return f"its copies must be on different machines, and only {names} could play it"
        return f"makes room on {names} for what matters more"

    def _kind(self, instance: Instance) -> Kind:
        return self._deployment.kinds.get(instance.role.kind) or Kind(instance.role.kind)

