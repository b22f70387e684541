"""How long until a role that runs but does not work is found out: python -m benchmarks.faulty [RUNS] [--keep FILE]

Four roles in a real rehearsal, each a built-in kind that breaks after a while and says when: one hangs, a camera's picture stands still, a
model that ran on a graphics card runs on the processor, a screen draws nothing but black. The time is from its own word to the room's,
with every threshold as it comes: a camera's picture may stand still for 30 s, since a room does.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from benchmarks.figures import machine, median
from tests.roles.small_models import FLOAT, node, write_onnx
from tests.shell.pieces import small_piece
from tests.shell.rehearsed import Rehearsed

ROLES = '''
import json, time
from mesh.role import Event, Role
from roles.display.screen import Screen
from roles.inference.onnx import Onnx
from roles.sensing.camera import Camera
from roles.sensing.inbox import Freshness

AFTER_S = 8.0


class Hung(Role):
    """Stands still in the midst of its work."""
    outputs = {"beat": Event}
    since_s = None

    def tick(self):
        self.since_s = self.since_s or time.monotonic()
        self.emit("beat", 1)
        if time.monotonic() - self.since_s > AFTER_S:
            self.say("it breaks now")
            time.sleep(3600)
        return 0.1


class Frozen(Camera):
    """A camera that gives the same picture from some moment on."""
    since_s = None

    def setup(self):
        super().setup()
        self._fresh = Freshness(self, "the camera", 10.0, 30.0, "has given no picture")

    def tick(self):
        self.since_s = self.since_s or time.monotonic()
        if time.monotonic() - self.since_s < AFTER_S:
            return super().tick()
        if self.since_s > 0:
            self.say("it breaks now")
            self.since_s = -1e9
        self._fresh.saw("the same")
        self._fresh.look()
        return 0.1


class Fallen(Onnx):
    """A model that ran on a graphics card here before."""

    def setup(self):
        self.say("it breaks now")
        (self.state_folder / "ran-on.json").write_text(json.dumps({"model": self.model.sha256, "where": "cuda"}))
        super().setup()


class Black(Screen):
    """A screen that draws nothing but black from some moment on."""
    since_s = None

    def tick(self):
        self.since_s = self.since_s or time.monotonic()
        if self.since_s > 0 and time.monotonic() - self.since_s > AFTER_S:
            self.say("it breaks now")
            self.since_s = -1e9
            self._scene.draw = lambda surface, now_s: surface.fill((0, 0, 0))
        return super().tick()
'''
PIECE = """
installation: faulty
machines: {{a: {{}}, b: {{}}}}
models:
  plain: {{file: plain.onnx, sha256: {hash}, licence: {{weights: CC0-1.0, code: MIT, data: CC0-1.0}}}}
roles:
  hung: {{kind: "./roles.py:Hung", on: [a]}}
  frozen: {{kind: "./roles.py:Frozen", on: [a], options: {{source: passing.mp4, rate: 10}}}}
  fallen: {{kind: "./roles.py:Fallen", on: [a], model: plain, inputs: {{image: frozen.image}}, options: {{decode: raw}}}}
  black: {{kind: "./roles.py:Black", each: [b], inputs: {{beat: hung.beat, image: frozen.image}}}}
"""
BROKEN = ("hung", "frozen", "fallen", "black")


def found_out(folder: Path) -> dict[str, float]:
    """Seconds from when each role broke until the room said so."""
    from mesh.shell.folder import file_hash

    piece = small_piece(folder / "piece", deployment="", roles=ROLES)
    model = write_onnx(piece / "plain.onnx", {"image": (FLOAT, [1, 3, 8, 8])}, {"mean": (FLOAT, [1])},
                       [node("ReduceMean", ["image"], ["mean"], axes=[1, 2, 3], keepdims=0)])  # fmt: skip
    film = Path(__file__).resolve().parents[1] / "deployments" / "slow-weather" / "passing.mp4"
    (piece / "passing.mp4").write_bytes(film.read_bytes())
    text = PIECE.format(hash=file_hash(model))
    (piece / "deployment.yaml").write_text(text)
    room, broke, found = Rehearsed(piece, folder / "home"), {}, {}
    try:
        while set(found) < set(BROKEN):
            event = room.until(lambda event: event["event"] in ("role_event", "role_faulty"))
            name = str(event.get("instance", "")).partition("@")[0]
            if event.get("what") == "it breaks now":
                broke.setdefault(name, float(event["t"]))
            elif event["event"] == "role_faulty" and name in broke:
                found.setdefault(name, float(event["t"]) - broke[name])
    finally:
        room.end()
    return found


def main() -> None:
    asked = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    asked.add_argument("runs", type=int, nargs="?", default=3)
    asked.add_argument("--keep", type=Path)
    arguments = asked.parse_args()
    times: dict[str, list[float]] = {name: [] for name in BROKEN}
    for _ in range(arguments.runs):
        with tempfile.TemporaryDirectory() as folder:
            for name, seconds in found_out(Path(folder)).items():
                times[name].append(round(seconds, 2))
    for name, values in times.items():
        print(f"{name}: found faulty after {median(values):.1f} s, at most {max(values):.1f} s, {len(values)} runs")
    print(machine())
    if arguments.keep:
        told = {"seconds until found": times, "machine": machine()}
        arguments.keep.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
