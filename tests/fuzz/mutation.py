"""Bytes made of real ones: cut, doubled, filled, spliced with another; the same for a seed of chance."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

NASTY = (
    b"\xff" * 8, b"\0" * 8, b"\x7f" + b"\xff" * 7, b"\x91" * 600, b"[" * 3000, b"{" * 600, b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff",
    b"\xdd\x7f\xff\xff\xff", b"1e999", b"9" * 5000, b"\\ud800", b"\xed\xa0\x80", b"&a *a ", b"../", b"%2e%2e%2f", b"\r\n\r\n", b"NaN",
)
SIZES = (0, 1, 2, 5, 16, 64, 300, 1400)


def mutated(seeds: Sequence[bytes], chance: Random) -> bytes:
    """One message."""
    data = bytearray(chance.choice(list(seeds)))
    for _ in range(chance.randint(1, 7)):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(7):
            case 0:
                data[at : at + 1] = bytes((chance.randrange(256),))
            case 1:
                del data[at : at + chance.randint(1, 30)]
            case 2:
                data[at:at] = chance.randbytes(chance.choice(SIZES))
            case 3:
                data[at:at] = data[at : at + 50]
            case 4:
                data[at:at] = chance.choice(NASTY)
            case 5:
                other = chance.choice(list(seeds))
                data[at:] = other[chance.randrange(len(other) + 1) :]
            case _:
                if at < len(data):
                    data[at] ^= 1 << chance.randrange(8)
    return bytes(data)
