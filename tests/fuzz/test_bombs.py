"""Small inputs that unfold to large ones: bounded before they are unfolded."""

from __future__ import annotations

import time

import lz4.frame
import pytest
import zstandard

from mesh.core import deployment
from mesh.core.codec import decode
from mesh.core.messages import CONTROL_BYTES_MAX, PROTOCOL
from mesh.errors import WireError
from mesh.shell import film


@pytest.mark.parametrize(("compression", "packed"), [
    ("lz4", lz4.frame.compress(bytes(50_000_000))), ("zstd", zstandard.ZstdCompressor().compress(bytes(50_000_000))),
])  # fmt: skip
def test_a_chunk_of_a_recording_unpacks_to_so_much_and_no_more(monkeypatch: pytest.MonkeyPatch, compression: str, packed: bytes) -> None:
    monkeypatch.setattr(film, "PLAIN_BYTES_MAX", 1_000_000)
    assert len(packed) < 400_000 and len(film._unpacked(compression, packed)) == 1_000_000


def test_anchors_that_unfold_to_a_million_are_refused_at_once() -> None:
    text = "installation: x\na0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
    text += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9))
    begun_s = time.monotonic()
    draft, mistakes = deployment.read(text)
    assert mistakes and time.monotonic() - begun_s < 10.0


@pytest.mark.parametrize("line", ["!" * 900_000, "[" * 900_000, "- " * 400_000, "&a " * 300_000, "? " * 400_000, "a: '" + "b" * 900_000])
def test_a_line_of_a_megabyte_is_refused_at_once_with_its_place(line: str) -> None:
    begun_s = time.monotonic()
    draft, mistakes = deployment.read(f"installation: x\n{line}\n")
    assert draft is None and mistakes[0].line == 2 and "letters" in mistakes[0].what
    assert time.monotonic() - begun_s < 5.0


HEADS = [b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff", b"\x91" * 100_000]


@pytest.mark.parametrize("head", HEADS)
def test_a_message_that_promises_four_billion_items_takes_no_memory_for_them(head: bytes) -> None:
    for kind in (16, 17, 19, 20):
        with pytest.raises(WireError):
            decode(bytes((PROTOCOL, kind)) + head)
    with pytest.raises(WireError):
        decode(bytes((PROTOCOL, 20)) + bytes(CONTROL_BYTES_MAX + 1))
