"""What a role's process may reach, and how it is held to that. It does this to itself before anybody else's code is loaded.

    confine(config) -> Enforced       in the process's only thread, before it makes another

A role parses what strangers wrote: models, pictures, packets. When one of these takes it over, or it is just wrong, it should be able to
spoil what is its own and no more. So it may read the deployment's folder, Python and the system's own files, use devices, write in its
own state folder (with a temporary one in it) and nowhere else, and talk to the room's roles; to others only where its kind says so
(`network`, `writes`). The node's state, in which the installation's key lies, it can neither read nor change, whatever the folders are.

    what                          by what                      where
    files                         Landlock                     Linux 5.13 and later, where it is switched on
    TCP ports                     Landlock, ABI 4              Linux 6.7 and later; in a rehearsal, whose ports are any, only which it binds
    UDP, raw packets, Fast Open   seccomp                      Linux, on the processors named there
    signals to other processes    Landlock, ABI 6              Linux 6.12 and later
    processes, files, dumps       setrlimit                    everywhere; the number of processes is not bounded for root
    root's powers                 capset                       Linux, where the agent runs as root, which it need not
    memory                        setrlimit and the agent      a hard end here; the agent ends a role above `limits: {memory}` more gently

None of this is a wall against code that an artist *wants* to do harm: roles run as the agent's user, so what that user's session offers on
its Unix sockets (a session bus that starts programs) still answers. Decided against: containers and users of their own (root, or set-up
on each machine, and sound, screens and GPUs that then need to be let in again one by one).
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import site
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mesh.errors import RoleError
from mesh.shell.capabilities import give_up_powers
from mesh.shell.host_config import FIRST_PORT, PORTS, HostConfig
from mesh.shell.landlock import CHANGE, READ, Ports, restrict
from mesh.shell.seccomp import stream_sockets_only

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/proc", "/run", "/nix", "/gnu", "/snap",
          "/var/lib", "/var/cache", "/System", "/Library")
DEVICES = ("/dev", "/sys")  # what an ordinary user may change there a role may: a lamp at a pin, a serial line, shared memory
OF_THE_USER = (".Xauthority", ".asoundrc", ".config/pulse", ".config/pipewire", ".config/fontconfig", ".fonts", ".local/share/fonts")
FILES_MAX, PROCESSES_MAX = 4096, 512
MEMORY_SPARE = 0.9  # of the machine's memory: what one role's process can have at most
LIMIT_TIMES, LIMIT_AND_BYTES = 2, 1 << 30  # above `limits: {memory}`, which counts what is used, not what is asked for
PATH_MAX = 4096
TEMPORARY = ".temporary"
NO_NETWORK = (
    "this kind of role is not said to use the network",
    "Write `network = True` in its class (of a built-in kind: set its option `network`), beside `outputs`.",
)


@dataclass(frozen=True, slots=True)
class Enforced:
    """What holds: Landlock's version (0: files are not kept from it), and whether UDP is."""

    landlock: int
    datagrams: bool


def confine(config: HostConfig) -> Enforced:
    """Hold this process to what its role needs. Raises RoleError where the system knows how and refuses."""
    own = _own_folders(config)
    _bound_resources(config.memory_bytes)
    give_up_powers()
    try:
        used = restrict(allowed(config, own), None if config.network else _ports(config))
    except OSError as error:
        raise RoleError(f"the role could not be kept to what is its own: {error.strerror}", where=config.instance,
                        instead="This is the system's doing: report it with the version of its kernel (uname -r).") from None
    quiet = False
    if not config.network:
        quiet = stream_sockets_only()
        sys.addaudithook(_explain_network)
    return Enforced(used, quiet)


def confine_reader(folder: Path | None, *also: Path) -> None:
    """The same for a process that only opens an artist's file to see what is in it: it reads its folder and what is `also` named, and
    writes nothing."""
    named = {"also": [str(each) for each in also]}
    confine(HostConfig("", "", "", str(folder or ""), "", "", "", "", "", "", options=named, ports=(1, 1)))


def allowed(config: HostConfig, own: Iterable[Path] = ()) -> dict[Path, int]:
    """Every path that the role may use, with Landlock's rights."""
    folder = [Path(config.folder)] if config.folder else []
    python = [sys.prefix, sys.base_prefix, sys.exec_prefix, site.getuserbase(), *(each for each in sys.path if each)]
    mine = [Path.home() / each for each in OF_THE_USER] + [Path(each) for each in (os.environ.get("XAUTHORITY"),) if each]
    reads = [*folder, *map(Path, (*SYSTEM, *python)), *mine, *_named(config)]
    runtime = [Path(each) for each in (os.environ.get("XDG_RUNTIME_DIR"),) if each]
    changes = [*map(Path, DEVICES), *runtime]
    hidden = [Path(each).resolve() for each in config.hidden]
    rights = {part: READ for path in _real(reads) for part in without(path, hidden)}
    for path in _real(changes):
        rights.update({part: CHANGE for part in without(path, hidden)})
    rights.update({path: READ for path in _real(folder)})  # also where they lie within what is hidden
    rights.update({path: CHANGE for path in _real(own)})
    return rights


def without(path: Path, hidden: Iterable[Path]) -> Iterator[Path]:
    """A path; where something hidden lies below it, all that is beside that instead. Rights can be given, never taken back."""
    within = [each for each in hidden if each.is_relative_to(path)]
    if not within:
        if not any(path.is_relative_to(each) for each in hidden):
            yield path
    elif path not in within:
        with contextlib.suppress(OSError):
            for below in path.iterdir():
                if not below.is_symlink():
                    yield from without(below, within)


def _real(paths: Iterable[Path]) -> list[Path]:
    """Where they lead; without those that are not there, and without the root of everything, which nobody can have meant."""
    found: dict[Path, None] = {}
    for path in paths:
        with contextlib.suppress(OSError, RuntimeError):
            real = path.expanduser().resolve(strict=True)
            if real != Path(real.anchor):
                found[real] = None
    return list(found)


def _named(config: HostConfig) -> Iterator[Path]:
    """Files that the deployment file names, wherever they lie: models, fallbacks, and paths in the role's options."""
    folder = Path(config.folder)
    given: list[Any] = [config.options, (config.model or {}).get("file"), config.settings.get("models"), dict(config.fallback_files)]
    paths = (each.removeprefix("file:") for each in _texts(given) if 0 < len(each) < PATH_MAX and "\0" not in each and "://" not in each)
    yield from (folder / each for each in paths)
    begin = config.settings.get("begin")
    if isinstance(begin, str):
        yield Path(begin).parent


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _texts(each)


def _own_folders(config: HostConfig) -> list[Path]:
    """What the role may write: its state folder, with an empty place for what is temporary, and what its options name for that."""
    own = []
    if config.state_folder is not None:
        state = Path(config.state_folder)
        temporary = state / TEMPORARY
        shutil.rmtree(temporary, ignore_errors=True)
        with contextlib.suppress(OSError):
            temporary.mkdir(parents=True)
        own.append(state)
        os.environ.update(TMPDIR=str(temporary), XDG_CACHE_HOME=str(state / ".cache"), CUDA_CACHE_PATH=str(state / ".cache" / "cuda"))
        tempfile.tempdir = None
    for text in config.writes:
        path = Path(text.removeprefix("file:")).expanduser()
        if path.is_absolute():
            place = path.parent if path.suffix and not path.is_dir() else path
            with contextlib.suppress(OSError):
                place.mkdir(parents=True, exist_ok=True)
            own.append(place)
    return own


def _ports(config: HostConfig) -> Ports:
    """The room's own data ports. Those of a rehearsal are any that are free."""
    documented = range(FIRST_PORT, FIRST_PORT + PORTS)
    return Ports((0,), None) if 0 in config.ports else Ports(documented, documented)


def _bound_resources(memory_bytes: int) -> None:
    """No dump of its memory on the disk, and an end to descriptors, processes and memory. Never above what holds already."""
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_NOFILE, FILES_MAX)
    _lower(resource.RLIMIT_NPROC, _threads_of_this_user() + PROCESSES_MAX)
    with contextlib.suppress(ValueError, OSError):
        most = int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * MEMORY_SPARE)
        _lower(resource.RLIMIT_DATA, min(most, memory_bytes * LIMIT_TIMES + LIMIT_AND_BYTES) if memory_bytes else most)


def _lower(what: int, most: int) -> None:
    _, hard = resource.getrlimit(what)
    value = most if hard == resource.RLIM_INFINITY else min(most, hard)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(what, (value, value))


def _threads_of_this_user() -> int:
    """What the system counts against a bound on processes: every thread of every program of this user's."""
    found, user = 0, os.getuid()
    for process in os.scandir("/proc") if os.path.isdir("/proc/self") else ():
        with contextlib.suppress(OSError):
            if process.name.isdigit() and process.stat().st_uid == user:
                found += os.stat(f"/proc/{process.name}/task").st_nlink - 2
    return max(0, found)


_mesh = threading.local()


@contextlib.contextmanager
def as_the_mesh() -> Iterator[None]:
    """What is done within is the mesh's own and needs no words for an author. What the system forbids stays forbidden."""
    _mesh.acts = True
    try:
        yield
    finally:
        _mesh.acts = False


def _explain_network(event: str, arguments: tuple[Any, ...]) -> None:
    """Words in place of "Permission denied"; in a rehearsal, too, where the system lets TCP pass, so that it shows before the room does."""
    if event not in ("socket.connect", "socket.bind", "socket.__new__") or getattr(_mesh, "acts", False):
        return
    family = arguments[1] if event == "socket.__new__" else arguments[0].family
    internet = family in (2, 10, 23, 30)
    other = not internet and family not in (-1, 1, 16)  # -1: a socket that is there already
    if other or (internet and (event != "socket.__new__" or arguments[2] & 0xF != 1)):
        raise RoleError(NO_NETWORK[0], instead=NO_NETWORK[1])
