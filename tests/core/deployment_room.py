"""One good deployment file, the kinds it names and the folder it lies in: what the tests of the file change one thing of."""

from __future__ import annotations

from dataclasses import replace

from mesh.core.deployment import Deployment, FileFact, FolderFacts, KindFault, files_of, judge, read
from mesh.core.kind import Kind
from mesh.errors import Mistake

FILE = "deployment.yaml"
PRESENCE_SHA256 = "3f" * 32
POET_SHA256 = "9c" * 32
GOOD = f"""\
installation: whispering-room
about: A room that murmurs.

machines:
  door: {{labels: [camera]}}
  shelf: {{}}
  left-wall: {{labels: [screen]}}
  right-wall: {{labels: [screen]}}

models:
  presence:
    file: models/presence.onnx
    sha256: {PRESENCE_SHA256}
    licence: {{weights: CC0-1.0, code: MIT, data: CC0-1.0}}
    source: trained here
  poet:
    file: models/poet.gguf
    sha256: {POET_SHA256}
    licence: {{weights: CC-BY-4.0, code: MIT, data: CC-BY-4.0}}

roles:
  eye:
    kind: sensing.camera
    on: [door, label:camera, any]
    options: {{source: visitors.mp4, rate: 15}}
  presence:
    kind: inference.onnx
    model: presence
    inputs: {{image: eye.image}}
    options: {{output: people}}
    standby: warm
  mood:
    kind: ./roles.py:Mood
    inputs: {{people: presence.people}}
    standby: hot
  poet:
    kind: inference.llm
    model: poet
    inputs: {{prompt: mood.tags}}
    copies: 2
    needs: {{memory: 300MB}}
    options: {{when_superseded: cancel}}
    fallback: {{text: fallback/lines.txt}}
  wall:
    kind: display.web
    each: [left-wall, right-wall]
    inputs: {{line: poet.line}}

opening: {{days: Tue-Sun, from: "10:00", to: "18:00", timezone: Europe/Tallinn}}
"""


def options_schema(**properties: dict[str, object]) -> dict[str, object]:
    """The JSON Schema that pydantic writes for an options class with these fields."""
    return {"type": "object", "additionalProperties": False, "title": "Options", "properties": properties}


KINDS = {
    kind.kind: kind
    for kind in (
        Kind(
            "sensing.camera",
            options=options_schema(
                source={"anyOf": [{"type": "string"}, {"type": "integer"}], "default": 0, "file": "maybe"},
                rate={"type": "number", "exclusiveMinimum": 0, "maximum": 120, "default": 15.0},
                flip={"type": "boolean", "default": False},
            ),
            outputs={"image": "image"},
            extra="camera",
        ),
        Kind(
            "inference.onnx",
            options=options_schema(
                output={"type": "string", "default": "found"},
                layout={"type": "string", "enum": ["auto", "nchw", "nhwc"], "default": "auto"},
                mean={"anyOf": [{"type": "number"}, {"type": "array", "items": {"type": "number"}}], "default": 0.0},
                threads={"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}], "default": None},
            ),
            inputs={"image": "image", "vector": "vector"},
            outputs={"found": "event", "values": "vector"},
            output_option="output",
            needs_model=True,
        ),
        Kind("./roles.py:Mood", options=options_schema(), inputs={"people": "event"}, outputs={"tags": "text"}),
        Kind("./roles.py:Echo", options=options_schema(), inputs={"line": "text"}, outputs={"line": "text"}),
        Kind("./roles.py:Lamp", options=options_schema(), inputs={"line": "text"}, exclusive=True),
        Kind(
            "inference.llm",
            options=options_schema(
                when_superseded={"type": "string", "enum": ["cancel", "queue"], "default": "queue"},
                temperature={"type": "number", "minimum": 0, "maximum": 5, "default": 0.8},
                stop={"type": "array", "items": {"type": "string"}, "default": []},
            ),
            inputs={"prompt": "text"},
            outputs={"line": "text"},
            answers=("prompt",),
            needs_model=True,
        ),
        Kind(
            "display.web",
            options=options_schema(page={"anyOf": [{"type": "string"}, {"type": "null"}], "file": True}),
            display=True,
            catch_all=True,
        ),
    )
}
FACTS = FolderFacts(
    files={
        "models/presence.onnx": FileFact("file", PRESENCE_SHA256, 700_000),
        "models/poet.gguf": FileFact("file", POET_SHA256, 4_000_000),
        "fallback/lines.txt": FileFact("file", None, 900),
        "visitors.mp4": FileFact("file", None, 90_000),
    }
)
NOTHING_THERE = FileFact("missing", near=("models/presence.onnx", "models/poet.gguf"))


def examine(text: str | bytes, facts: FolderFacts = FACTS) -> tuple[Deployment | None, list[Mistake]]:
    """What `roomful check` finds in a text, in a folder of `facts` where nothing else lies."""
    draft, mistakes = read(text, FILE)
    if draft is None:
        return None, mistakes
    faults = {
        kind: KindFault(f"there is no kind `{kind}`", "did you mean another?") for kind in draft.kinds if kind not in KINDS
    }
    kinds = {kind: KINDS[kind] for kind in draft.kinds if kind in KINDS}
    found = {path: facts.files.get(path, NOTHING_THERE) for path in files_of(draft, kinds)}
    deployment, more = judge(draft, kinds, faults, replace(facts, files=found))
    mistakes = sorted({*mistakes, *more})
    return (None if mistakes else deployment), mistakes


def changed(*changes: tuple[str, str]) -> str:
    """The good file with each `old` replaced by `new`, once."""
    text = GOOD
    for old, new in changes:
        assert text.count(old) >= 1, f"not in the good file: {old}"
        text = text.replace(old, new, 1)
    return text
