"""Who notices a changed guard: the module's own tests first, then seeds, then stories; the first that fails has caught it.

Each mutant lives in a process of its own and never on disk: a fork of this one, in which everything is loaded, whose
module gets the changed code (`mutants.py`). Before the first, one more fork runs every test, seed and story once, unchanged
but watched, and so finds during which of them each guard decides anything at all: the others would run exactly as they always
do, and are left out (`questions.py` finds more of them behind `place`). Processor time is what bounds a mutant, never the
clock, so that a busy machine, or one that is stopped meanwhile, gives the same verdicts.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import resource
import signal
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.sim.mutants import Guard, change, watch
from tests.sim.questions import BEHIND, Listener, Question, answers

ROOT = Path(__file__).resolve().parent.parent.parent
SEEDS = 12
STORIES = tuple(sorted(path.name for path in (ROOT / "tests/sim").glob("test_stories*.py")))
PLACEMENT = tuple(
    f"test_placement{which}.py" for which in ("", "_parts", "_standby", "_repair", "_bounds", "_search", "_seats", "_hard", "_large")
)
# module -> the tests that are most likely to notice, tried first
MODULES: dict[str, tuple[str, ...]] = {
    "claims": ("test_claims.py", "test_cast.py"),
    "cast": ("test_cast.py", "test_cast_processes.py"),
    "parts": ("test_cast.py", "test_cast_processes.py"),
    "detector": ("test_detector.py", "test_membership.py"),
    "members": ("test_words.py", "test_membership.py", "test_judging.py"),
    "membership": ("test_words.py", "test_membership.py", "test_contacts.py"),
    "judging": ("test_silence.py", "test_judging.py"),
    "contacts": ("test_contacts.py",),
    "peers": ("test_peers.py", "test_contacts.py"),
    "sides": ("test_sides.py",),
    "standing": ("test_standing.py", "test_node.py"),
    "boot": ("test_boot.py",),
    "flapping": ("test_flapping.py",),
    "placement": PLACEMENT, "placement_parts": PLACEMENT, "placement_repair": PLACEMENT, "placement_room": PLACEMENT,
    "placement_search": PLACEMENT, "placement_seats": PLACEMENT, "standby": PLACEMENT,
}
OPTIONS = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "--no-header", "--timeout=0"]
TEST_MAX_S = 8  # of processor time, for one test, seed or story; none takes two when nothing is changed
BY_TESTS, BY_SEED, BY_STORY = 11, 12, 13
NOTICED = {BY_TESTS: "its tests", BY_SEED: "a seed", BY_STORY: "a story", -signal.SIGXCPU: "time stood still"}


@dataclass(frozen=True, slots=True)
class Told:
    """What was seen during one test or seed: the guards, as (module, number), that decided something, and what was asked of `place`."""

    guards: frozenset[tuple[str, int]]
    asked: frozenset[int]


@dataclass(frozen=True, slots=True)
class Reach:
    """Who could notice what. Tests are pytest's ids; seeds stand beside them as "seed N"."""

    told: dict[str, Told]
    questions: list[Question]
    answers: list[object]

    def among(self, guard: Guard, files: Iterable[str]) -> list[str]:
        """The tests of these files that could notice, in the order in which they ran; "seed" stands for the seeds."""
        site = (guard.module, guard.number)
        return [test for test, told in self.told.items() if site in told.guards and _file(test) in files]

    def anything(self, guard: Guard) -> bool:
        """Whether anything that is run for the guard's module could notice."""
        return bool(self.among(guard, (*MODULES[guard.module], "seed", *STORIES)))

    def moot(self, guard: Guard) -> set[str]:
        """Asked in the mutant: the seeds and stories that go as ever, because `place` answers all that they ask as ever."""
        if guard.module not in BEHIND:
            return set()
        pairs = enumerate(zip(answers(self.questions), self.answers, strict=True))
        otherwise = {number for number, (now, before) in pairs if now != before}
        return {test for test, told in self.told.items() if otherwise.isdisjoint(told.asked)}


NOBODY = Reach({}, [], [])


def _file(test: str) -> str:
    return Path(test.split("::")[0]).name.split(" ")[0]


class _Only:
    """For pytest: of what was collected, run only these tests, each for so long."""

    def __init__(self, tests: Iterable[str]) -> None:
        self.tests = set(tests)

    def pytest_collection_modifyitems(self, items: list[object]) -> None:
        items[:] = [item for item in items if item.nodeid in self.tests]  # type: ignore[attr-defined]

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        _allow(TEST_MAX_S)


class _Watcher:
    """For pytest: writes down what was told during each test."""

    def __init__(self) -> None:
        self.listener = Listener()
        self.guards: set[tuple[str, int]] = set()
        self.told: dict[str, Told] = {}

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.guards.clear()
        self.listener.now.clear()

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self.told[nodeid] = Told(frozenset(self.guards), frozenset(self.listener.now))


def prepare(modules: Sequence[str], quick: bool = False) -> Reach:
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
    files = [*_paths("core", {name for module in modules for name in MODULES[module]}), *_paths("sim", () if quick else STORIES)]
    with _nothing_said():
        if pytest.main([*OPTIONS, "--collect-only", *files]) != 0:
            raise SystemExit("the tests cannot be collected: run pytest first")
    gc.freeze()
    gc.disable()
    return _find_reach(modules, files, range(0 if quick else SEEDS))


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


def _find_reach(modules: Sequence[str], files: list[str], seeds: Iterable[int]) -> Reach:
    """Run all of it once, in a fork, with the modules watched."""
    with tempfile.TemporaryFile() as answer:
        pid = os.fork()
        if pid == 0:
            code = 1
            with _nothing_said():
                try:
                    code = _watch_all(modules, files, seeds, answer)
                finally:
                    os._exit(code)
        if os.waitpid(pid, 0)[1] != 0:
            raise SystemExit("the tests fail although nothing is changed: run pytest first")
        answer.seek(0)
        told, questions = pickle.load(answer)
    return Reach(told, questions, answers(questions))


def _watch_all(modules: Sequence[str], files: list[str], seeds: Iterable[int], answer: IO[bytes]) -> int:
    import pytest

    from tests.sim.trial import try_seed

    watcher = _Watcher()
    for module in modules:
        watch(module, lambda number, module=module: watcher.guards.add((module, number)))  # type: ignore[misc]
    for seed in seeds:
        watcher.pytest_runtest_logstart(f"seed {seed}")
        if try_seed(seed).broken:
            return 1
        watcher.pytest_runtest_logfinish(f"seed {seed}")
    if pytest.main([*OPTIONS, *files], plugins=[watcher]) != 0:
        return 1
    pickle.dump((watcher.told, watcher.listener.questions), answer)
    answer.flush()
    return 0


def _notice(guard: Guard, reach: Reach, quick: bool) -> int:
    """In the mutant's own process: 0 when nobody noticed, else what noticed it (see `NOTICED`)."""
    from tests.sim.trial import try_seed

    change(guard)
    if _fails("core", reach.among(guard, MODULES[guard.module])):
        return BY_TESTS
    if quick:
        return 0
    _allow(TEST_MAX_S)
    moot = reach.moot(guard)
    try:
        for seed in reach.among(guard, ("seed",)):
            _allow(TEST_MAX_S)
            if seed not in moot and try_seed(int(seed.split()[1])).broken:
                return BY_SEED
    except Exception:  # a mutant may fail in any way there is; each means that it was noticed
        return BY_SEED
    return BY_STORY if _fails("sim", [test for test in reach.among(guard, STORIES) if test not in moot]) else 0


def _fails(folder: str, tests: Sequence[str]) -> bool:
    import pytest

    if not tests:
        return False
    files = _paths(folder, {_file(test) for test in tests})
    return pytest.main([*OPTIONS, *files], plugins=[_Only(tests)]) != 0


def _allow(more_s: int) -> None:
    """From now on this process may use so much processor time before it is ended."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(used.ru_utime + used.ru_stime) + 1 + more_s
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.getrlimit(resource.RLIMIT_CPU)[1]))
