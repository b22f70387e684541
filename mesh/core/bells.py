"""What passes between two processes of one machine beside the frames themselves: bytes in, values out, or a WireError.

    hello     reader -> writer   magic, rule, topic               which stream it wants and how, or that it asks; a line's first packet
    ring      writer -> reader   slots, slot bytes, and a file    the shared memory in which large frames will lie
    bell      writer -> reader   slot, turn                       a frame lies there
    a frame   writer -> reader   as on any wire (`frames`)        small ones, where every one counts

In the shared memory lies one page of its own, then the slots. A slot is a head, then one whole message as it would travel,
placed so that an array's bytes begin at DATA_AT: a page boundary, where a role can draw. A *turn* numbers what was ever
written to a ring, from 1; the first page holds the newest turn and its slot.

Everything read from shared memory may change while it is read: so it is copied once, judged here, and only then used, and
what it says never leads out of the slot. Decided against: a head in each bell (who wants the newest would read old ones
first), and lengths that a reader takes on trust.
"""

from __future__ import annotations

from struct import Struct
from struct import error as StructError
from typing import NamedTuple

from mesh.core.frames import FRAME_BYTES_MAX, HEAD_BYTES_MAX, TOPIC_END
from mesh.errors import WireError

MAGIC = b"\x03roomful-1"
PAGE = 4096
DATA_AT = PAGE  # from the beginning of a slot
RING_BYTES_MAX = 512 * 1024 * 1024
SLOTS_MAX = 32
SLOTS_FIRST = 8
ROOM_FIRST_BYTES = 64 * 1024 * 1024  # a ring starts with fewer slots where eight would take more
TOPIC_BYTES_MAX = 512

ASKING = b"?" + TOPIC_END  # in place of a topic: who comes in does not listen but asks; no stream is named so

_RING_MARK, _BELL_MARK = 2, 1  # no topic begins so
_RULES = {b"l": "latest", b"q": "queue"}
_BELL = Struct("<BHQ")
_RING = Struct("<BHQ")
_HEAD = Struct("=QQQ")  # turn, where the message begins in the slot, its bytes; native, as only this machine reads it
_NEWEST = Struct("=Q")
HEAD_BYTES, NEWEST_BYTES = _HEAD.size, _NEWEST.size
MESSAGE_AT_LEAST = 32  # the first place in a slot where a message may begin
_SLOT_BITS = 8


class Bell(NamedTuple):
    """A frame lies in this slot, if it still holds this turn."""

    slot: int
    turn: int


class Layout(NamedTuple):
    """A ring's form."""

    slots: int
    slot_bytes: int

    @property
    def size_bytes(self) -> int:
        """All of its memory."""
        return PAGE + self.slots * self.slot_bytes


class Place(NamedTuple):
    """Where a message lies, from the beginning of the ring, and its turn."""

    turn: int
    start: int
    end: int


def hello(topic: bytes, latest: bool) -> bytes:
    """The first packet of a line. `topic` ends with TOPIC_END."""
    return MAGIC + (b"l" if latest else b"q") + topic


def read_hello(packet: bytes) -> tuple[bytes, bool]:
    """(topic, whether only the newest counts). Raises WireError."""
    rule, topic = packet[len(MAGIC) : len(MAGIC) + 1], packet[len(MAGIC) + 1 :]
    if not packet.startswith(MAGIC) or rule not in _RULES or not 1 < len(topic) <= TOPIC_BYTES_MAX or topic[-1:] != TOPIC_END:
        raise WireError("a greeting that is none")
    return topic, rule == b"l"


def bell(slot: int, turn: int) -> bytes:
    """The packet that says where a frame lies."""
    return _BELL.pack(_BELL_MARK, slot, turn)


def ring(layout: Layout) -> bytes:
    """The packet that goes with a ring's file."""
    return _RING.pack(_RING_MARK, *layout)


def read(packet: bytes) -> Bell | Layout | None:
    """What a packet says that came to a reader; None for one that is a frame. Raises WireError."""
    mark = packet[0] if packet else 0
    if mark > _RING_MARK:
        return None
    if mark == _BELL_MARK and len(packet) == _BELL.size:
        _, slot, turn = _BELL.unpack(packet)
        return Bell(slot, turn)
    if mark == _RING_MARK and len(packet) == _RING.size:
        _, slots, slot_bytes = _RING.unpack(packet)
        return require_layout(Layout(slots, slot_bytes))
    raise WireError("a packet that is neither a bell nor a frame")


def require_layout(layout: Layout) -> Layout:
    """The layout, if a ring can have it. Raises WireError."""
    slots, slot_bytes = layout
    if not 2 <= slots <= SLOTS_MAX or slot_bytes % PAGE or not DATA_AT + PAGE <= slot_bytes <= _slot_bytes(FRAME_BYTES_MAX):
        raise WireError(f"a ring of {slots} slots of {slot_bytes} bytes")
    return layout


def layout_for(data_bytes: int, before: Layout | None = None) -> Layout | None:
    """The ring for arrays (or messages) of this size, when the one before is too small, or was full; None when there can be
    none. A stream whose frames grow gets half as much again, so that it does not move for each."""
    slot_bytes = _slot_bytes(data_bytes)
    slots = max(4, min(SLOTS_FIRST, ROOM_FIRST_BYTES // slot_bytes))
    if before is not None and slot_bytes > before.slot_bytes:
        slot_bytes = min(_slot_bytes(FRAME_BYTES_MAX), _slot_bytes(data_bytes + data_bytes // 2))
        slots = max(4, min(before.slots, ROOM_FIRST_BYTES // slot_bytes))
    elif before is not None:
        slot_bytes, slots = before.slot_bytes, min(SLOTS_MAX, 2 * before.slots)
    slots = min(slots, (RING_BYTES_MAX - PAGE) // slot_bytes)
    layout = Layout(slots, slot_bytes)
    return None if slots < 2 or (before is not None and layout <= before and slot_bytes == before.slot_bytes) else layout


def _slot_bytes(data_bytes: int) -> int:
    return DATA_AT + max(PAGE, -(-data_bytes // PAGE) * PAGE)


def slot_at(layout: Layout, slot: int) -> int:
    """Where a slot begins. Raises WireError for one that is none."""
    if not 0 <= slot < layout.slots:
        raise WireError(f"slot {slot} of {layout.slots}")
    return PAGE + slot * layout.slot_bytes


def head(turn: int, start: int, size: int) -> bytes:
    """A slot's head: what lies in it, and where in the slot it begins."""
    return _HEAD.pack(turn, start, size)


def read_head(raw: bytes, layout: Layout, slot: int) -> Place:
    """Where the message in a slot lies. Raises WireError for a place that is not inside of it."""
    base = slot_at(layout, slot)
    try:
        turn, start, size = _HEAD.unpack(raw)
    except StructError:
        raise WireError("a slot without a head") from None
    if not (MESSAGE_AT_LEAST <= start <= DATA_AT and 0 < size <= layout.slot_bytes - start):
        raise WireError("a frame that lies outside of its slot")
    return Place(turn, base + start, base + start + size)


def newest(slot: int, turn: int) -> bytes:
    """What the first page holds."""
    return _NEWEST.pack(turn << _SLOT_BITS | slot)


def read_newest(raw: bytes) -> Bell | None:
    """The newest frame of a ring; None before the first. Raises WireError."""
    try:
        (both,) = _NEWEST.unpack(raw)
    except StructError:
        raise WireError("a ring without a first page") from None
    return Bell(both & ((1 << _SLOT_BITS) - 1), both >> _SLOT_BITS) if both else None


def fits(layout: Layout, head_bytes: int, data_bytes: int) -> bool:
    """Whether a message of a head and an array fits a slot."""
    return head_bytes <= DATA_AT - MESSAGE_AT_LEAST and data_bytes <= layout.slot_bytes - DATA_AT


HEAD_ROOM_BYTES = DATA_AT - MESSAGE_AT_LEAST
assert FRAME_BYTES_MAX > HEAD_BYTES_MAX  # a text fits where an array does
