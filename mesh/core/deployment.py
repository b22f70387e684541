"""The deployment file: read, judged, and handed on as values; or all its mistakes at once.

Two steps, so that nothing here touches the world. `read` takes the text and says what is wrong by itself; it
returns a Draft that names the kinds and files it speaks of. The shell (`shell/folder.py`) looks those up, and
`judge` holds the draft against them. Decided against: stopping at the first mistake (an artist at 3 in the
morning fixes twelve at once or gives up), and judging with an engine installed (`check` runs on any laptop).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from mesh.core import files, options, references, rivals, wires
from mesh.core.complaints import Complaints
from mesh.core.facts import FileFact, FolderFacts, KindFault
from mesh.core.kind import Kind
from mesh.core.schema import DeploymentFile, json_schema
from mesh.core.schema_faults import hold_against_schema
from mesh.core.spec import DAYS, Deployment, Machine, ModelSpec, Needs, Opening, RoleSpec, Wire
from mesh.core.yaml_text import read_text
from mesh.core.yaml_tree import Node
from mesh.errors import Mistake

__all__ = [
    "DAYS", "Deployment", "Draft", "FileFact", "FolderFacts", "KindFault", "Machine", "ModelSpec", "Needs", "Opening", "RoleSpec",
    "Wire", "files_of", "json_schema", "judge", "read",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Draft:
    """A file that could be read, with what was wrong in it taken out. `lost` are the paths taken out."""

    file: str
    root: Node
    deployment: Deployment
    lost: frozenset[tuple[str | int, ...]]

    @property
    def kinds(self) -> list[str]:
        """The kinds that its roles name, each once, in the order of the file."""
        return list(dict.fromkeys(role.kind for role in self.deployment.roles))


def read(text: str | bytes, file: str = "deployment.yaml") -> tuple[Draft | None, list[Mistake]]:
    """Everything that the text alone can tell. Never raises; bounded in time and memory whatever the text."""
    found = read_text(text)
    said = [Mistake(file, fault.place.line, fault.place.column, fault.what, fault.instead) for fault in found.faults]
    if found.root is None or not found.root.items:
        if not said:
            said = [_nothing(file, found.root)]
        return None, _in_order(said)
    complaints = Complaints(file, found.root, set(found.lost))
    parsed = hold_against_schema(complaints)
    if parsed is None:
        return None, _in_order(said + complaints.mistakes)
    deployment = _values(parsed)
    references.judge(complaints, deployment)
    return Draft(file, found.root, deployment, frozenset(complaints.lost)), _in_order(said + complaints.mistakes)


def judge(
    draft: Draft, kinds: Mapping[str, Kind], kind_faults: Mapping[str, KindFault], facts: FolderFacts
) -> tuple[Deployment | None, list[Mistake]]:
    """What the kinds and the folder say of a draft. The deployment is returned only when this finds no mistake;
    whether `read` found any is the caller's to remember."""
    complaints = Complaints(draft.file, draft.root, set(draft.lost))
    deployment = replace(draft.deployment, kinds=dict(kinds))
    for role in deployment.roles:
        fault = kind_faults.get(role.kind)
        if fault is not None and not complaints.is_lost("roles", role.name):
            _say_kind_fault(complaints, role, fault)
    wires.judge(complaints, deployment)
    rivals.judge(complaints, deployment)
    options.judge(complaints, deployment)
    files.judge(complaints, deployment, facts)
    return (None if complaints.mistakes else deployment), _in_order(complaints.mistakes)


def files_of(draft: Draft, kinds: Mapping[str, Kind]) -> list[str]:
    """The files of the folder that the draft speaks of, as written, that `judge` needs facts of."""
    return [wanted.path for wanted in files.wanted(replace(draft.deployment, kinds=dict(kinds)))]


def _in_order(mistakes: list[Mistake]) -> list[Mistake]:
    return sorted(set(mistakes))


def _nothing(file: str, root: Node | None) -> Mistake:
    example = "begin with `installation: my-room`, then `roles:`; `roomful new DIR` writes a file to start from"
    if root is None or root.items is not None:
        return Mistake(file, 1, 1, "the file is empty", example)
    what = "the file is a list" if root.list is not None else "the file is a text, not `key: value` lines"
    return Mistake(file, root.place.line, root.place.column, what, example)


def _say_kind_fault(complaints: Complaints, role: RoleSpec, fault: KindFault) -> None:
    """A fault in an artist's own file stands in that file, once; a wrong name stands where it is written."""
    if fault.file:
        complaints.mistakes.append(Mistake(fault.file, fault.line, fault.column, fault.what, fault.instead))
        return
    complaints.at_value(("roles", role.name, "kind"), fault.what, fault.instead)


def _values(parsed: DeploymentFile) -> Deployment:
    models = {
        name: ModelSpec(name, model.file, model.sha256, model.licence.model_dump(), model.source)
        for name, model in parsed.models.items()
    }
    hours = parsed.opening
    opening = Opening(hours.days, hours.from_, hours.to, hours.timezone) if hours else None
    return Deployment(
        installation=parsed.installation, about=parsed.about, models=models, opening=opening,
        machines=tuple(references.machine(name, machine) for name, machine in parsed.machines.items()),
        roles=tuple(references.role_spec(rank, name, role) for rank, (name, role) in enumerate(parsed.roles.items())),
        seeds=tuple(parsed.seeds), boot_grace_s=parsed.boot_grace, timing=parsed.timing, significant=tuple(parsed.significant),
    )  # fmt: skip
