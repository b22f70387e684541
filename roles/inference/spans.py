"""Places in a text: names of people and towns (token classification), the answer to a question, a word that is left out.

The model says something of each token; here that becomes stretches of the text that was read, by the library's account of which letters a
token stands for. The rules are those of transformers' pipelines, so that a model does here what its page shows: neighbours of one kind
are one name unless the second begins one (B-), and a word may be made of one mind by option `grouping`. A text that was read in windows is
put together again; of two names that overlap the longer stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mesh.errors import RoleError
from roles.inference.candidates import softmax
from roles.inference.intake import Array
from roles.inference.reading import Reader

OF_TEXTS = ("spans", "answer", "words")  # decoders that are read here
ANSWER_MAX = 15  # tokens, as the pipelines have it
WORDS = 5  # that are told of each place


class Spans:
    """Decoders `spans`, `answer` and `words` of one role: each takes the model's outputs, after `reader` has read."""

    def __init__(self, options: Any, labels: list[str], reader: Reader | None) -> None:
        """RoleError where the model reads no texts."""
        if reader is None or reader.tokenizer is None:
            raise RoleError(
                f"decode {options.decode} is for models that read texts, by a tokenizer", where="option decode",
                instead="put the model's tokenizer.json beside it, or name it in option tokenizer",
            )  # fmt: skip
        self._options, self._labels, self._reader = options, labels, reader
        self._in_parts = bool(getattr(reader.tokenizer.model, "continuing_subword_prefix", None))

    def __call__(self, outputs: Mapping[str, Array], text: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """(event, what goes out on other streams) of a text as it was given to the reader."""
        event = {"spans": self._spans, "answer": self._answer, "words": self._words}[self._options.decode](outputs, text)
        said = "\n".join(span["text"] for span in event["spans"]) if "spans" in event else event["text"]
        return event, {"text": said} if said and event.get("words", True) else {}

    # ---- spans

    def _spans(self, outputs: Mapping[str, Array], text: str) -> dict[str, Any]:
        """{"spans": [{"label", "score", "text", "start", "end"}]} in the order of the text."""
        scores = self._of_tokens(outputs)
        found: list[dict[str, Any]] = []
        for row, read in zip(scores, self._reader.read, strict=False):
            found += self._grouped(self._pieces(softmax(row), read, text))
        found = [each for each in found if each["label"] != "O"]
        found = _apart(found) if len(self._reader.read) > 1 else found
        for each in found:
            each |= {"score": round(float(each["score"]), 4), "text": text[each["start"] : each["end"]].strip()}
        return {"spans": found}

    def _of_tokens(self, outputs: Mapping[str, Array]) -> Array:
        wanted = self._options.scores
        name = wanted or next((name for name, value in outputs.items() if value.ndim == 3 and value.shape[-1] == len(self._labels)), "")
        if name not in outputs or outputs[name].ndim != 3:
            raise _unread(outputs, f"of {len(self._labels)} labels none of the model's outputs tells for each token")
        return outputs[name].astype(np.float64)

    def _pieces(self, scores: Array, read: Any, text: str) -> list[dict[str, Any]]:
        """Each token that is part of the text: its likelihoods, its place, and whether it goes on with a word."""
        found = []
        for at, (start, end) in enumerate(read.offsets[: len(scores)]):
            if read.special_tokens_mask[at]:
                continue
            if self._in_parts:
                inner = len(read.tokens[at]) != end - start
            else:
                inner = start > 0 and " " not in text[start - 1 : start + 1]
            if read.ids[at] == self._reader.unknown:
                inner = False
            found.append({"likely": scores[at], "start": start, "end": end, "inner": inner})
        return found

    def _grouped(self, pieces: list[dict[str, Any]]) -> list[dict[str, Any]]:
        how = self._options.grouping
        words: list[list[dict[str, Any]]] = []
        for piece in pieces:
            if words and piece["inner"] and how in ("first", "average", "max"):
                words[-1].append(piece)
            else:
                words.append([piece])
        told = [self._told(word, how) for word in words]
        return told if how == "none" else _joined(told)

    def _told(self, word: list[dict[str, Any]], how: str) -> dict[str, Any]:
        """A word (or a token) as what it most likely is."""
        likely = word[0]["likely"]
        if how == "max":
            likely = max((piece["likely"] for piece in word), key=lambda each: float(each.max()))
        elif how == "average":
            likely = np.mean([piece["likely"] for piece in word], axis=0)
        kind = int(likely.argmax())
        label = self._labels[kind] if kind < len(self._labels) else str(kind)
        return {"label": label, "score": float(likely[kind]), "start": word[0]["start"], "end": word[-1]["end"]}

    # ---- answer

    def _answer(self, outputs: Mapping[str, Array], text: str) -> dict[str, Any]:
        """{"text", "score", "start", "end", "nothing"}: the likeliest stretch of the second text of the pair; "nothing" is how likely it is
        that there is none, of models that were taught to say so."""
        given = {name: value for name, value in outputs.items() if value.ndim == 2}
        begin = next((value for name, value in given.items() if "start" in name.lower()), None)
        end = next((value for name, value in given.items() if "end" in name.lower()), None)
        if (begin is None or end is None) and len(given) == 2:
            begin, end = given.values()
        if begin is None or end is None:
            raise _unread(outputs, "the model does not say where an answer begins and ends")
        text = self._options.second if self._options.first is None else text
        found: dict[str, Any]
        found, nothing = {"text": "", "score": 0.0, "start": 0, "end": 0}, 1.0
        for first, last, read in zip(begin, end, self._reader.read, strict=False):
            best, none = _stretch(first.astype(np.float64), last.astype(np.float64), read)
            nothing = min(nothing, none)
            if best["score"] > found["score"]:
                found = best
        if found["end"]:
            found["start"], found["end"] = _whole_words(self._reader.uncut(text), found["start"], found["end"])
        found["text"] = text[found["start"] : found["end"]].strip()
        return {**found, "score": round(float(found["score"]), 4), "nothing": round(nothing, 4)}

    # ---- words

    def _words(self, outputs: Mapping[str, Array], text: str) -> dict[str, Any]:
        """{"text", "words": [[{"word", "score"}, …], …]}: for each word that is left out the likeliest, and the text with them in it."""
        name = self._options.scores or next((name for name, value in outputs.items() if value.ndim == 3), "")
        if name not in outputs or outputs[name].ndim != 3:
            raise _unread(outputs, "the model does not say which word stands at each place")
        tokenizer, hole = self._reader.tokenizer, self._reader.hole
        found, filled, behind = [], "", 0
        for read, rows in zip(self._reader.read[:1], outputs[name], strict=False):
            for at, number in enumerate(read.ids[: len(rows)]):
                if number != hole:
                    continue
                likely = softmax(rows[at].astype(np.float64))
                best = np.argsort(-likely, kind="stable")[:WORDS]
                found.append([{"word": tokenizer.decode([int(each)]).strip(), "score": round(float(likely[each]), 4)} for each in best])
                start, end = read.offsets[at]
                filled, behind = filled + text[behind:start] + found[-1][0]["word"], end
        filled += text[behind:]
        return {"text": filled, "words": found}


def _joined(words: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Neighbours of one kind as one, unless the second begins a name."""
    groups: list[list[dict[str, Any]]] = []
    for word in words:
        begins, kind = word["label"].startswith("B-"), _kind(word["label"])
        if groups and not begins and _kind(groups[-1][-1]["label"]) == kind:
            groups[-1].append(word)
        else:
            groups.append([word])
    return [
        {"label": group[0]["label"].split("-", 1)[-1], "score": float(np.mean([word["score"] for word in group])),
         "start": group[0]["start"], "end": group[-1]["end"]}
        for group in groups
    ]  # fmt: skip


def _kind(label: str) -> str:
    return label[2:] if label.startswith(("B-", "I-")) else label


def _apart(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of names that overlap, seen in two windows, the longer, or the surer."""
    kept: list[dict[str, Any]] = []
    for each in sorted(found, key=lambda span: int(span["start"])):
        before = kept[-1] if kept else None
        if before is None or not before["start"] <= each["start"] < before["end"]:
            kept.append(each)
        elif (each["end"] - each["start"], each["score"]) > (before["end"] - before["start"], before["score"]):
            kept[-1] = each
    return kept


def _stretch(first: Array, last: Array, read: Any) -> tuple[dict[str, Any], float]:
    """The likeliest answer in one window, and how likely it is that there is none."""
    count = min(len(first), len(read.ids))
    first, last = first[:count], last[:count]
    inside = np.array([read.sequence_ids[at] == 1 for at in range(count)])
    nothing = float(softmax(first)[0] * softmax(last)[0])
    if not inside.any():
        return {"score": 0.0, "start": 0, "end": 0}, nothing
    first, last = (softmax(np.where(inside, each, -10000.0)) for each in (first, last))
    both = np.triu(first[:, None] * last[None, :])
    both = np.tril(both, ANSWER_MAX - 1)
    begin, end = (int(at) for at in np.unravel_index(int(both.argmax()), both.shape))
    return {"score": float(both[begin, end]), "start": read.offsets[begin][0], "end": read.offsets[end][1]}, nothing


def _whole_words(read: Any, start: int, end: int) -> tuple[int, int]:
    """The same stretch with all letters of its first and its last word, whatever a window has cut off."""
    first, last = read.char_to_word(start), read.char_to_word(max(start, end - 1))
    before = read.word_to_chars(first) if first is not None else None
    after = read.word_to_chars(last) if last is not None else None
    return min(start, before[0]) if before else start, max(end, after[1]) if after else end


def _unread(outputs: Mapping[str, Array], what: str) -> RoleError:
    given = ", ".join(f"{name} {list(value.shape)}" for name, value in outputs.items())
    return RoleError(f"{what}; it gives {given}", where="option decode", instead="name the output in option scores, or set another decode")
