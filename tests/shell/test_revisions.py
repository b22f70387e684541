"""Revisions on a disk: whole or not at all, sharing what they share, and none that reaches outside its folder."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import msgpack
import pytest
from click.testing import CliRunner

from mesh.cli.check import command as check
from mesh.core.manifest import CHUNK_BYTES, changed_paths, lacking, revision_hash
from mesh.errors import RoomfulError
from mesh.shell import arriving as arriving_module
from mesh.shell.arriving import Arriving, chunk_to_send, read_chunk
from mesh.shell.revisions import RevisionError, Revisions, chunks_of, manifest_of, unsendable
from tests.shell.pieces import small_piece

BIG = os.urandom(3 * CHUNK_BYTES + 100)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    files = {
        "deployment.yaml": b"installation: x\n", "models/poet.gguf": BIG, "pages/a.html": b"", "pages/b.html": b"",
        "run.sh": b"#!/bin/sh\n",
    }  # fmt: skip
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    (folder / "run.sh").chmod(0o755)
    (folder / "deployment.yaml").chmod(0o755)  # as a USB stick says of every file
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Revisions:
    return Revisions(tmp_path / "state" / "revisions")


def send(store: Revisions, folder: Path, *, only: Callable[[int], bool] = lambda index: True) -> tuple[str, Arriving]:
    """What a transfer does, from a folder: every chunk that is lacking, or those for which `only` holds."""
    manifest = manifest_of(folder, strict=True)
    data = manifest.encode()
    coming = store.begin(revision_hash(data), data)
    for _ in coming.prepare():
        continue
    for index in range(len(manifest.digests)):
        if not coming.have >> index & 1 and only(index):
            coming.put(index, read_chunk(manifest, folder, index))
    return revision_hash(data), coming


def content(folder: Path) -> dict[str, tuple[bytes, bool]]:
    return {path.relative_to(folder).as_posix(): (path.read_bytes(), bool(path.stat().st_mode & 0o111))
            for path in folder.rglob("*") if path.is_file()}


def test_what_arrived_is_what_was_sent_and_read_only(store: Revisions, work: Path) -> None:
    revision, coming = send(store, work)
    assert store.whole() == [] and coming.done
    folder = coming.finish()
    assert folder == store.folder(revision) and store.whole() == [revision] and store.is_sound(revision)
    assert content(folder) == {path: (data, path == "run.sh") for path, (data, _) in content(work).items()}
    assert not any(path.stat().st_mode & 0o222 for path in folder.rglob("*") if path.is_file())
    # And its manifest is that of the folder that it came from
    assert manifest_of(folder) == manifest_of(work) == store.manifest(revision)


def test_after_a_cut_what_came_is_found_again_and_nothing_else_is_believed(store: Revisions, work: Path, tmp_path: Path) -> None:
    revision, coming = send(store, work, only=lambda index: index % 2 == 0)
    assert not coming.done
    came = coming.have
    # Given that the disk lost one of the chunks that it had been given
    first = next(index for index in range(1, 10) if came >> index & 1)
    place = coming.manifest.places[coming.manifest.digests[first]][0]
    with (store.path / f"{revision}.part" / coming.manifest.files[place.file].path).open("r+b") as file:
        file.seek(place.offset)
        file.write(b"\\0" * 10)
    # When the agent starts again
    again = Revisions(store.path)
    data = again.manifest_bytes(revision)
    assert data is not None
    resumed = again.begin(revision, data)
    for _ in resumed.prepare():
        continue
    assert resumed.have == came & ~(1 << first)
    # Then the rest is all that it takes
    for index in range(len(resumed.manifest.digests)):
        if not resumed.have >> index & 1:
            resumed.put(index, read_chunk(resumed.manifest, work, index))
    assert content(resumed.finish()).keys() == content(work).keys() and again.is_sound(revision)


def test_a_wrong_chunk_is_refused_and_leaves_nothing(store: Revisions, work: Path) -> None:
    _, coming = send(store, work, only=lambda index: False)
    before = coming.have
    with pytest.raises(RevisionError, match="not what its hash says"):
        coming.put(1, b"something else")
    with pytest.raises(RevisionError, match="no chunk"):
        coming.put(999, b"")
    assert coming.have == before


def test_files_that_did_not_change_are_linked_and_a_changed_one_is_fetched_in_part(store: Revisions, work: Path) -> None:
    first, coming = send(store, work)
    coming.finish()
    old = manifest_of(work)
    (work / "pages" / "a.html").write_text("new")
    (work / "models" / "other.gguf").write_bytes(BIG[: 2 * CHUNK_BYTES] + b"grown")
    new = manifest_of(work)
    sent = []
    second, coming = send(store, work, only=lambda index: sent.append(index) is None)
    # Then only what is new on this disk was needed: the page, and the end of the model
    assert sum(new.chunk_size(new.digests[index]) for index in sent) == lacking(new, [old]) == 3 + 5
    folder = coming.finish()
    assert content(folder) == {path: (data, path == "run.sh") for path, (data, _) in content(work).items()}
    model = "models/poet.gguf"
    assert (folder / model).stat().st_ino == (store.folder(first) / model).stat().st_ino
    # And a browser can tell the new page from the old one
    assert (folder / "pages/a.html").stat().st_mtime != (store.folder(first) / "pages/a.html").stat().st_mtime
    assert changed_paths(old, new) == {"models/other.gguf": "added", "pages/a.html": "changed"}
    # When the older one is thrown away, the younger stays whole
    store.prune([second])
    assert Revisions(store.path).whole() == [second] and store.is_sound(second)
    assert sorted(path.name for path in store.path.iterdir()) == [second, f"{second}.manifest"]


def test_a_file_that_somebody_changed_by_hand_is_not_linked_into_the_next(store: Revisions, work: Path) -> None:
    revision, coming = send(store, work)
    folder = coming.finish()
    (folder / "models/poet.gguf").chmod(0o644)
    with (folder / "models/poet.gguf").open("r+b") as file:
        file.write(b"broken")
    (work / "pages" / "a.html").write_text("new")
    second, coming = send(store, work)
    assert (coming.finish() / "models/poet.gguf").read_bytes() == BIG


def test_a_revision_that_was_damaged_on_its_disk_is_known_as_such_and_mended_from_what_is_good(store: Revisions, work: Path) -> None:
    revision, coming = send(store, work)
    folder = coming.finish()
    (folder / "deployment.yaml").chmod(0o644)
    (folder / "deployment.yaml").write_bytes(b"installation: y\n")
    assert not Revisions(store.path).is_sound(revision)
    store.reopen(revision)
    assert store.whole() == []
    sent = []
    _, coming = send(store, work, only=lambda index: sent.append(index) is None)
    assert sent == [0] and Revisions(store.path).whole() == [] and coming.finish() and store.is_sound(revision)


def test_the_folder_that_a_machine_was_started_with_is_used_and_never_trusted(store: Revisions, work: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    shutil.copytree(work, own)
    revision = store.give(own)
    assert store.whole() == [revision] and store.folder(revision) == own
    # Given that its artist works in it
    model = own / "models/poet.gguf"
    model.write_bytes(b"X" * 10 + BIG[10:])
    (work / "pages" / "a.html").write_text("new")
    sent = []
    _, coming = send(store, work, only=lambda index: sent.append(index) is None)
    # Then what is still as it was is copied, and what is not is fetched
    assert [coming.manifest.chunk_size(coming.manifest.digests[index]) for index in sent] == [CHUNK_BYTES, 3]
    assert (coming.finish() / "models/poet.gguf").read_bytes() == BIG and model.read_bytes() != BIG


def test_a_disk_without_room_is_said_before_anything_is_written(store: Revisions, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(work)
    monkeypatch.setattr(arriving_module.shutil, "disk_usage", lambda path: usage._replace(free=1_000_000))
    with pytest.raises(RevisionError, match="MB free and it needs"):
        send(store, work)
    assert not any(path.is_file() for path in store.path.glob("*.part/**/*"))


@pytest.mark.parametrize("path", ["../outside", "/tmp/outside", "a/../../outside", ".hidden", "models"])
def test_a_manifest_that_reaches_outside_is_refused_before_anything_is_written(store: Revisions, tmp_path: Path, path: str) -> None:
    rows = sorted([[path, False, 3, hashlib.sha256(b"abc").digest()], ["models/x", False, 3, hashlib.sha256(b"abc").digest()]])
    data = msgpack.packb([1, rows], use_bin_type=True)
    with pytest.raises(RevisionError, match="was refused"):
        store.begin(revision_hash(data), data)
    assert not store.path.exists() and not (tmp_path / "outside").exists()


def test_a_link_that_was_put_where_a_file_belongs_is_never_followed(store: Revisions, work: Path, tmp_path: Path) -> None:
    revision, coming = send(store, work, only=lambda index: False)
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    there = store.path / f"{revision}.part" / "deployment.yaml"
    there.unlink()
    there.symlink_to(victim)
    index = coming.manifest.index[hashlib.sha256(b"installation: x\n").digest()]
    with pytest.raises(RoomfulError):
        coming.put(index, b"installation: x\n")
    with pytest.raises(RevisionError, match="something else lies"):
        store.begin(revision, coming.manifest.encode())
    assert victim.read_bytes() == b"mine"


def test_what_cannot_be_sent_is_refused_by_name(work: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of this machine")
    (work / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(RevisionError, match="'link' leads outside"):
        manifest_of(work, strict=True)
    assert "link" not in manifest_of(work).by_path
    (work / "link").unlink()
    (work / "odd:name").write_text("x")
    with pytest.raises(RevisionError, match="odd:name"):
        manifest_of(work, strict=True)


def test_what_would_be_missing_without_a_word_or_be_one_file_on_another_disk_is_refused_by_name(work: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "clip.mp4").write_text("x")
    (work / "pages").mkdir(exist_ok=True)
    (work / "pages" / "Wall.html").write_text("x")
    odd = {
        "media": (lambda path: path.symlink_to(tmp_path / "elsewhere"), "leads outside"),
        "again": (lambda path: path.symlink_to(work / "pages"), "is a link to a folder"),
        "gone.png": (lambda path: path.symlink_to(work / "nowhere"), "is a link to nothing"),
        "pipe": (os.mkfifo, "is a pipe"),
        "pages/wall.HTML": (lambda path: path.write_text("y"), "capital letters"),
        "Pages/other.html": (lambda path: (path.parent.mkdir(), path.write_text("y")), "capital letters"),
        "line\nbreak.txt": (lambda path: path.write_text("y"), "no file name should have"),
    }
    manifest_of(work, strict=True)
    for name, (make, why) in odd.items():
        make(work / name)
        with pytest.raises(RevisionError) as refused:
            manifest_of(work, strict=True)
        assert why in refused.value.what and "sent" in refused.value.what, name
        assert any(why in fault for fault in unsendable(work).values()), name
        (work / name).unlink()
    manifest_of(work, strict=True)


def test_all_that_cannot_be_sent_is_told_at_once_and_by_check_too(tmp_path: Path) -> None:
    # Given a folder in order, and then two files that cannot go with it
    work = small_piece(tmp_path / "piece")
    assert unsendable(work) == {} and CliRunner().invoke(check, [str(work)]).exit_code == 0
    (work / "odd:name").write_text("x")
    os.mkfifo(work / "pipe")
    # Then the call that sends it, and the one that checks it, judge alike
    assert list(unsendable(work)) == ["odd:name", "pipe"]
    with pytest.raises(RevisionError, match=r"odd:name.*and 1 more: `roomful check`"):
        manifest_of(work, strict=True)
    checked = CliRunner().invoke(check, [str(work), "--json"])
    mistakes = {Path(each["file"]).name: each["what"] for each in json.loads(checked.output)["mistakes"]}
    assert checked.exit_code == 2 and mistakes.keys() == {"odd:name", "pipe"}
    assert all("`roomful up` would not send it" in what for what in mistakes.values())


def test_a_file_that_is_written_to_while_it_is_read_or_sent_is_named_and_never_sent_for_ever(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a folder that is sent, when somebody saves a file in it anew
    manifest = manifest_of(work, strict=True)
    index = manifest.digests.index(manifest.by_path["deployment.yaml"].chunks[0])
    assert chunk_to_send(manifest, work, index) == (work / "deployment.yaml").read_bytes()
    (work / "deployment.yaml").write_text("another")
    # Then the sender says so at once, since no machine would take it
    with pytest.raises(RevisionError, match=r"'deployment.yaml' was changed"):
        chunk_to_send(manifest, work, index)
    # And the same where it is written to while its hashes are taken
    (work / "growing.wav").write_bytes(b"x")

    def grows(path: Path) -> tuple[bytes, ...]:
        found = chunks_of(path)
        with path.open("ab") as file:
            file.write(b"y" * (path.name == "growing.wav"))
        return found

    monkeypatch.setattr("mesh.shell.revisions.chunks_of", grows)
    with pytest.raises(RevisionError, match=r"'growing.wav' was written to"):
        manifest_of(work, strict=True)


def test_a_file_whose_name_is_no_text_is_refused_in_words(work: Path) -> None:
    (work / os.fsdecode(b"\xff\xfe.txt")).write_text("x")
    with pytest.raises(RevisionError, match="is not a text"):
        manifest_of(work, strict=True)


def test_a_folder_that_is_too_large_to_be_sent_is_told_before_it_is_hashed(work: Path) -> None:
    with (work / "model.gguf").open("wb") as file:
        file.truncate(300_000_000_000)  # of nothing: it takes no room on the disk
    assert "more than can be sent as one" in unsendable(work)[""]


def test_a_manifest_that_was_damaged_on_the_disk_is_as_none(store: Revisions, work: Path) -> None:
    revision, coming = send(store, work)
    coming.finish()
    path = store.path / f"{revision}.manifest"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert Revisions(store.path).whole() == [] and Revisions(store.path).manifest(revision) is None
