"""Between an artist's value and what travels: checks a value against its stream's type, and numpy arrays to blocks and back.

numpy is imported with the first array, so that a role of texts and events starts without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mesh.core.frames import ARRAY_TYPES, ITEM_BYTES, Block
from mesh.errors import RoleError

if TYPE_CHECKING:
    import numpy


def fit(value: Any, type_: str, where: str) -> Any:
    """The value as its stream's type wants it; an array as a Block. Raises RoleError, in words for its author."""
    if type_ == "text":
        if type(value) is not str:
            raise RoleError(f"{where} carries text, and this is of the type {type(value).__name__}", instead="emit a str")
        return value
    if type_ in ARRAY_TYPES:
        return to_block(value, type_, where)
    return value


def to_block(value: Any, type_: str, where: str) -> Block:
    """An array of a stream of this type, in C order and little-endian; copied only where it is not so already."""
    import numpy

    array = checked(value, type_, where)
    if not array.flags.c_contiguous:
        array = numpy.ascontiguousarray(array)
    return Block(array.dtype.str, array.shape, _bytes_of(array))


def checked(value: Any, type_: str, where: str) -> numpy.ndarray[Any, Any]:
    """The value as an array that a stream of this type carries, little-endian, in whatever order its items lie."""
    import numpy

    try:
        array = numpy.asarray(value)
    except ValueError:
        raise RoleError(f"{where} carries arrays, and this is not one", instead="emit a numpy array") from None
    _suit(array, type_, where)
    if array.dtype.byteorder == ">" or (array.dtype.byteorder == "=" and not numpy.little_endian):
        array = array.astype(array.dtype.newbyteorder("<"))
    if array.dtype.str not in ITEM_BYTES:
        raise RoleError(f"{where}: arrays of {array.dtype} cannot travel", instead="use plain numbers, such as float32")
    return array


def _bytes_of(array: Any) -> memoryview | bytes:
    return memoryview(array).cast("B") if array.size else b""


def _suit(array: numpy.ndarray[Any, Any], type_: str, where: str) -> None:
    got = f"this is {array.dtype} {list(array.shape)}"
    if type_ == "image":
        shaped = array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)
        if array.dtype.str != "|u1" or not shaped:
            raise RoleError(f"{where} carries images, and {got}", instead="emit uint8, (height, width, 3) or (height, width)")
    elif type_ == "audio" and (array.dtype.kind != "f" or array.dtype.itemsize != 4 or array.ndim != 2):
        raise RoleError(f"{where} carries audio, and {got}", instead="emit float32, (samples, channels)")


def to_array(dtype: str, shape: tuple[int, ...], data: Any, data_at: int = 0) -> numpy.ndarray[Any, Any]:
    """A read-only array over these bytes, from `data_at` to the end; nothing is copied."""
    import numpy

    if 0 in shape:
        array = numpy.empty(shape, dtype)
    else:
        array = numpy.frombuffer(data, dtype, offset=data_at).reshape(shape)
    array.flags.writeable = False
    return array


def as_value(value: Any) -> Any:
    """What a role gets for what travelled in a request."""
    return to_array(value.dtype, value.shape, value.data) if type(value) is Block else value


def as_travelling(value: Any) -> Any:
    """What travels in a request for what a role gave: arrays as blocks, the rest as it is."""
    if hasattr(value, "__array__") and hasattr(value, "dtype") and getattr(value, "shape", ()) != ():
        return to_block(value, "vector", "a request")
    return value


def type_of(value: Any) -> str:
    """The stream type that a value asked with `ask` has by itself."""
    if type(value) is str:
        return "text"
    return "vector" if type(value) is Block else "event"


def weight_bytes(value: Any) -> int:
    """About how much memory a piece takes."""
    if type(value) is Block:
        return len(value.data)
    return 64 + len(value) if isinstance(value, str | bytes) else 256
