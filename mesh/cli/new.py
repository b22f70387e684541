"""`roomful new`: a small artwork that plays at once, to be changed line by line.

It needs no model, so that the first minute is about the piece and not about downloads. Decided against: questions on
the terminal (the file explains itself better) and several templates (a choice before there is anything to choose by).
"""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from mesh.core.names import as_name, is_name
from mesh.errors import UsageError

TEMPLATE = Path(__file__).resolve().parent.parent / "templates" / "new"
PLACEHOLDER = "my-piece"
EPILOG = """\b
Examples:
  roomful new tide-room && roomful rehearse tide-room
  roomful new artworks/tide-room
"""


@click.command(epilog=EPILOG)
@click.argument("name", type=click.Path(path_type=Path))
def command(name: Path) -> None:
    """Make the folder NAME with a deployment, two roles of your own and a page. An existing folder is never touched."""
    folder = create(name)
    click.echo(f"""{folder} is ready:

  {folder}/deployment.yaml    who plays what, and where
  {folder}/roles.py           the roles of your own, in Python
  {folder}/pages/page.html    what visitors see

Play it on this computer:    roomful rehearse {folder}
Find every mistake in it:    roomful check {folder}
What else a role can be:     roomful kinds""")


def create(folder: Path) -> Path:
    """Write the template's files into the new `folder`, named after it. UsageError when the name or the place will not do."""
    name = folder.name
    if not is_name(name):
        raise UsageError(
            f"{name!r} cannot name an installation",
            where="roomful new",
            instead=f"use small letters, digits and dashes, as in {folder.with_name(as_name(name or PLACEHOLDER))}",
        )
    if folder.exists() or folder.is_symlink():
        raise UsageError(f"{folder} is there already", where="roomful new", instead="choose another name; nothing was changed")
    try:
        shutil.copytree(TEMPLATE, folder, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        for file in (path for path in folder.rglob("*") if path.is_file()):
            file.write_text(file.read_text("utf-8").replace(PLACEHOLDER, name), "utf-8")
    except OSError as refusal:
        raise UsageError(
            f"{folder} cannot be written: {refusal.strerror}", where="roomful new", instead="choose another place"
        ) from refusal
    return folder
