"""Holds a file's tree against the schema and says all that is wrong with it, in our words and at its place.

Pydantic finds the errors; this turns each into a Mistake, takes the faulty value out and asks again, so that one
slip hides no other and the judges that follow (`references.py`, `wires.py`, `options.py`) still have a deployment
to look at. What was taken out stays *known by name*: a wire to a role with a mistake in it is not a second mistake.
"""

from __future__ import annotations

import re
from typing import Any

from pydantic import ValidationError

from mesh.core import schema
from mesh.core.complaints import Complaints, PathKey
from mesh.core.names import nearest
from mesh.core.sections import section_at, settle_keys

_EXAMPLES = {
    "kind": "kind: and one of those that `roomful kinds` lists, such as sensing.camera",
    "installation": "installation: my-room",
    "roles": "roles: and under it one role, indented",
    "licence": "licence: {weights: CC0-1.0, code: MIT, data: CC0-1.0}",
    "sha256": "sha256: and 64 zeros; `roomful check` then says the real one",
    "file": "file: models/NAME.gguf",
    "timezone": "timezone: Europe/Tallinn",
    "from": 'from: "10:00"',
    "to": 'to: "18:00"',
    "days": "days: Tue-Sun",
}
# What stands in for a missing value, so that the rest of what holds it is judged too. Never leaves this package:
# a file with a mistake gives no Deployment.
_STAND_INS: dict[str, Any] = {
    "installation": "unnamed",
    "roles": {"unnamed": {"kind": "unnamed"}},
    "sha256": "0" * 64,
    "licence": {"weights": "MIT", "code": "MIT", "data": "MIT"},
    "weights": "MIT",
    "code": "MIT",
    "data": "MIT",
    "days": "Mon",
    "from": "00:00",
    "to": "24:00",
    "timezone": "UTC",
}
_ROUNDS_MAX = 8
TAKEN_OUT = "taken-out"  # stands in a list for a faulty item; good as a name, a label and a host


def hold_against_schema(complaints: Complaints) -> schema.DeploymentFile | None:
    """What is left of the file when every fault is taken out; None when nothing can be made of it."""
    settle_keys(complaints)
    plain = complaints.root.value()
    for _ in range(_ROUNDS_MAX):
        try:
            return schema.DeploymentFile.model_validate(plain)
        except ValidationError as invalid:
            for error in invalid.errors(include_url=False):
                _complain(complaints, error)
                _take_out(complaints, plain, error)
    return None


def _take_out(complaints: Complaints, plain: dict[str, Any], error: Any) -> None:
    """Remove the faulty value; put a stand-in for a missing one, or remove what cannot be without it."""
    path: PathKey = error["loc"]
    if path and path[-1] == "[key]":
        path = path[:-1]
    if error["type"] == "missing":
        complaints.lost.add(path)
        if path[-1] in _STAND_INS:
            stand_in = _STAND_INS[str(path[-1])]
            _holder(plain, path)[path[-1]] = {**stand_in} if isinstance(stand_in, dict) else stand_in
            return
        path = path[:-1]
    complaints.lost.add(path)
    holder = _holder(plain, path)
    if isinstance(holder, list) and isinstance(path[-1], int):
        holder[path[-1]] = TAKEN_OUT  # so that the places of its neighbours stay true
    elif isinstance(holder, dict):
        holder.pop(str(path[-1]), None)


def _holder(plain: Any, path: PathKey) -> Any:
    """The mapping or list that holds the last step of `path`; {} when an earlier fault took it out."""
    for step in path[:-1]:
        plain = plain[int(step)] if isinstance(plain, list) else plain.get(step, {}) if isinstance(plain, dict) else {}
    return plain


def _complain(complaints: Complaints, error: Any) -> None:
    path: PathKey = error["loc"]
    kind = error["type"]
    if kind == "missing":
        _complain_missing(complaints, path)
    elif kind == "said" and path and path[-1] == "[key]":
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
    key = str(path[-1])
    complaints.at_key(path[:-1], f"{owner} has no `{key}`", f"add {_EXAMPLES.get(key, f'{key}: CC0-1.0')}")


def _words(kind: str, name: str, value: Any, ctx: dict[str, Any]) -> tuple[str, str]:
    """What pydantic's own errors mean to somebody who writes the file."""
    shown = _shown(value)
    if value is None:
        return f"`{name}` has nothing after it", f"write a value for `{name}`, or take the key out"
    match kind:
        case "literal_error":
            choices = re.findall(r"'([^']*)'", ctx.get("expected", ""))
            near = nearest(str(value), choices)
            instead = f"write one of {', '.join(choices)}"
            return f"`{name}` cannot be {shown}", f"did you mean `{near}`? Or {instead}" if near else instead
        case "string_type" if isinstance(value, dict) and list(value) == ["label"]:
            return "a label is written without a space", f"write label:{_plainly(value['label'])}"
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
        case bool():
            return str(value).lower()
        case int() | float():
            return f"the number {value}"
        case str():
            return f"“{value[:60]}”"
        case list():
            return "a list"
    return "a mapping"
