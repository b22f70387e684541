"""`roomful dashboard`: the room on a page that a technician opens on a phone.

By hand, on a machine of the room, for as long as it is wanted: a port that is open day and night on a network shared with visitors is one
more to guard, and `status` needs none.
"""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path

import click

from mesh.cli.status import door_options
from mesh.errors import UsageError

EPILOG = """\b
Examples:
  roomful dashboard                  then open the address that it prints, on a phone in the same network
  roomful dashboard --qr             with a code for the phone's camera, that only lets look
  roomful dashboard --qr --operator  with one that also lets order: show it to nobody else
  roomful dashboard --bind 127.0.0.1 for this computer alone, or through `ssh -L 8090:127.0.0.1:8090`
"""
PORT = 8090


@click.command(epilog=EPILOG)
@click.option("--bind", default="0.0.0.0", show_default=True, metavar="ADDRESS", help="Listen there; 0.0.0.0: on every network.")
@click.option("--port", default=PORT, show_default=True, type=click.IntRange(0, 65535), help="0: any that is free.")
@click.option("--qr", is_flag=True, help="Also print a QR code that opens the page on a phone.")
@click.option("--operator", is_flag=True, help="Print the operator's word again; with --qr the code holds it.")
@click.option("--new-word", is_flag=True, help="Make another word: phones that know the old one are shown out.")
@door_options
@click.option("--json", "as_json", is_flag=True, help="One JSON value when it is ready, then nothing.")
def command(bind: str, port: int, qr: bool, operator: bool, new_word: bool, host: str | None, key_path: Path | None, as_json: bool) -> None:
    """Show the room on a page: who is here, who plays what, what is wrong, what happened; until Ctrl-C.

    Whoever has the word that only lets look sees it; whoever has the operator's can also let the room play or rest, drain machines and
    bring roles back. Without a word the page tells nothing. The operator's word is printed when it is made, once, and kept in this
    user's folder.
    """
    from mesh.shell.dashboard.server import Dashboard
    from mesh.shell.dashboard.words import load_or_make
    from mesh.shell.finding import find
    from mesh.shell.storage import home

    door = find(host, key_path)
    words, made = load_or_make(home(), anew=new_word)
    dashboard = Dashboard(door, words, lambda told: click.echo(f"{time.strftime('%H:%M:%S')}  {told}", err=True))
    settings = dashboard.settings()  # says it in words when uvicorn is missing
    import uvicorn

    listener = _listen(bind, port)
    address = f"http://{_shown(bind)}:{listener.getsockname()[1]}/"
    shown = words.operator if operator or made else ""
    if as_json:
        click.echo(json.dumps({"page": address, "look": words.look, **({"operator": shown} if shown else {})}))
    else:
        _print(address, words.look, shown, words.operator if operator else words.look, qr)
    try:
        uvicorn.Server(settings).run(sockets=[listener])
    except KeyboardInterrupt:
        click.echo("The page is closed; the room plays on.", err=True)
    finally:
        listener.close()


def _listen(bind: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((bind, port))
        listener.listen()  # who is told of the page can open it at once
    except OSError as error:
        listener.close()
        raise UsageError(f"the dashboard cannot listen on {bind}:{port}: {error.strerror}",
                         instead="End the other program on that port, or choose another: --port 0 takes any that is free.") from None
    return listener


def _shown(bind: str) -> str:
    from mesh.shell.interfaces import usable_addresses

    return bind if bind != "0.0.0.0" else next(iter(usable_addresses()), "127.0.0.1")


def _print(address: str, look: str, operator: str, in_code: str, qr: bool) -> None:
    from mesh.shell.dashboard.words import spelled
    from mesh.shell.qr_code import address_for_terminal

    click.echo(f"The room is shown at {address}\n  the word that lets look:    {spelled(look)}")
    if operator:
        click.echo(f"  the word that lets order:   {spelled(operator)}    (the operator's: tell nobody else)")
    if qr:
        click.echo(address_for_terminal(f"{address}#{in_code}"), nl=False)
    click.echo("Ctrl-C ends it.", err=True)
