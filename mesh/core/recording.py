"""How a frame lies in a recording: an MCAP message whose schema lies beside it, so that other tools read it without us.

    text, event   JSON, with a JSON Schema       roomful.Text, roomful.Event
    image         ROS 2 CDR, `ros2msg` schema    sensor_msgs/msg/Image, or sensor_msgs/msg/CompressedImage for JPEG
    audio, vector ROS 2 CDR, `ros2msg` schema    roomful_msgs/msg/Array: numpy's dtype, the shape, the bytes in C order

ROS 2's messages because every viewer of MCAP knows them (Foxglove, PlotJuggler, the rosbag tools), their schemas are
plain text that a conservator can read, and packing them takes twenty lines. Decided against: base64 in JSON (a third
larger, and slow), protobuf (a compiler for three messages), and MessagePack as it travels (no viewer shows it).

JSON cannot say all that an event can be. What it cannot is written as an object of one key: {"$bytes": hex digits},
{"$float": "nan"}, {"$map": [[key, value], …]} for keys that are not text or begin with "$".
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from struct import Struct
from struct import error as StructError
from typing import Any

from mesh.core.frames import ITEM_BYTES, Block
from mesh.errors import WireError

TEXT_SCHEMA = {
    "title": "roomful.Text", "type": "object", "required": ["text"], "properties": {
        "text": {"type": "string"}, "instance": {"type": "string", "description": "who said it"},
        "request": {"type": ["string", "null"], "description": "shared by the pieces of one utterance"},
        "piece": {"type": "integer"}, "more": {"type": "boolean"}, "ended": {"type": ["string", "null"]},
    },
}  # fmt: skip
EVENT_SCHEMA = {
    "title": "roomful.Event", "type": "object", "required": ["value"], "properties": {
        "value": {"description": "as the role emitted it; {\"$bytes\"}, {\"$float\"} and {\"$map\"} stand for what JSON has not"},
        "instance": {"type": "string", "description": "who emitted it"},
    },
}  # fmt: skip
_LINE = "=" * 80
_HEADER_TYPES = f"""
{_LINE}
MSG: std_msgs/Header
builtin_interfaces/Time stamp
string frame_id
{_LINE}
MSG: builtin_interfaces/Time
int32 sec
uint32 nanosec
"""
IMAGE_SCHEMA = (
    "std_msgs/Header header\nuint32 height\nuint32 width\nstring encoding\nuint8 is_bigendian\nuint32 step\nuint8[] data" + _HEADER_TYPES
)
JPEG_SCHEMA = "std_msgs/Header header\nstring format\nuint8[] data" + _HEADER_TYPES
ARRAY_SCHEMA = "string dtype\nuint32[] shape\nuint8[] data\n"


@dataclass(frozen=True, slots=True)
class Form:
    """How the messages of a channel are written: the schema's name, encoding and text, and the messages' encoding."""

    schema: str
    schema_encoding: str
    text: str
    encoding: str


FORMS = {
    "text": Form("roomful.Text", "jsonschema", json.dumps(TEXT_SCHEMA, indent=1), "json"),
    "event": Form("roomful.Event", "jsonschema", json.dumps(EVENT_SCHEMA, indent=1), "json"),
    "image": Form("sensor_msgs/msg/Image", "ros2msg", IMAGE_SCHEMA, "cdr"),
    "jpeg": Form("sensor_msgs/msg/CompressedImage", "ros2msg", JPEG_SCHEMA, "cdr"),
    "audio": Form("roomful_msgs/msg/Array", "ros2msg", ARRAY_SCHEMA, "cdr"),
    "vector": Form("roomful_msgs/msg/Array", "ros2msg", ARRAY_SCHEMA, "cdr"),
}


@dataclass(frozen=True, slots=True)
class Taken:
    """One frame of a recording. `value` is a text, a plain value, a `Block`, or the bytes of a JPEG."""

    value: Any
    instance: str = ""
    request: str | None = None
    piece: int = 0
    more: bool = False
    ended: str | None = None
    rate: int = 0  # samples a second of a sound, in the channel's metadata; 0 where nobody said


def write_message(form: str, taken: Taken, captured_ns: int) -> bytes:
    """The message of one frame. `form` is a key of FORMS; an image's Block is grey or RGB, bytes only."""
    if form == "text":
        fields = {"text": taken.value, "instance": taken.instance, "request": taken.request, "piece": taken.piece, "more": taken.more}
        return _as_json({**fields, "ended": taken.ended})
    if form == "event":
        return _as_json({"value": _to_json(taken.value), "instance": taken.instance})
    cdr = _Cdr()
    if form == "jpeg":
        cdr.stamp(captured_ns, taken.instance)
        cdr.string("jpeg")
        cdr.octets(taken.value)
    elif form == "image":
        _write_image(cdr, taken, captured_ns)
    else:
        cdr.string(taken.value.dtype)
        cdr.number(len(taken.value.shape))
        for size in taken.value.shape:
            cdr.number(size)
        cdr.octets(taken.value.data)
    return cdr.packed()


def _write_image(cdr: _Cdr, taken: Taken, captured_ns: int) -> None:
    block = taken.value
    colours = 3 if len(block.shape) == 3 else 1
    height, width = block.shape[:2]
    cdr.stamp(captured_ns, taken.instance)
    cdr.number(height)
    cdr.number(width)
    cdr.string("rgb8" if colours == 3 else "mono8")
    cdr.octet(0)
    cdr.number(width * colours)
    cdr.octets(block.data)


def read_message(form: str, data: bytes) -> Taken:
    """One frame of a channel whose messages are of this form. Raises WireError for what is none, whatever the bytes."""
    try:
        if form in ("text", "event"):
            said = json.loads(data)
            if form == "event":
                return Taken(_from_json(said["value"]), str(said.get("instance", "")))
            text = said["text"]
            if not isinstance(text, str):
                raise ValueError("a text that is none")
            return Taken(text, str(said.get("instance", "")), said.get("request"), int(said.get("piece", 0)), bool(said.get("more")),
                         said.get("ended"))
        return _read_cdr(form, data)
    except (ValueError, TypeError, KeyError, IndexError, StructError, RecursionError, AttributeError, OverflowError) as error:
        raise WireError(f"a message that is no {form}: {error}") from None


def form_of(schema: str, type_: str) -> str:
    """The form of a channel, by its schema's name and the type that its metadata names; "" for one of another program."""
    known = [name for name, form in FORMS.items() if form.schema == schema]
    return type_ if type_ in known else next(iter(known), "")


def _read_cdr(form: str, data: bytes) -> Taken:
    cdr = _Cdr(data)
    if form in ("audio", "vector"):
        dtype = cdr.read_string()
        shape = tuple(cdr.read_number() for _ in range(_few(cdr.read_number())))
        block = Block(dtype, shape, cdr.read_octets())
        if dtype not in ITEM_BYTES or math.prod(shape) * ITEM_BYTES[dtype] != len(block.data):
            raise ValueError("an array of another size than its shape says")
        return Taken(block)
    instance = cdr.read_stamp()
    if form == "jpeg":
        cdr.read_string()
        return Taken(cdr.read_octets(), instance)
    height, width, encoding = cdr.read_number(), cdr.read_number(), cdr.read_string()
    cdr.read_octet()
    step, pixels = cdr.read_number(), cdr.read_octets()
    colours = {"rgb8": 3, "mono8": 1}[encoding]
    if step != width * colours or len(pixels) != step * height:
        raise ValueError("a picture of another size than it says")
    return Taken(Block("|u1", (height, width, 3) if colours == 3 else (height, width), pixels), instance)


def _few(count: int) -> int:
    if count > 8:
        raise ValueError("an array of too many dimensions")
    return count


# ---- JSON


def _as_json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8", "surrogatepass")


def _to_json(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": repr(value)}
    if isinstance(value, (bytes, bytearray)):
        return {"$bytes": bytes(value).hex()}
    if isinstance(value, Mapping):
        if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return {key: _to_json(each) for key, each in value.items()}
        return {"$map": [[_to_json(key), _to_json(each)] for key, each in value.items()]}
    if isinstance(value, (list, tuple)):
        return [_to_json(each) for each in value]
    raise TypeError(f"a {type(value).__name__} is not a plain value")


def _from_json(value: Any) -> Any:
    if isinstance(value, list):
        return [_from_json(each) for each in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((key, inside),) = value.items()
        if key == "$float":
            return float(inside)
        if key == "$bytes":
            return bytes.fromhex(inside)
        if key == "$map":
            return {_from_json(name): _from_json(each) for name, each in inside}
    return {key: _from_json(each) for key, each in value.items()}


# ---- CDR: numbers at multiples of their size, counted from behind the four bytes that say "little-endian"

_U32 = Struct("<I")
_ENCAPSULATION = b"\x00\x01\x00\x00"


class _Cdr:
    """Packs, or reads, one message of XCDR1 in little-endian order (OMG DDS-XTypes 1.3, 7.4)."""

    def __init__(self, data: bytes = b"") -> None:
        self._parts: list[Any] = []
        self._at = 0
        if data and bytes(data[:4]) != _ENCAPSULATION:
            raise ValueError("not little-endian CDR")
        self._data = memoryview(data)[4:]

    def packed(self) -> bytes:
        return b"".join([_ENCAPSULATION, *self._parts])

    def _put(self, data: Any) -> None:
        self._parts.append(data)
        self._at += len(data)

    def number(self, value: int) -> None:
        self._put(bytes(-self._at % 4))
        self._put(_U32.pack(value))

    def octet(self, value: int) -> None:
        self._put(bytes([value]))

    def octets(self, data: Any) -> None:
        self.number(len(data))
        self._put(data)

    def string(self, text: str) -> None:
        self.octets(text.encode() + b"\0")

    def stamp(self, time_ns: int, frame_id: str) -> None:
        seconds, nanoseconds = divmod(time_ns, 1_000_000_000)
        self.number(seconds & 0xFFFFFFFF)
        self.number(nanoseconds)
        self.string(frame_id)

    def read_number(self) -> int:
        self._at += -self._at % 4
        (value,) = _U32.unpack_from(self._data, self._at)
        self._at += 4
        return int(value)

    def read_octet(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def read_octets(self) -> Any:
        count = self.read_number()
        found = self._data[self._at : self._at + count]
        if len(found) != count:
            raise ValueError("cut short")
        self._at += count
        return found.tobytes()

    def read_string(self) -> str:
        return str(self.read_octets().rstrip(b"\0").decode())

    def read_stamp(self) -> str:
        self.read_number()
        self.read_number()
        return self.read_string()
