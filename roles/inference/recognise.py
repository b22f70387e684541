"""What an ONNX file seems to be, for `roomful models`: how it opens, and the options with which it can be played.

A guess from names and shapes is only said after the role has been set up with it and has read a made-up frame without complaint. What a
model's numbers *mean* (its colours, its mean, whether 0.9 is sure) no file tells: that stays with the model's author.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mesh.errors import EngineMissingError, RoleError
from mesh.role import Frame, Model
from roles.inference.against import FOLLOWS
from roles.inference.beside import labels_beside, letters_beside, ready_as_told
from roles.inference.families import family_of
from roles.inference.grids import grids
from roles.inference.intake import Array, Fit, Size, is_cover, is_picture
from roles.inference.keypoints import MEDIAPIPE, PEOPLE_MAX
from roles.inference.labels import KEYS, read_labels
from roles.inference.onnx_options import OnnxOptions
from roles.inference.outcome import Outcome
from roles.inference.reading import read_reader
from roles.inference.session import Session, handed_on
from roles.inference.skeletons import skeleton_of
from roles.inference.spectra import spectra

SIZES = ("640x640", "320x320", "256x256", "224x224", "anyx48", "anyx32")  # tried where a model takes any; the last for lines of writing
TASKS = {"detect": "boxes", "obb": "boxes", "segment": "boxes", "pose": "keypoints", "classify": "classes"}
SOUND_LEAST = 4000  # samples: a row of fewer numbers is rather a vector, unless its name says so
SILERO_STATE, SILERO_WINDOW, SILERO_CONTEXT = 128, 512, 64  # Silero VAD from 5 on hears the end of the window before once more
FILE_OF_LETTERS = "write them into a file of the folder, one on each line, in its order"
LETTERS_LEAST = 11  # of a model that reads; fewer scores for each of many places are something else
SOUNDS = ("wave", "audio", "sound", "speech", "input_values", "pcm")
WORDS_LEAST = 1000  # of a model that says which word stands somewhere
EMBEDDINGS = (64, 128, 192, 256, 384, 512, 768, 1024, 1280, 1536, 2048)
QUERIES = (100, 300, 900)  # of transformers
NAMED = {"predicted_depth": "depth", "text_embeds": "embedding", "image_embeds": "embedding", "sentence_embedding": "embedding",
         "pooler_output": "embedding", "last_hidden_state": "embedding"}  # fmt: skip
JOINTS = (5, 14, 16, 17, 18, 21, 23, 26, 68, 98, 106, 133)  # points of the usual faces, hands and bodies
EXACT = ("yolo8", "yolo5", "turned")  # families that any rows of numbers might be


class _Nobody:
    """A stage without an audience."""

    def __getattr__(self, name: str) -> Any:
        return lambda *values, **named: None


def recognise(role: Any, file: Path) -> dict[str, Any]:
    """{"inputs", "outputs": [{"name", "type", "shape"}], "about": {name: text}, "fits": [{"options", "why", "input"}],
    "hint"}: `input` is the role's own that frames go to, `hint` what would have to be said where nothing fits. `role` is the class that
    plays it. RoleError where the file does not open."""
    try:
        import onnxruntime
    except ImportError as missing:
        raise EngineMissingError("onnxruntime is not installed here", where=file.name, instead="pip install roomful[onnx]") from missing
    session = Session(onnxruntime, file, 1, ["cpu"])
    about = {key: _on_a_line(value) for key, value in sorted(session.metadata.items()) if key not in (*KEYS, "args")}
    labels = read_labels(None, session.metadata, file.parent) or labels_beside(file, session.outputs)
    if labels:
        about["classes"] = f"{len(labels)}: {', '.join(labels[:6])}{', …' if len(labels) > 6 else ''}"
    fits, hint = _fits(role, file, session, labels)
    return {"inputs": _listed(session.inputs), "outputs": _listed(session.outputs), "about": about, "fits": fits, "hint": hint}


def _on_a_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 200 else line[:199] + "…"


def _listed(entries: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"name": name, "type": entry.type.removeprefix("tensor(").removesuffix(")"),
             "shape": [side if isinstance(side, int) and side > 0 else str(side or "?") for side in entry.shape]}
            for name, entry in entries.items()]  # fmt: skip


def _fits(kind: Any, file: Path, session: Session, labels: list[str]) -> tuple[list[dict[str, Any]], str]:
    """The ways, the likeliest first; where there is none, what was in the way of the first."""
    hint = ""
    for options in _frames(session, file):
        refusals: list[str] = []
        played = _played(kind, file, {**options, "decode": "raw"}, refusals)
        if played is None:
            hint = hint or "".join(refusals[:1])
            continue
        outputs, input, wanted = played.role._read_out(played.outputs), played.input, dict(options)
        found = []
        sees = {"follows": _follows(session, options), "earlier": "earlier" in options}
        for decode, why in _decodes(outputs, played.size, session, labels, heard=input == "audio", **sees):
            tried = {"decode": decode, **wanted}
            unknown = decode == "letters" and not labels and not letters_beside(file, session.outputs)
            letters = {"labels": [str(at) for at in range(next(iter(outputs.values())).shape[-1])]} if unknown else {}
            if _reads_it(played, {**tried, **letters}):
                found.append({"options": {**tried, "labels": "letters.txt"} if unknown else tried, "why": why, "input": input})
        why = "all numbers as they come, or a function of your own in place of raw"
        found.append({"options": {"decode": "raw", **wanted}, "why": why, "input": input})
        return found, ""
    return [], hint


def _frames(session: Session, file: Path) -> Iterator[dict[str, Any]]:
    """Options that say what goes in, the likeliest first."""
    if _is_of_texts(session, file):
        yield _texts_of(session, labels_beside(file, session.outputs))
        return
    inputs, common = dict(session.inputs), _remembered(session)
    settled = {*common.get("state", {}), *common.get("feed", {}), *(name for name, entry in inputs.items() if is_cover(entry))}
    rest = {name: entry for name, entry in inputs.items() if name not in settled}
    name = next((name for name, entry in rest.items() if is_picture(entry.shape)), next(iter(rest), ""))
    if not name:
        return
    entry = rest[name]
    before = _before(rest)
    if before:
        name = before[1]
        common["earlier"] = {before[0]: 1}
    if len(rest) > 1 or common:
        common["input"] = name
    for other in rest:
        known = _told_sizes(other, entry.shape)
        if known:
            common["feed"] = {**common.get("feed", {}), other: known}
    told = ready_as_told(file)
    others = [other for each, other in rest.items() if each != name]
    for heard in spectra(name, entry, others, told, session.metadata, file.parent):
        yield {**common, **heard}
    for heard in _windows(name, entry, session, common):
        yield {**common, **{key: value for key, value in told.items() if key in ("rate", "standardise")}, **heard}
    if told and is_picture(entry.shape):
        fixed = all(isinstance(side, int) and side > 0 for side in entry.shape[1:])
        yield {**common, **{key: value for key, value in told.items() if key != "size" or not fixed}}
    yield common
    sizes = session.metadata.get("imgsz", "")
    sides = ast.literal_eval(sizes) if sizes.startswith("[") else []
    flat = all(len(given.shape) <= 2 for given in session.outputs.values())  # a row of scores: most such models were trained on 224x224
    own = [f"{sides[1]}x{sides[0]}"] if len(sides) == 2 else ["224x224"] if flat else []
    for size in (*own, *SIZES):
        yield {**common, "size": size}


def _told_sizes(name: str, shape: list[Any]) -> list[list[float]]:
    """What an input wants that says how large the picture is, so that places are in the model's own; empty where it is none."""
    sides = [side for side in shape[1:] if isinstance(side, int) and side > 3] or [640]
    if name in ("orig_target_sizes", "im_shape", "image_shape"):  # RT-DETR; PaddleDetection; YOLOv3 of Keras: height, width
        return [[sides[0], sides[-1]]]
    return [[1.0, 1.0]] if name == "scale_factor" else []


def _before(rest: Mapping[str, Any]) -> tuple[str, str] | None:
    """Two inputs for pictures that differ in their names alone: this one, and the one before."""
    if len(rest) != 2:
        return None
    one, other = rest.values()
    alike = is_picture(one.shape) and list(one.shape) == list(other.shape) and one.type == other.type
    return (one.name, other.name) if alike else None


def _is_of_texts(session: Session, file: Path) -> bool:
    """Whether it reads texts alone, with the tokenizer beside it."""
    try:
        reader = read_reader(session.inputs, OnnxOptions(), file.parent, file)
    except (RoleError, EngineMissingError):
        return False
    return reader is not None and set(session.inputs) == set(reader.takes)


def _texts_of(session: Session, labels: list[str]) -> dict[str, Any]:
    """What the texts that come are held against or looked for in: examples, for the artist to write others in their place."""
    if any("start" in name for name in session.outputs) and any("end" in name for name in session.outputs):
        return {"second": "The text in which answers are looked for."}
    if any(label.lower().startswith(FOLLOWS) for label in labels):
        return {"texts": ["joy", "grief"], "texts_as": "This example is about {}."}
    return {}


def _windows(name: str, entry: Any, session: Session, common: Mapping[str, Any]) -> Iterator[dict[str, int]]:
    """How a model that hears may hear: none for one that sees."""
    lengths = [side for side in entry.shape if isinstance(side, int) and side > 1]
    if is_picture(entry.shape) or len(lengths) > 1 or "int64" in entry.type or "int32" in entry.type or "bool" in entry.type:
        return
    length = lengths[0] if lengths else None
    hears = common.get("state") or any(word in name.lower() for word in SOUNDS) or length is None
    if length is not None and length < SOUND_LEAST and not hears:
        return
    last = [session.inputs[state].shape[-1:] for state in common.get("state", {})]
    if last and all(side == [SILERO_STATE] for side in last) and length in (None, SILERO_WINDOW + SILERO_CONTEXT):
        yield {"window": SILERO_WINDOW, "context": SILERO_CONTEXT}
    for window in (length,) if length else (512, 15600, 16000) if common else (15600, 16000):
        yield {"window": window}


def _remembered(session: Session) -> dict[str, Any]:
    """Inputs that look like what an output hands on, and a rate."""
    state = handed_on(session.inputs.values(), session.outputs)
    found: dict[str, Any] = {"state": state} if state else {}
    if "sr" in session.inputs:
        found["feed"] = {"sr": 16000}
    return found


@dataclass(frozen=True, slots=True)
class _Played:
    """A role that has read a made-up frame: what the model gave for it, how the frame lay in its picture, and the role's input."""

    role: Any
    outputs: dict[str, Array]
    fit: Fit
    size: Size
    input: str


def _played(kind: Any, file: Path, options: dict[str, Any], refusals: list[str]) -> _Played | None:
    """None where the options do not fit, and then why in `refusals`."""
    try:
        role = kind(stage=_Nobody(), name="it", options=kind.Options(**options), folder=file.parent,
                    model=Model(file.stem, file, ""), settings={"cores": 2})  # fmt: skip
        role.setup()
        made = role._made_up()
        if made is None:
            return None
        ready, fit, size = made
        heard = "window" in options or "spectrum" in options
        input = "audio" if heard else "image" if size != (1, 1) else "text" if isinstance(ready, dict) else "vector"
        return _Played(role, role._session.run(role._feeds(ready)), fit, size, input)
    except RoleError as refusal:
        refusals.append(f"{refusal.what}: {refusal.instead}" if refusal.instead else refusal.what)
    except (ValueError, TypeError, IndexError, KeyError):  # not so, whatever it was that did not fit
        pass
    return None


def _reads_it(played: _Played, options: dict[str, Any]) -> bool:
    """Whether a decoder makes sense of what the model gave. The model, which may be large, is not run again."""
    role = played.role
    try:
        role.options = type(role).Options(**options)
        role._outcome = Outcome(role.options, list(played.outputs))
        role._decoder()(role._read_out(played.outputs), played.fit, played.size, Frame(np.zeros((96, 128, 3), np.uint8)))
    except (RoleError, ValueError, TypeError, IndexError, KeyError):
        return False
    return True


def _follows(session: Session, options: Mapping[str, Any]) -> bool:
    """Whether one side of the model's picture follows the frame's shape, as of models that read lines of writing."""
    open_sides = [sum(not isinstance(side, int) or side < 1 for side in entry.shape[1:]) for entry in session.inputs.values()
                  if is_picture(entry.shape)]  # fmt: skip
    return "any" in str(options.get("size", "")) or 1 in open_sides


def _decodes(
    outputs: Mapping[str, Array], size: Size, session: Session, labels: list[str], heard: bool, follows: bool, earlier: bool
) -> Iterator[tuple[str, str]]:
    """Decoders that the outputs look like, the likeliest first, each with why."""
    if not outputs:
        return
    if earlier:
        yield "flow", "two numbers for each place: how far it moved since the picture before, across and down"
    task = TASKS.get(session.metadata.get("task", ""))
    if task:
        yield task, f"it says of itself that it is made to {session.metadata['task']}"
    named = next((name for name in NAMED if name in outputs), None)
    if named and not any("logits" in name for name in outputs):
        yield NAMED[named], f"it calls its answer {named}"
    first = next(iter(outputs.values()))
    if heard:
        yield from _of_sounds(outputs, first, labels)
    elif size == (1, 1):
        yield from _of_rows(outputs, first, labels)
    else:
        yield from _of_pictures(outputs, size, session.metadata, labels, task, follows)


def _of_sounds(outputs: Mapping[str, Array], first: Array, labels: list[str]) -> Iterator[tuple[str, str]]:
    if any(value.size == 1 for value in outputs.values()):
        yield "probability", "one number for each stretch of sound"
    elif first.size in EMBEDDINGS and first.size == max(first.shape) and not labels:
        yield "embedding", f"one row of {first.size} numbers, as models for likeness give"
        yield "classes", f"scores of {first.size} classes"
    elif first.ndim == 3 and first.shape[1] > 1 and first.shape[-1] in EMBEDDINGS and not labels:
        yield "embedding", f"rows of {first.shape[-1]} numbers, one for each moment; pooling says which, or their mean"
    elif first.ndim == 3 and first.shape[1] > 1:
        yield "letters", f"scores of {first.shape[-1]} letters for each moment: {FILE_OF_LETTERS}"
    else:
        yield "classes", f"scores of {first.shape[-1]} classes"


def _of_rows(outputs: Mapping[str, Array], first: Array, labels: list[str]) -> Iterator[tuple[str, str]]:
    if {"start_logits", "end_logits"} <= set(outputs):
        yield "answer", "where an answer begins, and where it ends"
    if first.ndim == 3 and len(labels) == first.shape[-1] and any(label == "O" or label.startswith("B-") for label in labels):
        yield "spans", f"one of {len(labels)} labels for each token: names, and where they stand"
    if first.ndim == 3 and first.shape[-1] >= WORDS_LEAST and "logits" in outputs:
        yield "words", "which word stands at each place: fills in what is left out"
    if first.ndim == 3 and first.shape[1] > 1 and first.shape[-1] in EMBEDDINGS:
        yield "embedding", f"rows of {first.shape[-1]} numbers, one for each place; pooling says which, or their mean"
    if first.size in EMBEDDINGS and first.size == max(first.shape) and not labels:
        yield "embedding", f"one row of {first.size} numbers, as models for likeness give"
    if 1 < first.size == max(first.shape, default=0):
        yield "classes", f"scores of {first.size} classes"
    if first.size == 1:
        yield "probability", "one number"


def _of_pictures(
    outputs: Mapping[str, Array], size: Size, hints: Mapping[str, str], labels: list[str], task: str | None, follows: bool
) -> Iterator[tuple[str, str]]:
    shapes = [value.shape for value in outputs.values()]
    first = next(iter(outputs.values()))
    several = any(shape[1:2] and shape[1] <= PEOPLE_MAX and shape[-1] == 56 for shape in shapes)
    if any(value.size in MEDIAPIPE and value.shape[-1] == value.size for value in outputs.values()) or shapes[0][-2:] == (17, 3) or several:
        yield "keypoints", "points of a face, a hand or a body"
        return
    if not task and skeleton_of(outputs):
        yield "keypoints", "maps of joints and of the limbs between them, of several people"
        return
    if not task and _reads(first, labels, follows):
        lacking = "" if labels else f": {FILE_OF_LETTERS}"
        yield "letters", f"scores of {first.shape[-1]} letters for each place of a line{lacking}"
        return
    # a map of all the picture's places: what else it gives are then its layers, as of U²-Net
    covers = first.ndim >= 3 and first.shape[-2:] == (size[1], size[0])
    family = None if task or covers else _family(outputs, size, labels, hints)
    if family:
        yield "boxes", f"boxes of the family {family}"
        if family == "queries":
            yield "mask", "the classes of all its masks, place by place"
        return
    if not task and first.ndim >= 3 and sorted(first.shape)[-2] >= 8:
        yield from _of_maps(first, size)
    if not task:
        yield from _of_rows(outputs, first, labels)


def _reads(first: Array, labels: list[str], follows: bool) -> bool:
    """(1, places, letters): a line of writing. So is (places, 1, letters), whatever the picture: recurrent networks alone give it."""
    line = first.ndim == 3 and 1 in first.shape[:2] and max(first.shape[:2]) > 1
    known = first.shape[-1] - len(labels) in (0, 1, 2) if labels else follows or first.shape[0] > 1
    return line and first.shape[-1] >= LETTERS_LEAST and known


def _of_maps(first: Array, size: Size) -> Iterator[tuple[str, str]]:
    sides = sorted(first.shape)
    channels = first.size // (sides[-1] * sides[-2])
    if channels == 3:
        yield "image", "a picture as the answer"
    elif channels == 1:
        yield "mask", "one map: how sure it is, place by place"
        yield "depth", "one map: how near, place by place"
        yield "image", "one map: a grey picture"
        yield "boxes", "one map: a box around each region where it is sure"
    elif max(first.shape) * 3 < max(size) and channels in JOINTS:
        yield "keypoints", f"{channels} small maps, as for points"
        yield "mask", f"scores of {channels} classes, place by place"
    else:
        yield "mask", f"scores of {channels} classes, place by place"


def _family(outputs: Mapping[str, Array], size: Size, labels: list[str], hints: Mapping[str, str]) -> str | None:
    if [value.shape[:1] for value in outputs.values() if value.ndim == 2] == [(1,)] * len(outputs):
        return None  # one row: of six or seven classes rather than of one box
    try:
        family = family_of(outputs, size, labels, OnnxOptions(decode="boxes"), hints)
    except RoleError:
        return None
    if family not in EXACT:
        return family
    rows, count = sorted(grids(outputs)[0].shape)
    if count in QUERIES and (rows == 4 + len(labels) or not labels):
        return family
    cells = [size[0] // step * (size[1] // step) for step in (8, 16, 32, 64)]
    whole = {sum(cells[:3]), sum(cells), 3 * sum(cells[:3]), 3 * sum(cells)}
    return family if count in whole else None
