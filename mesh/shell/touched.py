"""What another revision changes: which roles are added, removed, only placed anew, or not what they were.

A role is touched, so that its processes must start anew, when what a process is told at its start differs: its kind, options, model,
inputs or fallback, or a file that it is made of. Where it is placed, how many copies there are, and who stands by are nothing to the
process. Of Python it is the meaning that counts, as when an artist edits while a rehearsal plays: a comment restarts nothing.

What cannot be known is taken for touched: an own role whose code speaks of a file that changed.

Decided against: starting the new process before the old one ends, as where a role moves to another machine. The two would be one
instance under one epoch on one machine: both would want its ports, its screen, sound card or camera, and its memory a second time,
which the placement has not set aside; and the new code may read otherwise what the old one keeps. So a touched role is silent while
its own process starts, and its stand-ins and fallbacks are what they are at any fault; all others play on.

A changed `timing:` touches no role, and is not taken over by agents that run: those who watch each other must judge by one measure, and
each holds silences that were measured by the old one. `up` says it before it sends, and `status` until the agent was started anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mesh.core.spec import Deployment, RoleSpec
from mesh.shell.edits import concerns, meaning, own_files


@dataclass(frozen=True, slots=True)
class Change:
    """What one revision makes of another, by the names of roles."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    restarted: tuple[str, ...] = ()
    placed: tuple[str, ...] = ()  # what was changed concerns only where they play
    timing: str = ""  # the preset that agents run on once they were started anew, where it is another


def change(old: Deployment, old_folder: Path, new: Deployment, new_folder: Path, files: Iterable[str]) -> Change:
    """`files`: the paths that are not the same in both folders."""
    before, after = {role.name: role for role in old.roles}, {role.name: role for role in new.roles}
    both, changed = [name for name in after if name in before], list(files)
    restarted = [
        name for name in both
        if _as_started(before[name], old) != _as_started(after[name], new)
        or any(_is_touched(path, before[name], old_folder, after[name], new_folder) for path in changed)
        or (_of_the_room(old) != _of_the_room(new) and _knows_the_room(after[name], new, new_folder))
    ]
    return Change(
        tuple(name for name in after if name not in before), tuple(name for name in before if name not in after), tuple(restarted),
        tuple(name for name in both if name not in restarted and before[name] != after[name]),
        new.timing if new.timing != old.timing else "",
    )


def _as_started(role: RoleSpec, deployment: Deployment) -> tuple[Any, ...]:
    """What of the file a process of the role is told at its start."""
    named = {role.model, *role.ladder, *_texts(role.options)}
    models = tuple((name, model.file, model.sha256) for name, model in sorted(deployment.models.items()) if name in named)
    return (role.kind, role.model, role.ladder, role.inputs, dict(role.options), dict(role.fallback), role.limits.get("cores"), models)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict) or hasattr(value, "items"):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _texts(each)


def _is_touched(path: str, before: RoleSpec, old_folder: Path, after: RoleSpec, new_folder: Path) -> bool:
    if path.endswith(".py"):
        if not (concerns(old_folder, path, before) or concerns(new_folder, path, after)):
            return False
        return path not in own_files(after) or meaning(old_folder, before) != meaning(new_folder, after)
    if concerns(old_folder, path, before) or concerns(new_folder, path, after):
        return True
    return any(_speaks_of(new_folder / file, path) for file in own_files(after))


def _speaks_of(file: Path, path: str) -> bool:
    """Whether an own file names another file of the folder, or the folder it lies in."""
    try:
        text = file.read_text("utf-8", "replace")
    except OSError:
        return False
    place = Path(path)
    return place.name in text or (place.parent.name != "" and place.parent.name in text)


def _of_the_room(deployment: Deployment) -> tuple[Any, ...]:
    return (deployment.opening, deployment.about, deployment.installation)


def _knows_the_room(role: RoleSpec, deployment: Deployment, folder: Path) -> bool:
    """Whether a role may depend on the opening hours or the work's name: displays, and own roles that speak of them."""
    kind = deployment.kinds.get(role.kind)
    if kind is not None and kind.display:
        return True
    return any(_speaks_of(folder / file, word) for file in own_files(role) for word in ("opening", "installation", "about"))
