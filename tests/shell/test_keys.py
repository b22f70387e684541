"""The installation's key: kept well, typed by hand, and never mistaken for another."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import cv2
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from mesh.cli.key import command
from mesh.errors import RoomfulError
from mesh.shell.certificates import read
from mesh.shell.credentials import load_member, throwaway_credentials
from mesh.shell.keys import (
    ALPHABET,
    InstallationKey,
    KeyFileError,
    fingerprint,
    load_key,
    new_key,
    parse_key,
    readable_by_others,
    save_key,
    throwaway_key,
    verify,
)
from mesh.shell.storage import Store


def test_a_key_written_is_the_key_read_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "key"

    made = new_key(path)

    assert load_key(path) == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not readable_by_others(path)
    assert [each.name for each in path.parent.iterdir()] == ["key"]


def test_a_key_that_is_there_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "key"
    first = new_key(path)

    with pytest.raises(KeyFileError, match="there is a key already"):
        new_key(path)
    with pytest.raises(KeyFileError, match="there is a key already"):
        save_key(path, throwaway_key())

    assert load_key(path) == first


def test_two_keys_share_nothing() -> None:
    one, other = throwaway_key(), throwaway_key()

    for field in ("secret", "room_key", "verify_key", "text"):
        assert getattr(one, field) != getattr(other, field)
    assert one.group_key(0) != other.group_key(0)
    assert len({one.group_key(number) for number in range(5)}) == 5


def test_what_is_derived_depends_on_the_secret_alone() -> None:
    """A machine that is typed the key years later meets the others."""
    key = InstallationKey(bytes(range(32)))

    assert parse_key(key.text) == key
    assert key.text == "roomful-key-1 0002-0G30-G2GC-1R81-450P-30D1-R7H0-48J2-CA1A-5GQ3-0CHM-6RW3-MF1Z-77K"
    assert key.verify_key.hex() == "5772f1519a597c69edf1bb55310cc6f6f594affd94c501d23056f7e71e5f4252"
    assert throwaway_credentials(key).hash("whispering-room") == "617fd4572b555f0a"


def test_printing_a_key_does_not_show_it() -> None:
    key = throwaway_key()

    assert key.secret.hex() not in repr(key)
    assert key.room_key.hex() not in repr(key) and repr(key.room_key) not in repr(key)


@given(st.binary(min_size=32, max_size=32), st.sampled_from(["-", " ", "", "\n"]), st.booleans())
def test_a_key_read_aloud_may_be_typed_in_any_manner(secret: bytes, between: str, small: bool) -> None:
    key = InstallationKey(secret)
    typed = between.join(key.groups).replace("0", "O").replace("1", "l")

    assert parse_key(typed.lower() if small else typed) == key


@given(st.binary(min_size=32, max_size=32), st.data())
def test_one_wrong_character_is_noticed(secret: bytes, data: st.DataObject) -> None:
    digits = list("".join(InstallationKey(secret).groups))
    at = data.draw(st.integers(0, len(digits) - 1))
    wrong = data.draw(st.sampled_from([digit for digit in ALPHABET if digit != digits[at]]))
    digits[at] = wrong

    # 16 bits of checksum let one in 65,536 through; what they let through is another key, which meets nobody.
    try:
        assert parse_key("".join(digits)).secret != secret
    except KeyFileError as error:
        assert "checksum" in error.what or "first character" in error.what


@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_any_text_is_a_key_or_an_error_with_words(text: str) -> None:
    try:
        parse_key(text)
    except KeyFileError as error:
        assert error.what and error.instead


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "it is empty"),
        (b"\xff\xfe\x00key", "not a Roomful key"),
        (b"-----BEGIN OPENSSH PRIVATE KEY-----", "does not begin with"),
        (b"roomful-key-1 ABCD-EFGH", "a key has 55 letters and digits, this has 8"),
        (b"roomful-key-1 " + b"0000-" * 13 + b"001", "checksum is wrong"),
        (b"roomful-key-1 " + b"ZZZZ-" * 13 + b"ZZZ", "first character is wrong"),
        (b"roomful-key-1 ABCD-EF*H", "it holds '\\*'"),
    ],
)
def test_a_file_that_is_no_key_says_why(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)

    with pytest.raises(KeyFileError, match=says) as raised:
        load_key(path)

    assert raised.value.where == str(path)
    assert "roomful key" in raised.value.instead


def test_an_absent_key_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="no key yet") as raised:
        load_key(tmp_path / "key")

    assert "roomful key new" in raised.value.instead
    assert "roomful key add" in raised.value.instead


def test_a_folder_in_the_keys_place_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="cannot be read: Is a directory"):
        load_key(tmp_path)
    with pytest.raises(KeyFileError, match="could not be written: File exists"):
        (tmp_path / "file").touch()
        new_key(tmp_path / "file" / "key")


def _run(*arguments: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(command, list(arguments), input=typed)


def test_a_pipe_or_a_device_in_the_keys_place_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "key")
    for path in (tmp_path / "key", Path("/dev/zero")):
        with pytest.raises(KeyFileError, match="a device or a pipe"):
            load_key(path)


def test_the_folder_that_a_key_is_made_in_is_its_owners_alone_whatever_new_files_are_allowed(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        save_key(tmp_path / "state" / "key", throwaway_key())
        Store(tmp_path / "other").write("epochs", {})
    finally:
        os.umask(before)
    assert (tmp_path / "state").stat().st_mode & 0o077 == 0 and (tmp_path / "other").stat().st_mode & 0o077 == 0


def test_a_key_shown_on_one_machine_is_added_on_another(tmp_path: Path) -> None:
    first, second, third = (str(tmp_path / name) for name in ("first", "second", "third"))

    made = _run("new", "--file", first)
    shown = _run("show", "--file", first)
    asked = _run("add", "--file", second, typed=" ".join(shown.stdout.split()[1:]) + "\n")
    copied = _run("add", "--from", first, "--file", third)

    assert [made.exit_code, shown.exit_code, asked.exit_code, copied.exit_code] == [0, 0, 0, 0]
    members = [load_member(Path(each)) for each in (second, third)]
    assert load_member(Path(first)) is None and None not in members
    assert {each.verify_key for each in members if each} == {load_key(Path(first)).verify_key}
    assert made.stdout == shown.stdout
    assert asked.stdout == copied.stdout == fingerprint(load_key(Path(first)).verify_key) + "\n"


def test_a_machine_that_is_let_in_keeps_nothing_of_the_key_and_can_let_nobody_in(tmp_path: Path) -> None:
    key, path = new_key(tmp_path / "first"), tmp_path / "second"

    _run("add", "--from", str(tmp_path / "first"), "--file", str(path))

    text = path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not any(secret in text for secret in (key.secret.hex(), key.text, *key.groups, key.group_key(1).hex()))
    with pytest.raises(KeyFileError, match="does not keep the key"):
        load_key(path)
    assert isinstance(_run("show", "--file", str(path)).exception, KeyFileError)


def test_each_machine_is_let_in_with_secrets_of_its_own_and_with_others_when_it_is_let_in_anew(tmp_path: Path) -> None:
    new_key(tmp_path / "first")
    paths = [tmp_path / "second", tmp_path / "third"]
    for path in paths:
        _run("add", "--from", str(tmp_path / "first"), "--file", str(path))
    one, other = (load_member(path) for path in paths)

    unchanged = _run("add", "--from", str(tmp_path / "first"), "--file", str(paths[0]))
    same = load_member(paths[0])
    _run("add", "--renew", "--from", str(tmp_path / "first"), "--file", str(paths[0]))
    again = load_member(paths[0])

    assert one is not None and other is not None and again is not None
    assert "already" in unchanged.stderr and same == one
    assert len({each.curve_secret for each in (one, other, again)}) == len({each.seed for each in (one, other, again)}) == 3
    assert (again.node, again.certificate.issue) == (one.node, 2)
    assert read(again.certificate.pack(), one.verify_key) == again.certificate


def test_a_machine_of_one_room_is_not_let_into_another(tmp_path: Path) -> None:
    for name in ("first", "second"):
        new_key(tmp_path / name)
    path = str(tmp_path / "third")
    _run("add", "--from", str(tmp_path / "first"), "--file", path)

    other = _run("add", "--from", str(tmp_path / "second"), "--file", path)

    assert isinstance(other.exception, KeyFileError) and "another installation" in other.exception.what


def test_with_owner_the_whole_key_is_kept(tmp_path: Path) -> None:
    key = new_key(tmp_path / "first")

    _run("add", "--owner", "--from", str(tmp_path / "first"), "--file", str(tmp_path / "second"))

    assert load_key(tmp_path / "second") == key


def test_a_members_file_that_is_damaged_says_so(tmp_path: Path) -> None:
    new_key(tmp_path / "first")
    path = tmp_path / "second"
    _run("add", "--from", str(tmp_path / "first"), "--file", str(path))
    whole = path.read_text()
    for damaged in (whole[:-40], whole.replace('"seed": "', '"seed": "00'), whole.replace('"certificate": "00', '"certificate": "01')):
        path.write_text(damaged)
        with pytest.raises(KeyFileError, match="damaged"):
            load_member(path)


def test_a_key_is_shown_as_a_code_that_a_camera_reads(tmp_path: Path) -> None:
    key = new_key(tmp_path / "key")
    png, svg = tmp_path / "key.png", tmp_path / "key.svg"

    shown = _run("show", "--qr", "--png", str(png), "--svg", str(svg), "--file", str(tmp_path / "key"))

    seen, _, _ = cv2.QRCodeDetector().detectAndDecode(cv2.imread(str(png)))
    assert parse_key(seen) == key
    assert "<svg" in svg.read_text() and {stat.S_IMODE(each.stat().st_mode) for each in (png, svg)} == {0o600}
    assert shown.exit_code == 0 and "▄" in shown.stdout


def test_a_key_is_shown_as_json(tmp_path: Path) -> None:
    path = tmp_path / "key"
    key = new_key(path)
    path.chmod(0o644)

    value = json.loads(_run("show", "--json", "--file", str(path)).stdout)

    assert value == {
        "file": str(path),
        "key": key.text,
        "groups": list(key.groups),
        "fingerprint": fingerprint(key.verify_key),
        "readable_by_others": True,
    }


def test_a_key_that_others_can_read_is_warned_of_and_used(tmp_path: Path) -> None:
    path = tmp_path / "key"
    new_key(path)
    path.chmod(0o644)

    shown = _run("show", "--file", str(path))

    assert shown.exit_code == 0
    assert "chmod 600" in shown.stderr


def test_a_mistyped_key_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / "key"
    typed = throwaway_key().text[:-1] + "U"

    added = _run("add", "--file", str(path), typed)

    assert isinstance(added.exception, RoomfulError)
    assert not path.exists()


def test_a_key_that_is_there_already_is_no_error_and_another_one_is(tmp_path: Path) -> None:
    first, second = str(tmp_path / "first"), str(tmp_path / "second")
    _run("new", "--file", first)
    _run("new", "--file", second)

    again = _run("add", "--from", first, "--file", first)
    other = _run("add", "--from", second, "--file", first)

    assert again.exit_code == 0 and "already" in again.stderr
    assert isinstance(other.exception, KeyFileError) and "there is a key already" in str(other.exception)


def test_a_key_cut_short_is_told_how_much_of_it_there_is(tmp_path: Path) -> None:
    shown = _run("new", "--file", str(tmp_path / "first")).stdout.split()[1:]

    cut = _run("add", "--file", str(tmp_path / "second"), typed=" ".join(shown[:5]))

    assert isinstance(cut.exception, KeyFileError) and "55 letters and digits, this has 20" in str(cut.exception)


def test_only_the_owner_can_sign_and_anybody_can_check_it() -> None:
    key, other = throwaway_key(), throwaway_key()

    signature = key.sign(b"order: play this")

    assert verify(key.verify_key, b"order: play this", signature)
    assert not verify(key.verify_key, b"order: play that", signature)
    assert not verify(other.verify_key, b"order: play this", signature)
    assert parse_key(key.text).verify_key == key.verify_key


@pytest.mark.parametrize("nonsense", [b"", b"\0" * 63, b"\0" * 64, b"\xff" * 64, b"x" * 10_000])
def test_what_is_no_signature_or_no_key_is_not_believed(nonsense: bytes) -> None:
    key = throwaway_key()

    assert not verify(key.verify_key, b"order", nonsense)
    assert not verify(nonsense, b"order", key.sign(b"order"))
    assert not verify(nonsense[:32], b"order", key.sign(b"order"))
