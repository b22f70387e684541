"""`roomful plan`: who plays what, who takes over, and what is lost with each machine."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from mesh.core.plan import PlanReport
    from mesh.core.spec import Deployment, RoleSpec

EPILOG = """\b
Examples:
  roomful plan deployments/whispering-room                          who plays what, and who takes over
  roomful plan deployments/whispering-room --lose shelf             what happens when shelf goes
  roomful plan deployments/whispering-room --lose shelf --lose door when both go at once
  roomful plan deployments/whispering-room --every-loss 2 --json    every machine and every pair, for a script
"""


class _PlanCommand(click.Command):
    """Lets `--every-loss` stand alone before the folder too: only 1 or 2 is taken for its value."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        bare = [at for at, word in enumerate(args) if word == "--every-loss" and args[at + 1 : at + 2] not in (["1"], ["2"])]
        return super().parse_args(ctx, ["--every-loss=1" if at in bare else word for at, word in enumerate(args)])


@click.command(cls=_PlanCommand, epilog=EPILOG)
@click.argument("folder", default=".", type=click.Path(path_type=Path))
@click.option("--lose", "lose", multiple=True, metavar="MACHINE", help="Take this machine away. Repeatable: all at once.")
@click.option(
    "--every-loss", type=click.IntRange(0, 2), default=0, metavar="[1|2]", help="Take away each machine in turn; 2: each pair as well."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON value.")
def command(folder: Path, lose: tuple[str, ...], every_loss: int, as_json: bool) -> None:
    """Plan the deployment in FOLDER on this computer alone: what the room will do, before there is a room.

    The gaps are what Roomful promises for each way of standing by, in a room like this; `cold` adds an estimate of its start.
    Exit code 2 when the deployment has mistakes.
    """
    from mesh.core.plan import assumed_machines, plan
    from mesh.shell.folder import load

    deployment = load(folder, verify_hashes=False)
    candidates, assumed = assumed_machines(deployment)
    report = plan(deployment, candidates, lose, every_loss, assumed)
    if as_json:
        click.echo(json.dumps(report.as_json(), indent=2, ensure_ascii=False))
        return
    _print(deployment, report, asked=bool(lose or every_loss))


def _print(deployment: Deployment, report: PlanReport, *, asked: bool) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    count, missing = len(report.placement), len(report.unplaced)
    state = ("everything plays", "green") if not missing else (f"{missing} of {count + missing} cannot play", "bold red")
    console.print(Text.assemble((deployment.installation, "bold"), ": ", state, "."))
    console.print(_placement_table(deployment, report))
    for instance, why in report.unplaced.items():
        console.print(Text.assemble("  ", (instance, "bold red"), f" cannot play: {why}"))
    if report.losses:
        console.print()
        console.print(_loss_table(report))
        _print_reasons(console, report)
    console.print()
    if report.summary:
        console.print(Text(report.summary, "bold"))
    if not asked:
        console.print(Text("What each loss would cost: add --every-loss, or --lose MACHINE.", "dim"))
    for sentence in report.assumed:
        console.print(Text(f"Taken for granted: {sentence}.", "dim"))


def _placement_table(deployment: Deployment, report: PlanReport) -> Table:
    from rich.text import Text

    table = _table("instance", "plays on", "if that machine goes", "gap")
    for instance, machine in report.placement.items():
        role = deployment.role(instance.partition("@")[0].partition("/")[0])
        successor, gap_ms = report.standby.get(instance), report.gap_ms.get(instance)
        if successor is not None and gap_ms is not None:
            how = f"{'another copy' if role.copies > 1 else role.standby} on {successor}"
            table.add_row(Text(instance, "bold"), Text(machine), Text(how), _gap(gap_ms))
            continue
        table.add_row(Text(instance, "bold"), Text(machine), _left_alone(role), Text("–", "dim"))
    return table


def _left_alone(role: RoleSpec) -> Text:
    """What becomes of an instance that nobody stands by for."""
    from rich.text import Text

    if role.each:
        return Text("comes back with its machine", "dim")
    return Text("starts elsewhere if it can" if role.standby == "none" else "nobody can take over", "yellow")


def _loss_table(report: PlanReport) -> Table:
    from rich.text import Text

    table = _table("without", "goes on", "gap", "lost")
    for key, loss in report.losses.items():
        moves = [(f"{instance} on {machine}", _gap(loss.gap_ms[instance])) for instance, machine in loss.moves.items()]
        lost = [Text(instance, "red") for instance in loss.lost] or [Text("nothing", "green")]
        rows = zip_longest(moves or [("nothing moves", Text("–", "dim"))], lost)
        for number, (move, name) in enumerate(rows):
            without = Text("" if number else key.replace("+", " + "), "bold")
            table.add_row(without, Text(move[0]) if move else Text(), move[1] if move else Text(), name or Text())
    return table


def _print_reasons(console: Console, report: PlanReport) -> None:
    """Each reason once, with what it takes and the losses that bring it about."""
    from rich.text import Text

    names: dict[str, dict[str, None]] = {}
    losses: dict[str, dict[str, None]] = {}
    for key, loss in report.losses.items():
        for instance, why in loss.lost.items():
            names.setdefault(why, {})[instance] = None
            losses.setdefault(why, {})[key] = None
    if names:
        console.print()
        table = _table("lost", "because", "without")
        for why, instances in names.items():
            table.add_row(Text(", ".join(instances), "red"), Text(why), Text(_whose(losses[why])))
        console.print(table)


def _whose(keys: Iterable[str]) -> str:
    """The losses that bring it about; a pair goes without saying where one of its machines does alone."""
    every = [set(key.split("+")) for key in keys]
    told = [each for each in every if not any(other < each for other in every)]
    return "; ".join(" + ".join(key.split("+")) for key in keys if set(key.split("+")) in told)


def _gap(gap_ms: int) -> Text:
    from rich.text import Text

    style = "green" if gap_ms <= 500 else "yellow" if gap_ms <= 1000 else "red"
    return Text(f"{gap_ms} ms" if gap_ms < 1000 else f"{gap_ms / 1000:.1f} s", style)


def _table(*headings: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table
