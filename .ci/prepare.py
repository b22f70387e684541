"""Makes `.venv` ready for `make run` and `make test`; costs next to nothing when it already is.

llama.cpp is the reason that this is more than one `pip install`. It is compiled here, once, with flags of our own: a
build for exactly this processor crashes on machines with AMX as soon as a model is quantised, and runs on no other
machine. The wheel is kept in the user's cache folder under a key made of everything that shaped it. pip's own cache is
left out on purpose: it knows a wheel by name and version only, and would hand back one built with other flags.

Everything is made in a place of its own and moved into place last, so an interrupted call leaves nothing half done:
the next one starts clean. Uses the standard library only, as it runs before anything is installed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import step
from step import SetupFailed

ROOT = Path(__file__).resolve().parent.parent
HERE = ROOT / ".ci"
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOG = VENV / "setup.log"
STAMP = VENV / "roomful-ready"
WHEEL_STAMP = VENV / "roomful-llama"
CONSTRAINTS = ROOT / "constraints.txt"
SLIM = HERE / "llama-slim.cmake"
SHAPED_BY = (ROOT / "pyproject.toml", CONSTRAINTS, SLIM, HERE / "prepare.py", HERE / "step.py")
ENGINE = "llama-cpp-python"

# Bytes of memory that one C++ compiler may need; fewer of them run at once on a small machine.
COMPILER_BYTES = 700_000_000
# What would change how llama.cpp is compiled, or where pip installs to, behind our back.
NOT_INHERITED = {
    "CFLAGS", "CPPFLAGS", "CXXFLAGS", "LDFLAGS", "CMAKE_ARGS", "CMAKE_GENERATOR", "SOURCE_DATE_EPOCH",
    "PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV",
}  # fmt: skip


def digest(*parts: str | bytes) -> str:
    """A short name for a list of things: any change to one of them changes it."""
    whole = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        whole.update(len(raw).to_bytes(8, "big") + raw)
    return whole.hexdigest()[:20]


def has_avx2() -> bool:
    """Whether this processor has what llama.cpp assumes of any x86 (AVX2, FMA, F16C, BMI2). True where unknown."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("flags"):
                return {"avx", "avx2", "fma", "f16c", "bmi2"} <= set(line.split())
    return True


def flags() -> list[str]:
    """CMake's flags for llama.cpp on this machine.

    With GGML_NATIVE off, an x86 build needs AVX2 and its companions, and an ARM build the plain instruction set of its
    family. An x86 without them (small Celerons and Atoms) gets a slower build that runs.
    """
    chosen = ["-DGGML_NATIVE=OFF", "-DLLAVA_BUILD=OFF"]
    if platform.machine().lower() in {"x86_64", "amd64", "i686"} and not has_avx2():
        chosen += [f"-DGGML_{name}=OFF" for name in ("AVX", "AVX2", "FMA", "F16C", "BMI2")]
    return chosen


def setup_key() -> str:
    """Names this setup: what is installed, how, where, on which kind of machine."""
    return digest(*(file.read_bytes() for file in SHAPED_BY), *flags(), str(ROOT), platform.machine())


def is_ready() -> bool:
    """Whether an earlier call went through to its end and nothing that matters has changed since."""
    with contextlib.suppress(OSError):
        return STAMP.read_text(encoding="utf-8") == setup_key() and (VENV / "bin" / "roomful").exists()
    return False


def engine_version() -> str:
    """The one version of llama-cpp-python that constraints.txt names."""
    found = re.search(rf"^{ENGINE}==(\S+)$", CONSTRAINTS.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise SetupFailed(f"roomful: {CONSTRAINTS} does not pin {ENGINE}. Add a line {ENGINE}==VERSION.")
    return found[1]


def wheel_key() -> str:
    """Names a compiled llama-cpp-python: version, kind of machine, flags. Any Python can load it."""
    return f"{ENGINE}-{engine_version()}-{sysconfig.get_platform()}-{digest(*flags(), SLIM.read_bytes())}"


def cache_folder() -> Path:
    """Where compiled wheels are kept, for every checkout of this user."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "roomful" / "wheels"


def environment(**more: str) -> dict[str, str]:
    """This process's environment without what would lead pip or the compiler astray. The user's pip settings stay."""
    kept = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
    return kept | {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "PYTHONUNBUFFERED": "1"} | more


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold `folder` for this call: a second `make` in the same place waits, and then finds the work done."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another setup that is at work in {folder}", flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def make_venv() -> None:
    """A `.venv` whose Python and pip work; one that does not (interrupted, moved, its Python gone) is made anew."""
    if PYTHON.exists():
        asked = subprocess.run([PYTHON, "-m", "pip", "--version"], env=environment(), capture_output=True)
        if asked.returncode == 0:
            return
    shutil.rmtree(VENV, ignore_errors=True)
    VENV.mkdir()
    step.run("making .venv", [sys.executable, "-m", "venv", VENV], LOG, environment())


def need_compiler() -> None:
    """Say so at once, rather than after the download, when nothing here compiles C and C++."""
    names = {"C": ("cc", "gcc", "clang"), "C++": ("c++", "g++", "clang++")}
    for language, variable in (("C", "CC"), ("C++", "CXX")):
        if not os.environ.get(variable) and not any(map(shutil.which, names[language])):
            raise SetupFailed(
                f"roomful: no {language} compiler found; llama.cpp, which runs the language models, is compiled here.\n"
                "  On Debian, Ubuntu or Raspberry Pi OS: sudo apt install build-essential"
            )


def compilers_at_once() -> int:
    """One a core, fewer where memory is short."""
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(os.cpu_count() or 1, memory_bytes // COMPILER_BYTES))


def compiling(log_text: str) -> tuple[str, str | None]:
    """What to call this moment of the build, and how far it is."""
    far = step.compiled(log_text)
    return ("compiling llama.cpp", far) if far else ("fetching llama.cpp's source and build tools", None)


def build_wheel(place: Path) -> None:
    """Compile llama-cpp-python and move its wheel to the folder `place`, which appears only when it is whole."""
    need_compiler()
    pins = CONSTRAINTS.as_uri()  # pip splits these variables at blanks, which a folder's name may have
    with tempfile.TemporaryDirectory(prefix=".building-", dir=place.parent) as scratch:
        made = Path(scratch) / "wheel"
        chosen = [*flags(), f"-DCMAKE_PROJECT_llama.cpp_INCLUDE={SLIM}"]
        options = ["-v", "--no-deps", "--no-cache-dir", "--no-binary", ENGINE, "--wheel-dir", str(made)]
        step.run(
            "compiling llama.cpp",
            [PYTHON, "-m", "pip", "wheel", *options, f"{ENGINE}=={engine_version()}"],
            LOG,
            environment(
                CMAKE_ARGS=shlex.join(chosen),
                CMAKE_BUILD_PARALLEL_LEVEL=str(compilers_at_once()),
                PIP_BUILD_CONSTRAINT=pins,
                PIP_CONSTRAINT=pins,
                TMPDIR=scratch,
            ),
            compiling,
        )
        shutil.rmtree(place, ignore_errors=True)
        made.rename(place)


def wheel() -> Path:
    """The compiled llama-cpp-python from the cache folder, compiled now if it is not there yet."""
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    place = cache / wheel_key()
    with alone_in(cache):
        for left_over in cache.glob(".building-*"):
            shutil.rmtree(left_over, ignore_errors=True)
        if not list(place.glob("*.whl")):
            build_wheel(place)
    return next(place.glob("*.whl"))


def install_engine() -> None:
    """Put the compiled llama-cpp-python into `.venv`, in place of one built in any other way."""
    with contextlib.suppress(OSError):
        if WHEEL_STAMP.read_text(encoding="utf-8") == wheel_key():
            return
    file = wheel()
    options = ["--no-index", "--no-deps", "--force-reinstall"]
    step.run("installing llama.cpp", [PYTHON, "-m", "pip", "install", *options, file], LOG, environment())
    WHEEL_STAMP.write_text(wheel_key(), encoding="utf-8")


def prepare() -> None:
    """Do whatever is missing. The stamp that says "ready" is written last."""
    if is_ready():
        return
    begun_s = time.monotonic()
    STAMP.unlink(missing_ok=True)
    make_venv()
    install_engine()
    pip_install: list[str | Path] = [PYTHON, "-m", "pip", "install", "-c", CONSTRAINTS, "-e", f"{ROOT}[all,test]"]
    step.run("installing Roomful and what it needs", pip_install, LOG, environment())
    step.run("trying llama.cpp", [PYTHON, "-c", "import llama_cpp"], LOG, environment())
    fresh = STAMP.with_suffix(".new")
    fresh.write_text(setup_key(), encoding="utf-8")
    fresh.replace(STAMP)
    print(f"ready after {step.minutes(time.monotonic() - begun_s)}", flush=True)


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Exit code 0: `.venv` is ready. With --is-ready, only look."""
    if "--is-ready" in sys.argv:
        return 0 if is_ready() else 1
    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGHUP, interrupt)
    try:
        with alone_in(ROOT):
            prepare()
    except SetupFailed as failure:
        print(failure, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"roomful: the setup could not write or read {error.filename}: {error.strerror}", file=sys.stderr)
        print("  Check the disk's free space and who owns the folder; XDG_CACHE_HOME moves the cache.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. The next call starts this step afresh.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
