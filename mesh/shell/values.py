"""What a role gets for a frame that has come: its value, read from wherever the frame lies."""

from __future__ import annotations

from typing import Any

from mesh.core.frames import Header
from mesh.shell.arrays import to_array
from mesh.shell.ring import Lease
from mesh.shell.unloading import Crate


def value_of(header: Header, data: Any) -> Any:
    """An array over the frame's bytes, or over the memory in which they lie (`Lease`, `Crate`), or a picture that was packed. Raises
    WireError for one that cannot be unpacked."""
    if header.data_at < 0:
        return header.value
    if header.coding:
        from mesh.shell import pictures

        whole = data.data if type(data) is Crate else memoryview(data)
        return pictures.unpack(whole[header.data_at :], header.coding, header.shape)
    if type(data) in (Lease, Crate):
        if 0 not in header.shape:
            return data.array(header.dtype, header.shape, header.data_at)
        data = data.data
    return to_array(header.dtype, header.shape, data, header.data_at)
