"""Packs pictures for the way to another machine, and unpacks them: JPEG, or equal in every pixel.

JPEG by simplejpeg (libjpeg-turbo: 4 to 5 ms for 1920x1080 each way), and where that is not installed by OpenCV. Without loss:
differences along each row, packed by zlib's run-length strategy, which every Python has and which on pictures is both faster
and smaller than OpenCV's PNG (49 + 23 ms against 127 + 38, 3.5 MB against 3.8). Where neither JPEG is installed pictures
travel as they are: whoever reads sees from each frame how it is packed.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mesh.core.delivery import LOSSLESS, QUALITY, RAW, USUAL_QUALITY, quality_of
from mesh.errors import WireError

if TYPE_CHECKING:
    import numpy

    Array = numpy.ndarray[Any, Any]


def can_jpeg() -> bool:
    """Whether this machine can read and write JPEG."""
    return _codec() is not None


def wanted_form(pictures: str) -> str:
    """In which form pictures of other machines are wanted: as the file says, else as JPEG if it can be read here."""
    wanted = pictures or f"{QUALITY} {USUAL_QUALITY}"
    return wanted if can_jpeg() or not wanted.startswith(QUALITY) else RAW


def pack(picture: Array, form: str) -> tuple[str, Any]:
    """(coding, bytes) of a picture in C order, in the form that a reader wants; coding "" where it stays as it is."""
    if form == LOSSLESS:
        return "delta", _delta(picture)
    codec = _codec()
    if codec is None or not picture.size or max(picture.shape[:2]) > 65_500:
        return "", picture.tobytes()
    return "jpeg", codec[0](picture, quality_of(form))


def unpack(data: Any, coding: str, shape: tuple[int, ...]) -> Array:
    """The picture, read-only. Raises WireError for bytes that are not one of this shape."""
    picture = _undelta(data, shape) if coding == "delta" else _unjpeg(data, shape)
    picture.flags.writeable = False
    return picture


def _delta(picture: Array) -> bytes:
    rows = picture.copy()
    rows[:, 1:] -= picture[:, :-1]
    packer = zlib.compressobj(1, strategy=zlib.Z_RLE)
    return packer.compress(rows) + packer.flush()  # type: ignore[arg-type]


def _undelta(data: Any, shape: tuple[int, ...]) -> Array:
    import numpy

    size = int(numpy.prod(shape))
    try:
        plain = zlib.decompressobj().decompress(data, size + 1)
    except zlib.error as error:
        raise WireError(f"a picture that cannot be unpacked: {error}") from None
    if len(plain) != size:
        raise WireError("a picture of another size than it says")
    rows = numpy.frombuffer(plain, "u1").reshape(shape)
    return numpy.add.accumulate(rows, axis=1, dtype="u1") if size else rows.copy()


def _unjpeg(data: Any, shape: tuple[int, ...]) -> Array:
    codec = _codec()
    if codec is None:
        raise WireError("a JPEG picture, and nothing here reads one")
    picture = codec[1](data, len(shape) == 3, shape[0], shape[1])
    if picture is None or picture.shape[:2] != shape[:2]:
        raise WireError("a picture of another size than it says")
    return picture.reshape(shape)


_found: list[tuple[Callable[..., Any], Callable[..., Any]] | None] = []


def _codec() -> tuple[Callable[..., Any], Callable[..., Any]] | None:
    """(pack, unpack); looked for once, with the first picture that needs it."""
    if not _found:
        _found.append(_simplejpeg() or _opencv())
    return _found[0]


def _simplejpeg() -> tuple[Callable[..., Any], Callable[..., Any]] | None:
    try:
        import simplejpeg
    except ImportError:
        return None

    def write(picture: Array, quality: int) -> bytes:
        if picture.ndim == 2:
            return bytes(simplejpeg.encode_jpeg(picture[:, :, None], quality, "GRAY", "Gray", True))
        return bytes(simplejpeg.encode_jpeg(picture, quality, "RGB", "420", True))

    def read(data: Any, colour: bool, height: int, width: int) -> Array | None:
        try:
            if simplejpeg.decode_jpeg_header(data)[:2] != (height, width):  # before there is memory for it
                return None
            return simplejpeg.decode_jpeg(data, "RGB" if colour else "GRAY", True, True)  # type: ignore[no-any-return]
        except ValueError as error:
            raise WireError(f"a picture that is not JPEG: {error}") from None

    return write, read


def _opencv() -> tuple[Callable[..., Any], Callable[..., Any]] | None:
    try:
        import cv2
        import numpy
    except ImportError:
        return None

    def write(picture: Array, quality: int) -> bytes:
        turned = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        return cv2.imencode(".jpg", turned, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()

    def read(data: Any, colour: bool, _height: int, _width: int) -> Array | None:
        picture = cv2.imdecode(numpy.frombuffer(data, "u1"), cv2.IMREAD_COLOR if colour else cv2.IMREAD_GRAYSCALE)
        return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB) if picture is not None and colour else picture

    return write, read
