"""The agent's hands on revisions: which one it starts with, getting another, turning to it, and tidying up.

What to do is decided in `core/distribution.py`; the bytes come by `transfer.py`. A revision is ready when it lies on the disk, every
chunk verified, and its deployment was read and found good *on this machine*, so that turning to it later takes no time and cannot
fail for a reason that was there to be seen.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mesh.core.distribution import BY_HAND, PLAY, signed_words
from mesh.core.effects import Fetch, Play, Prune
from mesh.core.events import DeploymentRead, Event, RevisionFailed, RevisionReady
from mesh.core.manifest import changed_paths, is_hash
from mesh.core.messages import Signed
from mesh.core.spec import Deployment
from mesh.errors import DeploymentError, RoomfulError
from mesh.shell import folder as folders
from mesh.shell.keys import verify
from mesh.shell.kinds import read_kinds
from mesh.shell.revisions import Revisions
from mesh.shell.touched import change
from mesh.shell.transfer import Transfer
from mesh.shell.transfer_line import TRANSFER_PORT

if TYPE_CHECKING:
    from mesh.shell.agent import Agent


@dataclass(frozen=True, slots=True)
class Held:
    """A revision that is played here. Without a deployment: the agent waits to be sent one."""

    deployment: Deployment | None = None
    number: int = 0
    hash: str = ""
    folder: Path | None = None


class Distributing:
    """One agent's revisions."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        settings = agent.settings
        self.store = Revisions(settings.home / "revisions")
        self.held = Held()
        self.transfer: Transfer | None = None
        self._loaded: dict[str, Deployment] = {}
        self._disk = ThreadPoolExecutor(1, "revisions")
        self._turning = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    # ---- at the start

    def begin(self) -> Held:
        """What to play first: what was ordered, else what was played last, else the folder that the agent was started with. Slow: it
        reads every file. Raises DeploymentError when that folder cannot be played and nothing else is here."""
        settings = self._agent.settings
        given = self.store.give(settings.folder) if settings.folder is not None else ""
        for number, revision in self._sent():
            folder = self.store.path / revision
            if folder.is_dir() and self.store.is_sound(revision):
                try:
                    self.held = Held(folders.load(folder), number, revision, folder)
                    break
                except RoomfulError as fault:
                    what = f"revision {number} ({revision[:8]}) lies here and cannot be played: {_in_short(fault)}"
                    self._agent.early.append(("trouble", {"what": what}))
        if self.held.deployment is None and settings.folder is not None:
            known = read_kinds(settings.kinds) if settings.kinds is not None else None
            self.held = Held(folders.load(settings.folder, known=known), BY_HAND, given, settings.folder)
        elif self.held.hash != given and given:
            what = (f"revision {self.held.number}, which this room was sent, is played, and not {settings.folder}: "
                    "`roomful up DIR` sends that folder")
            self._agent.early.append(("trouble", {"what": what}))
        if self.held.deployment is None:
            what = "this machine has no deployment yet: it waits for `roomful up DIR`, given on any machine"
            self._agent.early.append(("trouble", {"what": what}))
        else:
            self._loaded[self.held.hash] = self.held.deployment
        return self.held

    def _sent(self) -> list[tuple[int, str]]:
        """The revisions that this machine was sent, the one to play first."""
        found = []
        ordered = self._agent.store.read("ordered")
        if isinstance(ordered, list) and len(ordered) == 3 and isinstance(ordered[2], str):
            try:
                statement = Signed(int(ordered[0]), str(ordered[1]), bytes.fromhex(ordered[2]))
                found += [(statement.number, statement.hash)] if self.trusts(PLAY, statement) else []
            except (ValueError, TypeError):
                pass
        history = self._agent.store.read("history", [])
        for row in reversed(history if isinstance(history, list) else []):
            if isinstance(row, list) and len(row) == 2 and isinstance(row[0], int) and row[0] > BY_HAND and is_hash(row[1]):
                found.append((row[0], row[1]))
        return found

    def trusts(self, purpose: str, statement: Signed) -> bool:
        """Whether the owner of the installation's key signed this."""
        words = signed_words(purpose, statement.number, statement.hash)
        return verify(self._agent.settings.key.verify_key, words, statement.signature)

    def open(self) -> int:
        """Begin to serve; the port."""
        settings = self._agent.settings
        self.transfer = Transfer(self._agent.vouching.register, self.store, on_end=self._on_end,
                                 on_trouble=lambda words: self._agent.report_later("trouble", {"what": words}))
        return self.transfer.bind("127.0.0.1" if settings.rehearsal else "*", 0 if settings.rehearsal else TRANSFER_PORT)

    def installation(self) -> str:
        """Whose this machine is: as the folder it was started with says; of one that was sent, what it has been since. Another
        name in a later revision changes nothing: machines that are off meanwhile must find their room again."""
        kept, key = self._agent.store.read("installation"), self._agent.settings.key
        if self.held.number > BY_HAND and isinstance(kept, str):
            return kept
        if self.held.deployment is not None:
            return key.hash(self.held.deployment.installation)
        return kept if isinstance(kept, str) else key.hash("")

    def first(self) -> list[Event]:
        """What lies here, and what is played of it."""
        ready: list[Event] = [RevisionReady(each) for each in self.store.whole()]
        if self.held.deployment is None:
            return ready
        return [*ready, DeploymentRead(self.held.deployment, (self.held.number, self.held.hash))]

    async def close(self) -> None:
        """Ends the threads; what has come stays on the disk."""
        for task in self._tasks:
            task.cancel()
        if self.transfer is not None:
            await asyncio.get_running_loop().run_in_executor(None, self.transfer.close)
        self._disk.shutdown(wait=False, cancel_futures=True)

    # ---- what the mind wants

    def perform(self, effect: Fetch | Play | Prune) -> None:
        """Do it, in other threads; what comes of it is fed to the mind."""
        match effect:
            case Fetch():
                self._spawn(self._fetch(effect))
            case Play():
                self._spawn(self._play(effect))
            case Prune():
                in_use = self._agent.processes.plays_from()
                if in_use is not None:
                    keep = {*effect.keep, *(path.name for path in in_use)}
                    self._disk.submit(self.store.prune, keep)
                    self._loaded = {each: loaded for each, loaded in self._loaded.items() if each in keep}

    def reach(self) -> None:
        """Tell the transfer who is here, and where it serves from."""
        if self.transfer is None:
            return
        here = {}
        for member in self._agent.node.membership.present():
            address = member.address or next(iter(member.record.addresses), "")
            if member.state is not None and member.state.transfer_port and address:
                here[member.record.node] = (address, member.state.transfer_port)
        self.transfer.reach(here)

    def hang_up(self, node: str) -> None:
        """The control plane makes its line to that machine anew, which was silent for a while: so does the transfer."""
        if self.transfer is not None:
            self.transfer.hang_up(node)

    def described(self) -> dict[str, Any]:
        """What `roomful up` shows of this machine, and what it needs to know before it asks."""
        said = self._agent.node.distribution
        return {
            "playing": list(self._agent.node.state.revision), "ready": sorted(said.ready), "cannot": dict(said.cannot),
            "linkable": [each for each in sorted(said.ready) if each not in self.store.given],
            "offered": [said.offered.number, said.offered.hash], "ordered": [said.ordered.number, said.ordered.hash],
            "previous": said.previous(), "others": [list(each) for each in said.others()], "fetching": said.fetching,
            "progress": self.transfer.progress if self.transfer is not None else {},
            "chunks": {key: getattr(self.transfer, key, 0) for key in ("served", "received", "repeated")},
        }

    # ---- doing it

    def _spawn(self, doing: Any) -> None:
        task = asyncio.get_running_loop().create_task(doing)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _fetch(self, effect: Fetch) -> None:
        loop = asyncio.get_running_loop()
        if effect.hash in self.store.given and not await loop.run_in_executor(self._disk, self.store.is_sound, effect.hash):
            del self.store.given[effect.hash]  # somebody works in that folder: it is another by now
        assert self.transfer is not None
        self.reach()
        self.transfer.fetch(effect.hash)

    def _on_end(self, revision: str, folder: Path | None, why: str) -> None:
        """In the transfer's thread."""
        try:
            self._agent.loop.call_soon_threadsafe(self._arrived, revision, folder, why)
        except RuntimeError:
            return  # the agent has ended meanwhile

    def _arrived(self, revision: str, folder: Path | None, why: str) -> None:
        if folder is None:
            self._agent.feed(RevisionFailed(revision, why))
        else:
            self._spawn(self._examine(revision, folder))

    async def _examine(self, revision: str, folder: Path) -> None:
        """It lies here: can it be played here as well?"""
        try:
            await self._load(revision, folder)
        except RoomfulError as fault:
            self._agent.feed(RevisionFailed(revision, _in_short(fault)))
            return
        self._agent.feed(RevisionReady(revision))

    async def _load(self, revision: str, folder: Path) -> Deployment:
        if revision not in self._loaded:
            self._loaded[revision] = await asyncio.get_running_loop().run_in_executor(self._disk, folders.load, folder)
        return self._loaded[revision]

    async def _play(self, effect: Play) -> None:
        """Turn to a revision that lies here: one at a time, in their order."""
        async with self._turning:
            loop = asyncio.get_running_loop()
            folder = self.store.folder(effect.hash)
            try:
                if not await loop.run_in_executor(self._disk, self.store.is_sound, effect.hash):
                    raise RoomfulError("it is damaged, or was changed, on the disk of this machine", where=str(folder))
                deployment = await self._load(effect.hash, folder)
                restarted = await loop.run_in_executor(self._disk, self._restarted, deployment, effect.hash, folder)
            except (RoomfulError, OSError) as fault:
                await self._forget(effect.hash)
                self._agent.feed(RevisionFailed(effect.hash, _in_short(fault)))
                return
            self.held = Held(deployment, effect.number, effect.hash, folder)
            self._turn(deployment, folder)
            installation = self._agent.settings.key.hash(deployment.installation)
            self._agent.feed(DeploymentRead(deployment, (effect.number, effect.hash), restarted, installation))

    def _turn(self, deployment: Deployment, folder: Path) -> None:
        """From now on another revision is played: processes that are started from here on are of it."""
        agent = self._agent
        assert agent.processes.stead is not None
        agent.processes.deployment = deployment
        agent.processes.stead = replace(agent.processes.stead, folder=folder)
        if agent.store.read("installation") is None and agent.node.me.installation != agent.settings.key.hash(""):
            agent.save_later(agent.save, "installation", agent.node.me.installation)
        agent.dial_seeds(deployment.seeds)

    async def _forget(self, revision: str) -> None:
        """What lies here of it is no good: it is fetched again, and what is good of it is found again."""
        self._loaded.pop(revision, None)
        self.store.given.pop(revision, None)
        await asyncio.get_running_loop().run_in_executor(self._disk, self.store.reopen, revision)

    def _restarted(self, new: Deployment, revision: str, folder: Path) -> frozenset[str]:
        """The roles that are not what they were. In a thread that may wait."""
        old, before, after = self.held, self.store.manifest(self.held.hash), self.store.manifest(revision)
        if old.deployment is None or old.folder is None or old.hash == revision:
            return frozenset()
        if before is None or after is None:
            return frozenset(role.name for role in new.roles)
        return frozenset(change(old.deployment, old.folder, new, folder, changed_paths(before, after)).restarted)


def _in_short(fault: Exception) -> str:
    """Why a revision cannot be played, for one line of `status`."""
    if isinstance(fault, DeploymentError):
        first = fault.mistakes[0]
        more = f", and {len(fault.mistakes) - 1} more" if len(fault.mistakes) > 1 else ""
        return f"its deployment cannot be played here: line {first.line}: {first.what}{more}"
    what = fault.what if isinstance(fault, RoomfulError) else str(fault)
    where = fault.where if isinstance(fault, RoomfulError) else ""
    return f"{what}{f' ({where})' if where else ''}"
