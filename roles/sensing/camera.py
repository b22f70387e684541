"""A camera, a clip in a loop, or a folder of pictures: the eyes of a room, and what stands in for them at home.

One kind for all three, so that a piece rehearsed with a recorded clip goes to the gallery by changing one
option. OpenCV reads them all and comes as one wheel; decided against: GStreamer and PyAV, which a technician
would have to install by hand on half of the boards, and a thread for files, which never keep anyone waiting.

A device works when its pictures come and differ: no sensor sees the same twice, down to the last bit, so pictures that are
equal for long come from a driver that hands out its last one. Black is another matter. A covered lens or a dark night clips
every pixel to nothing on a sensor that is well, so that is said, and is no fault: a room must not lose its eye at closing time.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

from pydantic import Field

from mesh.errors import EngineMissingError, RoleError
from mesh.role import Image, Options, Role
from roles.sensing.inbox import Freshness
from roles.sensing.scene import Scene
from roles.sensing.sources import Clip, Device, Pictures, Source, device_file, no_answer

SILENT_S = 10.0  # without a picture, however often it was reached for
LOOK_S = 0.25  # between two looks whether pictures change
BLACK_MAX = 12  # of 255
DEVICE_RATE = 15.0  # frames a second where neither the artist nor the clip says otherwise


class CameraOptions(Options):
    source: int | str = Field(
        0, json_schema_extra={"file": "maybe"},
        description="a device (0, /dev/video0), a stream's address, a video file, or a folder of pictures"
    )
    rate: float | None = Field(None, gt=0, le=240, description="frames per second; a clip's own rate when left out, else 15")
    size: str | None = Field(
        None, pattern=r"^[1-9]\d{0,4}x[1-9]\d{0,4}$", description='width x height such as "640x360"; what does not fit is cropped'
    )
    loop: bool = Field(True, description="begin a clip or a folder again at its end")
    frozen_s: float | None = Field(30.0, gt=0, description="a device is faulty when its pictures have not changed for so long; null: never")
    stand_in: str | None = Field(
        None, json_schema_extra={"file": "maybe"}, description="a clip or a folder that plays in a rehearsal "
        "instead of `source`; left out, a rehearsal without the camera sees a made-up room"
    )


class Camera(Role):
    """Emits pictures from a camera, a looped video file or a folder of pictures."""

    outputs = {"image": Image}
    extra = "camera"
    network = True
    holds = {"source": "camera"}
    Options = CameraOptions

    def setup(self) -> None:
        device = self._device()
        file = None if device is None else device_file(device)
        if device is not None and file is not None and not file.exists() and not self.settings.get("rehearsal"):
            raise no_answer(device, str(device))  # before OpenCV is loaded, which takes long on a busy machine
        try:
            import cv2
        except ImportError as missing:
            raise EngineMissingError(
                "sensing.camera needs OpenCV, which is not installed on this machine",
                where=self.name,
                instead="pip install roomful[camera]",
            ) from missing
        cv2.setNumThreads(1)  # the room's other roles share these cores
        self._source = self._open(cv2, device)
        self._interval_s = 1.0 / (self.options.rate or self._source.rate or DEVICE_RATE)
        is_device = isinstance(self._source, Device)
        frozen_s = self.options.frozen_s if is_device else None
        self._fresh = Freshness(self, self._source.label, SILENT_S if is_device else None, frozen_s, "has given no picture",
                                "see to its cable and power: unplug it, and plug it in again")
        self._mark, self._look_s, self._dark = 0, 0.0, False
        self.say(f"sees through {self._source.label} at {1 / self._interval_s:g} frames a second")

    def teardown(self) -> None:
        if hasattr(self, "_source"):
            self._source.close()

    def tick(self) -> float | None:
        picture = self._source.read(self._interval_s)
        for line in self._source.news():
            self.say(line)
        self._judge(picture)
        if picture is not None:
            self.emit("image", picture, captured_s=self.now_s())
        return None if self._source.ended else self._interval_s

    def _judge(self, picture: Any) -> None:
        """Whether the device gives pictures, and others each time."""
        if isinstance(self._source, Device):
            if self._source.away:
                self._fresh.lost(f"{self._source.label} has gone: plug it in again")
            elif self._fresh.gone:
                self._fresh.found()
        if picture is not None:
            self._fresh.saw(self._mark_of(picture))
        self._fresh.look()

    def _mark_of(self, picture: Any) -> int:
        """A number that differs where pictures do; of four pictures a second, so that it costs nothing."""
        now = self.now_s()
        if now < self._look_s or not isinstance(self._source, Device):
            return self._mark
        self._look_s = now + LOOK_S
        dark = int(picture[::8, ::8].max()) <= BLACK_MAX
        if dark and not self._dark:
            self.say(f"{self._source.label} sees nothing but black: is its lens covered, or the room dark?")
        self._dark = dark
        self._mark = self._mark + 1 if dark else zlib.crc32(picture[::2].tobytes())
        return self._mark

    def _named(self) -> str:
        """What is played: in a rehearsal the stand-in, where there is one."""
        return str(self.options.stand_in if self.options.stand_in and self.settings.get("rehearsal") else self.options.source)

    def _device(self) -> int | str | None:
        """The device or address that `source` names; None where it names files."""
        source = self._named()
        if source.isdigit():
            return int(source)
        return source if source.startswith("/dev/") or "://" in source else None

    def _open(self, cv2: Any, device: int | str | None) -> Source:
        """The right reader for what `source` names; RoleError when there is nothing to see."""
        size = _pixels(self.options.size)
        source = self._named()
        if device is not None:
            try:
                return Device(cv2, device, size, f"camera {source}" if isinstance(device, int) else source)
            except RoleError as fault:
                if not self.settings.get("rehearsal"):
                    raise
                self.say(f"{fault.words}; as this is a rehearsal, a made-up room stands in (or your own clip: option stand_in)")
                return Scene(cv2, size)
        path = Path(source) if Path(source).is_absolute() else self.folder / source
        if path.is_dir():
            return Pictures(cv2, path, size, self.options.loop, source)
        if path.is_file():
            return Clip(cv2, path, size, self.options.loop, source)
        raise RoleError(
            f"there is no video file, folder of pictures or device {source!r}",
            where=f"{self.name}, option source",
            instead="give a path inside the deployment's folder, or a device such as 0 or /dev/video0",
        )


def _pixels(size: str | None) -> tuple[int, int] | None:
    if size is None:
        return None
    width, height = size.split("x")
    return int(width), int(height)
