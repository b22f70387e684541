"""Where pictures come from: a clip, a folder, a device that may be unplugged and return.

All give RGB uint8 arrays that nobody changes afterwards. A device is read in a thread of its own, because a
driver may block for seconds when its cable is pulled, and because its newest picture counts: an undrained
driver queue shows the room as it was. A picture is handed out once only; a frozen camera thus falls silent,
which the mesh can see, instead of repeating its last frame, which it cannot.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np

from mesh.errors import RoleError

PICTURE_ENDINGS = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}
FROZEN_S = 3.0  # a device without a picture for so long is opened again
BACKOFF_S = (0.5, 1.0, 2.0, 5.0)
FIRST_PICTURE_S = 10.0
ANSWER_MS = 5000  # for a camera on the network to answer, and for each picture: FFmpeg's own patience is 30 s
VIDEO = Path("/dev")

Picture = np.ndarray[Any, np.dtype[np.uint8]]
Size = tuple[int, int] | None


class Source(ABC):
    """What the camera role reads from. `read` may give None (nothing new); `ended` says that nothing more will come."""

    label = ""
    rate: float | None = None  # the source's own frames per second, where it has one
    ended = False

    def __init__(self) -> None:
        self._news: deque[str] = deque()

    @abstractmethod
    def read(self, elapsed_s: float) -> Picture | None:
        """The picture `elapsed_s` after the last one, as RGB (height, width, 3)."""

    def news(self) -> list[str]:
        """What a technician should hear, each line once."""
        return [self._news.popleft() for _ in range(len(self._news))]

    def close(self) -> None:  # noqa: B027 - a folder has nothing to let go of
        """Let go of files and devices."""


def finish(cv2: Any, picture: Picture, size: Size) -> Picture:
    """BGR (or grey) as OpenCV reads it -> RGB, scaled to cover `size` and cropped about its centre."""
    if picture.ndim == 2:
        picture = cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)
    if size is not None and (picture.shape[1], picture.shape[0]) != size:
        width, height = size
        scale = max(width / picture.shape[1], height / picture.shape[0])
        across, down = max(width, round(picture.shape[1] * scale)), max(height, round(picture.shape[0] * scale))
        shrunk = cv2.resize(picture, (across, down), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        left, top = (across - width) // 2, (down - height) // 2
        picture = shrunk[top : top + height, left : left + width]
    finished: Picture = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)  # always a new array
    return finished


class Clip(Source):
    """A video file at its own speed, whatever the rate it is read at: pictures are dropped or held back, never slowed."""

    def __init__(self, cv2: Any, path: Path, size: Size, loop: bool, label: str) -> None:
        super().__init__()
        self._cv2, self._path, self._size, self._loop = cv2, path, size, loop
        self.label = label
        self._video = self._begin()
        self._next = self._begin() if loop else None  # opened ahead, so that the loop has no seam
        own_rate = float(self._video.get(cv2.CAP_PROP_FPS))
        self.rate = own_rate if 0 < own_rate <= 240 else None
        self._due = 1.0  # pictures of the clip whose time has come; the first one's has

    def _begin(self) -> Any:
        video = self._cv2.VideoCapture(str(self._path))
        if not video.isOpened():
            raise RoleError(
                f"{self.label} does not open as a video",
                where=str(self._path),
                instead="convert it to H.264 in an .mp4 file, and check that the file is whole",
            )
        return video

    def read(self, elapsed_s: float) -> Picture | None:
        steps = int(self._due + 1e-6)
        self._due += (elapsed_s * self.rate if self.rate else 1.0) - steps
        picture = None
        for left in range(steps, 0, -1):
            picture = self._advance(decode=left == 1)
            if self.ended:
                return None
        return None if picture is None else finish(self._cv2, picture, self._size)

    def _advance(self, decode: bool) -> Any:
        """The clip's next picture (None when skipped over), going round at the end."""
        for _ in range(2):
            if self._video.grab():
                return self._video.retrieve()[1] if decode else None
            self._turn()
            if self.ended:
                return None
        raise RoleError(f"{self.label} has no picture in it", where=str(self._path), instead="replace the file")

    def _turn(self) -> None:
        self._video.release()
        if self._next is None:
            self.ended = True
            self._news.append(f"{self.label} has ended")
            return
        self._video, self._next = self._next, self._begin()

    def close(self) -> None:
        self._video.release()
        if self._next is not None:
            self._next.release()


class Pictures(Source):
    """The pictures of a folder in the order of their names."""

    def __init__(self, cv2: Any, folder: Path, size: Size, loop: bool, label: str) -> None:
        super().__init__()
        self._cv2, self._size, self._loop = cv2, size, loop
        self.label = label
        self._files = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURE_ENDINGS)
        self._at = 0
        if not self._files:
            raise RoleError(
                f"the folder {label} holds no pictures", where=str(folder), instead="put .png, .jpg, .webp, .bmp or .tif files in it"
            )

    def read(self, elapsed_s: float) -> Picture | None:
        for _ in range(len(self._files)):
            if self._at == len(self._files):
                if not self._loop:
                    self.ended = True
                    self._news.append(f"{self.label} has ended")
                    return None
                self._at = 0
            path = self._files[self._at]
            picture = self._cv2.imread(str(path), self._cv2.IMREAD_COLOR)
            if picture is not None:
                self._at += 1
                return finish(self._cv2, picture, self._size)
            self._files.pop(self._at)
            self._news.append(f"{path.name} is not a picture and is left out")
        raise RoleError(f"none of the files in {self.label} is a picture", instead="replace them")


class Device(Source):
    """A camera or a network stream; opened again with growing pauses when it goes."""

    def __init__(self, cv2: Any, device: int | str, size: Size, label: str) -> None:
        super().__init__()
        self._cv2, self._device, self._size = cv2, device, size
        self.label = label
        self.away = False  # it went, and is being reached for
        self._newest: Picture | None = None
        self._stop = threading.Event()
        self._seen = threading.Event()
        camera = self._connect()
        if camera is None:
            raise no_answer(device, label)
        self._thread = threading.Thread(target=self._watch, args=(camera,), name="camera", daemon=True)
        self._thread.start()
        if not self._seen.wait(FIRST_PICTURE_S):
            self._stop.set()
            raise RoleError(
                f"{label} opens but gives no picture",
                where="option source",
                instead="close other programs that use the camera, or plug it into another port of the computer",
            )

    def read(self, elapsed_s: float) -> Picture | None:
        picture, self._newest = self._newest, None
        return None if picture is None else finish(self._cv2, picture, self._size)

    def close(self) -> None:
        self._stop.set()
        self._thread.join(2.0)

    def _connect(self) -> Any:
        camera = self._opened()
        if not camera.isOpened():
            camera.release()
            return None
        camera.set(self._cv2.CAP_PROP_BUFFERSIZE, 1)
        if self._size is not None:
            camera.set(self._cv2.CAP_PROP_FRAME_WIDTH, self._size[0])
            camera.set(self._cv2.CAP_PROP_FRAME_HEIGHT, self._size[1])
        return camera

    def _opened(self) -> Any:
        if not is_address(self._device):
            return self._cv2.VideoCapture(self._device)
        cv2 = self._cv2
        patience = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, ANSWER_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, ANSWER_MS]
        try:
            return cv2.VideoCapture(self._device, cv2.CAP_ANY, patience)
        except cv2.error:  # a backend that knows no such bounds
            return cv2.VideoCapture(self._device)

    def _watch(self, camera: Any) -> None:
        """The reading thread: keeps the newest picture; the role takes it when it wants one."""
        while not self._stop.is_set():
            if camera is not None:
                self._drain(camera)
                camera.release()
                if self._stop.is_set():
                    return
                self.away = True
                self._news.append(f"{self.label} has gone; trying to reach it again")
            camera = self._again()

    def _drain(self, camera: Any) -> None:
        """Read until the device goes or we stop."""
        last_s = time.monotonic()
        while not self._stop.is_set() and time.monotonic() - last_s < FROZEN_S:
            good, picture = camera.read()
            if good and picture is not None:
                self._newest, last_s = picture, time.monotonic()
                self._seen.set()
            elif self._stop.wait(0.05):
                return

    def _again(self) -> Any:
        tries = 0
        while not self._stop.wait(BACKOFF_S[min(tries, len(BACKOFF_S) - 1)]):
            tries += 1
            camera = self._connect()
            if camera is not None:
                self.away = False
                self._news.append(f"{self.label} is back")
                return camera
        return None


def is_address(device: int | str) -> bool:
    """Whether it names a stream on the network, not a device of this machine."""
    return isinstance(device, str) and "://" in device


def device_file(device: int | str) -> Path | None:
    """The file of a device on Linux, where every camera has one; None elsewhere, and for streams."""
    if is_address(device) or sys.platform != "linux":
        return None
    return VIDEO / f"video{device}" if isinstance(device, int) else Path(device)


def no_answer(device: int | str, label: str) -> RoleError:
    """Why a camera cannot be seen through, by what can be known of it without asking it."""
    if is_address(device):
        return RoleError(
            f"no camera answers at {label}", where="option source",
            instead="check its power, its cable and the address, path and password in it; `ffplay ADDRESS` shows whether it sends",
        )  # fmt: skip
    file = device_file(device)
    if file is not None and file.exists():
        if not os.access(file, os.R_OK | os.W_OK):
            return RoleError(f"this user may not use {file}", where="option source",
                             instead="add the user to the group video (sudo usermod -aG video USER), and log in anew")
        return RoleError(f"{file} is there, and does not open as a camera", where="option source",
                         instead="close other programs that use it, or name another: of two numbers of one camera only one gives pictures")
    there = sorted(each.name for each in VIDEO.glob("video*"))
    return RoleError(
        f"there is no {label}" if file is None else f"no camera is there as {file}", where="option source",
        instead="plug the camera in" + (f", or name another: there is {', '.join(f'/dev/{each}' for each in there)}" if there else
                                        "; no camera at all is connected to this machine"),
    )  # fmt: skip
