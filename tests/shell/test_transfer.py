"""Revisions between real sockets on loopback: fetched from several, served while they come, and nothing believed that is not right."""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import zmq

from mesh.core.manifest import CHUNK_BYTES, revision_hash
from mesh.core.parcels import MANIFEST_NUMBER, Parcel
from mesh.shell.arriving import read_chunk
from mesh.shell.certificates import OPERATOR
from mesh.shell.credentials import let_in, throwaway_credentials
from mesh.shell.keys import InstallationKey, throwaway_key
from mesh.shell.register import Register
from mesh.shell.revisions import Revisions, manifest_of
from mesh.shell.transfer import Transfer
from mesh.shell.transfer_line import Line

WITHIN_S = 30.0


class Host:
    """A transfer with a store of its own, and what it said."""

    def __init__(self, name: str, home: Path, key: InstallationKey) -> None:
        self.name, self.store = secrets.token_hex(16), Revisions(home / name)
        self.register = Register(throwaway_credentials(key, self.name))
        self.ended: list[tuple[str, Path | None, str]] = []
        self.troubles: list[str] = []
        self._news = threading.Condition()
        self.transfer = Transfer(self.register, self.store, on_end=self._on_end, on_trouble=self.troubles.append)
        self.port = self.transfer.bind("127.0.0.1", 0)

    def _on_end(self, revision: str, folder: Path | None, why: str) -> None:
        with self._news:
            self.ended.append((revision, folder, why))
            self._news.notify_all()

    def end(self) -> tuple[str, Path | None, str]:
        """Waits until what it fetches has ended."""
        with self._news:
            assert self._news.wait_for(lambda: self.ended, WITHIN_S), self.transfer.progress
            return self.ended[-1]


@pytest.fixture
def key() -> InstallationKey:
    return throwaway_key()


@pytest.fixture
def host(tmp_path: Path, key: InstallationKey) -> Iterator[Callable[[str], Host]]:
    made: list[Host] = []

    def make(name: str) -> Host:
        made.append(Host(name, tmp_path, key))
        return made[-1]

    yield make
    for each in made:
        each.transfer.close()


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    (folder / "models").mkdir(parents=True)
    (folder / "deployment.yaml").write_text("installation: x\n")
    (folder / "models" / "big.bin").write_bytes(os.urandom(24 * CHUNK_BYTES + 7))
    return folder


def introduce(*hosts: Host) -> None:
    """Each is told where the others serve from."""
    for each in hosts:
        for other in hosts:
            each.register.learn(other.register.mine.certificate.pack())
        each.transfer.reach({other.name: ("127.0.0.1", other.port) for other in hosts if other is not each})


def call(context: zmq.Context[Any], key: InstallationKey, there: Host, *, known: bool = True) -> Line:
    """A line of somebody with that key, who is known there or not."""
    mine = Register(let_in(key, secrets.token_hex(16), kind=OPERATOR))
    if known:
        there.register.learn(mine.mine.certificate.pack())
    mine.learn(there.register.mine.certificate.pack())
    return Line(context, mine, there.name, "127.0.0.1", there.port)


def until(condition: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline_s
        threading.Event().wait(0.01)


def test_a_revision_passes_from_one_to_all_and_from_each_to_the_others(host: Callable[[str], Host], work: Path) -> None:
    # Given one that has a folder, and three that have nothing, one of which does not reach the first
    first, *others = (host(name) for name in ("first", "a", "b", "c"))
    revision = first.store.give(work)
    introduce(first, *others)
    cut_off = others[-1]
    cut_off.transfer.reach({each.name: ("127.0.0.1", each.port) for each in others[:-1]})
    for each in others:
        each.transfer.fetch(revision)
    # Then all get it whole
    for each in others:
        assert each.end() == (revision, each.store.path / revision, "")
        assert manifest_of(each.store.folder(revision)) == manifest_of(work)
    # And what the first did not give to that one, the others passed on
    count = len(manifest_of(work).digests)
    assert cut_off.transfer.received - cut_off.transfer.repeated == count
    assert sum(each.transfer.served for each in others) >= count
    assert sum(each.transfer.received for each in others) - sum(each.transfer.repeated for each in others) == 3 * count


def test_what_came_before_the_sender_was_lost_is_not_fetched_again(host: Callable[[str], Host], work: Path, tmp_path: Path) -> None:
    first, other = host("first"), host("other")
    revision = first.store.give(work)
    manifest = manifest_of(work)
    # Given that a part lies there from before
    coming = other.store.begin(revision, manifest.encode())
    for _ in coming.prepare():
        continue
    for index in range(0, 20):
        coming.put(index, read_chunk(manifest, work, index))
    introduce(first, other)
    other.transfer.fetch(revision)
    assert other.end()[1] is not None
    assert first.transfer.served == len(manifest.digests) - 20 and other.store.is_sound(revision)


def test_a_machine_whose_disk_gives_wrong_chunks_is_named_and_another_is_asked(host: Callable[[str], Host], work: Path) -> None:
    bad, good, other = host("bad"), host("good"), host("other")
    revision = bad.store.give(work)
    # Given that one changed its file since it was read; the other has a copy that is good
    whole = (work / "models" / "big.bin").read_bytes()
    copy = work.parent / "copy"
    (copy / "models").mkdir(parents=True)
    (copy / "deployment.yaml").write_text("installation: x\n")
    (copy / "models" / "big.bin").write_bytes(whole)
    assert good.store.give(copy) == revision
    (work / "models" / "big.bin").write_bytes(os.urandom(len(whole)))
    introduce(bad, good, other)
    other.transfer.fetch(revision)
    assert other.end()[1] is not None and other.store.is_sound(revision)
    assert len(other.troubles) == 1 and "was not what its hash says" in other.troubles[0] and bad.name[:8] in other.troubles[0]


def test_nobody_can_put_anything_that_was_not_signed_and_expected(host: Callable[[str], Host], key: InstallationKey, work: Path) -> None:
    there = host("there")
    manifest = manifest_of(work)
    data = manifest.encode()
    revision = revision_hash(data)
    with zmq.Context() as context, closing(call(context, key, there)) as line:

        def ask(kind: str, number: int, body: bytes, of: str = revision) -> Parcel:
            line.send(Parcel(kind, of, number), body)
            assert line.socket.poll(int(WITHIN_S * 1000))
            answer = line.receive()
            assert answer is not None
            return answer[0]

        # Given a node that expects nothing
        assert ask("put", MANIFEST_NUMBER, data).kind == "no" and ask("put", 0, b"x").words == "this revision is not expected here"
        # When it expects one revision, then neither another's nor a false manifest is taken
        there.transfer.fetch(revision)
        assert ask("put", MANIFEST_NUMBER, data, "f" * 64).kind == "no"
        ask("put", MANIFEST_NUMBER, b"something else")
        assert there.store.manifest(revision) is None and len(there.troubles) == 1
        assert ask("put", MANIFEST_NUMBER, data).kind == "took"
        until(lambda: ask("have", 0, b"").kind == "has")
        # Nor a chunk that is not what its hash says, or none
        assert ask("put", 3, b"wrong").kind == "no" and ask("put", 10**6, b"").kind == "no" and ask("have", 0, b"").bits == 0
        for index in range(len(manifest.digests)):
            assert ask("put", index, read_chunk(manifest, work, index)).kind == "took"
        assert there.end()[1] is not None and there.store.is_sound(revision)


def test_bytes_that_are_no_parcel_are_counted_and_the_next_is_answered(
    host: Callable[[str], Host], key: InstallationKey, work: Path
) -> None:  # fmt: skip
    there = host("there")
    revision = there.store.give(work)
    with zmq.Context() as context, closing(call(context, key, there)) as line:
        for parts in ([b"x"], [b"x", b"y", b"z"], [b"\xc1" * 40, b""], [os.urandom(200), os.urandom(5000)]):
            line.socket.send_multipart(parts)
        for parcel in (Parcel("chunk", revision, 10**6), Parcel("chunk", "f" * 64, 0), Parcel("chunk", revision, 1)):
            until(lambda: line.send(parcel))  # noqa: B023 - used at once; a short queue takes it once the line stands
        kinds = []
        while len(kinds) < 3:
            assert line.socket.poll(int(WITHIN_S * 1000))
            answer = line.receive()
            assert answer is not None
            kinds.append(answer[0].kind)
        assert kinds == ["no", "no", "chunk"] and there.transfer.refused == 4


def test_who_is_not_known_there_is_answered_nothing(host: Callable[[str], Host], key: InstallationKey, work: Path) -> None:
    there = host("there")
    revision = there.store.give(work)
    with zmq.Context() as context, closing(call(context, key, there, known=False)) as line:
        line.send(Parcel("manifest", revision))
        assert not line.socket.poll(700)


def test_a_fetch_that_is_not_wanted_any_more_gives_way_to_the_next(host: Callable[[str], Host], work: Path) -> None:
    first, other = host("first"), host("other")
    revision = first.store.give(work)
    introduce(first, other)
    other.transfer.fetch("f" * 64)  # which nobody has
    until(lambda: other.transfer.progress)
    other.transfer.fetch(revision)
    assert other.end() == (revision, other.store.path / revision, "") and other.transfer.progress == {}


def test_a_line_to_a_machine_that_was_silent_is_made_anew_and_what_was_asked_is_asked_again(
    host: Callable[[str], Host], work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Line] = []

    class Noted(Line):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            made.append(self)

    monkeypatch.setattr("mesh.shell.transfer.Line", Noted)
    # Given one that asks another for what that has not got yet
    first, other = host("first"), host("other")
    revision = manifest_of(work)
    introduce(first, other)
    other.transfer.fetch(revision_hash(revision.encode()))
    until(lambda: made)
    # When the control plane hears that machine again after a silence
    other.transfer.hang_up(first.name)
    # Then the old line is closed and another made, to the same place
    until(lambda: len(made) > 1)
    assert made[0].socket.closed and not made[1].socket.closed and made[0].where == made[1].where
    # And over that one it comes
    first.store.give(work)
    assert other.end()[1] is not None
