"""Which keys each section of the file has, and what somebody meant who wrote another.

A key that is nearly one of the section's is said to be wrong and then read as the one meant, so that `mashines`
is one mistake and not one more for each machine that nobody can find.
"""

from __future__ import annotations

from collections.abc import Sequence

from mesh.core import schema
from mesh.core.complaints import Complaints, PathKey
from mesh.core.names import did_you_mean, nearest
from mesh.core.yaml_tree import Node

# Where each section of the schema stands; "*" is any name.
_SECTIONS: tuple[tuple[PathKey, type[schema.Section], str], ...] = (
    ((), schema.DeploymentFile, "a deployment"),
    (("machines", "*"), schema.MachineFile, "a machine"),
    (("machines", "*", "has"), schema.HasFile, "`has`"),
    (("models", "*"), schema.ModelFile, "a model"),
    (("models", "*", "licence"), schema.LicenceFile, "`licence`"),
    (("roles", "*"), schema.RoleFile, "a role"),
    (("roles", "*", "needs"), schema.NeedsFile, "`needs`"),
    (("roles", "*", "limits"), schema.LimitsFile, "`limits`"),
    (("roles", "*", "fallback"), schema.FallbackFile, "`fallback`"),
    (("opening",), schema.OpeningFile, "`opening`"),
)
_SYNONYMS = {
    "license": "licence", "licenses": "licence", "type": "kind", "class": "kind", "nodes": "machines", "hosts": "machines",
    "replicas": "copies", "instances": "copies", "count": "copies", "hash": "sha256", "checksum": "sha256", "path": "file",
    "wires": "inputs", "subscribe": "inputs", "config": "options", "params": "options", "parameters": "options", "name": "installation",
    "description": "about", "title": "about", "hours": "opening", "ram": "memory", "mem": "memory", "resources": "needs",
    "requires": "needs", "affinity": "on", "host": "on", "prefer": "on", "tags": "labels", "peers": "seeds", "audio": "sound",
    "display": "screen", "mic": "microphone", "models": "ladder", "backup": "standby", "start": "from", "end": "to", "tz": "timezone",
}  # fmt: skip
_MAY_BE_EMPTY = {
    "machines",
    "has",
    "models",
    "inputs",
    "options",
    "delivery",
    "needs",
    "limits",
    "fallback",
    "labels",
    "seeds",
    "significant",
    "about",
    "ladder",
}


def section_at(path: Sequence[str | int]) -> tuple[type[schema.Section], str] | None:
    """The section of the schema whose keys stand at `path`, and what it is called."""
    for pattern, section, noun in _SECTIONS:
        if len(pattern) == len(path) and all(want in ("*", have) for want, have in zip(pattern, path, strict=True)):
            return section, noun
    return None


def keys_of(section: type[schema.Section]) -> list[str]:
    """The keys as they are written in the file."""
    return [field.alias or name for name, field in section.model_fields.items()]


def settle_keys(complaints: Complaints) -> None:
    """Say every key that its section does not have and every key with nothing after it. Changes the tree: a key
    is renamed to the one meant or taken out."""
    _settle(complaints, complaints.root, ())


def _settle(complaints: Complaints, node: Node, path: PathKey) -> None:
    if node.items is None:
        return
    found = section_at(path)
    if found:
        for key in [key for key in node.items if key not in keys_of(found[0])]:
            _settle_unknown(complaints, node, path, key)
    for key, (_, child) in list(node.items.items()):
        here = (*path, key)
        if child.plain is None and child.items is None and child.list is None:
            _settle_empty(complaints, node, here)
        elif any(len(pattern) >= len(here) and pattern[0] == here[0] for pattern, _, _ in _SECTIONS if pattern):
            _settle(complaints, child, here)


def _settle_unknown(complaints: Complaints, node: Node, path: PathKey, key: str) -> None:
    items = node.items or {}
    section, noun = section_at(path) or (schema.Section, "this")
    known = keys_of(section)
    near, synonym = nearest(key, known), _SYNONYMS.get(key.lower())
    meant = near or (synonym if synonym in known else None)
    elsewhere = next((other for _, section, other in _SECTIONS if key in keys_of(section)), None)
    if key == "<<":
        instead = "write the keys out; merging is not part of YAML 1.2"
    elif meant:
        instead = f"did you mean `{meant}`?"
    elif elsewhere:
        instead = f"`{key}` is a key of {elsewhere}: move it there; {noun} has: {', '.join(known)}"
    else:
        instead = did_you_mean(key, known, of="its keys")
    complaints.at_key((*path, key), f"{noun} has no key `{key[:60]}`", instead)
    if meant and meant not in items:
        node.items = {meant if name == key else name: item for name, item in items.items()}
    else:
        del items[key]


def _settle_empty(complaints: Complaints, node: Node, path: PathKey) -> None:
    """A key with nothing after it: the same as none for a collection, a mistake for another."""
    items = node.items or {}
    key = str(path[-1])
    place, child = items[key]
    if path[0] == "machines" and len(path) == 2:
        items[key] = (place, Node(child.place, items={}))
    elif section_at(path[:-1]):
        if key not in _MAY_BE_EMPTY:
            complaints.at_key(path, f"`{key}` has nothing after it", f"write a value for `{key}`, or take the key out")
            complaints.lost.add(path)
        del items[key]
