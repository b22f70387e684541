"""The command line: argument parsing and printing only, a file a verb or group of verbs.

Each verb's module is loaded when it is called, so that `roomful agent` never pays for the tables of
`roomful plan`. Whatever goes wrong comes out as what happened, where, and what to do next, with the exit
code of its branch of `mesh.errors`; a traceback never does.
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
import traceback
from typing import Any

import click

from mesh.core.plain_text import plain
from mesh.errors import RoomfulError

VERBS = {
    "new": "start an artwork of your own from a small one that plays",
    "check": "find every mistake in a deployment",
    "plan": "who plays what, who takes over, and what is lost with each machine",
    "rehearse": "play the whole room on this computer",
    "record": "keep what the sensors give, for other tools and to replay",
    "kinds": "the kinds of role, with their options",
    "models": "what the models of a work are, and how one you bring could be played",
    "key": "make, show or add the installation's key",
    "agent": "run this machine's node",
    "install": "let this machine play by itself when it is switched on",
    "uninstall": "no longer",
    "up": "let the room play",
    "down": "let the room rest until `up`",
    "status": "who is here, who plays what, and what is wrong",
    "watch": "what happens, as it happens",
    "dashboard": "the room on a page, for a phone",
    "bench": "what the mesh reaches on this machine, beside the bare library",
    "events": "what happened lately, on every machine",
    "logs": "what the roles printed",
    "drain": "let a machine's roles go to the others",
    "undrain": "let a machine play again",
    "restore-role": "let a role go back to the machine that it prefers",
}
GROUPS = {"the artist": ("new", "check", "plan", "rehearse", "record", "kinds", "models"),
          "the technician": ("key", "agent", "install", "uninstall", "up", "down", "status", "watch", "dashboard", "bench", "events",
                            "logs", "drain", "undrain", "restore-role")}


class Verbs(click.Group):
    """Loads a verb's module when the verb is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"mesh.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        command.name = cmd_name
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], VERBS, 1)
            hint = f"Did you mean `roomful {near[0]}`?" if near else "`roomful --help` lists the verbs."
            raise click.UsageError(f"there is no verb {args[0]!r}. {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for who, verbs in GROUPS.items():
            with formatter.section(f"For {who}"):
                formatter.write_dl([(verb, VERBS[verb]) for verb in verbs])


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
             epilog="Start with `roomful rehearse deployments/whispering-room`. Each verb's --help ends with examples.")
@click.version_option(package_name="roomful", prog_name="roomful")
def group() -> None:
    """Roomful: many small machines, one artwork."""


def main(arguments: list[str] | None = None) -> None:
    """The console command. Always leaves by an exit code: 0 done, 1 a fault found, 2 wrong usage, 3 no room to talk to."""
    try:
        returned = group.main(arguments, prog_name="roomful", standalone_mode=False)
        code = returned if isinstance(returned, int) else 0
    except click.exceptions.Exit as done:
        code = done.exit_code
    except click.ClickException as wrong:
        wrong.show()
        code = 2
    except (click.Abort, KeyboardInterrupt):
        code = 130
    except RoomfulError as fault:
        click.echo(f"roomful: {plain(str(fault))}", err=True)
        code = fault.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as fault:  # the last border: a person sees words, the traceback goes where ROOMFUL_TRACE says
        if os.environ.get("ROOMFUL_TRACE"):
            traceback.print_exc()
        click.echo(
            f"roomful: this is a mistake in Roomful itself: {type(fault).__name__}: {plain(str(fault))}\n"
            "  Run it again with ROOMFUL_TRACE=1 and send what it prints with your report.", err=True,
        )
        code = 1
    sys.exit(code)
