"""The grammar that writes the poet's lessons, and nothing else: the model learns its sentences, the artwork never runs this.

The words are in `grammar/*.txt`, so that a writer can change them without reading Python. This file draws a sentence for
(mood, time, count): a shape, then a fragment for each of its places, with agreement, articles and length seen to. A sentence in
which two fragments share a word of substance is drawn again: repetition is what gives a generator away. Decided against: a corpus
of existing poems (licences, and not one of them knows how many people are in the room).

    python lines.py            prints forty sentences
    python lines.py --all 26000 --seed 3 > corpus.txt
"""

from __future__ import annotations

import argparse
import itertools
import random
import re
from dataclasses import dataclass
from pathlib import Path

MOODS = ("calm", "restless", "tender", "wary", "bright", "solemn", "playful", "longing")
TIMES = ("dawn", "morning", "noon", "dusk", "evening", "night")
COUNTS = ("nobody", "one", "few", "many")
FOLDER = Path(__file__).parent / "grammar"
WORDS_MIN, WORDS_MAX = 8, 22
PRONOUNS = {
    "f": {"their": "her", "them": "her", "they": "she", "itself": "herself"},
    "m": {"their": "his", "them": "him", "they": "he", "itself": "himself"},
    "i": {"their": "its", "them": "it", "they": "it", "itself": "itself"},
    "p": {"their": "their", "them": "them", "they": "they", "itself": "themselves"},
}
IRREGULAR = {"be": ("is", "are", "being"), "have": ("has", "have", "having"), "do": ("does", "do", "doing"), "go": ("goes", "go", "going")}
# fmt: off
DOUBLING = {
    "begin", "drop", "drum", "forget", "fret", "get", "hop", "hum", "let", "level", "put", "quarrel", "rub", "run", "set",
    "sit", "skip", "slip", "spin", "step", "stir", "stop", "swap", "tap", "wag", "win", "wrap",
}
# fmt: on
# fmt: off
SMALL = {
    "a", "about", "across", "after", "all", "along", "an", "and", "are", "around", "as", "at", "be", "been", "before", "behind",
    "beside", "between", "but", "by", "could", "do", "does", "down", "each", "even", "every", "for", "from", "had", "has",
    "have", "he", "her", "here", "him", "his", "i", "if", "in", "into", "is", "it", "its", "like", "more", "most", "my", "no",
    "not", "of", "on", "or", "out", "over", "own", "past", "same", "she", "so", "than", "that", "the", "their", "them", "then",
    "there", "they", "this", "through", "to", "under", "up", "very", "was", "were", "what", "when", "where", "which", "while",
    "who", "with", "would",
}
# fmt: on


@dataclass(frozen=True)
class Grammar:
    """Fragments by section name, and weighted shapes."""

    parts: dict[str, list[str]]
    shapes: list[str]
    weights: list[int]


def prompt(mood: str, time: str, count: str) -> str:
    """The text that the poet is asked with."""
    return f"{mood} {time} {count} |"


def load(folder: Path = FOLDER) -> Grammar:
    """Read every grammar file; `[section]` heads its lines, `#` starts a comment line."""
    parts: dict[str, list[str]] = {}
    shapes: list[str] = []
    weights: list[int] = []
    for path in sorted(folder.glob("*.txt")):
        section = ""
        for line in path.read_text(encoding="utf-8").splitlines():
            if not line or line.startswith("#"):
                continue
            if line.startswith("["):
                section = line.strip("[]")
            elif path.stem == "shapes":
                weight, shape = line.split(" ", 1)
                shapes.append(shape)
                weights.append(int(weight))
            else:
                parts.setdefault(section, []).append(line)
    return Grammar(parts, shapes, weights)


def inflect(verb: str, code: str, participle: bool = False) -> str:
    """`verb` for a subject of `code` (f, m, i singular; p plural), or its -ing form."""
    if verb in IRREGULAR:
        return IRREGULAR[verb][2 if participle else (code == "p")]
    if participle:
        if verb.endswith("ie"):
            return verb[:-2] + "ying"
        stem = verb + verb[-1] if verb in DOUBLING else verb[:-1] if verb.endswith("e") and not verb.endswith(("ee", "oe")) else verb
        return stem + "ing"
    if code == "p":
        return verb
    if verb.endswith(("s", "sh", "ch", "x", "z")):
        return verb + "es"
    return verb[:-1] + "ies" if verb.endswith("y") and verb[-2] not in "aeiou" else verb + "s"


def _choose(rng: random.Random, text: str) -> str:
    while found := re.search(r"\(([^()]*\|[^()]*)\)", text):
        text = text[: found.start()] + rng.choice(found.group(1).split("|")) + text[found.end() :]
    return text


def agree(text: str, code: str, participle: bool = False) -> str:
    """Resolve every <mark> in `text` for a subject of `code`. Within <their need> clauses verbs stay finite."""

    def one(found: re.Match[str]) -> str:
        mark = found.group(1)
        if "|" in mark:
            return mark.split("|")[code == "p"]
        if mark in PRONOUNS[code]:
            return PRONOUNS[code][mark]
        finite = text[: found.start()].endswith("<they> ")
        return inflect(mark, code, participle and not finite)

    return re.sub(r"<([^>]+)>", one, text)


def _subject(rng: random.Random, drawn: str) -> tuple[str, str]:
    code, text = drawn.split("|", 1)
    return (rng.choice("fm") if code == "s" else code), text


def draw(rng: random.Random, grammar: Grammar, mood: str, time: str, count: str) -> str:
    """One sentence: 8 to 22 words, a capital, one full stop. Draws again until no two fragments repeat each other."""
    while True:
        sentence, fragments = _attempt(rng, grammar, mood, time, count)
        words = [set(re.findall(r"[a-z]+", f.lower())) - SMALL for f in fragments]
        repeats = any({w.rstrip("s")[:5] for w in a} & {w.rstrip("s")[:5] for w in b} for a, b in itertools.combinations(words, 2))
        if not repeats and WORDS_MIN <= len(sentence.split()) <= WORDS_MAX:
            return sentence


def _attempt(rng: random.Random, grammar: Grammar, mood: str, time: str, count: str) -> tuple[str, list[str]]:
    parts = grammar.parts

    def pick(section: str) -> str:
        return _choose(rng, rng.choice(parts[section]))

    shape = _choose(rng, rng.choices(grammar.shapes, grammar.weights)[0])
    light, light_is = _subject(rng, pick(f"{time}.light"))[::-1]
    who, who_is = _subject(rng, pick(f"{count}.who"))[::-1]
    deeds = f"{mood}.{'thing' if count == 'nobody' else 'person'}"
    values = {
        "W": pick(f"{time}.when"),
        "S": pick(f"{time}.scene"),
        "L": light,
        "LV": pick(f"{mood}.light"),
        "P": who,
        "PV": pick(deeds),
        "F": pick(f"{count}.fact"),
        "C": pick(f"{count}.with"),
        "K": pick(f"{mood}.coda"),
        "V": pick(f"{mood}.voice"),
        "PL": pick("place"),
        "T": time,
    }
    subject = {"LV": light_is, "PV": who_is}
    used: list[str] = []

    def fill(found: re.Match[str]) -> str:
        name, participle = found.group(1).removesuffix("_ing"), found.group(1).endswith("_ing")
        text = values[name]
        if name in subject:
            text = agree(text, subject[name], participle)
        used.append(text)
        return text

    sentence = re.sub(r"\{(\w+)\}", fill, shape)
    sentence = re.sub(r"\b([Aa]) (?=[aeiouAEIOU])(?!one\b|uni|use|eu)", r"\1n ", sentence)
    return sentence[0].upper() + sentence[1:], used


def combinations() -> list[tuple[str, str, str]]:
    """All 192 tags: (mood, time, count)."""
    return list(itertools.product(MOODS, TIMES, COUNTS))


def corpus(number: int, seed: int) -> list[str]:
    """`number` lessons, evenly over all tags, none twice: `calm dawn few | A sentence.`"""
    rng, grammar, seen = random.Random(seed), load(), set()
    tags = combinations()
    while len(seen) < number:
        mood, time, count = tags[len(seen) % len(tags)]
        lesson = f"{prompt(mood, time, count)} {draw(rng, grammar, mood, time, count)}"
        seen.add(lesson)
    out = sorted(seen)
    rng.shuffle(out)
    return out


def main() -> None:
    """Print sentences to be read by somebody who minds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all", type=int, default=40, metavar="N")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    for lesson in (
        corpus(chosen.all, chosen.seed) if chosen.all > 192 else random.Random(chosen.seed).sample(corpus(960, chosen.seed), chosen.all)
    ):
        print(lesson)


if __name__ == "__main__":
    main()
