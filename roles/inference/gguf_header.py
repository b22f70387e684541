"""What a GGUF file says of itself: read from its beginning, without an engine and without its weights.

The layout is ggml's own description of the format (docs/gguf.md), versions 2 and 3, little-endian: counts, then names with values.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, BinaryIO

from mesh.errors import RoleError

NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
TEXT, LIST = 8, 9
TEXT_BYTES_MAX = 16 * 1024 * 1024
ENTRIES_MAX = 10_000
LIST_MAX = 10_000_000
FILE_TYPES = {0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M",
              13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 32: "BF16"}  # fmt: skip


def read_header(file: Path) -> dict[str, Any]:
    """{name: value}; a list is told by its length alone. RoleError where the file is no such model, or is cut short."""
    try:
        with file.open("rb") as opened:
            return _read(opened, file)
    except (struct.error, UnicodeDecodeError, OverflowError, MemoryError) as error:
        raise RoleError(f"{file.name} is cut short or broken", where=str(file), instead="copy or download it once more") from error


def _read(opened: BinaryIO, file: Path) -> dict[str, Any]:
    if opened.read(4) != b"GGUF":
        raise RoleError(f"{file.name} is no GGUF model", where=str(file), instead="a language model is a .gguf file of llama.cpp")
    version, _, entries = struct.unpack("<IQQ", _exactly(opened, 20))
    if version not in (2, 3) or entries > ENTRIES_MAX:
        raise RoleError(f"{file.name} is of GGUF version {version}", where=str(file), instead="convert it with a present llama.cpp")
    found: dict[str, Any] = {}
    for _ in range(entries):
        name = _text(opened)
        (kind,) = struct.unpack("<I", _exactly(opened, 4))
        found[name] = _value(opened, kind)
    return found


def _exactly(opened: BinaryIO, count: int) -> bytes:
    read = opened.read(count)
    if len(read) != count:
        raise struct.error("cut short")
    return read


def _text(opened: BinaryIO) -> str:
    (length,) = struct.unpack("<Q", _exactly(opened, 8))
    if length > TEXT_BYTES_MAX:
        raise struct.error("no text is so long")
    return _exactly(opened, length).decode(errors="replace")


def _value(opened: BinaryIO, kind: int) -> Any:
    if kind == TEXT:
        return _text(opened)
    if kind == LIST:
        inner, count = struct.unpack("<IQ", _exactly(opened, 12))
        if count > LIST_MAX or inner == LIST:
            raise struct.error("no list is so long")
        if inner == TEXT:
            for _ in range(count):
                _text(opened)
        else:
            _exactly(opened, count * struct.calcsize("<" + _code(inner)))
        return f"{count} entries"
    code = _code(kind)
    return struct.unpack("<" + code, _exactly(opened, struct.calcsize("<" + code)))[0]


def _code(kind: int) -> str:
    if kind not in NUMBERS:
        raise struct.error("no number")
    return NUMBERS[kind]


def looked_at(file: Path) -> dict[str, Any]:
    """The same as `recognise` says of other models: what goes in and out, what it says of itself, and how it can be played."""
    header = read_header(file)
    family = str(header.get("general.architecture", "?"))
    known = {
        "name": header.get("general.name"), "family": family, "its licence": header.get("general.license"),
        "context": header.get(f"{family}.context_length"), "layers": header.get(f"{family}.block_count"),
        "numbers": FILE_TYPES.get(header.get("general.file_type", -1)), "size": header.get("general.size_label"),
    }  # fmt: skip
    about = {key: str(value)[:200] for key, value in known.items() if value is not None}
    if header.get("general.type") == "adapter":
        way = {"options": {"lora": [{"file": file.name}]}, "why": "an adapter, laid over the model that it was trained on"}
        return {"inputs": [], "outputs": [], "about": {**about, "kind": "a LoRA adapter"}, "fits": [way]}
    chat = "tokenizer.chat_template" in header
    about["chat template"] = "its own" if chat else "none"
    embeds = header.get(f"{family}.causal_attention") is False or header.get(f"{family}.pooling_type") not in (None, 0)
    way = {"options": {}, "why": "a model for likeness: wire texts to its input `embed`"} if embeds else (
        {"options": {"chat": True}, "why": "a model that was trained to converse"} if chat
        else {"options": {"template": "{prompt}"}, "why": "a model that goes on with a text"}
    )  # fmt: skip
    told = {"name": "embedding", "type": "vector", "shape": []} if embeds else {"name": "line", "type": "text", "shape": []}
    texts: list[dict[str, Any]] = [{"name": "embed" if embeds else "prompt", "type": "text", "shape": []}]
    return {"inputs": texts, "outputs": [told], "about": about, "fits": [way]}
