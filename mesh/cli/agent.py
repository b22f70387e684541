"""`roomful agent`: run this machine's node until it is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from mesh.errors import RoomfulError, UsageError

EPILOG = """\b
Examples:
  roomful agent --name door                                  on the machine by the door; it plays what `roomful up` sends it
  roomful agent deployments/whispering-room --name shelf     with a folder of its own, until it is sent another
  roomful agent --seed 192.168.1.20                          where mDNS does not pass
"""
@click.command(epilog=EPILOG)
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--name", default="", help="Which machine of the deployment file this is; kept for the next start.")
@click.option("--seed", "seeds", multiple=True, metavar="HOST[:PORT]", help="A machine to dial where mDNS does not reach. Repeatable.")
@click.option("--key", "key_path", type=click.Path(path_type=Path), help="The installation's key file.")
@click.option("--json", "as_json", is_flag=True, help="Print every event as one JSON object a line.")
@click.option("--rehearsal", is_flag=True, hidden=True)
@click.option("--run", "run_folder", type=click.Path(path_type=Path), hidden=True)
@click.option("--kinds", type=click.Path(path_type=Path), hidden=True)
@click.option("--replay", type=click.Path(path_type=Path), hidden=True)
def command(
    folder: Path | None, name: str, seeds: tuple[str, ...], key_path: Path | None, as_json: bool, rehearsal: bool,
    run_folder: Path | None, kinds: Path | None, replay: Path | None,
) -> None:
    """Run this machine's node: it finds the others, and plays its share of the deployment that the room was sent.

    With FOLDER it plays that until `roomful up` sends the room another; FOLDER is remembered. Without, it waits to be sent one.
    Stop it with Ctrl-C: it says goodbye and its roles end with it.
    """
    from mesh.shell.agent import Agent, Settings
    from mesh.shell.credentials import load_credentials
    from mesh.shell.keys import default_key_path
    from mesh.shell.storage import Store, home

    check_seeds(seeds)
    here = home()
    store = Store(here)
    chosen = folder or _remembered(store)
    if chosen is not None and not (chosen / "deployment.yaml").is_file():
        raise UsageError("there is no deployment.yaml in this folder", where=str(chosen),
                         instead="Give the folder that holds it, such as deployments/whispering-room.")
    path = key_path or default_key_path()
    with _only_one(here), _run_folder(here, run_folder) as run:
        settings = Settings(
            here, chosen.resolve() if chosen is not None else None, load_credentials(path, store), run, name, seeds, rehearsal, kinds,
            json.loads(replay.read_text()) if replay is not None else {},
            on_event=_print_json if as_json else _words_printer(), capabilities=_rehearsed() if rehearsal else {},
            secrets=(path,),
        )
        if chosen is not None:
            store.write("folder", str(chosen.resolve()))
        asyncio.run(_run(Agent(settings), here, path))


def check_seeds(seeds: tuple[str, ...]) -> None:
    """Raises UsageError for a seed that is no host."""
    from mesh.core.addresses import host_port
    from mesh.core.quantities import Unclear

    for seed in seeds:
        try:
            host_port(seed)
        except Unclear as fault:
            raise UsageError(f"--seed: {fault.what}", instead=fault.instead) from None


def _remembered(store: Any) -> Path | None:
    """The folder of the last start; None when there was none, or it is gone since the room was sent another."""
    folder = store.read("folder")
    if not isinstance(folder, str) or (not Path(folder).is_dir() and store.read("ordered") is not None):
        return None
    return Path(folder)


@contextlib.contextmanager
def _run_folder(here: Path, given: Path | None) -> Iterator[Path]:
    """A short path for the link's socket: the same at each start, so that roles find the agent after the one that crashed."""
    from mesh.shell.finding import rehearsals

    if given is not None:
        yield given
        return
    run_folder = rehearsals() / f"run-{hashlib.sha256(str(here.resolve()).encode()).hexdigest()[:12]}"
    run_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    yield run_folder


def _rehearsed() -> dict[str, Any]:
    """In a rehearsal each machine has what its place in the room would give it."""
    return {"camera": True, "screen": True, "sound": True, "microphone": True}


async def _run(agent: Any, here: Path, key: Path) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, agent.stop)
    note = here / "agent.json"

    def write_note(event: dict[str, Any]) -> None:
        if event["event"] == "started":
            told = {"pid": os.getpid(), "node": event["node"], "control_port": event["control_port"], "key": str(key.resolve())}
            note.write_text(json.dumps(told))

    agent.listeners.append(write_note)
    if agent.settings.rehearsal:
        loop.add_reader(sys.stdin.fileno(), _hear_rehearsal, agent)
    try:
        await agent.run()
    finally:
        note.unlink(missing_ok=True)


def _hear_rehearsal(agent: Any) -> None:
    """The rehearsal's orders, one JSON object a line; at their end, since it has ended, so does the agent."""
    said = os.read(sys.stdin.fileno(), 65536)
    if not said:
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        agent.stop()
    for line in said.splitlines():
        order = json.loads(line)
        agent.cut(order["cut"], order["on"])


@contextlib.contextmanager
def _only_one(here: Path) -> Any:
    """Two agents on one state folder would be two machines with one identity."""
    import fcntl

    here.mkdir(parents=True, exist_ok=True, mode=0o700)
    with open(here / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RoomfulError("an agent runs on this machine already", where=str(here),
                               instead="Stop it first, or set ROOMFUL_HOME for a second node.") from None
        yield


def _print_json(event: dict[str, Any]) -> None:
    click.echo(json.dumps(event))


def _words_printer() -> Callable[[dict[str, Any]], None]:
    """Prints events in words, each reason once."""
    from mesh.core.event_words import Telling

    telling = Telling()

    def print_words(event: dict[str, Any]) -> None:
        words = telling.words(event)
        if words:
            click.echo(f"{event['t']:8.1f}  {words}")

    return print_words
