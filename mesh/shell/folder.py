"""A deployment's folder on this machine: load it, or say all its mistakes; and tell two folders apart.

Touches the disk and decides nothing: what is a mistake is `core/deployment.py`'s to say.
"""

from __future__ import annotations

import hashlib
import os
import stat
import unicodedata
import zoneinfo
from collections.abc import Iterable, Mapping
from pathlib import Path

from mesh.core.deployment import Deployment, FileFact, FolderFacts, files_of, judge, read
from mesh.core.files import LEFT_OUT
from mesh.core.kind import Kind
from mesh.core.names import nearest
from mesh.core.yaml_text import FILE_BYTES_MAX, too_long
from mesh.errors import DeploymentError, Mistake
from mesh.shell.kinds import describe_kinds

FILE_NAME = "deployment.yaml"
_CHUNK_BYTES = 1 << 20
_hashes: dict[tuple[str, int, int], str] = {}  # (path, size, mtime_ns): one process hashes a model once


def folder_of(where: Path) -> Path:
    """The folder that is meant: itself, or the one in which the deployment file that was named lies."""
    return where.parent if where.name == FILE_NAME and where.is_file() else where


def load(folder: Path, *, verify_hashes: bool = True, known: Mapping[str, Kind] | None = None) -> Deployment:
    """The deployment in `folder`. Raises DeploymentError with all its mistakes. `verify_hashes=False` trusts the
    models to be those the file names, and `known` the kinds to be as described, for a start that must be fast."""
    deployment, mistakes = examine(folder, verify_hashes=verify_hashes, known=known)
    if deployment is None:
        raise DeploymentError(mistakes)
    return deployment


def examine(
    folder: Path, *, verify_hashes: bool = True, known: Mapping[str, Kind] | None = None
) -> tuple[Deployment | None, list[Mistake]]:
    """The deployment in `folder` and no mistakes, or None and all of them in the order of the file."""
    file = folder_of(folder) / FILE_NAME
    raw = _read(file)
    if isinstance(raw, Mistake):
        return None, [raw]
    draft, mistakes = read(raw, str(file))
    if draft is None:
        return None, mistakes
    kinds, faults = (dict(known), {}) if known is not None and set(draft.kinds) <= set(known) else describe_kinds(draft.kinds, file.parent)
    zone = draft.deployment.opening.timezone if draft.deployment.opening else None
    facts = FolderFacts(
        files={path: file_fact(file.parent, path, verify_hashes) for path in files_of(draft, kinds)},
        zones=_zones_unless_known(zone),
    )
    deployment, more = judge(draft, kinds, faults, facts)
    mistakes = sorted({*mistakes, *more})
    return (None if mistakes else deployment), mistakes


def folder_files(folder: Path) -> list[str]:
    """The files of the work, as sorted relative paths with forward slashes. Hidden files, `__pycache__` and `training/` are left out."""
    found: list[str] = []
    for here, folders, files in os.walk(folder):
        top = Path(here) == folder
        folders[:] = _of_the_work(folders, top)
        paths = [Path(here) / name for name in files if not name.startswith(".")]
        found += [path.relative_to(folder).as_posix() for path in paths if path.is_file()]
    return sorted(found)


def _of_the_work(folders: list[str], top: bool) -> list[str]:
    return [name for name in folders if not name.startswith(".") and name != "__pycache__" and not (top and name in LEFT_OUT)]


def left_behind(folder: Path) -> dict[str, str]:
    """What looks like a part of the work and is none of `folder_files`: path -> why. A folder that is a link is not walked (it may lead
    out, or in a circle), one that cannot be read would be missing without a word, and a pipe or a device has no content."""
    found: dict[str, str] = {}

    def unread(error: OSError) -> None:
        found[Path(error.filename).relative_to(folder).as_posix()] = f"cannot be read ({error.strerror})"

    for here, folders, files in os.walk(folder, onerror=unread):
        top = Path(here) == folder
        folders[:] = _of_the_work(folders, top)
        for path in (Path(here) / name for name in [*folders, *files] if not name.startswith(".")):
            if path.name in folders and path.is_symlink():
                found[path.relative_to(folder).as_posix()] = "is a link to a folder"
            elif path.name not in folders and not path.is_file():
                found[path.relative_to(folder).as_posix()] = "is a link to nothing" if path.is_symlink() else "is a pipe or a device"
    return found


def alike(paths: Iterable[str]) -> list[tuple[str, str]]:
    """Paths that are one on disks which do not tell capital letters, or two ways of writing one letter, apart: (the later, the earlier)."""
    seen: dict[str, str] = {}
    found = []
    for path in sorted(paths):
        parts = unicodedata.normalize("NFC", path).casefold().split("/")
        for depth in range(1, len(parts) + 1):
            here = "/".join(path.split("/")[:depth])
            twin = seen.setdefault("/".join(parts[:depth]), here)
            if twin != here:
                found.append((path, twin))
                break
    return found


def file_hash(path: Path) -> str:
    """SHA-256 (hex) of a file, read in pieces."""
    about = path.stat()
    key = (str(path.absolute()), about.st_size, about.st_mtime_ns)
    if key not in _hashes:
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while piece := file.read(_CHUNK_BYTES):
                digest.update(piece)
        _hashes[key] = digest.hexdigest()
    return _hashes[key]


def file_fact(folder: Path, path: str, verify_hash: bool) -> FileFact:
    """What lies at `path` in the folder."""
    inside = folder.resolve()
    try:
        target = (folder / path).resolve()
        if not target.is_relative_to(inside):
            return FileFact("outside")
        if target.is_dir():
            return FileFact("folder", near=_names_in(target, folder))
        if not target.is_file():
            return FileFact("missing", near=_names_in((folder / path).parent, folder))
        size = target.stat().st_size
        with target.open("rb") as file:
            head = file.read(_CHUNK_BYTES) if size <= _CHUNK_BYTES else b""
        return FileFact("file", file_hash(target) if verify_hash else None, size, is_text=_is_text(head))
    except (OSError, ValueError, RuntimeError):  # no permission; a NUL in the path; links in a circle
        return FileFact("unreadable")


def _read(file: Path) -> bytes | Mistake:
    try:
        about = file.stat()
        if not stat.S_ISREG(about.st_mode) and not stat.S_ISDIR(about.st_mode):
            what = f"{file.name} is a device or a pipe, not a file"
            return Mistake(str(file), 1, 1, what, f"put the file itself in its place; ls -l {file} shows what is there")
        size = about.st_size
        if size > FILE_BYTES_MAX:
            fault = too_long(size)
            return Mistake(str(file), 1, 1, fault.what, fault.instead)
        with file.open("rb") as opened:
            return opened.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        near = nearest(FILE_NAME, [entry.name for entry in file.parent.iterdir()] if file.parent.is_dir() else [])
        if not file.parent.is_dir():
            return Mistake(
                str(file),
                1,
                1,
                f"there is no folder {file.parent}",
                f"check the path; `roomful new {file.parent.name}` makes a new one",
            )
        return Mistake(
            str(file),
            1,
            1,
            f"there is no {FILE_NAME} in {file.parent}",
            f"rename {near} to {FILE_NAME}" if near else "`roomful new DIR` writes one to start from",
        )
    except OSError as error:
        return Mistake(
            str(file),
            1,
            1,
            f"the file cannot be read: {(error.strerror or str(error)).lower()}",
            f"check who may read it: ls -l {file}",
        )


def _names_in(parent: Path, folder: Path) -> tuple[str, ...]:
    if not parent.is_dir():
        return ()
    names = sorted(entry.name for entry in parent.iterdir() if not entry.name.startswith("."))
    base = parent.resolve().relative_to(folder.resolve())
    return tuple((base / name).as_posix() for name in names[:200])


def _is_text(head: bytes) -> bool:
    try:
        head.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _zones_unless_known(zone: str | None) -> tuple[str, ...]:
    """() when the zone is known, or when this machine has no list of zones to judge by."""
    try:
        if zone is None or zoneinfo.ZoneInfo(zone):
            return ()
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        pass
    return tuple(sorted(zoneinfo.available_timezones()))
