"""A ladder in a room of two machines: the larger plays the better model, and when it dies the smaller goes on with the smaller one."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from tests.shell.pieces import small_piece
from tests.shell.rehearsed import Rehearsed

ROLES = '''
from mesh.role import Role, Text

class Poet(Role):
    """Says which model it has."""
    outputs = {"line": Text}
    needs_model = True

    def setup(self):
        if self.model.file.read_bytes()[:6] == b"broken":
            raise ValueError("these are no weights")

    def tick(self):
        self.emit("line", self.model.name)
        return 0.1

class Wall(Role):
    """Shows it."""
    display = True

    def on_line(self, frame: Text):
        pass
'''
DEPLOYMENT = """
installation: ladder
machines: {{large: {{has: {{memory: 500MB}}}}, small: {{has: {{memory: 60MB}}}}}}
models:
  big: {{file: models/big.bin, sha256: {big}, licence: {{weights: CC0-1.0, code: MIT, data: CC0-1.0}}}}
  odd: {{file: models/odd.bin, sha256: {odd}, licence: {{weights: CC0-1.0, code: MIT, data: CC0-1.0}}}}
  tiny: {{file: models/tiny.bin, sha256: {tiny}, licence: {{weights: CC0-1.0, code: MIT, data: CC0-1.0}}}}
roles:
  poet: {{kind: "./roles.py:Poet", ladder: [{first}, tiny], on: [large, any]}}
  wall: {{kind: "./roles.py:Wall", inputs: {{line: poet.line}}, each: [small]}}
"""


def piece(folder: Path, first: str) -> Path:
    (folder / "models").mkdir(parents=True)
    files = {"big": b"w" * 30_000_000, "odd": b"broken", "tiny": b"w"}
    for name, content in files.items():
        (folder / "models" / f"{name}.bin").write_bytes(content)
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return small_piece(folder, deployment=DEPLOYMENT.format(first=first, **hashes), roles=ROLES)


def heard(folder: Path, *options: str, until: str) -> list[str]:
    """What is said of models, by machine and in order, until this is said; then the poet must play."""
    room, said = Rehearsed(folder, folder.parent / "home", *options), []

    def last(event: dict[str, Any]) -> bool:
        if event["event"] == "role_event" and "model" in event["what"]:
            said.append(f"{event['machine']}: {event['what']}")
        return bool(said) and said[-1] == until

    try:
        room.until(last)
        room.until(lambda event: (event["event"], event.get("instance"), event.get("state")) == ("role_state", "poet", "playing"))
    finally:
        room.end()
    return said


def test_the_better_model_plays_where_it_fits_and_the_smaller_one_when_that_machine_dies(tmp_path: Path) -> None:
    said = heard(piece(tmp_path / "piece", "big"), "--fault", "kill large at 3s", until="small: plays the model tiny")
    assert said[0] == "large: plays the model big"


def test_a_model_that_cannot_be_loaded_gives_way_to_a_smaller_one_on_the_same_machine(tmp_path: Path) -> None:
    said = heard(piece(tmp_path / "piece", "odd"), until="large: plays the model tiny")
    down = ["large: plays the model odd", "large: the model odd could not be loaded here; tiny is next", "large: plays the model tiny"]
    assert said[:3] == down
