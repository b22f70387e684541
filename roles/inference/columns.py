"""Detectors of no known family: option `columns` says what each number of a row is, and that is enough.

    columns: cx cy w h score classes              a YOLOv5; `classes` is as many as are left over, classes:80 would be eighty
    columns: "- x0 y0 x1 y1 label score"          a number that says nothing, corners, the class's number, how sure it is
    columns: y0 x0 h w score 17*(y x s)           a box by its corner and its sides, and seventeen points with a score each
    columns: {boxes: x0 y0 x1 y1, probs: classes, marks: 5*(x y)}     of several outputs that have a row for each thing

x0 y0 is the corner at the top left, x1 y1 the other, cx cy the middle, w h the sides (side: both); x y s a point and how sure it is;
`angle` in radians, clockwise, or `degrees`; weights:32 those of masks' prototypes. Several `score` are multiplied. Rows may lie along
either side. An export that names its output after its columns (batchno_classid_score_x1y1x2y2) is believed. Decided against: an
expression language; what needs arithmetic beyond this is a function of ten lines.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import numpy as np

from mesh.errors import RoleError
from roles.inference.candidates import Candidates, likely, sigmoid
from roles.inference.intake import Array, Size

SIDES = {"x": ("x0", "x1", "cx", "w"), "y": ("y0", "y1", "cy", "h")}
MANY = ("classes", "weights", "-")  # may be as wide as is said after a colon, or, once, as what is left over
WORDS = (*SIDES["x"], *SIDES["y"], "side", "x", "y", "s", "score", "label", "angle", "degrees", *MANY)
REPEATED = re.compile(r"(\d{1,4})\s*\*\s*\(([^()]*)\)")
Numbers = dict[str, list[Array]]
IN_NAMES = {  # parts of names such as batchno_classid_score_x1y1x2y2, by which some exports say what their columns are
    "batchno": "-", "batch": "-", "batchid": "-", "classid": "label", "class": "label", "label": "label", "score": "score", "conf": "score",
    "x1y1x2y2": "x0 y0 x1 y1", "xyxy": "x0 y0 x1 y1", "y1x1y2x2": "y0 x0 y1 x1", "cxcywh": "cx cy w h", "xywh": "x0 y0 w h",
}  # fmt: skip


def read_columns(outputs: Mapping[str, Array], size: Size, options: Any) -> Candidates:
    """The proposals, in the model's pixels or in 0..1 of its picture. RoleError that says which number is missing or strange."""
    said = options.columns or told_by_names(outputs)
    parts: Numbers = {}
    count: int | None = None
    for name, text in (said.items() if isinstance(said, Mapping) else [("", said)]):
        words = parsed(text)
        rows = _rows(outputs, name, words, text)
        if count not in (None, len(rows)):
            raise _wrong(f"{name} has {len(rows)} rows, another output {count}", "name outputs that have a row for each thing")
        count = len(rows)
        _share_out(parts, rows, words)
    return _candidates(parts, count or 0, options)


def told_by_names(outputs: Mapping[str, Array]) -> dict[str, str]:
    """{an output: its columns} of an export that names its output after them; empty where none does."""
    for name, value in outputs.items():
        words = [IN_NAMES.get(part, "?") for part in name.lower().split("_")]
        text = " ".join(words)
        whole = "?" not in text and "score" in words and {"y0", "cy"} & set(text.split())
        if whole and value.ndim in (2, 3) and value.shape[-1] == len(text.split()):
            return {name: text}
    return {}


def parsed(text: str) -> list[tuple[str, int | None]]:
    """The words with their widths; None for the one that takes what is left over."""
    text = REPEATED.sub(lambda match: " ".join([match[2]] * int(match[1])), text)
    found: list[tuple[str, int | None]] = []
    for word in text.replace(",", " ").split():
        name, _, wide = word.partition(":")
        if name not in WORDS or (wide and (not wide.isdigit() or name not in MANY)):
            near = get_close_matches(name, WORDS, 1)
            raise _wrong(f"{word!r} is no column", f"did you mean {near[0]!r}?" if near else f"write {', '.join(WORDS)}, or 17*(x y s)")
        found.append((name, int(wide) if wide else 1 if name not in MANY or name == "-" else None))
    if sum(wide is None for _, wide in found) > 1:
        raise _wrong(f"two columns of {text!r} would take what is left over", "say how wide one of them is, such as classes:80")
    if not found:
        raise _wrong("no column is named", "write what each number of a row is, such as cx cy w h score classes")
    return found


def _rows(outputs: Mapping[str, Array], name: str, words: list[tuple[str, int | None]], text: str) -> Array:
    """(n, as wide as the words), float64: of the output named, else of the first that fits."""
    listed = list(outputs)
    own = listed[int(name)] if name.isdigit() and name not in outputs and int(name) < len(listed) else name
    if own and own not in outputs:
        raise _wrong(f"the model has no output {name!r}", f"name one of {', '.join(outputs)}")
    least, exact = sum(wide or 1 for _, wide in words), all(wide is not None for _, wide in words)
    for value in [outputs[own]] if own else outputs.values():
        flat = np.squeeze(value) if value.ndim > 2 and value.shape[0] == 1 else value
        flat = flat[:, None] if flat.ndim == 1 and least == 1 else flat
        sides = [side for side in (flat.shape if flat.ndim == 2 else ()) if (side == least if exact else side >= least)]
        if sides and flat.ndim == 2:
            across = flat.shape[1] == min(sides) or flat.shape[0] not in sides
            return np.asarray(flat if across else flat.T, np.float64)
        if exact and value.ndim >= 2 and value.shape[-1] == least:
            return np.asarray(value.reshape(-1, least), np.float64)
    given = ", ".join(f"{each} {list(value.shape)}" for each, value in outputs.items() if own in ("", each))
    raise _wrong(f"{text!r} are {least} numbers{'' if exact else ' or more'} a row, the model gives {given}", "name each of its numbers")


def _share_out(parts: Numbers, rows: Array, words: list[tuple[str, int | None]]) -> None:
    """Each word's numbers: (n,) or (n, as wide as it is)."""
    rest = rows.shape[1] - sum(wide or 0 for _, wide in words)
    at = 0
    for word, told in words:
        wide = rest if told is None else told
        parts.setdefault(word, []).append(rows[:, at : at + wide] if word in ("classes", "weights") else rows[:, at])
        at += wide


def _candidates(parts: Numbers, count: int, options: Any) -> Candidates:
    points = None
    if "x" in parts or "y" in parts:
        if len(parts.get("x", [])) != len(parts.get("y", [])):
            raise _wrong(f"{len(parts.get('x', []))} x and {len(parts.get('y', []))} y are no points", "name an x and a y for each")
        points = np.stack([np.stack(parts["x"], axis=1), np.stack(parts["y"], axis=1)], axis=2)
    sure = np.stack(parts["s"], axis=1) if "s" in parts else None
    if sure is not None and (points is None or sure.shape[1] != points.shape[1]):
        raise _wrong("there are not as many s as points", "name an s for each x y, or none")
    if points is not None and not any(word in parts for word in (*SIDES["x"], *SIDES["y"])):
        boxes = np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1)
    else:
        across, down = (_ends(parts, *words) for words in SIDES.values())
        boxes = np.stack([across[0], down[0], across[1], down[1]], axis=1)
    scores, kinds = _scored(parts, count, options)
    angles = parts["angle"][0] if "angle" in parts else np.deg2rad(parts["degrees"][0]) if "degrees" in parts else None
    return Candidates(
        boxes, scores, kinds, points, angles=angles, shapes=parts["weights"][0] if "weights" in parts else None,
        sure=sigmoid(sure) if sure is not None and _beyond(sure) else sure,
    )  # fmt: skip


def _ends(parts: Numbers, low: str, high: str, middle: str, wide: str) -> tuple[Array, Array]:
    """Where boxes begin and end along one direction."""
    have = {word: parts[word][0] for word in (low, high, middle, wide) if word in parts}
    if "side" in parts:
        have.setdefault(wide, parts["side"][0])
    if {low, high} <= set(have):
        return have[low], have[high]
    if {middle, wide} <= set(have):
        return have[middle] - have[wide] / 2, have[middle] + have[wide] / 2
    if {low, wide} <= set(have):
        return have[low], have[low] + have[wide]
    raise _wrong(
        f"{', '.join(have) or 'nothing'} does not say where a box begins and ends",
        f"name {low} and {high}, or {middle} and {wide}, or {low} and {wide}",
    )


def _scored(parts: Numbers, count: int, options: Any) -> tuple[Array, Array]:
    """How sure each is, and what it is."""
    if "score" not in parts and "classes" not in parts:
        raise _wrong("no column says how sure the model is", "name score, or classes")
    scores, kinds = np.ones(count), np.zeros(count, int)
    for each in parts.get("score", []):
        scores = scores * (sigmoid(each) if options.activation in ("auto", "sigmoid", "softmax") and _beyond(each) else each)
    if "classes" in parts:
        said = likely(np.concatenate(parts["classes"], axis=1), options.activation)
        said = said[:, 1:] if options.background == "first" else said[:, :-1] if options.background == "last" else said
        if not said.shape[1]:
            raise _wrong("no number is left over for the classes", "leave classes out, or say how wide they are")
        kinds, scores = said.argmax(axis=1), scores * said.max(axis=1)
    if "label" in parts:
        kinds = np.rint(parts["label"][0]).astype(int)
    return scores, kinds


def _beyond(values: Array) -> bool:
    """Whether these are no probabilities yet."""
    return bool(values.size) and (float(values.min()) < 0 or float(values.max()) > 1)


def _wrong(what: str, instead: str) -> RoleError:
    return RoleError(what, where="option columns", instead=instead)
