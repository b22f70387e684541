"""`roomful up`, without its printing: what would change, the offer, the sending, the order.

    update = Update(door)
    plan = update.of_folder(folder)              or of_rollback(): what would change, and what it takes on each machine
    update.offer(plan);  update.send(plan)       the room fetches it; `update.seen` says how far each machine is
    update.ready(plan) -> Ready                  who has it, who cannot and why, who is still at it
    update.order(plan)                           all turn to it

The folder's chunks go to one machine, this one where an agent runs on it, and from there to all: what is sent leaves this computer
once. Should that machine fail, the next is taken, and only what it lacks is sent again. The order is given to one machine as
well, which tells it on. Until it is given nothing changes, so an `up` may be broken off at any moment and called again.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zmq

from mesh.core.deployment import read
from mesh.core.distribution import FETCH, PLAY, signed_words
from mesh.core.manifest import Manifest, changed_paths, is_hash, lacking, parse, revision_hash, room_needed
from mesh.core.parcels import MANIFEST_NUMBER, Parcel
from mesh.core.spec import Deployment
from mesh.core.timing import WAITING_TIMING
from mesh.errors import NoRoomError, RoomfulError, WireError
from mesh.shell import folder as folders
from mesh.shell.arriving import RESERVE_BYTES, chunk_to_send
from mesh.shell.finding import Door
from mesh.shell.keys import InstallationKey, KeyFileError
from mesh.shell.revisions import manifest_of
from mesh.shell.touched import Change, change
from mesh.shell.transfer_line import Line

ANSWER_S = 10.0
LOOK_S = 0.4
WINDOW = 4
EXPECTED_S = 15.0  # until the machine that the chunks go to has adopted the offer
HERE = ("alive", "suspect")


@dataclass(frozen=True, slots=True)
class Plan:
    """What an `up` would do. `lacks`: machine -> bytes to be sent to it; `short`: machine -> why it has no room."""

    number: int
    hash: str
    data: bytes
    manifest: Manifest
    folder: Path | None
    files: dict[str, str]
    change: Change
    lacks: dict[str, int]
    short: dict[str, str]
    away: dict[str, str]
    before: tuple[int, str]


@dataclass(frozen=True, slots=True)
class Ready:
    """Where a revision is: machines that have it, that cannot (why), that are still at it, and that play it."""

    ready: tuple[str, ...] = ()
    cannot: dict[str, str] = field(default_factory=dict)
    waiting: tuple[str, ...] = ()
    playing: tuple[str, ...] = ()


class Update:
    """One `roomful up` on its way. Use as a context: leaving it ends its thread."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self.status: dict[str, Any] = door.ask("status")
        self.seen: dict[str, dict[str, Any]] = {}  # machine -> what it said last of its revisions
        self._doors: dict[str, Door] = {}
        self._over = threading.Event()
        self._watch: threading.Thread | None = None
        self._context: zmq.Context[Any] = zmq.Context()
        self.sent_bytes = 0
        self.look()

    def __enter__(self) -> Update:
        self._watch = threading.Thread(target=self._keep_looking, name="looks", daemon=True)
        self._watch.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self._over.set()
        if self._watch is not None:
            self._watch.join()
        self._context.destroy(linger=0)

    # ---- looking

    def look(self) -> None:
        """Ask the room who is here, and each of them what it has. The door may have died: any other machine knows as much."""
        for door in (self._door, *self._doors.values()):
            try:
                self.status = door.ask("status", timeout_s=2.0)
                self._door = door
                break
            except RoomfulError:
                continue
        else:
            raise NoRoomError("no machine of the room answers any more", instead="Look at `roomful status`, and say `roomful up` again.")
        here = {name: self._door.at(each) for name, each in self.status["machines"].items() if each["health"] in HERE}
        self._doors = here
        with ThreadPoolExecutor(max(1, len(here))) as asking:
            answers = dict(zip(here, asking.map(_revisions, here.values()), strict=True))
        self.seen = {name: answer or self.seen.get(name, {}) for name, answer in answers.items()}

    def _keep_looking(self) -> None:
        while not self._over.wait(LOOK_S):
            with suppress(RoomfulError, KeyError, TypeError):
                self.look()

    def own(self) -> str:
        """The machine at which the room was found."""
        return next((name for name, each in self.status["machines"].items() if each.get("self")), "")

    # ---- planning

    def of_folder(self, folder: Path) -> Plan:
        """What sending this folder would change. Raises DeploymentError for one that cannot be played."""
        new = folders.load(folder)
        manifest = manifest_of(folder, strict=True)
        return self._plan(manifest.encode(), manifest, folder, new)

    def of_rollback(self) -> Plan:
        """What going back to the revision before this one would change."""
        said = [self.seen.get(self.own(), {}), *self.seen.values()]
        revision = next((each["previous"] for each in said if each.get("previous")), "")
        if not revision:
            raise RoomfulError("there is no earlier revision to go back to", where="on every machine that is here",
                               instead="Send the folder that you want: `roomful up DIR`.")
        data = self._fetch(revision, "manifest")
        return self._plan(data, parse(data), None, None)

    def _plan(self, data: bytes, manifest: Manifest, folder: Path | None, new: Deployment | None) -> Plan:
        if any(each.get("rehearsal") for each in self.seen.values()):
            raise RoomfulError("this is a rehearsal: it plays the folder where it lies", instead="Edit it there, and it plays at once.")
        revision = revision_hash(data)
        playing = (int(self.status["revision"][0]), str(self.status["revision"][1]))
        held: dict[str, Manifest] = {revision: manifest}
        for each in {each for said in self.seen.values() for each in said.get("ready", ()) if is_hash(each)} - set(held):
            with suppress(RoomfulError):
                held[each] = parse(self._fetch(each, "manifest"))
        before = held.get(playing[1], Manifest(()))
        lacks, short = {}, {}
        for name, said in self.seen.items():
            if revision in said.get("ready", ()):
                lacks[name] = 0
                continue
            lacks[name] = lacking(manifest, [held[each] for each in said.get("ready", ()) if each in held])
            needed = room_needed(manifest, [held[each] for each in said.get("linkable", ()) if each in held])
            free = int(said.get("free_bytes", 1 << 62))
            if needed and needed + RESERVE_BYTES > free:
                short[name] = f"it has {free / 1e6:,.0f} MB free and needs {(needed + RESERVE_BYTES) / 1e6:,.0f} MB"
        files = changed_paths(before, manifest)
        away = {name: each["why"] for name, each in self.status["machines"].items() if each["health"] not in (*HERE, "stranger", "left")}
        changed = self._change((before, playing[1]), (manifest, revision), folder, new, files)
        return Plan(self.highest() + 1, revision, data, manifest, folder, files, changed, lacks, short, away, playing)

    def highest(self) -> int:
        """The highest number that any revision has which is known here."""
        numbers = [int(self.status["revision"][0])]
        for said in self.seen.values():
            numbers += [int(said[key][0]) for key in ("playing", "offered", "ordered") if said.get(key)]
        return max(numbers)

    def _change(
        self, before: tuple[Manifest, str], after: tuple[Manifest, str], folder: Path | None, new: Deployment | None, files: dict[str, str]
    ) -> Change:
        """Which roles it concerns. Of what is not on this computer only the file and the Python are fetched."""
        with tempfile.TemporaryDirectory(prefix="roomful-") as beside:
            old_folder, new_folder = Path(beside) / "old", folder or Path(beside) / "new"
            old = self._sketch(*before, old_folder)
            new = new or self._sketch(*after, new_folder)
            if old is None or new is None:
                if new is None:
                    return Change()
                return Change(added=tuple(role.name for role in new.roles), timing=new.timing if new.timing != WAITING_TIMING else "")
            return change(old, old_folder, new, new_folder, files)

    def _sketch(self, manifest: Manifest, revision: str, into: Path) -> Deployment | None:
        """A deployment without its models, good enough to be held against another; None when there is none."""
        for file in manifest.files:
            if file.path == folders.FILE_NAME or file.path.endswith(".py"):
                (into / file.path).parent.mkdir(parents=True, exist_ok=True)
                chunks = [self._fetch(revision, "chunk", manifest.index[digest]) for digest in file.chunks]
                (into / file.path).write_bytes(b"".join(chunks))
        path = into / folders.FILE_NAME
        draft = read(path.read_bytes())[0] if path.is_file() else None
        return draft.deployment if draft is not None else None

    # ---- sending

    def owner(self) -> InstallationKey:
        """By whose word the room plays something else. Raises KeyFileError unless this is where the installation's key was made."""
        owner = self._door.register.mine.owner
        if owner is None:
            raise KeyFileError("only who holds the installation's whole key can send a deployment, and this machine does not",
                               instead="Call it where the key was made (`roomful key new`), or with --key and that machine's key file.")
        return owner

    def is_played(self, plan: Plan) -> bool:
        """Whether every machine that is here plays just this already."""
        return all(tuple(said.get("playing") or ("", ""))[1] == plan.hash for said in self.seen.values())

    def offer(self, plan: Plan) -> None:
        """From now on the room fetches it. Raises RoomfulError when it does not believe the signature."""
        self._say(FETCH, plan)

    def order(self, plan: Plan) -> None:
        """All who have it turn to it, and whoever is told of it; who has not turns to it once it has."""
        self._say(PLAY, plan)
        self.let_it_play()

    def let_it_play(self) -> None:
        """The room is up, whatever it plays."""
        self._door.ask("order", {"verb": "up"})

    def _say(self, purpose: str, plan: Plan) -> None:
        signature = self.owner().sign(signed_words(purpose, plan.number, plan.hash))
        said = {"purpose": purpose, "number": plan.number, "hash": plan.hash, "signature": signature}
        for name, door in {self.own(): self._door, **self._doors}.items():
            try:
                door.ask("revise", said)
                return
            except NoRoomError:
                self._doors.pop(name, None)
        raise NoRoomError("no machine of the room answers any more", instead="Look at `roomful status`, and say `roomful up` again.")

    def send(self, plan: Plan) -> Iterator[None]:
        """The folder's chunks, to one machine after another until one has them; a step after each few. Nothing when the room has them."""
        if plan.folder is None:
            return
        while not any(plan.hash in said.get("ready", ()) for said in self.seen.values()):
            able = [name for name, said in self.seen.items() if plan.hash not in _cannot(said, plan)]
            if not able:
                return  # `ready` says why of each
            for name in sorted(able, key=lambda each: (each in plan.short, each != self.own())):
                try:
                    yield from self._send_to(name, plan)
                    break
                except (NoRoomError, KeyError):
                    yield
            yield

    def _send_to(self, name: str, plan: Plan) -> Iterator[None]:
        """Returns when that machine has every chunk, or fetches it no more."""
        assert plan.folder is not None
        with self._line(name) as line:
            have, asked, next_s, began_s = 0, dict[int, float](), 0.0, time.monotonic()
            whole = (1 << len(plan.manifest.digests)) - 1
            expected = known = False  # whether it has the manifest; whether it has said which chunks it lacks
            while have != whole:
                yield
                now = time.monotonic()
                if not known and now >= next_s:
                    line.send(Parcel("have", plan.hash) if expected else Parcel("put", plan.hash, MANIFEST_NUMBER),
                              b"" if expected else plan.data)
                    next_s = now + (0.1 if expected else 0.5)
                while known and len(asked) < WINDOW and now >= next_s:
                    index = _lowest(whole & ~have & ~sum(1 << each for each in asked))
                    if index is None:
                        break
                    line.send(Parcel("put", plan.hash, index), chunk_to_send(plan.manifest, plan.folder, index))
                    self.sent_bytes += plan.manifest.chunk_size(plan.manifest.digests[index])
                    asked[index] = now
                answer = _receive(line, 0.05)
                if answer is None:
                    if now - max([began_s, *asked.values()]) > ANSWER_S:
                        raise NoRoomError(f"{name} does not take what it is sent")
                    continue
                began_s = now
                if answer.kind == "has":
                    known, have = True, have | answer.bits
                    continue
                asked.pop(answer.number, None)
                if answer.kind == "took":
                    expected, have, next_s = True, have | answer.bits, 0.0
                elif answer.words != "not yet" and self._is_over(name, plan):
                    return
                else:
                    next_s = now + 0.1

    def _is_over(self, name: str, plan: Plan) -> bool:
        """Whether that machine has it by now, or cannot have it; else it has not adopted the offer yet."""
        said = _revisions(self._doors[name]) or {}
        finishing = (said.get("progress") or {}).get("stage") == "finishing"
        return finishing or plan.hash in said.get("ready", ()) or plan.hash in _cannot(said, plan)

    # ---- how far it is

    def far(self) -> list[int]:
        """How many chunks each machine has: it changes for as long as something arrives."""
        return [int((said.get("progress") or {}).get("have", 0)) for said in self.seen.values()] + [self.sent_bytes]

    def ready(self, plan: Plan) -> Ready:
        """Where it is, of the machines that are here."""
        ready, cannot, waiting, playing = [], {}, [], []
        for name, said in self.seen.items():
            if plan.hash in _cannot(said, plan):
                cannot[name] = str(_cannot(said, plan)[plan.hash])
            elif plan.hash in said.get("ready", ()):
                ready.append(name)
            else:
                waiting.append(name)
            if tuple(said.get("playing") or ()) == (plan.number, plan.hash):
                playing.append(name)
        return Ready(tuple(ready), cannot, tuple(waiting), tuple(playing))

    # ---- lines

    @contextmanager
    def _line(self, name: str) -> Iterator[Line]:
        machine = self.status["machines"][name]
        hosts = self._doors[name].hosts
        line = Line(self._context, self._door.register, str(machine["node"]), hosts[0], int(machine["transfer_port"]))
        with closing(line):
            yield line

    def _fetch(self, revision: str, kind: str, number: int = 0) -> bytes:
        """A manifest or a chunk, from whichever machine has it."""
        for name in sorted(self.seen, key=lambda each: each != self.own()):
            if revision not in self.seen[name].get("ready", ()):
                continue
            with self._line(name) as line:
                line.send(Parcel(kind, revision, number))
                deadline_s = time.monotonic() + ANSWER_S
                while time.monotonic() < deadline_s:
                    if not line.socket.poll(100):
                        continue
                    with suppress(WireError):
                        answer = line.receive()
                        if answer is not None and answer[0].kind == kind:
                            return answer[1]
                    break
        raise RoomfulError(f"no machine gave its {kind} of revision {revision[:8]}", instead="Look at `roomful status`, and try again.")


def _cannot(said: dict[str, Any], plan: Plan) -> dict[str, str]:
    """What a machine cannot have, and why; what it said before it knew of this offer is of an earlier one."""
    known = (plan.number, plan.hash) in (tuple(said.get("offered") or ()), tuple(said.get("ordered") or ()))
    return dict(said.get("cannot") or {}) if known else {}


def _revisions(door: Door) -> dict[str, Any] | None:
    try:
        return dict(door.ask("revisions", timeout_s=1.5))
    except (RoomfulError, TypeError, ValueError):
        return None


def _receive(line: Line, within_s: float) -> Parcel | None:
    if not line.socket.poll(int(within_s * 1000)):
        return None
    try:
        answer = line.receive()
    except WireError:
        return None
    return answer[0] if answer is not None else None


def _lowest(bits: int) -> int | None:
    return (bits & -bits).bit_length() - 1 if bits else None
