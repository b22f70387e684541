"""Proves the checkers: every guard of the deciding modules is negated or taken away, one at a time, and somebody must notice.

    python -m tests.sim.guards                     all of them
    python -m tests.sim.guards --only claims cast  those of some modules
    python -m tests.sim.guards --list              what would be tried
    python -m tests.sim.guards --journal FILE --minutes 7   go on where the journal ends, for so long (exit code 3: not done yet)

A guard is the condition of an `if`, of a conditional expression or of a comprehension, and each half of an `and` or `or`
within one. Each mutant lives in a process of its own and never on disk: a fork of this one, in which the functions of
the module get their changed code (`mutants.py`), so that nothing is imported again. First the module's own tests are run, then seeds,
then stories; the first that fails has caught it. What has been tried so far is kept in tests/sim/guards.jsonl (give it as
--journal). Results go to tests/sim/guards.json, survivors with the reason that `survivors.py` gives for them.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from tests.sim.mutants import Guard, change, guards
from tests.sim.survivors import REASONS

ROOT = Path(__file__).resolve().parent.parent.parent
RESULTS = Path(__file__).with_name("guards.json")
SEEDS = 12
CPU_MAX_S = 180
NOT_DONE = 3
STORIES = tuple(sorted(path.name for path in (ROOT / "tests/sim").glob("test_stories*.py")))
PLACEMENT = ("test_placement.py", "test_placement_standby.py", "test_placement_search.py")
# module -> the tests that are most likely to notice, tried first
MODULES: dict[str, tuple[str, ...]] = {
    "claims": ("test_claims.py", "test_cast.py"),
    "cast": ("test_cast.py",),
    "detector": ("test_detector.py", "test_membership.py"),
    "members": ("test_membership.py", "test_judging.py"),
    "membership": ("test_membership.py", "test_contacts.py"),
    "judging": ("test_judging.py",),
    "contacts": ("test_contacts.py",),
    "peers": ("test_peers.py", "test_contacts.py"),
    "sides": ("test_sides.py",),
    "standing": ("test_node.py",),
    "boot": ("test_boot.py",),
    "flapping": ("test_flapping.py",),
    "placement": PLACEMENT, "placement_parts": PLACEMENT, "placement_repair": PLACEMENT, "placement_room": PLACEMENT,
    "placement_search": PLACEMENT, "placement_seats": PLACEMENT, "standby": PLACEMENT,
}
OPTIONS = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "--no-header", "--timeout=60"]
NOTICED = {11: "its tests", 12: "a seed", 13: "a story", -signal.SIGXCPU: "time stood still"}


def _prepare(modules: Sequence[str]) -> None:
    """Import everything that a mutant will need, once. Hypothesis draws the same each time, and does not shrink what it finds."""
    os.environ["CI"] = "1"
    import pytest
    from hypothesis import HealthCheck, Phase, settings

    settings.register_profile(
        "guards", phases=[Phase.explicit, Phase.generate], derandomize=True, database=None, deadline=None,
        suppress_health_check=list(HealthCheck), report_multiple_bugs=False,
    )
    settings.load_profile("guards")
    files = {str(ROOT / "tests/core" / name) for module in modules for name in MODULES[module]}
    with contextlib.redirect_stdout(io.StringIO()):
        if pytest.main([*OPTIONS, "--collect-only", *sorted(files), *(str(ROOT / "tests/sim" / name) for name in STORIES)]) != 0:
            raise SystemExit("the tests cannot be collected: run pytest first")
    import tests.sim.trial  # noqa: F401

    gc.freeze()
    gc.disable()


def _notice(guard: Guard, quick: bool) -> int:
    """In the mutant's own process: 0 when nobody noticed, else what noticed it (see `NOTICED`)."""
    import pytest

    from tests.sim.trial import try_seed

    change(guard)
    if pytest.main([*OPTIONS, *(str(ROOT / "tests/core" / name) for name in MODULES[guard.module])]) != 0:
        return 11
    if quick:
        return 0
    try:
        for seed in range(SEEDS):
            if try_seed(seed).broken:
                return 12
    except Exception:  # a mutant may fail in any way there is; each means that it was noticed
        return 12
    return 13 if pytest.main([*OPTIONS, *(str(ROOT / "tests/sim" / name) for name in STORIES)]) != 0 else 0


def _judge(guard: Guard, quick: bool) -> str:
    """Who noticed; "" for a survivor."""
    pid = os.fork()
    if pid == 0:
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_MAX_S, CPU_MAX_S + 1))
        code = 12
        try:
            code = _notice(guard, quick)
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return NOTICED.get(code, "it could not even run") if code else ""


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 when nine of ten were caught, 3 when there was not the time to try all."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.guards", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", nargs="*", default=[], metavar="MODULE", choices=sorted(MODULES))
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--journal", type=Path, help="a file of what has been tried; what is in it is not tried again")
    parser.add_argument("--quick", action="store_true", help="only the modules' own tests; what they miss is not written down")
    parser.add_argument("--minutes", type=float, default=float("inf"))
    wanted = parser.parse_args(arguments)
    console = Console(soft_wrap=True)
    modules = wanted.only or list(MODULES)
    chosen = [guard for module in MODULES if module in modules for guard in guards(module)]
    if wanted.list:
        for guard in chosen:
            console.print(f"{guard.module}.py:{guard.line} {guard.words}", highlight=False, markup=False)
        return 0
    return _campaign(chosen, modules, console, wanted.journal, wanted.minutes, wanted.quick)


def _campaign(
    chosen: list[Guard], modules: Sequence[str], console: Console, journal: Path | None, minutes: float, quick: bool,
) -> int:
    known = dict(_read(journal)) if journal is not None else {}
    began_s = time.monotonic()
    left = [guard for guard in chosen if guard.words not in known]
    if left:
        _prepare(modules)
    for number, guard in enumerate(left):
        if time.monotonic() - began_s > minutes * 60:
            console.print(f"{len(left) - number} of {len(chosen)} guards are left to try", highlight=False)
            return NOT_DONE
        by = known[guard.words] = _judge(guard, quick)
        if journal is not None and (by or not quick):
            with journal.open("a", encoding="utf-8") as file:
                file.write(json.dumps([guard.words, by]) + "\n")
        if not by and not quick:
            console.print(f"survived: {guard.module}.py:{guard.line} {guard.words}", highlight=False, markup=False)
    if quick:
        console.print(f"{sum(1 for by in known.values() if by)} caught, {sum(1 for by in known.values() if not by)} to try in full")
        return 0
    return _tell(chosen, known, console, (time.monotonic() - began_s) / 60)


def _read(journal: Path) -> Iterator[tuple[str, str]]:
    if journal.exists():
        for line in journal.read_text(encoding="utf-8").splitlines():
            words, by = json.loads(line)
            yield words, by


def _tell(chosen: list[Guard], found: dict[str, str], console: Console, minutes: float) -> int:
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    for module in {guard.module for guard in chosen}:
        kept[module] = _summary({guard.words: found[guard.words] for guard in chosen if guard.module == module})
    RESULTS.write_text(json.dumps(dict(sorted(kept.items())), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    caught = sum(1 for guard in chosen if found[guard.words])
    share = caught / max(1, len(chosen))
    survived = len(chosen) - caught
    console.print(f"{len(chosen)} guards changed, {caught} caught ({share:.1%}), {survived} survived, in {minutes:.0f} minutes")
    return 0 if share >= 0.9 else 1


def _summary(rows: dict[str, str]) -> dict[str, object]:
    by: dict[str, int] = {}
    for who in rows.values():
        if who:
            by[who] = by.get(who, 0) + 1
    survivors = {words: REASONS.get(words, "no reason is known") for words, who in rows.items() if not who}
    return {"tried": len(rows), "caught": len(rows) - len(survivors), "by": dict(sorted(by.items())), "survived": survivors}


if __name__ == "__main__":
    sys.exit(main())
