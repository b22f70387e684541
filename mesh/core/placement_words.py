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
NOT_FOUND = "no place for it was found within the bound of the search; there may still be one"


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
        """Why it is not placed. Without `proven`, a want of memory is told as what was not found, never as impossible."""
        meant = self._meant(instance)
        if not meant:
            return self._nobody_meant(instance)
        obstacles: dict[str, list[Candidate]] = {}
        for machine in meant:
            obstacles.setdefault(self._obstacle(instance, machine), []).append(machine)
        memory = obstacles.pop("memory", None)
        taken = obstacles.pop("", None)
        words = [self._told(what, names, bool(taken or memory) or len(obstacles) > 1) for what, names in obstacles.items()]
        if instance.pinned and not memory and not taken:
            return "; ".join(words)
        if taken:
            return self._crowded(instance, taken) if proven else NOT_FOUND
        if memory:
            return "; ".join([self._short_of_memory(instance, memory), *words])
        return "; ".join(words[:4]) if len(words) > 1 else self._alone(words[0], next(iter(obstacles)))

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
            return f"has the part “{extra}” installed"
        if machine.drained:
            return "drained"
        if machine.put_aside and not instance.pinned:
            return "put aside"
        if instance.name in machine.gave_up:
            return "gave up"
        if role.needs.memory_bytes > self._free[machine.node]:
            return "memory"
        return ""

    def _told(self, what: str, machines: list[Candidate], several: bool) -> str:
        names = some([each.name for each in machines])
        one = len(machines) == 1
        if what.startswith("has "):
            if not several and len(machines) == len(self._machines):
                return f"no machine here {what}"
            return f"{names} {'has' if one else 'have'} {_none_of(what)}"
        if what == "drained":
            return f"{names} {'is' if one else 'are'} drained"
        if what == "put aside":
            return f"{names} {'is' if one else 'are'} put aside for coming and going"
        return f"gave up on {names} after it failed to start again and again"

    def _alone(self, words: str, what: str) -> str:
        return words if what.startswith("has ") else f"{words}; nowhere else to go"

    def _short_of_memory(self, instance: Instance, machines: list[Candidate]) -> str:
        most = max(machines, key=lambda each: self._free[each.node])
        needed, free = instance.role.needs.memory_bytes, max(0, self._free[most.node])
        if len(machines) == 1:
            return f"needs {size(needed)} of memory; {most.name} has {size(free)} free"
        every = "any machine has free" if len(machines) == len(self._machines) else "any machine that may play it has free"
        return f"needs {size(needed)} of memory; the most {every} is {size(free)} ({most.name})"

    def _crowded(self, instance: Instance, machines: list[Candidate]) -> str:
        role = instance.role
        if role.with_ is not None:
            return f"must share a machine with {role.with_}, and there is none where both can play"
        if role.spread:
            return f"its copies must be on different machines, and no other machine than {some([each.name for each in machines])} can play it"
        return f"must make room on {some([each.name for each in machines])} for what matters more"

    def _kind(self, instance: Instance) -> Kind:
        return self._deployment.kinds.get(instance.role.kind) or Kind(instance.role.kind)


def _none_of(what: str) -> str:
    """"has a camera" -> "no camera"; "has the part X installed" -> "not the part X installed"."""
    thing = what.removeprefix("has ")
    if thing.startswith("a "):
        return f"no {thing.removeprefix('a ')}"
    return f"no {thing}" if not thing.startswith("the ") else f"not {thing}"
