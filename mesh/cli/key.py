"""`roomful key`: make the installation's key on one machine, read it aloud, type it on the others, where it lets them in."""

from __future__ import annotations

import json
import sys
import uuid
from pathlib import Path
from typing import Any

import click

from mesh.cli.status import door_options
from mesh.core.names import did_you_mean
from mesh.errors import RoomfulError
from mesh.shell.credentials import Credentials, let_in, load_member, next_issue, renew_owner, save_member
from mesh.shell.keys import (
    FORMAT,
    LENGTH,
    InstallationKey,
    KeyFileError,
    default_key_path,
    fingerprint,
    letters,
    load_key,
    new_key,
    parse_key,
    readable_by_others,
    save_key,
)
from mesh.shell.storage import Store, home, node_id

GROUPS_A_LINE = 4
_file = click.option("--file", "-f", "given", type=click.Path(path_type=Path), help="The key's file, where it is not this machine's own.")
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON value.")


@click.group(
    epilog="\b\nExamples:\n  roomful key new                 on the first machine\n  roomful key show                "
    "read it aloud, or write it down\n  roomful key add                 on every other machine, then type it",
)
def command() -> None:
    """Make, show or add the installation's key. It says which machines are one room; others are refused.

    The machine on which it was made keeps it: from there the work is sent, and machines are shut out. On every other it is typed
    once, lets that machine in, and is forgotten.
    """


@command.command(epilog="\b\nExamples:\n  roomful key new\n  roomful key new --file /media/stick/whispering-room.key")
@_file
@_json
def new(given: Path | None, as_json: bool) -> None:
    """Make a key, once for each installation. A key that is there already is kept."""
    path = given or default_key_path()
    _print(new_key(path), path, as_json, "This machine has its key now. On every other machine: roomful key add")


@command.command(epilog="\b\nExamples:\n  roomful key show\n  roomful key show --qr\n  roomful key show --svg key.svg --png key.png")
@click.option("--qr", is_flag=True, help="Also as a QR code, here in the terminal.")
@click.option("--svg", type=click.Path(path_type=Path), help="Write the QR code to this file.")
@click.option("--png", type=click.Path(path_type=Path), help="Write the QR code to this file.")
@_file
@_json
def show(qr: bool, svg: Path | None, png: Path | None, given: Path | None, as_json: bool) -> None:
    """Print the key in groups to read aloud. Whoever hears it can join the room, and decide what it plays."""
    path = given or default_key_path()
    key = load_key(path)
    _print(key, path, as_json, "The last characters are a check: a key mistyped is noticed.")
    if qr or svg or png:
        from mesh.shell import qr_code

        for picture in filter(None, (svg, png)):
            qr_code.write(key, picture, "svg" if picture is svg else "png")
            click.echo(f"{picture} holds the key now: whoever photographs it can join the room.", err=True)
        if qr and not as_json:
            click.echo(qr_code.for_terminal(key), nl=False)


@command.command(epilog="\b\nExamples:\n  roomful key add\n  roomful key add --from /media/stick/whispering-room.key")
@click.argument("typed", nargs=-1, metavar="[KEY]")
@click.option("--from", "source", type=click.Path(path_type=Path), help="Take it from a key file, a USB stick's say.")
@click.option("--owner", is_flag=True, help="Keep the whole key here: this machine, too, may send the work and shut others out.")
@click.option("--renew", is_flag=True, help="Let this machine in anew, with other secrets: after it was shut out.")
@_file
@_json
def add(typed: tuple[str, ...], source: Path | None, owner: bool, renew: bool, given: Path | None, as_json: bool) -> None:
    """Let this machine into an installation. Without KEY it asks, so that the key is in no shell's history.

    The key itself is forgotten again, unless with --owner: a machine that is stolen can be shut out without changing the others.
    """
    path = given or default_key_path()
    if source is not None:
        key = load_key(source)
    elif renew and not typed and (kept := _kept(path)) is not None:
        key = kept
    else:
        key = parse_key(" ".join(typed) or _typed())
    if path.exists() and _is_same(path, key):
        if renew:
            _renew_owner(path, given, as_json)
            return
        _print(key, path, as_json, "This machine has this very key already; nothing was changed.")
        return
    before = _member(path)
    if before is not None and before.verify_key != key.verify_key:
        raise KeyFileError("this machine belongs to another installation already", where=str(path),
                           instead="Move that file away first, if it shall leave that room.")
    if owner:
        if before is not None:
            raise KeyFileError("this machine was let in without the key already", where=str(path), instead="Move that file away first.")
        save_key(path, key)
        _print(key, path, as_json, "This machine belongs to the room now, and keeps its key.")
        return
    if before is not None and not renew:
        _print_member(before, path, as_json, "This machine belongs to that room already; nothing was changed.")
        return
    node = before.node if before else (node_id(Store(home())) if given is None else uuid.uuid4().hex)
    store = Store(home()) if given is None else None
    mine = let_in(key, node, next_issue(store, before.certificate.issue if before else 0))
    save_member(path, mine, replace=before is not None)
    again = " Start its agent anew." if before else ""
    _print_member(mine, path, as_json, f"This machine belongs to the room now. The key itself was not kept here.{again}")


def _renew_owner(path: Path, given: Path | None, as_json: bool) -> None:
    """Of a machine that keeps the whole key: the file stays, and its node is let in anew."""
    if given is not None:
        raise KeyFileError("a whole key has nothing to renew: it is this machine's node that is let in anew", where=str(given),
                           instead="On the machine that was shut out, without --file: `roomful key add --renew`.")
    said = "This machine's node is let in anew, and it keeps the key as before. Start its agent anew."
    _print_member(renew_owner(path, Store(home())), path, as_json, said)


@command.command("list", epilog="\b\nExamples:\n  roomful key list\n  roomful key list --json")
@door_options
@_json
def list_(host: str | None, key_path: Path | None, as_json: bool) -> None:
    """Which machines were let in, which are shut out, and which commands the whole key vouched for."""
    from mesh.shell.finding import find

    said = find(host, key_path).ask("keys")
    if as_json:
        click.echo(json.dumps(said))
        return
    click.echo(f"The room's fingerprint, the same on all of its machines: {said['fingerprint']}")
    for machine in said["machines"]:
        states = ["shut out"] if machine["shut_out"] else ["let in"]
        states += ["keeps the whole key"] if machine["owner"] else []
        click.echo(f"  {machine['name'] or '(not met)':<16} {machine['node'][:8]}  {', '.join(states)}")
    for command in said["commands"]:
        state = "shut out" if command["shut_out"] else "let in for as long as it ran"
        click.echo(f"  {'(a command)':<16} {command['node'][:8]}  {state}")


@command.command(epilog="\b\nExamples:\n  roomful key revoke shelf\n  roomful key revoke shelf --file /media/stick/whispering-room.key")
@click.argument("machine")
@click.option("--host", metavar="HOST[:PORT]", help="A machine of the room.  [default: found]")
@_file
@_json
def revoke(machine: str, host: str | None, given: Path | None, as_json: bool) -> None:
    """Shut MACHINE (its name, or the beginning of its number in `key list`) out of the room; the others play on.

    The number may also be that of a command: one that ran on a laptop with the whole key has secrets of its own for as long as it
    runs, which count no more from then on. It needs the whole key: where it was made, from a file, or typed. A machine that keeps
    the whole key can let itself in again.
    """
    from mesh.shell.finding import find
    from mesh.shell.revocations import read, sign

    key = _whole(given)
    door = find(host, given)
    said = door.ask("keys")
    if said["fingerprint"] != fingerprint(key.verify_key):
        raise KeyFileError("this is another installation's key", instead=f"The room's fingerprint is {said['fingerprint']}.")
    gone = _named(machine, [*said["machines"], *({**each, "name": "", "owner": False} for each in said["commands"])])
    before = read(bytes.fromhex(said["signed"]), key.verify_key)
    shut_out = {**(before.shut_out if before else {}), **{each["node"]: each["issue"] for each in gone}}
    number = said["number"] + 1
    told = {"signed": sign(key, number, shut_out).signed.hex(), "group_key": key.group_key(number).hex()}
    after = door.ask("shut_out", told)
    if as_json:
        click.echo(json.dumps(after))
        return
    name = gone[0]["name"] or gone[0]["node"][:8]
    if gone[0] in said["machines"]:
        click.echo(f"{name} is shut out. `roomful key add --renew` on it would let it in again.")
        _say_who_was_not_told(name, after["machines"], door.ask("status")["machines"])
    else:
        click.echo(f"The command {name} is shut out.")
    if any(each["owner"] for each in gone):
        click.echo("It keeps the whole key, so whoever has it can let himself in again: make a new key for the room.", err=True)


def _say_who_was_not_told(gone: str, let_in: list[dict[str, Any]], here: dict[str, dict[str, Any]]) -> None:
    """Whoever is off hears of it late, and from nobody where only the one that was shut out is there."""
    awake = {each["node"] for each in here.values() if each["health"] in ("alive", "suspect")}
    names = sorted({each["name"] for each in let_in if each["name"] and not each["shut_out"] and each["node"] not in awake})
    if names:
        click.echo(f"Not here, so not told yet: {', '.join(names)}. They hear of it from the first of the others that they meet; one that "
                   f"met {gone} alone before would still let it in.", err=True)


def _whole(given: Path | None) -> InstallationKey:
    """The whole key: this machine's own or a file's, else as it is typed."""
    path = given or default_key_path()
    if given is None and _member(path) is not None:
        return parse_key(_typed())
    return load_key(path)


def _named(machine: str, machines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = [each for each in machines if each["name"] == machine or (len(machine) >= 4 and each["node"].startswith(machine))]
    if not found:
        known = [each["name"] for each in machines if each["name"]]
        raise RoomfulError(f"no machine {machine!r} was ever let in here", instead=did_you_mean(machine, known, of="machines").capitalize())
    return found


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


def _member(path: Path) -> Credentials | None:
    return load_member(path) if path.exists() else None


def _kept(path: Path) -> InstallationKey | None:
    """The whole key, where this machine keeps it."""
    return load_key(path) if path.exists() and _member(path) is None else None


def _is_same(path: Path, key: InstallationKey) -> bool:
    """Whether the key is there already. A file that is no key is not: `save_key` then says that something stands in the way."""
    try:
        return load_key(path).secret == key.secret
    except KeyFileError:
        return False


def _print(key: InstallationKey, path: Path, as_json: bool, then: str) -> None:
    """`--json`: {"file", "key", "groups", "fingerprint", "readable_by_others"}."""
    open_to_others = readable_by_others(path)
    if as_json:
        value = {"file": str(path), "key": key.text, "groups": key.groups, "fingerprint": fingerprint(key.verify_key),
                 "readable_by_others": open_to_others}
        click.echo(json.dumps(value))
        return
    click.echo(FORMAT)
    for at in range(0, len(key.groups), GROUPS_A_LINE):
        click.echo("  " + "   ".join(key.groups[at : at + GROUPS_A_LINE]))
    click.echo(f"{path}\nIts fingerprint, which is no secret: {fingerprint(key.verify_key)}\n{then}", err=True)
    _warn(path)


def _print_member(mine: Credentials, path: Path, as_json: bool, then: str) -> None:
    """`--json`: {"file", "node", "fingerprint", "readable_by_others"}. Nothing of it is secret."""
    if as_json:
        value = {"file": str(path), "node": mine.node, "fingerprint": fingerprint(mine.verify_key),
                 "readable_by_others": readable_by_others(path)}
        click.echo(json.dumps(value))
        return
    click.echo(fingerprint(mine.verify_key))
    click.echo(f"{path}\n{then} Above is the room's fingerprint: the same on all of its machines.", err=True)
    _warn(path)


def _warn(path: Path) -> None:
    if readable_by_others(path):
        click.echo(f"Others on this computer can read the file; keep it to yourself: chmod 600 {path}", err=True)
