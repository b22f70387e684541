"""A screen drawn with nobody watching, and one under a real X server, whose pixels are read back."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mesh.errors import EngineMissingError, RoleError
from mesh.role import Frame
from roles.display.formats import png
from roles.display.screen import Screen
from roles.display.window import read_xrandr
from tests.roles.stage import Recorder, put_on, until

ROOM = Path(__file__).resolve().parents[2] / "deployments" / "whispering-room"
RED, BLUE = np.full((90, 160, 3), (200, 20, 20), np.uint8), np.full((90, 160, 3), (20, 20, 200), np.uint8)


@pytest.fixture(autouse=True)
def unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")


class Hand:
    """The clock, moved by hand, so that an evening takes a second."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 5000.0
        monkeypatch.setattr("roles.display.screen.time.monotonic", lambda: self.now_s)

    def pass_time(self, role: Any, seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            self.now_s += 0.1
            role.tick()


@pytest.fixture
def hand(monkeypatch: pytest.MonkeyPatch) -> Hand:
    return Hand(monkeypatch)


@contextmanager
def playing(tmp_path: Path, **arguments: Any) -> Iterator[tuple[Any, Recorder]]:
    arguments = {"window": "320x180", "state_folder": tmp_path / "state", "settings": {"installation": ""}, **arguments}
    role, stage = put_on(Screen, ROOM, **arguments)
    role.setup()
    try:
        yield role, stage
    finally:
        role.teardown()


def pixels(role: Any) -> Any:
    import pygame

    return pygame.surfarray.array3d(role._window.surface).swapaxes(0, 1)


def say(role: Any, text: str, request: str = "r:1") -> None:
    role.on_frame("line", Frame(text, request=request))


def test_text_is_drawn_and_it_is_neither_all_ink_nor_all_ground(tmp_path: Path, hand: Hand) -> None:
    with playing(tmp_path) as (role, stage):
        say(role, "Nobody is here, and the room knows it.")
        hand.pass_time(role, 4)
        lit = pixels(role).max(2) > 60
        assert 0.005 < lit.mean() < 0.25
        assert lit[:, :20].sum() == 0 and lit[-10:].sum() == 0, "the margins are free"
        assert stage.fault() == ""


def test_a_still_fades_into_the_next_and_a_film_does_not(tmp_path: Path, hand: Hand) -> None:
    with playing(tmp_path, fade=2.0) as (role, _):
        role.on_frame("image", Frame(RED))
        hand.pass_time(role, 3)
        role.on_frame("image", Frame(BLUE))
        hand.pass_time(role, 1)
        half = pixels(role)[90, 160]
        assert 80 < half[0] < 140 and 80 < half[2] < 140
        hand.pass_time(role, 2)
        assert tuple(pixels(role)[90, 160]) == (20, 20, 200)
        for picture in (RED, BLUE, RED):
            role.on_frame("image", Frame(picture))
            hand.pass_time(role, 0.1)
        assert tuple(pixels(role)[90, 160]) == (200, 20, 20)


def test_two_streams_of_pictures_stand_beside_each_other_and_grey_ones_count(tmp_path: Path, hand: Hand) -> None:
    with playing(tmp_path) as (role, _):
        role.on_frame("left", Frame(RED))
        role.on_frame("right", Frame(np.full((50, 50), 120, np.uint8)))
        hand.pass_time(role, 3)
        shown = pixels(role)
        assert tuple(shown[90, 10]) == (200, 20, 20) and tuple(shown[90, 310]) == (120, 120, 120)


def test_the_last_state_stands_at_once_after_a_power_cut(tmp_path: Path, hand: Hand) -> None:
    # Given a screen that showed a picture and a text and was then killed
    with playing(tmp_path) as (role, _):
        role.on_frame("image", Frame(RED))
        say(role, "Still here.")
        hand.pass_time(role, 11)
        until(lambda: (tmp_path / "state" / "shown.json").exists(), what="the kept state")
        until(lambda: not role._keeping._thread.is_alive(), what="the end of writing")
        role._keeping._folder = None  # the power goes: nothing more is written
    # When it starts anew, its first picture is the last one
    with playing(tmp_path) as (role, _):
        shown = pixels(role)
        assert shown[20, 300, 0] > 150 and shown[20, 300, 2] < 60
        assert (shown.min(2) > 150).sum() > 50, "the text, too"


@pytest.mark.parametrize("kept", [b"", b"[]", b'{"texts": 3, "pictures": {"a": "../../x", "b": "picture-9.png"}}', b"\xff\x00"])
def test_a_broken_memory_is_no_reason_to_go_dark(tmp_path: Path, hand: Hand, kept: bytes) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "shown.json").write_bytes(kept)
    with playing(tmp_path, settings={"installation": "whispering-room"}) as (role, _):
        hand.pass_time(role, 3)
        assert pixels(role).max() > 150, "the work's own name"


def fallback_picture(tmp_path: Path) -> Path:
    (tmp_path / "lost.png").write_bytes(png(np.full((90, 160, 3), (10, 150, 30), np.uint8)))
    return tmp_path / "lost.png"


def test_lost_inputs_bring_the_image_and_their_return_ends_it(tmp_path: Path, hand: Hand) -> None:
    with playing(tmp_path, fallback_files={"image": fallback_picture(tmp_path)}, quiet=20.0, fade=1.0) as (role, _):
        assert tuple(pixels(role)[90, 160]) == (10, 150, 30), "never anything to show: the fallback with the first picture"
        role.on_frame("image", Frame(RED))
        hand.pass_time(role, 3)
        assert tuple(pixels(role)[90, 160]) == (200, 20, 20)
        hand.pass_time(role, 22)
        assert tuple(pixels(role)[90, 160]) == (10, 150, 30)


def test_black_pictures_count_as_lost_and_are_named(tmp_path: Path, hand: Hand) -> None:
    with playing(tmp_path, fallback_files={"image": fallback_picture(tmp_path)}, quiet=5.0) as (role, stage):
        role.on_frame("image", Frame(RED))
        hand.pass_time(role, 1)
        for _ in range(8):
            role.on_frame("image", Frame(np.zeros((90, 160, 3), np.uint8)))
            hand.pass_time(role, 1)
        assert tuple(pixels(role)[90, 160]) == (10, 150, 30)
        assert stage.said.count("the pictures of image are black") == 1


def test_a_loop_moves(tmp_path: Path, hand: Hand) -> None:
    with playing(tmp_path, fallback_files={"loop": ROOM / "visitors.mp4"}) as (role, _):
        hand.pass_time(role, 4)
        first = pixels(role).copy()
        hand.pass_time(role, 3)
        assert (pixels(role) != first).any() and pixels(role).max() > 30


def test_an_event_shows_a_file_of_the_folder_and_none_from_outside(tmp_path: Path, hand: Hand) -> None:
    with playing(tmp_path, settings={"installation": "title"}) as (role, stage):
        role.on_frame("show", Frame({"image": "wall.png"}))
        hand.pass_time(role, 3)
        assert pixels(role).mean() > 1
        role.on_frame("show", Frame({"video": "visitors.mp4"}))
        hand.pass_time(role, 3)
        assert pixels(role).mean() > 20
        for path in ("../../README.md", "/etc/passwd", "nothing.png", "roles.py"):
            role.on_frame("show", Frame({"image": path}))
        assert len(stage.said) == 5
        role.on_frame("show", Frame({"image": None}))
        hand.pass_time(role, 1)
        assert pixels(role).max() == 0


def test_a_frame_waits_for_its_time_and_they_are_shown_in_its_order(tmp_path: Path) -> None:
    with playing(tmp_path, fade=0) as (role, stage):
        now_s = role.now_s()
        role.on_frame("image", Frame(RED, present_at_s=now_s + 0.30))
        role.on_frame("image", Frame(BLUE, present_at_s=now_s + 0.15))
        role.on_frame("image", Frame(RED, present_at_s=now_s + 1e6))  # a mistaken clock keeps nothing waiting
        assert tuple(pixels(role)[90, 160]) == (0, 0, 0)
        colours = []

        def seen() -> bool:
            role.tick()
            colours.append(tuple(int(part) for part in pixels(role)[90, 160]))
            return role.now_s() > now_s + 0.35

        until(seen, what="both")
        changes = [colour for colour, before in zip(colours[1:], colours, strict=False) if colour != before]
        assert [*dict.fromkeys([colours[0], *changes])] == [(200, 20, 20), (20, 20, 200)]
        assert colours[-1] == (200, 20, 20)
        assert 0 <= stage.facts["late_ms"] < 50


def test_pictures_whose_times_are_near_each_other_keep_them_and_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with playing(tmp_path, fade=0) as (role, _):
        # Given five pictures, nearer to each other than one is drawn before its time, and two that belong together
        begun_s, shown = role.now_s() + 0.2, []
        levels = [40, 80, 120, 160, 200]
        for number, level in enumerate(levels):
            role.on_frame("image", Frame(np.full((90, 160, 3), level, np.uint8), present_at_s=begun_s + number * 0.012))
        role.on_frame("image", Frame(BLUE, present_at_s=begun_s + 0.1))
        role.on_frame("image", Frame(RED, present_at_s=begun_s + 0.101))
        show = role._window.show
        monkeypatch.setattr(role._window, "show", lambda: (shown.append((role.now_s(), int(pixels(role)[90, 160][0]))), show()))
        # When time passes
        until(lambda: (role.tick(), role.now_s() > begun_s + 0.2)[1], what="all")
        # Then none is shown before its time, they come in their order, and of the two only the later
        seen = [(at_s, level) for at_s, level in shown if level in levels]
        assert [*dict.fromkeys(level for _, level in seen)] == sorted({level for _, level in seen})
        for at_s, level in seen:
            assert at_s >= begun_s + levels.index(level) * 0.012
        assert shown[-1][1] == 200 and all(level != 20 for _, level in shown)


def test_what_is_drawn_but_black_is_a_fault_in_plain_words(tmp_path: Path, hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    with playing(tmp_path) as (role, stage):
        role.on_frame("image", Frame(RED))
        hand.pass_time(role, 2)
        assert stage.fault() == ""
        monkeypatch.setattr(role._scene, "draw", lambda surface, now_s: surface.fill((0, 0, 0)))
        hand.pass_time(role, 2)
        assert "black although there is something to show" in stage.fault()


def test_a_screen_that_draws_no_more_is_faulty(tmp_path: Path) -> None:
    with playing(tmp_path) as (role, stage):
        role.tick()
        assert stage.fault() == "" and "nothing has been drawn" in stage.fault(later_s=15.0)


def test_what_is_missing_is_said_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RoleError) as fault, playing(tmp_path, font="deployment.yaml"):
        pass
    assert "is not a font" in str(fault.value)
    monkeypatch.delenv("SDL_VIDEODRIVER")
    for variable in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(variable, raising=False)
    role, _ = put_on(Screen, ROOM, settings={"rehearsal": False})
    with pytest.raises(RoleError, match="no screen"):
        role.setup()
    monkeypatch.setitem(sys.modules, "pygame", None)
    with pytest.raises(EngineMissingError) as missing:
        put_on(Screen, ROOM)[0].setup()
    assert missing.value.instead == "pip install roomful[screen]"


def test_xrandr_s_answer_is_read_as_screens_with_names_and_places() -> None:
    told = (
        "Screen 0: minimum 320 x 200, current 3840 x 1080, maximum 16384 x 16384\n"
        "eDP-1 connected primary 1920x1080+0+0 (normal left inverted) 309mm x 174mm\n   1920x1080     60.00*+\n"
        "HDMI-1 connected 1920x1080+1920+0 (normal) 527mm x 296mm\nDP-1 disconnected (normal)\nDP-2 connected (normal)\n"
    )
    assert read_xrandr(told) == {"eDP-1": (0, (0, 0)), "HDMI-1": (1, (1920, 0))}


# ---- under a real X server

CHILD = """
import sys
from pathlib import Path
from mesh.role import Frame
from roles.display.screen import Screen
from tests.roles.stage import put_on, until
role, stage = put_on(Screen, Path(sys.argv[1]), settings={"rehearsal": False}, output=sys.argv[2] or None)
try:
    role.setup()
except Exception as error:
    print(error, flush=True)
    sys.exit(3)
role.on_frame("line", Frame("Seen by a real X server.", request="r:1"))
ends = role.now_s() + 2.5
until(lambda: role.tick() and role.now_s() > ends)
print(stage.said, repr(stage.fault()), flush=True)
sys.stdin.readline()
role.teardown()
"""


@pytest.fixture
def display(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1280x720x24", "-fbdir", str(tmp_path), "-nolisten", "tcp"]
    process = subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    with os.fdopen(reading) as told:
        number = told.readline().strip()
    assert number, "Xvfb did not start: apt-get install xvfb"
    yield f":{number}", tmp_path / "Xvfb_screen0"
    process.terminate()
    process.wait(10)


def on_glass(file: Path) -> np.ndarray[Any, Any]:
    """The screen as X holds it: a file in the format of `xwd`."""
    raw = file.read_bytes()
    header = struct.unpack(">25I", raw[:100])
    width, height, per_line, colours = header[4], header[5], header[12], header[19]
    start = header[0] + colours * 12
    return np.frombuffer(raw, np.uint8, per_line * height, start).reshape(height, per_line // 4, 4)[:, :width, :3]


def start(display: str, output: str) -> subprocess.Popen[str]:
    environment = {key: value for key, value in os.environ.items() if key != "SDL_VIDEODRIVER"} | {"DISPLAY": display}
    command = [sys.executable, "-c", CHILD, str(ROOM), output]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def test_it_fills_a_real_screen_by_its_name(display: tuple[str, Path]) -> None:
    address, file = display
    process = start(address, "screen")
    try:
        assert process.stdout
        told = process.stdout.readline()
        while told and not told.startswith("["):
            told = process.stdout.readline()
        assert "1280 by 720" in told and told.strip().endswith("''")
        glass = on_glass(file)
        lit = glass.max(2) > 100
        assert 0.002 < lit.mean() < 0.2
        assert lit[:, :60].sum() == 0 and lit[400:].sum() > 200
    finally:
        process.communicate("\n", timeout=20)
    assert process.returncode == 0


def test_a_screen_that_is_not_there_is_said_with_those_that_are(display: tuple[str, Path]) -> None:
    process = start(display[0], "HDMI-7")
    told, _ = process.communicate("\n", timeout=20)
    assert process.returncode == 3
    assert "no screen is connected as HDMI-7" in told and "one of those that are: screen" in told


def test_the_state_that_is_kept_is_plain(tmp_path: Path, hand: Hand) -> None:
    with playing(tmp_path) as (role, _):
        say(role, "Kept.")
        role.on_frame("image", Frame(RED))
    kept = json.loads((tmp_path / "state" / "shown.json").read_text())
    assert [text for _, text in kept["texts"]["line"]] == ["Kept."] and kept["pictures"] == {"image": "picture-0.png"}


def test_letters_that_no_font_has_are_left_out_and_told_as_a_fact(tmp_path: Path, hand: Hand) -> None:
    with playing(tmp_path) as (role, stage):
        role.on_frame("line", Frame("moon \ue123\ue124 light", request="a"))
        hand.pass_time(role, 3)
        assert stage.facts["letters_missing"] == "\ue123\ue124"
