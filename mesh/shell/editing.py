"""A rehearsal while an artist edits: what is saved plays at once, and only the roles that it concerns start again.

Code of the folder is tried beside the role that plays, which plays on, or again, where the edit cannot: see `mesh.shell.trials`. Of the
file itself only `options` are taken over while it plays: they concern one role each. What else changes there (roles, wires, machines) is a
new revision, which a rehearsal begins with.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from mesh.core.cast import Cast
from mesh.core.events import Event, Wanted
from mesh.core.names import role_name
from mesh.core.spec import Deployment, RoleSpec
from mesh.shell.edits import LOOK_S, Edits, own_files, told
from mesh.shell.folder import FILE_NAME, examine
from mesh.shell.processes import Processes

LATER = "what was changed beside the options of roles plays once this rehearsal is ended (Ctrl-C) and begun anew"


class Editing:
    """One node's part in it. `speaks` says whether this node is the one that tells what concerns the whole room."""

    def __init__(
        self, folder: Path, deployment: Deployment, processes: Processes, cast: Callable[[], Cast], feed: Callable[[Event], None],
        report: Callable[[str, dict[str, Any]], None], speaks: Callable[[], bool],
    ) -> None:
        self._folder, self._deployment, self._processes = folder, deployment, processes
        self._cast, self._feed, self._report, self._speaks = cast, feed, report, speaks
        self._edits = Edits(folder, deployment)
        processes.trials.undo = self._undo

    async def watch(self) -> None:
        """Look several times a second, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK_S)
            concerned = self._edits.look()
            before = self._deployment
            if FILE_NAME in self._edits.settled:
                found, mistakes = await loop.run_in_executor(None, self._read)
                if found is None:
                    self._tell("; ".join(str(each) for each in mistakes[:3]))
                else:
                    concerned.update(dict.fromkeys(self._take_over(found), FILE_NAME))
            for role, path in concerned.items():
                self._play(role, path, before)
            for role, path in self._edits.gone.items():
                what = f"it is gone from the folder: {role} plays on as it was until it is started again; to do: put it back"
                self._tell(what, later=True, file=path)

    def _read(self) -> tuple[Deployment | None, list[Any]]:
        """The file as it is now. The kinds are looked at again only where it does not fit those that are known."""
        found, mistakes = examine(self._folder, verify_hashes=False, known=self._deployment.kinds)
        return (found, mistakes) if found is not None else examine(self._folder, verify_hashes=False)

    def _take_over(self, found: Deployment) -> list[str]:
        """The roles whose options are others now; they are known with these from here on."""
        wanted = {role.name: role for role in found.roles}
        roles = tuple(self._with_options(role, wanted.get(role.name, role)) for role in self._deployment.roles)
        changed = [new.name for old, new in zip(self._deployment.roles, roles, strict=True) if old.options != new.options]
        now = replace(self._deployment, roles=roles)
        if replace(found, kinds={}) != replace(now, kinds={}):
            self._tell(LATER, later=True)
        self._deployment = self._processes.deployment = now
        self._edits.know(now)
        return changed

    def _with_options(self, old: RoleSpec, new: RoleSpec) -> RoleSpec:
        """The role with its new options, unless these change what others know of it: the names of its streams, how requests wait."""
        kind = self._deployment.kinds.get(old.kind)
        same = new.kind == old.kind and old.options.get("when_superseded") == new.options.get("when_superseded")
        if not same or kind is None or kind.outputs_for(old.options) != kind.outputs_for(new.options):
            return old
        return replace(old, options=new.options)

    def _undo(self, before: RoleSpec) -> None:
        """This role is known again with the options that it had: with the new ones it cannot be set up."""
        roles = tuple(before if role.name == before.name else role for role in self._deployment.roles)
        self._deployment = self._processes.deployment = replace(self._deployment, roles=roles)
        self._edits.know(self._deployment)

    def _play(self, role: str, path: str, before: Deployment) -> None:
        own = path.endswith(".py") or (path == FILE_NAME and bool(own_files(self._deployment.role(role))))
        for instance in [each for each in self._cast().parts if role_name(each) == role]:
            if own:
                self._processes.trials.renew(instance, path)
            else:
                self._processes.trials.restart(instance, path, before.role(role) if path == FILE_NAME else None)
        if any(role_name(each) == role for each in self._cast().gave_up):  # it may be mended: it is tried again at once
            self._feed(Wanted("undrain"))

    def _tell(self, what: str, *, later: bool = False, file: str = FILE_NAME) -> None:
        if self._speaks():
            self._report("role_edit", {**told("the room", file, {"what": what}), "later": later})
