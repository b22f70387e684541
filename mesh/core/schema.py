"""The deployment file's shape, in pydantic: what editors get as JSON Schema and what the reader enforces.

Nothing is converted silently: `copies: "2"` and `memory: 300` are mistakes. The names of these classes and the
descriptions of their fields are read by people, in the editor, while they write. Decided against: unions of
shapes (`on: door` beside `on: [door]`), which double every message and every example.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from mesh.core import licences, quantities
from mesh.core.names import NAME_PATTERN, as_name, is_name
from mesh.core.quantities import DURATION_PATTERN, SIZE_PATTERN, TIME_PATTERN, Unclear

COPIES_MAX = 64


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
    host, colon, port = text.rpartition(":") if text.count(":") == 1 or text.startswith("[") else (text, "", "")
    good_port = not colon or (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536)
    if "://" in text:
        raise wrong(
            f"“{text[:60]}” is a web address", f"write the host alone: {text.split('://', 1)[1].split('/', 1)[0][:60]}"
        )
    if good_port and quantities.is_host(host):
        return text
    raise wrong(
        f"“{text[:60]}” is not a host",
        "write a host name or address, with a port if it is not the usual one: 192.168.1.20 or shelf.local:47600",
    )


def _check_kind(text: str) -> str:
    own = "an own role is written ./roles.py:ClassName"
    if re.fullmatch(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*", text) and not text.endswith(".py"):
        return text
    file, colon, name = text.partition(":")
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
Delivery = Literal["latest", "queue"]


class Section(BaseModel):
    """What every part of the file has in common: unknown keys are mistakes, nothing is converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class MachineFile(Section):
    """A computer of the room."""

    labels: list[Name] = Field(
        default=[], description="What it is good for, such as camera or screen; roles ask for it as label:camera."
    )


class LicenceFile(Section):
    """Who may do what with the model, as SPDX identifiers."""

    weights: Licence = Field(description="Licence of the weights.")
    code: Licence = Field(description="Licence of the code that made them.")
    data: Licence = Field(description="Licence of the data they were made from.")


class ModelFile(Section):
    """A model that lies in the folder."""

    file: FilePath = Field(description="Where it lies in this folder, such as models/poet.gguf.")
    sha256: Hash = Field(description="The file's SHA-256. Write 64 zeros at first: `roomful check` says the real one.")
    licence: LicenceFile = Field(description="Licences of its weights, its code and its data.")
    source: str = Field(default="", description="Where it comes from, in a sentence.")


class NeedsFile(Section):
    """What a machine must have to play the role."""

    memory: Size | None = Field(default=None, description="Memory, with its unit: 300MB or 1.5GiB.")
    gpu: bool = Field(default=False, description="A graphics processor that computes.")
    camera: bool = Field(default=False, description="A camera.")
    screen: bool = Field(default=False, description="A screen.")
    sound: bool = Field(default=False, description="A sound output.")
    microphone: bool = Field(default=False, description="A microphone.")


class LimitsFile(Section):
    """What the role may use at most."""

    memory: Size | None = Field(default=None, description="Memory, with its unit: above it the role is restarted.")
    cores: Annotated[int, Field(ge=1, le=256)] | None = Field(
        default=None, description="Processor cores that its model may use."
    )


class FallbackFile(Section):
    """What is said or shown when nothing can be made."""

    text: FilePath | None = Field(default=None, description="A text file of this folder, a sentence a line.")


class RoleFile(Section):
    """A named job, and what it takes to do it."""

    kind: Kind = Field(description="What plays it: a kind of Roomful's (see `roomful kinds`) or ./roles.py:ClassName.")
    on: list[str] | None = Field(
        default=None, min_length=1, description="Machines in order of preference: names, label:LABEL, any."
    )
    each: list[str] | None = Field(
        default=None, min_length=1, description="One instance on each of these machines; it never moves."
    )
    copies: int = Field(default=1, ge=1, le=COPIES_MAX, description="Equal holders; each request goes to a free one.")
    standby: Literal["none", "cold", "warm", "hot"] | None = Field(
        default=None,
        description="Its next in line: hot (runs, muted), warm (loaded), cold (started when needed), none.",
    )
    needs: NeedsFile = NeedsFile()
    model: str | None = Field(default=None, description="One of the models above.")
    ladder: list[str] = Field(
        default=[], description="Models from best to smallest: a machine plays the best that fits."
    )
    inputs: dict[str, WireText] = Field(default={}, description="Which stream feeds which input: {prompt: mood.tags}.")
    delivery: dict[str, Delivery] = Field(
        default={}, description="Per input: latest (the newest only) or queue (each in turn)."
    )
    options: dict[str, Any] = Field(default={}, description="Options of its kind; `roomful kinds KIND` lists them.")
    fallback: FallbackFile = FallbackFile()
    with_: str | None = Field(default=None, alias="with", description="A role whose machine it shares.")
    spread: bool = Field(default=False, description="No two copies on one machine, ever.")
    failback: Literal["manual", "auto"] = Field(
        default="manual", description="Whether it goes back to a machine that returns."
    )
    limits: LimitsFile = LimitsFile()
    exclusive: bool | None = Field(
        default=None, description="Two at once would do harm outside the room (lights, projectors)."
    )


class OpeningFile(Section):
    """When the room is open to visitors."""

    days: Days = Field(description="Days of the week: Tue-Sun, or Mon, Wed, Fri.")
    from_: Time = Field(alias="from", description='When it opens, such as "10:00".')
    to: Time = Field(description="When it closes; at or before `from` means the next morning.")
    timezone: Zone = Field(description="The place's time zone, such as Europe/Tallinn.")


class DeploymentFile(Section):
    """One artwork for Roomful: its machines, its models, its roles."""

    installation: Name = Field(description="The artwork's name on the network.")
    about: str = Field(default="", description="What the work is, in a sentence.")
    machines: dict[Name, MachineFile] = Field(
        default={}, description="The computers of the room. Any other with the key may join as a spare."
    )
    models: dict[Name, ModelFile] = Field(default={}, description="The models in this folder.")
    roles: dict[Name, RoleFile] = Field(min_length=1, description="What is played. Those listed earlier matter more.")
    opening: OpeningFile | None = Field(default=None, description="Opening hours.")
    seeds: list[Seed] = Field(
        default=[], description="Hosts to dial where machines cannot find each other by themselves."
    )
    boot_grace: Duration = Field(
        default=20.0, description="How long a starting room waits for the machines that roles prefer: 20s."
    )
    timing: Literal["wired", "wireless"] = Field(
        default="wired", description="How patient machines are with each other."
    )
    significant: list[str] = Field(
        default=[], description="What must stay for the work to be the work, in sentences, for those who keep it."
    )


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the file, for editors."""
    schema = _without_null(DeploymentFile.model_json_schema(mode="validation"))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "Roomful deployment"}


def _without_null(part: Any) -> Any:
    """A key is left out or has a value: pydantic's `X or null` is no choice that an editor should offer."""
    if isinstance(part, list):
        return [_without_null(item) for item in part]
    if not isinstance(part, dict):
        return part
    part = {key: _without_null(value) for key, value in part.items() if not (key == "default" and value is None)}
    match part.get("anyOf"):
        case [dict() as choice, {"type": "null"}]:
            del part["anyOf"]
            return {**choice, **part}
    return part
