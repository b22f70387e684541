"""What another revision changes: a role is started anew when what its process is made of differs, and for nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from mesh.cli.up import _show
from mesh.core.deployment import read
from mesh.core.manifest import changed_paths
from mesh.core.spec import Deployment
from mesh.shell.revisions import manifest_of
from mesh.shell.sending import Plan
from mesh.shell.touched import Change, change

FILE = """
installation: room
machines: {a: {}, b: {labels: [screen]}}
models:
  poet: {file: models/poet.gguf, sha256: "%s", licence: {weights: CC0-1.0, code: MIT, data: CC0-1.0}}
roles:
  eye: {kind: "./roles.py:Eye", options: {rate: 5}}
  mood: {kind: "./roles.py:Mood", inputs: {people: eye.people}}
  poet: {kind: inference.llm, model: poet, inputs: {prompt: mood.tags}, fallback: {text: fallback/lines.txt}}
  wall: {kind: display.web, each: [label:screen], inputs: {line: poet.line}, options: {page: pages/wall.html}}
""" % ("0" * 64)
ROLES = '''
from mesh.role import Role
import shared

LIMIT = 3


class Eye(Role):
    """Sees."""

    def setup(self):
        self.words = open("words.txt").read()


class Mood(Role):
    """Feels."""

    def tick(self):
        return shared.calm()
'''
FILES = {
    "deployment.yaml": FILE, "roles.py": ROLES, "shared.py": "def calm():\n    return 1\n", "models/poet.gguf": "weights",
    "fallback/lines.txt": "calm\n", "pages/wall.html": "<p>", "pages/wall.css": "p {}", "words.txt": "a", "notes.txt": "n",
}  # fmt: skip


def write(folder: Path, files: dict[str, str]) -> Path:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


def deployment(folder: Path) -> Deployment:
    draft, mistakes = read((folder / "deployment.yaml").read_text())
    assert draft is not None and not mistakes, mistakes
    return draft.deployment


def changed(tmp_path: Path, edits: dict[str, tuple[str, str]]) -> Change:
    """`edits`: path -> (what stands there, what stands there in the next revision)."""
    new = {path: text.replace(*edits[path]) if path in edits else text for path, text in FILES.items()}
    assert all(new[path] != FILES[path] for path in edits)
    old_folder, new_folder = write(tmp_path / "old", FILES), write(tmp_path / "new", new)
    files = changed_paths(manifest_of(old_folder), manifest_of(new_folder))
    return change(deployment(old_folder), old_folder, deployment(new_folder), new_folder, files)


YAML = "deployment.yaml"


@pytest.mark.parametrize(
    ("edits", "restarted"),
    [
        ({YAML: ("rate: 5", "rate: 6")}, ("eye",)),
        ({YAML: ("0" * 64, "1" * 64), "models/poet.gguf": ("weights", "better")}, ("poet",)),
        ({YAML: ("prompt: mood.tags", "prompt: eye.tags")}, ("poet",)),
        ({"notes.txt": ("n", "m")}, ()),
        ({"roles.py": ("Sees.", "Sees!")}, ("eye",)),
        ({"roles.py": ("\n\nclass Mood", "\n\n# a remark\n\nclass Mood")}, ()),
        ({"roles.py": ("LIMIT = 3", "LIMIT = 4")}, ("eye", "mood")),
        ({"shared.py": ("return 1", "return 2")}, ("eye", "mood")),  # both are in a file that imports it
        ({"fallback/lines.txt": ("calm", "dawn")}, ("poet",)),
        ({"pages/wall.html": ("<p>", "<b>")}, ("wall",)),
        ({"pages/wall.css": ("p {}", "b {}")}, ("wall",)),
        ({"words.txt": ("a", "b")}, ("eye", "mood")),  # it is named in their file: who knows by which of them
    ],
)
def test_a_role_is_started_anew_when_what_it_is_made_of_changed(
    tmp_path: Path, edits: dict[str, tuple[str, str]], restarted: tuple[str, ...]
) -> None:  # fmt: skip
    found = changed(tmp_path, edits)
    assert found.restarted == restarted and not found.added and not found.removed


def test_where_a_role_plays_is_nothing_to_its_process(tmp_path: Path) -> None:
    found = changed(tmp_path, {YAML: ("model: poet,", "model: poet, copies: 2, on: [b, any], needs: {memory: 1GB},")})
    assert found == Change(placed=("poet",))


def test_roles_that_come_and_go_are_named(tmp_path: Path) -> None:
    found = changed(tmp_path, {YAML: ("mood", "temper")})
    assert found.added == ("temper",) and found.removed == ("mood",)


def test_another_timing_touches_no_role_and_up_says_that_agents_take_it_over_when_started_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a revision that changes the timing and nothing else
    before = write(tmp_path / "before", FILES)
    after = write(tmp_path / "after", {**FILES, "deployment.yaml": FILE + "timing: wireless\n"})
    files = changed_paths(manifest_of(before), manifest_of(after))
    # Then no process is to start anew, and the change is named
    found = change(deployment(before), before, deployment(after), after, files)
    assert found == Change(timing="wireless")
    # And `up` shows it before it asks
    _show(None, Plan(2, "b" * 64, b"", manifest_of(after), after, files, found, {}, {}, {}, (1, "a" * 64)))
    shown = capsys.readouterr().out
    assert "no role changes" in shown and "wireless" in shown and "agent is started anew" in shown
    # And back again it is named as well
    assert change(deployment(after), after, deployment(before), before, files).timing == "wired"
