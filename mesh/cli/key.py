"""`roomful key`: make the installation's key on one machine, read it aloud, type it on the others."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from mesh.shell.keys import (
    FORMAT,
    LENGTH,
    InstallationKey,
    KeyFileError,
    default_key_path,
    letters,
    load_key,
    new_key,
    parse_key,
    readable_by_others,
    save_key,
)

GROUPS_A_LINE = 4
_file = click.option("--file", "-f", "given", type=click.Path(path_type=Path), help="The key's file, where it is not this machine's own.")
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON value.")


@click.group(
    epilog="\b\nExamples:\n  roomful key new                 on the first machine\n  roomful key show                "
    "read it aloud, or write it down\n  roomful key add                 on every other machine, then type it",
)
def command() -> None:
    """Make, show or add the installation's key. Machines with the same key are one room; others are refused."""


@command.command(epilog="\b\nExamples:\n  roomful key new\n  roomful key new --file /media/stick/whispering-room.key")
@_file
@_json
def new(given: Path | None, as_json: bool) -> None:
    """Make a key, once for each installation. A key that is there already is kept."""
    path = given or default_key_path()
    _print(new_key(path), path, as_json, "This machine has its key now. On every other machine: roomful key add")


@command.command(epilog="\b\nExamples:\n  roomful key show\n  roomful key show --json")
@_file
@_json
def show(given: Path | None, as_json: bool) -> None:
    """Print the key in groups to read aloud. Whoever hears it can join the room."""
    path = given or default_key_path()
    _print(load_key(path), path, as_json, "The last characters are a check: a key mistyped is noticed.")


@command.command(epilog="\b\nExamples:\n  roomful key add\n  roomful key add --from /media/stick/whispering-room.key")
@click.argument("typed", nargs=-1, metavar="[KEY]")
@click.option("--from", "source", type=click.Path(path_type=Path), help="Take it from a key file, a USB stick's say.")
@_file
@_json
def add(typed: tuple[str, ...], source: Path | None, given: Path | None, as_json: bool) -> None:
    """Give this machine the key of an installation. Without KEY it asks, so that the key is in no shell's history."""
    path = given or default_key_path()
    if source is not None:
        key = load_key(source)
    else:
        key = parse_key(" ".join(typed) or _typed())
    if path.exists() and _is_same(path, key):
        _print(key, path, as_json, "This machine has this very key already; nothing was changed.")
        return
    save_key(path, key)
    _print(key, path, as_json, "This machine belongs to the room now. Compare it with the first machine's key.")


def _typed() -> str:
    """The key as it is typed or pasted, on one line or on the several that `key show` prints; an empty line ends it."""
    text = ""
    while len(letters(text)) < LENGTH:
        words = "The key, as `roomful key show` prints it" if not text else "…"
        try:
            line = str(click.prompt(words, err=True, default="", show_default=False))
        except click.Abort:  # Ctrl-C, or the end of what was piped in: `parse_key` says what is missing
            click.echo(err=True)
            break
        if not line.strip() and (text or not sys.stdin.isatty()):
            break
        text += f"{line} "
    return text


def _is_same(path: Path, key: InstallationKey) -> bool:
    """Whether the key is there already. A file that is no key is not: `save_key` then says that something stands in the way."""
    try:
        return load_key(path).secret == key.secret
    except KeyFileError:
        return False


def _print(key: InstallationKey, path: Path, as_json: bool, then: str) -> None:
    """`--json`: {"file", "key", "groups", "readable_by_others"}."""
    open_to_others = readable_by_others(path)
    if as_json:
        value = {"file": str(path), "key": key.text, "groups": key.groups, "readable_by_others": open_to_others}
        click.echo(json.dumps(value))
        return
    click.echo(FORMAT)
    for at in range(0, len(key.groups), GROUPS_A_LINE):
        click.echo("  " + "   ".join(key.groups[at : at + GROUPS_A_LINE]))
    click.echo(f"{path}\n{then}", err=True)
    if open_to_others:
        click.echo(f"Others on this computer can read the file; keep it to yourself: chmod 600 {path}", err=True)
