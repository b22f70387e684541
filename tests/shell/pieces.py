"""A small artwork for tests of the whole room: a counter, a role that speaks, a poet in two copies, a wall. No engines."""

from __future__ import annotations

from pathlib import Path

ROLES = '''
"""The roles of a small artwork."""
from mesh.role import Event, Role, Text


class Drift(Role):
    """Counts."""
    outputs = {"number": Event}

    def setup(self):
        self.count = 0

    def tick(self):
        self.count += 1
        self.emit("number", self.count)
        return 0.05


class Words(Role):
    """Speaks now and then."""
    outputs = {"line": Text}

    def on_number(self, frame: Event):
        if frame.value % 10 == 0:
            self.emit("line", f"I counted {frame.value}")


class Poet(Role):
    """Answers a line with a verse, word by word."""
    outputs = {"verse": Text}

    def on_prompt(self, frame: Text):
        for word in f"{frame.value} and more".split():
            yield word + " "


class Wall(Role):
    """Writes what it hears to its log."""
    display = True

    def on_line(self, frame: Text):
        print("wall:", frame.value, flush=True)
'''

DEPLOYMENT = """
installation: small-piece
machines:
  a: {}
  b: {}
  c: {}
roles:
  drift: {kind: "./roles.py:Drift", on: [a, any]}
  words: {kind: "./roles.py:Words", inputs: {number: drift.number}, standby: hot}
  poet: {kind: "./roles.py:Poet", inputs: {prompt: words.line}, copies: 2}
  wall: {kind: "./roles.py:Wall", inputs: {line: poet.verse}, each: [c]}
"""


def small_piece(folder: Path, *, deployment: str = DEPLOYMENT, roles: str = ROLES) -> Path:
    """Write the artwork into `folder` and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "deployment.yaml").write_text(deployment)
    (folder / "roles.py").write_text(roles)
    return folder
