"""The diary: what it writes, that others can read it, and that it never grows without end."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from mesh.errors import RoleError
from mesh.role import Frame
from roles.display.file import File
from tests.roles.stage import Recorder, put_on


def begun(tmp_path: Path, **options: Any) -> tuple[Any, Recorder, Path]:
    (tmp_path / "piece").mkdir(exist_ok=True)
    role, stage = put_on(File, tmp_path / "piece", state_folder=tmp_path / "state", **options)
    role.setup()
    return role, stage, Path(stage.facts["file"])


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_texts_values_and_small_vectors_are_a_line_each(tmp_path: Path) -> None:
    role, stage, file = begun(tmp_path)
    for index, piece in enumerate(("The room", " listens – ", "still.")):
        role.on_frame("line", Frame(piece, request="r:1", index=index, more=index < 2))
    role.on_frame("people", Frame({"label": "few", "score": 0.5}))
    role.on_frame("mood", Frame(np.array([0.25, 1.0], np.float32)))
    role.teardown()
    written = lines(file)
    assert [item["stream"] for item in written] == ["line", "people", "mood"]
    assert written[0]["text"] == "The room listens – still."
    assert written[1]["value"] == {"label": "few", "score": 0.5} and written[2]["value"] == [0.25, 1.0]
    assert all(item["s"] > 0 and item["at"].endswith("+00:00") for item in written)
    assert stage.fault() == ""


@pytest.mark.parametrize("shape", [(37, 53), (36, 64, 3)])
def test_a_picture_is_a_png_that_others_read_as_it_was(tmp_path: Path, shape: tuple[int, ...]) -> None:
    role, _, file = begun(tmp_path)
    picture = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    role.on_frame("image", Frame(picture))
    role.on_frame("image", Frame(picture))  # within the second: not kept
    role.teardown()
    [item] = lines(file)
    read = cv2.imread(str(file.parent / item["image"]), cv2.IMREAD_UNCHANGED)
    assert read is not None
    assert np.array_equal(read if read.ndim == 2 else cv2.cvtColor(read, cv2.COLOR_BGR2RGB), picture)


def test_sound_is_a_wav_that_sox_reads(tmp_path: Path) -> None:
    role, _, file = begun(tmp_path, rate=8000)
    wave = 0.5 * np.sin(np.arange(8000) * 2 * np.pi * 440 / 8000)
    role.on_frame("voice", Frame(wave[:, None].astype(np.float32)))
    role.teardown()
    [item] = lines(file)
    told = subprocess.run(["sox", str(file.parent / item["sound"]), "-n", "stat"], capture_output=True, text=True, timeout=20).stderr
    figures = dict(line.split(":", 1) for line in told.splitlines() if ":" in line)
    assert float(figures["Length (seconds)"]) == pytest.approx(1.0)
    assert float(figures["Maximum amplitude"]) == pytest.approx(0.5, abs=0.01)
    assert float(figures["Rough   frequency"]) == pytest.approx(440, rel=0.05)


def test_pages_turn_and_the_oldest_go(tmp_path: Path) -> None:
    role, _, file = begun(tmp_path, size=0.001, pages=2, files=3, every=0)
    for number in range(60):
        role.on_frame("line", Frame(f"sentence {number} of many", request=f"r:{number}"))
        role.on_frame("image", Frame(np.zeros((4, 4), np.uint8)))
    role.teardown()
    assert sorted(path.name for path in file.parent.glob("*.jsonl")) == ["shown.1.jsonl", "shown.2.jsonl", "shown.jsonl"]
    assert all(path.stat().st_size <= 1000 for path in file.parent.glob("*.jsonl"))
    assert len(list(file.parent.glob("*.png"))) == 3


def test_a_next_life_writes_on_and_counts_on(tmp_path: Path) -> None:
    for _ in range(2):
        role, _, file = begun(tmp_path)
        role.on_frame("image", Frame(np.zeros((4, 4), np.uint8)))
        role.teardown()
    assert [item["image"] for item in lines(file)] == ["image-00000000.png", "image-00000001.png"]


def test_a_disk_that_takes_nothing_is_a_fault_in_plain_words(tmp_path: Path) -> None:
    role, stage, _ = begun(tmp_path)
    role._file.close()
    role._file = open("/dev/full", "wb", buffering=0)  # noqa: SIM115 - a disk that is full
    role.on_frame("line", Frame("lost", request="r:1"))
    role.teardown()
    assert "nothing can be written" in stage.fault() and "No space left" in stage.fault()


@pytest.mark.parametrize("to", ["/proc/nowhere", "/dev/null/diary"])
def test_a_folder_that_cannot_be_is_said_at_the_start(tmp_path: Path, to: str) -> None:
    with pytest.raises(RoleError, match="nothing can be written to"):
        begun(tmp_path, to=to)


def test_the_work_itself_is_not_written_to(tmp_path: Path) -> None:
    with pytest.raises(RoleError, match="must not change"):
        begun(tmp_path, to=str(tmp_path / "piece" / "diary"))


def test_what_it_wrote_is_a_recording_that_stands_in(tmp_path: Path) -> None:
    role, _, file = begun(tmp_path)
    role.on_frame("line", Frame("remembered", request="r:1"))
    role.teardown()
    (tmp_path / "day.jsonl").write_bytes(file.read_bytes())
    (tmp_path / "piece2").mkdir()
    again, stage = put_on(
        File, tmp_path / "piece2", state_folder=tmp_path / "other", fallback_files={"recording": tmp_path / "day.jsonl"}, quiet=0.01
    )
    again.setup()
    again._standin._heard_s -= 1.0
    again.tick()
    again.teardown()
    assert [item["text"] for item in lines(Path(stage.facts["file"]))] == ["remembered"]


def test_a_diary_that_is_taken_away_is_begun_again_and_where_it_cannot_be_that_is_said(tmp_path: Path) -> None:
    role, stage, file = begun(tmp_path)
    role.on_frame("line", Frame("before", request="r:1"))
    # When its folder is moved elsewhere, then another is begun
    file.parent.rename(tmp_path / "moved")
    role.tick()
    role.on_frame("line", Frame("after", request="r:2"))
    assert [item["text"] for item in lines(file)] == ["after"] and stage.fault() == ""
    assert any("was taken away" in said for said in stage.said)
    # When something else is in its place, then that is a fault until it is gone
    file.parent.rename(tmp_path / "again")
    file.parent.write_text("a file")
    role.tick()
    role.on_frame("line", Frame("nowhere", request="r:3"))
    assert "nothing can be written" in stage.fault()
    file.parent.unlink()
    role.tick()
    role.on_frame("line", Frame("there", request="r:4"))
    assert [item["text"] for item in lines(file)] == ["there"] and stage.fault() == ""
    role.teardown()
