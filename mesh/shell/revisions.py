"""The revisions of the deployment that lie on this machine: read, linked, and thrown away.

    store = Revisions(home / "revisions")
    store.whole() -> ["3f…", …]                  those that lie here whole, by hash
    store.manifest(hash), store.folder(hash)     what one consists of, and where
    store.begin(hash, data) -> Arriving          one that is to come; what lies here of it already is used
    store.prune(keep)                            remove all others, and what is left of them

    revisions/3f….manifest     the manifest; its hash is the name
    revisions/3f…/             the work itself, each file read-only; there whole, or not at all
    revisions/3f….part/        on its way: each chunk that is right lies in its place already (see arriving.py)

Files that two revisions share are one file on the disk, linked into both. A role may only read them; their modification time is
drawn from their content, so that one that was changed by hand is known as such and not linked again, and so that a browser sees a
new page as new.

A folder that a machine was started with (`given`) is no part of the store. Its chunks are used and served like any, each held
against its hash first, because an artist may be working in it. Decided against: a store of chunks beside the files (a 4 GB model
would take 8), and copying where linking does.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mesh.core.manifest import CHUNK_BYTES, MANIFEST_BYTES_MAX, File, Manifest, is_hash, parse, path_fault, revision_hash
from mesh.errors import RoomfulError, WireError
from mesh.shell.folder import alike, folder_files, left_behind
from mesh.shell.storage import sync_folder

if TYPE_CHECKING:
    from mesh.shell.arriving import Arriving

MEND = "Rename it, put the file itself in its place, or move it to training/, which is not sent."
_EXECUTABLE_HEADS = (b"#!", b"\x7fELF")
_chunks: dict[tuple[str, int, int], tuple[bytes, ...]] = {}  # (path, size, mtime_ns): one process hashes a model once


class RevisionError(RoomfulError):
    """A revision that cannot be kept, read or sent."""


class Revisions:
    """The store in one folder. Made by the agent; used from one thread at a time but for reading."""

    def __init__(self, folder: Path) -> None:
        self.path = folder
        self.given: dict[str, tuple[Path, Manifest]] = {}  # hash -> a folder that this machine was started with
        self._manifests: dict[str, Manifest] = {}

    def whole(self) -> list[str]:
        """The revisions that can be played, by hash; those of the store first."""
        here = [path.name for path in _inside(self.path) if is_hash(path.name) and path.is_dir() and self.manifest(path.name) is not None]
        return [*sorted(here), *(each for each in self.given if each not in here)]

    def folder(self, revision: str) -> Path:
        """Where a whole revision lies."""
        inside = self.path / revision
        return inside if inside.is_dir() or revision not in self.given else self.given[revision][0]

    def manifest(self, revision: str) -> Manifest | None:
        """What a revision consists of, when this is known here."""
        if revision in self.given:
            return self.given[revision][1]
        if revision not in self._manifests and is_hash(revision):
            data = self.manifest_bytes(revision)
            with suppress(WireError):
                if data is not None:
                    self._manifests[revision] = parse(data)
        return self._manifests.get(revision)

    def served(self, revision: str) -> Manifest | None:
        """What a revision consists of that lies here whole."""
        return self.manifest(revision) if revision in self.given or (is_hash(revision) and (self.path / revision).is_dir()) else None

    def manifest_bytes(self, revision: str) -> bytes | None:
        """The bytes of a manifest that lies here undamaged."""
        if revision in self.given:
            return self.given[revision][1].encode()
        try:
            with (self.path / f"{revision}.manifest").open("rb") as file:
                data = file.read(MANIFEST_BYTES_MAX + 1)
        except OSError:
            return None
        return data if revision_hash(data) == revision else None

    def give(self, folder: Path) -> str:
        """This machine was started with a folder of its own: its revision."""
        manifest = manifest_of(folder)
        revision = revision_hash(manifest.encode())
        self.given[revision] = (folder, manifest)
        return revision

    def is_sound(self, revision: str) -> bool:
        """Whether every file is there, with its size, and the small ones with their content. Models are held against the file's hash
        whenever a deployment is read, so that each is read once."""
        manifest = self.manifest(revision)
        if manifest is None:
            return False
        folder = self.folder(revision)
        for file in manifest.files:
            path = folder / file.path
            try:
                if path.stat().st_size != file.size or (file.size <= CHUNK_BYTES and chunks_of(path) != file.chunks):
                    return False
            except OSError:
                return False
        return True

    def begin(self, revision: str, data: bytes) -> Arriving:
        """A revision is to come; `data` is its manifest. Raises RevisionError, saying so when the disk has not enough room."""
        from mesh.shell.arriving import Arriving

        if revision_hash(data) != revision:
            raise RevisionError(f"what was sent as the manifest of revision {revision[:8]} is that of another: it was refused")
        try:
            manifest = parse(data)
        except WireError as fault:
            raise RevisionError(f"the manifest of revision {revision[:8]} was refused: {fault.what}") from None
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(self.path / f"{revision}.manifest", data)
        except OSError as error:
            raise disk_fault(self.path, error) from None
        self._manifests[revision] = manifest
        return Arriving(self, revision, manifest)

    def reopen(self, revision: str) -> None:
        """A revision that is no good any more counts as on its way again; its files stay, to be held against their hashes."""
        inside = self.path / revision
        if inside.is_dir():
            for here, _, files in os.walk(inside):
                for name in files:
                    os.utime(Path(here) / name)  # touched: it is read again before it is believed
            os.replace(inside, self.path / f"{revision}.part")

    def prune(self, keep: Iterable[str]) -> list[str]:
        """Remove what belongs to no revision of these. Returns what was removed."""
        kept, removed = set(keep), []
        for path in _inside(self.path):
            revision = path.name.partition(".")[0]
            if revision in kept:
                continue
            if path.is_dir() and not path.is_symlink():
                aside = path if path.suffix else path.with_name(f"{revision}.old")  # so that half of one is never taken for the whole
                with suppress(OSError):
                    os.replace(path, aside)
                make_writable(aside)
                shutil.rmtree(aside, ignore_errors=True)
            else:
                with suppress(OSError):
                    path.unlink()
            removed.append(path.name)
            self._manifests.pop(revision, None)
        return removed


def manifest_of(folder: Path, *, strict: bool = False) -> Manifest:
    """What the work in a folder consists of. `strict`, for sending it: raises RevisionError for what cannot go with it, by name."""
    if strict and (faults := unsendable(folder)):
        path, fault = next(iter(faults.items()))
        others = f"; and {len(faults) - 1} more: `roomful check` names all" if len(faults) > 1 else ""
        raise RevisionError(f"the file {path!r} {fault}, so it cannot be sent{others}" if path else fault, where=str(folder), instead=MEND)
    inside = folder.resolve()
    return Manifest(tuple(sorted(_file(folder, path, strict) for path in folder_files(folder) if not _path_fault(inside, path))))


def unsendable(folder: Path) -> dict[str, str]:
    """Why a folder cannot be sent as it lies here: path -> what is wrong with it, "" for the whole. `check` and `up` judge by it."""
    paths, inside = folder_files(folder), folder.resolve()
    faults = {**left_behind(folder), **{path: f"differs from {twin!r} by no more than capital letters" for path, twin in alike(paths)}}
    faults |= {path: fault for path in (*paths, *faults) if (fault := _path_fault(inside, path))}
    files = []
    for path in paths:
        if path in faults:
            continue
        try:
            with (folder / path).open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                files.append(File(path, False, size, tuple(bytes(32) for _ in range(0, size, CHUNK_BYTES))))
        except OSError as error:
            faults.setdefault(path, f"cannot be read ({error.strerror})")
    try:
        Manifest(tuple(files)).encode()
    except WireError as too_much:
        faults[""] = too_much.what
    return dict(sorted(faults.items()))


def _path_fault(inside: Path, path: str) -> str:
    """`inside`: the folder, resolved."""
    return path_fault(path) or ("" if (inside / path).resolve().is_relative_to(inside) else "leads outside the folder")


def _file(folder: Path, path: str, strict: bool) -> File:
    try:
        about = (folder / path).stat()
        file = File(path, _is_executable(folder / path, about.st_mode), about.st_size, chunks_of(folder / path))
        after = (folder / path).stat()
        if strict and (after.st_size, after.st_mtime_ns) != (about.st_size, about.st_mtime_ns):
            raise RevisionError(f"the file {path!r} was written to while it was read", where=str(folder),
                                instead="Wait until it is whole, or have it written elsewhere, and say it again.")
        return file
    except OSError as error:
        raise RevisionError(f"the file {path!r} cannot be read: {error.strerror}", where=str(folder),
                            instead="Make it readable for the user who starts roomful.") from None


def _is_executable(path: Path, mode: int) -> bool:
    """A USB stick marks every file as executable: only what could be executed counts."""
    if not mode & stat.S_IXUSR:
        return False
    with path.open("rb") as file:
        return file.read(4).startswith(_EXECUTABLE_HEADS)


def chunks_of(path: Path) -> tuple[bytes, ...]:
    """The SHA-256 of each chunk of a file."""
    about = path.stat()
    key = (str(path.absolute()), about.st_size, about.st_mtime_ns)
    if key not in _chunks:
        with path.open("rb") as file:
            _chunks[key] = tuple(hashlib.sha256(chunk).digest() for chunk in iter(lambda: file.read(CHUNK_BYTES), b""))
    return _chunks[key]


def write_whole(path: Path, data: bytes) -> None:
    """A small file, whole or not at all, and on the disk before it returns."""
    beside = path.with_name(path.name + ".new")
    with beside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
    sync_folder(path.parent)


def disk_fault(path: Path, error: OSError) -> RevisionError:
    """A disk that does not do what it should, in words."""
    return RevisionError(f"the disk does not take it: {(error.strerror or str(error)).lower()}", where=str(path),
                         instead="Free some space there, or look after the disk; it is tried again.")


def make_writable(folder: Path) -> None:
    """Folders that may be emptied."""
    for here, _, _ in os.walk(folder):
        with suppress(OSError):
            os.chmod(here, 0o700)


def _inside(folder: Path) -> Iterator[Path]:
    try:
        yield from sorted(folder.iterdir())
    except OSError:
        return
