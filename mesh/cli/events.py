"""`roomful events`: what happened lately, gathered from every machine and put in order.

Ordered by how long ago each node says that it was, so that no machine's clock need be right. What several machines
saw is said once in words; `--json` has every line, with who says it.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click

from mesh.cli.status import door_options
from mesh.core.event_words import told
from mesh.errors import NoRoomError

EPILOG = """\b
Examples:
  roomful events                the last 50, of all machines
  roomful events -n 500 --json  for a script: one JSON object a line
"""


@click.command(epilog=EPILOG)
@click.option("-n", "last", default=50, show_default=True, type=click.IntRange(1, 1000), help="How many.")
@door_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line: the event, its machine and its age in seconds.")
def command(last: int, host: str | None, key_path: Path | None, as_json: bool) -> None:
    """Print what happened lately: machines that came and went, take-overs, roles that failed. Each agent remembers its last 1,000."""
    from mesh.shell.finding import find

    door = find(host, key_path)
    said = door.ask("status")
    found: list[dict[str, Any]] = []
    for machine, about in said["machines"].items():
        if about["health"] not in ("alive", "suspect"):
            continue
        try:
            found += [{"machine": machine, **event, "seen_by": machine} for event in door.at(about).ask("events", {"last": 1000})]
        except NoRoomError as fault:
            click.echo(f"{machine}: its events cannot be reached: {fault.what}", err=True)
    found.sort(key=lambda event: -event["age_s"])
    if as_json:
        for event in found[-last:]:
            click.echo(json.dumps(event))
        return
    lines = told(found)[-last:]
    for age_s, words in lines:
        click.echo(f"{_when(age_s)}  {words}")
    if not lines:
        click.echo("Nothing has happened yet.")


def _when(age_s: float) -> str:
    """This computer's time of day, and the date when it is another day's."""
    then = time.localtime(time.time() - age_s)
    return time.strftime("%H:%M:%S" if age_s < 12 * 3600 else "%d %b %H:%M:%S", then)
