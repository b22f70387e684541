"""The one secret of an installation: whoever holds it says which machines are in the room.

    key = new_key(path)             made once, on one machine; KeyFileError if the file is there already
    key = load_key(path)            on every start; KeyFileError says absent, unreadable, wrong format or mistyped
    key = parse_key(text)           typed by a person from a sheet of paper
    key.sign(data) -> bytes         what only an owner of the key can say (Ed25519)
    verify(key.verify_key, data, signature) -> bool     by anybody, who need not hold the key
    key.room_key                    what every machine that was ever let in may know (`credentials`)
    key.group_key(number)           what the machines share that are in now: a new one at each revocation

The file is one line, `roomful-key-1 ` and 13 groups of four and a last of three characters, with a checksum, so
that a key can be read aloud or typed: letters and digits that look alike (O and 0, I, L and 1) are the same.
Only its owner's machine keeps it. On every other it is typed once, vouches for that machine's own keys, and is
forgotten (`credentials`), so that a machine that is stolen can be shut out, and no machine but the owner's can send
what runs on all. Decided against: a pass phrase (people choose weak ones), and certificates that are made on the
owner's machine and carried to the others (a spare machine must join with nothing but this line).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path

from nacl.exceptions import CryptoError
from nacl.signing import SigningKey, VerifyKey

from mesh.errors import RoomfulError
from mesh.shell.storage import home, sync_folder

FORMAT = "roomful-key-1"
MEMBER_FORMAT = "roomful-member-1"  # of a machine that was let in: `credentials`
SECRET_BYTES = 32
CHECK_BYTES = 2
GROUP = 4
# Crockford's base 32: no I, L, O, U. https://www.crockford.com/base32.html
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
ALIKE = str.maketrans("OIL", "011", " -\t\r\n")
LENGTH = -(-(SECRET_BYTES + CHECK_BYTES) * 8 // 5)


class KeyFileError(RoomfulError):
    """A key that is absent, unreadable or not a key."""


@dataclass(frozen=True, slots=True)
class InstallationKey:
    """The secret and what is derived from it. Printing one shows nothing of the secret."""

    secret: bytes = field(repr=False)
    room_key: bytes = field(init=False, repr=False)
    verify_key: bytes = field(init=False)

    def __post_init__(self) -> None:
        if len(self.secret) != SECRET_BYTES:
            raise KeyFileError("a key has 32 bytes", instead="Make one with: roomful key new")
        object.__setattr__(self, "room_key", derive(self.secret, b"roomful-room"))
        object.__setattr__(self, "verify_key", bytes(self._signing().verify_key))

    def _signing(self) -> SigningKey:
        return SigningKey(derive(self.secret, b"roomful-sign"))

    def sign(self, data: bytes) -> bytes:
        """The owner's signature, 64 bytes. `data` must begin with what it is for, so that no signature can be used as another."""
        return bytes(self._signing().sign(data).signature)

    @property
    def text(self) -> str:
        """The key as one line, as its file holds it."""
        return f"{FORMAT} {'-'.join(self.groups)}"

    @property
    def groups(self) -> tuple[str, ...]:
        """The key in groups of four characters to read aloud; its last characters are the checksum."""
        value = int.from_bytes(self.secret + _check(self.secret), "big")
        digits = "".join(ALPHABET[value >> (5 * place) & 31] for place in reversed(range(LENGTH)))
        return tuple(digits[at : at + GROUP] for at in range(0, LENGTH, GROUP))

    def group_key(self, number: int) -> bytes:
        """What the machines share that are in the room after `number` revocations. The first follows from the room's key; the
        others cannot be told from any before them."""
        return first_group_key(self.room_key) if number == 0 else derive(self.secret, b"roomful-group" + number.to_bytes(3, "big"))


def verify(verify_key: bytes, data: bytes, signature: bytes) -> bool:
    """Whether the owner of the key with this `verify_key` signed just these bytes. Never raises, whatever it is given."""
    try:
        VerifyKey(verify_key).verify(data, signature)
    except (CryptoError, ValueError, TypeError):
        return False
    return True


def fingerprint(verify_key: bytes) -> str:
    """Twelve characters that tell installations apart, to be compared by eye; no secret."""
    value = int.from_bytes(hashlib.blake2b(verify_key, person=b"roomful-print", digest_size=8).digest(), "big") >> 4
    digits = "".join(ALPHABET[value >> (5 * place) & 31] for place in reversed(range(12)))
    return "-".join(digits[at : at + GROUP] for at in range(0, 12, GROUP))


def first_group_key(room_key: bytes) -> bytes:
    """What the machines of a room share until somebody is shut out."""
    return derive(room_key, b"roomful-beat")


def letters(text: str) -> str:
    """The letters and digits of a key as a person types it: 55 when it is whole."""
    body = text.strip()
    if body.lower().startswith(FORMAT):
        body = body[len(FORMAT) :]
    return body.upper().translate(ALIKE)


def parse_key(text: str, *, where: str = "") -> InstallationKey:
    """A key as a person types it: with or without `roomful-key-1`, in any case, with any blanks and dashes."""
    digits = letters(text)
    strange = sorted({digit for digit in digits if digit not in ALPHABET})
    if not digits or strange:
        named = f"it holds {', '.join(map(repr, strange[:5]))}" if strange else "it is empty"
        raise KeyFileError(f"this is not a Roomful key: {named}", where=where, instead=_COPY_AGAIN)
    if len(digits) != LENGTH:
        counted = f"a key has {LENGTH} letters and digits, this has {len(digits)}"
        raise KeyFileError(counted, where=where, instead=_COPY_AGAIN)
    value = 0
    for digit in digits:
        value = value << 5 | ALPHABET.index(digit)
    whole = SECRET_BYTES + CHECK_BYTES
    if value >> (8 * whole):
        raise KeyFileError("the key's first character is wrong", where=where, instead=_COPY_AGAIN)
    raw = value.to_bytes(whole, "big")
    secret, check = raw[:SECRET_BYTES], raw[SECRET_BYTES:]
    if check != _check(secret):
        raise KeyFileError("the key's checksum is wrong: a character was mistyped", where=where, instead=_COPY_AGAIN)
    return InstallationKey(secret)


def throwaway_key() -> InstallationKey:
    """A key for a rehearsal: as strong as any, kept nowhere."""
    return InstallationKey(secrets.token_bytes(SECRET_BYTES))


def new_key(path: Path) -> InstallationKey:
    """A fresh key in a file that only its owner can read. An existing file is never overwritten."""
    key = throwaway_key()
    save_key(path, key)
    return key


def save_key(path: Path, key: InstallationKey) -> None:
    """Writes the file as `save_secret` does; refuses to overwrite."""
    save_secret(path, key.text + "\n")


def save_secret(path: Path, text: str, *, replace: bool = False) -> None:
    """Writes a file, mode 0600, and to the disk before it returns. It appears whole or not at all: it is written beside and linked
    into its place, so that a power cut leaves no half of a key. Raises KeyFileError, also where there is one and not `replace`."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if path.exists() and not replace:
            raise _taken(path)
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            os.replace(beside, path)
        else:
            _put_in_place(beside, path)
        sync_folder(path.parent)
    except FileExistsError as error:
        raise (_taken(path) if path.is_file() else _unwritten(path, error)) from None
    except OSError as error:
        raise _unwritten(path, error) from None
    finally:
        with contextlib.suppress(OSError):
            beside.unlink()


def _put_in_place(beside: Path, path: Path) -> None:
    try:
        os.link(beside, path)
    except FileExistsError:
        raise
    except OSError:  # a USB stick's file system knows no links
        os.rename(beside, path)


def _taken(path: Path) -> KeyFileError:
    try:
        load_key(path)
    except KeyFileError as fault:
        return KeyFileError(f"a file is there already that is no key: {fault.what}", where=str(path),
                            instead="If nothing else needs it, remove it and call this again.")
    instead = "Show it with: roomful key show. Move it away to make another: machines with the old one stay out."
    return KeyFileError("there is a key already, and it was kept", where=str(path), instead=instead)


def load_key(path: Path) -> InstallationKey:
    """The key in a file.

    Raises:
        KeyFileError: absent, unreadable, not a key, or mistyped; the message says which.
    """
    text = read_secret(path)
    if text.startswith(MEMBER_FORMAT):
        instead = "Do this on the machine where the key was made (roomful key new), or name a file that holds it."
        raise KeyFileError("this machine was let in and does not keep the key itself", where=str(path), instead=instead)
    if text and not text.startswith(FORMAT):
        named = f"this file does not begin with {FORMAT!r}"
        raise KeyFileError(named, where=str(path), instead=_COPY_AGAIN)
    return parse_key(text, where=str(path))


def read_secret(path: Path, most: int = 4096) -> str:
    """The text of a key's file, of either kind. Raises KeyFileError: absent, unreadable, or no text."""
    try:
        if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():
            raise KeyFileError("this is a device or a pipe and no key's file", where=str(path), instead=_COPY_AGAIN)
        with path.open("rb") as file:
            raw = file.read(most)
    except FileNotFoundError:
        instead = "On the first machine: roomful key new. On the others: roomful key add, with what key show prints there."
        raise KeyFileError("this machine has no key yet", where=str(path), instead=instead) from None
    except OSError as error:
        instead = "The file must be readable by the user who starts roomful."
        raise KeyFileError(f"the key cannot be read: {error.strerror}", where=str(path), instead=instead) from None
    try:
        return raw.decode("ascii").strip()
    except UnicodeDecodeError:
        raise KeyFileError("this file is not a Roomful key", where=str(path), instead=_COPY_AGAIN) from None


def readable_by_others(path: Path) -> bool:
    """Whether people other than its owner can read the file: worth a warning, never a refusal."""
    try:
        return bool(path.stat().st_mode & 0o044)
    except OSError:
        return False


def default_key_path() -> Path:
    """Where this machine keeps its key unless it is told otherwise."""
    return home() / "key"


_COPY_AGAIN = "Copy it again from a machine where it works (roomful key show), or make a new one: roomful key new."


def _unwritten(path: Path, error: OSError) -> KeyFileError:
    instead = "Choose another file with --file, or make the folder writable."
    return KeyFileError(f"the key could not be written: {error.strerror}", where=str(path), instead=instead)


def derive(secret: bytes, purpose: bytes) -> bytes:
    """32 bytes for one purpose (16 bytes at most), from which neither the secret nor those for another follow."""
    return hashlib.blake2b(b"", key=secret, person=purpose, digest_size=32).digest()


def _check(secret: bytes) -> bytes:
    return hashlib.blake2b(secret, person=b"roomful-check", digest_size=CHECK_BYTES).digest()
