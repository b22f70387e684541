"""What a revision of a deployment consists of: its files, their modes, and the SHA-256 of every chunk of them.

    manifest = Manifest((File("deployment.yaml", False, 812, (digest,)), …))
    data = manifest.encode();  revision = revision_hash(data)      one folder has one manifest, one manifest one hash
    manifest = parse(data)                                         WireError for anything that is not exactly such bytes

The hash of the manifest is the revision's: whoever has a vouched-for hash can take the manifest, and every chunk that it
names, from anybody, since each is held against its hash before it is used. Chunks are of one fixed size, so that an
unchanged part of a model that grew is found again. The manifest is read strictly, because it names paths: what is not
inside the folder, is hidden, is named twice, or stands in another's way cannot be said in it.

Decided against: one hash per file (a 4 GB model that breaks off at 3.9 GB would begin again), a tree of hashes (a manifest
of 4 GB is 128 KB, which travels as one message), content-defined chunks (models change as wholes), and links in a manifest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import msgpack

from mesh.core.files import LEFT_OUT
from mesh.errors import WireError

VERSION = 1
CHUNK_BYTES = 1 << 20
DIGEST_BYTES = 32
MANIFEST_BYTES_MAX = 7_000_000  # about 200 GB of models; below what a line takes as one message
FILES_MAX = 80_000
PATH_BYTES_MAX, NAME_BYTES_MAX, DEPTH_MAX = 1024, 240, 32


class File(NamedTuple):
    """One file: its path in the folder with forward slashes, whether it may be executed, its bytes, its chunks' SHA-256."""

    path: str
    executable: bool
    size: int
    chunks: tuple[bytes, ...]


class Place(NamedTuple):
    """Where a chunk lies: in which file, at which byte."""

    file: int
    offset: int


@dataclass(frozen=True)
class Manifest:
    """The files of a folder, in the order of their paths. A chunk that occurs several times is fetched once: it has one number,
    its index in `digests`."""

    files: tuple[File, ...]

    @cached_property
    def digests(self) -> tuple[bytes, ...]:
        """Each chunk once, in the order in which it first occurs."""
        return tuple(self.places)

    @cached_property
    def places(self) -> dict[bytes, tuple[Place, ...]]:
        """Chunk -> everywhere that it belongs."""
        found: dict[bytes, list[Place]] = {}
        for number, file in enumerate(self.files):
            for index, digest in enumerate(file.chunks):
                found.setdefault(digest, []).append(Place(number, index * CHUNK_BYTES))
        return {digest: tuple(places) for digest, places in found.items()}

    @cached_property
    def index(self) -> dict[bytes, int]:
        """Chunk -> its number."""
        return {digest: number for number, digest in enumerate(self.digests)}

    @cached_property
    def by_path(self) -> dict[str, File]:
        """The files by their paths."""
        return {file.path: file for file in self.files}

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    def chunk_size(self, digest: bytes) -> int:
        """Bytes of one chunk."""
        place = self.places[digest][0]
        return min(CHUNK_BYTES, self.files[place.file].size - place.offset)

    def encode(self) -> bytes:
        """The one way to write it. Raises WireError when there is too much of it."""
        rows = [[file.path, file.executable, file.size, b"".join(file.chunks)] for file in self.files]
        data: bytes = msgpack.packb([VERSION, rows], use_bin_type=True)
        if len(data) > MANIFEST_BYTES_MAX or len(rows) > FILES_MAX:
            raise WireError(f"the folder has {len(rows)} files and {self.size / 1e9:.1f} GB, more than can be sent as one",
                            instead="Leave out what does not belong to the work; `training/` and hidden files are not sent.")
        return data


def revision_hash(data: bytes) -> str:
    """The revision that these bytes of a manifest describe: 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def is_hash(text: object) -> bool:
    """Whether this can be a revision's hash."""
    return isinstance(text, str) and len(text) == 64 and all(letter in "0123456789abcdef" for letter in text)


def parse(data: bytes) -> Manifest:
    """The manifest. Raises WireError, and nothing else, with what is wrong with it."""
    if len(data) > MANIFEST_BYTES_MAX:
        raise WireError(f"a manifest of {len(data)} bytes exceeds {MANIFEST_BYTES_MAX}")
    try:
        version, rows = msgpack.unpackb(data, raw=False, use_list=True, max_array_len=FILES_MAX, max_map_len=0)
        if version != VERSION or not isinstance(rows, list):
            raise ValueError(f"version {version!r:.20} is not {VERSION}")
        manifest = Manifest(tuple(_file(row) for row in rows))
    except (ValueError, TypeError, RecursionError, OverflowError, msgpack.UnpackException) as fault:
        raise WireError(f"not a manifest: {fault}") from None
    fault_of_paths = _clash([file.path for file in manifest.files])
    if fault_of_paths:
        raise WireError(f"not a manifest: {fault_of_paths}")
    if manifest.encode() != data:
        raise WireError("not a manifest: it is not written in the one way that it can be")
    for digest, places in manifest.places.items():
        if len({min(CHUNK_BYTES, manifest.files[each.file].size - each.offset) for each in places}) > 1:
            raise WireError(f"not a manifest: chunk {digest.hex()[:8]} has two sizes")
    return manifest


def _file(row: Any) -> File:
    path, executable, size, chunks = row
    if not isinstance(path, str) or not isinstance(executable, bool) or not isinstance(chunks, bytes):
        raise ValueError("a file is not described as [path, executable, size, chunks]")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < 1 << 62:
        raise ValueError(f"{path[:60]!r} has no size")
    fault = path_fault(path)
    if fault:
        raise ValueError(f"the path {path[:60]!r} {fault}")
    if len(chunks) != DIGEST_BYTES * -(-size // CHUNK_BYTES):
        raise ValueError(f"{path[:60]!r} of {size} bytes has {len(chunks)} bytes of hashes")
    return File(path, executable, size, tuple(chunks[at : at + DIGEST_BYTES] for at in range(0, len(chunks), DIGEST_BYTES)))


def path_fault(path: str) -> str:
    """Why no file of a revision can have this path; "" when it can."""
    try:
        raw = path.encode()
    except UnicodeEncodeError:
        return "is not a text"
    names = path.split("/")
    if not path or len(raw) > PATH_BYTES_MAX or len(names) > DEPTH_MAX:
        return "is empty, too long or too deep"
    for name in names:
        if name in ("", ".", ".."):
            return "leaves the folder"
        if name.startswith(".") or name == "__pycache__":
            return "is hidden"
        if len(name.encode()) > NAME_BYTES_MAX:
            return "has a name that is too long"
        if any(letter in "\\:" or ord(letter) < 32 or ord(letter) == 127 for letter in name):
            return "has a character that no file name should have"
    return "is not part of the work" if names[0] in LEFT_OUT else ""


def _clash(paths: Sequence[str]) -> str:
    """Why these cannot be the files of one folder; "" when they can."""
    if list(paths) != sorted(set(paths)):
        return "its paths are not in order, or one is named twice"
    folders = {path[:at] for path in paths for at, letter in enumerate(path) if letter == "/"}
    both = folders & set(paths)
    return f"{min(both)[:60]!r} is a file and a folder" if both else ""


# ---- holding two against each other


def changed_paths(old: Manifest, new: Manifest) -> dict[str, str]:
    """Path -> "added", "removed" or "changed", of all that is not the same in both."""
    found = {path: "removed" for path in old.by_path if path not in new.by_path}
    for path, file in new.by_path.items():
        if path not in old.by_path:
            found[path] = "added"
        elif old.by_path[path] != file:
            found[path] = "changed"
    return dict(sorted(found.items()))


def lacking(wanted: Manifest, held: Iterable[Manifest]) -> int:
    """Bytes that must be sent to a machine that holds these revisions."""
    there = {digest for manifest in held for digest in manifest.places}
    return sum(wanted.chunk_size(digest) for digest in wanted.digests if digest not in there)


def room_needed(wanted: Manifest, linkable: Iterable[Manifest]) -> int:
    """Bytes that it takes on a disk: whole files of revisions in the same store are linked, all else is written."""
    there = {(file.size, file.chunks, file.executable) for manifest in linkable for file in manifest.files}
    return sum(file.size for file in wanted.files if (file.size, file.chunks, file.executable) not in there)


def bits_of(indices: Iterable[int]) -> int:
    """A set of chunk numbers as the bits of one number, which is how it travels."""
    bits = 0
    for index in indices:
        bits |= 1 << index
    return bits


def indices_of(bits: int) -> Iterator[int]:
    """The chunk numbers in a set, ascending."""
    for at, byte in enumerate(bits.to_bytes(-(-bits.bit_length() // 8), "little")):
        while byte:
            low = byte & -byte
            yield at * 8 + low.bit_length() - 1
            byte ^= low
