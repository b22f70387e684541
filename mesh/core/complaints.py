"""Holds a file's tree against the schema and says all that is wrong with it, in our words and at its place.

Pydantic finds the errors; this turns each into a Mistake, takes the faulty value out and asks again, so that one
slip hides no other and the judges that follow (`references.py`, `wires.py`, `options.py`) still have a deployment
to look at. What was taken out stays *known by name*: a wire to a role with a mistake in it is not a second mistake.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from mesh.core import schema
from mesh.core.names import did_you_mean, nearest
from mesh.core.yaml_tree import Node, Place
from mesh.errors import Mistake

PathKey = tuple[str | int, ...]

# Where each section of the schema stands; "*" is any name.
_SECTIONS: tuple[tuple[PathKey, type[schema.Section], str], ...] = (
    ((), schema.DeploymentFile, "a deployment"),
    (("machines", "*"), schema.MachineFile, "a machine"),
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
_ROUNDS_MAX = 8


def section_at(path: Sequence[str | int]) -> tuple[type[schema.Section], str] | None:
    """The section of the schema whose keys stand at `path`, and what it is called."""
    for pattern, section, noun in _SECTIONS:
        if len(pattern) == len(path) and all(want in ("*", have) for want, have in zip(pattern, path, strict=True)):
            return section, noun
    return None


def keys_of(section: type[schema.Section]) -> list[str]:
    """The keys as they are written in the file."""
    return [field.alias or name for name, field in section.model_fields.items()]


def find(root: Node, path: Sequence[str | int]) -> tuple[Place, Place]:
    """Where the key at the end of `path` stands, and where its value does. What is not there is looked for in
    what would hold it; the value of a key with nothing after it is looked for at the key."""
    key_place, node = root.place, root
    for step in path:
        if node.items is not None and step in node.items:
            key_place, node = node.items[str(step)]
        elif node.list is not None and isinstance(step, int) and step < len(node.list):
            node = node.list[step]
            key_place = node.place
        else:
            break
    return key_place, key_place if node.empty else node.place


class Complaints:
    """The mistakes found so far in one file. `lost` are the paths whose values could not be used."""

    def __init__(self, file: str, root: Node, lost: set[PathKey]) -> None:
        self.file = file
        self.root = root
        self.lost = lost
        self.mistakes: list[Mistake] = []

    def say(self, place: Place, what: str, instead: str) -> None:
        mistake = Mistake(self.file, place.line, place.column, what, instead)
        if mistake not in self.mistakes:
            self.mistakes.append(mistake)

    def at_key(self, path: Sequence[str | int], what: str, instead: str) -> None:
        self.say(find(self.root, path)[0], what, instead)

    def at_value(self, path: Sequence[str | int], what: str, instead: str) -> None:
        self.say(find(self.root, path)[1], what, instead)

    def written(self, *path: str | int) -> Any:
        """The plain value that the file has at `path`, None where there is none."""
        node = self.root
        for step in path:
            if node.items is not None and step in node.items:
                node = node.items[str(step)][1]
            elif node.list is not None and isinstance(step, int) and step < len(node.list):
                node = node.list[step]
            else:
                return None
        return node.value()

    def has(self, *path: str | int) -> bool:
        """Whether the file has something good at `path`."""
        return self.written(*path) is not None and not self.is_lost(*path)

    def keys(self, *path: str | int) -> list[str]:
        """The keys that the file has in the mapping at `path`."""
        value = self.written(*path)
        return list(value) if isinstance(value, dict) else []

    def is_lost(self, *path: str | int) -> bool:
        """Whether the value at `path`, or what holds it, could not be read: then nothing more is said of it."""
        return any(path[:length] in self.lost for length in range(1, len(path) + 1))


def hold_against_schema(complaints: Complaints) -> schema.DeploymentFile | None:
    """What is left of the file when every fault is taken out; None when nothing can be made of it."""
    plain = complaints.root.value()
    _drop_empty(complaints, plain, ())
    for _ in range(_ROUNDS_MAX):
        try:
            return schema.DeploymentFile.model_validate(plain)
        except ValidationError as invalid:
            for error in invalid.errors(include_url=False):
                _complain(complaints, error)
                _take_out(complaints, plain, error)
    return None


def _drop_empty(complaints: Complaints, plain: Any, path: PathKey) -> None:
    """A key with nothing after it: the same as none for a collection, a mistake elsewhere."""
    if not isinstance(plain, dict) or (path[2:3] == ("options",)):
        return
    for key, value in list(plain.items()):
        here = (*path, key)
        if value is not None:
            _drop_empty(complaints, value, here)
        elif key in _MAY_BE_EMPTY and section_at(path):
            del plain[key]
        elif len(here) == 2 and here[0] == "machines":
            plain[key] = {}
        else:
            known = section_at(path)
            if known is None or key in keys_of(known[0]):
                complaints.at_key(
                    here, f"`{key}` has nothing after it", f"write a value for `{key}`, or take the key out"
                )
                complaints.lost.add(here)
                del plain[key]


def _take_out(complaints: Complaints, plain: dict[str, Any], error: Any) -> None:
    """Remove the faulty value, or what cannot be without the missing one."""
    path: PathKey = error["loc"]
    if path and path[-1] == "[key]":
        path = path[:-1]
    if error["type"] == "missing":
        complaints.lost.add(path)
        path = path[:-1]
        if not path:
            plain[str(error["loc"][0])] = (
                "unnamed" if error["loc"] == ("installation",) else {"unnamed": {"kind": "unnamed"}}
            )
            return
    complaints.lost.add(path)
    holder: Any = plain
    for step in path[:-1]:
        if isinstance(holder, list):
            holder = holder[int(step)]
        else:
            holder = holder.get(step, {}) if isinstance(holder, dict) else {}
    if isinstance(holder, list) and isinstance(path[-1], int):
        holder[path[-1]] = "any"  # keeps the places of its neighbours; `any` is good wherever a list of words stands
        if path[0] == "seeds" or "labels" in path:
            holder[path[-1]] = "taken-out"
    elif isinstance(holder, dict):
        holder.pop(str(path[-1]), None)


def _complain(complaints: Complaints, error: Any) -> None:
    path: PathKey = error["loc"]
    kind = error["type"]
    if kind == "missing":
        _complain_missing(complaints, path)
    elif kind == "extra_forbidden":
        _complain_unknown(complaints, path)
    elif path and path[-1] == "[key]":
        complaints.at_key(path[:-1], error["ctx"]["what"], error["ctx"]["instead"])
    elif kind == "said":
        complaints.at_value(path, error["ctx"]["what"], error["ctx"]["instead"])
    else:
        name = next((str(step) for step in reversed(path) if isinstance(step, str)), "the file")
        what, instead = _words(kind, name, error.get("input"), error.get("ctx") or {})
        complaints.at_value(path, what, instead)


def _complain_missing(complaints: Complaints, path: PathKey) -> None:
    if complaints.is_lost(*path):
        return
    found = section_at(path[:-1])
    noun = found[1] if found else "this"
    owner = f"{noun} `{path[-2]}`" if len(path) == 3 else noun
    examples = {"kind": "kind: sensing.camera", "installation": "installation: my-room", "roles": "roles: and under it one role, indented",
                "licence": "licence: {weights: CC0-1.0, code: MIT, data: CC0-1.0}", "sha256": "sha256: and 64 zeros; `roomful check` then says the real one",
                "file": "file: models/NAME.gguf", "timezone": "timezone: Europe/Tallinn", "from": 'from: "10:00"', "to": 'to: "18:00"', "days": "days: Tue-Sun"}  # fmt: skip
    key = str(path[-1])
    complaints.at_key(path[:-1], f"{owner} has no `{key}`", f"add {examples.get(key, f'{key}: CC0-1.0')}")


def _complain_unknown(complaints: Complaints, path: PathKey) -> None:
    key = str(path[-1])
    found = section_at(path[:-1])
    known = keys_of(found[0]) if found else []
    noun = found[1] if found else "this"
    synonym = _SYNONYMS.get(key.lower())
    elsewhere = next((other for _, section, other in _SECTIONS if key in keys_of(section)), None)
    if key == "<<":
        instead = "write the keys out; merging is not part of YAML 1.2"
    elif nearest(key, known) is None and synonym in known:
        instead = f"did you mean `{synonym}`?"
    elif nearest(key, known) is None and elsewhere:
        instead = f"`{key}` is a key of {elsewhere}: move it there; {noun} has: {', '.join(known)}"
    else:
        instead = did_you_mean(key, known, of="its keys")
    complaints.at_key(path, f"{noun} has no key `{key[:60]}`", instead)


def _words(kind: str, name: str, value: Any, ctx: dict[str, Any]) -> tuple[str, str]:
    """What pydantic's own errors mean to somebody who writes the file."""
    shown = _shown(value)
    match kind:
        case "literal_error":
            choices = re.findall(r"'([^']*)'", ctx.get("expected", ""))
            return (
                f"`{name}` cannot be {shown}",
                f"{did_you_mean(str(value), choices, of='choices')} ({', '.join(choices)})",
            )
        case "string_type":
            scalar = not isinstance(value, list | dict)
            return (
                f"`{name}` must be a text, this is {shown}",
                f'write "{_plainly(value)}", with the quotes' if scalar else "write one text",
            )
        case "bool_type":
            meant = {
                "yes": "true",
                "on": "true",
                "y": "true",
                "1": "true",
                "no": "false",
                "off": "false",
                "n": "false",
                "0": "false",
            }
            word = meant.get(str(value).lower())
            return (
                f"`{name}` must be true or false, this is {shown}",
                f"write {word}" if word else "write true or false",
            )
        case "int_type":
            bare = str(value).strip()
            return (
                f"`{name}` must be a whole number, this is {shown}",
                f"write {bare}, without quotes" if bare.isdecimal() else "write a whole number, such as 2",
            )
        case "greater_than_equal" | "less_than_equal":
            bound = "at least" if kind.startswith("greater") else "at most"
            limit = ctx.get("ge", ctx.get("le"))
            return (
                f"`{name}` must be {bound} {limit}, this is {shown}",
                f"write {limit} or {'more' if bound == 'at least' else 'less'}",
            )
        case "list_type":
            return f"`{name}` must be a list, this is {shown}", "write a list: " + (
                f"[{_plainly(value)}]" if isinstance(value, str | int) else "[one, two]"
            )
        case "dict_type" | "model_type" | "mapping_type":
            return (
                f"`{name}` must hold `key: value` pairs, this is {shown}",
                "write {key: value}, or its keys on lines of their own, indented",
            )
        case "too_short" | "string_too_short":
            return (
                f"`{name}` is empty",
                "write at least one" if kind == "too_short" else f"write a text for `{name}`, or take the key out",
            )
    return f"`{name}` cannot be {shown}", f"`roomful check --schema` shows what it can be ({kind})"


def _plainly(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)[:60]


def _shown(value: Any) -> str:
    match value:
        case None:
            return "empty"
        case bool():
            return str(value).lower()
        case int() | float():
            return f"the number {value}"
        case str():
            return f"“{value[:60]}”"
        case list():
            return "a list"
    return "a mapping"
