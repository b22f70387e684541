"""How a command finds the room: this machine's own agent, a rehearsal that runs here, a named host, or mDNS.

Running agents leave a note of where they listen (`agent.json`); a note whose process is gone counts for nothing.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from mesh.core.addresses import host_port
from mesh.core.codec import decode, encode
from mesh.core.messages import Answer, Call, Message
from mesh.core.plain_text import plain, plain_all
from mesh.core.quantities import Unclear
from mesh.errors import NoRoomError, RoomfulError, UsageError, WireError
from mesh.shell.credentials import for_command
from mesh.shell.introductions import shown
from mesh.shell.keys import default_key_path
from mesh.shell.register import Register
from mesh.shell.storage import Store, home
from mesh.shell.transport import Caller
from mesh.shell.vouching import CERTIFICATES, from_text

BROWSE_S = 2.0


@dataclass(frozen=True, slots=True)
class Door:
    """A node that can be asked."""

    hosts: tuple[str, ...]
    port: int
    register: Register
    node: str = ""  # which node is there, where that is known

    def ask(self, verb: str, arguments: dict[str, Any] | None = None, *, timeout_s: float = 3.0) -> Any:
        """One question, one answer. Raises NoRoomError when it does not come, RoomfulError when the node refuses."""
        try:
            asked = encode(Call("1", verb, arguments or {}))
            answer = decode(Caller(self.register, self.node).ask(self.hosts, self.port, asked, timeout_s))
        except WireError as fault:
            raise NoRoomError(f"the node at {self.hosts[0]} answered in another protocol: {fault.what}",
                              instead="Install the same version of Roomful on this machine.") from None
        return _said(answer)

    def follow(self) -> Iterator[dict[str, Any]]:
        """Every event of the node from now on, until it ends: then NoRoomError is raised."""
        for data in Caller(self.register, self.node).stream(self.hosts, self.port, encode(Call("1", "follow", {}))):
            said = _said(decode(data))
            if isinstance(said, dict):
                yield said

    def at(self, machine: dict[str, Any]) -> Door:
        """The door of another machine, as `status` describes it."""
        hosts = tuple(machine.get("addresses") or self.hosts)
        here = self.hosts if machine.get("self") else hosts
        return Door(here, int(machine.get("control_port", self.port)), self.register, str(machine.get("node", "")))

    def reports(self, said: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """What each machine that is here, by `status`, says of its own roles and clock; without those that do not answer at once."""
        here = {name: self.at(machine) for name, machine in said["machines"].items() if machine["health"] == "alive"}

        def ask(door: Door) -> dict[str, Any]:
            try:
                return dict(door.ask("report", timeout_s=REPORTS_WITHIN_S))
            except (RoomfulError, TypeError, ValueError):
                return {}

        with ThreadPoolExecutor(max(1, len(here))) as asking:
            return {name: report for name, report in zip(here, asking.map(ask, here.values()), strict=True) if report}


REPORTS_WITHIN_S = 1.5


def _said(answer: Message) -> Any:
    """What a node answered, as it can be shown to people. Raises RoomfulError when it refuses."""
    if not isinstance(answer, Answer) or answer.fault:
        raise RoomfulError(plain(answer.fault) if isinstance(answer, Answer) else "the node answered something else")
    return plain_all(answer.value)


def note_path(folder: Path) -> Path:
    """Where a running agent says that it runs."""
    return folder / "agent.json"


def rehearsals() -> Path:
    """Where rehearsals on this computer keep their folders, one for each."""
    return Path(tempfile.gettempdir()) / f"roomful-{os.getuid() if hasattr(os, 'getuid') else 'user'}"


def find(host: str | None = None, key_path: Path | None = None) -> Door:
    """A door to the room. Raises NoRoomError with what was tried, and KeyFileError when the key cannot be read."""
    if host:
        return Door(*_typed(host), register_for(key_path or default_key_path(), home()))
    for folder, note in _notes():
        return Door(("127.0.0.1",), note["control_port"], register_for(Path(note["key"]), folder), str(note.get("node", "")))
    path = key_path or default_key_path()
    if path.exists():
        register = register_for(path, home())
        found = asyncio.run(_browse(register, note_installation()))
        if found is not None:
            return found
        tried = f"no agent runs on this machine, and none answered over mDNS within {BROWSE_S:.0f} s"
    else:
        tried = "no agent and no rehearsal runs on this machine, and it has no installation's key to ask others with"
    raise NoRoomError(
        f"there is no room to talk to: {tried}",
        instead="Start one with `roomful agent DIR`, rehearse with `roomful rehearse DIR`, or name a machine with --host.",
    )


def register_for(key_path: Path, folder: Path) -> Register:
    """Whom a command knows: those whom the node of this folder has met."""
    register = Register(for_command(key_path, folder))
    known = Store(folder).read(CERTIFICATES, [])
    for text in known if isinstance(known, list) else ():
        register.learn(from_text(str(text)))
    return register


def _typed(host: str) -> tuple[tuple[str, ...], int]:
    try:
        name, port = host_port(host)
    except Unclear as fault:
        raise UsageError(f"--host: {fault.what}", instead=fault.instead) from None
    return (name,), port


def note_installation() -> str | None:
    """The installation this machine last played, if any."""
    path = home() / "last.json"
    try:
        return str(json.loads(path.read_text())["installation"])
    except (OSError, ValueError, KeyError):
        return None


def _notes() -> Iterator[tuple[Path, dict[str, Any]]]:
    """The folder of each agent that runs here, and what it left there."""
    newest = sorted(rehearsals().glob("*/*/agent.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in (note_path(home()), *newest):
        try:
            note = json.loads(path.read_text())
            if psutil.pid_exists(int(note["pid"])) and isinstance(note["control_port"], int):
                yield path.parent, note
        except (OSError, ValueError, KeyError, TypeError):
            continue


async def _browse(register: Register, installation: str | None) -> Door | None:
    """The first node on the network that takes this key."""
    from mesh.shell.discovery import Discovery, NodeRecord

    found: asyncio.Queue[NodeRecord] = asyncio.Queue()
    discovery = Discovery(found.put_nowait, lambda addresses: None, lambda words: None)
    me = NodeRecord("0" * 32, "0" * 8, "", 0, 0, 1, 1, "0" * 16)
    await discovery.start(me)
    try:
        deadline = asyncio.get_running_loop().time() + BROWSE_S
        while (left := deadline - asyncio.get_running_loop().time()) > 0:
            record = await asyncio.wait_for(found.get(), left)
            if shown(register, record.introduction) != record.node:
                continue  # anybody can announce what he likes, and an answer that never comes would be waited for
            door = Door(record.addresses, record.control_port, register)
            try:
                await asyncio.get_running_loop().run_in_executor(None, door.ask, "who")
            except RoomfulError:
                continue
            return door
    except TimeoutError:
        pass
    finally:
        await discovery.stop()
    return None
