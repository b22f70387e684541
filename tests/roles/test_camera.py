"""The camera role on real files: clips written by OpenCV, folders of pictures, and a stream that goes and returns."""

from __future__ import annotations

import itertools
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

from mesh.errors import EngineMissingError, RoleError
from roles.sensing import inbox, sources
from roles.sensing.camera import Camera
from tests.ports import free_port
from tests.roles.stage import Recorder, put_on, until

GREYS = (20, 80, 140, 200)  # the clip's four pictures, far enough apart to survive compression


def write_clip(path: Path, rate: float = 10.0, greys: tuple[int, ...] = GREYS, size: tuple[int, int] = (64, 48)) -> Path:
    out = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), rate, size)
    for grey in greys:
        out.write(np.full((size[1], size[0], 3), grey, np.uint8))
    out.release()
    return path


def shades(stage: Recorder) -> list[int]:
    """Which of the clip's pictures were emitted, by their nearest grey."""
    return [min(range(len(GREYS)), key=lambda at: abs(GREYS[at] - float(picture.mean()))) for picture in stage.values("image")]


def test_a_clip_loops_without_a_seam(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4")
    camera, stage = put_on(Camera, tmp_path, source="clip.mp4")
    camera.setup()
    waits = [camera.tick() for _ in range(10)]
    camera.teardown()
    assert shades(stage) == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]
    assert waits == [pytest.approx(0.1)] * 10


def test_pictures_are_rgb_and_stamped_with_the_room_s_clock(tmp_path: Path) -> None:
    red = np.zeros((20, 30, 3), np.uint8)
    red[:, :, 2] = 255  # OpenCV writes blue, green, red
    cv2.imwrite(str(tmp_path / "red.png"), red)
    camera, stage = put_on(Camera, tmp_path, source=".", rate=5)
    camera.setup()
    camera.tick()
    ((_, picture, _, captured_s),) = stage.emitted
    assert picture.dtype == np.uint8 and picture.shape == (20, 30, 3)
    assert picture[0, 0].tolist() == [255, 0, 0]
    assert captured_s is not None and abs(captured_s - stage.now_s()) < 5


def test_a_slower_rate_leaves_pictures_out_and_keeps_the_clip_s_speed(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", rate=10.0)
    camera, stage = put_on(Camera, tmp_path, source="clip.mp4", rate=5)
    camera.setup()
    for _ in range(4):
        camera.tick()
    camera.teardown()
    assert shades(stage) == [0, 2, 0, 2]


def test_a_faster_rate_repeats_nothing(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", rate=10.0)
    camera, stage = put_on(Camera, tmp_path, source="clip.mp4", rate=20)
    camera.setup()
    for _ in range(8):
        camera.tick()
    camera.teardown()
    assert shades(stage) == [0, 1, 2, 3]


def test_without_loop_a_clip_ends_and_says_so(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4")
    camera, stage = put_on(Camera, tmp_path, source="clip.mp4", loop=False)
    camera.setup()
    waits = [camera.tick() for _ in range(5)]
    camera.teardown()
    assert shades(stage) == [0, 1, 2, 3]
    assert waits[-1] is None
    assert "clip.mp4 has ended" in stage.said


def test_a_folder_is_shown_in_order_and_what_is_no_picture_is_left_out(tmp_path: Path) -> None:
    for number, grey in enumerate(GREYS[:3]):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((8, 8), grey, np.uint8))
    (tmp_path / "1b.png").write_bytes(b"not a picture")
    (tmp_path / "notes.txt").write_text("nor this")
    camera, stage = put_on(Camera, tmp_path, source=".", rate=2)
    camera.setup()
    for _ in range(5):
        camera.tick()
    assert shades(stage) == [0, 1, 2, 0, 1]
    assert [line for line in stage.said if "1b.png" in line] == ["1b.png is not a picture and is left out"]


@pytest.mark.parametrize(("size", "shape"), [("32x24", (24, 32, 3)), ("24x24", (24, 24, 3)), ("100x20", (20, 100, 3))])
def test_a_size_is_covered_and_never_distorted(tmp_path: Path, size: str, shape: tuple[int, ...]) -> None:
    circle = np.zeros((48, 64, 3), np.uint8)
    cv2.circle(circle, (32, 24), 8, (255, 255, 255), -1)
    cv2.imwrite(str(tmp_path / "circle.png"), circle)
    camera, stage = put_on(Camera, tmp_path, source=".", rate=1, size=size)
    camera.setup()
    camera.tick()
    picture = stage.values("image")[0]
    assert picture.shape == shape
    across, down = (picture[:, :, 0] > 128).any(axis=0).sum(), (picture[:, :, 0] > 128).any(axis=1).sum()
    assert down == shape[0] or abs(int(across) - int(down)) <= 1


def test_a_stream_that_goes_is_opened_again_and_both_are_said(tmp_path: Path) -> None:
    # Given a stream, which for OpenCV is anything with an address, that ends after four pictures
    clip = write_clip(tmp_path / "clip.mp4", rate=50.0)
    camera, stage = put_on(Camera, tmp_path, source=f"file://{clip}", rate=50)
    camera.setup()

    def looked() -> list[str]:
        camera.tick()
        return [line for line in stage.said if "is back" in line]

    # When it has ended, then it is reached for until it is there again
    until(looked, within_s=20, what="the stream's return")
    camera.teardown()
    assert any("has gone" in line for line in stage.said)
    assert stage.values("image")


def test_a_picture_of_a_device_is_handed_out_once(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", greys=GREYS[:1])
    camera, stage = put_on(Camera, tmp_path, source=f"file://{clip}", rate=100)
    camera.setup()
    for _ in range(20):  # far quicker than a stream that is gone could be opened again
        camera.tick()
    camera.teardown()
    assert len(stage.values("image")) == 1


class NetworkCamera:
    """ffmpeg as a camera on the network: Motion JPEG over HTTP, as most of them speak it."""

    def __init__(self) -> None:
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}/camera.mjpg"
        self._process: subprocess.Popen[bytes] | None = None

    def plug_in(self, picture: str = "testsrc2=size=160x120:rate=25") -> None:
        program = shutil.which("ffmpeg")
        assert program, "ffmpeg is missing: apt-get install ffmpeg"
        command = [program, "-loglevel", "error", "-re", "-f", "lavfi", "-i", picture, "-c:v", "mjpeg", "-f", "mpjpeg"]
        self._process = subprocess.Popen([*command, "-listen", "1", self.address], stdin=subprocess.DEVNULL)
        own = psutil.Process(self._process.pid)
        until(lambda: any(each.laddr.port == self.port for each in own.net_connections()), what="the camera")

    def unplug(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)


@pytest.fixture
def network_camera() -> Iterator[NetworkCamera]:
    camera = NetworkCamera()
    yield camera
    camera.unplug()


def test_a_camera_that_is_unplugged_is_a_fault_after_a_while_and_is_seen_through_again(
    network_camera: NetworkCamera, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a camera that works
    monkeypatch.setattr(inbox, "GONE_S", 0.2)
    network_camera.plug_in()
    camera, stage = put_on(Camera, tmp_path, source=network_camera.address, rate=50)
    camera.setup()
    until(lambda: (camera.tick(), len(stage.values("image")) > 3)[1], what="pictures")
    assert stage.fault() == ""
    # When its cable is pulled, then that is said and, after a while, a fault
    network_camera.unplug()
    until(lambda: (camera.tick(), stage.word.faulty)[1], within_s=20, what="the fault")
    assert any("has gone" in line for line in stage.said) and "plug it in again" in stage.word.faulty
    # And when it is plugged in again, it is seen through as before
    network_camera.plug_in()
    count = len(stage.values("image"))
    until(lambda: (camera.tick(), len(stage.values("image")) > count + 3)[1], within_s=20, what="its return")
    assert stage.fault() == "" and any("is back" in line for line in stage.said)
    camera.teardown()


def test_a_camera_whose_picture_stands_still_is_frozen(network_camera: NetworkCamera, tmp_path: Path) -> None:
    network_camera.plug_in("color=c=gray:size=160x120:rate=25")
    camera, stage = put_on(Camera, tmp_path, source=network_camera.address, rate=50, frozen_s=1.0)
    camera.setup()
    until(lambda: (camera.tick(), stage.word.faulty)[1], what="the fault")
    assert "has given the same for" in stage.word.faulty and stage.values("image")
    camera.teardown()


def test_a_camera_that_works_and_one_in_the_dark_are_not_frozen(network_camera: NetworkCamera, tmp_path: Path) -> None:
    for picture, dark in (("testsrc2=size=160x120:rate=25", False), ("color=c=black:size=160x120:rate=25", True)):
        network_camera.plug_in(picture)
        camera, stage = put_on(Camera, tmp_path, source=network_camera.address, rate=50, frozen_s=0.7)
        camera.setup()
        until(lambda camera=camera, stage=stage: (camera.tick(), len(stage.values("image")) > 40)[1], what="two seconds of pictures")
        assert stage.fault() == ""
        assert any("nothing but black" in line for line in stage.said) == dark
        camera.teardown()
        network_camera.unplug()


def test_in_a_rehearsal_a_clip_stands_in_for_the_device(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4")
    camera, stage = put_on(Camera, tmp_path, source=93, stand_in="clip.mp4")
    camera.setup()
    camera.tick()
    camera.teardown()
    assert shades(stage) == [0] and stage.fault(86_400) == ""
    in_the_room, _ = put_on(Camera, tmp_path, source=93, stand_in="clip.mp4", settings={"rehearsal": False})
    with pytest.raises(RoleError, match="/dev/video93"):
        in_the_room.setup()


def test_in_a_rehearsal_without_a_camera_a_made_up_room_is_seen_and_it_is_said(tmp_path: Path) -> None:
    # Given a computer without that camera, and no clip of the artist's own
    cameras = [put_on(Camera, tmp_path, source=93, size="320x240") for _ in range(2)]
    # When it is rehearsed, twice
    for camera, _ in cameras:
        camera.setup()
        for _ in range(45):
            camera.tick()
        camera.teardown()
    first, second = (stage.values("image") for _, stage in cameras)
    # Then somebody walks there, the same both times, and what is missing was said with what to do
    assert len(first) == 45 and first[0].shape == (240, 320, 3) and first[0].dtype == np.uint8
    assert all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))
    assert any(not np.array_equal(one, other) for one, other in itertools.pairwise(first))
    assert cameras[0][1].fault(86_400) == ""
    assert "/dev/video93" in cameras[0][1].said[0] and "to do:" in cameras[0][1].said[0] and "made-up room" in cameras[0][1].said[0]


def test_a_camera_that_is_not_there_is_missed_before_opencv_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)  # a stand-in for one that takes long: it must not be asked for
    for source in (93, "/dev/video93"):
        camera, _ = put_on(Camera, tmp_path, source=source, settings={"rehearsal": False})
        with pytest.raises(RoleError, match="no camera is there as /dev/video93") as fault:
            camera.setup()
        assert "plug the camera in" in fault.value.instead


def test_what_is_known_of_a_device_that_does_not_open_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given two devices, one of which this user may not use
    monkeypatch.setattr(sources, "VIDEO", tmp_path)
    (tmp_path / "video0").touch()
    (tmp_path / "video2").touch()
    monkeypatch.setattr(sources.os, "access", lambda path, mode: path != tmp_path / "video0")
    # Then each is told what is wrong with it
    assert "may not use" in sources.no_answer(0, "camera 0").what and "group video" in sources.no_answer(0, "camera 0").instead
    assert "does not open as a camera" in sources.no_answer(2, "camera 2").what
    assert "/dev/video0, /dev/video2" in sources.no_answer(1, "camera 1").instead
    assert "ffplay" in sources.no_answer("rtsp://10.0.0.1/", "rtsp://10.0.0.1/").instead


def test_a_network_camera_that_takes_the_call_and_says_nothing_is_given_up_within_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "ANSWER_MS", 500)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        camera, _ = put_on(Camera, tmp_path, source=f"rtsp://127.0.0.1:{port}/live", settings={"rehearsal": False})
        began_s = time.monotonic()
        with pytest.raises(RoleError, match="no camera answers at rtsp"):
            camera.setup()
    assert time.monotonic() - began_s < 20  # FFmpeg's own patience is 30 s


@pytest.mark.parametrize("source", ["nothing.mp4", "empty", "text.mp4", 93])
def test_what_cannot_be_seen_is_said_before_the_room_opens(tmp_path: Path, source: str | int) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.mp4").write_text("words")
    camera, _ = put_on(Camera, tmp_path, source=source, settings={"rehearsal": False})
    with pytest.raises(RoleError) as fault:
        camera.setup()
    assert fault.value.instead
    camera.teardown()


def test_without_opencv_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cv2", None)
    camera, _ = put_on(Camera, tmp_path, source="clip.mp4")
    with pytest.raises(EngineMissingError) as fault:
        camera.setup()
    assert "roomful[camera]" in fault.value.instead
