"""Judge poet.gguf as a stranger would: is the sentence on its tags, and is it English?

The words (judge.txt) and rules were written apart from the grammar that made the lessons, and training never sees them. A
judge that nods at everything proves nothing, so it is first tried on lessons with the wrong tags and on lessons broken on purpose, and
those figures are printed beside the model's. The model is asked through llama.cpp, as the artwork asks it.

    python check_poet.py --samples 40
"""

from __future__ import annotations

import argparse
import itertools
import random
import re
import time
from pathlib import Path

import lines

STARTERS = ("While ", "Because ", "Since ", "Though ", "Where ", "If ", "Now that ", "With ", "Under ")
QUIETED = re.compile(r"without hurry|needs? to hurry|nothing to hurry|down (his|her|their) hurry|unhurried", re.I)


def _sections() -> dict[str, list[str]]:
    """judge.txt by section: patterns for the tags, words for the rules."""
    out: dict[str, list[str]] = {}
    section = ""
    for line in (Path(__file__).parent / "judge.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            out.setdefault(section, []).extend([line] if "." in section else line.split())
    return out


WORDS = _sections()
TIMES, COUNTS, MOODS = (
    {name.split(".")[1]: "|".join(found) for name, found in WORDS.items() if name.startswith(kind)} for kind in ("time.", "count.", "mood.")
)
VERBS, ONES, SEVERAL = set(WORDS["verbs"]), set(WORDS["singular"]), set(WORDS["plural"])
NO_ENDING, AFTER_NO_DETERMINER, DETERMINERS = set(WORDS["no-ending"]), set(WORDS["no-noun"]), set(WORDS["determiners"])


def third(verb: str) -> str:
    """walk -> walks; the judge's own rule."""
    if verb in ("be", "have"):
        return {"be": "is", "have": "has"}[verb]
    if verb.endswith(("ss", "sh", "ch", "x")):
        return verb + "es"
    return verb[:-1] + "ies" if re.search(r"[^aeiou]y$", verb) else verb + "s"


THIRDS = {third(verb) for verb in VERBS}


def off_tag(sentence: str, mood: str, hour: str, count: str) -> str:
    """Empty if the sentence is of this mood, hour and number and of no other; else what is wrong."""
    plain = QUIETED.sub("calmed", sentence).lower()
    for name, table, wanted in (("time", TIMES, hour), ("count", COUNTS, count)):
        found = {tag for tag, pattern in table.items() if re.search(pattern, plain)}
        if found != {wanted}:
            return f"{name}: {sorted(found) or 'none'} instead of {wanted}"
    scores = {tag: len({m.group(0) for m in re.finditer(pattern, plain)}) for tag, pattern in MOODS.items()}
    if not scores[mood] or scores[mood] < max(scores.values()):
        return f"mood: {max(scores, key=lambda tag: scores[tag]) if any(scores.values()) else 'none'} instead of {mood}"
    return ""


def ungrammatical(sentence: str, known: set[str]) -> str:
    """Empty if nothing is found wrong; else the rule that the sentence breaks."""
    words = re.findall(r"[A-Za-z'-]+", sentence)
    lower = [w.lower() for w in words]
    rules = {
        "capital, one final stop, plain signs": re.fullmatch(r"[A-Z][A-Za-z ,;:'-]*[a-z]\.", sentence),
        "spacing": not re.search(r"  | [,;:.]|[,;:](?! )|[,;:] ?[,;:]", sentence),
        "length": 7 <= len(words) <= 24,
        "doubled word": not re.search(r"\b(\w+) \1\b", sentence, re.I),
        "known words": all(w in known for w in lower),
        "article": not re.search(r"\b[Aa] (?:[aeio]|u(?!ni|se))(?!ne\b)|\b[Aa]n (?![aeiou]|hour|oath)", sentence)
        or bool(re.search(r"\ba one\b", sentence)),
        "a determiner with no noun": not any(a in DETERMINERS - {"her"} and b in AFTER_NO_DETERMINER for a, b in itertools.pairwise(lower)),
        "two prepositions": not re.search(
            r"\b(of|at|on|with|into|for) (of|at|with|by|into|for|and|or|is|are)\b", QUIETED.sub("", sentence)
        ),
        "unfinished": bool(lower) and (lower[-1] not in NO_ENDING or sentence.endswith(" are made of.")),
        "a clause left open": not sentence.startswith(STARTERS) or "," in sentence,
        "no verb": any(w in VERBS or w in THIRDS or w in ("are", "am", "stands", "goes", "cannot", "would") for w in lower),
        "a noun in want": not re.search(r"\b(the|a|an|of|its|their|my) ?[,;:.]", sentence.removesuffix(" are made of.")),
    }
    return next((rule for rule, kept in rules.items() if not kept), "") or _disagreement(lower, sentence)


def _disagreement(lower: list[str], sentence: str) -> str:
    """Subject and verb, pronoun and number, and the form that `finds` asks for."""
    for index, (subject, verb) in enumerate(itertools.pairwise(lower)):
        before = set(lower[max(0, index - 3) : index])
        joined = re.search(rf"\b{subject} {verb}\b", sentence, re.I)
        if not joined or (before & {"with", "how", "finds"} and verb.endswith("ing")):
            continue
        if subject in SEVERAL and verb in THIRDS - {"coats"} and not before & {"couple", "of"} - {"of"}:
            return f"{subject} {verb}"
        if subject in ONES and verb in (VERBS | {"are", "have"}) - {"light", "long", "open", "level", "face", "rest"}:
            return f"{subject} {verb}"
    if re.match(r"(Dawn|Morning|Noon|Dusk|Evening|Night) finds ", sentence) and not re.search(r"ing\b", sentence[14:]):
        return "finds without a participle"
    if re.match(r"(One|A single|A lone|A solitary) ", sentence) and re.search(
        r"\b(their|themselves)\b", re.split(r", (and|as|while) |; ", sentence)[0]
    ):
        if not re.search(r"lamps|windows|bells|portraits|faces|trams|buses", sentence):
            return "one with their"
    return ""


def broken(sentence: str, rng: random.Random) -> str:
    """A lesson spoiled in one of the ways in which small models spoil sentences."""
    words = sentence.split()
    at = rng.randrange(1, len(words) - 1)
    kind = rng.randrange(4)
    if kind == 0:
        words.insert(at, words[at])
    elif kind == 1:
        middle = words[1:-1]
        rng.shuffle(middle)
        words[1:-1] = middle
    elif kind == 2:
        words[-1] = rng.choice(["the", "and", "of", "its"]) + "."
    else:
        flips = {third(v): v for v in VERBS} | {v: third(v) for v in VERBS} | {"is": "are", "are": "is"}
        places = [i for i in range(1, len(words)) if words[i] in flips and words[i - 1].lower() in ONES | SEVERAL]
        if not places:
            return broken(sentence, rng)
        words[places[0]] = flips[words[places[0]]]
    return " ".join(words)


def control(corpus: list[str], known: set[str], number: int = 2000) -> None:
    """Print how the judge does on lessons as they are, under other tags, and broken."""
    rng, tags = random.Random(99), lines.combinations()
    right = wrong = sound = caught = 0
    for lesson in rng.sample(corpus, number):
        head, sentence = lesson.split(" | ")
        own = tuple(head.split())
        other = list(own)
        part = rng.randrange(3)
        other[part] = rng.choice([t[part] for t in tags if t[part] != own[part]])
        right += not off_tag(sentence, *own)
        wrong += not off_tag(sentence, *other)
        sound += not ungrammatical(sentence, known)
        caught += bool(ungrammatical(broken(sentence, rng), known))
    print(
        f"the judge itself, on {number} lessons: accepts {right / number:.1%} under their own tags, "
        f"{wrong / number:.1%} with one tag exchanged; "
        f"finds {sound / number:.1%} sound, and {caught / number:.1%} of them unsound once broken"
    )


def main() -> None:
    """Ask the model over all 192 tags, judge, and print every figure of the card."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=Path(__file__).parent.parent / "models" / "poet.gguf")
    parser.add_argument("--rounds", type=int, default=2, help="prompts for each of the 192 tags")
    parser.add_argument("--samples", type=int, default=15)
    parser.add_argument("--lessons", type=int, default=26000)
    parser.add_argument("--temperature", type=float, default=0.8)
    chosen = parser.parse_args()
    corpus = lines.corpus(chosen.lessons, seed=3)
    known = {w.lower() for lesson in corpus for w in re.findall(r"[A-Za-z'-]+", lesson.split(" | ")[1])}
    control(corpus, known)

    from llama_cpp import Llama

    poet = Llama(str(chosen.model), n_ctx=256, n_threads=1, n_threads_batch=1, verbose=False, seed=5)
    learned, spoken = set(corpus), []
    began, tokens = time.perf_counter(), 0
    for turn in range(chosen.rounds):
        for place, tags in enumerate(lines.combinations()):
            answer = poet.create_completion(" ".join(tags) + " | ", max_tokens=72, temperature=chosen.temperature, seed=1000 * turn + place)
            spoken.append((tags, answer["choices"][0]["text"].strip()))
            tokens += answer["usage"]["completion_tokens"]
    took = time.perf_counter() - began
    faults = [(tags, text, off_tag(text, *tags), ungrammatical(text, known)) for tags, text in spoken]
    fresh = sum(f"{' '.join(tags)} | {text}" not in learned for tags, text in spoken)
    n = len(spoken)
    tagged, sound = (sum(not fault[i] for fault in faults) / n for i in (2, 3))
    print(f"{n} prompts at temperature {chosen.temperature}: on tag {tagged:.1%}, grammatical {sound:.1%}, not verbatim {fresh / n:.1%}")
    print(f"different {len({t for _, t in spoken}) / n:.1%}, {tokens / took:.0f} tokens/s on one thread, whole calls")
    for tags, text, tag_fault, fault in faults:
        if tag_fault or fault:
            print("  fault:", " ".join(tags), "|", text, "--", tag_fault or fault)
    twice = [
        [poet.create_completion(" ".join(t) + " | ", max_tokens=72, temperature=0)["choices"][0]["text"] for t in lines.combinations()[::6]]
        for _ in range(2)
    ]
    print(f"temperature 0, asked twice: {sum(a == b for a, b in zip(*twice, strict=True))} of {len(twice[0])} identical")
    for tags, text in random.Random(4).sample(spoken, min(chosen.samples, n)):
        print(f"{' '.join(tags):28s}| {text}")


if __name__ == "__main__":
    main()
