"""Slow weather: its watcher, its painter and its own roles, and the whole of it in a rehearsal with nobody's screen."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from mesh.role import Frame, Model
from roles.inference.onnx import Onnx
from tests.roles.stage import Recorder, put_on

ROOM = Path(__file__).resolve().parents[2] / "deployments" / "slow-weather"


def own_roles() -> Any:
    spec = importlib.util.spec_from_file_location("slow_weather_roles", ROOM / "roles.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Clock(Recorder):
    """A stage whose time is set by hand, and which remembers when each picture is to be shown."""

    def __init__(self) -> None:
        super().__init__()
        self.time_s = 100.0
        self.shown: list[tuple[str, Any, float | None]] = []

    def now_s(self) -> float:
        return self.time_s

    def emit(self, output: str, value: Any, *, present_at: float | None = None, **others: Any) -> None:
        self.shown.append((output, value, present_at))


def sky(**state: float) -> tuple[Any, Clock]:
    stage, kind = Clock(), own_roles().Sky
    role = kind(stage=stage, name="sky", options=kind.Options(), folder=ROOM, model=Model("sky", ROOM / "models" / "sky.onnx", ""))
    role.state = dict(state)
    role.setup()
    return role, stage


def stirring(chance: float, right: float = 0.0) -> Frame:
    return Frame(np.stack([np.full((8, 15), value, np.float32) for value in (chance, right, 0.0)])[None])


def test_a_glance_is_two_small_grey_pictures_of_any_camera() -> None:
    kind = own_roles().Glance
    for shape in [(180, 320, 3), (1080, 1920, 3), (481, 641), (36, 64, 3)]:
        stage = Recorder()
        role = kind(stage=stage, name="glance", options=kind.Options(), folder=ROOM)
        role.emit = lambda output, value, stage=stage: stage.emit(output, value)
        for grey in (51, 204, 102):
            role.on_image(Frame(np.full(shape, grey, np.uint8)))
        pairs = stage.values("pair")
        assert [pair.shape for pair in pairs] == [(1, 4608)] * 2
        assert pairs[0][0, :2304] == pytest.approx(0.2) and pairs[0][0, 2304:] == pytest.approx(0.8)


@pytest.fixture(scope="module")
def watched() -> list[tuple[float, float, float]]:
    """(second, share of the floor that moves, way to the right) of the whole clip, through the roles that the work uses."""
    kind, film = own_roles().Glance, cv2.VideoCapture(str(ROOM / "passing.mp4"))
    watcher, told = put_on(Onnx, ROOM, model=ROOM / "models" / "stir.onnx", decode="raw", output="seen")
    watcher.setup()
    glance, pairs = kind(stage=Recorder(), name="glance", options=kind.Options(), folder=ROOM), Recorder()
    glance.emit = lambda output, value: pairs.emit(output, value)
    seen = []
    while True:
        good, picture = film.read()
        if not good:
            break
        glance.on_image(Frame(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)))
        for pair in pairs.values("pair"):
            watcher.on_vector(Frame(pair))
            chance, right, _ = told.values("values")[-1].reshape(3, -1)
            moved = np.clip((chance - 0.5) * 2, 0, 1)
            seen.append((len(seen) / 12, float(moved.mean()), float((moved * right).sum() / max(1e-3, moved.sum()))))
        pairs.emitted.clear()
    watcher.teardown()
    return seen


def between(seen: list[tuple[float, float, float]], start_s: float, end_s: float, what: int) -> float:
    return float(np.median([frame[what] for frame in seen if start_s <= frame[0] < end_s]))


def test_the_watcher_tells_an_empty_floor_from_one_that_is_crossed(watched: list[tuple[float, float, float]]) -> None:
    assert between(watched, 0.5, 5.5, 1) < 0.005 and between(watched, 36, 39.5, 1) < 0.005
    assert between(watched, 8, 13, 1) > 0.02
    assert between(watched, 21, 24, 1) > 1.5 * between(watched, 8, 13, 1), "three stir more than one"


def test_the_watcher_knows_left_from_right(watched: list[tuple[float, float, float]]) -> None:
    assert between(watched, 8, 13, 2) > 0.05
    assert between(watched, 31.5, 33.5, 2) < -0.05


def test_the_three_windows_are_one_sky_and_have_one_time() -> None:
    role, stage = sky()
    role.tick()
    assert [name for name, _, _ in stage.shown] == ["left", "middle", "right"]
    left, middle, right = (picture.astype(int) for _, picture, _ in stage.shown)
    assert left.shape == (81, 144, 3)
    for one, other in ((left, middle), (middle, right)):
        seam, inside = np.abs(one[:, -1] - other[:, 0]).mean(), np.abs(one[:, -1] - one[:, -8]).mean()
        assert seam < max(2.0, inside)
    assert {present_at for _, _, present_at in stage.shown} == {100.2}


def test_people_stir_it_within_two_seconds_and_it_calms_within_a_minute() -> None:
    role, stage = sky()
    role.on_stirring(stirring(0.9, 0.3))
    for _ in range(16):
        stage.time_s += 0.125
        role.tick()
    assert role.state["stir"] > 0.5 and role.state["lean"] > 0
    role.on_stirring(stirring(0.1))
    for _ in range(480):
        stage.time_s += 0.125
        role.tick()
    assert role.state["stir"] < 0.05


def test_a_stirred_sky_looks_unlike_a_calm_one_and_neither_is_black() -> None:
    calm, stirred = (sky(turn=1.0, drift=0.5, stir=stir, lean=0.0) for stir in (0.0, 1.0))
    for role, _ in (calm, stirred):
        role.tick()
    one, other = (np.concatenate([picture for _, picture, _ in stage.shown], 1).astype(int) for _, stage in (calm, stirred))
    assert np.abs(one - other).mean() > 8
    assert one.max() > 120 and other.max() > 120 and one.std() > 20
    assert (other[:, :, 0] - other[:, :, 2]).max() > (one[:, :, 0] - one[:, :, 2]).max(), "movement brings warmth"


def test_another_machine_goes_on_with_the_same_sky() -> None:
    first, before = sky()
    first.on_stirring(stirring(0.9, 0.3))
    for _ in range(30):
        before.time_s += 0.125
        first.tick()
    second, after = sky(**json.loads(json.dumps(first.state)))
    assert np.array_equal(second.given(), first.given())


def test_the_models_have_cards_and_say_their_own_hashes() -> None:
    import hashlib

    for name in ("stir", "sky"):
        card = (ROOM / "models" / f"{name}.md").read_text(encoding="utf-8")
        assert hashlib.sha256((ROOM / "models" / f"{name}.onnx").read_bytes()).hexdigest() in card and "CC0-1.0" in card


def test_the_whole_plays_on_a_laptop_without_a_screen(tmp_path: Path) -> None:
    environment = {**os.environ, "SDL_VIDEODRIVER": "dummy", "ROOMFUL_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "mesh.cli.entry", "rehearse", str(ROOM), "--headless", "--for", "20", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, env=environment)
    summary = json.loads(done.stdout.strip().splitlines()[-1])
    assert summary["event"] == "summary", done.stdout[-2000:] + done.stderr[-2000:]
    playing = {instance for instance, role in summary["roles"].items() if role["state"] == "playing"}
    assert {"eye", "glance", "stir", "sky", "left-window@left", "middle-window@middle", "right-window@right"} <= playing, summary
    assert min(summary["frames"][f"sky.{name}"] for name in ("left", "middle", "right")) > 0
