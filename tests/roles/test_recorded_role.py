"""A recording plays in place of a sensor: the same frames, at its own pace or faster, however often."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mesh.core.frames import Block
from mesh.core.recording import Taken
from mesh.errors import EngineMissingError, RoleError
from mesh.role import describe
from mesh.shell.film import Film
from roles.sensing.recorded import Recorded
from tests.roles.stage import put_on, until

OUTPUTS = {"image": "image", "people": "event", "word": "text", "sound": "audio"}
EVERY_MS = 20


def film(folder: Path, count: int = 10, *, jpeg: int | None = None, close: bool = True, voices: tuple[str, ...] = ("eye",)) -> None:
    made = Film(folder / "day.mcap", 1 << 30, {}, jpeg)
    chance = np.random.default_rng(1)
    for number in range(count):
        at_ns = 10**18 + number * EVERY_MS * 1_000_000
        for voice in voices:
            picture = chance.integers(0, 255, (6, 8, 3), np.uint8)
            sound = chance.random((4, 2), np.float32)
            made.add("eye.image", "image", Taken(Block("|u1", picture.shape, picture.tobytes()), voice), number, at_ns, at_ns)
            made.add("eye.people", "event", Taken({"n": number, "who": voice}, voice), number, at_ns, at_ns)
            made.add("eye.word", "text", Taken(f"w{number}", voice, "r", number % 2, number % 2 == 0), number, at_ns, at_ns)
            made.add("eye.sound", "audio", Taken(Block("<f4", sound.shape, sound.tobytes()), voice), number, at_ns, at_ns)
        made._flush(0.0)
    if close:
        made.close()
    else:
        made._file.flush()
        made._file.close()


def played(folder: Path, **options: Any) -> list[tuple[str, Any, bool]]:
    """All that one replay emits, until it ends."""
    role, stage = put_on(Recorded, folder, name=options.pop("name", "eye"), file="day.mcap", outputs=OUTPUTS, loop=False, **options)
    role.setup()
    until(lambda: role.tick() is None, what="the end")
    role.teardown()
    assert stage.fault(86_400) == ""
    return [(name, value.tobytes() if isinstance(value, np.ndarray) else value, more) for name, value, more, _ in stage.emitted]


def test_every_frame_comes_once_in_order_and_the_same_each_time_whatever_the_speed(tmp_path: Path) -> None:
    film(tmp_path)
    once = played(tmp_path, speed=10)
    assert [value["n"] for name, value, _ in once if name == "people"] == list(range(10))
    assert [(value, more) for name, value, more in once if name == "word"][:2] == [("w0", True), ("w1", False)]
    assert len(once) == 40
    assert once == played(tmp_path, speed=10) == played(tmp_path, speed=1000)


def test_it_keeps_its_pace_and_the_captured_times_are_exact(tmp_path: Path) -> None:
    film(tmp_path)
    role, stage = put_on(Recorded, tmp_path, name="eye", file="day.mcap", outputs=OUTPUTS, loop=False, speed=2.0)
    role.setup()
    began = stage.now_s()
    until(lambda: role.tick() is None, what="the end")
    assert stage.now_s() - began >= 9 * EVERY_MS / 2000 - 0.001
    captured = [at_s for name, _, _, at_s in stage.emitted if name == "people" and at_s is not None]
    assert np.diff(captured) == pytest.approx([EVERY_MS / 2000] * 9)


def test_arrays_are_those_that_were_emitted(tmp_path: Path) -> None:
    film(tmp_path)
    role, stage = put_on(Recorded, tmp_path, name="eye", file="day.mcap", outputs=OUTPUTS, speed=1000)
    role.setup()
    until(lambda: (role.tick(), len(stage.values("sound")) > 3)[1], what="frames")
    assert stage.values("image")[0].shape == (6, 8, 3) and stage.values("image")[0].dtype == np.uint8
    assert stage.values("sound")[0].shape == (4, 2) and stage.values("sound")[0].dtype == np.float32


def test_a_sound_has_the_rate_at_which_it_was_recorded(tmp_path: Path) -> None:
    made, sound = Film(tmp_path / "day.mcap", 1 << 30, {}, None), np.zeros((4, 1), np.float32)
    for rate in (8000, 48000):
        taken = Taken(Block("<f4", sound.shape, sound.tobytes()), "eye", rate=rate)
        made.add("eye.sound", "audio", taken, 0, 1, 1)
    made.close()
    role, stage = put_on(Recorded, tmp_path, name="eye", file="day.mcap", outputs={"sound": "audio"}, loop=False)
    role.setup()
    until(lambda: role.tick() is None, what="the end")
    assert len(stage.values("sound")) == 2 and stage.rates == {"sound": 48000}


def test_pictures_kept_as_jpeg_are_rgb_again(tmp_path: Path) -> None:
    made = Film(tmp_path / "day.mcap", 1 << 30, {}, 95)
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 255
    made.add("eye.image", "image", Taken(Block("|u1", red.shape, red.tobytes()), "eye"), 0, 5, 5)
    made.close()
    role, stage = put_on(Recorded, tmp_path, name="eye", file="day.mcap", outputs={"image": "image"})
    role.setup()
    role.tick()
    picture = stage.values("image")[0]
    assert picture[..., 0].min() > 200 and picture[..., 1:].max() < 60


def test_it_goes_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roles.sensing.recorded.PAUSE_S", 0.0)
    film(tmp_path, 3)
    role, stage = put_on(Recorded, tmp_path, name="eye", file="day.mcap", outputs={"people": "event"}, speed=1000)
    role.setup()
    until(lambda: (role.tick(), len(stage.values("people")) >= 7)[1], what="the second round")
    assert [value["n"] for value in stage.values("people")][:7] == [0, 1, 2, 0, 1, 2, 0]


def test_a_recording_that_was_cut_plays_up_to_there(tmp_path: Path) -> None:
    film(tmp_path, close=False)
    path = tmp_path / "day.mcap"
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    assert 0 < len(played(tmp_path, speed=1000)) < 40


def test_each_instance_plays_what_was_its_own(tmp_path: Path) -> None:
    film(tmp_path, 3, voices=("eye@left", "eye@right"))
    people = [value["who"] for name, value, _ in played(tmp_path, name="eye@right", speed=1000) if name == "people"]
    assert people == ["eye@right"] * 3


def test_in_a_rehearsal_all_begin_at_one_moment_and_a_late_one_leaves_out_what_is_past(tmp_path: Path) -> None:
    film(tmp_path, 200)
    begin = tmp_path / "begin.json"
    options = {"file": "day.mcap", "outputs": {"people": "event"}, "loop": False}
    role, stage = put_on(Recorded, tmp_path, name="eye", settings={"begin": str(begin)}, **options)
    role.setup()
    assert role.tick() and not stage.emitted
    begin.write_text(json.dumps({"monotonic_s": time.monotonic() - 3.0}))
    until(lambda: (role.tick(), stage.emitted)[1], what="the first frame")
    assert stage.values("people")[0]["n"] >= 99


@pytest.mark.parametrize(("content", "what"), [(None, "cannot be read"), (b"hello there", "not an MCAP recording")])
def test_what_is_no_recording_is_said_before_the_room_opens(tmp_path: Path, content: bytes | None, what: str) -> None:
    if content is not None:
        (tmp_path / "day.mcap").write_bytes(content)
    role, _ = put_on(Recorded, tmp_path, file="day.mcap")
    with pytest.raises(RoleError, match=what):
        role.setup()
    role.teardown()


def test_a_recording_of_other_roles_is_said_to_be_one(tmp_path: Path) -> None:
    film(tmp_path)
    role, _ = put_on(Recorded, tmp_path, name="ear", file="day.mcap")
    with pytest.raises(RoleError, match="holds no frames of ear"):
        role.setup()


def test_without_the_library_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "mcap.stream_reader", None)
    role, _ = put_on(Recorded, tmp_path)
    with pytest.raises(EngineMissingError) as fault:
        role.setup()
    assert "roomful[record]" in fault.value.instead


def test_its_streams_are_those_that_its_options_name() -> None:
    assert Recorded.outputs_for(Recorded.Options(file="x", outputs=OUTPUTS)) == OUTPUTS
    assert describe("sensing.recorded", Recorded).outputs_for({"outputs": OUTPUTS}) == OUTPUTS
