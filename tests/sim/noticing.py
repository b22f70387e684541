"""Who notices a changed guard: the module's own tests first, then seeds, then stories; the first that fails has caught it.

Each mutant lives in a process of its own and never on disk: a fork of this one, in which everything is loaded, whose
module gets the changed code (`mutants.py`). Before the first, one more fork runs every test, seed and story once, unchanged
but watched, and so finds during which of them each guard decides anything at all: the others would run exactly as they always
do, and are left out. Processor time is what bounds a mutant, never the clock, so that a busy machine, or one that is stopped
meanwhile, gives the same verdicts.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.sim.mutants import Guard, change, watch

ROOT = Path(__file__).resolve().parent.parent.parent
SEEDS = 12
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
OPTIONS = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "--no-header", "--timeout=0"]
# Processor time that each sort of test may take, about five times what it takes when nothing is changed.
TESTS_MAX_S, SEEDS_MAX_S, STORIES_MAX_S = 30, 15, 110
BY_TESTS, BY_SEED, BY_STORY = 11, 12, 13
NOTICED = {BY_TESTS: "its tests", BY_SEED: "a seed", BY_STORY: "a story", -signal.SIGXCPU: "time stood still"}


@dataclass(frozen=True, slots=True)
class Reach:
    """During what each guard decides anything. Guards are (module, number); tests are pytest's ids."""

    by_test: dict[str, frozenset[tuple[str, int]]]
    by_seed: dict[int, frozenset[tuple[str, int]]]

    def tests(self, guard: Guard, files: Iterable[str]) -> list[str]:
        """The tests of these files that could notice, in the order in which they ran."""
        return [test for test in self._all_tests(guard) if Path(test.split("::")[0]).name in files]

    def seeds(self, guard: Guard) -> list[int]:
        """The seeds that could notice."""
        return [seed for seed, found in self.by_seed.items() if (guard.module, guard.number) in found]

    def anything(self, guard: Guard) -> bool:
        """Whether anything that is run for the guard's module could notice."""
        return bool(self.tests(guard, (*MODULES[guard.module], *STORIES)) or self.seeds(guard))

    def _all_tests(self, guard: Guard) -> list[str]:
        return [test for test, found in self.by_test.items() if (guard.module, guard.number) in found]


class _Only:
    """For pytest: of what was collected, run only these tests."""

    def __init__(self, tests: Iterable[str]) -> None:
        self.tests = set(tests)

    def pytest_collection_modifyitems(self, items: list[object]) -> None:
        items[:] = [item for item in items if item.nodeid in self.tests]  # type: ignore[attr-defined]


class _Watcher:
    """For pytest: writes down what was told during each test."""

    def __init__(self) -> None:
        self.told: set[tuple[str, int]] = set()
        self.by_test: dict[str, list[tuple[str, int]]] = {}

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.told.clear()

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self.by_test[nodeid] = sorted(self.told)


def prepare(modules: Sequence[str]) -> Reach:
    """Import everything that a mutant will need, once, and find who could notice what. Raises SystemExit when a test fails as it is.

    Hypothesis draws the same each time, and does not shrink what it finds."""
    os.environ["CI"] = "1"
    import pytest
    from hypothesis import HealthCheck, Phase, settings

    import tests.conftest
    import tests.sim.trial  # noqa: F401

    settings.register_profile(
        "guards", phases=[Phase.explicit, Phase.generate], derandomize=True, database=None, deadline=None,
        suppress_health_check=list(HealthCheck), report_multiple_bugs=False,
    )
    settings.load_profile("guards")  # after tests/conftest.py, which loads its own
    files = [*_paths("core", {name for module in modules for name in MODULES[module]}), *_paths("sim", STORIES)]
    with _nothing_said():
        if pytest.main([*OPTIONS, "--collect-only", *files]) != 0:
            raise SystemExit("the tests cannot be collected: run pytest first")
    gc.freeze()
    gc.disable()
    return _find_reach(modules, files)


def judge(guard: Guard, reach: Reach, quick: bool) -> str:
    """Who noticed; "" for a survivor. `quick`: only the module's own tests are asked."""
    pid = os.fork()
    if pid == 0:
        code = BY_SEED
        with _nothing_said():
            try:
                code = _notice(guard, reach, quick)
            finally:
                os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return NOTICED.get(code, "it could not even run") if code else ""


def _paths(folder: str, names: Iterable[str]) -> list[str]:
    return [str(ROOT / "tests" / folder / name) for name in sorted(names)]


@contextlib.contextmanager
def _nothing_said() -> Iterator[None]:
    kept = os.dup(1), os.dup(2)
    nowhere = os.open(os.devnull, os.O_RDWR)
    sys.stdout.flush()
    try:
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept[0], 1)
        os.dup2(kept[1], 2)
        for each in (*kept, nowhere):
            os.close(each)


def _find_reach(modules: Sequence[str], files: list[str]) -> Reach:
    """Run all of it once, in a fork, with the modules watched."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as answer:
        pid = os.fork()
        if pid == 0:
            code = 1
            with _nothing_said():
                try:
                    code = _watch_all(modules, files, answer.fileno())
                finally:
                    os._exit(code)
        if os.waitpid(pid, 0)[1] != 0:
            raise SystemExit("the tests fail although nothing is changed: run pytest first")
        answer.seek(0)
        tests, seeds = json.load(answer)
    return Reach(
        {test: frozenset((module, number) for module, number in found) for test, found in tests.items()},
        {int(seed): frozenset((module, number) for module, number in found) for seed, found in seeds.items()},
    )


def _watch_all(modules: Sequence[str], files: list[str], answer: int) -> int:
    import pytest

    from tests.sim.trial import try_seed

    watcher = _Watcher()
    for module in modules:
        watch(module, lambda number, module=module: watcher.told.add((module, number)))  # type: ignore[misc]
    if pytest.main([*OPTIONS, *files], plugins=[watcher]) != 0:
        return 1
    by_seed = {}
    for seed in range(SEEDS):
        watcher.told.clear()
        if try_seed(seed).broken:
            return 1
        by_seed[seed] = sorted(watcher.told)
    os.write(answer, json.dumps([watcher.by_test, by_seed]).encode())
    return 0


def _notice(guard: Guard, reach: Reach, quick: bool) -> int:
    """In the mutant's own process: 0 when nobody noticed, else what noticed it (see `NOTICED`)."""
    from tests.sim.trial import try_seed

    change(guard)
    _allow(TESTS_MAX_S)
    if _fails("core", reach.tests(guard, MODULES[guard.module])):
        return BY_TESTS
    if quick:
        return 0
    _allow(SEEDS_MAX_S)
    try:
        for seed in reach.seeds(guard):
            if try_seed(seed).broken:
                return BY_SEED
    except Exception:  # a mutant may fail in any way there is; each means that it was noticed
        return BY_SEED
    _allow(STORIES_MAX_S)
    return BY_STORY if _fails("sim", reach.tests(guard, STORIES)) else 0


def _fails(folder: str, tests: Sequence[str]) -> bool:
    import pytest

    if not tests:
        return False
    files = _paths(folder, {Path(test.split("::")[0]).name for test in tests})
    return pytest.main([*OPTIONS, *files], plugins=[_Only(tests)]) != 0


def _allow(more_s: int) -> None:
    """From now on this process may use so much processor time before it is ended."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(used.ru_utime + used.ru_stime) + 1 + more_s
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.getrlimit(resource.RLIMIT_CPU)[1]))
