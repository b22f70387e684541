"""Proves the checkers: every guard of the deciding modules is negated or taken away, one at a time, and somebody must notice.

    python -m tests.sim.guards                     all of them
    python -m tests.sim.guards --only claims cast  those of some modules
    python -m tests.sim.guards --list              what would be tried
    python -m tests.sim.guards --journal FILE --minutes 7   go on where the journal ends, for so long (exit code 3: not done yet)

A guard is the condition of an `if`, of a conditional expression or of a comprehension, and each half of an `and` or `or`
within one. `mutants.py` changes them, `noticing.py` finds who notices. What has been tried so far is kept in tests/sim/guards.jsonl
(give it as --journal), each with the mark of its function: a verdict lapses when the function changes. Results go to
tests/sim/guards.json, survivors with the reason that `survivors.py` gives for them.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from tests.sim.mutants import Guard, guards
from tests.sim.noticing import MODULES, NOBODY, judge, prepare
from tests.sim.survivors import REASONS

RESULTS = Path(__file__).with_name("guards.json")
NOT_DONE = 3


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 when nine of ten were caught, 3 when there was not the time to try all."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.guards", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", nargs="*", default=[], metavar="MODULE", choices=sorted(MODULES))
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--journal", type=Path, help="a file of what has been tried; what is in it is not tried again")
    parser.add_argument("--again", action="store_true", help="try once more what has survived")
    parser.add_argument("--quick", action="store_true", help="only the modules' own tests; what they miss is not written down")
    parser.add_argument("--minutes", type=float, default=float("inf"))
    wanted = parser.parse_args(arguments)
    console = Console(soft_wrap=True)
    modules = wanted.only or list(MODULES)
    chosen = [guard for module in modules for guard in guards(module)]
    if wanted.list:
        for guard in chosen:
            console.print(f"{guard.module}.py:{guard.line} {guard.words}", highlight=False, markup=False)
        return 0
    known = _read(wanted.journal, chosen, wanted.again) if wanted.journal is not None else {}
    began_s = time.monotonic()
    _try_all([guard for guard in chosen if guard.words not in known], known, wanted, console, began_s + wanted.minutes * 60)
    if wanted.quick:
        console.print(f"{sum(1 for by in known.values() if by)} caught, {sum(1 for by in known.values() if not by)} to try in full")
        return 0
    return _tell(chosen, known, console, (time.monotonic() - began_s) / 60)


def _try_all(left: Sequence[Guard], known: dict[str, str], wanted: argparse.Namespace, console: Console, until_s: float) -> None:
    """Try what is left, as far as there is time."""
    reach = prepare(sorted({guard.module for guard in left}), wanted.quick) if left and time.monotonic() < until_s else NOBODY
    for guard in left:
        if time.monotonic() > until_s:
            return
        by = known[guard.words] = judge(guard, reach, wanted.quick)
        if wanted.journal is not None and (by or not wanted.quick):
            with wanted.journal.open("a", encoding="utf-8") as file:
                file.write(json.dumps([guard.words, by, guard.mark]) + "\n")
        if not by:
            how = "missed" if wanted.quick else "survived"
            where = "" if reach.anything(guard) else " (nothing comes to where it decides)"
            console.print(f"{how}: {guard.module}.py:{guard.line} {guard.words}{where}", highlight=False, markup=False)


def _read(journal: Path, chosen: Sequence[Guard], again: bool) -> dict[str, str]:
    """The verdicts that still count; without those of survivors, when these are to be tried again."""
    found: dict[str, str] = {}
    marks = {guard.words: guard.mark for guard in chosen}
    for line in journal.read_text(encoding="utf-8").splitlines() if journal.exists() else ():
        words, by, mark = json.loads(line)
        if marks.get(words) == mark:
            found[words] = by
    return {words: by for words, by in found.items() if by or not again}


def _tell(chosen: list[Guard], found: dict[str, str], console: Console, minutes: float) -> int:
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    for module in {guard.module for guard in chosen}:
        kept[module] = _summary([found.get(guard.words) for guard in chosen if guard.module == module])
        kept[module]["survived"] = {
            guard.words: REASONS.get(guard.words, "no reason is known")
            for guard in chosen if guard.module == module and found.get(guard.words) == ""
        }
    RESULTS.write_text(json.dumps(dict(sorted(kept.items())), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    tried = [found[guard.words] for guard in chosen if guard.words in found]
    caught = sum(1 for by in tried if by)
    console.print(f"{len(tried)} of {len(chosen)} guards have a verdict: {caught} caught, {len(tried) - caught} survived")
    if len(tried) < len(chosen):
        console.print("what --quick missed has none, so that this tells no share")
        return NOT_DONE
    console.print(f"{caught / len(chosen):.1%} caught, in {minutes:.0f} minutes")
    return 0 if caught >= 0.9 * len(chosen) else 1


def _summary(verdicts: Sequence[str | None]) -> dict[str, object]:
    """None is a guard that has not been tried."""
    caught = sorted(by for by in verdicts if by)
    return {
        "guards": len(verdicts), "tried": sum(1 for by in verdicts if by is not None), "caught": len(caught),
        "by": {by: caught.count(by) for by in dict.fromkeys(caught)},
    }


if __name__ == "__main__":
    sys.exit(main())
