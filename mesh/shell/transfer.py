"""How a revision comes to this machine and goes on from it: one thread that fetches, verifies, writes and serves.

    transfer = Transfer(register, store, on_end=on_end, on_trouble=on_trouble)
    port = transfer.bind("*", 47601)
    transfer.fetch(revision)                    get it; what was being fetched is not wanted any more. None: nothing is
    transfer.reach({node: (address, port)})     the others, whenever they change
    transfer.hang_up(node)                      its line is of no use any more, and is made anew
    transfer.progress                           {"revision", "stage", "have", "count", …} of what is being fetched, or {}
    transfer.close()

`on_end(revision, folder, why)`: it lies in `folder`, on the disk and verified; or `folder` is None and `why` says why not. Both
callbacks come in another thread. What is asked of whom is decided in `core/fetching.py`. A machine serves what it has of a
revision while it still fetches the rest. Whoever sends one (`roomful up`) puts its chunks here unasked, but only into the revision
that this node was told to fetch, which it is only when the owner of the key has signed it.

The agent's own loop never waits for this: not for a disk, a hash or a full socket. Decided against: fetching over the control
links (a chunk is a tenth of a second of a slow network), HTTP (another door to guard), and asyncio here (its
loop would be the one that keeps the heart).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import zmq

from mesh.core.fetching import Fetching
from mesh.core.parcels import MANIFEST_NUMBER, Parcel, decode, encode
from mesh.errors import NoRoomError, RoomfulError, WireError
from mesh.shell import curve
from mesh.shell.arriving import Arriving, read_chunk
from mesh.shell.register import Register
from mesh.shell.revisions import Revisions
from mesh.shell.transfer_line import Line, listen

TURN_MS = 50
ASK_S = 0.25  # between two questions to a machine about what it has
SLICE_S = 0.02  # of work on the disk between two looks at the sockets
SERVED_A_TURN = 8
OnEnd = Callable[[str, Path | None, str], None]


class Fetch:
    """The one revision that is on its way here. `stage`: "manifest", "preparing", "fetching", "finishing"."""

    def __init__(self, revision: str) -> None:
        self.revision, self.stage = revision, "manifest"
        self.arriving: Arriving | None = None
        self.plan: Fetching | None = None
        self.steps: Iterator[None] = iter(())
        self.asked_s: dict[str, float] = {}
        self.began_s = time.monotonic()
        self.finished: Future[Path] | None = None
        self.put = 0  # chunks that whoever sends it put here
        self.told: set[str] = set()  # machines of which was said that they send what is wrong

    def described(self) -> dict[str, Any]:
        """As `progress` says it."""
        arriving, plan = self.arriving, self.plan
        said: dict[str, Any] = {"revision": self.revision, "stage": self.stage, "have": 0, "count": 0}
        if arriving is not None:
            said |= {"have": arriving.have.bit_count(), "count": len(arriving.manifest.digests), "copied_bytes": arriving.copied}
        if plan is not None:
            said |= {"received": plan.received, "repeated": plan.repeated, "sources": len(plan.sources)}
        return said | {"put": self.put}


class Transfer:
    """Made in the agent's thread, which may call every public method; the rest happens in the thread of its own."""

    def __init__(self, register: Register, store: Revisions, *, on_end: OnEnd, on_trouble: Callable[[str], None]) -> None:
        self._register, self._store, self._on_end, self._on_trouble = register, store, on_end, on_trouble
        self.progress: dict[str, Any] = {}
        self.served = self.refused = 0  # chunks sent to others; messages that were none
        self.received = self.repeated = 0  # chunks that came since this agent's start; of these, what was here already
        self._fetch: Fetch | None = None
        self._lines: dict[str, Line] = {}
        self._peers: dict[str, tuple[str, int]] = {}
        self._orders: deque[Callable[[], None]] = deque()
        self._open = True
        self._disk = ThreadPoolExecutor(1, "revision")
        self._context: zmq.Context[Any] = zmq.Context()
        self.guard = curve.guard(self._context, register.admits)
        self._bell: zmq.Socket[Any] = self._context.socket(zmq.PAIR)
        self._bell.bind("inproc://transfer")
        self._ringer: zmq.Socket[Any] = self._context.socket(zmq.PAIR)
        self._ringer.connect("inproc://transfer")
        self._thread = threading.Thread(target=self._run, name="transfer", daemon=True)

    # ---- for the agent

    def bind(self, host: str, port: int) -> int:
        """Begins; returns the port, a free one for 0. Raises TransportError when it is taken."""
        self._server, bound = listen(self._context, self.guard, self._register, host, port)
        self.guard.ports = frozenset((bound,))
        self._thread.start()
        return bound

    def fetch(self, revision: str | None) -> None:
        """From now on fetch this revision and no other."""
        self._order(lambda: self._begin(revision))

    def reach(self, peers: Mapping[str, tuple[str, int]]) -> None:
        """Where the others serve from: node -> (address, port)."""
        if self._peers != peers:
            self._peers = dict(peers)
            self._order(self._hang_up_on_the_lost)

    def hang_up(self, node: str) -> None:
        """The machine was silent, and is heard again or gone: the line to it may stand in a stall for long. What it was asked for is asked
        again, over a new line."""
        self._order(lambda: self._hang_up(node))

    def cut(self, keys: Iterable[bytes]) -> None:
        """Hangs up on the holders of these (raw) keys, who were shut out, and on all others who are not admitted any more."""
        self.guard.cut(keys, sweep=True)

    def close(self) -> None:
        """Ends the thread; what has come stays on the disk. May be called twice."""
        if not self._open:
            return
        self._order(self._end)
        self._thread.join()
        self._disk.shutdown()
        self._ringer.close(0)
        self.guard.close()
        self._context.destroy(linger=0)

    def _order(self, do: Callable[[], None]) -> None:
        self._orders.append(do)
        with suppress(zmq.ZMQError):  # a bell that rings already
            self._ringer.send(b"", zmq.NOBLOCK)

    # ---- the thread

    def _run(self) -> None:
        poller = zmq.Poller()
        poller.register(self._bell, zmq.POLLIN)
        poller.register(self._server, zmq.POLLIN)
        while self._open:
            for line in self._lines.values():
                poller.register(line.socket, zmq.POLLIN)
            working = self._fetch is not None and self._fetch.stage == "preparing"
            ready = dict(poller.poll(0 if working else TURN_MS if self._fetch is not None else None))
            for line in self._lines.values():
                poller.unregister(line.socket)
            if self._bell in ready:
                with suppress(zmq.ZMQError):
                    while True:
                        self._bell.recv(zmq.NOBLOCK)
            while self._orders:
                self._orders.popleft()()
            if not self._open:
                break
            if self._server in ready:
                self._serve()
            for node, line in list(self._lines.items()):
                if line.socket in ready:
                    self._hear(node, line)
            self._go_on()
        for line in self._lines.values():
            line.close()
        self._server.close(0)
        self._bell.close(0)

    def _end(self) -> None:
        self._open = False

    def _begin(self, revision: str | None) -> None:
        if self._fetch is not None and self._fetch.revision == revision:
            return
        for line in self._lines.values():
            line.close()
        self._lines = {}
        self._fetch = Fetch(revision) if revision else None
        self.progress = self._fetch.described() if self._fetch else {}
        if self._fetch is not None and (data := self._store.manifest_bytes(self._fetch.revision)) is not None:
            self._take_manifest(self._fetch, data)

    def _hang_up_on_the_lost(self) -> None:
        for node, line in list(self._lines.items()):
            if self._peers.get(node) != line.where:
                self._hang_up(node)

    def _hang_up(self, node: str) -> None:
        line = self._lines.pop(node, None)
        if line is None:
            return
        line.close()
        if self._fetch is not None:
            self._fetch.asked_s.pop(node, None)
            if self._fetch.plan is not None:
                self._fetch.plan.lost(node)

    # ---- fetching

    def _go_on(self) -> None:
        fetch = self._fetch
        if fetch is None:
            return
        try:
            if fetch.stage == "preparing":
                self._prepare(fetch)
            if fetch.stage in ("manifest", "fetching"):
                self._ask_around(fetch)
            if fetch.stage == "fetching":
                self._ask(fetch)
            if fetch.stage == "finishing" and fetch.finished is not None and fetch.finished.done():
                folder = fetch.finished.result()
                self._begin(None)
                self._on_end(fetch.revision, folder, "")
                return
        except RoomfulError as fault:
            self._fail(fetch, fault)
            return
        self.progress = fetch.described()

    def _fail(self, fetch: Fetch, fault: RoomfulError) -> None:
        self._begin(None)
        self._on_end(fetch.revision, None, f"{fault.what}{f' ({fault.where})' if fault.where else ''}")

    def _take_manifest(self, fetch: Fetch, data: bytes) -> None:
        """Raises nothing: a manifest that is refused leaves the fetch waiting for the right one, a full disk ends it."""
        from mesh.core.manifest import revision_hash

        if revision_hash(data) != fetch.revision:
            self._on_trouble(f"a manifest that is not that of revision {fetch.revision[:8]} was refused")
            return
        try:
            fetch.arriving = self._store.begin(fetch.revision, data)
        except RoomfulError as fault:
            self._fail(fetch, fault)
            return
        fetch.stage, fetch.steps = "preparing", fetch.arriving.prepare()

    def _prepare(self, fetch: Fetch) -> None:
        until_s = time.monotonic() + SLICE_S
        while time.monotonic() < until_s:
            if next(fetch.steps, fetch) is fetch:
                assert fetch.arriving is not None
                fetch.plan = Fetching(self._register.mine.node, len(fetch.arriving.manifest.digests), fetch.arriving.have)
                fetch.stage, fetch.asked_s = "fetching", {}
                self._finish_if_done(fetch)
                return

    def _ask_around(self, fetch: Fetch) -> None:
        """Who has what of it; while its manifest is missing, that first."""
        now = time.monotonic()
        for node, where in self._peers.items():
            source = fetch.plan.sources.get(node) if fetch.plan is not None else None
            if (source is not None and source.asked) or now - fetch.asked_s.get(node, 0.0) < ASK_S:
                continue
            fetch.asked_s[node] = now
            if node not in self._lines:
                try:
                    self._lines[node] = Line(self._context, self._register, node, *where)
                except NoRoomError:
                    continue  # its key comes with its next word
            self._lines[node].send(Parcel("manifest" if fetch.stage == "manifest" else "have", fetch.revision))

    def _ask(self, fetch: Fetch) -> None:
        assert fetch.plan is not None
        for node, index in fetch.plan.next(time.monotonic()):
            line = self._lines.get(node)
            if line is None or not line.send(Parcel("chunk", fetch.revision, index)):
                fetch.plan.lost(node)

    def _hear(self, node: str, line: Line) -> None:
        while self._fetch is not None and self._lines.get(node) is line:
            try:
                said = line.receive()
            except WireError:
                self.refused += 1
                continue
            if said is None:
                return
            if said[0].revision == self._fetch.revision:
                try:
                    self._take(self._fetch, node, *said)
                except RoomfulError as fault:
                    self._fail(self._fetch, fault)

    def _take(self, fetch: Fetch, node: str, head: Parcel, body: bytes) -> None:
        plan, now = fetch.plan, time.monotonic()
        if head.kind == "manifest" and fetch.stage == "manifest":
            self._take_manifest(fetch, body)
        elif plan is None or fetch.arriving is None or fetch.stage != "fetching":
            return
        elif head.kind == "has":
            plan.heard(node, head.bits, now)
        elif head.kind == "no":
            asked = plan.sources.get(node)
            if asked is not None and head.number in asked.asked:
                plan.wrong(node, head.number)
            else:
                plan.lost(node)
        elif head.kind == "chunk" and 0 <= head.number < plan.count:
            plan.heard(node, head.bits, now)
            if not fetch.arriving.is_right(head.number, body):
                self._say_wrong(fetch, node, head.number)
                plan.wrong(node, head.number)
                return
            fetch.arriving.put(head.number, body)
            self.received += 1
            self.repeated += not plan.got(node, head.number, now)
            self._finish_if_done(fetch)

    def _say_wrong(self, fetch: Fetch, node: str, index: int) -> None:
        if node not in fetch.told:
            fetch.told.add(node)
            where = self._peers.get(node, ("", 0))[0]
            self._on_trouble(f"chunk {index} of revision {fetch.revision[:8]} from {where} ({node[:8]}) was not what its hash says, and "
                             "was refused: is the disk of that machine failing?")

    def _finish_if_done(self, fetch: Fetch) -> None:
        if fetch.arriving is not None and fetch.stage == "fetching" and fetch.arriving.done:
            fetch.stage = "finishing"
            fetch.finished = self._disk.submit(fetch.arriving.finish)
            fetch.finished.add_done_callback(lambda _: self._order(_nothing))

    # ---- serving

    def _serve(self) -> None:
        for _ in range(SERVED_A_TURN):
            try:
                parts = self._server.recv_multipart(zmq.NOBLOCK)
            except zmq.ZMQError:
                return
            try:
                peer, head, body = parts
                parcel = decode(head)
            except (WireError, ValueError):
                self.refused += 1
                continue
            answer, data = self._answer(parcel, body)
            with suppress(zmq.ZMQError):  # it has gone, or does not read what it asked for: it may ask again
                self._server.send_multipart([peer, encode(answer), data], zmq.NOBLOCK)

    def _answer(self, parcel: Parcel, body: bytes) -> tuple[Parcel, bytes]:
        revision, fetch = parcel.revision, self._fetch
        arriving = fetch.arriving if fetch is not None and fetch.revision == revision else None
        if parcel.kind == "put":
            return self._take_put(parcel, body)
        if parcel.kind == "manifest":
            data = self._store.manifest_bytes(revision)
            return (Parcel("no", revision, words="unknown here"), b"") if data is None else (Parcel("manifest", revision), data)
        if arriving is not None and fetch is not None and fetch.stage == "preparing":
            return Parcel("no", revision, parcel.number, words="not yet"), b""
        manifest = arriving.manifest if arriving is not None else self._store.served(revision)
        if manifest is None:
            return Parcel("no", revision, parcel.number, words="unknown here"), b""
        have = arriving.have if arriving is not None else (1 << len(manifest.digests)) - 1
        if parcel.kind == "have":
            return Parcel("has", revision, bits=have), b""
        if parcel.kind == "chunk":
            chunk = arriving.read(parcel.number) if arriving is not None else read_chunk(
                manifest, self._store.folder(revision), parcel.number)
            if chunk or (0 <= parcel.number < len(manifest.digests) and not manifest.chunk_size(manifest.digests[parcel.number])):
                self.served += 1
                return Parcel("chunk", revision, parcel.number, have), chunk
        return Parcel("no", revision, parcel.number, words="it is not here"), b""

    def _take_put(self, parcel: Parcel, body: bytes) -> tuple[Parcel, bytes]:
        """A chunk, or the manifest, from who sends a revision: only what was signed is expected."""
        fetch = self._fetch
        if fetch is None or fetch.revision != parcel.revision:
            return Parcel("no", parcel.revision, parcel.number, words="this revision is not expected here"), b""
        if parcel.number == MANIFEST_NUMBER:
            if fetch.stage == "manifest":
                self._take_manifest(fetch, body)
        elif fetch.arriving is None or fetch.stage != "fetching":
            return Parcel("no", parcel.revision, parcel.number, words="not yet"), b""
        else:
            try:
                fetch.arriving.put(parcel.number, body)
            except RoomfulError as fault:
                if fetch.arriving.is_right(parcel.number, body):
                    self._fail(fetch, fault)
                return Parcel("no", parcel.revision, parcel.number, words=fault.what), b""
            fetch.put += 1
            if fetch.plan is not None:
                fetch.plan.have |= fetch.arriving.have
            self._finish_if_done(fetch)
        return Parcel("took", parcel.revision, parcel.number, fetch.arriving.have if fetch.arriving is not None else 0), b""


def _nothing() -> None:
    """Wakes the thread."""
