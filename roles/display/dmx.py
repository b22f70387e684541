"""The two ways by which levels reach lights over a network, as bytes.

sACN is ANSI E1.31-2018, Art-Net is Art-Net 4 (Artistic Licence). Packed here and not by a library, because both are one packet
with a fixed head, and the Python library for sACN sends from a thread of its own that follows the wall clock and ends
silently at the first error of the network. Tested against OLA, which is what many lighting desks and nodes run.
"""

from __future__ import annotations

import struct

CHANNELS = 512
SACN_PORT, ARTNET_PORT = 5568, 6454
SACN_UNIVERSES, ARTNET_UNIVERSES = range(1, 64000), range(0, 32768)
_VECTOR_ROOT, _VECTOR_FRAMING, _VECTOR_DMP = 4, 2, 2
_TERMINATED = 0x40


def sacn_address(universe: int) -> str:
    """The multicast address of a universe (E1.31, 9.3.1)."""
    return f"239.255.{universe >> 8}.{universe & 255}"


def sacn_packet(cid: bytes, name: str, priority: int, sequence: int, universe: int, levels: bytes, *, ended: bool = False) -> bytes:
    """A data packet. `cid` are 16 bytes that stay a source's own; `priority` 0 to 200; `ended` says that the source stops."""
    values = b"\0" + levels.ljust(CHANNELS, b"\0")  # after DMX's start code
    dmp = struct.pack(">BBHHH", _VECTOR_DMP, 0xA1, 0, 1, len(values)) + values
    dmp = _counted(dmp)
    source = name.encode()[:63].decode(errors="ignore").encode().ljust(64, b"\0")
    framing = _counted(
        struct.pack(">I64sBHBBH", _VECTOR_FRAMING, source, priority, 0, sequence & 255, _TERMINATED if ended else 0, universe) + dmp
    )
    root = _counted(struct.pack(">I16s", _VECTOR_ROOT, cid) + framing)
    return struct.pack(">HH12s", 16, 0, b"ASC-E1.17\0\0\0") + root


def _counted(content: bytes) -> bytes:
    """Flags 7 and the length of all that follows, itself included."""
    return struct.pack(">H", 0x7000 | (len(content) + 2)) + content


def artnet_packet(sequence: int, universe: int, levels: bytes) -> bytes:
    """An ArtDmx packet. `universe` is the 15-bit port-address: net, sub-net and universe in one number."""
    levels = levels.ljust(CHANNELS, b"\0")
    number = 1 + sequence % 255  # 0 would mean that there is no order
    head = struct.pack("<8sH", b"Art-Net\0", 0x5000) + struct.pack(">HBB", 14, number, 0)
    return head + struct.pack("<H", universe) + struct.pack(">H", len(levels)) + levels
