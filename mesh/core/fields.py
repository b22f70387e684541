"""What a single value of the deployment file may look like: names, hashes, licences, sizes, wires.

Each is an annotated type that the schema is made of; each complaint says what to write in its place.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from mesh.core import delivery, licences, quantities
from mesh.core.addresses import host_port
from mesh.core.names import NAME_PATTERN, as_name, is_name
from mesh.core.quantities import DURATION_PATTERN, SIZE_PATTERN, TIME_PATTERN, Unclear


def wrong(what: str, instead: str) -> PydanticCustomError:
    """A complaint in our own words, which `complaints.py` hands on as they are."""
    return PydanticCustomError("said", "{what}", {"what": what, "instead": instead})


def _read_as(read: Callable[[Any], Any], pattern: str, example: str) -> list[Any]:
    """A text that `read` turns into a value; an editor sees `pattern`."""

    def parse(value: Any) -> Any:
        try:
            return read(value)
        except Unclear as unclear:
            raise wrong(unclear.what, unclear.instead) from None

    return [BeforeValidator(parse), WithJsonSchema({"type": "string", "pattern": pattern, "examples": [example]})]


def _check_name(text: str) -> str:
    if is_name(text):
        return text
    what = (
        f"“{text[:60]}” is a word with a meaning of its own"
        if text == as_name(text).removeprefix("my-")
        else f"“{text[:60]}” is not a name"
    )
    raise wrong(what, f"write `{as_name(text)}`: lower-case letters, digits and hyphens, at most 40")


def _check_hash(text: str) -> str:
    given = text.strip().lower().removeprefix("sha256:")
    if len(given) == 64 and set(given) <= set("0123456789abcdef"):
        if given == text:
            return text
        raise wrong("a sha256 is written in lower case and bare", f"write {given}")
    instead = (
        "64 digits of 0-9 and a-f; `sha256sum FILE` prints them, and so does `roomful check` once the form is right"
    )
    raise wrong(
        f"this is not a sha256: it has {len(text)} characters" if len(given) != 64 else "this is not a sha256", instead
    )


def _check_licence(text: str) -> str:
    instead = licences.complaint(text)
    if instead is None:
        return text
    raise wrong(f"“{text[:60]}” is not a licence's SPDX identifier", instead)


def _check_seed(text: str) -> str:
    try:
        host_port(text)
    except quantities.Unclear as fault:
        raise wrong(fault.what, fault.instead) from None
    return text


def _check_kind(text: str) -> str:
    own = "an own role is written ./roles.py:ClassName"
    if re.fullmatch(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*", text) and not text.endswith(".py"):
        return text
    file, _, name = text.partition(":")
    if ".py" not in file:
        if re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]*", text):
            return text  # judged with the list of kinds at hand
        raise wrong(f"“{text[:60]}” is not a kind", f"write one that `roomful kinds` lists; {own}")
    if file.startswith(("/", "~")) or ".." in file.split("/") or "\\" in file:
        raise wrong(f"“{file[:60]}” leaves the folder", f"copy the file into the folder; {own}")
    if not name.isidentifier():
        raise wrong(
            f"“{text[:60]}” names no class",
            f"write ./{file.removeprefix('./')}:ClassName, with the name of the class in it",
        )
    if not re.fullmatch(r"\./[A-Za-z0-9_][A-Za-z0-9_./-]*\.py", file):
        raise wrong(f"“{text[:60]}” is not a kind", f"write ./{file.removeprefix('./')}:{name}")
    return text


def _check_wire(text: str) -> str:
    role, dot, stream = text.partition(".")
    bare = re.split(r"[/@]", role)[0]
    if dot and bare != role:
        raise wrong(
            f"“{text[:60]}” names one instance",
            f"write {bare}.{stream}: a wire names the role, and hears whoever plays it",
        )
    if is_name(role) and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]{0,60}", stream):
        return text
    example = f"{role}.STREAM" if is_name(role) else "ROLE.STREAM"
    raise wrong(f"“{text[:60]}” is not a stream", f"write {example}, such as eye.image")


def _check_delivery(text: str) -> str:
    if delivery.read(text) is None:
        raise wrong(f"it cannot be “{text[:60]}”", delivery.INSTEAD)
    return text


Name = Annotated[
    str, AfterValidator(_check_name), WithJsonSchema({"type": "string", "pattern": NAME_PATTERN, "maxLength": 40})
]
Size = Annotated[int, *_read_as(quantities.size_bytes, SIZE_PATTERN, "300MB")]
Duration = Annotated[float, *_read_as(quantities.duration_s, DURATION_PATTERN, "20s")]
Time = Annotated[int, *_read_as(quantities.time_min, TIME_PATTERN, "10:00")]
Days = Annotated[
    tuple[str, ...],
    *_read_as(quantities.days, r"^(Mon|Tue|Wed|Thu|Fri|Sat|Sun)([-, ]+(Mon|Tue|Wed|Thu|Fri|Sat|Sun))*$", "Tue-Sun"),
]
Zone = Annotated[str, *_read_as(quantities.zone, r"^[A-Za-z0-9+_-]+(/[A-Za-z0-9+_-]+)*$", "Europe/Tallinn")]
Hash = Annotated[str, AfterValidator(_check_hash), WithJsonSchema({"type": "string", "pattern": "^[0-9a-f]{64}$"})]
Licence = Annotated[str, AfterValidator(_check_licence), Field(min_length=1, examples=["CC0-1.0", "MIT", "CC-BY-4.0"])]
Seed = Annotated[str, AfterValidator(_check_seed)]
FilePath = Annotated[
    str, Field(min_length=1, description="A path in this folder, with forward slashes.", examples=["models/poet.gguf"])
]
Kind = Annotated[str, AfterValidator(_check_kind), Field(min_length=1, examples=["sensing.camera", "./roles.py:Mood"])]
WireText = Annotated[str, AfterValidator(_check_wire), Field(examples=["eye.image"])]
Delivery = Annotated[
    str,
    AfterValidator(_check_delivery),
    WithJsonSchema({"type": "string", "pattern": delivery.PATTERN, "examples": ["latest", "queue", "latest quality 75", "lossless"]}),
]
