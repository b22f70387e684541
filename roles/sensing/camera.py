"""A camera, a clip in a loop, or a folder of pictures: the eyes of a room, and what stands in for them at home.

One kind for all three, so that a piece rehearsed with a recorded clip goes to the gallery by changing one
option. OpenCV reads them all and comes as one wheel; decided against: GStreamer and PyAV, which a technician
would have to install by hand on half of the boards, and a thread for files, which never keep anyone waiting.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from mesh.errors import EngineMissingError, RoleError
from mesh.role import Image, Options, Role
from roles.sensing.sources import Clip, Device, Pictures, Source

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


class Camera(Role):
    """Emits pictures from a camera, a looped video file or a folder of pictures."""

    outputs = {"image": Image}
    extra = "camera"
    Options = CameraOptions

    def setup(self) -> None:
        try:
            import cv2
        except ImportError as missing:
            raise EngineMissingError(
                "sensing.camera needs OpenCV, which is not installed on this machine",
                where=self.name,
                instead="pip install roomful[camera]",
            ) from missing
        cv2.setNumThreads(1)  # the room's other roles share these cores
        self._source = self._open(cv2)
        self._interval_s = 1.0 / (self.options.rate or self._source.rate or DEVICE_RATE)
        self.say(f"sees through {self._source.label} at {1 / self._interval_s:g} frames a second")

    def teardown(self) -> None:
        if hasattr(self, "_source"):
            self._source.close()

    def tick(self) -> float | None:
        picture = self._source.read(self._interval_s)
        for line in self._source.news():
            self.say(line)
        if picture is not None:
            self.emit("image", picture, captured_s=self.now_s())
        return None if self._source.ended else self._interval_s

    def _open(self, cv2: Any) -> Source:
        """The right reader for what `source` names; RoleError when there is nothing to see."""
        size = _pixels(self.options.size)
        source = str(self.options.source)
        if source.isdigit():
            return Device(cv2, int(source), size, f"camera {source}")
        if source.startswith("/dev/") or "://" in source:
            return Device(cv2, source, size, source)
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
