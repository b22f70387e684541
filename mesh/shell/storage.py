"""What a node must remember when the power goes: small values on disk, whole or as they were before.

    store = Store(folder)
    store.write("epochs", {"poet/1": 4})        StorageError when the disk is full or read-only
    store.read("epochs", {})                     never raises; damage is told in store.damaged
    me = read_identity(store, name="door")       Identity(node, incarnation, name)

Galleries switch rooms off at the wall. A value is written beside the old one, forced to disk, and renamed over
it; the old one is kept as `.previous`. Each file begins with a checksum of what follows, so that a file cut or garbled
at any byte is known as such and the previous value is read.

What was told to others and what is on disk. A life's number is on disk before anything is told (`read_identity`), and so is the
deployment's folder. All else (epochs, the order, a number raised in mid-life, peers) is written in the order in which it was
decided, by one thread, while the node goes on: a take-over that waited for an SD card would be seen by visitors. A cut may so
lose the last of these. It does no harm: a node that starts listens for a second before it claims anything, whoever heard a
higher number says so, and the node goes above it (DESIGN.md, 4.2 and 4.10; the simulator loses last writes too).

Decided against: SQLite (a journal of its own to recover, and one file in which damage reaches everything) and an append-only
log (grows on a machine that runs for months).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from mesh.errors import RoomfulError

MAGIC = b"roomful-store-1 "
CHECK_HEX = 32
VALUE_BYTES_MAX = 16_000_000
RAISED_MAX = 1000  # by more than this nobody raises his number in one life: skipped when the number raised last was damaged
_KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}")
_ABSENT = object()


class StorageError(RoomfulError):
    """The node's memory cannot be written. The node plays on; what it learnt now is lost at the next start."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this node is: `node` 32 hex digits for ever, `incarnation` this life's number, `name` as given or ""."""

    node: str
    incarnation: int
    name: str


def home() -> Path:
    """The folder of this machine's node: ROOMFUL_HOME, or the user's state folder."""
    given = os.environ.get("ROOMFUL_HOME")
    return Path(given) if given else Path(platformdirs.user_state_dir("roomful"))


class Store:
    """Named JSON values in one folder. `damaged` collects a sentence for each value found broken."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.damaged: list[str] = []

    def read(self, key: str, default: Any = None) -> Any:
        """The value last written, or the one before when that is damaged, or `default`. Never raises."""
        value, _ = self.read_with_age(key, default)
        return value

    def read_with_age(self, key: str, default: Any = None) -> tuple[Any, int]:
        """The value and how old it is: 0 the last written, 1 the one before (or worse), -1 never written."""
        path = self._path(key)
        current = _load(path)
        if current is not _ABSENT and current is not _DAMAGED:
            return current, 0
        before = _load(_previous(path))
        if before is not _ABSENT and before is not _DAMAGED:
            if current is _DAMAGED:
                self.damaged.append(f"{path} was damaged; the value before it was used")
            return before, 1
        if current is _ABSENT and before is _ABSENT:
            return default, -1
        self.damaged.append(f"{path} and the value before it were damaged; begun afresh")
        return default, 1

    def write(self, key: str, value: Any) -> None:
        """Keeps a JSON value; on return it is on disk.

        Raises:
            StorageError: the disk is full, read-only, or failing.
        """
        path = self._path(key)
        body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        scratch = path.with_name(path.name + ".part")
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with scratch.open("wb") as file:
                file.write(MAGIC + _check(body) + b"\n" + body)
                file.flush()
                os.fsync(file.fileno())
            # A damaged value must not push out the good one before it.
            if _load(path) not in (_ABSENT, _DAMAGED):
                os.replace(path, _previous(path))
            os.replace(scratch, path)
            sync_folder(self.folder)
        except OSError as error:
            with contextlib.suppress(OSError):
                scratch.unlink()
            instead = "Free some space, or make the folder writable; ROOMFUL_HOME chooses another folder."
            raise StorageError(f"could not be written: {error.strerror}", where=str(path), instead=instead) from None

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError(f"not a key of the store: {key!r}")
        return self.folder / f"{key}.json"


def node_id(store: Store) -> str:
    """This node's id; made, and kept, when there is none yet. Raises StorageError."""
    kept = store.read("node", {})
    node = _node_of(kept if isinstance(kept, dict) else {})
    if node is None:
        node = uuid.uuid4().hex
        store.write("node", {"node": node, "incarnation": 0, "name": ""})
    return node


def read_identity(store: Store, name: str = "", node: str = "") -> Identity:
    """This node's identity, one life further; made at the first start. On disk before it returns. `node`: its id, where something
    else than the store has it for certain (its certificate).

    Above every number of an earlier life that is on disk. A life counted on a damaged disk skips numbers, since the lost value may
    have been higher.

    Raises:
        StorageError: it could not be kept; a node that forgets who it was must not play.
    """
    kept, age = store.read_with_age("node", {})
    kept = kept if isinstance(kept, dict) else {}
    node = node or _node_of(kept) or uuid.uuid4().hex
    raised, raised_age = store.read_with_age("incarnation", 0)  # by a refutation, in mid-life
    lived = max(_count(kept.get("incarnation", 0)), _count(raised) + (RAISED_MAX if raised_age == 1 else 0))
    given = name or str(kept.get("name") or "")
    identity = Identity(node, lived + (2 if age == 1 else 1), given)
    store.write("node", {"node": node, "incarnation": identity.incarnation, "name": given})
    return identity


def _node_of(kept: dict[str, Any]) -> str | None:
    node = kept.get("node")
    return node if isinstance(node, str) and re.fullmatch(r"[0-9a-f]{32}", node) else None


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


_DAMAGED = object()


def _load(path: Path) -> Any:
    """The value in a file, or `_ABSENT`, or `_DAMAGED`."""
    try:
        with path.open("rb") as file:
            raw = file.read(VALUE_BYTES_MAX + 1)
    except FileNotFoundError:
        return _ABSENT
    except OSError:
        return _DAMAGED
    head, body = raw[: len(MAGIC) + CHECK_HEX + 1], raw[len(MAGIC) + CHECK_HEX + 1 :]
    if head != MAGIC + _check(body) + b"\n":
        return _DAMAGED
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return _DAMAGED


def _check(body: bytes) -> bytes:
    return hashlib.blake2b(body, person=b"roomful-store", digest_size=CHECK_HEX // 2).hexdigest().encode()


def _previous(path: Path) -> Path:
    return path.with_name(path.name + ".previous")


def sync_folder(folder: Path) -> None:
    """Forces the renames themselves to disk; a file system that cannot do this is not a fault."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)
