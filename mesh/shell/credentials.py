"""What a machine's node proves itself by, and what it knows others by.

    mine = load_credentials(path, store)      for an agent; KeyFileError as `load_key`
    mine = for_command(path, home)            for a command that asks a node
    let_in(key, node, number) -> Credentials  what `roomful key add` makes of the key as it is typed
    save_member(path, mine)

The key's file is one of two kinds. The owner's, where the key was made, holds the whole key: its node vouches for itself
at each start. A member's holds what remains when the key was typed there
once: the installation's *public* key, the node's two secrets, its certificate, and the room's key, by which machines that
were ever let in know each other's datagrams. Nobody can vouch for another machine with it, send a deployment, or go on
after it was shut out. The certificate names the node: its id comes from there, so that a damaged store does not lock a
machine out of its room.

A command speaks as its machine's node, where there is one; else the owner's vouches for a pair of its own, for this once.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zmq
from nacl.signing import SigningKey
from zmq.utils import z85

from mesh.shell.certificates import NODE, OPERATOR, OWNER, Certificate, issue, read, vouch
from mesh.shell.keys import (
    MEMBER_FORMAT,
    InstallationKey,
    KeyFileError,
    derive,
    load_key,
    read_secret,
    save_secret,
    throwaway_key,
)
from mesh.shell.storage import Store, node_id

SEED_BYTES = 32
ISSUE = "issue"  # in the store: the highest number of a certificate that this node was given
NODE_KEY = "node-key"  # beside an owner's key: its node's own secrets
_DAMAGED = "Give this machine the key again: move the file away, then roomful key add."


@dataclass(frozen=True, slots=True)
class Credentials:
    """One holder's proof. `curve_secret` as ZeroMQ takes it (Z85); `owner`: the whole key, where it is kept."""

    verify_key: bytes
    certificate: Certificate
    room_key: bytes = field(repr=False)
    curve_secret: bytes = field(repr=False)
    seed: bytes = field(repr=False)
    owner: InstallationKey | None = field(default=None, repr=False)

    @property
    def node(self) -> str:
        """Whom it is for."""
        return self.certificate.node

    @property
    def public(self) -> bytes:
        """The public half of the CURVE pair (Z85)."""
        return self.certificate.public

    @property
    def introduction_key(self) -> bytes:
        """Under which certificates travel in the open."""
        return derive(self.room_key, b"roomful-intro")

    @property
    def door_key(self) -> str:
        """By which the processes of one machine find each other's doors (`near`)."""
        return derive(self.room_key, b"roomful-door").hex()

    def hash(self, installation: str) -> str:
        """16 hex digits that tell machines of one installation and one key from others; says nothing of the key."""
        name_key = derive(self.room_key, b"roomful-name")
        return hashlib.blake2b(installation.encode(), key=name_key, digest_size=8).hexdigest()

    def vouch(self, instance: str, generation: int, public: str) -> str:
        """This node's word for the key of one of its processes."""
        return vouch(self.seed, self.node, instance, generation, public)


def let_in(key: InstallationKey, node: str, number: int = 1, *, kind: int = NODE, keep: bool = False) -> Credentials:
    """New secrets for a node, with a certificate for them; `keep` the whole key with them."""
    _, curve_secret = zmq.curve_keypair()
    return _vouched(key, node, number, kind, curve_secret, secrets.token_bytes(SEED_BYTES), keep)


def throwaway_credentials(key: InstallationKey | None = None, node: str = "") -> Credentials:
    """Of a node that is kept nowhere."""
    return let_in(key or throwaway_key(), node or secrets.token_hex(16), keep=True)


def _vouched(key: InstallationKey, node: str, number: int, kind: int, curve_secret: bytes, seed: bytes, keep: bool) -> Credentials:
    curve = z85.decode(zmq.curve_public(curve_secret))
    certificate = issue(key, node, curve, bytes(SigningKey(seed).verify_key), number, kind)
    return Credentials(key.verify_key, certificate, key.room_key, curve_secret, seed, key if keep else None)


def save_member(path: Path, mine: Credentials, *, replace: bool = False) -> None:
    """Writes a member's file. Raises KeyFileError as `save_secret`."""
    value = {
        "verify_key": mine.verify_key.hex(), "room_key": mine.room_key.hex(), "certificate": mine.certificate.pack().hex(),
        "curve_secret": mine.curve_secret.decode(), "seed": mine.seed.hex(),
    }  # fmt: skip
    save_secret(path, f"{MEMBER_FORMAT}\n{json.dumps(value, indent=1)}\n", replace=replace)


def next_issue(store: Store | None, before: int) -> int:
    """The number of this node's next certificate, above `before` and above every one that it was ever given: also where the key's file was
    lost meanwhile, since one that was shut out stays out up to its number. Kept in `store`. Raises StorageError."""
    kept = store.read(ISSUE, 0) if store is not None else 0
    number = max(before, kept if isinstance(kept, int) else 0) + 1
    if store is not None:
        store.write(ISSUE, number)
    return number


def load_member(path: Path) -> Credentials | None:
    """What a member's file holds; None for an owner's. Raises KeyFileError for what is damaged or absent."""
    text = read_secret(path)
    if not text.startswith(MEMBER_FORMAT):
        return None
    try:
        value: dict[str, Any] = json.loads(text[len(MEMBER_FORMAT) :])
        verify_key, packed = bytes.fromhex(value["verify_key"]), bytes.fromhex(value["certificate"])
        curve_secret, seed = str(value["curve_secret"]).encode(), bytes.fromhex(value["seed"])
        certificate = read(packed, verify_key)
        if certificate is None or zmq.curve_public(curve_secret) != certificate.public or len(seed) != SEED_BYTES:
            raise ValueError("its parts do not belong together")
        return Credentials(verify_key, certificate, bytes.fromhex(value["room_key"]), curve_secret, seed)
    except (ValueError, KeyError, TypeError, zmq.ZMQError) as error:
        raise KeyFileError(f"the key's file is damaged: {error}", where=str(path), instead=_DAMAGED) from None


def load_credentials(path: Path, store: Store) -> Credentials:
    """What this machine's agent proves itself by. Raises KeyFileError, and StorageError where an owner's own pair cannot be kept."""
    member = load_member(path)
    if member is not None:
        return member
    key, node = load_key(path), node_id(store)
    curve_secret, seed, number = _own_pair(store) or _new_pair(store, 0)  # damaged: the owner can vouch for another
    return _vouched(key, node, number, OWNER, curve_secret, seed, keep=True)


def renew_owner(path: Path, store: Store) -> Credentials:
    """Other secrets for the node of a machine that keeps the whole key, under a number above every earlier one: it was shut out, and its
    owner lets it in again. Its agent must start anew. Raises KeyFileError and StorageError."""
    key, before = load_key(path), _own_pair(store)
    curve_secret, seed, number = _new_pair(store, before[2] if before is not None else 1)
    return _vouched(key, node_id(store), number, OWNER, curve_secret, seed, keep=True)


def _own_pair(store: Store) -> tuple[bytes, bytes, int] | None:
    """(CURVE secret, seed, number of the certificate) of an owner's node; None where there are none that are whole."""
    try:
        value = json.loads(read_secret(store.folder / NODE_KEY))
        curve_secret, seed, number = str(value["curve_secret"]).encode(), bytes.fromhex(value["seed"]), int(value.get(ISSUE, 1))
        zmq.curve_public(curve_secret)
    except (KeyFileError, ValueError, KeyError, TypeError, AttributeError, zmq.ZMQError):
        return None
    return (curve_secret, seed, number) if len(seed) == SEED_BYTES and 0 < number < 2**32 else None


def _new_pair(store: Store, before: int) -> tuple[bytes, bytes, int]:
    number = next_issue(store, before)
    _, curve_secret = zmq.curve_keypair()
    seed = secrets.token_bytes(SEED_BYTES)
    kept = {"curve_secret": curve_secret.decode(), "seed": seed.hex(), ISSUE: number}
    save_secret(store.folder / NODE_KEY, json.dumps(kept) + "\n", replace=True)
    return curve_secret, seed, number


def for_command(path: Path, home: Path) -> Credentials:
    """What a command asks nodes by; `home`: the folder of the node on this machine, if there is one. Raises KeyFileError."""
    member = load_member(path)
    if member is None and (home / NODE_KEY).exists():
        return load_credentials(path, Store(home))
    return member or let_in(load_key(path), secrets.token_hex(16), kind=OPERATOR, keep=True)
