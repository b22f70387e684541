"""`roomful record`: what the room's sensors give, in a file that other tools read and a rehearsal replays."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import click

from mesh.cli.status import door_options
from mesh.errors import RoomfulError, UsageError

EPILOG = """\b
Examples:
  roomful record my-piece -o day.mcap                       all that its sensors emit, until Ctrl-C
  roomful record my-piece -o day.mcap --jpeg 90 --most 4GB  pictures as JPEG; stops when the file has 4 GB
  roomful record my-piece -o all.mcap --stream "*" --for 60 a minute of every stream
  roomful rehearse my-piece --replay day.mcap --speed 4     and play it at home, in place of the sensors
"""


@click.command(epilog=EPILOG)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("-o", "--output", "path", required=True, type=click.Path(path_type=Path), help="The file to write, such as day.mcap.")
@click.option("--stream", "patterns", multiple=True, metavar="ROLE.STREAM",
              help="What to record, with * and ?. Repeatable.  [default: of all sensors]")
@click.option("--most", default="10GB", show_default=True, metavar="SIZE", help="Stop when the file has grown so large.")
@click.option("--jpeg", type=click.IntRange(1, 100), metavar="QUALITY",
              help="Keep pictures as JPEG of this quality.  [default: as they are]")
@click.option("--for", "for_s", type=click.FloatRange(min=0.1), metavar="SECONDS", help="Stop after this long.  [default: until Ctrl-C]")
@door_options
def command(
    folder: Path, path: Path, patterns: tuple[str, ...], most: str, jpeg: int | None, for_s: float | None, host: str | None,
    key_path: Path | None,
) -> None:
    """Record the streams of the room that plays the deployment in FOLDER, here or on the network, to an MCAP file.

    A recorder that is killed leaves a file that is good up to its last second; it is mended when it is next used.
    """
    from mesh.shell.film import Film
    from mesh.shell.finding import find
    from mesh.shell.folder import load
    from mesh.shell.overhearing import Overhearing

    deployment = load(folder)
    wanted = _chosen(deployment, patterns)
    most_bytes = _size(most)
    door = find(host, key_path)
    with Overhearing(door, lambda name, _: name in wanted, lambda line: click.echo(line, err=True)) as listening:
        missing = sorted(set(wanted) - set(listening.streams))
        if missing:
            raise RoomfulError(f"the room that answers has no stream {', '.join(missing)}", where=str(folder),
                               instead="Is it another artwork? Name one of its machines with --host.")
        film = Film(path, most_bytes, {"installation": deployment.installation, "about": deployment.about}, jpeg)
        click.echo(f"recording {', '.join(listening.streams)} to {path}; stop with Ctrl-C")
        try:
            why = _record(listening, film, for_s)
        finally:
            film.close()
        _print_end(film, why, listening.dropped)


def _chosen(deployment: Any, patterns: tuple[str, ...]) -> list[str]:
    """The names of the streams to record. Raises UsageError when there is none."""
    every = {
        f"{role.name}.{name}": role for role in deployment.roles for name in deployment.kind_of(role.name).outputs_for(role.options)
    }
    if not patterns:
        found = [name for name, role in every.items() if not role.inputs]
        if not found:
            raise UsageError("no role of this deployment is a sensor", instead='Name streams: --stream "*" records all.')
        return found
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in every):
            raise UsageError(f"there is no stream {pattern!r}", instead=f"There are {', '.join(every) or 'none'}.")
    return [name for name in every if any(fnmatchcase(name, pattern) for pattern in patterns)]


def _size(text: str) -> int:
    from mesh.core.quantities import Unclear, size_bytes

    try:
        return size_bytes(text)
    except Unclear as fault:
        raise UsageError(f"--most: {fault.what}", instead=fault.instead) from None


def _record(listening: Any, film: Any, for_s: float | None) -> str:
    """Until it is stopped, over or full; why it ended."""
    from mesh.shell.film import Full
    from mesh.shell.overhearing import now_ns

    until_s = float("inf") if for_s is None else time.monotonic() + for_s
    with _until_stopped() as stopped:
        try:
            while not stopped and time.monotonic() < until_s:
                for stream, type_, header, taken in listening.frames(0.1):
                    film.add(stream, type_, taken, header.number, header.captured_ns, now_ns())
                film.keep_house()
        except Full as full:
            return str(full)
    return ""


@contextlib.contextmanager
def _until_stopped() -> Iterator[list[int]]:
    """A list that is no longer empty once the recorder is asked to end."""
    asked: list[int] = []
    before = {number: signal.signal(number, lambda it, _: asked.append(it)) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _print_end(film: Any, why: str, dropped: int) -> None:
    counts = ", ".join(f"{count} of {stream}" for stream, count in sorted(film.counts.items())) or "no frames"
    click.echo(f"{why + '; ' if why else ''}{counts}; {film.path.stat().st_size / 1e6:,.1f} MB in {film.path}")
    if dropped:
        click.echo(f"{dropped} frames came too fast for this machine and are missing", err=True)
