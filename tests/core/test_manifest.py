"""A manifest names a folder's files in one way only, and nothing that it says can reach outside that folder."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.core.manifest import (
    CHUNK_BYTES,
    FILES_MAX,
    MANIFEST_BYTES_MAX,
    File,
    Manifest,
    bits_of,
    changed_paths,
    indices_of,
    lacking,
    parse,
    path_fault,
    revision_hash,
    room_needed,
)
from mesh.errors import WireError


def digest(of: object) -> bytes:
    return hashlib.sha256(repr(of).encode()).digest()


def file(path: str, size: int = 3, content: object = None, executable: bool = False) -> File:
    chunks = -(-size // CHUNK_BYTES)
    return File(path, executable, size, tuple(digest((content or path, number, size)) for number in range(chunks)))


SMALL = Manifest((file("deployment.yaml"), file("models/poet.gguf", 3 * CHUNK_BYTES + 5), file("pages/index.html", 0)))


def test_a_manifest_says_the_same_after_it_has_travelled() -> None:
    data = SMALL.encode()
    assert parse(data) == SMALL
    assert revision_hash(parse(data).encode()) == revision_hash(data)
    assert [SMALL.chunk_size(each) for each in SMALL.digests] == [3, CHUNK_BYTES, CHUNK_BYTES, CHUNK_BYTES, 5]


@pytest.mark.parametrize(
    "path",
    [
        "", "/etc/passwd", "../key", "models/../../key", "models//poet", "./roles.py", "models/.", "a/..", ".bashrc", "models/.hidden/x",
        "roles.py/", "c:\\windows", "c:evil", "a\\..\\b", "line\nbreak", "nul\0", "\x7f", "__pycache__/roles.pyc", "training/data",
        "x" * 300, "/".join("x" * 40), "\ud800",
    ],
)  # fmt: skip
def test_a_path_that_leaves_the_folder_or_is_hidden_is_refused(path: str) -> None:
    assert path_fault(path)
    rows = [[path, False, 3, digest(path)]]
    with pytest.raises(WireError, match="not a manifest"):
        parse(msgpack.packb([1, rows], use_bin_type=True, unicode_errors="surrogatepass"))


@pytest.mark.parametrize("path", ["deployment.yaml", "models/übung.gguf", "a/b/c/d e.txt", "models/training/x", "…", "a.b..c"])
def test_a_path_that_people_write_is_taken(path: str) -> None:
    assert path_fault(path) == ""
    assert parse(Manifest((file(path),)).encode()).files[0].path == path


ROW = ["a", False, 3, digest("a")]


@pytest.mark.parametrize(
    "said",
    [
        [2, [ROW]], [1, [ROW, ROW]], [1, [["b", False, 3, digest("b")], ROW]], [1, [ROW, ["a/b", False, 3, digest("b")]]], [1],
        [1, [["a", 0, 3, digest("a")]]], [1, [["a", False, -1, b""]]], [1, [["a", False, 3, b""]]],
        [1, [["a", False, 1 << 63, digest("a")]]],
        [1, [["a", False, 3, digest("a") * 2]]], [1, [["a", False, True, digest("a")]]], [1, [[b"a", False, 3, digest("a")]]], [1, {}], 7,
        [1, [["a", False, 3, digest("a")], ["b", False, 4, digest("a")]]], [1, [["a", False, 3.0, digest("a")]]], [1, [[*ROW, "more"]]],
    ],
)  # fmt: skip
def test_what_is_not_just_so_is_no_manifest(said: object) -> None:
    with pytest.raises(WireError):
        parse(msgpack.packb(said, use_bin_type=True))


def test_a_manifest_that_is_written_another_way_is_refused() -> None:
    longer = msgpack.packb([1, [["a", False, 3, digest("a")]]], use_bin_type=True).replace(b"\xa1a", b"\xd9\x01a", 1)
    with pytest.raises(WireError, match="one way"):
        parse(longer)


def test_huge_manifests_are_refused_before_they_are_read() -> None:
    with pytest.raises(WireError, match="exceeds"):
        parse(b"\0" * (MANIFEST_BYTES_MAX + 1))
    with pytest.raises(WireError):
        parse(b"\xdd\xff\xff\xff\xff")
    with pytest.raises(WireError, match="more than can be sent"):
        Manifest(tuple(file(f"{number:06}") for number in range(FILES_MAX + 1))).encode()


@given(st.binary(max_size=200))
def test_any_bytes_are_a_manifest_or_a_wire_error(data: bytes) -> None:
    for tried in (data, SMALL.encode()[: len(data)] + data):
        try:
            parse(tried)
        except WireError:
            continue


@given(st.data())
def test_a_mutated_manifest_is_never_taken_for_another_folder(data: st.DataObject) -> None:
    whole = bytearray(SMALL.encode())
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    try:
        found = parse(bytes(whole))
    except WireError:
        return
    assert not any(path_fault(each.path) for each in found.files) and found.encode() == bytes(whole)


NAMES = st.sampled_from(["a", "b", "models/c", "models/d"])
FOLDERS = st.dictionaries(NAMES, st.tuples(st.integers(0, 3), st.integers(0, 2 * CHUNK_BYTES))).map(
    lambda rows: Manifest(tuple(file(path, size, content + 1) for path, (content, size) in sorted(rows.items())))
)


@given(FOLDERS, st.lists(FOLDERS, max_size=3))
def test_what_is_lacking_is_never_more_than_the_whole_and_nothing_of_what_is_held(wanted: Manifest, held: Sequence[Manifest]) -> None:
    assert 0 <= lacking(wanted, held) <= wanted.size
    assert lacking(wanted, [*held, wanted]) == room_needed(wanted, [wanted]) == 0
    assert lacking(wanted, held) <= room_needed(wanted, held) <= wanted.size
    assert not changed_paths(wanted, wanted)


def test_what_changed_is_said_by_path() -> None:
    new = Manifest((file("deployment.yaml", 4), file("lines.txt"), file("pages/index.html", 0)))
    assert changed_paths(SMALL, new) == {"deployment.yaml": "changed", "lines.txt": "added", "models/poet.gguf": "removed"}
    assert list(changed_paths(Manifest((file("a"),)), Manifest((file("a", executable=True),))).values()) == ["changed"]


@given(st.sets(st.integers(0, 3000)))
def test_a_set_of_chunks_travels_as_one_number(indices: set[int]) -> None:
    assert list(indices_of(bits_of(indices))) == sorted(indices)
