"""A role's options held against the JSON Schema of its kind.

Only what pydantic writes for an options class is understood, in a page, so that neither a validator's library nor
the artist's own code is needed to check a file. A rule that JSON Schema cannot say (a validator in Python)
speaks when the role starts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mesh.core.complaints import Complaints
from mesh.core.names import did_you_mean, nearest
from mesh.core.spec import Deployment

_DEPTH_MAX = 24
Schema = Mapping[str, Any]
# (path below `options`, whether the key is at fault and not its value, what, instead)
Fault = tuple[tuple[str | int, ...], bool, str, str]

_IS: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: (
        (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, float) and value.is_integer())
    ),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "null": lambda value: value is None,
}
_CALLED = {"string": "a text", "integer": "a whole number", "number": "a number", "boolean": "true or false", "array": "a list",
           "object": "`key: value` pairs", "null": "nothing"}  # fmt: skip


def judge(complaints: Complaints, deployment: Deployment) -> None:
    """Say every option that its kind does not know or cannot take."""
    for role in deployment.roles:
        kind = deployment.kinds.get(role.kind)
        if kind is None or complaints.is_lost("roles", role.name, "options") or complaints.is_lost("roles", role.name):
            continue
        for path, at_key, what, instead in faults(kind.options, dict(role.options)):
            say = complaints.at_key if at_key else complaints.at_value
            say(("roles", role.name, "options", *path), what, instead)


def faults(schema: Schema, options: dict[str, Any]) -> list[Fault]:
    """All that is wrong with `options` by `schema`."""
    return list(_check(schema, options, (), schema, 0))


def _check(schema: Schema, value: Any, path: tuple[str | int, ...], root: Schema, depth: int) -> Iterator[Fault]:
    schema = _followed(schema, root)
    if depth > _DEPTH_MAX:
        return
    for part in schema.get("allOf", ()):
        yield from _check(part, value, path, root, depth + 1)
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices:
        yield from _check_choices(schema, choices, value, path, root, depth)
    if not _fits(schema, value):
        yield _fault(schema, value, path, root)
    elif isinstance(value, dict):
        yield from _check_object(schema, value, path, root, depth)
    elif isinstance(value, list):
        for place, item in enumerate(value):
            prefix = schema.get("prefixItems", ())
            rule = prefix[place] if place < len(prefix) else schema.get("items", {})
            if isinstance(rule, dict):
                yield from _check(rule, item, (*path, place), root, depth + 1)


def _followed(schema: Schema, root: Schema) -> Schema:
    for _ in range(8):
        target = schema.get("$ref", "")
        if not target.startswith("#/$defs/"):
            break
        schema = {
            **root.get("$defs", {}).get(target.removeprefix("#/$defs/"), {}),
            **{k: v for k, v in schema.items() if k != "$ref"},
        }
    return schema


def _check_choices(
    schema: Schema, choices: Any, value: Any, path: tuple[str | int, ...], root: Schema, depth: int
) -> Iterator[Fault]:
    """Fine if one choice takes the value; else the complaints of the choice that at least has its type."""
    found = [list(_check(choice, value, path, root, depth + 1)) for choice in choices]
    if all(found):
        same_type = [
            faults_ for choice, faults_ in zip(choices, found, strict=True) if _has_type(_followed(choice, root), value)
        ]
        yield from same_type[0] if len(same_type) == 1 else [_fault(schema, value, path, root)]


def _check_object(
    schema: Schema, value: dict[str, Any], path: tuple[str | int, ...], root: Schema, depth: int
) -> Iterator[Fault]:
    known = schema.get("properties", {})
    others = schema.get("additionalProperties", True)
    for key, item in value.items():
        if key in known:
            yield from _check(known[key], item, (*path, key), root, depth + 1)
        elif others is False:
            near = did_you_mean(key, known, of="options") if not path else did_you_mean(key, known, of="its keys")
            yield (
                (*path, key),
                True,
                f"there is no option `{key[:60]}`" if not path else f"`{path[-1]}` has no `{key[:60]}`",
                near,
            )
        elif isinstance(others, dict):
            yield from _check(others, item, (*path, key), root, depth + 1)
    for key in schema.get("required", ()):
        if key not in value:
            example = expected(_followed(known.get(key, {}), root), root)
            yield path, True, f"the option `{key}` is missing", f"add {key}: {example}"


def _has_type(schema: Schema, value: Any) -> bool:
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    return not types or any(_IS.get(type_, lambda _: True)(value) for type_ in types)


def _fits(schema: Schema, value: Any) -> bool:
    """The rules about the value itself, what it holds apart."""
    if (
        not _has_type(schema, value)
        or ("const" in schema and value != schema["const"])
        or ("enum" in schema and value not in schema["enum"])
    ):
        return False
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _in_range(schema, value)
    if isinstance(value, str):
        return schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)) and _matches(
            schema.get("pattern"), value
        )
    if isinstance(value, list):
        return bool(schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)))
    return True


def _in_range(schema: Schema, value: float) -> bool:
    step = schema.get("multipleOf")
    return bool(
        schema.get("minimum", value) <= value <= schema.get("maximum", value)
        and ("exclusiveMinimum" not in schema or value > schema["exclusiveMinimum"])
        and ("exclusiveMaximum" not in schema or value < schema["exclusiveMaximum"])
        and (not step or abs(value / step - round(value / step)) < 1e-9)
    )


def _matches(pattern: Any, value: str) -> bool:
    try:
        return not isinstance(pattern, str) or re.search(pattern, value) is not None
    except re.error:
        return True  # a pattern of another dialect: the role itself will judge


def _fault(schema: Schema, value: Any, path: tuple[str | int, ...], root: Schema) -> Fault:
    name = next((str(step) for step in reversed(path) if isinstance(step, str)), "options")
    wanted = expected(schema, root)
    choices = [str(choice) for choice in schema.get("enum", ())]
    instead = f"write {wanted}"
    if isinstance(value, str):
        if nearest(value, choices):
            instead = f"{did_you_mean(value, choices, of='choices')} It takes {wanted}"
        elif _IS["number"](_number(value)) and _fits(schema, _number(value)):
            instead = f"write {value}, without quotes"
        elif "boolean" in str(schema.get("type")) and value.lower() in ("yes", "no", "on", "off"):
            instead = f"write {str(value.lower() in ('yes', 'on')).lower()}"
    if schema.get("default") is not None:
        instead += f" (left out, it is {_shown(schema['default'])})"
    return path, False, f"`{name}` cannot be {f'“{value[:60]}”' if isinstance(value, str) else _shown(value)}", instead


def _number(text: str) -> float | int | None:
    return (float(text) if "." in text else int(text)) if re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]{1,15})?", text) else None


def expected(schema: Schema, root: Schema) -> str:
    """What the schema takes, in words."""
    if "const" in schema:
        return _shown(schema["const"])
    if "enum" in schema:
        return "one of " + ", ".join(_shown(choice) for choice in schema["enum"])
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices:
        return " or ".join(
            dict.fromkeys(expected(_followed(choice, root), root) for choice in choices if choice.get("type") != "null")
        )
    types = schema.get("type", "string")
    words = " or ".join(_CALLED.get(type_, type_) for type_ in ([types] if isinstance(types, str) else types))
    bounds = _bounds(schema)
    if "minItems" in schema and schema["minItems"] == schema.get("maxItems"):
        bounds = f" of {schema['minItems']}"
    return words + bounds + (f" matching {schema['pattern']}" if "pattern" in schema else "")


def _bounds(schema: Schema) -> str:
    """ " from 1 to 120", " above 0", … or nothing."""
    above = f"above {schema['exclusiveMinimum']}" if "exclusiveMinimum" in schema else ""
    below = f"below {schema['exclusiveMaximum']}" if "exclusiveMaximum" in schema else ""
    if "minimum" in schema:
        above = f"from {schema['minimum']}" if below or "maximum" in schema else f"of at least {schema['minimum']}"
    if "maximum" in schema:
        below = f"to {schema['maximum']}" if above else f"of at most {schema['maximum']}"
    return "".join(f" {bound}" for bound in (above, below) if bound)


def _shown(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "empty"}[value]
    if isinstance(value, list):
        return "[" + ", ".join(_shown(item) for item in value[:6]) + (", …]" if len(value) > 6 else "]")
    return "a mapping" if isinstance(value, dict) else str(value)[:60] or "an empty text"
