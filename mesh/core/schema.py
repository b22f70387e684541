"""The deployment file's shape, in pydantic: what editors get as JSON Schema and what the reader enforces.

Nothing is converted silently: `copies: "2"` and `memory: 300` are mistakes. The names of these classes and the
descriptions of their fields are read by people, in the editor, while they write. Decided against: unions of
shapes (`on: door` beside `on: [door]`), which double every message and every example.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from mesh.core.fields import (
    Days,
    Delivery,
    Duration,
    FilePath,
    Hash,
    Kind,
    Licence,
    Name,
    Seed,
    Size,
    Time,
    WireText,
    Zone,
)

COPIES_MAX = 64


class Section(BaseModel):
    """What every part of the file has in common: unknown keys are mistakes, nothing is converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class HasFile(Section):
    """What a machine has, where it is not what the machine itself measures."""

    memory: Size | None = Field(default=None, description="Memory for roles, with its unit: 2GB. Left out: all that it has.")
    gpu: bool | None = Field(default=None, description="Whether it has a graphics processor that computes.")
    camera: bool | None = Field(default=None, description="Whether it has a camera.")
    screen: bool | None = Field(default=None, description="Whether it has a screen.")
    sound: bool | None = Field(default=None, description="Whether it has a sound output.")
    microphone: bool | None = Field(default=None, description="Whether it has a microphone.")


class MachineFile(Section):
    """A computer of the room."""

    labels: list[Name] = Field(
        default=[], description="What it is good for, such as camera or screen; roles ask for it as label:camera."
    )
    has: HasFile = Field(default=HasFile(), description="What it has, where its own measurement is not to be believed.")


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
    """What stands in when no model can run or nothing is heard."""

    text: FilePath | None = Field(default=None, description="A text file of this folder, a sentence a line.")
    image: FilePath | None = Field(default=None, description="A picture of this folder.")
    loop: FilePath | None = Field(default=None, description="A video, or a folder of pictures shown in turn; repeated.")
    recording: FilePath | None = Field(
        default=None, description="What display.file wrote (.jsonl), shown again at its own pace; or a sound (.wav, .ogg)."
    )


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
    needs: NeedsFile = Field(default=NeedsFile(), description="What a machine must have to play it.")
    model: str | None = Field(default=None, description="One of the models above.")
    ladder: list[str] = Field(
        default=[], description="Models from best to smallest: a machine plays the best that fits."
    )
    inputs: dict[str, WireText] = Field(default={}, description="Which stream feeds which input: {prompt: mood.tags}.")
    delivery: dict[str, Delivery] = Field(
        default={},
        description="Per input: latest (the newest only) or queue (each in turn). After it, or alone, how pictures come from "
        "another machine: quality 1 to 100 (JPEG; 90 where nothing is said), lossless or raw. Such as latest quality 75.",
    )
    options: dict[str, Any] = Field(default={}, description="Options of its kind; `roomful kinds KIND` lists them.")
    fallback: FallbackFile = Field(
        default=FallbackFile(), description="What is said or shown when nothing can be made."
    )
    with_: str | None = Field(default=None, alias="with", description="A role whose machine it shares.")
    spread: bool = Field(default=False, description="No two copies on one machine, ever.")
    failback: Literal["manual", "auto"] = Field(
        default="manual", description="Whether it goes back to a machine that returns."
    )
    limits: LimitsFile = Field(default=LimitsFile(), description="What it may use at most.")
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
        default=20.0,
        json_schema_extra={"default": "20s"},
        description="How long a starting room waits for the machines that roles prefer: 20s.",
    )
    timing: Literal["wired", "wireless"] = Field(
        default="wired", description="How patient machines are with each other."
    )
    significant: list[str] = Field(
        default=[], description="What must stay for the work to be the work, in sentences, for those who keep it."
    )


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the file, for editors."""
    schema = _tidied(DeploymentFile.model_json_schema(mode="validation"))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "Roomful deployment"}


def _tidied(part: Any) -> Any:
    """What pydantic writes, made helpful: no title that repeats the key, no `null` to choose (a key is left out or has
    a value), no name beside those that the pattern allows, no default that is another section."""
    if isinstance(part, list):
        return [_tidied(item) for item in part]
    if not isinstance(part, dict):
        return part
    part = {key: _tidied(value) for key, value in part.items()}
    if isinstance(part.get("title"), str):
        del part["title"]
    if part.get("default", "") is None or "$ref" in part:
        part.pop("default", None)
    if "patternProperties" in part:
        part.pop("propertyNames", None)
        part["additionalProperties"] = False
    match part.get("anyOf"):
        case [dict() as choice, {"type": "null"}]:
            del part["anyOf"]
            return {**choice, **part}
    return part
