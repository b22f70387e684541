"""From a JSON Schema to a grammar: every text of the grammar is JSON that the schema takes.

Written for what small models can say: objects with their keys in the schema's order, lists, texts, numbers within bounds,
choices, references. What a grammar cannot promise (`multipleOf`, `uniqueItems`, a `pattern` with look-ahead …) is refused in words
and never left out in silence. Decided against: llama-cpp-python's converter, which drops `minimum`, and any rule beside `type: [a, b]`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

from mesh.errors import RoleError

Schema = Mapping[str, Any]

SPACE = '" "?'
DIGITS_MAX = 15
_LETTER = r'([^"\\\x00-\x1F\x7F] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4}))'
_TAIL = r'("." [0-9]{1,6})? ([eE] [-+]? [0-9]{1,2})?'
_PLAIN = {
    "boolean": '"true" | "false"',
    "null": '"null"',
    "integer": rf'"-"? ("0" | [1-9] [0-9]{{0,{DIGITS_MAX - 1}}})',
    "number": rf'"-"? ("0" | [1-9] [0-9]{{0,{DIGITS_MAX - 1}}}) {_TAIL}',
    "string": rf'"\"" {_LETTER}* "\""',
}
_FORMATS = {
    "date": r'"\"" [0-9]{4} "-" ("0" [1-9] | "1" [0-2]) "-" ("0" [1-9] | "1" [0-9] | "2" [0-8]) "\""',
    "time": r'"\"" ([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9] ":" [0-5] [0-9] "Z" "\""',
}
_FORMATS["date-time"] = _FORMATS["date"].removesuffix(r'"\""') + '"T"' + _FORMATS["time"].removeprefix(r'"\""')
_FORMATS["uuid"] = r'"\"" ' + ' "-" '.join(f"[0-9a-f]{{{count}}}" for count in (8, 4, 4, 4, 12)) + r' "\""'
_SAID = {"title", "description", "default", "examples", "$schema", "$id", "$comment", "$defs", "definitions", "deprecated", "readOnly"}
_KNOWN = {
    "object": {"properties", "required", "additionalProperties", "propertyOrdering"},
    "array": {"items", "prefixItems", "minItems", "maxItems"},
    "string": {"minLength", "maxLength", "format"},
    "integer": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"},
    "number": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"},
}


def grammar_of(schema: Schema) -> str:
    """The GBNF of a JSON Schema. Raises RoleError that names what no grammar can promise."""
    converter = _Converter(schema)
    root = converter.rule(schema, "the schema")
    return "\n".join([f"root ::= {root}", *(f"{name} ::= {text}" for name, text in converter.rules.items())])


class _Converter:
    """One schema: its rules so far, and where each of its references leads."""

    def __init__(self, root: Schema) -> None:
        self._root = root
        self.rules: dict[str, str] = {}
        self._references: dict[str, str] = {}

    def rule(self, schema: Any, where: str) -> str:
        """The name of a rule for this part of the schema."""
        if schema is True:
            schema = {}
        if not isinstance(schema, Mapping):
            raise _refused(f"{where} is no schema")
        if "$ref" in schema:
            return self._reference(str(schema["$ref"]), where)
        return self._named(self._text(schema, where))

    def _named(self, text: str) -> str:
        for name, known in self.rules.items():
            if known == text:
                return name
        name = f"r{len(self.rules)}"
        self.rules[name] = text
        return name

    def _reference(self, target: str, where: str) -> str:
        if target in self._references:
            return self._references[target]
        part: Any = self._root
        for step in target.removeprefix("#").strip("/").split("/") if target.startswith("#") else [None]:
            if step == "":
                continue
            step = unquote(step or "").replace("~1", "/").replace("~0", "~") if step is not None else None
            if not isinstance(part, Mapping) or step not in part:
                raise _refused(f"{where} refers to {target}, which is not in the schema")
            part = part[step]
        name = self._references[target] = f"ref{len(self._references)}"
        self.rules[name] = ""  # its place, for a schema that refers to itself
        self.rules[name] = self._text(part, target)
        return name

    def _text(self, schema: Schema, where: str) -> str:
        if "$ref" in schema:
            return self._reference(str(schema["$ref"]), where)
        if "const" in schema:
            return _written(schema["const"])
        if "enum" in schema:
            return " | ".join(_written(value) for value in schema["enum"])
        choices = schema.get("anyOf") or schema.get("oneOf")
        if choices:
            rest = {key: value for key, value in schema.items() if key not in ("anyOf", "oneOf", "$defs", "definitions")}
            return " | ".join(self.rule({**rest, **choice}, where) for choice in choices)
        if "allOf" in schema:
            return self._text(self._joined(schema), where)
        types = schema.get("type", _type_of(schema))
        if isinstance(types, list):
            return " | ".join(self.rule({**schema, "type": each}, where) for each in types)
        return self._typed(types, schema, where)

    def _joined(self, schema: Schema) -> dict[str, Any]:
        """`allOf` of objects: their keys together."""
        parts = [self._followed(part) for part in [{k: v for k, v in schema.items() if k != "allOf"}, *schema["allOf"]]]
        joined: dict[str, Any] = {}
        for part in parts:
            joined = {
                **joined, **part, "properties": {**joined.get("properties", {}), **part.get("properties", {})},
                "required": [*joined.get("required", ()), *part.get("required", ())],
            }  # fmt: skip
        return joined

    def _followed(self, part: Schema) -> Schema:
        for _ in range(8):
            if "$ref" not in part:
                break
            target: Any = self._root
            for step in str(part["$ref"]).removeprefix("#").strip("/").split("/"):
                target = target.get(unquote(step).replace("~1", "/").replace("~0", "~"), {})
            part = target
        return part

    def _typed(self, type_: str | None, schema: Schema, where: str) -> str:
        unknown = sorted(set(schema) - _SAID - set().union(*_KNOWN.values()) - {"type"})  # what is said of other types does not count
        if unknown:
            raise _refused(f"{where} asks for `{unknown[0]}`, which a grammar cannot promise")
        if type_ is None:
            return self._anything()
        if type_ == "object":
            return self._object(schema, where)
        if type_ == "array":
            return self._array(schema, where)
        if type_ == "string" and ("minLength" in schema or "maxLength" in schema):
            return rf'"\"" {_LETTER}{_times(schema.get("minLength", 0), schema.get("maxLength"))} "\""'
        if type_ == "string" and "format" in schema:
            if schema["format"] not in _FORMATS:
                raise _refused(f"{where} asks for the format {schema['format']!r}; a grammar can promise {', '.join(_FORMATS)}")
            return _FORMATS[schema["format"]]
        if type_ in ("integer", "number") and set(schema) & _KNOWN["integer"]:
            return _number(schema, whole=type_ == "integer", where=where)
        if type_ not in _PLAIN:
            raise _refused(f"{where} has the type {type_!r}, which is none of JSON's")
        return _PLAIN[type_]

    def _anything(self) -> str:
        name = "anything"
        if name not in self.rules:
            self.rules[name] = ""
            member = rf'{_PLAIN["string"]} ":" {SPACE} anything'
            self.rules[name] = (
                f'{_PLAIN["boolean"]} | {_PLAIN["null"]} | {_PLAIN["number"]} | {_PLAIN["string"]} | '
                f'"[" (anything ("," {SPACE} anything)*)? "]" | "{{" ({member} ("," {SPACE} {member})*)? "}}"'
            )
        return name

    def _object(self, schema: Schema, where: str) -> str:
        """Required keys and optional ones in their order. After `{` no comma stands, after a member one does: hence two rules a place."""
        properties = schema.get("properties", {})
        required = set(schema.get("required", ()))
        order = schema.get("propertyOrdering") or [*properties, *sorted(required - set(properties))]
        members = []
        for key in order:
            value = self.rule(properties.get(key, {}), f"{where}.{key}")
            members.append((f'{_written(key)} ":" {SPACE} {value}', key in required))
        more = schema.get("additionalProperties", not properties)
        tail = ""
        if more is not False:
            other = rf'{_PLAIN["string"]} ":" {SPACE} {self.rule(more, f"{where}.*")}'
            if not properties:
                return rf'"{{" ({other} ("," {SPACE} {other})*)? "}}"'
        first, later = tail, tail
        for text, needed in reversed(members):
            after = self._named(f'"," {SPACE} {text} {later}' + ("" if needed else f" | {later}" if later else ' | ""'))
            start = f"{text} {later}" + ("" if needed else f" | {first}" if first else ' | ""')
            first, later = self._named(start), after
        return f'"{{" {first} "}}"'

    def _array(self, schema: Schema, where: str) -> str:
        least, most = schema.get("minItems", 0), schema.get("maxItems")
        fixed = [self.rule(part, f"{where}[{place}]") for place, part in enumerate(schema.get("prefixItems", ()))]
        if fixed:
            return '"[" ' + f' "," {SPACE} '.join(fixed) + ' "]"'
        if most == 0:
            return '"[]"'
        item = self.rule(schema.get("items", {}), f"{where}[]")
        rest = f'("," {SPACE} {item}){_times(max(0, least - 1), None if most is None else most - 1)}'
        return f'"[" {item} {rest} "]"' if least else f'"[" ({item} {rest})? "]"'


def _type_of(schema: Schema) -> str | None:
    """The type that the other keys speak of, where `type` is left out."""
    return next((type_ for type_, keys in _KNOWN.items() if keys & set(schema)), None)


def _written(value: Any) -> str:
    """A value as a literal of the grammar that is its JSON."""
    text = json.dumps(value, ensure_ascii=False)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _times(least: int, most: int | None) -> str:
    return ("*" if least == 0 else f"{{{least},}}") if most is None else f"{{{least},{most}}}"


def _number(schema: Schema, *, whole: bool, where: str) -> str:
    """A number within bounds. With a fraction, bounds that are whole numbers only: between them anything goes, at them nothing follows."""
    low, high = _bound(schema, "inimum", 1, whole, where), _bound(schema, "aximum", -1, whole, where)
    low, high = -(10**DIGITS_MAX) + 1 if low is None else low, 10**DIGITS_MAX - 1 if high is None else high
    if low > high:
        raise _refused(f"{where} allows no number: its minimum is above its maximum")
    if whole:
        return " | ".join(_whole(low, high))
    fraction = '"." [0-9]{1,6}'
    parts = [f'{each} ({fraction})?' for each in (*_whole(max(low, 0), high - 1), *_whole(low + 1, min(high, -1)))]
    return " | ".join([*parts, *_whole(high, high), *_whole(low, low)])


def _bound(schema: Schema, name: str, step: int, whole: bool, where: str) -> int | None:
    """The nearest whole number within a bound."""
    found = []
    for key, strict in ((f"m{name}", False), (f"exclusiveM{name}", True)):
        value = schema.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            edge = int(value // 1) if step < 0 else -int(-value // 1)
            if not whole and edge != value:
                raise _refused(f"{where}: a grammar can hold numbers with a fraction within whole bounds only, and {key} is {value}")
            found.append(edge + step if strict and edge == value else edge)
    return (max(found) if step > 0 else min(found)) if found else None


def _whole(low: int, high: int) -> Iterable[str]:
    """Alternatives for every whole number from `low` to `high`."""
    if low > high:
        return []
    if high < 0:
        return [f'"-" ({" | ".join(_digits(str(-high), str(-low)))})']
    negative = [f'"-" ({" | ".join(_digits("1", str(-low)))})'] if low < 0 else []
    return [*negative, *_digits(str(max(low, 0)), str(high))]


def _digits(low: str, high: str) -> list[str]:
    """Alternatives for the numbers between two, neither negative, written in digits."""
    found = []
    for length in range(len(low), len(high) + 1):
        first = low if length == len(low) else "1" + "0" * (length - 1)
        last = high if length == len(high) else "9" * length
        found += _same_length(first, last)
    return found


def _same_length(low: str, high: str) -> list[str]:
    if not low:
        return [""]
    if set(low) == {"0"} and set(high) == {"9"}:
        return [f"[0-9]{{{len(low)}}}"]
    if low[0] == high[0]:
        return [f'"{low[0]}" {rest}'.strip() for rest in _same_length(low[1:], high[1:])]
    found = [f'"{low[0]}" {rest}'.strip() for rest in _same_length(low[1:], "9" * (len(low) - 1))]
    if int(high[0]) - int(low[0]) > 1:
        middle = f"[{int(low[0]) + 1}-{int(high[0]) - 1}]"
        found.append(middle + (f" [0-9]{{{len(low) - 1}}}" if len(low) > 1 else ""))
    return found + [f'"{high[0]}" {rest}'.strip() for rest in _same_length("0" * (len(high) - 1), high[1:])]


def _refused(what: str) -> RoleError:
    return RoleError(f"option json_schema: {what}", where="option json_schema", instead="take it out, or write the grammar yourself")
