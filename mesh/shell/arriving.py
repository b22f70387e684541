"""One revision on its way to this machine: each chunk goes to its place in the files as soon as it is known to be right.

    arriving = store.begin(hash, manifest)       RevisionError when the disk has no room for it
    for _ in arriving.prepare(): …               what lies here of it already: linked, copied, or found again after a cut
    arriving.have                                the chunks that are here, as bits
    arriving.put(index, chunk)                   RevisionError for one that is not what its hash says
    folder = arriving.finish()                   to the disk, and into its place, at once

There is no list of what has arrived: after a cut every chunk that lies there is held against its hash, so that nothing is believed
that the disk did not keep. Only when everything is on the disk does the folder get its name. A chunk that lies somewhere else on
this machine, in any revision or in the folder it was started with, is copied from there instead of being fetched.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from mesh.core.manifest import CHUNK_BYTES, File, Manifest, Place
from mesh.shell.revisions import RevisionError, Revisions, disk_fault
from mesh.shell.storage import sync_folder

MANY_FILES = 50
RESERVE_BYTES = 64_000_000  # what stays free on the disk for everything else


class Arriving:
    """Made by `Revisions.begin`."""

    def __init__(self, store: Revisions, revision: str, manifest: Manifest) -> None:
        self.revision, self.manifest, self.have = revision, manifest, 0
        self._store = store
        self._part = store.path / f"{revision}.part"
        self._linked: set[int] = set()  # files that are whole because they are those of another revision
        self._fresh: set[int] = set()  # files in which nothing can lie yet
        self.copied = 0  # bytes that did not need to be fetched
        if revision in store.whole():
            self.have = (1 << len(manifest.digests)) - 1
            self._linked = set(range(len(manifest.files)))
            return
        try:
            self._lay_out()
        except OSError as error:
            raise disk_fault(store.path, error) from None

    # ---- what lies here already

    def _lay_out(self) -> None:
        """The folders, links to files of other revisions, and empty files of the right size for the rest."""
        self._part.mkdir(mode=0o700, exist_ok=True)
        twins = self._twins()
        needed = sum(file.size - self._taken(file) for file in self.manifest.files if _kind(file) not in twins)
        free = shutil.disk_usage(self._store.path).free
        if needed + RESERVE_BYTES > free:
            raise RevisionError(
                f"the disk has {free / 1e6:,.0f} MB free and it needs {(needed + RESERVE_BYTES) / 1e6:,.0f} MB",
                where=str(self._store.path), instead="Free some space on that machine, or send a smaller folder.")
        for number, file in enumerate(self.manifest.files):
            path = self._path(file)
            path.parent.mkdir(parents=True, exist_ok=True)
            twin = twins.get(_kind(file))
            if twin is not None and not os.path.lexists(path):
                with suppress(OSError):  # a file system without links
                    os.link(twin, path)
            if path.exists() and _is_untouched(path, file):
                self._linked.add(number)
                self.copied += file.size
                continue
            if path.is_symlink() or (os.path.lexists(path) and not path.is_file()):
                raise RevisionError(f"something else lies where a file of revision {self.revision[:8]} belongs", where=str(path),
                                    instead="Remove it; nothing of Roomful puts anything but files there.")
            if path.exists() and path.stat().st_size == file.size and path.stat().st_nlink == 1:
                os.chmod(path, 0o600)
                continue
            path.unlink(missing_ok=True)
            self._fresh.add(number)
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as made:
                made.truncate(file.size)

    def _twins(self) -> dict[tuple[object, ...], Path]:
        """What can be linked: (content, mode) -> a file of another revision of the store that nobody has touched."""
        found: dict[tuple[object, ...], Path] = {}
        for revision in self._store.whole():
            manifest = self._store.manifest(revision)
            folder = self._store.path / revision
            if manifest is None or not folder.is_dir():
                continue
            for file in manifest.files:
                if _is_untouched(folder / file.path, file):
                    found.setdefault(_kind(file), folder / file.path)
        return found

    def _taken(self, file: File) -> int:
        """Bytes that its file takes on the disk already."""
        try:
            return min(file.size, self._path(file).lstat().st_blocks * 512)
        except OSError:
            return 0

    def prepare(self) -> Iterator[None]:
        """Finds again what came before a cut, and copies what lies elsewhere on this machine. A step after each chunk."""
        linked = {digest for number in self._linked for digest in self.manifest.files[number].chunks}
        elsewhere = self._elsewhere()
        for index, digest in enumerate(self.manifest.digests):
            places = [place for place in self.manifest.places[digest] if place.file not in self._linked]
            if not places or (digest in linked and self._copy_from_linked(index, digest)):
                self.have |= 1 << index
                continue
            size = self.manifest.chunk_size(digest)
            for place in places:
                chunk = self._lies_there(place, size)
                if _is(digest, chunk):
                    self._write(index, chunk)
                    break
            if self.have >> index & 1:
                yield
                continue
            for path, offset in elsewhere.get(digest, ()):
                chunk = _read(path, offset, size)
                if _is(digest, chunk):
                    self._write(index, chunk)
                    self.copied += size
                    break
            yield

    def _lies_there(self, place: Place, size: int) -> bytes:
        """What lies where a chunk belongs; empty where nothing was ever written."""
        return b"" if place.file in self._fresh else _read(self._path(self.manifest.files[place.file]), place.offset, size, written=True)

    def _copy_from_linked(self, index: int, digest: bytes) -> bool:
        """A chunk that also belongs to a file which is not linked."""
        place = next(each for each in self.manifest.places[digest] if each.file in self._linked)
        chunk = _read(self._path(self.manifest.files[place.file]), place.offset, self.manifest.chunk_size(digest))
        if not _is(digest, chunk):
            return False
        self._write(index, chunk)
        return True

    def _elsewhere(self) -> dict[bytes, list[tuple[Path, int]]]:
        """Chunk -> where it should lie on this machine, besides here."""
        wanted, found = self.manifest.index, {}  # type: tuple[dict[bytes, int], dict[bytes, list[tuple[Path, int]]]]
        for revision in self._store.whole():
            manifest = self._store.manifest(revision)
            if manifest is None or revision == self.revision:
                continue
            for digest, places in manifest.places.items():
                if digest in wanted:
                    file = manifest.files[places[0].file]
                    found.setdefault(digest, []).append((self._store.folder(revision) / file.path, places[0].offset))
        return found

    # ---- what comes

    @property
    def done(self) -> bool:
        """Whether every chunk is here."""
        return self.have == (1 << len(self.manifest.digests)) - 1

    def is_right(self, index: int, chunk: bytes | memoryview) -> bool:
        """Whether these bytes are that chunk."""
        return 0 <= index < len(self.manifest.digests) and _is(self.manifest.digests[index], chunk)

    def put(self, index: int, chunk: bytes | memoryview) -> None:
        """A chunk came. Raises RevisionError when it is not what its hash says, or cannot be written."""
        if not 0 <= index < len(self.manifest.digests):
            raise RevisionError(f"revision {self.revision[:8]} has no chunk {index}")
        if not _is(self.manifest.digests[index], chunk):
            raise RevisionError(f"chunk {index} of revision {self.revision[:8]} is not what its hash says")
        if not self.have >> index & 1:
            self._write(index, chunk)

    def _write(self, index: int, chunk: bytes | memoryview) -> None:
        try:
            for place in self.manifest.places[self.manifest.digests[index]]:
                if place.file in self._linked:
                    continue
                handle = os.open(self._path(self.manifest.files[place.file]), os.O_WRONLY | os.O_NOFOLLOW)
                try:
                    os.pwrite(handle, chunk, place.offset)
                finally:
                    os.close(handle)
        except OSError as error:
            raise disk_fault(self._part, error) from None
        self.have |= 1 << index

    def read(self, index: int) -> bytes:
        """A chunk that is here, for another machine; empty when it cannot be read."""
        return read_chunk(self.manifest, self._folder(), index) if self.have >> index & 1 else b""

    def _folder(self) -> Path:
        return self._part if self._part.is_dir() else self._store.path / self.revision

    def finish(self) -> Path:
        """Everything to the disk, then into its place. Slow; to be called from a thread that may wait. Raises RevisionError."""
        if self.revision in self._store.whole():
            return self._store.folder(self.revision)
        whole = self._store.path / self.revision
        try:
            came = [file for number, file in enumerate(self.manifest.files) if number not in self._linked]
            self._flush(came)  # before anything says that they are whole
            for file in came:
                os.chmod(self._path(file), 0o555 if file.executable else 0o444)
                os.utime(self._path(file), (_moment(file), _moment(file)))
            self._flush(came)
            for here, _, _ in os.walk(self._part, topdown=False):
                os.chmod(here, 0o700)
                sync_folder(Path(here))
            os.rename(self._part, whole)
            sync_folder(self._store.path)
        except OSError as error:
            raise disk_fault(self._part, error) from None
        return whole

    def _flush(self, files: list[File]) -> None:
        """To the disk; of very many files all at once, with whatever else waits to be written, since each by itself takes long."""
        if len(files) > MANY_FILES:
            os.sync()
            return
        for file in files:
            _sync(self._path(file))

    def _path(self, file: File) -> Path:
        return self._folder() / file.path


def read_chunk(manifest: Manifest, folder: Path, index: int) -> bytes:
    """A chunk of a revision that lies in `folder`; empty when it cannot be read."""
    if not 0 <= index < len(manifest.digests):
        return b""
    digest = manifest.digests[index]
    place = manifest.places[digest][0]
    return _read(folder / manifest.files[place.file].path, place.offset, manifest.chunk_size(digest))


def chunk_to_send(manifest: Manifest, folder: Path, index: int) -> bytes:
    """The same of a folder that somebody may work in. Raises RevisionError where it is another by now: nobody would take it."""
    digest, chunk = manifest.digests[index], read_chunk(manifest, folder, index)
    if not _is(digest, chunk):
        path = manifest.files[manifest.places[digest][0].file].path
        raise RevisionError(f"the file {path!r} was changed or taken away while it was sent", where=str(folder),
                            instead="Nothing has changed in the room. Say `roomful up` again, once the file is as it shall be.")
    return chunk


def _kind(file: File) -> tuple[object, ...]:
    return (file.size, file.chunks, file.executable)


def _moment(file: File) -> int:
    """The modification time of a file in the store: drawn from its content."""
    return 1_000_000_000 + int.from_bytes(hashlib.sha256(b"".join(file.chunks)).digest()[:4], "big") % 500_000_000


def _is_untouched(path: Path, file: File) -> bool:
    try:
        about = path.lstat()
    except OSError:
        return False
    return about.st_size == file.size and about.st_mtime == _moment(file) and not about.st_mode & 0o222


def _is(digest: bytes, chunk: bytes | memoryview) -> bool:
    return hashlib.sha256(chunk).digest() == digest


def _read(path: Path, offset: int, size: int, *, written: bool = False) -> bytes:
    """At most `size` bytes, never more than a chunk; empty when it cannot be read, or, with `written`, when it is a hole."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        if written and hasattr(os, "SEEK_DATA") and os.lseek(handle, offset, os.SEEK_DATA) >= offset + size:
            return b""
        return os.pread(handle, min(size, CHUNK_BYTES), offset)
    except OSError:  # also: no data to its end
        return b""
    finally:
        os.close(handle)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

